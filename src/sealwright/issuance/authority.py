"""The CA's answer to authorised requests: each goes to the issuer that its profile belongs to."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.domain.errors import ConfigurationError, DeniedError, SealwrightError
from sealwright.domain.messages import IssueAnswer, IssueRequest
from sealwright.issuance.authorisation import Authoriser
from sealwright.issuance.issuer import Issuer, Prepared
from sealwright.issuance.records import CertificateRecords
from sealwright.structures.x509 import extended_key_usages


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
        """Answer several requests with two transactions for each CA; an error stands in place of its answer."""
        answers: dict[int, IssueAnswer | SealwrightError] = {}
        waiting: dict[Issuer, dict[int, Prepared]] = {}
        for position, request in enumerate(requests):
            try:
                issuer, prepared = self._prepare(request)
            except SealwrightError as error:
                answers[position] = error
            else:
                waiting.setdefault(issuer, {})[position] = prepared
        for issuer, batch in waiting.items():
            answers |= self._certify(issuer, batch)
        return [answers[position] for position in range(len(requests))]

    def _prepare(self, request: IssueRequest) -> tuple[Issuer, Prepared]:
        authorised = self._authoriser.check(request)
        issuer = self._issuers.get(authorised.wish.profile.extended_key_usage or "")
        if issuer is None:
            raise DeniedError(f"this authority has no CA for profile {authorised.wish.profile.name!r}")
        prepared = issuer.prepare(authorised.wish, authorised.authorisation.id)
        self._authoriser.claim(authorised)
        return issuer, prepared

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
