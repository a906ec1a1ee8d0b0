"""The one error tree."""

import re
from collections.abc import Iterator

import pytest

from sealwright.domain import errors
from sealwright.domain.errors import Kind, SealwrightError, error_of, errors_by_code


def tree(top: type[SealwrightError] = SealwrightError) -> Iterator[type[SealwrightError]]:
    yield top
    for below in top.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below)


ALL = sorted(tree(), key=lambda error: error.__name__)


@pytest.mark.parametrize("error", ALL)
def test_an_error_without_words_says_what_its_class_means(error: type[SealwrightError]) -> None:
    raised = error()
    assert raised.detail == str(raised) == (error.__doc__ or "").split("\n", maxsplit=1)[0]
    assert raised.detail.endswith(".")


@pytest.mark.parametrize("error", ALL)
def test_an_error_keeps_what_it_was_given(error: type[SealwrightError]) -> None:
    raised = error("the file is too short", hint="fetch it again", retry_after=3)
    assert (raised.detail, raised.hint, raised.retry_after) == ("the file is too short", "fetch it again", 3)
    assert str(raised) == "the file is too short"


@pytest.mark.parametrize("error", ALL)
def test_a_code_can_stand_in_the_address_of_a_page(error: type[SealwrightError]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.code)
    assert isinstance(error.kind, Kind)


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in ALL]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", ALL)
def test_an_error_is_the_same_on_the_other_side_of_a_wall(error: type[SealwrightError]) -> None:
    carried = error_of(error.code, "the file is too short", hint="fetch it again", retry_after=3)
    assert type(carried) is error
    assert (carried.detail, carried.hint, carried.retry_after) == ("the file is too short", "fetch it again", 3)


def test_every_error_is_found_by_its_code() -> None:
    assert dict(errors_by_code()) == {error.code: error for error in ALL}


def test_an_unknown_code_from_a_newer_process_is_an_error_of_ours() -> None:
    assert type(error_of("from-the-future", "something new")) is SealwrightError


def test_every_class_of_the_module_is_in_the_tree() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert classes == set(ALL)
