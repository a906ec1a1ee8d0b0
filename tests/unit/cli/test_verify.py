import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.cli.main import run
from sealwright.cli.use import printing
from tests.unit.verification import workshop as w
from tests.unit.verification.workshop import DAY, NOW, Workshop

FILE = w.program()
AT = ("--at", "2026-11-23T13:00:00+01:00")


@pytest.fixture(scope="module")
def shop() -> Workshop:
    return Workshop()


@pytest.fixture
def folder(shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with programs and roots, which is also where the commands run; no settings of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEALWRIGHT_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    first = shop.stamped(w.sign(FILE, shop.publisher, parameters={"program_name": "Test"}), NOW - DAY)
    signed = w.attach(FILE, first)
    (tmp_path / "good.exe").write_bytes(signed)
    (tmp_path / "bad.exe").write_bytes(signed[:1200] + b"\x90" + signed[1201:])
    (tmp_path / "twice.exe").write_bytes(w.attach(signed, w.sign(FILE, shop.publisher), "append"))
    (tmp_path / "unsigned.exe").write_bytes(FILE)
    (tmp_path / "roots.pem").write_bytes(w.pem(shop.root.certificate, shop.tsa_root.certificate))
    return tmp_path


def test_a_verdict_in_words_has_every_check_and_the_code_of_the_worst(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", "good.exe", "twice.exe", "--trust", "roots.pem", *AT]) == 0
    printed = capsys.readouterr().out
    assert "good.exe: passed" in printed
    assert "twice.exe: passed" in printed
    assert "signature 2 (nested): passed" in printed
    assert "publisher     CN=Publisher" in printed
    assert "digest matches the file" in printed
    assert "warning: revocation was not checked" in printed
    assert "\x1b" not in printed
    assert run(["verify", "good.exe", "bad.exe", "nowhere.exe", "--trust", "roots.pem", *AT]) == 1
    printed = capsys.readouterr().out
    assert "bad.exe: failed" in printed
    assert "nowhere.exe: unreadable" in printed
    assert run(["verify", str(folder / "unsigned.exe")]) == 1
    assert "no signature" in capsys.readouterr().out


def test_json_is_one_object_with_all_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "good.exe", "nowhere.exe", "--json", *AT]) == 2
    files = json.loads(capsys.readouterr().out)["files"]
    assert [file["verdict"] for file in files] == ["indeterminate", "indeterminate"]
    assert [file["path"] for file in files] == ["good.exe", "nowhere.exe"]
    assert "--trust" in next(one for one in files[0]["signatures"][0]["checks"] if one["code"] == "chain")["hint"]
    assert folder.is_dir()


def test_roots_and_lists_come_from_the_settings_unless_roots_are_named(
    folder: Path, shop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "client.toml").write_text('roots = "roots.pem"\ncrl = "crls"\n')
    (folder / "crls").mkdir()
    for number, crl in enumerate(shop.crls()):
        (folder / "crls" / f"{number}.crl").write_bytes(crl.public_bytes(Encoding.DER))
    assert run(["verify", "good.exe", "--json", "--config", "client.toml", *AT]) in (0, 2)
    checks = json.loads(capsys.readouterr().out)["files"][0]["signatures"][0]["checks"]
    results = {one["code"]: one["result"] for one in checks}
    assert results["chain"] == "passed"
    assert results["revocation"] != "not-applicable"
    assert run(["verify", "good.exe", "--json", "--trust", "roots.pem", *AT]) == 0
    checks = json.loads(capsys.readouterr().out)["files"][0]["signatures"][0]["checks"]
    assert {one["code"]: one["result"] for one in checks}["revocation"] == "not-applicable"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--trust", "nowhere.pem"),
        ("--config", "nowhere.toml"),
        ("--at", "yesterday"),
        ("--at", "2026-11-23T12:00:00"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_used_ends_with_code_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "good.exe", *arguments]) == 2
    assert capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_show_prints_what_is_stated(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "twice.exe"]) == 0
    printed = capsys.readouterr().out
    assert "signature 2 (nested), as stated, not checked:" in printed
    assert "program       Test" in printed
    assert "key kept in   signing-service, persistent key (stated by the signature)" in printed
    assert run(["show", "unsigned.exe", "nowhere.exe"]) == 2
    assert "there is no file nowhere.exe" in capsys.readouterr().out
    assert run(["show", "twice.exe", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["files"][0]["signatures"]) == 2


def test_show_prints_parts_that_cannot_be_read(
    folder: Path, shop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    signature = w.stamp(w.sign(FILE, shop.publisher, parameters={"program_name": "Test"}), b"\x30\x00")
    name = "Test".encode("utf-16-be")
    broken = w.attach(FILE, signature).replace(b"\x80\x08" + name, b"\x87\x08" + name)
    (folder / "odd.exe").write_bytes(broken)
    content = b"\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x04"
    (folder / "other.exe").write_bytes(broken.replace(content, content[:-1] + b"\x05"))
    assert run(["show", "odd.exe", "other.exe"]) == 0
    printed = capsys.readouterr().out
    assert "timestamp     cannot be read" in printed
    assert "    cannot be read: found ASN.1 tag" in printed
    assert "no Authenticode signature" in printed


def test_formats_lists_what_can_be_signed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["formats"]) == 0
    assert "Windows executable" in capsys.readouterr().out
    assert run(["formats", "--json"]) == 0
    formats = json.loads(capsys.readouterr().out)["formats"]
    (entry,) = [one for one in formats if one["name"] == "pe"]
    assert entry["scheme"] == "authenticode"
    assert ".exe" in entry["suffixes"]
    assert entry["actions"] == ["sign", "verify", "show"]


def test_a_text_from_a_signature_cannot_steer_a_terminal() -> None:
    assert printing.harmless("a\x1b[2Jb\u202ec\nd") == "a\ufffd[2Jb\ufffdc\ufffdd"


def test_marks_are_plain_where_the_terminal_cannot_show_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        encoding = "cp437-nowhere"

    assert "✓" in printing.mark("passed")
    Plain.encoding = "ascii"
    monkeypatch.setattr("sys.stdout", Plain())
    assert "ok" in printing.mark("passed")
