"""The client's timestamps: what is accepted, when the next authority is asked, and what the errors tell."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from sealwright.client.timestamps import (
    HttpAnswer,
    HttpPost,
    TimestampClient,
    certificate_policies,
    urllib3_post,
)
from sealwright.domain import oids
from sealwright.domain.errors import (
    ConfigurationError,
    DigestLengthError,
    MalformedError,
    TimestampError,
    UnavailableError,
)
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.structures.cms import load_certificate
from sealwright.structures.tsp_messages import (
    MAX_RESPONSE,
    FailureInfo,
    TimestampRequest,
    build_rejection,
    build_request,
    read_request,
)
from sealwright.timestamping.authority import TimestampAuthority
from tests.unit.timestamping import pki

P256 = KeyAlgorithm.P256
SHA256 = DigestAlgorithm.SHA256
DIGEST = bytes(range(32))
REPLY = "application/timestamp-reply"
A, B = "http://a.test/tsa", "https://b.test/tsa"
Behaviour = Callable[[bytes], HttpAnswer]


def audited() -> TimestampAuthority:
    leaf = pki.leaf(pki.private_key(P256).public_key(), policy=oids.CABF_TIMESTAMP)
    return TimestampAuthority(pki.signing_key(P256), pki.der(leaf), lambda: pki.NOW, os.urandom)


AUDITED = audited()
PLAIN = TimestampAuthority(
    pki.signing_key(P256), pki.chain(P256), lambda: pki.NOW, os.urandom, policies=("1.2.3", "1.2.4")
)


def good(body: bytes) -> HttpAnswer:
    return HttpAnswer(200, REPLY, AUDITED.answer(body).response)


def plain(body: bytes) -> HttpAnswer:
    return HttpAnswer(200, REPLY + "; charset=binary", PLAIN.answer(body).response)


def silent(body: bytes) -> HttpAnswer:
    raise UnavailableError(f"no answer to {len(body)} bytes" if not body else "connection refused")


def status(code: int) -> Behaviour:
    return lambda body: HttpAnswer(code, "text/plain", body[:0])


def refusing(body: bytes) -> HttpAnswer:
    return HttpAnswer(200, REPLY, build_rejection(FailureInfo.UNACCEPTED_POLICY, f"not {read_request(body).policy}"))


def other_nonce(body: bytes) -> HttpAnswer:
    asked = read_request(body)
    return good(build_request(TimestampRequest(asked.algorithm, asked.imprint, nonce=1, certificates=True)))


def other_digest(body: bytes) -> HttpAnswer:
    asked = read_request(body)
    return good(build_request(TimestampRequest(asked.algorithm, bytes(32), nonce=asked.nonce, certificates=True)))


def no_certificate(body: bytes) -> HttpAnswer:
    asked = read_request(body)
    return good(build_request(TimestampRequest(asked.algorithm, asked.imprint, nonce=asked.nonce)))


class Net:
    """Stands for the network: each address behaves as told, the last behaviour again and again."""

    def __init__(self, **behaviours: list[Behaviour]) -> None:
        self._behaviours = {{"a": A, "b": B}[key]: list(value) for key, value in behaviours.items()}
        self.asked: list[str] = []

    def __call__(self, url: str, body: bytes, headers: dict[str, str], limit: int) -> HttpAnswer:
        assert headers == {"Content-Type": "application/timestamp-query", "Accept": REPLY}
        assert limit == MAX_RESPONSE
        self.asked.append(url)
        left = self._behaviours[url]
        return (left.pop(0) if len(left) > 1 else left[0])(body)


def client(
    http: HttpPost,
    *urls: str,
    pauses: list[float] | None = None,
    late: timedelta = timedelta(),
    policy: str | None = None,
    threads: int = 4,
) -> TimestampClient:
    waited: list[float] = [] if pauses is None else pauses
    return TimestampClient(
        urls or (A,), http, lambda: pki.NOW + late, os.urandom, sleep=waited.append, policy=policy, threads=threads
    )


def test_a_timestamp_is_asked_for_with_nonce_and_certificate_and_comes_back_checked() -> None:
    bodies: list[bytes] = []

    def noting(body: bytes) -> HttpAnswer:
        bodies.append(body)
        return good(body)

    stamp = client(Net(a=[noting])).stamp(DIGEST, SHA256)
    request = read_request(bodies[0])
    assert request.certificates
    assert request.nonce is not None
    assert 2**62 <= request.nonce < 2**63
    assert (request.policy, request.imprint) == (None, DIGEST)
    assert (stamp.url, stamp.warnings, stamp.token.imprint) == (A, (), DIGEST)
    assert certificate_policies(stamp.certificate) == (oids.CABF_TIMESTAMP,)


def test_an_authority_without_the_reserved_policy_or_with_another_time_is_warned_of() -> None:
    stamp = client(Net(a=[plain]), late=timedelta(hours=1)).stamp(DIGEST, SHA256)
    first, second = stamp.warnings
    assert oids.CABF_TIMESTAMP in first
    assert "3600 seconds" in second or "3601 seconds" in second


def test_the_asked_policy_must_come_back() -> None:
    assert client(Net(a=[plain]), policy="1.2.4").stamp(DIGEST, SHA256).token.policy == "1.2.4"

    def ignoring(body: bytes) -> HttpAnswer:
        asked = read_request(body)
        return plain(
            build_request(TimestampRequest(asked.algorithm, asked.imprint, nonce=asked.nonce, certificates=True))
        )

    with pytest.raises(TimestampError, match=r"under the policy 1\.2\.3, not 1\.2\.4"):
        client(Net(a=[ignoring]), policy="1.2.4").stamp(DIGEST, SHA256)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (silent, "connection refused"),
        (status(503), "HTTP status 503"),
        (status(404), "HTTP status 404"),
        (status(302), "HTTP status 302"),
        (lambda _: HttpAnswer(200, "text/html", b"<html>"), "of type text/html"),
        (lambda _: HttpAnswer(200, "", b""), "of type unknown"),
        (lambda _: HttpAnswer(200, REPLY, b"junk"), "a.test"),
        (refusing, "refused: status 2: unaccepted policy: not None"),
        (other_nonce, "nonce"),
        (other_digest, "another digest"),
        (no_certificate, "no certificate"),
    ],
)
def test_the_next_authority_is_asked_when_one_gives_nothing_valid(behaviour: Behaviour, words: str) -> None:
    net = Net(a=[behaviour], b=[good])
    assert client(net, A, B).stamp(DIGEST, SHA256).url == B
    assert net.asked == [A, B]
    with pytest.raises(TimestampError, match=words) as caught:
        client(Net(a=[behaviour]), A).stamp(DIGEST, SHA256)
    assert caught.value.hint


def test_an_authority_that_is_away_is_asked_again_after_growing_pauses() -> None:
    pauses: list[float] = []
    net = Net(a=[silent, status(500), good])
    assert client(net, pauses=pauses).stamp(DIGEST, SHA256).url == A
    assert len(net.asked) == 3
    first, second = pauses
    assert 0.25 <= first <= 0.5 <= second <= 1.0


def test_an_authority_that_will_not_is_not_asked_again() -> None:
    pauses: list[float] = []
    net = Net(a=[status(404)], b=[silent])
    with pytest.raises(TimestampError) as caught:
        client(net, A, B, pauses=pauses).stamp(DIGEST, SHA256)
    assert net.asked == [A, B, B, B]
    assert caught.value.detail.count("connection refused") == 3
    assert f"{A}: HTTP status 404" in caught.value.detail
    net = Net(a=[status(404)], b=[refusing])
    pauses.clear()
    with pytest.raises(TimestampError):
        client(net, A, B, pauses=pauses).stamp(DIGEST, SHA256)
    assert (net.asked, pauses) == ([A, B], [])


def test_the_authority_that_answered_last_is_asked_first() -> None:
    net = Net(a=[silent], b=[good])
    stamper = client(net, A, B)
    stamper.stamp(DIGEST, SHA256)
    stamper.stamp(DIGEST, SHA256)
    assert net.asked == [A, B, B]


@pytest.mark.parametrize("threads", [1, 4])
def test_many_digests_come_back_in_their_order(threads: int) -> None:
    digests = [bytes([number] * 32) for number in range(20)]
    stamps = client(Net(a=[good]), threads=threads).stamp_all(digests, SHA256)
    assert [stamp.token.imprint for stamp in stamps] == digests
    assert client(Net(a=[good])).stamp_all([], SHA256) == []


def test_one_digest_without_a_timestamp_ends_it_all() -> None:
    with pytest.raises(TimestampError):
        client(Net(a=[status(404)])).stamp_all([DIGEST, bytes(32)], SHA256)


def test_what_cannot_work_is_said_before_anything_is_sent() -> None:
    net = Net(a=[good])
    with pytest.raises(ConfigurationError, match="ftp"):
        client(net, "ftp://a.test")
    with pytest.raises(ConfigurationError, match="no timestamp authority"):
        TimestampClient((), net, lambda: pki.NOW, os.urandom, sleep=lambda _: None)
    with pytest.raises(DigestLengthError):
        client(net).stamp(b"short", SHA256)
    assert net.asked == []


def test_a_certificate_without_policies_has_none() -> None:
    assert certificate_policies(load_certificate(pki.chain(P256)[0])) == ()


class Handler(BaseHTTPRequestHandler):
    """A small HTTP server that behaves by the path."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.seen.append(self.rfile.read(int(self.headers["Content-Length"])))
        body = bytes(100_000) if self.path == "/long" else b"answer"
        self.send_response(302 if self.path == "/moved" else 200)
        if self.path == "/moved":
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Type", REPLY)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\nans\r\n3\r\nwer\r\n0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body) + (10 if self.path in {"/slow", "/drip"} else 0)))
        self.end_headers()
        for start in range(0, len(body), 50_000):
            self.wfile.write(body[start : start + 50_000])
        for piece in {"/slow": (0.3,), "/drip": (0.05,) * 10}.get(self.path, ()):
            threading.Event().wait(piece)
            with contextlib.suppress(OSError):  # the client has given up, as it should
                self.wfile.write(b".")
        self.close_connection = self.path in {"/slow", "/drip"}

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: clients of these tests hang up on purpose."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with QuietServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/plain", "/chunked"])
def test_a_post_over_http_brings_the_answer(server: str, path: str) -> None:
    post = urllib3_post()
    answer = post(server + path, b"question", {"Content-Type": "text/x-question"}, 100)
    assert answer == HttpAnswer(200, REPLY, b"answer")
    assert Handler.seen[-1] == b"question"


def test_redirects_are_not_followed(server: str) -> None:
    assert urllib3_post()(server + "/moved", b"", {}, 100).status == 302


def test_an_answer_beyond_the_limit_is_malformed(server: str) -> None:
    with pytest.raises(MalformedError, match="longer than 1000 bytes"):
        urllib3_post()(server + "/long", b"", {}, 1000)


def test_an_answer_that_dawdles_is_given_up(server: str) -> None:
    with pytest.raises(UnavailableError, match=r"^Read timed out"):
        urllib3_post(total_timeout=0.1)(server + "/slow", b"", {}, 1000)
    # Each piece arrives in time for the socket, the whole does not.
    with pytest.raises(UnavailableError, match="in time"):
        urllib3_post(total_timeout=0.2)(server + "/drip", b"", {}, 1000)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError) as caught:
            urllib3_post(connect_timeout=1)(f"http://127.0.0.1:{port}/", b"", {}, 100)
    assert "refused" in caught.value.detail
    assert "object at" not in caught.value.detail


def test_an_address_that_is_none_is_a_matter_of_configuration() -> None:
    with pytest.raises(ConfigurationError):
        urllib3_post()("http://", b"", {}, 100)
