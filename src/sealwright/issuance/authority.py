"""The CA's answer to authorised requests: each goes to the issuer that its profile belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.domain.errors import ConfigurationError, DeniedError, SealwrightError
from sealwright.domain.messages import IssueAnswer, IssueRequest
from sealwright.issuance.authorisation import Authorised, Authoriser
from sealwright.issuance.issuer import Issuer, Prepared
from sealwright.issuance.records import CertificateRecords
from sealwright.structures.x509 import extended_key_usages


@dataclass(frozen=True, slots=True)
class _Claimable:
    """A certificate that could be issued at once, were its authorisation not still to be claimed."""

    authorised: Authorised
    issuer: Issuer
    prepared: Prepared


class Authority:
    """The CA role: issuers directly under their root, one for each extended key usage; officers' words; records."""

    def __init__(self, issuers: Sequence[Issuer], authoriser: Authoriser, records: CertificateRecords) -> None:
        self._issuers = {usage: issuer for issuer in issuers for usage in extended_key_usages(issuer.certificate)}
        if len(self._issuers) != len(issuers):
            raise ConfigurationError("each CA of this authority must have one extended key usage of its own")
        self._authoriser = authoriser
        self._records = records

    def issue(self, request: IssueRequest) -> IssueAnswer:
        """Issue one certificate. Raises DeniedError, InvalidRequestError and what keys and records raise."""
        [answer] = self.issue_batch([request])
        if isinstance(answer, SealwrightError):
            raise answer
        return answer

    def issue_batch(self, requests: Sequence[IssueRequest]) -> list[IssueAnswer | SealwrightError]:
        """Answer several requests; an error stands in place of its answer.

        One transaction claims the authorisations, and two for each CA record what it issues.
        """
        answers: dict[int, IssueAnswer | SealwrightError] = {}
        claimable: dict[int, _Claimable] = {}
        for position, checked in enumerate(self._authoriser.check_all(requests)):
            if isinstance(checked, SealwrightError):
                answers[position] = checked
                continue
            try:
                claimable[position] = self._prepare(checked)
            except SealwrightError as error:
                answers[position] = error
        waiting: dict[Issuer, dict[int, Prepared]] = {}
        for position, refused in self._claim(claimable).items():
            one = claimable[position]
            if refused is None:
                waiting.setdefault(one.issuer, {})[position] = one.prepared
            else:
                answers[position] = refused
        for issuer, batch in waiting.items():
            answers |= self._certify(issuer, batch)
        return [answers[position] for position in range(len(requests))]

    def _claim(self, claimable: dict[int, _Claimable]) -> dict[int, SealwrightError | None]:
        if not claimable:
            return {}
        try:
            refusals = self._authoriser.claim([one.authorised for one in claimable.values()])
        except SealwrightError as error:
            return dict.fromkeys(claimable, error)
        return dict(zip(claimable, refusals, strict=True))

    def _prepare(self, authorised: Authorised) -> _Claimable:
        issuer = self._issuers.get(authorised.wish.profile.extended_key_usage or "")
        if issuer is None:
            raise DeniedError(f"this authority has no CA for profile {authorised.wish.profile.name!r}")
        prepared = issuer.prepare(authorised.wish, authorised.authorisation.id)
        return _Claimable(authorised, issuer, prepared)

    def _certify(self, issuer: Issuer, batch: dict[int, Prepared]) -> dict[int, IssueAnswer | SealwrightError]:
        try:
            certificates = issuer.certify(list(batch.values()), self._records)
        except SealwrightError as error:
            return dict.fromkeys(batch, error)
        above = issuer.certificate.public_bytes(Encoding.DER)
        return {
            position: IssueAnswer([certificate, above])
            for position, certificate in zip(batch, certificates, strict=True)
        }
