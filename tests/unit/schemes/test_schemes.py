import pytest

from sealwright import schemes
from sealwright.domain.errors import UnsupportedError


def test_a_scheme_is_found_by_its_name_and_names_its_module() -> None:
    assert "authenticode" in schemes.names()
    assert [schemes.scheme(name).name for name in schemes.names()] == list(schemes.names())


@pytest.mark.parametrize("name", ["", "nonsense", "os", "__init__"])
def test_an_unknown_scheme_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        schemes.scheme(name)
    assert "authenticode" in caught.value.hint
