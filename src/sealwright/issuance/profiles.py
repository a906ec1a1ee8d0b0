"""Certificate profiles as data: what each kind of certificate holds, each field with the rule that says so.

`CSBR` is the CA/Browser Forum's Code Signing Baseline Requirements 3.10. A month counts as the shortest run of
days that the calendar has for it, so that a limit in months is never passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from types import MappingProxyType
from typing import Final

from sealwright.domain import oids
from sealwright.domain.errors import InvalidRequestError
from sealwright.domain.keys import KeyAlgorithm

ANY_POLICY: Final = "2.5.29.32.0"
RESERVED_POLICIES: Final = frozenset({oids.CABF_CODE_SIGNING, oids.CABF_EV_CODE_SIGNING, oids.CABF_TIMESTAMP})
FORBIDDEN_KEY_USAGES: Final = frozenset(
    {
        "2.5.29.37.0",  # anyExtendedKeyUsage (CSBR 7.1.2.2, 7.1.2.3)
        "1.3.6.1.5.5.7.3.1",  # serverAuth (CSBR 7.1.2.2, 7.1.2.3)
        "1.3.6.1.5.5.7.3.4",  # emailProtection: forbidden in a sub CA, so useless in a leaf (CSBR 7.1.2.2)
    }
)

FIFTEEN_MONTHS: Final = timedelta(days=454)
HUNDRED_THIRTY_FIVE_MONTHS: Final = timedelta(days=4106)
_YEAR: Final = timedelta(days=365)

_CURVES: Final = frozenset({KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.P521})
_CA_KEYS: Final = _CURVES | {KeyAlgorithm.RSA_4096}
_LEAF_KEYS: Final = _CA_KEYS | {KeyAlgorithm.RSA_3072}


class Kind(Enum):
    """Where a certificate stands in its chain."""

    ROOT = "root"
    SUB_CA = "sub-ca"
    LEAF = "leaf"


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of certificate. Lengths of validity are whole: from notBefore to the last second of notAfter."""

    name: str
    title: str
    kind: Kind
    # CSBR 6.1.5.1 (CAs: RSA 4096 bits or P-256, P-384, P-521), 6.1.5.2 (leaves: RSA 3072 bits).
    key_algorithms: frozenset[KeyAlgorithm]
    # CSBR 7.1.2.2, 7.1.2.3: code signing or time-stamping, never both; 7.1.2.1: none in a root.
    extended_key_usage: str | None
    # CSBR 7.1.2.3: critical in a timestamp certificate (RFC 3161, section 2.3), preferably not elsewhere.
    extended_key_usage_critical: bool
    # CSBR 7.1.6: policy identifiers; the protection policy id-sw-policy.<model> comes on top where `mark` is set.
    policies: tuple[str, ...]
    # The key-protection mark: our policy identifier and, where `mark_extension` is set, id-sw-keyProtection.
    mark: bool
    mark_extension: bool
    # CSBR 6.3.2 for leaves; none is stated for CAs, these are ours.
    max_validity: timedelta
    default_validity: timedelta
    # How far notBefore lies in the past, for verifiers whose clocks are slow.
    backdate: timedelta
    # CSBR 7.1.4.2: fields that the subject must have; `place_required` asks for L or ST.
    subject_required: frozenset[str]
    place_required: bool
    # Whether a standing authorisation may ask for it: one signed word for many short certificates.
    standing: bool = False

    @property
    def is_ca(self) -> bool:
        """Whether it may sign certificates (basicConstraints, CSBR 7.1.2.1 and 7.1.2.2)."""
        return self.kind is not Kind.LEAF

    @property
    def has_pointers(self) -> bool:
        """Whether it names its CRL and its issuer's certificate, and its issuer's key (CSBR 7.1.2.2, 7.1.2.3)."""
        return self.kind is not Kind.ROOT

    @property
    def reserved(self) -> bool:
        """Whether it carries an identifier that the CA/Browser Forum reserved: for audited authorities only."""
        return not RESERVED_POLICIES.isdisjoint(self.policies)


ROOT: Final = Profile(
    name="root",
    title="root",
    kind=Kind.ROOT,
    key_algorithms=_CA_KEYS,
    extended_key_usage=None,
    extended_key_usage_critical=False,
    policies=(),  # CSBR 7.1.2.1: should be absent
    mark=False,
    mark_extension=False,
    max_validity=25 * _YEAR,
    default_validity=20 * _YEAR,
    backdate=timedelta(0),
    subject_required=frozenset({"CN", "O"}),
    place_required=False,
)
CODE_SIGNING_CA: Final = replace(
    ROOT,
    name="code-signing-ca",
    title="code signing CA",
    kind=Kind.SUB_CA,
    extended_key_usage=oids.EKU_CODE_SIGNING,
    policies=(ANY_POLICY,),  # CSBR 7.1.6.3: allowed because one party runs root and sub CA
    max_validity=10 * _YEAR,
    default_validity=10 * _YEAR,
)
# CSBR 6.2.7.2: a timestamp CA of more than 72 months has its key offline; so the default stays below.
TIMESTAMP_CA: Final = replace(
    CODE_SIGNING_CA,
    name="timestamp-ca",
    title="timestamp CA",
    extended_key_usage=oids.EKU_TIMESTAMPING,
    default_validity=timedelta(days=2190),
)
CODE_SIGNING: Final = Profile(
    name="code-signing",
    title="code signing, by the CSBR",
    kind=Kind.LEAF,
    key_algorithms=_LEAF_KEYS,
    extended_key_usage=oids.EKU_CODE_SIGNING,
    extended_key_usage_critical=False,
    policies=(oids.CABF_CODE_SIGNING,),  # CSBR 7.1.6.4: required since 3.11
    mark=True,
    mark_extension=True,
    max_validity=timedelta(days=460),  # CSBR 6.3.2, since 2026-03-01
    default_validity=timedelta(days=460),
    backdate=timedelta(0),
    subject_required=frozenset({"CN", "O", "C"}),  # CSBR 7.1.4.2.2, 7.1.4.2.3
    place_required=True,  # CSBR 7.1.4.2.3
)
# For software keys and private hierarchies: no reserved identifier, hence outside the CSBR.
PRIVATE_CODE_SIGNING: Final = replace(
    CODE_SIGNING,
    name="private-code-signing",
    title="code signing, private",
    policies=(),
    subject_required=frozenset({"CN"}),
    place_required=False,
)
EPHEMERAL_CODE_SIGNING: Final = replace(
    PRIVATE_CODE_SIGNING,
    name="ephemeral-code-signing",
    title="code signing, one signature, private",
    max_validity=timedelta(hours=1),
    default_validity=timedelta(minutes=10),
    backdate=timedelta(minutes=1),
    standing=True,
)
TIMESTAMP: Final = Profile(
    name="timestamp",
    title="timestamp authority, audited",
    kind=Kind.LEAF,
    key_algorithms=_LEAF_KEYS,
    extended_key_usage=oids.EKU_TIMESTAMPING,
    extended_key_usage_critical=True,
    policies=(oids.CABF_TIMESTAMP,),  # CSBR 7.1.6.1
    mark=False,
    mark_extension=False,
    max_validity=HUNDRED_THIRTY_FIVE_MONTHS,  # CSBR 6.3.2
    default_validity=FIFTEEN_MONTHS,  # CSBR 6.3.2: the key is used for 15 months
    backdate=timedelta(0),
    subject_required=frozenset({"CN", "O", "C"}),
    place_required=False,
)
PRIVATE_TIMESTAMP: Final = replace(
    TIMESTAMP,
    name="private-timestamp",
    title="timestamp authority, private",
    policies=(),
    mark=True,  # a policy identifier must stand there (CSBR 7.1.2.3); the mark's is true of any key
    subject_required=frozenset({"CN"}),
)

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            ROOT,
            CODE_SIGNING_CA,
            TIMESTAMP_CA,
            CODE_SIGNING,
            PRIVATE_CODE_SIGNING,
            EPHEMERAL_CODE_SIGNING,
            TIMESTAMP,
            PRIVATE_TIMESTAMP,
        )
    }
)


def find_profile(name: str) -> Profile:
    """Find a profile by its name, or raise InvalidRequestError."""
    try:
        return PROFILES[name]
    except KeyError:
        raise InvalidRequestError(
            f"there is no certificate profile {name!r}", hint="known profiles: " + ", ".join(PROFILES)
        ) from None
