"""Receipts on disk: the request as it was sent and the answer with its proofs, for whoever wants to check again."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from sealwright.client.service import request_bytes
from sealwright.domain.errors import ConfigurationError
from sealwright.domain.messages import SigningResponse
from sealwright.settings import atomic_write

if TYPE_CHECKING:
    from sealwright.client.sign import Signed

_MODE: Final = 0o644
_SUFFIX: Final = ".receipt.json"


class StoredReceipt(msgspec.Struct, frozen=True):
    """One signing request: the files it was for, its bytes, and the answer with signatures and receipt."""

    files: list[str]
    request: bytes
    answer: SigningResponse


class StoredReceipts(msgspec.Struct, frozen=True):
    """The receipts of one command; bytes are base64 in JSON."""

    receipts: list[StoredReceipt]


def write_receipts(signed: Sequence["Signed"], one_file: Path | None, directory: Path | None) -> None:
    """Write all receipts to one file, or one beside another to a directory. Raises ConfigurationError."""
    if one_file is not None:
        by_request: dict[str, list[Signed]] = {}
        for result in signed:
            by_request.setdefault(result.response.id, []).append(result)
        _write(one_file, [_stored(group) for group in by_request.values()])
    if directory is not None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{directory} cannot be made: {error.strerror or error}") from None
        for result in signed:
            _write(directory / f"{result.task.target.name}{_SUFFIX}", [_stored([result])])


def _stored(group: Sequence["Signed"]) -> StoredReceipt:
    return StoredReceipt(
        [str(result.task.target) for result in group], request_bytes(group[0].request), group[0].response
    )


def _write(path: Path, receipts: list[StoredReceipt]) -> None:
    atomic_write(path, msgspec.json.format(msgspec.json.encode(StoredReceipts(receipts)), indent=2) + b"\n", _MODE)
