"""`make bench`: all measurements of one run, as a table for people and as JSON under benchmarks/results.

Figures differ from machine to machine; ratios against the bare operations, measured in the same run, do not so
much. Servers run on one core, the load comes from another. `--quick` takes about a minute, all of it about six.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # these are scripts, and no part of what is installed

from benchmarks.cores import Cores, choose_cores, measure_machine  # noqa: E402 - needs the path above
from benchmarks.deployment import Measured, measured_deployment  # noqa: E402 - the same
from benchmarks.files import measure_files  # noqa: E402 - the same
from benchmarks.journal import measure_journal  # noqa: E402 - the same
from benchmarks.results import Section, print_section, save  # noqa: E402 - the same
from benchmarks.signing import measure_ephemeral, measure_signing  # noqa: E402 - the same
from benchmarks.startup import measure_startup  # noqa: E402 - the same
from benchmarks.timestamps import measure_timestamps  # noqa: E402 - the same

THEMES = ("machine", "signing", "ephemeral", "timestamps", "journal", "startup", "files")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("themes", nargs="*", metavar="THEME", help=f"any of {', '.join(THEMES)}  [default: all]")
    parser.add_argument("--quick", action="store_true", help="shorter runs, about a minute")
    arguments = parser.parse_args()
    unknown = set(arguments.themes) - set(THEMES)
    if unknown:
        parser.error(f"there is no theme {', '.join(sorted(unknown))}")
    chosen = arguments.themes or list(THEMES)
    begun, cores, sections = time.monotonic(), choose_cores(), list[Section]()
    with tempfile.TemporaryDirectory(prefix="sealwright-bench-") as folder:
        place = Path(folder)
        with measured_deployment(place, cores) as measured:
            for name, measure in _plan(measured, cores, place, quick=arguments.quick).items():
                if name in chosen:
                    sections.append(measure())
                    print_section(sections[-1])
    path = save(sections, mode="quick" if arguments.quick else "full")
    print(f"\n{time.monotonic() - begun:.0f} seconds; written to {path}")


def _plan(measured: Measured, cores: Cores, place: Path, *, quick: bool) -> dict[str, Callable[[], Section]]:
    """Return the measurements by theme; times are in seconds for each workload."""
    load, rounds = (1.5, 1) if quick else (30.0, 5)
    return {
        "machine": lambda: measure_machine(cores),
        "signing": lambda: measure_signing(measured, cores, load),
        "ephemeral": lambda: measure_ephemeral(measured, load),
        "timestamps": lambda: measure_timestamps(measured, cores, load),
        "journal": lambda: measure_journal(place, cores, min(load, 10.0)),
        "startup": lambda: measure_startup(measured, place),
        "files": lambda: measure_files(measured, cores, place, rounds),
    }


if __name__ == "__main__":
    main()
