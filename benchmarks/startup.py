"""How long the command line takes to start: `--help`, and the verdict on a small file."""

import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.deployment import SEALWRIGHT, Measured
from benchmarks.files import meter
from benchmarks.results import Row, Section
from sealwright.cli.operate.demo import default_program

_RUNS = 9


def measure_startup(measured: Measured, place: Path) -> Section:
    """Measure medians of nine runs, beside an interpreter that does nothing."""
    signed = place / "small.exe"
    measured.run("sign", str(default_program()), "--output", str(signed), "--append")
    environment = measured.environment
    nothing = _milliseconds([sys.executable, "-c", "pass"], environment)
    size = f"sealwright verify ({signed.stat().st_size // 1024} KiB)"
    rows = [
        Row("python -c pass", nothing, "ms"),
        Row("sealwright --help", _milliseconds([*SEALWRIGHT, "--help"], environment), "ms", target="under 120 ms"),
        Row(size, _milliseconds([*SEALWRIGHT, "verify", str(signed)], environment), "ms", target="under 200 ms"),
    ]
    return Section(f"Start-up, medians of {_RUNS}", rows)


def _milliseconds(command: list[str], environment: Mapping[str, str]) -> float:
    return 1000 * median(meter(command, environment).seconds for _ in range(_RUNS))
