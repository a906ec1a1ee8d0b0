"""The sum of a stream's 16-bit words (little-endian) modulo 2**16 - 1: ones' complement addition, in bulk.

Python adds integers slowly, and turning bytes into large integers takes longer than hashing them. Poly1305
(RFC 8439, section 2.5) is an addition that runs at the speed of memory: at the point r = 1, with s = 0, its tag
is the sum of all 16-byte blocks, each with 2**128 added, modulo p = 2**130 - 5, less its two highest bits.
Nothing is authenticated here; the key is no secret.

With A the sum of the 64-bit words at even places and B of those at odd places, n whole blocks have the sum
A + 2**64 B + n 2**128. The stream moved on by 8 bytes has 2**64 A + B + (n + 1) 2**128. Both together are
(A + B)(2**64 + 1) + (2n + 1) 2**128, and 4 (2**64 - 1) is the inverse of 2**64 + 1 modulo p. So the two tags give
A + B modulo p. What the tags lack is t 2**128 with t from 0 to 6; it would add 5t (2**64 - 1) to A + B, which is 0
modulo 2**16 - 1. Taking t = 6 makes the result A + B or more, never less; both are far below p, so that nothing
else is lost.
"""

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.poly1305 import Poly1305

MODULUS: Final = 0xFFFF

_P: Final = (1 << 130) - 5
_INVERSE: Final = 4 * ((1 << 64) - 1)  # of 2**64 + 1 modulo p
_KEY: Final = b"\1" + bytes(31)  # r = 1, s = 0
_BLOCK: Final = 16
_FOLD: Final = 16_384  # bytes turned into one integer at a time; even


class BlockSum:
    """The sum by Poly1305. Raises UnsupportedAlgorithm where OpenSSL has none (in FIPS mode)."""

    def __init__(self) -> None:
        self._even, self._odd = Poly1305(_KEY), Poly1305(_KEY)
        self._odd.update(bytes(8))
        self._size = 0

    def update(self, piece: bytes | memoryview) -> None:
        """Add the next piece, of any length."""
        self._even.update(piece)
        self._odd.update(piece)
        self._size += len(piece)

    def value(self) -> int:
        """Return the sum and end it; the stream is taken as if a zero followed its last odd byte."""
        self.update(bytes(-self._size % _BLOCK))
        self._odd.update(bytes(8))
        tags = sum(int.from_bytes(one.finalize(), "little") for one in (self._even, self._odd))
        blocks = 2 * (self._size // _BLOCK) + 1
        return (tags + ((6 - blocks) << 128)) * _INVERSE % _P % MODULUS


class IntegerSum:
    """The same sum by Python's integers, eight times slower: 2**16 is 1, so blocks of words may be added whole."""

    def __init__(self) -> None:
        self._sum = 0
        self._size = 0

    def update(self, piece: bytes | memoryview) -> None:
        """Add the next piece, of any length."""
        shift = 8 * (self._size % 2)
        view = memoryview(piece)
        for start in range(0, len(view), _FOLD):
            self._sum += int.from_bytes(view[start : start + _FOLD], "little") << shift
        self._size += len(view)

    def value(self) -> int:
        """Return the sum; the stream is taken as if a zero followed its last odd byte."""
        return self._sum % MODULUS


def word_sum(fast: Callable[[], BlockSum] = BlockSum) -> BlockSum | IntegerSum:
    """Begin a sum, the fast one if it can be had."""
    try:
        return fast()
    except UnsupportedAlgorithm:
        return IntegerSum()
