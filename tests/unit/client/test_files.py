import os
import stat
import sys
from pathlib import Path
from threading import Event

import pytest

from sealwright.client import files
from sealwright.client.files import Replacement
from sealwright.domain.errors import ConfigurationError, NotFoundError

DATA = os.urandom((1 << 20) + 5)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "target"
    path.write_bytes(b"old")
    return path


def alone(target: Path) -> bool:
    return [path.name for path in target.parent.iterdir()] == [target.name]


def publish_copy(source: Path, target: Path) -> None:
    with Replacement(target, 0o600) as output:
        output.begin_copy(source)
        output.end_copy()
        output.publish()


def full(_handle: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_copy_takes_its_target_s_place_with_what_was_changed_in_it(source: Path, target: Path) -> None:
    with Replacement(target, 0o640) as output:
        output.begin_copy(source)
        output.end_copy()
        output.file.seek(1)
        output.file.write(b"changed")
        assert target.read_bytes() == b"old"
        output.publish()
    assert target.read_bytes() == DATA[:1] + b"changed" + DATA[8:]
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert alone(target)
    assert source.read_bytes() == DATA


def test_what_was_not_published_is_removed(source: Path, target: Path) -> None:
    with Replacement(target, 0o600) as output:
        output.begin_copy(source)
    assert target.read_bytes() == b"old"
    assert alone(target)
    with pytest.raises(ValueError, match="closed"):
        output.publish()
    output.__exit__(None, None, None)  # the end may come twice


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupt_stops_the_copy_and_leaves_nothing(
    error: type[BaseException], source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = Event(), Event()

    def slow(_source: object, _output: object) -> bool:
        begun.set()
        return not go_on.wait(10)

    monkeypatch.setattr(files, "_clone", slow)

    def write() -> None:
        with Replacement(target, 0o600) as output:
            output.begin_copy(source)
            begun.wait(10)
            output._interrupted.set()  # as the end of the block does, before it waits
            go_on.set()
            output.end_copy()
            assert output.file.seek(0, 2) == 0
            raise error

    with pytest.raises(error):
        write()
    assert alone(target)


def test_a_disk_that_fills_up_while_a_file_is_copied_is_told(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Replacement(target, 0o600) as output, monkeypatch.context() as patch:
        read_only = source.open("rb")
        output.file.close()
        output.file = read_only
        patch.setattr(files, "_clone", lambda _source, _output: False)
        output.begin_copy(source)
        with pytest.raises(ConfigurationError, match="write"):
            output.end_copy()
    assert alone(target)
    assert target.read_bytes() == b"old"


def test_a_source_that_is_gone_is_told(target: Path) -> None:
    with pytest.raises(NotFoundError), Replacement(target, 0o600) as output:
        output.begin_copy(target.parent / "missing")
    assert alone(target)


def test_a_folder_that_is_not_there_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        Replacement(tmp_path / "nowhere" / "file", 0o600)


def test_a_sync_that_fails_at_the_end_is_told(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        publish_copy(source, target)
    assert target.read_bytes() == b"old"
    assert alone(target)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shares blocks so")
def test_where_the_file_system_can_share_blocks_nothing_is_copied(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def share(handle: int, request: int, _other: int) -> int:
        asked.append(request)
        return os.write(handle, b"shared")

    monkeypatch.setattr("fcntl.ioctl", share)
    publish_copy(source, target)
    assert asked == [0x40049409]
    assert target.read_bytes() == b"shared"


def test_elsewhere_it_is_copied(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    publish_copy(source, target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(("platform", "cores", "two"), [("win32", 2, True), ("win32", 1, False)])
def test_two_threads_are_used_where_there_are_two_cores(
    platform: str, cores: int, monkeypatch: pytest.MonkeyPatch, *, two: bool
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    with files.two_threads(files.LARGE) as together:
        assert (together is not None) == two
    with files.two_threads(files.LARGE - 1) as together:
        assert together is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.exe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError, match="no regular file"):
        files.open_input(pipe)
