import hashlib
import io
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.contracts import AttachMode
from sealwright.domain import errors
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm, Module, Operator, Protection
from sealwright.domain.messages import SignerContext
from sealwright.formats import pe
from sealwright.formats.pe import PE
from sealwright.schemes.authenticode import Authenticode
from sealwright.structures import win_certificate
from tests.pki import Identity, Pki

if TYPE_CHECKING:
    from typing_extensions import Buffer

SHA256 = DigestAlgorithm.SHA256
PE_OFFSET, OPTIONAL = 0x80, 0x98
CHECKSUM = OPTIONAL + 64


def make_pe(*, machine: int = 0x8664, plus: bool = True, body: bytes = b"\xcc" * 512, overlay: bytes = b"") -> bytes:
    """Build the smallest PE file with one section, as the document "PE Format" describes it."""
    optional_size = (112 if plus else 96) + 16 * 8
    headers_end = OPTIONAL + optional_size + 40
    start = -(-headers_end // 512) * 512
    file = bytearray(start)
    file[:2] = b"MZ"
    struct.pack_into("<I", file, 60, PE_OFFSET)
    struct.pack_into("<4sHHIIIHH", file, PE_OFFSET, b"PE\0\0", machine, 1, 0, 0, 0, optional_size, 0x22)
    struct.pack_into("<H", file, OPTIONAL, 0x20B if plus else 0x10B)
    struct.pack_into("<I", file, OPTIONAL + 60, start)
    struct.pack_into("<I", file, OPTIONAL + (112 if plus else 96) - 4, 16)
    section = struct.pack("<8sIIII16x", b".text", len(body), 0x1000, len(body), start)
    file[OPTIONAL + optional_size : headers_end] = section
    return bytes(file) + body + overlay


def directory(*, plus: bool = True) -> int:
    return OPTIONAL + (112 if plus else 96) + 32


def with_fields(file: bytes, form: str, *fields: tuple[int, int]) -> bytes:
    changed = bytearray(file)
    for offset, value in fields:
        struct.pack_into(form, changed, offset, value)
    return bytes(changed)


def reference_digest(file: bytes, algorithm: str = "sha256", *, plus: bool = True) -> bytes:
    """Authenticode's digest, written down a second time and simply: no streaming, everything in memory."""
    entry = directory(plus=plus)
    offset, _ = struct.unpack_from("<II", file, entry)
    body = file[: offset or len(file)]
    body += bytes(-len(body) % 8)
    return hashlib.new(algorithm, body[:CHECKSUM] + body[CHECKSUM + 4 : entry] + body[entry + 8 :]).digest()


def reference_checksum(file: bytes) -> int:
    """The PE checksum by the textbook: word by word, with carry."""
    words = bytearray(file)
    words[CHECKSUM : CHECKSUM + 4] = bytes(4)
    total = 0
    for (word,) in struct.iter_unpack("<H", bytes(words)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total + len(file)


@pytest.fixture(scope="module")
def identity() -> Identity:
    return Pki().leaves[KeyAlgorithm.P256]


@pytest.fixture(scope="module")
def cms(identity: Identity) -> Callable[[bytes], bytes]:
    """Make an Authenticode signature over a file's digest."""
    protection = Protection(operator=Operator.CA, generated_by=Operator.CA, module=Module.HSM)
    context = SignerContext(chain=identity.chain, key_algorithm=identity.algorithm, protection=protection)
    prepared = Authenticode().prepare(context, SHA256, {})

    def make(file: bytes) -> bytes:
        digest = PE().digest(io.BytesIO(file), SHA256).digest
        signed = prepared.to_be_signed(digest, bytes(32))
        return prepared.assemble(digest, signed, identity.sign(hashlib.sha256(signed).digest(), SHA256))

    return make


Cms = Callable[[bytes], bytes]


def attach(file: bytes, signature: bytes, mode: AttachMode = "replace") -> bytes:
    output = io.BytesIO()
    PE().attach(io.BytesIO(file), output, signature, mode)
    return output.getvalue()


def data(file: bytes) -> list[tuple[bytes, bool]]:
    return [(found.data, found.nested) for found in PE().signatures(io.BytesIO(file))]


@pytest.mark.parametrize("overlay", [b"", b"x", b"1234567", b"12345678", b"y" * 4093])
@pytest.mark.parametrize(("machine", "plus"), [(0x14C, False), (0x8664, True), (0xAA64, True)])
def test_the_digest_covers_all_but_checksum_table_and_directory_entry(
    machine: int, overlay: bytes, *, plus: bool
) -> None:
    file = make_pe(machine=machine, plus=plus, overlay=overlay)
    digests = PE().digest(io.BytesIO(file), SHA256)
    assert digests.digest == reference_digest(file, plus=plus)
    assert digests.flat_sha256 == hashlib.sha256(file).digest()
    assert digests.size == len(file)


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
def test_the_digest_is_made_with_the_algorithm_asked_for(algorithm: DigestAlgorithm) -> None:
    file = make_pe()
    assert PE().digest(io.BytesIO(file), algorithm).digest == reference_digest(file, algorithm.value)


@given(chunk=st.integers(1, 700), overlay=st.binary(max_size=20))
def test_the_digest_does_not_depend_on_how_the_file_is_cut_into_pieces(chunk: int, overlay: bytes) -> None:
    file = make_pe(overlay=overlay)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pe, "CHUNK", chunk)
        assert PE().digest(io.BytesIO(file), SHA256).digest == reference_digest(file)


def test_a_file_is_read_once_in_pieces_of_at_most_a_mebibyte() -> None:
    class Watched(io.BytesIO):
        portions: list[int] = []  # noqa: RUF012 - one instance, one test

        def read(self, size: int | None = -1, /) -> bytes:
            self.portions.append(size or 0)
            return super().read(size)

        def readinto(self, buffer: "Buffer", /) -> int:
            self.portions.append(len(memoryview(buffer)))
            return super().readinto(buffer)

    file = Watched(make_pe(body=bytes(3 << 20)))
    heard: list[int] = []
    PE().digest(file, SHA256, heard.append)
    assert max(file.portions) <= 1 << 20
    assert min(file.portions) > 0
    assert sum(heard) == len(file.getvalue())
    assert sum(file.portions) - sum(heard) < 1024  # the headers


def test_the_two_digests_may_be_computed_by_a_caller_with_threads() -> None:
    calls: list[str] = []

    def together(first: Callable[[], object], second: Callable[[], object]) -> None:
        second()
        first()
        calls.append("both")

    file = make_pe(body=bytes(5 << 20))
    heard: list[int] = []
    assert PE().digest(io.BytesIO(file), SHA256, heard.append, together) == PE().digest(io.BytesIO(file), SHA256)
    assert len(calls) == 2
    assert heard == [4 << 20, len(file) - (4 << 20)]


def test_a_raw_file_that_reads_in_small_portions_gives_the_same_digest() -> None:
    class Raw(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 100))

        def readinto(self, buffer: "Buffer", /) -> int:
            return super().readinto(memoryview(buffer)[:100])

    file = make_pe(overlay=b"abc")
    assert PE().digest(Raw(file), SHA256).digest == reference_digest(file)


def test_a_file_that_shrinks_while_it_is_read_is_malformed() -> None:
    class Shrinking(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            return super().seek(offset, whence) + (512 if whence == 2 else 0)

    with pytest.raises(errors.MalformedError, match="became shorter"):
        PE().digest(Shrinking(make_pe()), SHA256)


@pytest.mark.parametrize("overlay", [b"", b"x", b"1234567", b"12345678"])
def test_an_attached_signature_is_found_again_and_leaves_the_digest_as_it_was(overlay: bytes, cms: Cms) -> None:
    file = make_pe(overlay=overlay)
    signature = cms(file)
    signed = attach(file, signature)
    ((found, nested),) = data(signed)
    assert (found.rstrip(b"\0"), nested) == (signature.rstrip(b"\0"), False)
    assert PE().digest(io.BytesIO(signed), SHA256).digest == reference_digest(file) == reference_digest(signed)
    assert struct.unpack_from("<I", signed, CHECKSUM) == (reference_checksum(signed),)
    offset, size = struct.unpack_from("<II", signed, directory())
    assert offset % 8 == size % 8 == 0
    assert offset + size == len(signed)
    assert signed[len(file) : offset] == bytes(offset - len(file))


@given(chunk=st.integers(1, 400).map(lambda half: 2 * half))
def test_the_signed_file_does_not_depend_on_how_it_is_cut_into_pieces(chunk: int, cms: Cms) -> None:
    file = make_pe(overlay=b"abc")
    signature = cms(file)
    whole = attach(file, signature)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pe, "CHUNK", chunk)
        assert attach(file, signature) == whole
        assert attach(whole, signature) == whole


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize("overlay", [b"", b"x", b"y" * 50_000])
@pytest.mark.parametrize("signatures", [0, 1, 2])
def test_a_copy_becomes_the_same_file_as_one_that_is_written_anew(
    mode: AttachMode, overlay: bytes, signatures: int, cms: Cms
) -> None:
    file = make_pe(overlay=overlay)
    for _ in range(signatures):
        file = attach(file, cms(file), "append")
    signature = cms(file)
    copy = io.BytesIO(file)
    PE().attach(io.BytesIO(file), copy, signature, mode)
    assert copy.getvalue() == attach(file, signature, mode)


def test_replacing_drops_every_signature_that_was_there(cms: Cms) -> None:
    file = make_pe()
    twice = attach(attach(file, cms(file)), cms(file), "append")
    assert len(data(twice)) == 2
    signature = cms(file)
    assert attach(twice, signature, "replace") == attach(file, signature)


def test_appending_nests_one_signature_after_another_in_the_first(cms: Cms) -> None:
    file = make_pe()
    first, *others = (cms(file) for _ in range(4))
    signed = attach(file, first, "append")
    for other in others:
        signed = attach(signed, other, "append")
    (_, outer), *nested = data(signed)
    assert outer is False
    assert {found for found, _ in nested} == set(others)
    assert all(is_nested for _, is_nested in nested)
    assert struct.unpack_from("<I", signed, CHECKSUM) == (reference_checksum(signed),)


def test_appending_keeps_other_entries_of_the_certificate_table(cms: Cms) -> None:
    file = make_pe()
    other = win_certificate.Certificate(b"something", kind=1)
    table = win_certificate.write_table(
        [other, win_certificate.Certificate(cms(file)), win_certificate.Certificate(cms(file))]
    )
    signed = with_fields(file, "<I", (directory(), len(file)), (directory() + 4, len(table))) + table
    assert [nested for _, nested in data(signed)] == [False, False]
    appended = attach(signed, cms(file), "append")
    assert [nested for _, nested in data(appended)] == [False, True, False]
    assert data(appended)[2] == data(signed)[1]
    assert other.data in appended


def test_appending_to_a_table_without_a_signature_adds_one(cms: Cms) -> None:
    file = make_pe()
    table = win_certificate.write_table([win_certificate.Certificate(b"something", kind=1)])
    signed = with_fields(file, "<I", (directory(), len(file)), (directory() + 4, len(table))) + table
    assert data(signed) == []
    assert [nested for _, nested in data(attach(signed, cms(file), "append"))] == [False]


def test_an_unsigned_file_has_no_signatures() -> None:
    assert data(make_pe()) == []


def test_only_an_authenticode_signature_can_be_attached() -> None:
    with pytest.raises(errors.MalformedError):
        attach(make_pe(), b"no signature")


def test_a_file_behind_four_gibibytes_is_refused(cms: Cms) -> None:
    class Huge(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            return (1 << 32) - 8 if whence == 2 else super().seek(offset, whence)

    file = make_pe()
    output = io.BytesIO()
    with pytest.raises(errors.UnsupportedError, match="4 GiB"):
        PE().attach(Huge(file), output, cms(file), "replace")
    assert output.getvalue() == b""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _: b"", "empty"),
        (lambda file: file[:63], "ends inside"),
        (lambda file: b"ZM" + file[2:], "does not begin"),
        (lambda file: with_fields(file, "<I", (60, 0)), "overlaps"),
        (lambda file: with_fields(file, "<I", (60, 0xFFFFFFFF)), "ends inside"),
        (lambda file: with_fields(file, "<H", (PE_OFFSET, 0x454E)), "no PE header"),
        (lambda file: with_fields(file, "<H", (PE_OFFSET + 4, 0x1234)), "unknown processor"),
        (lambda file: with_fields(file, "<H", (PE_OFFSET + 4, 0x14C)), "contradict"),
        (lambda file: with_fields(file, "<H", (PE_OFFSET + 6, 0)), "0 sections"),
        (lambda file: with_fields(file + bytes(8000), "<H", (PE_OFFSET + 6, 97)), "97 sections"),
        (lambda file: with_fields(file, "<H", (PE_OFFSET + 6, 0xFFFF)), "inside its headers"),
        (lambda file: with_fields(file, "<H", (PE_OFFSET + 20, 40)), "too short"),
        (lambda file: with_fields(file, "<H", (PE_OFFSET + 20, 120)), "no room"),
        (lambda file: with_fields(file, "<H", (PE_OFFSET + 20, 0xFFFF)), "inside its headers"),
        (lambda file: with_fields(file, "<H", (OPTIONAL, 0x107)), "unknown kind"),
        (lambda file: with_fields(file, "<I", (OPTIONAL + 60, 0x7FFFFFFF)), "larger than the file"),
        (lambda file: with_fields(file, "<I", (OPTIONAL + 108, 4)), "no room"),
        (lambda file: with_fields(file, "<I", (OPTIONAL + 108, 0xFFFFFFFF)), "data directories"),
        (lambda file: file[:-1], "a section reaches"),
        (lambda file: with_fields(file, "<I", (directory(), 0xFFFFFFF8), (directory() + 4, 64)), "beyond the end"),
        (lambda file: with_fields(file, "<I", (directory(), 512), (directory() + 4, 16)), "data follows"),
        (lambda file: with_fields(file, "<I", (directory(), 513), (directory() + 4, 16)), "none can be"),
        (lambda file: with_fields(file, "<I", (directory(), 8), (directory() + 4, 16)), "none can be"),
        (lambda file: with_fields(file, "<I", (directory(), 0), (directory() + 4, 16)), "none can be"),
        (lambda file: with_fields(file, "<I", (directory(), 512), (directory() + 4, 512)), "into its signature"),
    ],
)
def test_a_damaged_or_gigantic_header_is_one_clear_error(change: Callable[[bytes], bytes], words: str) -> None:
    damaged = change(make_pe())
    with pytest.raises((errors.MalformedError, errors.UnsupportedError), match=words):
        PE().digest(io.BytesIO(damaged), SHA256)
    output = io.BytesIO()
    with pytest.raises(errors.SealwrightError):
        PE().attach(io.BytesIO(damaged), output, b"", "append")
    assert output.getvalue() == b""


def test_a_certificate_table_of_more_than_sixteen_mebibytes_is_not_read() -> None:
    file = make_pe()
    size = (16 << 20) + 8
    damaged = with_fields(file, "<I", (directory(), len(file)), (directory() + 4, size)) + bytes(size)
    with pytest.raises(errors.MalformedError, match="larger than 16 MiB"):
        PE().signatures(io.BytesIO(damaged))


def test_a_head_is_recognised_by_its_two_signatures() -> None:
    file = make_pe()
    assert PE().recognises(file[:4096])
    assert PE().recognises(file[:PE_OFFSET])  # the header lies behind these bytes
    assert not PE().recognises(file[:63])
    assert not PE().recognises(b"ZM" + file[2:])
    assert not PE().recognises(with_fields(file, "<H", (PE_OFFSET, 0x454E)))


@given(
    flips=st.lists(st.tuples(st.integers(0, 1023), st.integers(0, 7)), min_size=1, max_size=8),
    keep=st.integers(0, 1500),
    in_signature=st.booleans(),
)
def test_damage_is_refused_or_leaves_a_file_that_can_be_signed(
    flips: list[tuple[int, int]], keep: int, in_signature: bool, cms: Cms
) -> None:
    file = make_pe()
    signature = cms(file)
    damaged = bytearray(attach(file, signature))
    for position, bit in flips:
        damaged[position + (1024 if in_signature else 0)] ^= 1 << bit
    check_invariants(bytes(damaged), signature)
    check_invariants(bytes(damaged[:keep]), signature)
    check_invariants(bytes(damaged[: len(damaged) - keep]), signature)


@given(st.binary(max_size=600))
def test_noise_behind_a_dos_header_is_refused_or_can_be_signed(noise: bytes) -> None:
    file = with_fields(b"MZ" + bytes(62), "<I", (60, 64)) + b"PE\0\0" + noise
    with pytest.raises(errors.SealwrightError):
        PE().digest(io.BytesIO(file), SHA256)


def check_invariants(file: bytes, signature: bytes) -> None:
    """Sign a file that may be damaged: one of our errors, or a file whose digest and signature are right."""
    modes: tuple[AttachMode, ...] = ("replace", "append")
    for mode in modes:
        try:
            before = PE().digest(io.BytesIO(file), SHA256).digest
            found = PE().signatures(io.BytesIO(file))
            signed = attach(file, signature, mode)
        except errors.SealwrightError:
            continue
        assert PE().digest(io.BytesIO(signed), SHA256).digest == before
        texts = [(item.data.rstrip(b"\0"), item.nested) for item in PE().signatures(io.BytesIO(signed))]
        assert (signature.rstrip(b"\0"), bool(found) and mode == "append") in texts
