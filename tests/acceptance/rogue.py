"""The user-facing process in somebody else's hands: it can do all that process can, and has no principal's key.

It holds the log's signing key, writes valid entries and checkpoints, and speaks to the key holder's socket. The
key holder is the real process, started as the supervisor starts it.
"""

import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from sealwright.domain.events import RequestIntended, encode_event, timestamp
from sealwright.domain.messages import (
    AdminAnswer,
    AdminEnvelope,
    BatchAnswer,
    LogAdvance,
    ProofOfRequest,
    SignAnswer,
    SignBatch,
    SignItem,
    Snapshot,
)
from sealwright.servers.deployment import utc_now
from sealwright.servers.web.operations import KEYHOLDER_ADMINISTER, KEYHOLDER_SIGN, KEYHOLDER_SNAPSHOT, encode
from sealwright.servers.web.rpc import BlockingRpcClient
from sealwright.structures.http_signatures import PrivateKey
from sealwright.structures.merkle import Frontier, leaf_hash, root_of
from sealwright.structures.signing_requests import proof_sha256, read_body
from tests.acceptance.world import House, body_of, fields_of

PATH = "/v1/signing-requests"


@contextmanager
def key_holder(house: House) -> Iterator[Path]:
    """Run the key holder's process alone, and give its socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        path = Path("/tmp") / f"sealwright-{secrets.token_hex(8)}.sock"  # noqa: S108 - a socket's path is short
        listener.bind(str(path))
        listener.listen(16)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "sealwright.servers.process", "keyholder"),
                *(str(house.directory), str(listener.fileno())),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(listener.fileno(),),
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield path
        finally:
            process.terminate()
            process.wait(30)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            path.unlink()


def copy_of(house: House, directory: Path) -> House:
    """Return another deployment with the same keys and records, before anything was signed."""
    shutil.copytree(house.directory, directory)
    return House(directory, directory / "serve.log")


@dataclass
class RogueFace:
    """Writes a log in memory, and shows the key holder whatever it likes of it."""

    house: House
    client: BlockingRpcClient
    leaves: list[bytes] = field(default_factory=list)
    seen: int = 0

    def __post_init__(self) -> None:
        deployment = self.house.deployment
        self.signer = deployment.log_signer("signing")
        self.authority = deployment.authority

    def snapshot(self) -> Snapshot:
        return msgspec.msgpack.decode(self.client.call(KEYHOLDER_SNAPSHOT, b""), type=Snapshot)

    def administer(self, envelope: AdminEnvelope) -> AdminAnswer:
        return msgspec.msgpack.decode(self.client.call(KEYHOLDER_ADMINISTER, encode(envelope)), type=AdminAnswer)

    def append(self, *entries: bytes) -> int:
        """Write entries into the log and return the index of the first."""
        first = len(self.leaves)
        self.leaves += [leaf_hash(entry) for entry in entries]
        return first

    def checkpoint(self, leaves: Sequence[bytes]) -> str:
        """Sign a checkpoint over any leaves, as the owner of the log's key can."""
        return self.signer.checkpoint(Frontier().extended(leaves))

    def show(self, items: list[SignItem], advance: LogAdvance | None = None) -> BatchAnswer:
        """Send a batch; without `advance` the log as it grew since the last one."""
        honest = LogAdvance(self.seen, self.leaves[self.seen :], self.checkpoint(self.leaves))
        payload = encode(SignBatch(advance or honest, items))
        answer = msgspec.msgpack.decode(self.client.call(KEYHOLDER_SIGN, payload), type=BatchAnswer)
        self.seen = len(self.leaves)
        return answer

    def ask(self, proof: ProofOfRequest, /, **changed: Any) -> SignAnswer:  # noqa: ANN401 - any field of the intent
        """Record an intent, honest but for the fields changed, and ask for its signatures."""
        entry = self.intent(proof, **changed)
        index = self.append(entry)
        return self.show([SignItem(proof, entry, index)]).answers[0]

    def proof(self, digests: Sequence[bytes], key: PrivateKey | None = None) -> ProofOfRequest:
        """Return a proof of request: the workload's own, unless another key is given."""
        return self.proof_over(body_of(digests), key)

    def proof_over(
        self,
        body: bytes,
        key: PrivateKey | None = None,
        path: str = PATH,
        **how: Any,  # noqa: ANN401 - any field of the proof
    ) -> ProofOfRequest:
        fields = fields_of(self.house, body, key=key, path=path, **how)
        return ProofOfRequest(
            how.get("method", "POST"),
            self.authority,
            path,
            body,
            fields.get("Idempotency-Key", ""),
            fields["Signature-Input"],
            fields["Signature"],
        )

    def intent(self, proof: ProofOfRequest, /, **changed: Any) -> bytes:  # noqa: ANN401 - any field of the intent
        """Return the entry that an honest face would record, but for the fields changed."""
        request = read_body(proof.body)
        records = self.snapshot()
        key = next((one for one in records.keys if one.name == request.key), records.keys[0])
        digests = [leaf_hash(bytes.fromhex(artifact.digest)) for artifact in request.artifacts]
        event = RequestIntended(
            time=timestamp(utc_now()),
            principal="cli",
            subscriber=key.subscriber,
            key=request.key,
            scheme=request.scheme,
            digest_algorithm=request.digest_algorithm,
            count=len(digests),
            digests_root=root_of(digests).hex(),
            request=sha256(proof.body).hexdigest(),
            proof=proof_sha256(proof).hex(),
            records_version=records.version,
            certificate=sha256(key.chain[0]).hexdigest(),
            input=request.input,
        )
        return encode_event(msgspec.structs.replace(event, **changed))


@contextmanager
def rogue_face(house: House) -> Iterator[RogueFace]:
    """Run a key holder and give what has taken over the process that speaks to it."""
    with key_holder(house) as path:
        client = BlockingRpcClient(path, "key holder", 30)
        try:
            yield RogueFace(house, client)
        finally:
            client.close()
