"""Timestamp tokens a second over HTTP, against the bare RSA-3072 operation on the same core in the same run."""

from collections.abc import Sequence
from secrets import randbits, token_bytes

from benchmarks.cores import BareSignatures, Cores
from benchmarks.deployment import Measured
from benchmarks.load import Outcome, run_load
from benchmarks.results import Row, Section
from sealwright.domain.keys import DigestAlgorithm
from sealwright.structures.tsp import check_token, read_token
from sealwright.structures.tsp_messages import TimestampRequest, build_request, read_response

_CONNECTIONS = 48
_WARM_UP = 192


def measure_timestamps(measured: Measured, cores: Cores, seconds: float) -> Section:
    """Measure `/tsa` with keep-alive connections."""
    bare = BareSignatures(cores, "RSA-3072")
    bare.measure()
    warm = _run(measured, _WARM_UP)
    outcome = _run(measured, int(warm.rate * seconds))
    bare.measure()
    details = {"p50 ms": outcome.percentile(0.5), "p99 ms": outcome.percentile(0.99)}
    rows = [
        Row(bare.name, bare.rate, "signatures/s"),
        Row("tokens", outcome.rate, "tokens/s", outcome.rate / bare.rate, bare.name, "0.85", details),
    ]
    return Section(f"Timestamps over HTTP, {_CONNECTIONS} connections, server on one core", rows)


def _run(measured: Measured, count: int) -> Outcome:
    algorithm = DigestAlgorithm.SHA256
    asked = [TimestampRequest(algorithm, token_bytes(32), nonce=randbits(63), certificates=True) for _ in range(count)]
    outcome = run_load(measured.timestamps, list(_messages(measured, asked)), _CONNECTIONS)
    for number, answer in outcome.samples:
        response = read_response(answer)
        if response.token is None:
            raise SystemExit(f"the timestamp authority refused: {response.reason()}")
        check_token(read_token(response.token), asked[number].imprint, algorithm, asked[number].nonce)
    return outcome


def _messages(measured: Measured, asked: Sequence[TimestampRequest]) -> Sequence[bytes]:
    host = f"{measured.timestamps.host}:{measured.timestamps.port}"
    messages = []
    for request in asked:
        data = build_request(request)
        head = ("POST /tsa HTTP/1.1", f"Host: {host}", "Content-Type: application/timestamp-query")
        messages.append("\r\n".join((*head, f"Content-Length: {len(data)}")).encode() + b"\r\n\r\n" + data)
    return messages
