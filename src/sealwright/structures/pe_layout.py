"""Where the parts of a Windows executable lie: the headers of a PE file, as far as a signature depends on them.

Source: Microsoft, "PE Format" (the offsets below).
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from sealwright.domain.errors import MalformedError, UnsupportedError
from sealwright.structures import win_certificate
from sealwright.structures.streams import read_exactly

DOS_HEADER: Final = 64
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


@dataclass(frozen=True, slots=True)
class Layout:
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


def read_layout(file: BinaryIO) -> Layout:
    """Read and check the headers; nothing of the file's own sizes decides how much is read."""
    size = file.seek(0, 2)
    if size == 0:
        raise MalformedError("the file is empty")
    dos = read_at(file, 0, DOS_HEADER, size)
    if dos[:2] != b"MZ":
        raise MalformedError("the file does not begin as a Windows executable does")
    (pe,) = struct.unpack_from("<I", dos, 60)
    if pe < _FIRST_PE_OFFSET:
        raise MalformedError("the PE header overlaps the pointer to it")
    coff = read_at(file, pe, _COFF_HEADER, size)
    if coff[:4] != b"PE\0\0":
        raise MalformedError("there is no PE header where the file says it is", hint="DOS programs cannot be signed")
    machine, sections, optional_size = struct.unpack("<HH12xH2x", coff[4:])
    start = pe + _COFF_HEADER
    optional = read_at(file, start, min(optional_size, 256), size)
    directories = _directories(optional, machine)
    headers_end = start + optional_size + sections * _SECTION_HEADER
    table_offset, table_size = struct.unpack_from("<II", optional, directories + 8 * _SECURITY_DIRECTORY)
    body_end = _body_end(size, headers_end, table_offset, table_size)
    if not 0 < sections <= _MAX_SECTIONS:
        raise MalformedError(f"the file claims {sections} sections; Windows loads 1 to {_MAX_SECTIONS}")
    _check_sections(read_at(file, start + optional_size, sections * _SECTION_HEADER, size), body_end)
    (header_size,) = struct.unpack_from("<I", optional, 60)
    if header_size > body_end:
        raise MalformedError("the headers are larger than the file", hint="the file is truncated or damaged")
    return Layout(size, start + 64, start + directories + 8 * _SECURITY_DIRECTORY, body_end)


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


def read_at(file: BinaryIO, offset: int, length: int, size: int) -> bytes:
    """Read a part of a file of that size. Raises MalformedError if it reaches beyond the end."""
    if offset + length > size:
        raise MalformedError("the file ends inside its headers", hint="it is truncated or damaged")
    file.seek(offset)
    return read_exactly(file, length)
