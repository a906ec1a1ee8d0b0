"""The user-facing process: wires the pipeline to its database, the key holder and the CA, and serves it over TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Literal

from sealwright import __version__
from sealwright.authenticators.request_key import RequestKeyAuthenticator
from sealwright.domain.errors import SealwrightError, UnavailableError
from sealwright.domain.events import ServiceStarted, timestamp
from sealwright.domain.messages import KeyView, PolicyView, PrincipalView
from sealwright.observability import configure
from sealwright.policy.cedar import PolicyEngine, refusal_of
from sealwright.servers.deployment import Deployment, utc_now
from sealwright.servers.signing.app import FaceApp, Parts
from sealwright.servers.signing.holder import BatchingHolder
from sealwright.servers.signing.log import SigningLog
from sealwright.servers.web.operations import RemoteAuthority, RemoteKeyHolder
from sealwright.servers.web.rpc import RETRY_AFTER, RpcClient
from sealwright.servers.web.run import StopRequest, say_ready, serve_http
from sealwright.signing.pipeline import Pipeline, Ports
from sealwright.signing.refusals import AnonymousRefusals
from sealwright.signing.steps import Records
from sealwright.storage.signing import SigningDatabase

_KEY_HOLDER_TIMEOUT = 60.0
_CA_TIMEOUT = 30.0
_MINUTE = 60.0
_WINDOW = timedelta(hours=24)
"""How long the same request is known as the same request."""


class Face:
    """The parts of the process; `records` is what the key holder told last."""

    def __init__(self, deployment: Deployment, database: SigningDatabase) -> None:
        self.records: Records | None = None
        self.refusals = AnonymousRefusals()
        self.database = database
        self.log = SigningLog(database, utc_now)
        key_holder = RpcClient(deployment.socket_path("keyholder"), "key holder", _KEY_HOLDER_TIMEOUT)
        self.ca = RemoteAuthority(RpcClient(deployment.socket_path("ca"), "certification authority", _CA_TIMEOUT))
        self.holder = BatchingHolder(RemoteKeyHolder(key_holder), self.log, self._know)
        self._engine = PolicyEngine(self._policy)
        self.authenticator = RequestKeyAuthenticator(
            self._principal,
            utc_now,
            authorities=(deployment.authority,),
            tolerance_seconds=deployment.settings.tolerance_seconds,
        )
        self.pipeline = Pipeline(
            Ports(
                authenticate=self.authenticator.authenticate,
                decide=self._decide,
                records=self._present,
                log=self.log,
                holder=self.holder,
                refusals=self.refusals,
                clock=utc_now,
            )
        )

    def _know(self, records: Records) -> None:
        self.records = records

    def _present(self) -> Records:
        if self.records is None:
            raise UnavailableError("the key holder does not answer", retry_after=RETRY_AFTER)
        return self.records

    def _principal(self, name: str) -> PrincipalView | None:
        return self._present().principals.get(name)

    def _policy(self, subscriber: str) -> PolicyView | None:
        return self._present().policies.get(subscriber)

    def _decide(
        self,
        action: Literal["request", "sign"],
        principal: PrincipalView,
        key: KeyView,
        context: Mapping[str, object],
    ) -> str:
        return refusal_of(self._engine.decide(action, principal, key, context), action, principal, key)

    async def write_refusals(self) -> None:
        """Write what was counted of anonymous refusals, if anything."""
        entry = self.refusals.take(utc_now())
        if entry is not None:
            try:
                await self.log.note(entry)
            except SealwrightError:
                self.refusals.give_back(entry)
                raise

    async def every_minute(self, report: Callable[[BaseException], None], pause: float = _MINUTE) -> None:
        """Write refusals in aggregate, and end the window of old requests; what fails is done a minute later."""
        while True:
            await asyncio.sleep(pause)
            try:
                await self.write_refusals()
                before = int((utc_now() - _WINDOW).timestamp())
                await asyncio.to_thread(self.database.forget, before)
            except Exception as error:  # noqa: BLE001 - housekeeping must not end because a database was busy once
                report(error)


def tls_context(deployment: Deployment) -> ssl.SSLContext:
    """Return the service's TLS identity: TLS 1.2 and newer, the library's own choice of suites."""
    directory = deployment.role_directory("tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    return context


async def main(deployment: Deployment, listener: socket.socket, *, supervised: bool) -> None:
    """Serve until a stop is asked for; what was begun is finished and recorded."""
    logger = configure("signing")
    stop = StopRequest()
    stop.listen(supervised=supervised)
    database = SigningDatabase(deployment.engine("signing"), deployment.log_signer("signing"))
    face = Face(deployment, database)
    await face.log.note(ServiceStarted(time=timestamp(utc_now()), role="signing", version=__version__))
    try:
        await face.holder.refresh()
    except SealwrightError as error:
        logger.warning("the key holder does not answer yet", detail=error.detail)

    def report(error: BaseException) -> None:
        logger.error("internal error", exc_info=error)

    app = FaceApp(
        Parts(
            authority=deployment.authority,
            pipeline=face.pipeline,
            authenticate=face.authenticator.authenticate,
            holder=face.holder,
            log=face.log,
            ca=face.ca,
            records=lambda: face.records,
            refusals=face.refusals,
            hashes=database.hashes,
            report=report,
        )
    )
    housekeeping = asyncio.create_task(face.every_minute(report))

    def started() -> None:
        logger.info("started", url=deployment.settings.url, log_size=face.log.head.size)
        say_ready(supervised=supervised)

    await serve_http(app, listener, stop, started, tls=tls_context(deployment))
    housekeeping.cancel()
    await face.holder.close()
    await face.write_refusals()
    await face.log.close()
    logger.info("stopped")
