import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key
from msgspec.structs import replace

from sealwright.cli.main import run
from sealwright.domain.actions import CertifyKey, ChangeKeyState, CreateKey, EnrolPrincipal, RevokePrincipal
from sealwright.domain.messages import AuthorisationEnvelope
from sealwright.settings import load_client
from sealwright.structures.authorisation import open_authorisation
from tests.unit.client.fake_service import SUBSCRIBER, WORKLOAD, FakeService, spki

SUBJECT = ["--subject", "CN=Acme", "--subject", "O=Acme", "--subject", "C=NL"]


def test_whoami_shows_principal_and_keys(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    del service
    assert run(["whoami"]) == 0
    out = capsys.readouterr().out
    assert f"principal   {WORKLOAD} (workload)" in out
    assert "dual control is off" in out
    assert "note: Software keys are for development." in out
    assert run(["whoami", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["subscriber"], answer["keys"][0]["name"]) == (SUBSCRIBER, "release")


def test_keys_are_listed(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "list"]) == 0
    assert "release  p-256      persistent  active" in capsys.readouterr().out
    service.keys.clear()
    assert run(["keys", "list"]) == 0
    assert "none" in capsys.readouterr().out
    assert run(["keys", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"keys": []}


def test_a_persistent_key_is_made_certified_and_active(
    service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "create", "nightly", "--algorithm", "p-384", *SUBJECT]) == 0
    created, certified = service.acts
    assert isinstance(created, CreateKey)
    assert (created.subscriber, created.algorithm, created.schemes) == (SUBSCRIBER, "p-384", ["authenticode"])
    assert isinstance(certified, CertifyKey)
    assert certified.chain == list(service.leaves["nightly"].chain)
    assert "active" in capsys.readouterr().out


def test_an_ephemeral_key_gets_a_standing_authorisation(
    service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "create", "once", "--lifetime", "ephemeral", "--subscriber", "acme", "--json", *SUBJECT]) == 0
    assert json.loads(capsys.readouterr().out)["key"]["lifetime"] == "ephemeral"
    certified = service.acts[-1]
    assert isinstance(certified, CertifyKey)
    envelope = AuthorisationEnvelope(certified.authorisation, certified.officer, certified.officer_signature)
    standing = open_authorisation(envelope, spki(service.admin_key))
    assert (standing.standing, standing.spki_sha256, standing.profile) == (True, "", "ephemeral-code-signing")
    assert standing.subject == {"CN": "Acme", "O": "Acme", "C": "NL"}


def test_a_key_needs_a_subject(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "create", "x"]) == 1
    assert "[subject]" in capsys.readouterr().err
    assert run(["keys", "create", "x", "--subject", "CN"]) == 2
    assert service.acts == []


def test_a_key_of_unknown_protection_is_not_certified(
    service: FakeService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = service._view
    monkeypatch.setattr(service, "_view", lambda *args, **more: replace(plain(*args, **more), protection=None))
    assert run(["keys", "create", "x", *SUBJECT]) == 1
    assert "how the key 'x' is protected" in capsys.readouterr().err


@pytest.mark.parametrize(("verb", "state"), [("suspend", "suspended"), ("resume", "active"), ("destroy", "destroyed")])
def test_a_key_s_state_is_changed(verb: str, state: str, service: FakeService) -> None:
    assert run(["keys", verb, "release", *(["--yes"] if verb == "destroy" else [])]) == 0
    assert service.acts == [ChangeKeyState(name="release", state=state)]


def test_nothing_is_destroyed_without_a_yes(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _text: "n")
    assert run(["keys", "destroy", "release"]) == 130
    assert service.acts == []


def test_the_policy_is_shown_and_set(service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del service
    rules = tmp_path / "rules.cedar"
    rules.write_text("forbid(principal, action, resource);")
    assert run(["policy", "set", str(rules)]) == 0
    capsys.readouterr()
    assert run(["policy", "show"]) == 0
    assert capsys.readouterr().out == "forbid(principal, action, resource);\n"
    assert run(["policy", "set", str(tmp_path / "none.cedar")]) == 1


def test_a_workload_is_enrolled_with_all_it_needs(service: FakeService, tmp_path: Path) -> None:
    out = tmp_path / "ci"
    assert run(["workloads", "enrol", "ci", "--out", str(out)]) == 0
    (act,) = service.acts
    assert isinstance(act, EnrolPrincipal)
    assert (act.name, act.kind, act.subscriber, act.administrator) == ("ci", "workload", SUBSCRIBER, False)
    moved = out.rename(tmp_path / "elsewhere")
    settings = load_client(moved / "client.toml")
    assert (settings.workload, settings.administrator, settings.administrator_key) == ("ci", "", None)
    assert settings.need_path("workload_key").read_bytes().startswith(b"-----BEGIN PRIVATE KEY")
    assert settings.need_path("roots").parent == moved
    assert run(["workloads", "enrol", "ci", "--out", str(moved)]) == 1


def test_a_workload_that_is_refused_leaves_no_key(service: FakeService, tmp_path: Path) -> None:
    service.log = service.witness  # the request now is meant for a deployment that this is not
    assert run(["workloads", "enrol", "ci", "--out", str(tmp_path / "ci")]) == 1
    assert not (tmp_path / "ci" / "request.key").exists()


def test_a_workload_is_revoked(service: FakeService) -> None:
    assert run(["workloads", "revoke", "ci"]) == 0
    assert service.acts == [RevokePrincipal(name="ci")]


def test_keys_that_sign_no_requests_are_refused(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del service
    file = tmp_path / "request.key"
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    for content, says in (
        (b"no key", "no private key in PEM"),
        (rsa_key(65537, 2048).private_bytes(*pem), "use a P-256 or Ed25519 key"),
    ):
        file.write_bytes(content)
        assert run(["whoami"]) == 1
        assert says in capsys.readouterr().err
    file.unlink()
    assert run(["whoami"]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_a_registration_officer_s_key_is_p_256(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Ed25519PrivateKey.generate()
    monkeypatch.setattr(service, "admin_key", key)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "admin.key").write_bytes(key.private_bytes(*pem))
    assert run(["keys", "create", "x", *SUBJECT]) == 1
    assert "P-256" in capsys.readouterr().err


def test_without_settings_the_hint_says_where_they_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SEALWRIGHT_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run(["whoami"]) == 1
    assert "--config" in capsys.readouterr().err
