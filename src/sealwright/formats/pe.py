"""Windows executables, libraries, drivers and EFI programs (Portable Executable).

Sources: Microsoft, "PE Format" (the offsets below) and "Windows Authenticode Portable Executable Signature
Format" (2008). The digest covers the file but for the CheckSum, the certificate table and its directory entry;
a file without a signature is taken as if padded with zeros to a multiple of 8.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import new as new_hash
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from sealwright.domain.errors import MalformedError, UnsupportedError
from sealwright.domain.messages import EmbeddedSignature, FileDigests
from sealwright.structures import authenticode, win_certificate

if TYPE_CHECKING:
    from hashlib import _Hash
    from io import BufferedIOBase

    from sealwright.contracts import AttachMode, Format, Together
    from sealwright.domain.keys import DigestAlgorithm

CHUNK: Final = 1 << 20  # bytes read at once, and so the memory that a file of any size costs

_TOGETHER = 4  # times CHUNK, while two threads hash a piece

_DOS_HEADER = 64
_COFF_HEADER = 24  # with the four bytes "PE\0\0" before it
_FIRST_PE_OFFSET = 4  # lower, and the header would overlap its own pointer
_PE32, _PE32_PLUS = 0x10B, 0x20B
_DIRECTORIES = {_PE32: 96, _PE32_PLUS: 112}  # offset of the data directories in the optional header
_MAX_DIRECTORIES = 16
_SECURITY_DIRECTORY = 4
_MAX_SECTIONS = 96  # the Windows loader's limit
_SECTION_HEADER = 40
_X86, _X64, _ARM64 = 0x14C, 0x8664, 0xAA64
_WIDTHS = {_X86: _PE32, _X64: _PE32_PLUS, _ARM64: _PE32_PLUS}
# ARM, Thumb, ARMNT, Itanium, EFI byte code; RISC-V, LoongArch; ARM64EC, ARM64X
_OTHER_MACHINES = frozenset((0x1C0, 0x1C2, 0x1C4, 0x200, 0xEBC)) | {0x5032, 0x5064, 0x6232, 0x6264, 0xA641, 0xA64E}

_OFFSET_LIMIT = 1 << 32


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the parts of one file lie; `body_end` is the end of all that is signed, before padding."""

    size: int
    checksum: int
    directory: int
    body_end: int

    @property
    def padding(self) -> bytes:
        """The zeros that an unsigned file gets before its first signature."""
        return bytes(-self.body_end % win_certificate.ALIGNMENT)

    @property
    def holes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The fields that are not signed: CheckSum and the directory entry of the certificate table."""
        return (self.checksum, self.checksum + 4), (self.directory, self.directory + 8)


class PE:
    """The format `pe`. Every error of a file is a MalformedError or an UnsupportedError."""

    name: str = "pe"
    title: str = "Windows executable"
    scheme: str = "authenticode"
    suffixes: tuple[str, ...] = (".exe", ".dll", ".sys", ".efi", ".ocx", ".scr", ".cpl", ".pyd", ".node", ".mui")

    def recognises(self, head: bytes) -> bool:
        """Tell whether a file starts as a DOS program that points to a PE header, near or past these bytes."""
        if len(head) < _DOS_HEADER or head[:2] != b"MZ":
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
        layout = _read_layout(file)
        flat, image = sha256(), new_hash(algorithm.value)
        for start, piece in _views(file, layout.size, CHUNK if together is None else _TOGETHER * CHUNK):
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
        for entry in win_certificate.read_table(_table(file, _read_layout(file))):
            if entry.kind == win_certificate.PKCS_SIGNED_DATA:
                found.append(EmbeddedSignature(data=entry.data))
                nested = authenticode.nested_signatures(entry.data)
                found.extend(EmbeddedSignature(data=data, nested=True) for data in nested)
        return found

    def attach(self, file: BinaryIO, output: BinaryIO, signature: bytes, mode: "AttachMode") -> None:
        """Write the file with the signature to `output`, which must be empty, readable or not, and seekable.

        `replace` drops every signature that is there; `append` nests the new one in the first, or is a plain
        attach if there is none. Raises MalformedError, UnsupportedError (a table behind 4 GiB has no address).
        """
        layout = _read_layout(file)
        signature = authenticode.check_signature(signature)
        entries = win_certificate.read_table(_table(file, layout)) if mode == "append" else []
        table = win_certificate.write_table(_with(entries, signature))
        offset = layout.body_end + len(layout.padding)
        if offset + len(table) >= _OFFSET_LIMIT:
            raise UnsupportedError("the file is too large to be signed: the certificate table must lie below 4 GiB")
        checksum = win_certificate.Checksum()
        for start, piece in _pieces(file, 0, layout.body_end):
            patched = _patched(piece, start, layout.checksum, bytes(4))
            patched = _patched(patched, start, layout.directory, struct.pack("<II", offset, len(table)))
            checksum.update(patched)
            output.write(patched)
        checksum.update(layout.padding)
        checksum.update(table)
        output.write(layout.padding)
        output.write(table)
        output.seek(layout.checksum)
        output.write(struct.pack("<I", checksum.value(offset + len(table))))
        output.seek(0, 2)


def _read_layout(file: BinaryIO) -> _Layout:
    """Read and check the headers; nothing of the file's own sizes decides how much is read."""
    size = file.seek(0, 2)
    if size == 0:
        raise MalformedError("the file is empty")
    dos = _read_at(file, 0, _DOS_HEADER, size)
    if dos[:2] != b"MZ":
        raise MalformedError("the file does not begin as a Windows executable does")
    (pe,) = struct.unpack_from("<I", dos, 60)
    if pe < _FIRST_PE_OFFSET:
        raise MalformedError("the PE header overlaps the pointer to it")
    coff = _read_at(file, pe, _COFF_HEADER, size)
    if coff[:4] != b"PE\0\0":
        raise MalformedError("there is no PE header where the file says it is", hint="DOS programs cannot be signed")
    machine, sections, optional_size = struct.unpack("<HH12xH2x", coff[4:])
    start = pe + _COFF_HEADER
    optional = _read_at(file, start, min(optional_size, 256), size)
    directories = _directories(optional, machine)
    headers_end = start + optional_size + sections * _SECTION_HEADER
    table_offset, table_size = struct.unpack_from("<II", optional, directories + 8 * _SECURITY_DIRECTORY)
    body_end = _body_end(size, headers_end, table_offset, table_size)
    if not 0 < sections <= _MAX_SECTIONS:
        raise MalformedError(f"the file claims {sections} sections; Windows loads 1 to {_MAX_SECTIONS}")
    _check_sections(_read_at(file, start + optional_size, sections * _SECTION_HEADER, size), body_end)
    (header_size,) = struct.unpack_from("<I", optional, 60)
    if header_size > body_end:
        raise MalformedError("the headers are larger than the file", hint="the file is truncated or damaged")
    return _Layout(size, start + 64, start + directories + 8 * _SECURITY_DIRECTORY, body_end)


def _directories(optional: bytes, machine: int) -> int:
    """Check the optional header's kind and return where its data directories begin."""
    if len(optional) < _DIRECTORIES[_PE32]:
        raise MalformedError("the optional header is too short")
    (magic,) = struct.unpack_from("<H", optional, 0)
    directories = _DIRECTORIES.get(magic)
    if directories is None:
        raise MalformedError(f"the optional header is of the unknown kind 0x{magic:04x}")
    if machine not in _WIDTHS and machine not in _OTHER_MACHINES:
        raise UnsupportedError(f"the file is for the unknown processor 0x{machine:04x}")
    if _WIDTHS.get(machine, magic) != magic:
        raise MalformedError("processor and optional header contradict each other")
    if len(optional) < directories + 8 * (_SECURITY_DIRECTORY + 1):
        raise UnsupportedError("the header has no room for a certificate table", hint="link the program anew")
    (count,) = struct.unpack_from("<I", optional, directories - 4)
    if count > _MAX_DIRECTORIES:
        raise MalformedError(f"the file claims {count} data directories; there are {_MAX_DIRECTORIES}")
    if count <= _SECURITY_DIRECTORY:
        raise UnsupportedError("the header has no room for a certificate table", hint="link the program anew")
    return directories


def _body_end(size: int, headers_end: int, offset: int, length: int) -> int:
    """Check the certificate table's place and return where the signed part of the file ends."""
    if headers_end > size:
        raise MalformedError("the file ends inside its headers", hint="it is truncated or damaged")
    if offset == 0 and length == 0:
        return size
    if offset < headers_end or length < win_certificate.HEADER or offset % win_certificate.ALIGNMENT:
        raise MalformedError("the certificate table lies where none can be")
    if offset + length > size:
        raise MalformedError("the certificate table reaches beyond the end of the file", hint="the file is truncated")
    if offset + length < size:
        raise MalformedError(
            "data follows the certificate table", hint="remove what was added to the file after it had been signed"
        )
    if length > win_certificate.MAX_TABLE:
        raise MalformedError(f"the certificate table is larger than {win_certificate.MAX_TABLE >> 20} MiB")
    return offset


def _check_sections(table: bytes, body_end: int) -> None:
    for start in range(0, len(table), _SECTION_HEADER):
        length, offset = struct.unpack_from("<II", table, start + 16)
        if length and offset and offset + length > body_end:
            raise MalformedError(
                "a section reaches beyond the end of the file or into its signature",
                hint="the file is truncated or damaged",
            )


def _table(file: BinaryIO, layout: _Layout) -> bytes:
    return _read_at(file, layout.body_end, layout.size - layout.body_end, layout.size)


def _with(entries: Sequence[win_certificate.Certificate], signature: bytes) -> list[win_certificate.Certificate]:
    """Return the entries with the signature nested in the first that is one, or alone if there is none."""
    for index, entry in enumerate(entries):
        if entry.kind == win_certificate.PKCS_SIGNED_DATA:
            nested = replace(entry, data=authenticode.nest(entry.data, signature))
            return [*entries[:index], nested, *entries[index + 1 :]]
    return [*entries, win_certificate.Certificate(signature)]


def _update_image(image: "_Hash", layout: _Layout, start: int, piece: memoryview) -> None:
    """Hash what Authenticode signs of one piece that lies at `start`."""
    view = piece[: max(0, layout.body_end - start)]
    position = 0
    for hole_start, hole_end in layout.holes:
        upto = min(max(hole_start - start, position), len(view))
        image.update(view[position:upto])
        position = min(max(hole_end - start, position), len(view))
    image.update(view[position:])


def _patched(piece: bytes, start: int, offset: int, new: bytes) -> bytes:
    """Return the piece that lies at `start` with the bytes at the file's `offset` replaced where they overlap."""
    first, last = max(offset, start), min(offset + len(new), start + len(piece))
    if first >= last:
        return piece
    return piece[: first - start] + new[first - offset : last - offset] + piece[last - start :]


def _pieces(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Read [start, end) in pieces of at most CHUNK bytes, each with its offset."""
    file.seek(start)
    while start < end:
        piece = _read_exactly(file, min(CHUNK, end - start))
        yield start, piece
        start += len(piece)


def _views(file: BinaryIO, size: int, chunk: int) -> Iterator[tuple[int, memoryview]]:
    """Read a whole file into one buffer again and again; each view is good until the next is asked for.

    New memory for every piece would cost half as much as its hash.
    """
    readinto = cast("BufferedIOBase", file).readinto
    buffer = memoryview(bytearray(min(chunk, size)))
    file.seek(0)
    for start in range(0, size, len(buffer)):
        view = buffer[: size - start]
        filled = 0
        while filled < len(view):
            count = readinto(view[filled:])
            if not count:
                raise MalformedError("the file became shorter while it was read")
            filled += count
        yield start, view


def _read_at(file: BinaryIO, offset: int, length: int, size: int) -> bytes:
    if offset + length > size:
        raise MalformedError("the file ends inside its headers", hint="it is truncated or damaged")
    file.seek(offset)
    return _read_exactly(file, length)


def _read_exactly(file: BinaryIO, length: int) -> bytes:
    """Read that many bytes; a raw file may give them in several portions."""
    piece = file.read(length)
    while len(piece) < length:
        more = file.read(length - len(piece))
        if not more:
            raise MalformedError("the file became shorter while it was read")
        piece += more
    return piece


FORMAT: Final["Format"] = PE()
