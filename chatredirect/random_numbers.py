"""Random numbers by the hundred: one system call gives many of them."""

import struct
from collections.abc import Callable, Iterator

_OCTETS = 4096


def random_numbers(source: Callable[[int], bytes]) -> Iterator[int]:
    """Give numbers of 64 random bits, of which nobody can guess the next from the last, for ever.

    Args:
        source: gives so many random octets.
    """
    while True:
        for (number,) in struct.iter_unpack("=Q", source(_OCTETS)):
            yield number
