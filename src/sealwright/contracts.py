"""Every seam of the system: where two implementations or two roles meet.

What crosses a wall between roles is a record of domain/messages.py. A repository's Protocol stands in the role
that uses it, not here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO, Literal, Protocol

from sealwright.domain.errors import SealwrightError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.domain.messages import (
    AdminAnswer,
    AdminEnvelope,
    BatchAnswer,
    EmbeddedSignature,
    FileDigests,
    IssueAnswer,
    IssueRequest,
    SignBatch,
    SignerContext,
    Snapshot,
)

Clock = Callable[[], datetime]
"""Gives the present moment, always with a zone (UTC)."""

Randomness = Callable[[int], bytes]
"""Gives that many unpredictable bytes."""


# --- Keys -----------------------------------------------------------------------------------------------


class SigningKey(Protocol):
    """One private key that can be used, but not read."""

    @property
    def algorithm(self) -> KeyAlgorithm:
        """What kind of key it is."""
        ...

    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo in DER."""
        ...

    def sign(self, digest: bytes, algorithm: DigestAlgorithm) -> bytes:
        """Sign a digest: RSASSA-PKCS1-v1_5, or ECDSA as a DER SEQUENCE. Raises UnavailableError."""
        ...


class KeyStore(Protocol):
    """A place where private keys live, chosen by URI; `protection` is derived from it, never typed in."""

    @property
    def module(self) -> str:
        """The kind of module behind it: a value of domain.keys.Module."""
        ...

    def create(self, label: str, algorithm: KeyAlgorithm) -> SigningKey:
        """Make a key pair inside the store. Raises ConflictError if the label is taken."""
        ...

    def open(self, label: str) -> SigningKey:
        """Find a key by its label. Raises NotFoundError, or UnavailableError if the store does not answer."""
        ...

    def destroy(self, label: str) -> None:
        """Destroy a key for ever; a label that is not there is no error."""
        ...

    def ephemeral(self, algorithm: KeyAlgorithm) -> SigningKey:
        """Make a key pair that lives in memory only and is gone with the object."""
        ...


# --- Schemes (service side): how a signature is expressed --------------------------------------------------


class PreparedScheme(Protocol):
    """A scheme made ready for one certificate and one set of parameters: constants are computed once."""

    def to_be_signed(self, digest: bytes, intent_sha256: bytes) -> bytes:
        """Build the bytes that are signed, from the file's digest and the hash of the ledger's intent entry."""
        ...

    def assemble(self, digest: bytes, to_be_signed: bytes, signature: bytes) -> bytes:
        """Put the finished signature together."""
        ...


class Scheme(Protocol):
    """One way to express a signature; one file in `schemes`."""

    name: str
    blind: bool

    def prepare(self, context: SignerContext, digest: DigestAlgorithm, parameters: Mapping[str, str]) -> PreparedScheme:
        """Check the typed parameters and prepare the constants. Raises InvalidRequestError."""
        ...


# --- Formats (client side, verifier): a kind of file that carries a signature ------------------------------


AttachMode = Literal["replace", "append"]

Together = Callable[[Callable[[], object], Callable[[], object]], None]
"""Does two pieces of work, at the same time if it can, and returns when both are done."""


class Format(Protocol):
    """One file format; one file in `formats`. Streams are seekable and belong to the caller."""

    name: str
    title: str
    scheme: str
    suffixes: tuple[str, ...]

    def recognises(self, head: bytes) -> bool:
        """Tell from a file's first bytes (up to 4,096) whether it is of this format."""
        ...

    def digest(
        self,
        file: BinaryIO,
        algorithm: DigestAlgorithm,
        progress: Callable[[int], None] | None = None,
        together: Together | None = None,
    ) -> FileDigests:
        """Compute the format's digest in one pass; `progress` hears each piece's size. Raises MalformedError."""
        ...

    def signatures(self, file: BinaryIO) -> Sequence[EmbeddedSignature]:
        """Return the signatures the file carries, outermost first. Raises MalformedError."""
        ...

    def attach(self, file: BinaryIO, output: BinaryIO, signature: bytes, mode: AttachMode) -> None:
        """Make `output` the file with the signature. Raises AlreadySignedError, MalformedError.

        `output` is empty, or a copy of the file already, so that a format that changes little need not write it all.
        """
        ...


# --- The path of a signature: face -> key holder ----------------------------------------------------------


class KeyHolderPort(Protocol):
    """The key holder as other processes see it."""

    async def snapshot(self) -> Snapshot:
        """Return the records that decide."""
        ...

    async def sign(self, batch: SignBatch) -> BatchAnswer:
        """Check and sign a batch. Raises LogMistrustedError or UnavailableError for the whole of it."""
        ...

    async def administer(self, envelope: AdminEnvelope) -> AdminAnswer:
        """Carry out an administrative request. Raises DeniedError and what the action itself raises."""
        ...


# --- The certification authority -----------------------------------------------------------------------


class AuthorityPort(Protocol):
    """The certification authority as other processes see it."""

    async def issue(self, requests: Sequence[IssueRequest]) -> Sequence[IssueAnswer | SealwrightError]:
        """Issue certificates; an error (DeniedError, InvalidRequestError) stands in the place of each refused."""
        ...
