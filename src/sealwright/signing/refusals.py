"""Refusals: of authenticated principals one by one in the log, anonymous noise in aggregate."""

from collections import Counter
from datetime import datetime

from sealwright.domain.errors import SealwrightError
from sealwright.domain.events import AnonymousRefused, timestamp

_MOST_CODES = 32


class AnonymousRefusals:
    """Counts refusals of unknown origin until they are written as one entry: strangers cannot grow the log."""

    def __init__(self) -> None:
        self._codes: Counter[str] = Counter()

    def count(self, error: SealwrightError) -> None:
        """Count one refusal by its code."""
        code = error.code if error.code in self._codes or len(self._codes) < _MOST_CODES else "other"
        self._codes[code] += 1

    def give_back(self, entry: AnonymousRefused) -> None:
        """Count again what could not be written."""
        self._codes.update(entry.codes)

    def take(self, now: datetime) -> AnonymousRefused | None:
        """Return the entry over what was counted, and begin anew; None if there was nothing."""
        if not self._codes:
            return None
        codes = dict(sorted(self._codes.items()))
        self._codes.clear()
        return AnonymousRefused(time=timestamp(now), count=sum(codes.values()), codes=codes)
