from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.client import verify
from sealwright.domain.errors import ConfigurationError
from sealwright.verification.trust import TrustStore
from sealwright.verification.verdict import Verdict
from tests.unit.verification import workshop as w
from tests.unit.verification.workshop import DAY, NOW, Workshop

FILE = w.program()


@pytest.fixture(scope="module")
def shop() -> Workshop:
    return Workshop()


@pytest.fixture(scope="module")
def files(shop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    signed = w.attach(FILE, shop.stamped(w.sign(FILE, shop.publisher), NOW - DAY))
    (folder / "good.exe").write_bytes(signed)
    (folder / "bad.exe").write_bytes(signed[:1200] + b"\x90" + signed[1201:])
    (folder / "unsigned.exe").write_bytes(FILE)
    (folder / "text.exe").write_bytes(b"hello")
    (folder / "empty.exe").write_bytes(b"")
    (folder / "roots.pem").write_bytes(w.pem(shop.root.certificate, shop.tsa_root.certificate))
    (folder / "root.pem").write_bytes(w.pem(shop.root.certificate))
    crls = shop.crls()
    (folder / "all.pem").write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in crls))
    (folder / "crls").mkdir()
    for number, crl in enumerate(crls):
        (folder / "crls" / f"{number}.crl").write_bytes(crl.public_bytes(Encoding.DER))
    (folder / "crls" / "README").write_text("not a list")
    (folder / "none").mkdir()
    return folder


def verified(files: Path, *names: str, crl: str = "all.pem", trust: str = "roots.pem") -> list[verify.VerifiedPath]:
    return verify.verify_paths([files / name for name in names], [files / trust], [files / crl], None, lambda: NOW)


@pytest.mark.parametrize("crl", ["all.pem", "crls"])
def test_a_signed_file_passes_with_lists_from_a_file_or_a_folder(crl: str, files: Path) -> None:
    (one,) = verified(files, "good.exe", crl=crl)
    assert one.outcome is Verdict.PASSED
    assert one.as_json()["path"] == str(files / "good.exe")


def test_a_bad_file_does_not_stop_the_others(files: Path) -> None:
    found = verified(files, "empty.exe", "text.exe", "nowhere.exe", "none", "good.exe", "bad.exe", "unsigned.exe")
    assert [one.outcome.value for one in found] == ["indeterminate"] * 4 + ["passed", "failed", "failed"]
    codes = [one.as_json().get("error", {}).get("code") for one in found]
    assert codes == ["malformed", "malformed", "not-found", "malformed", None, None, "no-signature"]
    assert {"path", "format", "sha256", "verdict", "signatures", "error"} == found[0].as_json().keys()


def test_a_file_that_cannot_be_opened_is_unreadable(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    one = verify.verify_path(files / "good.exe", TrustStore(), None, NOW)
    assert one.as_json()["error"]["detail"].endswith("cannot be read: Permission denied")
    assert verify.show_path(files / "good.exe")["error"]["code"] == "malformed"


def test_the_exit_code_is_that_of_the_worst_file(files: Path) -> None:
    good, text, bad = verified(files, "good.exe", "text.exe", "bad.exe")
    assert verify.exit_code([]) == 0
    assert verify.exit_code([good]) == 0
    assert verify.exit_code([good, text]) == 2
    assert verify.exit_code([good, text, bad]) == 1
    (unknown,) = verified(files, "good.exe", trust="root.pem")
    assert verify.exit_code([unknown]) == 2


@pytest.mark.parametrize("name", ["text.exe", "nowhere", "none"])
def test_roots_and_lists_that_cannot_be_read_are_named(name: str, files: Path) -> None:
    with pytest.raises(ConfigurationError, match=name):
        verified(files, "good.exe", trust=name)
    with pytest.raises(ConfigurationError, match=name):
        verified(files, "good.exe", crl=name)


def test_a_file_of_roots_without_end_is_refused(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_MAX_TRUST", 10)
    with pytest.raises(ConfigurationError, match="larger than"):
        verified(files, "good.exe")


def test_show_says_what_the_signatures_say_and_judges_nothing(shop: Workshop, files: Path) -> None:
    shown = verify.show_path(files / "bad.exe")
    (signature,) = shown["signatures"]
    assert signature["certificate"]["subject"] == "CN=Publisher"
    assert {one["subject"] for one in signature["certificates"]} == {"CN=Publisher", "CN=CA"}
    assert signature["digest"] == w.file_digest(FILE).hex()
    assert signature["timestamps"][0]["authority"] == shop.tsa.certificate.subject.rfc4514_string()
    assert signature["key_protection"]["model"] == "signing-service"
    assert verify.show_path(files / "unsigned.exe")["signatures"] == []
    assert verify.show_path(files / "text.exe")["error"]["code"] == "malformed"


def test_show_goes_on_where_a_part_cannot_be_read(shop: Workshop, tmp_path: Path) -> None:
    path = tmp_path / "odd.exe"
    signature = w.stamp(w.sign(FILE, shop.publisher), b"\x30\x00")
    path.write_bytes(w.attach(FILE, signature))
    assert "error" in verify.show_path(path)["signatures"][0]["timestamps"][0]
    content = b"\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x04"
    path.write_bytes(w.attach(FILE, signature).replace(content, content[:-1] + b"\x05"))
    assert verify.show_path(path)["signatures"][0]["error"]["code"] == "malformed"
