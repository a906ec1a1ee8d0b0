"""`sealwright sign` of a large program against `openssl dgst` of it and against `osslsigncode sign`."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from benchmarks.cores import Cores
from benchmarks.deployment import SEALWRIGHT, Measured, call
from benchmarks.results import Row, Section
from sealwright.cli.operate.demo import default_program

_MIB: Final = 1 << 20
_SIZE_MIB: Final = 512

# A small process of its own starts what is measured: a child begins with the memory figure of its parent.
_METER: Final = """
import json, os, sys, time
begun = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,
    file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, usage = os.wait4(pid, 0)
print(json.dumps([time.perf_counter() - begun, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)]))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a program cost: wall-clock seconds and its largest resident memory in MiB."""

    seconds: float
    memory: float


def meter(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Run a program and return its cost."""
    program = shutil.which(command[0]) or command[0]
    metered = [sys.executable, "-I", "-S", "-c", _METER, program, *command[1:]]
    done = subprocess.run(metered, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or json.loads(done.stdout)[2]:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    seconds, memory, _ = json.loads(done.stdout)
    return Cost(seconds, memory)


def measure_files(measured: Measured, cores: Cores, place: Path, rounds: int) -> Section:
    """Sign, hash and sign with osslsigncode in turn; medians of so many rounds. The client may use both cores."""
    program = place / "large.exe"
    _make_program(program)
    commands = _commands(program, place, measured)
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            with cores.on_both():
                found[name].append(meter(command, measured.environment))
            (place / f"{name}.exe").unlink(missing_ok=True)
    program.unlink()
    interpreter = meter([sys.executable, "-c", "pass"]).memory
    seconds = {name: median(cost.seconds for cost in costs) for name, costs in found.items()}
    memory = {name: max(cost.memory for cost in costs) for name, costs in found.items()}
    beyond = memory["sealwright"] - interpreter
    rows = [Row("openssl dgst -sha256", seconds["openssl"], "s")]
    if "osslsigncode" in seconds:
        details = {"memory MiB": memory["osslsigncode"]}
        rows.append(Row("osslsigncode sign -ts", seconds["osslsigncode"], "s", details=details))
    ratio = seconds["sealwright"] / seconds["openssl"]
    rows.append(Row("sealwright sign", seconds["sealwright"], "s", ratio, "openssl dgst", "at most 1.3"))
    if "osslsigncode" in seconds:
        ratio = seconds["sealwright"] / seconds["osslsigncode"]
        rows.append(Row("sealwright sign", seconds["sealwright"], "s", ratio, "osslsigncode sign"))
    details = {"interpreter alone": interpreter, "in all": memory["sealwright"]}
    rows.append(Row("memory beyond the interpreter", beyond, "MiB", None, "", "under 64 MiB", details))
    return Section(f"A program of {_SIZE_MIB} MiB, medians of {rounds}, clients on both cores", rows)


def _make_program(path: Path) -> None:
    """Write a real launcher with an overlay of data that nothing can compress."""
    piece = Random(1).randbytes(16 * _MIB)  # noqa: S311 - any data will do
    with path.open("wb") as output:
        output.write(default_program().read_bytes())
        output.truncate(-(-output.tell() // 8) * 8)
        output.seek(0, 2)
        for one in repeat(piece, _SIZE_MIB // 16):
            output.write(one)


def _commands(program: Path, place: Path, measured: Measured) -> dict[str, list[str]]:
    commands = {
        "openssl": ["openssl", "dgst", "-sha256", str(program)],
        "sealwright": [*SEALWRIGHT, "sign", str(program), "--output", str(place / "sealwright.exe")],
    }
    if shutil.which("osslsigncode"):
        key, certificate = place / "software.key", place / "software.crt"
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        extension = ["-addext", "extendedKeyUsage=codeSigning", "-subj", "/CN=bench"]
        files = ["-keyout", str(key), "-out", str(certificate)]
        call(["openssl", "req", "-x509", *curve, "-nodes", *files, *extension])
        options = ["-certs", str(certificate), "-key", str(key), "-h", "sha256", "-ts", measured.client.tsa[0]]
        output = ["-in", str(program), "-out", str(place / "osslsigncode.exe")]
        commands["osslsigncode"] = ["osslsigncode", "sign", *options, *output]
    return commands
