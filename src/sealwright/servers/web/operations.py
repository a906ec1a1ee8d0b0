"""The numbered operations between processes, and clients that speak them as the ports of contracts.py."""

from collections.abc import Sequence

import msgspec

from sealwright.domain.errors import SealwrightError, error_of
from sealwright.domain.messages import (
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


class IssuanceReply(msgspec.Struct, frozen=True, array_like=True):
    """One answer of the CA on the wire: a chain, or the error in its place."""

    chain: list[bytes] = []
    code: str = ""
    detail: str = ""

    @classmethod
    def of(cls, answer: IssueAnswer | SealwrightError) -> "IssuanceReply":
        """Pack an answer."""
        if isinstance(answer, SealwrightError):
            return cls(code=answer.code, detail=answer.detail)
        return cls(chain=answer.chain)

    def open(self) -> IssueAnswer | SealwrightError:
        """Unpack an answer."""
        return error_of(self.code, self.detail) if self.code else IssueAnswer(self.chain)


class RemoteAuthority:
    """The certification authority over its socket (contracts.AuthorityPort)."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    async def issue(self, requests: Sequence[IssueRequest]) -> Sequence[IssueAnswer | SealwrightError]:
        """Have certificates issued."""
        return _answers(await self._client.call(CA_ISSUE, encode(requests)))


class BlockingAuthority:
    """The certification authority as the key holder's thread calls it."""

    def __init__(self, client: BlockingRpcClient) -> None:
        self._client = client

    def issue(self, requests: Sequence[IssueRequest]) -> Sequence[IssueAnswer | SealwrightError]:
        """Have certificates issued."""
        return _answers(self._client.call(CA_ISSUE, encode(requests)))


def _answers(payload: bytes) -> Sequence[IssueAnswer | SealwrightError]:
    return [answer.open() for answer in msgspec.msgpack.decode(payload, type=list[IssuanceReply])]
