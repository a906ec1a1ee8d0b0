"""Timestamps judged by others: `openssl ts` and rfc3161-client, over a real server on the loopback interface."""

import asyncio
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
import rfc3161_client
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.client.timestamps import TimestampClient, urllib3_post
from sealwright.domain import oids
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.servers.tsa import create_app
from sealwright.servers.web.run import StopRequest, serve_http
from sealwright.structures.tsp import check_token, read_token
from sealwright.structures.tsp_messages import read_request, read_response
from sealwright.timestamping.authority import TimestampAuthority
from tests.unit.timestamping import pki

pytestmark = pytest.mark.foreign

DATA = b"the program that is stamped"


@dataclass(frozen=True)
class Served:
    """A timestamp authority that answers at `url`."""

    url: str
    algorithm: KeyAlgorithm
    recorded: list[int]


class Running:
    """The real HTTP server in a thread of its own."""

    def __init__(self, algorithm: KeyAlgorithm, folder: Path) -> None:
        self.recorded: list[int] = []
        authority = TimestampAuthority(pki.signing_key(algorithm), pki.chain(algorithm), lambda: pki.NOW, os.urandom)
        self._app = create_app(authority, folder, lambda count, _root: self.recorded.append(count))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = StopRequest()
        await serve_http(self._app, self._listener, self._stop, self._ready.set, grace=5)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module", params=[KeyAlgorithm.RSA_3072, KeyAlgorithm.P256], ids=lambda kind: kind.value)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("public")
    (folder / "crl").mkdir()
    (folder / "crl" / "code.crl").write_bytes(b"list")
    with Running(request.param, folder) as running:
        yield Served(running.url, request.param, running.recorded)
    assert sum(running.recorded) > 0


@pytest.fixture(scope="module")
def openssl() -> str:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    return program


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "data").write_bytes(DATA)
    (tmp_path / "root.pem").write_bytes(pki.root().public_bytes(Encoding.PEM))
    (tmp_path / "ca.pem").write_bytes(pki.intermediate().public_bytes(Encoding.PEM))
    return tmp_path


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=60, check=False)
    printed = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, printed
    return printed


def ask(url: str, body: bytes) -> bytes:
    answer = urllib3.request("POST", url, body=body, headers={"Content-Type": "application/timestamp-query"})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/timestamp-reply")
    assert "server" not in answer.headers
    return answer.data


@pytest.mark.parametrize("digest", DigestAlgorithm)
@pytest.mark.parametrize("options", [(), ("-cert",), ("-no_nonce",), ("-cert", "-no_nonce")], ids="".join)
def test_openssl_asks_and_verifies(
    served: Served, openssl: str, files: Path, digest: DigestAlgorithm, options: tuple[str, ...]
) -> None:
    query, reply, leaf = files / "q.tsq", files / "r.tsr", files / "untrusted.pem"
    run(openssl, "ts", "-query", "-data", files / "data", f"-{digest.value}", *options, "-out", query)
    request = read_request(query.read_bytes())
    assert (request.certificates, request.nonce is None) == ("-cert" in options, "-no_nonce" in options)
    reply.write_bytes(ask(served.url + "/tsa", query.read_bytes()))
    certificate = x509.load_der_x509_certificate(pki.chain(served.algorithm)[0])
    own = b"" if "-cert" in options else certificate.public_bytes(Encoding.PEM)
    leaf.write_bytes(own + (files / "ca.pem").read_bytes())
    trust = ("-attime", str(int(pki.NOW.timestamp())), "-CAfile", files / "root.pem", "-untrusted", leaf)
    assert "Verification: OK" in run(openssl, "ts", "-verify", "-in", reply, "-queryfile", query, *trust)
    assert "Verification: OK" in run(openssl, "ts", "-verify", "-in", reply, "-data", files / "data", *trust)
    text = run(openssl, "ts", "-reply", "-in", reply, "-text")
    assert oids.TSA_POLICY_UNPROVEN_CLOCK in text
    assert "Status: Granted" in text


def test_openssl_reads_why_sha1_and_a_policy_are_refused(served: Served, openssl: str, files: Path) -> None:
    for option, words in ((("-sha1",), "unrecognized or unsupported"), (("-sha256", "-tspolicy", "1.2.3"), "policy")):
        query, reply = files / "q.tsq", files / "r.tsr"
        run(openssl, "ts", "-query", "-data", files / "data", *option, "-out", query)
        reply.write_bytes(ask(served.url + "/tsa", query.read_bytes()))
        text = run(openssl, "ts", "-reply", "-in", reply, "-text")
        assert "Status: Rejected" in text
        assert words in text


def test_openssl_sees_a_changed_program(served: Served, openssl: str, files: Path) -> None:
    query, reply = files / "q.tsq", files / "r.tsr"
    run(openssl, "ts", "-query", "-data", files / "data", "-sha256", "-cert", "-out", query)
    reply.write_bytes(ask(served.url + "/tsa", query.read_bytes()))
    (files / "data").write_bytes(DATA + b"!")
    with pytest.raises(AssertionError, match="message imprint mismatch"):
        run(openssl, "ts", "-verify", "-in", reply, "-data", files / "data", "-CAfile", files / "root.pem")


@pytest.mark.parametrize("algorithm", rfc3161_client.HashAlgorithm)
def test_rfc3161_client_asks_and_verifies(served: Served, algorithm: rfc3161_client.HashAlgorithm) -> None:
    request = rfc3161_client.TimestampRequestBuilder().data(DATA).hash_algorithm(algorithm).build()
    response = rfc3161_client.decode_timestamp_response(ask(served.url + "/tsa", request.as_bytes()))
    builder = rfc3161_client.VerifierBuilder.from_request(request)
    builder = builder.add_root_certificate(pki.root()).add_intermediate_certificate(pki.intermediate())
    assert builder.build().verify_message(response, DATA)
    assert response.tst_info.nonce == request.nonce
    with pytest.raises(rfc3161_client.VerificationError):
        builder.build().verify_message(response, DATA + b"!")


def test_our_client_accepts_what_openssl_stamps(openssl: str, files: Path) -> None:
    key = pki.private_key(KeyAlgorithm.RSA_3072)
    certificate = pki.leaf(key.public_key())
    (files / "tsa.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (files / "tsa.key").write_bytes(pki.private_pem(KeyAlgorithm.RSA_3072))
    (files / "serial").write_text("01\n")
    (files / "tsa.cnf").write_text(
        "[tsa]\ndefault_tsa = t\n[t]\n"
        f"serial = {files}/serial\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\n"
        "accuracy = secs:1, millisecs:500, microsecs:100\nordering = yes\ntsa_name = yes\ness_cert_id_chain = yes\n"
    )
    for ess in ("sha1", "sha256"):
        signer = (*("-inkey", files / "tsa.key"), *("-signer", files / "tsa.pem"), *("-chain", files / "ca.pem"))
        run(openssl, "ts", "-query", "-data", files / "data", "-sha256", "-cert", "-out", files / "q.tsq")
        config = (files / "tsa.cnf").read_text().split("ess_cert_id_alg")[0] + f"ess_cert_id_alg = {ess}\n"
        (files / "tsa.cnf").write_text(config)
        reply = ("-queryfile", files / "q.tsq", *signer, "-out", files / "r.tsr")
        run(openssl, "ts", "-reply", "-config", files / "tsa.cnf", *reply)
        token = read_token(read_response((files / "r.tsr").read_bytes()).token or b"")
        nonce = read_request((files / "q.tsq").read_bytes()).nonce
        assert check_token(token, hashlib.sha256(DATA).digest(), DigestAlgorithm.SHA256, nonce) == certificate
        assert (token.policy, token.ordering) == ("1.2.3.4", True)
        assert token.accuracy is not None
        assert token.accuracy.total_seconds() == 1.5001


def test_our_client_gets_many_stamps_over_http_after_a_dead_address(served: Served) -> None:
    digests = [hashlib.sha256(bytes([number])).digest() for number in range(12)]
    urls = ("http://127.0.0.1:9/tsa", served.url + "/tsa")
    client = TimestampClient(urls, urllib3_post(), lambda: pki.NOW, os.urandom, sleep=time.sleep)
    stamps = client.stamp_all(digests, DigestAlgorithm.SHA256)
    assert [stamp.token.imprint for stamp in stamps] == digests
    assert {stamp.url for stamp in stamps} == {urls[1]}


def test_the_crl_stands_beside_the_timestamps(served: Served) -> None:
    answer = urllib3.request("GET", served.url + "/crl/code.crl")
    assert (answer.status, answer.data, answer.headers["Content-Type"]) == (200, b"list", "application/pkix-crl")
    again = urllib3.request("GET", served.url + "/crl/code.crl", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.data) == (304, b"")
    assert urllib3.request("GET", served.url + "/crl/%2e%2e/secret.crl").status == 404
