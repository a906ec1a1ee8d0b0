"""Signing requests a second over TLS, against the bare key operation on the same core in the same run."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_bytes, token_hex

import msgspec

from benchmarks.cores import BareSignatures, Cores
from benchmarks.deployment import EPHEMERAL, P256, RSA, Measured
from benchmarks.load import Outcome, run_load
from benchmarks.results import Row, Section
from sealwright.client.receipts import check_response
from sealwright.client.service import request_bytes
from sealwright.domain.messages import Artifact, SigningRequestBody, SigningResponse
from sealwright.structures.http_signatures import sign_request, signer
from sealwright.structures.signatures import verify_signature
from sealwright.verification.reading import read_signature

_CONNECTIONS = 64
_PATH = "/v1/signing-requests"
_WARM_UP = 256
_LEAST = _CONNECTIONS
_MOST_EPHEMERAL = 1_200  # of the 3,600 certificates an hour that the standing authorisation allows
_ROLES = {"signing": "face", "keyholder": "key holder", "ca": "CA"}
_TARGETS = {
    ("P-256", 1): "3,000 requests/s",
    ("P-256", 100): "0.6",
    ("RSA-3072", 1): "0.7",
    ("RSA-3072", 10): "0.85",
    ("RSA-3072", 100): "0.9",
}


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a workload, and the processor time that each role took for it, in seconds."""

    outcome: Outcome
    processor: dict[str, float]

    @property
    def details(self) -> dict[str, float]:
        """Latencies, the share of the core that the server got, and microseconds of it for each request."""
        outcome = self.outcome
        shares = {"p50 ms": outcome.percentile(0.5), "p99 ms": outcome.percentile(0.99)}
        shares["% of the core"] = 100 * sum(self.processor.values()) / outcome.seconds
        for role, title in _ROLES.items():
            spent = 1e6 * self.processor[role] / len(outcome.latencies)
            if spent >= 1:
                shares[f"{title} us"] = spent
        return shares


class Workload:
    """Requests with one key and a fixed number of digests; prepared and signed before the clock starts."""

    def __init__(self, measured: Measured, key: str, digests: int) -> None:
        self._measured = measured
        self._key = key
        self._digests = digests
        self._target = measured.service

    def run(self, count: int) -> Load:
        """Send `count` new requests and check a sample of the answers."""
        bodies = [self._body() for _ in range(count)]
        requests = list(self._signed(bodies))
        before = self._measured.processor_seconds()
        outcome = run_load(self._target, requests, _CONNECTIONS)
        after = self._measured.processor_seconds()
        for number, answer in outcome.samples:
            self._check(bodies[number], answer)
        return Load(outcome, {role: after[role] - before[role] for role in after})

    def run_for(self, seconds: float, most: int | None = None) -> Load:
        """Find the rate with a short run, then send as many requests as take so many seconds."""
        warm = self.run(max(_LEAST, _WARM_UP // self._digests))
        count = max(_LEAST, int(warm.outcome.rate * seconds))
        return self.run(min(count, most) if most else count)

    def _body(self) -> SigningRequestBody:
        artifacts = [Artifact(token_bytes(32).hex()) for _ in range(self._digests)]
        return SigningRequestBody(self._key, "authenticode", "sha256", artifacts)

    def _signed(self, bodies: list[SigningRequestBody]) -> Iterator[bytes]:
        algorithm, sign = signer(self._measured.workload_key)
        authority, workload = self._measured.authority, self._measured.client.workload
        now = int(time.time())
        for body in bodies:
            data, key = request_bytes(body), token_hex(16)
            fields = sign_request("POST", authority, _PATH, "", data, key, workload, now, sign, algorithm)
            head = [f"POST {_PATH} HTTP/1.1", f"Host: {authority}", "Content-Type: application/json"]
            head += [f"Content-Length: {len(data)}", *(f"{name}: {value}" for name, value in fields.items())]
            yield "\r\n".join(head).encode() + b"\r\n\r\n" + data

    def _check(self, body: SigningRequestBody, answer: bytes) -> None:
        """Check receipt and signatures, so that nothing but right answers is counted."""
        response = msgspec.json.decode(answer, type=SigningResponse)
        check_response(response, body, self._measured.client.workload, self._measured.log_keys)
        for artifact, data in zip(body.artifacts, response.signatures, strict=True):
            signature = read_signature(data)
            if signature.indirect is None or signature.indirect.digest.hex() != artifact.digest:
                raise SystemExit("a signature is for another digest than the one asked for")
            one, certificate = signature.signer, signature.signed_data.certificate_of(signature.signer)
            public_key = certificate.public_key()
            verify_signature(public_key, one.signature_oid, one.digest, one.signature, one.signed_bytes())


def measure_signing(measured: Measured, cores: Cores, seconds: float) -> Section:
    """Measure P-256 and RSA-3072 with 1, 10 and 100 digests a request."""
    rows: list[Row] = []
    for key, algorithm in ((P256, "P-256"), (RSA, "RSA-3072")):
        bare = BareSignatures(cores, algorithm)
        bare.measure()
        loads = []
        for digests in (1, 10, 100):
            loads.append((digests, Workload(measured, key, digests).run_for(seconds)))
            bare.measure()
        rows.append(Row(bare.name, bare.rate, "signatures/s"))
        for digests, load in loads:
            made = load.outcome.rate * digests
            what = f"{algorithm}, {digests} digest{'s' if digests > 1 else ''} a request"
            target = _TARGETS.get((algorithm, digests), "")
            rows.append(Row(what, load.outcome.rate, "requests/s", made / bare.rate, bare.name, target, load.details))
    return Section(f"Signing over TLS, {_CONNECTIONS} connections, server on one core", rows)


def measure_ephemeral(measured: Measured, seconds: float) -> Section:
    """Measure signatures with a key and a certificate of their own."""
    load = Workload(measured, EPHEMERAL, 1).run_for(seconds, _MOST_EPHEMERAL)
    what = "P-256, key and certificate made for each"
    row = Row(what, load.outcome.rate, "signatures/s", None, "", "400/s", load.details)
    return Section("Ephemeral keys over TLS, server on one core", [row])
