"""The subject of a certificate: which fields, how long, and that they say something (CSBR 7.1.4.2, RFC 5280)."""

import re
from collections.abc import Mapping
from typing import Final

from sealwright.issuance.profiles import Profile

# Upper bounds of X.520 as RFC 5280, annex A.1, prints them.
_LENGTHS: Final[Mapping[str, int]] = {"CN": 64, "O": 64, "L": 128, "ST": 128, "C": 2}

# ISO 3166-1 alpha-2, and XX for places that have no code (CSBR 7.1.4.2.3).
COUNTRIES: Final = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT
    JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY
    QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XX
    """.split()  # noqa: SIM905 - 250 codes are easier to compare with the standard as text
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]")


def subject_fault(profile: Profile, subject: Mapping[str, str]) -> str:
    """Return what is wrong with a subject under a profile, in one sentence; empty if nothing is."""
    if unknown := sorted(set(subject) - set(_LENGTHS)):
        return f"the subject has fields that this profile does not know: {', '.join(unknown)}"
    if missing := sorted(profile.subject_required - set(subject)):
        return f"the subject lacks {', '.join(missing)}"
    if profile.place_required and not {"L", "ST"} & set(subject):
        return "the subject needs L or ST"
    for field, value in subject.items():
        if fault := _value_fault(field, value):
            return fault
    return ""


def _value_fault(field: str, value: str) -> str:
    if field == "C":
        return "" if value in COUNTRIES else f"C is {value!r}, which is no ISO 3166-1 code in capital letters"
    if not 0 < len(value) <= _LENGTHS[field]:
        return f"{field} must have 1 to {_LENGTHS[field]} characters"
    if value != value.strip() or _CONTROL.search(value):
        return f"{field} begins or ends with a space, or holds control or invisible characters"
    if not any(character.isalnum() for character in value):
        return f"{field} is {value!r}, which says nothing"  # CSBR 7.1.4.2.2: no filler such as dots or dashes
    return ""
