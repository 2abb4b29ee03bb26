"""A network that loses datagrams, between the daemon and a port of loopback, both ways."""

import random
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lossy(
    port: int, share: float, host: str = "127.0.0.1", seed: int = 1, *, both_ways: bool = True
) -> Iterator[int]:
    """Pass datagrams on to a port, and back to who sent the last one there, but for some.

    Args:
        port: where they go.
        share: of them that are lost, from 0 to 1.
        both_ways: whether some are lost on the way back as well.
        host: likewise.
        seed: for chance to be the same each time.
    """
    rng, over = random.Random(seed), threading.Event()
    with (
        socket.socket(type=socket.SOCK_DGRAM) as outer,
        socket.socket(type=socket.SOCK_DGRAM) as inner,
    ):
        outer.bind(("127.0.0.1", 0))
        inner.bind(("127.0.0.1", 0))
        # not connected: what one side can't take must not be told to the other

        def pass_on() -> None:
            sender = None
            while not over.is_set():
                for sock in select.select([outer, inner], [], [], 0.1)[0]:
                    data, source = sock.recvfrom(65536)
                    if sock is outer:
                        sender = source
                    to = (host, port) if sock is outer else sender
                    loses = both_ways or sock is outer
                    if to is not None and not (loses and rng.random() < share):
                        (inner if sock is outer else outer).sendto(data, to)

        thread = threading.Thread(target=pass_on)
        thread.start()
        try:
            yield outer.getsockname()[1]
        finally:
            over.set()
            thread.join()
