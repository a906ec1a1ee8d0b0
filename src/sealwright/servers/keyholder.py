"""The key holder's process: one socket, one thread that decides, and nothing of the network but the CA's port."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Literal

import msgspec
from sqlalchemy import Engine

from sealwright.custody.administration import Administration
from sealwright.custody.holder import KeyHolder, Surroundings
from sealwright.custody.state import policy_view
from sealwright.custody.use import Task
from sealwright.domain.errors import SealwrightError
from sealwright.domain.keys import Operator
from sealwright.domain.messages import AdminEnvelope, KeyView, PolicyView, PrincipalView, SignBatch
from sealwright.keystores import open_key_store
from sealwright.observability import configure
from sealwright.policy.cedar import PolicyEngine, refusal_of
from sealwright.policy.schema import load_schema, validate
from sealwright.schemes import names, scheme
from sealwright.servers.deployment import Deployment, load_ed25519, public_bytes, utc_now
from sealwright.servers.web.operations import (
    KEYHOLDER_ADMINISTER,
    KEYHOLDER_SIGN,
    KEYHOLDER_SNAPSHOT,
    BlockingAuthority,
    encode,
)
from sealwright.servers.web.rpc import BlockingRpcClient, RpcServer
from sealwright.servers.web.run import StopRequest, say_ready
from sealwright.storage.keyholder import KeyHolderDatabase
from sealwright.structures.http_signatures import load_public_key
from sealwright.structures.note import Verifier

_KEY_THREADS = 4
_KEYS_REMEMBERED = 4_096
_CA_TIMEOUT = 15.0


def build(deployment: Deployment, engine: Engine) -> KeyHolder:
    """Wire a key holder over a deployment's files and its database; also used by `init`, before any process runs."""
    directory = deployment.role_directory("keyholder")
    database = KeyHolderDatabase(engine, deployment.log_signer("keyholder"))
    witness_key = load_ed25519(directory / "witness.key")
    witness = Verifier(f"{deployment.settings.log_origin}/keyholder-witness", public_bytes(witness_key)).as_witness()
    key_store = open_key_store(deployment.settings.key_stores.keyholder, deployment.directory)
    ca = BlockingRpcClient(deployment.socket_path("ca"), "certification authority", _CA_TIMEOUT)
    pool = ThreadPoolExecutor(_KEY_THREADS, thread_name_prefix="key")
    load_key = lru_cache(_KEYS_REMEMBERED)(load_public_key)

    def policy_of(subscriber: str) -> PolicyView | None:
        record = holder.state.policies.get(subscriber)
        return policy_view(record) if record else None

    policies = PolicyEngine(policy_of)
    schema = load_schema()

    def decide(
        action: Literal["request", "sign"], principal: PrincipalView, key: KeyView, context: Mapping[str, object]
    ) -> str:
        return refusal_of(policies.decide(action, principal, key, context), action, principal, key)

    def run_all(tasks: Sequence[Task]) -> Sequence[bytes | SealwrightError]:
        return list(pool.map(lambda task: task(), tasks))

    holder = KeyHolder(
        Surroundings(
            authority=deployment.authority,
            log=deployment.log_verifier("signing"),
            witness=witness,
            witness_sign=witness_key.sign,
            store=database,
            key_store=key_store,
            administration=Administration(
                deployment=deployment.settings.log_origin,
                key_store=key_store,
                operator=Operator.SUBSCRIBER,
                known_scheme=lambda name: name in names(),
                validate_policy=lambda text: validate(text, schema),
                load_key=load_key,
            ),
            scheme=scheme,
            decide=decide,
            load_key=load_key,
            issue_all=BlockingAuthority(ca).issue,
            run_all=run_all,
            clock=utc_now,
        )
    )
    return holder


async def main(deployment: Deployment, listener: socket.socket, *, supervised: bool) -> None:
    """Serve until a stop is asked for. One thread does all the work, so that calls come one after another."""
    logger = configure("keyholder")
    stop = StopRequest()
    stop.listen(supervised=supervised)
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="keyholder")
    holder = await loop.run_in_executor(thread, build, deployment, deployment.engine("keyholder"))

    async def snapshot(_payload: bytes) -> bytes:
        return encode(await loop.run_in_executor(thread, holder.snapshot))

    async def sign(payload: bytes) -> bytes:
        return await loop.run_in_executor(thread, lambda: encode(holder.sign(_batch.decode(payload))))

    async def administer(payload: bytes) -> bytes:
        envelope = _envelope.decode(payload)
        try:
            answer = await loop.run_in_executor(thread, holder.administer, envelope)
        except SealwrightError as error:
            logger.warning("administrative request refused", code=error.code, detail=error.detail)
            raise
        logger.info("administrative request carried out", detail=answer.detail, version=answer.version)
        return encode(answer)

    handlers = {KEYHOLDER_SNAPSHOT: snapshot, KEYHOLDER_SIGN: sign, KEYHOLDER_ADMINISTER: administer}
    server = RpcServer(handlers, lambda error: logger.error("internal error", exc_info=error))
    await server.start(listener)
    logger.info("started", version=holder.state.version, dual_control=holder.state.dual_control)
    say_ready(supervised=supervised)
    await stop.wait()
    await server.stop()
    thread.shutdown()
    logger.info("stopped")


_batch = msgspec.msgpack.Decoder(SignBatch)
_envelope = msgspec.msgpack.Decoder(AdminEnvelope)
