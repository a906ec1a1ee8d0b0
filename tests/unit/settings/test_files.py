import os
import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from sealwright.domain.errors import ConfigurationError
from sealwright.settings import files
from sealwright.settings.files import (
    TomlValue,
    atomic_write,
    check_address,
    make_private_directory,
    read_toml,
    write_toml,
)

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
)
KEYS = st.text("abc-_09", min_size=1, max_size=5)


class Things(Struct, forbid_unknown_fields=True):
    name: str = ""
    place: Path | None = None


@posix
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_is_written_with_its_mode_and_nothing_stays_beside(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o666)
    atomic_write(path, b"new", mode)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_not_touched_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        atomic_write(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        atomic_write(tmp_path / "no" / "file", b"")


@posix
def test_private_directories_are_made_with_those_above(tmp_path: Path) -> None:
    make_private_directory(tmp_path / "a" / "b")
    make_private_directory(tmp_path / "a" / "b")
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")] == [0o700, 0o700]
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be made"):
        make_private_directory(tmp_path / "file" / "x")


@given(st.dictionaries(KEYS, st.one_of(SCALARS, st.dictionaries(KEYS, SCALARS))))
def test_what_is_written_is_read_again(values: dict[str, TomlValue | dict[str, TomlValue]]) -> None:
    text = files._toml(values, "One\n\nTwo", dict.fromkeys(values, "a\nnote"))
    assert tomllib.loads(text) == values


def test_comments_stand_above_their_keys(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    comments = {"a": "first", "t": "a table", "t.b": "inside"}
    write_toml(path, {"t": {"b": True}, "a": "x"}, header="Head", comments=comments)
    assert path.read_text() == '# Head\n# first\na = "x"\n\n# a table\n[t]\n# inside\nb = true\n'


@pytest.mark.parametrize(("key", "value"), [("a b", ""), ("", ""), ("a", "\ud800")])
def test_what_toml_cannot_hold_is_refused(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(ConfigurationError):
        write_toml(tmp_path / "x.toml", {key: value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "is not TOML"),
        ("name = 1", r"Expected `str`, got `int` - at `\$.name`"),
        ("colour = 1", "unknown field `colour`"),
        ('place = ""', "Expected a path"),
        ('place = "a\\u0000"', "Expected a path"),
        ("place = 1", r"Expected a path - at `\$.place`"),
        ("# " + "x" * 1_048_576, "longer than"),
        ("name = " + "[" * 100_000, "is not TOML"),
    ],
)
def test_a_bad_file_is_named_with_its_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_toml(path, Things, "")
    assert str(path) in caught.value.detail


def test_known_keys_are_listed_for_an_unknown_one(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("colour = 1")
    with pytest.raises(ConfigurationError) as caught:
        read_toml(path, Things, "")
    assert caught.value.hint == "known keys: name, place"


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        read_toml(path, Things, "")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        read_toml(tmp_path / "x.toml", Things, "do this")
    assert caught.value.hint == "do this"


@pytest.mark.parametrize("value", ["https://a", "https://a.example:8443", "https://[::1]:8443/tsa", "http://a"])
def test_addresses_of_services_pass(value: str) -> None:
    check_address(Path("f"), "k", value, ("https", "http"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a",
        "ftp://a",
        "http://a",
        "https://",
        "https://a/",
        "https://a:0",
        "https://a:x",
        "https://u@a",
        "https://a?b",
        "https://a#b",
        "https://a b",
        "https://ä",
        "https://[::1",
        "https://a\n",
    ],
)
def test_other_addresses_are_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address"):
        check_address(Path("f"), "k", value)
