"""One certification authority at work: prepare, judge, record, and only then sign, each certificate once.

The types carry the order: `prepare` gives what was judged, `record` gives tokens for what is durably recorded,
`issue` takes a token, and takes it once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from sealwright.contracts import Clock, Randomness, SigningKey
from sealwright.domain.errors import ConfigurationError, ConflictError, InvalidRequestError
from sealwright.issuance.building import Parent, Publication, Wish, build
from sealwright.issuance.profiles import Kind
from sealwright.issuance.records import CertificateRecords, Intent, Issued
from sealwright.issuance.rules import Case, lint
from sealwright.issuance.signature import CaSigner, ToBeSigned
from sealwright.structures.cms import load_certificate
from sealwright.structures.x509 import public_key_of


@dataclass(frozen=True, slots=True)
class Prepared:
    """A certificate that no rule objects to, and the intent that must be recorded before it is signed."""

    intent: Intent
    to_be_signed: ToBeSigned


class IssuanceToken:
    """The right to have one judged and recorded certificate signed, once."""

    __slots__ = ("_left", "intent")

    def __init__(self, prepared: Prepared) -> None:
        self.intent = prepared.intent
        self._left = [prepared.to_be_signed]

    def redeem(self) -> ToBeSigned:
        """Give up what may be signed; a second time raises ConflictError."""
        try:
            return self._left.pop()
        except IndexError:
            raise ConflictError("this certificate was issued already: a token is used once") from None


class Issuer:
    """A CA: its key, its certificate (DER) and where it publishes.

    Without a certificate it is a root in the making, which can prepare nothing but its own certificate.
    `audited` says that an auditor's statement covers the CA: only then may reserved policy identifiers stand in
    what it issues. Raises ConfigurationError if key and certificate do not belong together.
    """

    def __init__(
        self,
        key: SigningKey,
        certificate: bytes | None,
        publication: Publication,
        *,
        clock: Clock,
        randomness: Randomness,
        audited: bool = False,
    ) -> None:
        self.signer = CaSigner(key)
        self.publication = publication
        self._clock = clock
        self._randomness = randomness
        self._audited = audited
        self._parent: Parent | None = None
        if certificate is not None:
            parsed = load_certificate(certificate)
            if public_key_of(parsed) != key.public_key:
                raise ConfigurationError(
                    f"the CA key and the CA certificate of {publication.label!r} do not belong together",
                    hint="check which key label and which certificate file this CA is given",
                )
            self._parent = Parent(parsed, publication)

    @property
    def certificate(self) -> x509.Certificate:
        """The CA's own certificate. Raises ConfigurationError if it has none yet."""
        if self._parent is None:
            raise ConfigurationError(f"the CA {self.publication.label!r} has no certificate yet")
        return self._parent.certificate

    def prepare(self, wish: Wish, authorisation: str = "") -> Prepared:
        """Build the certificate that is wished for and judge it by all rules; nothing is signed by the CA.

        `authorisation` is the identifier of the officer's word, for the record. Raises InvalidRequestError that
        names every broken rule, MalformedError or UnsupportedError for the public key.
        """
        if (wish.profile.kind is Kind.ROOT) is not (self._parent is None):
            raise InvalidRequestError("a root signs itself, and nothing else makes a root")
        now = self._clock()
        to_be_signed = build(self.signer, wish, self._parent, now, self._randomness)
        draft = x509.load_der_x509_certificate(to_be_signed.draft)
        above = None if self._parent is None else self._parent.certificate
        case = Case(wish.profile, draft, above, wish.protection, wish.custodian, self._audited, now)
        if findings := list(lint(case)):
            raise InvalidRequestError(
                "; ".join(f"{finding.detail} ({finding.code}, {finding.section})" for finding in findings),
                hint=f"profile {wish.profile.name}: change the request, or choose another profile",
            )
        serial = f"{draft.serial_number:x}"
        return Prepared(
            Intent(self.publication.label, wish.profile.name, serial, authorisation, to_be_signed.body), to_be_signed
        )

    def record(self, prepared: Sequence[Prepared], records: CertificateRecords) -> list[IssuanceToken]:
        """Save the intents durably, all in one transaction, and return a token for each."""
        if any(item.intent.authority != self.publication.label for item in prepared):
            raise ConflictError("a certificate prepared by one CA cannot be issued by another")
        records.save_intents([item.intent for item in prepared])
        return [IssuanceToken(item) for item in prepared]

    def issue(self, token: IssuanceToken) -> bytes:
        """Sign what the token stands for and return the certificate in DER.

        Raises ConflictError for a token that was used, UnavailableError or VerificationError for the key's
        failures; the token is used up in any case, and its intent stays without a certificate.
        """
        if token.intent.authority != self.publication.label:
            raise ConflictError("a certificate prepared by one CA cannot be issued by another")
        return self.signer.sign(token.redeem())

    def certify(self, prepared: Sequence[Prepared], records: CertificateRecords) -> list[bytes]:
        """Record, issue and save several certificates: two transactions for all of them."""
        tokens = self.record(prepared, records)
        certificates = [self.issue(token) for token in tokens]
        records.save_certificates(
            [
                Issued(token.intent.authority, token.intent.serial, certificate)
                for token, certificate in zip(tokens, certificates, strict=True)
            ]
        )
        return certificates
