"""The certification authority's process: issues on signed authorisations, keeps its CRLs current."""

import asyncio
import os
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Engine

from sealwright.domain.errors import SealwrightError
from sealwright.domain.events import IssuanceRefused, timestamp
from sealwright.domain.messages import IssueRequest
from sealwright.issuance.authorisation import Authoriser
from sealwright.issuance.authority import Authority
from sealwright.issuance.hierarchy import HierarchyBuilder
from sealwright.issuance.issuer import Issuer
from sealwright.issuance.records import Claim, Intent, Issued, Revocation, RevocationReason
from sealwright.issuance.revocation import build_crl, crl_lifetime
from sealwright.keystores import open_key_store
from sealwright.observability import configure
from sealwright.servers.deployment import Deployment, utc_now
from sealwright.servers.web.operations import CA_ISSUE, IssuanceReply, encode
from sealwright.servers.web.rpc import RpcServer
from sealwright.servers.web.run import StopRequest, say_ready
from sealwright.settings import atomic_write
from sealwright.storage.ca import AuthorityDatabase
from sealwright.structures.authorisation import open_authorisation

LABELS = ("root", "code-signing", "timestamp")
ONLINE = ("code-signing", "timestamp")
_CRL_CHECK = 3600.0
_PUBLIC = 0o644


class Records:
    """issuance.records.CertificateRecords and AuthorisationUses over the CA's database."""

    def __init__(self, database: AuthorityDatabase) -> None:
        self._database = database

    def save_intents(self, intents: Sequence[Intent]) -> None:
        """Save intents in one transaction."""
        rows = [(i.authority, i.profile, i.serial, i.authorisation, i.to_be_signed) for i in intents]
        self._database.save_intents(rows)

    def save_certificates(self, certificates: Sequence[Issued]) -> None:
        """Save certificates beside their intents."""
        self._database.save_certificates([(c.authority, c.serial, c.certificate) for c in certificates])

    def revoked(self, authority: str) -> Iterable[Revocation]:
        """Return the revoked certificates of a CA."""
        rows = self._database.revoked(authority)
        return [Revocation(serial, at, RevocationReason(reason)) for serial, at, reason in rows]

    def next_crl_number(self, authority: str) -> int:
        """Return the next CRL number of a CA."""
        return self._database.next_crl_number(authority)

    def claim(self, claims: Sequence[Claim]) -> list[bool]:
        """Record uses of authorisations within their limits in one transaction."""
        return self._database.claim([(c.authorisation, c.moment, c.limit, c.since) for c in claims])


class Works:
    """The CA's rooms wired together over a deployment's files; also used by `init`."""

    def __init__(self, deployment: Deployment, engine: Engine) -> None:
        self.deployment = deployment
        self.database = AuthorityDatabase(engine, deployment.log_signer("ca"), utc_now)
        self.records = Records(self.database)
        self.key_store = open_key_store(deployment.settings.key_stores.ca, deployment.directory)
        self.builder = HierarchyBuilder(
            deployment.settings.plain_url.rstrip("/"), self.records, clock=utc_now, randomness=os.urandom
        )

    def issuer(self, label: str) -> Issuer:
        """Open one of the CAs by its label."""
        certificate = (self.deployment.role_directory("ca") / f"{label}.cer").read_bytes()
        return self.builder.issuer(self.key_store.open(label), certificate, label)

    def authority(self) -> Authority:
        """Open the online CAs for authorised requests."""
        authoriser = Authoriser(self.database.officer, self.records, utc_now)
        return Authority([self.issuer(label) for label in ONLINE], authoriser, self.records)

    def record_refusal(self, request: IssueRequest, error: SealwrightError) -> None:
        """Record that an officer's word was refused; what no officer signed cannot make the log grow."""
        officer = self.database.officer(request.envelope.officer)
        if officer is None:
            return
        try:
            open_authorisation(request.envelope, officer)
        except SealwrightError:
            return
        event = IssuanceRefused(
            time=timestamp(utc_now()),
            officer=request.envelope.officer,
            code=error.code,
            request=sha256(request.envelope.authorisation).hexdigest(),
        )
        self.database.log.record(event)

    def publish_certificate(self, label: str) -> None:
        """Put a CA certificate where its address says."""
        certificate = (self.deployment.role_directory("ca") / f"{label}.cer").read_bytes()
        atomic_write(self._public("ca") / f"{label}.cer", certificate, _PUBLIC)

    def publish_crl(self, label: str, *, anew: bool = False) -> bool:
        """Issue and publish a CA's CRL if half of the present one's life is over; tell whether that was so."""
        issuer = None if not anew else self.issuer(label)
        now = utc_now()
        present = self.database.crl(label)
        if present is not None and not anew:
            due, crl = present
            issuer = self.issuer(label)
            if due - now > crl_lifetime(issuer.certificate) / 2:
                self._write_crl(label, crl)
                return False
        issuer = issuer or self.issuer(label)
        number = self.records.next_crl_number(label)
        revoked = list(self.records.revoked(label))
        crl = build_crl(issuer, revoked, number, now)
        self.database.save_crl(label, number, now + crl_lifetime(issuer.certificate), crl, len(revoked))
        self._write_crl(label, crl)
        return True

    def publish_crls(self, *, anew: bool = False) -> list[str]:
        """Publish all CRLs, and all in one PEM file for verifiers; return the labels that were issued anew."""
        # The root is offline-able: where its key is away, its last CRL stays until the next ceremony.
        issued = [label for label in LABELS if self._has_key(label) and self.publish_crl(label, anew=anew)]
        pem = b""
        for label in LABELS:
            present = self.database.crl(label)
            if present is not None:
                pem += x509.load_der_x509_crl(present[1]).public_bytes(Encoding.PEM)
        atomic_write(self.deployment.directory / "trust" / "crls.pem", pem, _PUBLIC)
        return issued

    def _has_key(self, label: str) -> bool:
        try:
            self.key_store.open(label)
        except SealwrightError:
            return False
        return True

    def _write_crl(self, label: str, crl: bytes) -> None:
        atomic_write(self._public("crl") / f"{label}.crl", crl, _PUBLIC)

    def _public(self, folder: str) -> Path:
        return Path(self.deployment.settings.directories.public) / folder


async def main(deployment: Deployment, listener: socket.socket, *, supervised: bool) -> None:
    """Serve until a stop is asked for."""
    logger = configure("ca")
    stop = StopRequest()
    stop.listen(supervised=supervised)
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="ca")
    works = await loop.run_in_executor(thread, Works, deployment, deployment.engine("ca"))
    authority = await loop.run_in_executor(thread, works.authority)
    await loop.run_in_executor(thread, works.publish_crls)

    def issue_all(requests: list[IssueRequest]) -> bytes:
        answers = authority.issue_batch(requests)
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, SealwrightError):
                works.record_refusal(request, answer)
                logger.warning("certificate refused", code=answer.code, detail=answer.detail)
        return encode([IssuanceReply.of(answer) for answer in answers])

    async def issue(payload: bytes) -> bytes:
        return await loop.run_in_executor(thread, issue_all, _requests.decode(payload))

    async def keep_crls_current() -> None:
        while True:
            await asyncio.sleep(_CRL_CHECK)
            try:
                for label in await loop.run_in_executor(thread, works.publish_crls):
                    logger.info("CRL issued", authority=label)
            except SealwrightError as error:
                logger.error("CRL could not be issued", detail=error.detail)  # noqa: TRY400 - an expected kind of failure

    server = RpcServer({CA_ISSUE: issue}, lambda error: logger.error("internal error", exc_info=error))
    await server.start(listener)
    crls = asyncio.create_task(keep_crls_current())
    logger.info("started", until=_until(works).isoformat())
    say_ready(supervised=supervised)
    await stop.wait()
    crls.cancel()
    await server.stop()
    thread.shutdown()
    logger.info("stopped")


def _until(works: Works) -> datetime:
    """Return when the first of the online CAs' certificates expires."""
    return min(works.issuer(label).certificate.not_valid_after_utc for label in ONLINE).astimezone(UTC)


_requests = msgspec.msgpack.Decoder(list[IssueRequest])
