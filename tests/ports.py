"""Port numbers for what must know its port before it starts, with many tests running at once.

To bind port 0, read the number, close and hand it on leaves a moment in which the system gives the
number to somebody else. Numbers from here lie below those that it gives out by itself, and each is
reserved until this process ends: by a Unix socket with a name that stands in no file system, which
every other test process of this machine finds taken, and which goes with the process.
"""

import itertools
import os
import socket
from collections.abc import Iterator

_RANGE = range(20_000, 30_000)

_reserved: list[socket.socket] = []


def free_port() -> int:
    """A port that is free for UDP and TCP on all of loopback, and that no other test gets.

    Raises:
        AssertionError: all are taken.
    """
    for port in itertools.islice(_numbers, len(_RANGE)):
        if _is_free(port) and _reserve(port):
            return port
    raise AssertionError("no free port")


def _from_a_place_of_ones_own() -> Iterator[int]:
    """All numbers, round and round; each process begins elsewhere, so that few meet."""
    begin = os.getpid() * 100 % len(_RANGE)
    return itertools.cycle([*_RANGE[begin:], *_RANGE[:begin]])


_numbers = _from_a_place_of_ones_own()


def _reserve(port: int) -> bool:
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        mark.bind(f"\0chatredirect-test-port-{port}")
    except OSError:
        mark.close()
        return False
    _reserved.append(mark)
    return True


def _is_free(port: int) -> bool:
    """Nobody has it, be it in TIME_WAIT, whatever address of this machine it is bound to."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True
