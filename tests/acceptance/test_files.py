"""Files that are no programs, or no longer: one clear error each, nothing written, nothing lost, memory bounded."""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from tests.acceptance.world import PROGRAM, House

_MOST_MEMORY = 150 * 1024  # KiB of resident memory at its peak
_MOST_ADDRESSES = 1 << 30


@dataclass(frozen=True)
class Ended:
    """How a command ended, and the most memory that it held (KiB)."""

    code: int
    out: str
    err: str
    memory: int


def run(house: House, *arguments: str | Path) -> Ended:
    """Run the command line in a process of its own, with bounded memory, and measure it."""
    read, write = os.pipe()
    code = (
        "import pathlib, resource, sys; "
        f"resource.setrlimit(resource.RLIMIT_AS, ({_MOST_ADDRESSES}, {_MOST_ADDRESSES})); "
        "from sealwright.cli.main import run; status = run(sys.argv[1:]); "
        # Not getrusage: its maximum begins with what the process that forked us held.
        "peak = pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]; "
        f"open({write}, 'w').write(peak); sys.exit(status)"
    )
    environment = {**os.environ, "SEALWRIGHT_CONFIG": str(house.directory / "client.toml")}

    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        pass_fds=(write,),
    )
    os.close(write)
    out, err = process.communicate(timeout=120)
    with os.fdopen(read) as pipe:
        memory = int(pipe.read() or 0)
    return Ended(process.returncode, out.decode(), err.decode(), memory)


def one_error(ended: Ended, code: int) -> None:
    """Check that a command told of one error, in words, with this exit code."""
    told = ended.out + ended.err
    assert "Traceback" not in told
    assert "internal error" not in told
    assert ended.code == code, told
    assert ended.err.count("error: ") == 1, told


def pe_offset(data: bytes) -> int:
    (offset,) = struct.unpack_from("<I", data, 60)
    return int(offset)


def patched(where: Callable[[int], int], packed: bytes) -> Callable[[bytes], bytes]:
    """Return what writes over a field of the headers; `where` gets the offset of the PE signature."""

    def patch(data: bytes) -> bytes:
        at = where(pe_offset(data))
        return data[:at] + packed + data[at + len(packed) :]

    return patch


HUGE = b"\xff\xff\xff\xff"
BAD: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _data: b"",
    "one byte": lambda data: data[:1],
    "DOS header alone": lambda data: data[:64],
    "cut in the headers": lambda data: data[: pe_offset(data) + 100],
    "no PE signature": patched(lambda pe: pe, b"XX\0\0"),
    "header far away": patched(lambda _pe: 60, HUGE),
    "header at its own place": patched(lambda _pe: 60, b"\0\0\0\0"),
    "gigantic optional header": patched(lambda pe: pe + 20, b"\xff\xff"),
    "tiny optional header": patched(lambda pe: pe + 20, b"\x02\0"),
    "unknown magic": patched(lambda pe: pe + 24, b"\x42\x42"),
    "countless sections": patched(lambda pe: pe + 6, b"\xff\xff"),
    "gigantic headers": patched(lambda pe: pe + 24 + 60, HUGE),
    "certificate table beyond the end": patched(lambda pe: pe + 24 + 112 + 32, HUGE + HUGE),
    "certificate table in the headers": patched(lambda pe: pe + 24 + 112 + 32, struct.pack("<II", 8, 64)),
    "text": lambda _data: b"#!/bin/sh\necho hello\n",
    "zeros": lambda data: bytes(len(data)),
    "an ELF program": lambda data: b"\x7fELF" + data[4:],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    return made


@pytest.mark.parametrize("way", BAD)
def test_what_is_no_program_is_refused_in_words(house: House, folder: Path, tmp_path: Path, way: str) -> None:
    bad, output = folder / "bad.exe", tmp_path / "out.exe"
    data = BAD[way](PROGRAM.read_bytes())
    bad.write_bytes(data)
    signed = run(house, "sign", bad, "--output", output)
    one_error(signed, 1)
    verified = run(house, "verify", bad, "--json")
    assert verified.code == 2, verified.out + verified.err
    (file,) = json.loads(verified.out)["files"]
    assert file["verdict"] == "indeterminate"
    assert file["error"]["detail"]
    assert "Traceback" not in verified.err
    assert bad.read_bytes() == data
    assert not output.exists()
    assert list(folder.iterdir()) == [bad]
    assert 0 < signed.memory < _MOST_MEMORY
    assert 0 < verified.memory < _MOST_MEMORY


@pytest.mark.parametrize("kind", ["missing", "directory", "unreadable"])
def test_what_cannot_be_read_is_named(house: House, folder: Path, kind: str) -> None:
    place = folder / "place.exe"
    if kind == "directory":
        place.mkdir()
    elif kind == "unreadable":
        if os.geteuid() == 0:
            pytest.skip("root reads everything")
        place.write_bytes(PROGRAM.read_bytes())
        place.chmod(0)
    ended = run(house, "sign", place)
    one_error(ended, 1)
    assert str(place) in ended.err
    verified = run(house, "verify", place)
    assert verified.code == 2
    assert "Traceback" not in verified.out + verified.err


def test_a_pipe_is_not_waited_for(house: House, folder: Path) -> None:
    place = folder / "pipe.exe"
    os.mkfifo(place)
    verified = run(house, "verify", place)
    assert verified.code == 2
    assert "Traceback" not in verified.out + verified.err


def test_truncated_and_flipped_programs_never_pass_and_never_break(house: House, folder: Path) -> None:
    """Damage a signed program at many places; verify says failed or cannot read, and never anything else."""
    signed = folder / "signed.exe"
    assert run(house, "sign", PROGRAM, "--output", signed).code == 0
    data = signed.read_bytes()
    chance = random.Random(20)  # noqa: S311 - the same places every time
    damaged: list[Path] = []
    for number in range(60):
        changed = bytearray(data)
        if number % 3 == 0:
            changed = changed[: chance.randrange(1, len(data))]
        else:
            at = chance.randrange(len(PROGRAM.read_bytes()))
            changed[at] ^= 1 << chance.randrange(8)
        if (pe_offset(data) + 88) <= len(changed) and bytes(changed) == data:
            continue
        path = folder / f"{number}.exe"
        path.write_bytes(changed)
        damaged.append(path)
    ended = run(house, "verify", "--json", *damaged)
    assert ended.code == 1, ended.err
    assert "Traceback" not in ended.err
    reports = json.loads(ended.out)["files"]
    assert len(reports) == len(damaged)
    checksum = range(pe_offset(data) + 88, pe_offset(data) + 92)  # the one field that no Authenticode digest covers
    for path, report in zip(damaged, reports, strict=True):
        content = path.read_bytes()
        only_checksum = len(content) == len(data) and all(
            content[i] == data[i] or i in checksum for i in range(len(data))
        )
        assert only_checksum or report["verdict"] != "passed", path
    assert ended.memory < _MOST_MEMORY


def test_bit_flips_in_the_signature_itself_never_break_the_verifier(house: House, folder: Path) -> None:
    signed = folder / "signed.exe"
    assert run(house, "sign", PROGRAM, "--output", signed).code == 0
    data, before = signed.read_bytes(), len(PROGRAM.read_bytes())
    chance = random.Random(21)  # noqa: S311 - the same places every time
    damaged = []
    for number in range(60):
        changed = bytearray(data)
        changed[chance.randrange(before, len(data))] ^= 1 << chance.randrange(8)
        path = folder / f"{number}.exe"
        path.write_bytes(changed)
        damaged.append(path)
    ended = run(house, "verify", "--json", *damaged)
    assert ended.code in {0, 1, 2}
    assert "Traceback" not in ended.err
    assert "internal" not in {report.get("error", {}).get("code") for report in json.loads(ended.out)["files"]}
    assert ended.memory < _MOST_MEMORY


def test_a_gigantic_file_is_signed_in_bounded_memory(house: House, folder: Path) -> None:
    big = folder / "big.exe"
    shutil.copy(PROGRAM, big)
    with big.open("r+b") as file:
        file.truncate(400 << 20)  # an overlay with a hole: no disk is filled, every byte is read
    ended = run(house, "sign", big, "--no-timestamp")
    assert ended.code == 0, ended.err
    assert ended.memory < _MOST_MEMORY
    assert run(house, "verify", big).memory < _MOST_MEMORY


# --- Signed already ------------------------------------------------------------------------------------------


def signatures(house: House, path: Path) -> list[str]:
    ended = run(house, "verify", path, "--json")
    assert ended.code == 0, ended.out + ended.err
    (file,) = json.loads(ended.out)["files"]
    return [signature["verdict"] for signature in file["signatures"]]


def test_a_signed_file_is_not_signed_again_by_accident(house: House, folder: Path) -> None:
    program = Path(shutil.copy(PROGRAM, folder / "a.exe"))
    assert run(house, "sign", program).code == 0
    once = program.read_bytes()
    refused = run(house, "sign", program)
    one_error(refused, 1)
    assert "--append" in refused.err
    assert "--replace" in refused.err
    assert program.read_bytes() == once
    both = run(house, "sign", program, "--append", "--replace")
    assert both.code == 2
    assert program.read_bytes() == once
    assert run(house, "sign", program, "--append").code == 0
    assert signatures(house, program) == ["passed", "passed"]
    assert run(house, "sign", program, "--replace").code == 0
    assert signatures(house, program) == ["passed"]
    assert abs(len(program.read_bytes()) - len(once)) < 64


# --- Many files ----------------------------------------------------------------------------------------------


def test_many_files_are_one_request_and_a_bad_one_fails_alone(house: House, folder: Path) -> None:
    programs = [Path(shutil.copy(PROGRAM, folder / f"{number}.exe")) for number in range(8)]
    bad = folder / "bad.exe"
    bad.write_bytes(b"MZ and no more")
    missing = folder / "missing.exe"
    ended = run(house, "sign", *programs[:4], bad, missing, *programs[4:], "--json")
    assert ended.code == 1
    report = json.loads(ended.out)["files"]
    assert [Path(file["input"]) for file in report] == [*programs[:4], bad, missing, *programs[4:]]
    assert [Path(file["input"]).name for file in report if "error" in file] == ["bad.exe", "missing.exe"]
    assert len({file["request"] for file in report if "request" in file}) == 1
    assert bad.read_bytes() == b"MZ and no more"
    assert not missing.exists()
    verified = run(house, "verify", *programs)
    assert verified.code == 0, verified.out + verified.err


def test_the_input_stays_when_there_is_an_output(house: House, folder: Path) -> None:
    before = sha256(PROGRAM.read_bytes()).hexdigest()
    out = folder / "out"
    out.mkdir()
    copies = [Path(shutil.copy(PROGRAM, folder / f"{number}.exe")) for number in range(2)]
    assert run(house, "sign", *copies, "--output", out).code == 0
    for copy in copies:
        assert sha256(copy.read_bytes()).hexdigest() == before
        assert signatures(house, out / copy.name) == ["passed"]


def test_a_read_only_directory_is_an_error_before_anything_is_lost(house: House, folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    program = Path(shutil.copy(PROGRAM, folder / "a.exe"))
    folder.chmod(0o500)
    try:
        one_error(run(house, "sign", program), 1)
    finally:
        folder.chmod(0o700)
    assert program.read_bytes() == PROGRAM.read_bytes()


@pytest.mark.parametrize("configuration", ["", "server = 5", "nonsense", 'server = "http://localhost"'])
def test_a_bad_configuration_is_named(house: House, folder: Path, configuration: str) -> None:
    config = folder / "client.toml"
    config.write_text(configuration)
    program = Path(shutil.copy(PROGRAM, folder / "a.exe"))
    one_error(run(house, "sign", program, "--config", config), 1)
    assert program.read_bytes() == PROGRAM.read_bytes()


# --- Interrupted ---------------------------------------------------------------------------------------------


def interrupted(house: House, files: Sequence[Path], after: float) -> tuple[int, str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sealwright", "sign", *map(str, files)],
        env={**os.environ, "SEALWRIGHT_CONFIG": str(house.directory / "client.toml")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    return process.returncode, err.decode()


def programs(folder: Path, name: str) -> Iterator[list[Path]]:
    """Make programs to be signed, and remove them afterwards."""
    files = [Path(shutil.copy(PROGRAM, folder / f"{name}-{one}.exe")) for one in range(30)]
    yield files
    for path in files:
        path.unlink()


def test_an_interrupt_leaves_no_half_written_file(house: House, folder: Path) -> None:
    original = PROGRAM.read_bytes()
    codes = []
    began = time.monotonic()
    for files in programs(folder, "whole"):
        assert run(house, "sign", *files).code == 0
    whole = time.monotonic() - began
    for number in range(8):
        for files in programs(folder, str(number)):
            code, err = interrupted(house, files, whole * (number + 2) / 10)
            codes.append(code)
            # Before the interpreter has its handlers the signal ends it by itself; a shell says 130 for both.
            assert code in {0, 130, -signal.SIGINT}, err
            assert "Traceback" not in err
            assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in files)
            changed = [path for path in files if path.read_bytes() != original]
            if changed:
                assert run(house, "verify", *changed).code == 0
    assert 130 in codes
