"""The numbered operations between processes, and clients that speak them as the ports of contracts.py."""

import msgspec

from sealwright.contracts import (
    AdminAnswer,
    AdminEnvelope,
    BatchAnswer,
    IssueAnswer,
    IssueRequest,
    SignBatch,
    Snapshot,
)
from sealwright.servers.web.rpc import BlockingRpcClient, RpcClient

KEYHOLDER_SNAPSHOT, KEYHOLDER_SIGN, KEYHOLDER_ADMINISTER = 1, 2, 3
CA_ISSUE = 1

encode = msgspec.msgpack.encode


class RemoteKeyHolder:
    """The key holder over its socket (contracts.KeyHolderPort)."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    async def snapshot(self) -> Snapshot:
        """Return the records that decide."""
        return msgspec.msgpack.decode(await self._client.call(KEYHOLDER_SNAPSHOT, b""), type=Snapshot)

    async def sign(self, batch: SignBatch) -> BatchAnswer:
        """Have a batch checked and signed."""
        return msgspec.msgpack.decode(await self._client.call(KEYHOLDER_SIGN, encode(batch)), type=BatchAnswer)

    async def administer(self, envelope: AdminEnvelope) -> AdminAnswer:
        """Have an administrative request carried out."""
        return msgspec.msgpack.decode(await self._client.call(KEYHOLDER_ADMINISTER, encode(envelope)), type=AdminAnswer)


class RemoteAuthority:
    """The certification authority over its socket (contracts.AuthorityPort)."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    async def issue(self, request: IssueRequest) -> IssueAnswer:
        """Have a certificate issued."""
        return msgspec.msgpack.decode(await self._client.call(CA_ISSUE, encode(request)), type=IssueAnswer)


class BlockingAuthority:
    """The certification authority as the key holder's thread calls it."""

    def __init__(self, client: BlockingRpcClient) -> None:
        self._client = client

    def issue(self, request: IssueRequest) -> IssueAnswer:
        """Have a certificate issued."""
        return msgspec.msgpack.decode(self._client.call(CA_ISSUE, encode(request)), type=IssueAnswer)
