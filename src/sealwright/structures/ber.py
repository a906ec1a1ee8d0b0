"""A bounded reader of BER and DER (ITU-T X.690) for structures that others made.

Every element keeps its place in the input, so that what was signed is never re-encoded. Depth, count of
elements and length of identifiers are limited; whatever breaks a rule raises MalformedError and nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sealwright.domain.errors import MalformedError

SEQUENCE = 0x30
SET = 0x31
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
UTF8_STRING = 0x0C
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
BOOLEAN = 0x01
ENUMERATED = 0x0A

_CONSTRUCTED = 0x20
_LONG_TAG = 0x1F
_MAX_DEPTH = 32
_MAX_ELEMENTS = 100_000
_MAX_LENGTH_OCTETS = 4
_MAX_OID_OCTETS = 64
_MAX_INTEGER_OCTETS = 1024


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its identifier octet, and where its header, contents and end lie in `data`."""

    data: bytes
    tag: int
    start: int
    body: int
    end: int

    @property
    def raw(self) -> bytes:
        """The whole element, header and all."""
        return self.data[self.start : self.end]

    @property
    def contents(self) -> bytes:
        """The contents octets."""
        return self.data[self.body : self.end]

    def children(self) -> Iterator["Element"]:
        """Read the elements inside a constructed element, one after another."""
        if not self.tag & _CONSTRUCTED:
            raise MalformedError("a constructed element was expected")
        position = self.body
        while position < self.end:
            child = _read(self.data, position, self.end)
            position = child.end
            yield child

    def expect(self, tag: int) -> "Element":
        """Return this element if it has the given identifier octet, or raise MalformedError."""
        if self.tag != tag:
            raise MalformedError(f"found ASN.1 tag 0x{self.tag:02x} where 0x{tag:02x} belongs")
        return self

    def sequence(self, tag: int = SEQUENCE) -> "Cursor":
        """Open this element (a SEQUENCE unless said otherwise) for reading field by field."""
        return Cursor(self.expect(tag))

    def only_child(self) -> "Element":
        """Return the single element inside, as in an EXPLICIT tag."""
        found = list(self.children())
        if len(found) != 1:
            raise MalformedError("exactly one element was expected inside another")
        return found[0]

    def oid(self) -> str:
        """Read an OBJECT IDENTIFIER as dotted text."""
        octets = self.expect(OBJECT_IDENTIFIER).contents
        if not 0 < len(octets) <= _MAX_OID_OCTETS or octets[-1] & 0x80:
            raise MalformedError("an object identifier is malformed")
        arcs: list[int] = []
        value = 0
        for octet in octets:
            value = value << 7 | octet & 0x7F
            if not octet & 0x80:
                arcs.append(value)
                value = 0
        first = min(arcs[0] // 40, 2)
        return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))

    def integer(self, tag: int = INTEGER) -> int:
        """Read an INTEGER of at most 1,024 octets."""
        octets = self.expect(tag).contents
        if not 0 < len(octets) <= _MAX_INTEGER_OCTETS:
            raise MalformedError("an integer is empty or too long")
        return int.from_bytes(octets, "big", signed=True)

    def octets(self, tag: int = OCTET_STRING) -> bytes:
        """Read an OCTET STRING's octets."""
        return self.expect(tag).contents

    def time(self) -> datetime:
        """Read a UTCTime or GeneralizedTime in UTC (RFC 5280, section 4.1.2.5; fractions as in RFC 3161)."""
        text = self.contents.decode("ascii", "replace")
        try:
            if self.tag == UTC_TIME:
                moment = datetime.strptime(text, "%y%m%d%H%M%SZ").replace(tzinfo=UTC)
                # Two-digit years below 50 are of this century (RFC 5280); strptime turns at 69.
                return moment.replace(year=moment.year - 100) if moment.year >= 2050 else moment  # noqa: PLR2004 - told above
            self.expect(GENERALIZED_TIME)
            form = "%Y%m%d%H%M%S.%fZ" if "." in text else "%Y%m%d%H%M%SZ"
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            raise MalformedError("a time is not in the form YYYYMMDDhhmmssZ") from None


class Cursor:
    """Reads the fields of one constructed element in order; optional fields by their tag."""

    __slots__ = ("_children", "_next")

    def __init__(self, element: Element) -> None:
        self._children = element.children()
        self._next = next(self._children, None)

    def take(self, tag: int | None = None) -> Element:
        """Take the next field, which must be there and, if a tag is given, must have it."""
        element = self._next
        if element is None:
            raise MalformedError("a field is missing at the end of an ASN.1 structure")
        if tag is not None:
            element.expect(tag)
        self._next = next(self._children, None)
        return element

    def maybe(self, tag: int) -> Element | None:
        """Take the next field if it has this tag."""
        if self._next is None or self._next.tag != tag:
            return None
        return self.take()

    def rest(self) -> list[Element]:
        """Take all that is left."""
        found: list[Element] = []
        while self._next is not None:
            found.append(self.take())
        return found


def read(data: bytes, *, trailing: bool = False) -> Element:
    """Read one element, turned into definite lengths first if it is BER.

    With `trailing`, zero or other octets may follow it (as padding does in files); otherwise none may.
    """
    if not data:
        raise MalformedError("the structure is empty")
    plain = _definite(data)
    element = _read(plain, 0, len(plain))
    if element.end != len(plain) and not trailing:
        raise MalformedError("octets follow the end of the structure")
    return element


def _read(data: bytes, position: int, limit: int) -> Element:
    tag, body, length = _header(data, position, limit)
    if length is None:
        raise MalformedError("an indefinite length stands where DER is required")
    if body + length > limit:
        raise MalformedError("an element is longer than what surrounds it")
    return Element(data, tag, position, body, body + length)


def _header(data: bytes, position: int, limit: int) -> tuple[int, int, int | None]:
    """Read identifier and length octets; a length of None is the indefinite form."""
    if position + 2 > limit:
        raise MalformedError("an element is cut off")
    tag, length = data[position], data[position + 1]
    if tag & _LONG_TAG == _LONG_TAG:
        raise MalformedError("tags above 30 are not used in the structures read here")
    body = position + 2
    if length < 0x80:  # noqa: PLR2004 - X.690 8.1.3.4: the short form
        return tag, body, length
    count = length & 0x7F
    if count == 0:
        return tag, body, None
    if count > _MAX_LENGTH_OCTETS or body + count > limit:
        raise MalformedError("a length is cut off or too large")
    return tag, body + count, int.from_bytes(data[body : body + count], "big")


def encode_length(length: int) -> bytes:
    """Return DER length octets."""
    if length < 0x80:  # noqa: PLR2004 - X.690 8.1.3.4: the short form
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def _definite(data: bytes) -> bytes:
    """Return the first element with definite lengths and joined strings; the same bytes if it has them already."""
    if not _is_indefinite(data):
        return data
    budget = [_MAX_ELEMENTS]
    converted, end = _convert(data, 0, len(data), _MAX_DEPTH, budget)
    return converted + data[end:]


def _is_indefinite(data: bytes) -> bool:
    """Look down the left edge, where CMS that uses the indefinite form shows it first."""
    position, limit = 0, len(data)
    for _ in range(_MAX_DEPTH):
        if position + 2 > limit:
            return False
        tag, body, length = _header(data, position, limit)
        if length is None:
            return True
        if body + length > limit:
            return False
        if tag == OBJECT_IDENTIFIER:
            position = body + length
        elif tag & _CONSTRUCTED:
            position = body
        else:
            return False
    return False


def _convert(data: bytes, position: int, limit: int, depth: int, budget: list[int]) -> tuple[bytes, int]:
    budget[0] -= 1
    if depth == 0 or budget[0] < 0:
        raise MalformedError("the structure is nested too deeply or has too many elements")
    tag, body, length = _header(data, position, limit)
    end = limit if length is None else body + length
    if end > limit:
        raise MalformedError("an element is longer than what surrounds it")
    if not tag & _CONSTRUCTED:
        if length is None:
            raise MalformedError("a primitive element has an indefinite length")
        return data[position:end], end
    parts: list[bytes] = []
    cursor = body
    while True:
        if length is None and data[cursor : cursor + 2] == b"\0\0":
            end = cursor + 2
            break
        if cursor == end:
            if length is None:
                raise MalformedError("the end of an indefinite length is missing")
            break
        part, cursor = _convert(data, cursor, end, depth - 1, budget)
        parts.append(part)
    if tag == OCTET_STRING | _CONSTRUCTED:
        tag = OCTET_STRING
        parts = [_read(part, 0, len(part)).octets() for part in parts]
    contents = b"".join(parts)
    return bytes([tag]) + encode_length(len(contents)) + contents, end
