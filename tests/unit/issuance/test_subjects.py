import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.issuance.profiles import CODE_SIGNING, PRIVATE_CODE_SIGNING
from sealwright.issuance.subjects import COUNTRIES, subject_fault
from tests.unit.issuance.world import PUBLISHER


def test_the_list_of_countries_is_whole() -> None:
    assert len(COUNTRIES) == 249 + 1
    assert all(len(code) == 2 and code.isupper() for code in COUNTRIES)


def test_a_full_subject_is_accepted() -> None:
    assert subject_fault(CODE_SIGNING, PUBLISHER) == ""
    assert subject_fault(CODE_SIGNING, {"CN": "n", "O": "n", "C": "XX", "ST": "Noord-Holland"}) == ""
    assert subject_fault(PRIVATE_CODE_SIGNING, {"CN": "7"}) == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"CN": None}, "lacks CN"),
        ({"O": None}, "lacks O"),
        ({"C": None}, "lacks C"),
        ({"L": None}, "needs L or ST"),
        ({"OU": "Research"}, "does not know: OU"),
        ({"C": "nl"}, "ISO 3166-1"),
        ({"C": "UK"}, "ISO 3166-1"),
        ({"C": "NLD"}, "ISO 3166-1"),
        ({"CN": ""}, "1 to 64"),
        ({"CN": "x" * 65}, "1 to 64"),
        ({"L": "x" * 129}, "1 to 128"),
        ({"O": " Jansen"}, "space"),
        ({"O": "Jan\0sen"}, "control"),
        ({"O": "Jan\u202esen"}, "invisible"),
        ({"O": "..."}, "says nothing"),
        ({"L": "-"}, "says nothing"),
    ],
)
def test_a_subject_that_breaks_a_rule_is_named(changes: dict[str, str | None], message: str) -> None:
    subject = {field: value for field, value in {**PUBLISHER, **changes}.items() if value is not None}
    assert message in subject_fault(CODE_SIGNING, subject)


@given(st.dictionaries(st.sampled_from(["CN", "O", "C", "L", "ST", "OU", "DC"]), st.text(max_size=130)))
def test_any_subject_is_judged_without_an_exception(subject: dict[str, str]) -> None:
    assert isinstance(subject_fault(CODE_SIGNING, subject), str)
