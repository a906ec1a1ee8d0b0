from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealwright.authenticators.request_key import RequestKeyAuthenticator
from sealwright.domain.errors import UnauthenticatedError
from sealwright.domain.messages import PrincipalView, ProofOfRequest
from sealwright.structures import http_signatures as hs

NOW = 1_790_000_000
EC_KEY = ec.derive_private_key(7, ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
NOBODY = ec.derive_private_key(1, ec.SECP256R1())


def der(key: hs.PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


PRINCIPALS = {
    "ci": PrincipalView("ci", "workload", "acme", der(EC_KEY)),
    "bot": PrincipalView("bot", "workload", "acme", der(ED_KEY)),
    "broken": PrincipalView("broken", "workload", "acme", b"\x30\x00"),
}


def authenticator(*authorities: str) -> RequestKeyAuthenticator:
    return RequestKeyAuthenticator(
        PRINCIPALS.get, lambda: datetime.fromtimestamp(NOW + 10, UTC), authorities=authorities
    )


def proof(key: hs.PrivateKey, name: str, created: int = NOW) -> ProofOfRequest:
    algorithm, sign = hs.signer(key)
    fields = hs.sign_request("POST", "localhost:8443", "/v1/x", "", b"{}", "k", name, created, sign, algorithm)
    return ProofOfRequest("POST", "localhost:8443", "/v1/x", b"{}", "k", fields["Signature-Input"], fields["Signature"])


@pytest.mark.parametrize(("key", "name"), [(EC_KEY, "ci"), (ED_KEY, "bot")])
def test_the_signer_is_known_again(key: hs.PrivateKey, name: str) -> None:
    assert authenticator("localhost:8443").authenticate(proof(key, name)) is PRINCIPALS[name]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (EC_KEY, "unknown"),
        (NOBODY, "unknown"),
        (ED_KEY, "unknown"),
        (NOBODY, "ci"),
        (ED_KEY, "ci"),
        (EC_KEY, "bot"),
        (EC_KEY, "broken"),
        (NOBODY, "broken"),
        (NOBODY, "bot"),
    ],
)
def test_unknown_names_and_bad_signatures_get_the_same_answer(key: hs.PrivateKey, name: str) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        authenticator().authenticate(proof(key, name))
    assert (caught.value.detail, caught.value.hint) == (hs.BAD_SIGNATURE, "")


@pytest.mark.parametrize("name", ["ci", "unknown"])
def test_an_unknown_name_costs_one_verification_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    verify = hs._verify

    def counted(key: hs.PublicKey, algorithm: str, signature: bytes, data: bytes) -> None:
        calls.append(algorithm)
        verify(key, algorithm, signature, data)

    monkeypatch.setattr(hs, "_verify", counted)
    with pytest.raises(UnauthenticatedError):
        authenticator().authenticate(msgspec.structs.replace(proof(EC_KEY, name), body=b"changed"))
    assert calls == ["ecdsa-p256-sha256"]


def test_a_request_older_than_five_minutes_is_refused() -> None:
    assert authenticator().authenticate(proof(EC_KEY, "ci", NOW - 290)).name == "ci"
    with pytest.raises(UnauthenticatedError, match="301 seconds ago"):
        authenticator().authenticate(proof(EC_KEY, "ci", NOW - 291))


def test_a_request_for_another_service_is_refused() -> None:
    with pytest.raises(UnauthenticatedError, match="another service") as caught:
        authenticator("sign.example.org").authenticate(proof(EC_KEY, "ci"))
    assert "sign.example.org" in caught.value.hint


def test_a_changed_public_key_counts_at_once() -> None:
    principals = dict(PRINCIPALS)
    judge = RequestKeyAuthenticator(principals.get, lambda: datetime.fromtimestamp(NOW, UTC))
    assert judge.authenticate(proof(EC_KEY, "ci")).name == "ci"
    principals["ci"] = PrincipalView("ci", "workload", "acme", der(NOBODY))
    with pytest.raises(UnauthenticatedError):
        judge.authenticate(proof(EC_KEY, "ci"))
