"""The certificate table of a PE file (WIN_CERTIFICATE entries) and the CheckSum of its header.

Source: Microsoft, "PE Format", section "The Attribute Certificate Table".
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sealwright.domain.errors import MalformedError, UnsupportedError
from sealwright.structures.word_sum import MODULUS, word_sum

ALIGNMENT: Final = 8
HEADER: Final = 8  # length, revision and type of an entry, in bytes
PKCS_SIGNED_DATA: Final = 0x0002
MAX_TABLE: Final = 16 << 20  # bytes; a table is read into memory

_REVISION_1, _REVISION_2 = 0x0100, 0x0200
_MAX_CERTIFICATES = 16
_UINT32 = 1 << 32


@dataclass(frozen=True, slots=True)
class Certificate:
    """One entry: its contents, with the padding if its length counts that, its type and revision."""

    data: bytes
    kind: int = PKCS_SIGNED_DATA
    revision: int = _REVISION_2


class Checksum:
    """The CheckSum of ImageHlp's CheckSumMappedFile: 16-bit words added with carry, plus the file's length."""

    __slots__ = ("_any", "_sum")

    def __init__(self) -> None:
        self._sum = word_sum()
        self._any = False

    def update(self, piece: bytes | memoryview) -> None:
        """Add the next piece of the file; after the last, an odd one is taken as if a zero followed."""
        self._sum.update(piece)
        self._any = self._any or any(piece)

    def value(self, length: int) -> int:
        """Return the checksum of a file of that many bytes, whose own CheckSum was taken as zero; ends the sum."""
        folded = self._sum.value()
        if folded == 0 and self._any:
            folded = MODULUS  # adding with carry never returns to zero
        return (folded + length) % _UINT32


def read_table(table: bytes) -> list[Certificate]:
    """Read the entries of a certificate table; zeros may follow the last. Raises MalformedError."""
    found: list[Certificate] = []
    position = 0
    while any(table[position:]):
        if position + HEADER > len(table) or len(found) == _MAX_CERTIFICATES:
            raise MalformedError("the certificate table is cut off or has too many entries")
        length, revision, kind = struct.unpack_from("<IHH", table, position)
        if not HEADER < length <= len(table) - position or revision not in (_REVISION_1, _REVISION_2):
            raise MalformedError("an entry of the certificate table is damaged")
        found.append(Certificate(table[position + HEADER : position + length], kind, revision))
        position += length + -length % ALIGNMENT
    return found


def write_table(entries: Sequence[Certificate]) -> bytes:
    """Return the certificate table; each entry's length counts its padding, as signtool writes it.

    Raises UnsupportedError if the table would be larger than MAX_TABLE.
    """
    parts: list[bytes] = []
    for entry in entries:
        padding = bytes(-len(entry.data) % ALIGNMENT)
        length = HEADER + len(entry.data) + len(padding)
        parts += (struct.pack("<IHH", length, entry.revision, entry.kind), entry.data, padding)
    table = b"".join(parts)
    if len(table) > MAX_TABLE:
        raise UnsupportedError(f"the signatures together are larger than {MAX_TABLE >> 20} MiB")
    return table
