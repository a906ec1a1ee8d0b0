"""Windows executables, libraries, drivers and EFI programs (Portable Executable).

Sources: Microsoft, "PE Format" and "Windows Authenticode Portable Executable Signature
Format" (2008). The digest covers the file but for the CheckSum, the certificate table and its directory entry;
a file without a signature is taken as if padded with zeros to a multiple of 8.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from hashlib import new as new_hash
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, Final

from sealwright.domain.errors import UnsupportedError
from sealwright.domain.messages import EmbeddedSignature, FileDigests
from sealwright.structures import authenticode, win_certificate
from sealwright.structures.pe_layout import DOS_HEADER, Layout, read_at, read_layout
from sealwright.structures.streams import views

if TYPE_CHECKING:
    from hashlib import _Hash

    from sealwright.contracts import AttachMode, Format, Together
    from sealwright.domain.keys import DigestAlgorithm

CHUNK: Final = 1 << 20  # bytes read at once, and so the memory that a file of any size costs

_TOGETHER = 4  # times CHUNK, while two threads hash a piece

_OFFSET_LIMIT = 1 << 32


class PE:
    """The format `pe`. Every error of a file is a MalformedError or an UnsupportedError."""

    name: str = "pe"
    title: str = "Windows executable"
    scheme: str = "authenticode"
    suffixes: tuple[str, ...] = (".exe", ".dll", ".sys", ".efi", ".ocx", ".scr", ".cpl", ".pyd", ".node", ".mui")

    def recognises(self, head: bytes) -> bool:
        """Tell whether a file starts as a DOS program that points to a PE header, near or past these bytes."""
        if len(head) < DOS_HEADER or head[:2] != b"MZ":
            return False
        (offset,) = struct.unpack_from("<I", head, 60)
        return offset + 4 > len(head) or head[offset : offset + 4] == b"PE\0\0"

    def digest(
        self,
        file: BinaryIO,
        algorithm: "DigestAlgorithm",
        progress: Callable[[int], None] | None = None,
        together: "Together | None" = None,
    ) -> FileDigests:
        """Compute Authenticode's digest and the flat SHA-256 in one pass over the file.

        Two hash states are needed, since the digests differ from the header on. `together` may update them in
        two threads: hashlib lets others run meanwhile, and both updates end before more is read, so that the
        order within each state is kept. Then pieces are larger, for a thread takes about as long to wake as a
        mebibyte takes to hash.
        """
        layout = read_layout(file)
        flat, image = sha256(), new_hash(algorithm.value)
        for start, piece in views(file, layout.size, CHUNK if together is None else _TOGETHER * CHUNK):
            if together is None:
                flat.update(piece)
                _update_image(image, layout, start, piece)
            else:
                together(partial(flat.update, piece), partial(_update_image, image, layout, start, piece))
            if progress is not None:
                progress(len(piece))
        image.update(layout.padding)
        return FileDigests(digest=image.digest(), flat_sha256=flat.digest(), size=layout.size)

    def signatures(self, file: BinaryIO) -> Sequence[EmbeddedSignature]:
        """Return the PKCS #7 signatures of the certificate table, each followed by those nested in it.

        Raises MalformedError; a file without a signature gives an empty list.
        """
        found: list[EmbeddedSignature] = []
        for entry in win_certificate.read_table(_table(file, read_layout(file))):
            if entry.kind == win_certificate.PKCS_SIGNED_DATA:
                found.append(EmbeddedSignature(data=entry.data))
                nested = authenticode.nested_signatures(entry.data)
                found.extend(EmbeddedSignature(data=data, nested=True) for data in nested)
        return found

    def attach(self, file: BinaryIO, output: BinaryIO, signature: bytes, mode: "AttachMode") -> None:
        """Make `output` the file with the signature; it must be empty or a copy of the file, and seekable.

        `replace` drops every signature that is there; `append` nests the new one in the first, or is a plain
        attach if there is none. Raises MalformedError, UnsupportedError (a table behind 4 GiB has no address).
        """
        layout = read_layout(file)
        signature = authenticode.check_signature(signature)
        entries = win_certificate.read_table(_table(file, layout)) if mode == "append" else []
        table = win_certificate.write_table(_with(entries, signature))
        offset = layout.body_end + len(layout.padding)
        if offset + len(table) >= _OFFSET_LIMIT:
            raise UnsupportedError("the file is too large to be signed: the certificate table must lie below 4 GiB")
        entry = struct.pack("<II", offset, len(table))
        copied = output.seek(0, 2) > 0
        checksum = win_certificate.Checksum()
        for start, piece in views(file, layout.body_end, CHUNK):
            _patch(piece, start, layout.checksum, bytes(4))
            _patch(piece, start, layout.directory, entry)
            checksum.update(piece)
            if not copied:
                output.write(piece)
        checksum.update(layout.padding + table)
        output.seek(layout.body_end)
        output.write(layout.padding + table)
        output.truncate()
        output.seek(layout.directory)
        output.write(entry)
        output.seek(layout.checksum)
        output.write(struct.pack("<I", checksum.value(offset + len(table))))


def _table(file: BinaryIO, layout: Layout) -> bytes:
    return read_at(file, layout.body_end, layout.size - layout.body_end, layout.size)


def _with(entries: Sequence[win_certificate.Certificate], signature: bytes) -> list[win_certificate.Certificate]:
    """Return the entries with the signature nested in the first that is one, or alone if there is none."""
    for index, entry in enumerate(entries):
        if entry.kind == win_certificate.PKCS_SIGNED_DATA:
            nested = replace(entry, data=authenticode.nest(entry.data, signature))
            return [*entries[:index], nested, *entries[index + 1 :]]
    return [*entries, win_certificate.Certificate(signature)]


def _update_image(image: "_Hash", layout: Layout, start: int, piece: memoryview) -> None:
    """Hash what Authenticode signs of one piece that lies at `start`."""
    view = piece[: max(0, layout.body_end - start)]
    position = 0
    for hole_start, hole_end in layout.holes:
        upto = min(max(hole_start - start, position), len(view))
        image.update(view[position:upto])
        position = min(max(hole_end - start, position), len(view))
    image.update(view[position:])


def _patch(piece: memoryview, start: int, offset: int, new: bytes) -> None:
    """Replace the bytes at the file's `offset` in the piece that lies at `start`, where they overlap."""
    first, last = max(offset, start), min(offset + len(new), start + len(piece))
    if first < last:
        piece[first - start : last - start] = new[first - offset : last - offset]


FORMAT: Final["Format"] = PE()
