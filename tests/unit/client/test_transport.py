import ssl
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from sealwright.client import transport as transport_module
from sealwright.client.service import SigningService
from sealwright.client.transport import (
    PROBLEM,
    Answer,
    HTTPSExchange,
    Identity,
    NoAnswerError,
    Patience,
    Transport,
    problem_of,
)
from sealwright.domain.errors import (
    ConfigurationError,
    DeniedError,
    LogMistrustedError,
    MalformedError,
    SealwrightError,
    UnauthenticatedError,
    UnavailableError,
    WeakDigestError,
)
from tests.unit.client.fake_service import SERVER, WORKLOAD, FakeService


class Time:
    """A clock that moves only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


class Script:
    """An Exchange that gives prepared answers in turn, the last one for ever."""

    def __init__(self, *answers: Answer | SealwrightError) -> None:
        self.answers = list(answers)
        self.seen: list[Mapping[str, str]] = []

    def __call__(self, method: str, target: str, fields: Mapping[str, str], body: bytes) -> Answer:
        del method, target, body
        self.seen.append(fields)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, SealwrightError):
            raise answer
        return answer


OK = Answer(200, {}, b"done")
BUSY = Answer(503, {"retry-after": "3"}, b"")
REFUSED = NoAnswerError("connection refused", sent=False)
BROKEN = NoAnswerError("connection reset", sent=True)


def make(script: Script) -> tuple[Transport, Time]:
    time = Time()
    identity = Identity(WORKLOAD, "ecdsa-p256-sha256", lambda data: data[:1] * 64)
    patience = Patience(30, lambda: time.now, time.sleep)
    # Attempts can follow one another within a second: the clock stands still.
    still = datetime.fromtimestamp(1_800_000_000, UTC)
    return Transport(SERVER, script, identity, clock=lambda: still, patience=patience), time


def test_a_busy_service_is_asked_again_when_it_says_so() -> None:
    script = Script(BUSY, REFUSED, BROKEN, OK)
    transport, time = make(script)
    assert transport.post("/v1/signing-requests", b"{}", "key-1") == b"done"
    assert time.slept == [3.0, 0.5, 1.0]


def test_every_attempt_is_the_same_request_with_a_new_signature() -> None:
    script = Script(BUSY, BUSY, OK)
    transport, _ = make(script)
    transport.post("/v1/signing-requests", b"{}", "key-1")
    assert {fields["Idempotency-Key"] for fields in script.seen} == {"key-1"}
    assert {fields["Content-Digest"] for fields in script.seen} == {script.seen[0]["Content-Digest"]}
    assert len({fields["Signature-Input"] for fields in script.seen}) == 3


@pytest.mark.parametrize("answer", [BUSY, REFUSED, BROKEN])
def test_patience_ends_after_half_a_minute(answer: Answer | SealwrightError) -> None:
    transport, time = make(Script(answer))
    with pytest.raises(UnavailableError):
        transport.get("/v1/whoami")
    assert 20 < time.now <= 30


def test_a_service_that_asks_for_more_patience_than_there_is_gets_none() -> None:
    transport, time = make(Script(Answer(503, {"retry-after": "300"}, b"")))
    with pytest.raises(UnavailableError) as caught:
        transport.get("/v1/whoami")
    assert (caught.value.retry_after, time.slept) == (300, [])


def test_a_refusal_is_not_asked_again() -> None:
    script = Script(Answer(403, {"content-type": PROBLEM}, b'{"code":"denied","detail":"no","hint":"ask"}'))
    transport, _ = make(script)
    with pytest.raises(DeniedError) as caught:
        transport.get("/v1/whoami")
    assert (caught.value.detail, caught.value.hint, len(script.seen)) == ("no", "ask", 1)


def test_an_envelope_that_may_have_arrived_is_not_sent_again() -> None:
    script = Script(REFUSED, BUSY, BROKEN, OK)
    transport, _ = make(script)
    with pytest.raises(NoAnswerError):
        transport.post_envelope("/v1/admin-requests", b"{}")
    assert len(script.seen) == 3
    assert "Signature" not in script.seen[0]


def test_a_signed_request_needs_somebody_who_signs() -> None:
    with pytest.raises(ConfigurationError, match="principal"):
        Transport(SERVER, Script(OK)).get("/v1/whoami")
    assert Transport(SERVER, Script(OK)).get("/log/checkpoint", signed=False) == b"done"


@pytest.mark.parametrize("server", ["http://host", "https://", "https://host/path", "https://host:99999999", "host"])
def test_an_address_that_is_none_is_refused(server: str) -> None:
    with pytest.raises(ConfigurationError, match="https://host:port"):
        Transport(server, Script(OK))


def test_the_service_s_code_becomes_our_error() -> None:
    def kind(status: int, code: str, content_type: str = PROBLEM) -> type[SealwrightError]:
        body = msgspec.json.encode({"code": code})
        return type(problem_of(Answer(status, {"content-type": content_type}, body)))

    assert kind(400, "weak-digest") is WeakDigestError
    assert kind(403, "log-mistrusted") is LogMistrustedError
    assert kind(401, "of-a-later-version") is UnauthenticatedError
    assert kind(418, "") is SealwrightError
    assert kind(503, "internal") is UnavailableError
    assert kind(403, "weak-digest", "text/html") is DeniedError


@given(st.integers(300, 599), st.binary(), st.text(max_size=12))
def test_any_refusal_becomes_an_error_of_ours(status: int, body: bytes, after: str) -> None:
    error = problem_of(Answer(status, {"content-type": PROBLEM, "retry-after": after}, body))
    assert isinstance(error, SealwrightError)
    assert error.detail


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"principal":"x"}', b"\xff"])
def test_an_answer_of_another_shape_is_malformed(body: bytes) -> None:
    transport, _ = make(Script(Answer(200, {}, body)))
    with pytest.raises(MalformedError, match="cannot be read"):
        SigningService(transport).whoami()


def test_the_service_answers_typed_values() -> None:
    fake = FakeService()
    service = SigningService(Transport(SERVER, fake, Identity(WORKLOAD, *fake.workload_signer())))
    assert service.whoami().principal == WORKLOAD
    assert service.keys() == list(fake.keys.values())
    assert service.policy() == fake.policy
    assert service.status().witness == fake.witness.encode()
    assert service.checkpoint().startswith("localhost/log\n")


def test_a_checkpoint_that_is_no_text_is_malformed() -> None:
    transport, _ = make(Script(Answer(200, {}, b"\xff")))
    with pytest.raises(MalformedError):
        SigningService(transport).checkpoint()


# --- Over real TLS ---------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections: set[int]

    def do_GET(self) -> None:
        Handler.connections.add(self.client_address[1])
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.close_connection = True
            return
        status, content = (302, b"") if self.path == "/moved" else (200, b"x" * 100)
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    Handler.connections = set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}", folder / "ca.pem"
        server.shutdown()
        thread.join()


@pytest.fixture
def exchange(tls: tuple[str, Path]) -> Iterator[HTTPSExchange]:
    one = HTTPSExchange(*tls)
    yield one
    one.close()


def test_a_connection_is_kept_and_bodies_travel_unchanged(exchange: HTTPSExchange) -> None:
    Handler.connections.clear()
    assert exchange("GET", "/", {}, b"").body == b"x" * 100
    assert exchange("GET", "/", {}, b"").status == 200
    assert len(Handler.connections) == 1
    assert exchange("POST", "/", {"Content-Type": "application/json"}, b'{"a":1}').body == b'{"a":1}'


def test_redirections_are_not_followed(exchange: HTTPSExchange) -> None:
    assert exchange("GET", "/moved", {}, b"").status == 302


def test_an_answer_cut_off_is_no_answer(exchange: HTTPSExchange) -> None:
    with pytest.raises(NoAnswerError) as caught:
        exchange("GET", "/cut", {}, b"")
    assert caught.value.sent


def test_an_endless_answer_is_not_read(exchange: HTTPSExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "MAX_ANSWER", 10)
    with pytest.raises(MalformedError, match="longer than"):
        exchange("GET", "/", {}, b"")


def test_a_service_that_cannot_prove_itself_gets_nothing(tls: tuple[str, Path]) -> None:
    with pytest.raises(ConfigurationError, match="cannot prove"):
        HTTPSExchange(tls[0], None)("GET", "/", {}, b"")


def test_missing_roots_are_named(tls: tuple[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.pem"):
        HTTPSExchange(tls[0], tmp_path / "nothing.pem")("GET", "/", {}, b"")


def test_a_port_where_nobody_listens_is_no_answer(tls: tuple[str, Path]) -> None:
    with pytest.raises(NoAnswerError) as caught:
        HTTPSExchange("https://127.0.0.1:1", tls[1])("GET", "/", {}, b"")
    assert not caught.value.sent
