"""What others may know of the key holder's records, and the Protocol of the database that keeps them."""

from collections.abc import Sequence
from typing import Protocol

from sealwright.domain.events import AnyEvent
from sealwright.domain.keys import SOFTWARE_WARNING, ProtectionModel
from sealwright.domain.messages import KeyView, PolicyView, PrincipalView
from sealwright.domain.records import CustodyState, KeyRecord, PolicyRecord, PrincipalRecord, Uses


def key_view(record: KeyRecord) -> KeyView:
    """Return what others may know of a key."""
    software = record.protection.model is ProtectionModel.SOFTWARE
    return KeyView(
        name=record.name,
        subscriber=record.subscriber,
        algorithm=record.algorithm.value,
        lifetime=record.lifetime.value,
        state=record.state.value,
        model=record.protection.model.label,
        schemes=list(record.schemes),
        public_key=record.public_key,
        chain=list(record.chain),
        warning=SOFTWARE_WARNING if software else "",
        protection=record.protection,
    )


def principal_view(record: PrincipalRecord) -> PrincipalView:
    """Return a principal's public record."""
    return PrincipalView(
        name=record.name,
        kind=record.kind,
        subscriber=record.subscriber,
        public_key=record.public_key,
        administrator=record.administrator,
    )


def policy_view(record: PolicyRecord) -> PolicyView:
    """Return a policy's public record."""
    return PolicyView(subscriber=record.subscriber, text=record.text, version=record.version)


class CustodyStore(Protocol):
    """The key holder's own database; every method is one durable transaction."""

    def load(self) -> CustodyState:
        """Read everything that decides."""
        ...

    def carried_out(self, request_id: str) -> bool:
        """Tell whether an administrative request with this identifier was carried out before."""
        ...

    def change(self, state: CustodyState, event: AnyEvent, request_id: str, envelope: bytes) -> None:
        """Store the state after an administrative act, with its entry in the log and the request as evidence.

        Raises ConflictError if a request with this identifier was carried out before.
        """
        ...

    def spent(self, proofs: Sequence[bytes]) -> set[bytes]:
        """Return those of the proofs (SHA-256) that were used before."""
        ...

    def use(self, uses: Uses, now: int) -> None:
        """Count the uses, remember the proofs and how far the log was seen, before any key is used."""
        ...

    def halt(self, reason: str, event: AnyEvent) -> None:
        """Remember that the log is mistrusted."""
        ...

    def record(self, event: AnyEvent) -> None:
        """Append an entry to the key holder's own log."""
        ...
