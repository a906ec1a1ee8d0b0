import hashlib
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from sealwright.client import files as client_files
from sealwright.client.receipts import LogKeys
from sealwright.client.service import SigningService
from sealwright.client.sign import Failed, Options, Signed, Signer, Task, Verified, check_against
from sealwright.client.timestamps import HttpAnswer, TimestampClient
from sealwright.client.transport import Identity, Patience, Transport
from sealwright.contracts import Format
from sealwright.domain.errors import (
    AlreadySignedError,
    ConfigurationError,
    ConflictError,
    MalformedError,
    NotFoundError,
    SealwrightError,
    TimestampError,
    UnavailableError,
    UnsupportedError,
    VerificationError,
)
from sealwright.domain.keys import DigestAlgorithm
from sealwright.formats.pe import FORMAT
from sealwright.verification.trust import read_certificates, read_crls, trust_store
from tests.unit.client.fake_service import SERVER, WORKLOAD, FakeService
from tests.unit.formats.test_pe import make_pe

OPTIONS = Options(key="release", idempotency_key="one")


@pytest.fixture(scope="module")
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def signer(service: FakeService) -> Signer:
    return make_signer(service)


def make_signer(service: FakeService, *, timestamp: bool = True) -> Signer:
    service.answers.clear()
    service.requests.clear()
    patience = Patience(seconds=0, sleep=lambda _seconds: None)
    transport = Transport(SERVER, service, Identity(WORKLOAD, *service.workload_signer()), patience=patience)
    crls = [crl for der in service.pki.crls() for crl in read_crls(der)]
    trust = trust_store(read_certificates(service.pki.roots_pem()), crls)

    def clock() -> datetime:
        return datetime.now(UTC)

    stamps = TimestampClient(["http://tsa"], service.timestamp_post, clock, os.urandom, sleep=lambda _seconds: None)
    return Signer(
        SigningService(transport),
        WORKLOAD,
        LogKeys(service.log, service.witness),
        check_against(trust, clock),
        stamps if timestamp else None,
    )


def program(folder: Path, name: str = "program.exe", body: bytes = b"\x90" * 700) -> Path:
    path = folder / name
    path.write_bytes(make_pe(body=body))
    return path


def signed(signer: Signer, source: Path, target: Path | None = None, options: Options = OPTIONS) -> Signed:
    (result,) = signer.sign([Task(source, target or source)], options)
    assert isinstance(result, Signed), result
    return result


def refused(signer: Signer, source: Path, options: Options = OPTIONS) -> SealwrightError:
    before = source.read_bytes() if source.is_file() else None
    (result,) = signer.sign([Task(source, source)], options)
    assert isinstance(result, Failed)
    assert (source.read_bytes() if source.is_file() else None) == before
    assert not list(source.parent.glob(".*"))
    return result.error


def test_a_program_is_signed_timestamped_and_verified_in_place(signer: Signer, tmp_path: Path) -> None:
    source = program(tmp_path)
    source.chmod(0o755)
    result = signed(signer, source)
    assert result.result.verdict == "passed"
    assert result.result.timestamp is not None
    assert result.result.sha256 == hashlib.sha256(source.read_bytes()).hexdigest() != result.input_sha256
    assert stat.S_IMODE(source.stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["program.exe"]


def test_an_output_leaves_the_input_alone(signer: Signer, tmp_path: Path) -> None:
    source = program(tmp_path)
    before = source.read_bytes()
    result = signed(signer, source, tmp_path / "signed.exe")
    assert source.read_bytes() == before
    assert (result.format, result.input_sha256) == ("pe", hashlib.sha256(before).hexdigest())
    with (tmp_path / "signed.exe").open("rb") as file:
        assert len(FORMAT.signatures(file)) == 1


def test_many_files_make_one_request(service: FakeService, signer: Signer, tmp_path: Path) -> None:
    sources = [program(tmp_path, f"{number}.exe", bytes([number]) * 99) for number in range(5)]
    results = signer.sign([Task(source, source) for source in sources], OPTIONS)
    assert all(isinstance(result, Signed) for result in results)
    assert [result.task.source for result in results] == sources
    assert [target for _, target, _, _ in service.requests] == ["/v1/signing-requests"]


def test_more_files_than_a_request_may_carry_make_several(
    service: FakeService, signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sealwright.client.sign.MAX_ARTIFACTS", 2)
    sources = [program(tmp_path, f"{number}.exe", bytes([number]) * 99) for number in range(3)]
    results = signer.sign([Task(source, source) for source in sources], OPTIONS)
    assert all(isinstance(result, Signed) for result in results)
    assert [fields["Idempotency-Key"] for _, _, fields, _ in service.requests] == ["one.1", "one.2"]


def test_a_bad_file_fails_alone(signer: Signer, tmp_path: Path) -> None:
    good, text, missing, broken = (
        program(tmp_path),
        tmp_path / "notes.txt",
        tmp_path / "missing.exe",
        tmp_path / "broken.exe",
    )
    text.write_text("hello")
    broken.write_bytes(make_pe()[:200])
    results = signer.sign([Task(path, path) for path in (text, good, missing, broken, tmp_path)], OPTIONS)
    kinds = [type(result.error) if isinstance(result, Failed) else None for result in results]
    assert kinds == [UnsupportedError, None, NotFoundError, MalformedError, ConfigurationError]


def test_a_signed_file_is_refused_unless_one_says_what_to_do(signer: Signer, tmp_path: Path) -> None:
    source = program(tmp_path)
    signed(signer, source)
    assert isinstance(refused(signer, source), AlreadySignedError)
    replaced = signed(signer, source, options=Options("release", "two", mode="replace"))
    assert replaced.result.verdict == "passed"
    appended = signed(signer, source, options=Options("release", "three", DigestAlgorithm.SHA384, "append"))
    assert appended.result.verdict == "passed"
    with source.open("rb") as file:
        assert [one.nested for one in FORMAT.signatures(file)] == [False, True]


def test_without_timestamps_the_signature_has_none(service: FakeService, tmp_path: Path) -> None:
    result = signed(make_signer(service, timestamp=False), program(tmp_path))
    assert result.result.timestamp is None


def test_the_service_s_refusal_is_every_file_s_error(signer: Signer, tmp_path: Path) -> None:
    error = refused(signer, program(tmp_path), Options(key="unknown", idempotency_key="x"))
    assert isinstance(error, NotFoundError)
    assert error.hint == "`sealwright whoami` lists the keys"


def test_no_timestamp_no_change(signer: Signer, tmp_path: Path) -> None:
    def down(url: str, body: bytes, headers: dict[str, str], limit: int) -> HttpAnswer:
        del url, body, headers, limit
        raise UnavailableError("no answer")

    stamps = TimestampClient(["http://tsa"], down, lambda: datetime.now(UTC), os.urandom, sleep=lambda _seconds: None)
    lonely = Signer(signer.service, signer.principal, signer.log, signer.check, stamps)
    assert isinstance(refused(lonely, program(tmp_path)), TimestampError)


def test_a_result_that_does_not_verify_is_thrown_away(signer: Signer, tmp_path: Path) -> None:
    def never(file: BinaryIO, file_format: Format, signature: bytes) -> Verified:
        del file, file_format, signature
        raise VerificationError("it does not hold")

    doubting = Signer(signer.service, signer.principal, signer.log, never, signer.timestamps)
    assert isinstance(refused(doubting, program(tmp_path)), VerificationError)


def test_a_signature_over_another_digest_does_not_pass(signer: Signer, tmp_path: Path) -> None:
    first, second = program(tmp_path, "a.exe"), program(tmp_path, "b.exe", b"\xcc" * 700)
    wanted = signed(signer, first).response.signatures[0]
    (tmp_path / "forged.exe").touch()
    with second.open("rb") as file, (tmp_path / "forged.exe").open("r+b") as forged:
        FORMAT.attach(file, forged, wanted, "replace")
        with pytest.raises(VerificationError, match="our own verification"):
            signer.check(forged, FORMAT, wanted)
        with pytest.raises(VerificationError, match="not in the file"):
            signer.check(forged, FORMAT, wanted[:-1] + b"\xff")


@pytest.mark.parametrize("moment", ["digesting", "attaching"])
def test_a_file_that_changes_meanwhile_is_not_replaced(signer: Signer, tmp_path: Path, moment: str) -> None:
    source = program(tmp_path)

    def change() -> None:
        with source.open("ab") as file:
            file.write(b"more")
        os.utime(source, (1, 1))

    if moment == "attaching":
        patched = FakeService(before=lambda _method, _path: change())
        (result,) = make_signer(patched).sign([Task(source, source)], OPTIONS)
    else:
        (result,) = signer.sign([Task(source, source)], OPTIONS, lambda _count: change())
    assert isinstance(result, Failed)
    assert isinstance(result.error, ConflictError)
    assert source.read_bytes() == make_pe(body=b"\x90" * 700) + b"more"


def test_large_files_are_hashed_by_two_threads(signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_files, "LARGE", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    heard: list[int] = []
    source = program(tmp_path, body=os.urandom(3 << 20))
    size = source.stat().st_size
    (result,) = signer.sign([Task(source, source)], OPTIONS, heard.append)
    assert isinstance(result, Signed)
    assert sum(heard) == size


@pytest.fixture
def all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_files, "LARGE", 1)


@pytest.mark.usefixtures("all_large")
@pytest.mark.parametrize("count", [1, 2])
def test_large_files_become_what_small_ones_do(signer: Signer, tmp_path: Path, count: int) -> None:
    sources = [program(tmp_path, f"{number}.exe", os.urandom((1 << 20) + number)) for number in range(count)]
    before = [hashlib.sha256(source.read_bytes()).hexdigest() for source in sources]
    for mode in (None, "replace", "append"):
        options = Options("release", f"{count}.{mode}", DigestAlgorithm.SHA256, mode)
        results = signer.sign([Task(source, source) for source in sources], options)
        done = [result for result in results if isinstance(result, Signed)]
        assert [result.result.verdict for result in done] == ["passed"] * count
        assert [result.input_sha256 for result in done] == before
        before = [hashlib.sha256(source.read_bytes()).hexdigest() for source in sources]
        assert [result.result.sha256 for result in done] == before
    assert sorted(tmp_path.iterdir()) == sources


@pytest.mark.usefixtures("all_large")
def test_the_copy_of_a_large_file_is_removed_if_it_is_not_signed(signer: Signer, tmp_path: Path) -> None:
    source = program(tmp_path)
    assert isinstance(refused(signer, source, Options(key="unknown", idempotency_key="x")), NotFoundError)
    assert [path.name for path in tmp_path.iterdir()] == ["program.exe"]

    def interrupt(_count: int) -> None:
        assert len(list(tmp_path.iterdir())) == 2
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        signer.sign([Task(source, source)], OPTIONS, interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["program.exe"]


@pytest.mark.usefixtures("all_large")
def test_a_large_file_that_changes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    source = program(tmp_path)

    def change(_method: str, _path: str) -> None:
        os.utime(source, (1, 1))

    error = refused(make_signer(FakeService(before=change)), source)
    assert isinstance(error, ConflictError)
    assert [path.name for path in tmp_path.iterdir()] == ["program.exe"]


@pytest.mark.usefixtures("all_large")
def test_a_copy_that_is_not_the_file_that_was_digested_is_not_published(
    signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, other = program(tmp_path, "a.exe"), program(tmp_path, "b.exe", b"\x91" * 700)
    begin = client_files.Replacement.begin_copy
    monkeypatch.setattr(client_files.Replacement, "begin_copy", lambda self, _source: begin(self, other))
    assert isinstance(refused(signer, source), VerificationError)


@pytest.mark.usefixtures("all_large")
def test_where_a_large_output_cannot_be_written_nothing_is_asked_for(
    service: FakeService, signer: Signer, tmp_path: Path
) -> None:
    (result,) = signer.sign([Task(program(tmp_path), tmp_path / "nowhere" / "x.exe")], OPTIONS)
    assert isinstance(result, Failed)
    assert isinstance(result.error, ConfigurationError)
    assert service.requests == []


def test_the_same_request_again_is_the_same_request(signer: Signer, tmp_path: Path) -> None:
    source = program(tmp_path)
    first = signed(signer, source, tmp_path / "1.exe")
    second = signed(signer, source, tmp_path / "2.exe")
    assert first.response.id == second.response.id


def test_an_output_that_cannot_be_written_is_an_error_of_the_file(signer: Signer, tmp_path: Path) -> None:
    source = program(tmp_path)
    (result,) = signer.sign([Task(source, tmp_path / "nowhere" / "x.exe")], OPTIONS)
    assert isinstance(result, Failed)
    assert isinstance(result.error, ConfigurationError)


def test_a_link_stays_a_link(signer: Signer, tmp_path: Path) -> None:
    source = program(tmp_path)
    link = tmp_path / "link.exe"
    link.symlink_to(source.name)
    signed(signer, link)
    assert link.is_symlink()
    assert isinstance(refused(signer, source), AlreadySignedError)


@pytest.fixture
def failing_write() -> Callable[[Path], None]:
    def write(target: Path) -> None:
        with client_files.Replacement(target, 0o600) as output:
            output.file.write(b"half")
            raise OSError(28, "No space left on device")

    return write


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path: Path, failing_write: Callable[[Path], None]) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(ConfigurationError, match="No space left"):
        failing_write(target)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
