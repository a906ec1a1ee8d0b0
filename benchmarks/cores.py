"""Two cores: one for what is measured, one for the load. The bare operations run on the first as well."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from statistics import median

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks.results import Row, Section

_BARE_SECONDS = 0.8
_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Cores:
    """The numbers of the two cores."""

    server: int
    load: int

    @contextlib.contextmanager
    def on_server(self) -> Iterator[None]:
        """Run this thread, and what it starts, on the server's core."""
        os.sched_setaffinity(0, {self.server})
        try:
            yield
        finally:
            os.sched_setaffinity(0, {self.load})

    @contextlib.contextmanager
    def on_both(self) -> Iterator[None]:
        """Let this thread, and what it starts, use both cores: for programs that do two things at once."""
        os.sched_setaffinity(0, {self.server, self.load})
        try:
            yield
        finally:
            os.sched_setaffinity(0, {self.load})


def choose_cores() -> Cores:
    """Take the first two cores that this process may use, and move it to the second."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("these benchmarks need two cores: one for the server, one for the load")
    cores = Cores(allowed[0], allowed[1])
    os.sched_setaffinity(0, {cores.load})
    return cores


class BareSignatures:
    """Signatures a second by `cryptography` alone on the server's core; measured again around each workload."""

    def __init__(self, cores: Cores, algorithm: str) -> None:
        self.name = f"bare {algorithm}"
        self._cores = cores
        self._sign = _signer(algorithm)
        self._samples: list[float] = []

    def measure(self) -> None:
        """Take one sample; the server must be idle."""
        with self._cores.on_server():
            self._samples.append(_rate(self._sign))

    @property
    def rate(self) -> float:
        """The median of the samples, signatures a second."""
        return median(self._samples)


def measure_machine(cores: Cores) -> Section:
    """Tell how much the two cores disturb each other: where they share one, ratios of Python to C code fall."""
    with cores.on_server():
        alone = _rate(_python)
    # The interpreter that keeps the other core busy starts on this thread's own core, the load's.
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with cores.on_server():
            beside = _rate(_python)
    finally:
        busy.kill()
        busy.wait()
    rows = [
        Row("Python alone", alone, "loops/s"),
        Row("Python, other core busy", beside, "loops/s", beside / alone, "Python alone"),
    ]
    return Section("The machine: a loop on the server's core", rows)


def _python() -> None:
    table: dict[int, int] = {}
    for number in range(5_000):
        table[number & 1023] = number


def _signer(algorithm: str) -> Callable[[], object]:
    digest = sha256(b"benchmark").digest()
    if algorithm == "P-256":
        curve_key, scheme = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(Prehashed(SHA256()))
        return lambda: curve_key.sign(digest, scheme)
    rsa_key, filling, hashed = rsa.generate_private_key(65_537, 3072), padding.PKCS1v15(), Prehashed(SHA256())
    return lambda: rsa_key.sign(digest, filling, hashed)


def _rate(sign: Callable[[], object]) -> float:
    sign()
    count, begun = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begun) < _BARE_SECONDS:
        for _ in range(_CHUNK):
            sign()
        count += _CHUNK
    return count / elapsed
