import json
from pathlib import Path

import msgspec
import pytest

from sealwright.cli.main import run
from sealwright.cli.use import sign
from sealwright.cli.use.receipt_files import StoredReceipts
from sealwright.domain.messages import SigningRequestBody
from tests.unit.client.fake_service import FakeService
from tests.unit.formats.test_pe import make_pe


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "in"
    folder.mkdir()
    found = [folder / "a.exe", folder / "b.dll"]
    for number, file in enumerate(found):
        file.write_bytes(make_pe(body=bytes([number]) * 333))
    return found


def test_files_are_signed_in_place(service: FakeService, files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sign", *map(str, files), "--program-name", "Tool"]) == 0
    out = capsys.readouterr().out
    assert out.count("verdict    passed") == 2
    assert "ledger     entry 1 of localhost/log, proof checked" in out
    request = msgspec.json.decode(service.requests[-1][3], type=SigningRequestBody)
    assert request.parameters == {"program_name": "Tool"}
    assert [artifact.name for artifact in request.artifacts] == ["a.exe", "b.dll"]


def test_json_tells_everything_about_each_file(
    service: FakeService, files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del service
    bad = tmp_path / "bad.exe"
    bad.write_bytes(b"MZ")
    (tmp_path / "out").mkdir()
    arguments = [*map(str, files), str(bad), "--output", str(tmp_path / "out"), "--key", "release", "--json"]
    assert run(["sign", *arguments]) == 1
    first, _, failed = json.loads(capsys.readouterr().out)["files"]
    assert first["output"] == str(tmp_path / "out" / "a.exe")
    assert (first["verdict"], first["ledger_index"], first["format"]) == ("passed", 1, "pe")
    assert failed["output"] is None
    assert failed["error"]["code"] == "malformed"
    assert not (tmp_path / "out" / "bad.exe").exists()


def test_a_refusal_is_told_for_each_file_and_nothing_changes(
    service: FakeService, files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    del service
    before = [file.read_bytes() for file in files]
    assert run(["sign", *map(str, files), "--key", "missing"]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("there is no key 'missing'") == 2
    assert [file.read_bytes() for file in files] == before


def test_receipts_are_written(service: FakeService, files: list[Path], tmp_path: Path) -> None:
    one, many = tmp_path / "all.json", tmp_path / "receipts"
    arguments = ["--receipt", str(one), "--receipts", str(many), "--idempotency-key", "job-7", "--no-timestamp"]
    assert run(["sign", *map(str, files), *arguments]) == 0
    stored = msgspec.json.decode(one.read_bytes(), type=StoredReceipts).receipts
    assert [receipt.files for receipt in stored] == [[str(file) for file in files]]
    assert stored[0].request == service.requests[-1][3]
    assert service.requests[-1][2]["Idempotency-Key"] == "job-7"
    assert sorted(path.name for path in many.iterdir()) == ["a.exe.receipt.json", "b.dll.receipt.json"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.exe", "--append", "--replace"],
        ["a.exe", "--in-place", "--output", "b.exe"],
        ["a.exe", "b.exe", "--output", "missing-folder"],
        ["a.exe", "a.exe"],
        ["a.exe", "--digest", "sha1"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert run(["sign", *arguments]) == 2


def test_one_output_may_be_a_new_name_or_a_folder(tmp_path: Path) -> None:
    (task,) = sign.targets([Path("a.exe")], tmp_path / "new.exe")
    assert task.target == tmp_path / "new.exe"
    (task,) = sign.targets([Path("in/a.exe")], tmp_path)
    assert task.target == tmp_path / "a.exe"


def test_without_a_timestamp_authority_one_must_say_so(
    service: FakeService, files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del service
    settings = tmp_path / "client.toml"
    settings.write_text(settings.read_text().replace("tsa = ['http://localhost:1/tsa']", ""))
    assert run(["sign", str(files[0])]) == 1
    assert "--no-timestamp" in capsys.readouterr().err


def test_a_bar_is_shown_for_large_files_on_a_terminal(
    service: FakeService, files: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del service
    monkeypatch.setattr(sign, "_PROGRESS_FROM", 1)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert run(["sign", str(files[0])]) == 0
    assert "reading" in capsys.readouterr().err
