"""What a run found: one row for each figure, printed as a table for people and written as JSON."""

import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import cryptography

from sealwright import __version__

RESULTS: Final = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is against `against`, measured in the same run; `target` is what the design asks for."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""
    target: str = ""
    details: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """The rows of one theme."""

    title: str
    rows: Sequence[Row]


def print_section(section: Section) -> None:
    """Print one theme as a table."""
    print(f"\n{section.title}")
    cells = [_cells(row) for row in section.rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        first, value, unit, *rest = line
        tail = "  ".join(text.ljust(width) for text, width in zip(rest, widths[3:], strict=True))
        print(f"  {first.ljust(widths[0])}  {value.rjust(widths[1])} {unit.ljust(widths[2])}  {tail}".rstrip())
    sys.stdout.flush()


def _cells(row: Row) -> tuple[str, str, str, str, str, str]:
    ratio = f"{row.ratio:.2f} of {row.against}" if row.ratio is not None else ""
    details = ", ".join(f"{name} {_number(value)}" for name, value in row.details.items())
    return row.what, _number(row.value), row.unit, ratio, f"(design: {row.target})" if row.target else "", details


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def save(sections: Sequence[Section], *, mode: str) -> Path:
    """Write the run as JSON under `results` and return the file."""
    now = datetime.now(UTC)
    document = {
        "time": now.isoformat(timespec="seconds"),
        "mode": mode,
        "sealwright": __version__,
        "python": platform.python_version(),
        "cryptography": cryptography.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
        "sections": [{"title": one.title, "rows": [asdict(row) for row in one.rows]} for one in sections],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}-{mode}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return path


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown processor"
