"""A new hierarchy: an offline-able root, a code signing CA and a timestamp CA under it (CSBR 6.1.1.1, 7.1.2)."""

from collections.abc import Mapping
from dataclasses import dataclass

from sealwright.contracts import Clock, Randomness, SigningKey
from sealwright.issuance.building import Publication, Wish
from sealwright.issuance.issuer import Issuer
from sealwright.issuance.profiles import CODE_SIGNING_CA, ROOT, TIMESTAMP_CA, Profile
from sealwright.issuance.records import CertificateRecords

ROOT_LABEL = "root"


@dataclass(frozen=True, slots=True)
class HierarchyKeys:
    """The three CA keys, made beforehand in the key stores where they will stay."""

    root: SigningKey
    code_signing: SigningKey
    timestamp: SigningKey


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Three CAs ready to work; each knows its certificate."""

    root: Issuer
    code_signing: Issuer
    timestamp: Issuer


class HierarchyBuilder:
    """Makes CAs that share a clock, a source of randomness, an address and records."""

    def __init__(
        self, base_url: str, records: CertificateRecords, *, clock: Clock, randomness: Randomness, audited: bool = False
    ) -> None:
        self._base_url = base_url
        self._records = records
        self._clock = clock
        self._randomness = randomness
        self._audited = audited

    def issuer(self, key: SigningKey, certificate: bytes | None, label: str) -> Issuer:
        """Return the CA of that label, as made before; its addresses carry the label."""
        return Issuer(
            key,
            certificate,
            Publication(self._base_url, label),
            clock=self._clock,
            randomness=self._randomness,
            audited=self._audited,
        )

    def root(self, key: SigningKey, subject: Mapping[str, str]) -> Issuer:
        """Make a self-signed root. The subject needs CN and O."""
        nascent = self.issuer(key, None, ROOT_LABEL)
        prepared = nascent.prepare(Wish(ROOT, subject, key.public_key))
        [certificate] = nascent.certify([prepared], self._records)
        return self.issuer(key, certificate, ROOT_LABEL)

    def sub_ca(self, root: Issuer, profile: Profile, key: SigningKey, subject: Mapping[str, str], label: str) -> Issuer:
        """Make a sub CA under a root, by CODE_SIGNING_CA or TIMESTAMP_CA."""
        prepared = root.prepare(Wish(profile, subject, key.public_key))
        [certificate] = root.certify([prepared], self._records)
        return self.issuer(key, certificate, label)

    def hierarchy(self, keys: HierarchyKeys, name: str, organisation: Mapping[str, str]) -> Hierarchy:
        """Make root, code signing CA and timestamp CA, named `<name> Root`, `<name> Code Signing CA` and so on.

        `organisation` holds the other subject fields: O, and C where it is known. Raises InvalidRequestError for
        names that are too long or empty.
        """
        root = self.root(keys.root, {**organisation, "CN": f"{name} Root"})
        code_signing = {**organisation, "CN": f"{name} Code Signing CA"}
        timestamp = {**organisation, "CN": f"{name} Timestamp CA"}
        return Hierarchy(
            root,
            self.sub_ca(root, CODE_SIGNING_CA, keys.code_signing, code_signing, "code-signing"),
            self.sub_ca(root, TIMESTAMP_CA, keys.timestamp, timestamp, "timestamp"),
        )
