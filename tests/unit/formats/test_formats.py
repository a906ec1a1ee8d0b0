import pytest

from sealwright import formats
from sealwright.domain.errors import MalformedError, UnsupportedError

DOS = b"MZ" + bytes(58) + (64).to_bytes(4, "little")


def test_a_format_is_found_by_its_name_and_names_its_module() -> None:
    assert "pe" in formats.names()
    assert [item.name for item in formats.all_formats()] == list(formats.names())
    assert formats.by_name("pe").scheme == "authenticode"


@pytest.mark.parametrize("name", ["", "nonsense", "os", "../pe", "__init__"])
def test_an_unknown_format_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        formats.by_name(name)
    assert "pe" in caught.value.hint


def test_a_file_is_recognised_by_its_content_whatever_its_name() -> None:
    assert formats.recognise(DOS + b"PE\0\0", "letter.txt").name == "pe"


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(MalformedError, match="empty"):
        formats.recognise(b"", "program.exe")


def test_a_file_whose_content_belies_its_name_is_malformed() -> None:
    with pytest.raises(MalformedError, match="named like a Windows executable"):
        formats.recognise(b"hello", "Program.EXE")


def test_a_file_of_no_known_format_is_unsupported() -> None:
    with pytest.raises(UnsupportedError) as caught:
        formats.recognise(b"hello", "letter.txt")
    assert "Windows executable" in caught.value.hint
