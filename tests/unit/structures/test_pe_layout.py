import io
import struct

import pytest

from sealwright.domain.errors import MalformedError
from sealwright.structures.pe_layout import Layout, read_layout
from tests.unit.formats.test_pe import CHECKSUM, directory, make_pe, with_fields


def test_the_layout_names_the_fields_that_are_not_signed_and_where_the_signed_part_ends() -> None:
    file = make_pe(overlay=b"abc")
    layout = read_layout(io.BytesIO(file))
    assert layout == Layout(len(file), CHECKSUM, directory(), len(file))
    assert layout.holes == ((CHECKSUM, CHECKSUM + 4), (directory(), directory() + 8))
    assert layout.padding == bytes(5)


def test_the_signed_part_ends_where_the_certificate_table_begins() -> None:
    file = make_pe()
    table = struct.pack("<IHH", 16, 0x0200, 2) + b"contents"
    layout = read_layout(io.BytesIO(with_fields(file, "<I", (directory(), len(file)), (directory() + 4, 16)) + table))
    assert (layout.size, layout.body_end, layout.padding) == (len(file) + 16, len(file), b"")


def test_a_file_that_is_no_program_is_malformed() -> None:
    with pytest.raises(MalformedError, match="does not begin"):
        read_layout(io.BytesIO(bytes(100)))
