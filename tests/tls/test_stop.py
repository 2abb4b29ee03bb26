"""A stop waits for nobody who doesn't read: docs/operations.md promises a second."""

import contextlib
import ssl
import time
from collections.abc import Callable
from typing import Any

from tests.service.client import request, talk
from tests.service.fixtures import Run
from tests.tls.client import Tls, talk_tls

Section = Callable[..., dict[str, Any]]
PEERS = {"uvloop": 1000, "asyncio": 200}
ENOUGH = 15.0
"""Seconds, generously: a single peer that didn't read made a stop last thirty."""


def test_a_thousand_peers_that_do_not_read(
    run_daemon: Run, loop: str, tls: Section, context: ssl.SSLContext
) -> None:
    """They answer no close_notify (RFC 8446 §6.1): cut off after a second, and the log says so."""
    limits = {
        "handshakes": 100_000,
        "handshakes_per_peer": 100_000,
        "connections_per_peer": 10_000,
    }
    daemon = run_daemon(loop=loop, listen=["tls://127.0.0.1:0"], tls=tls(), limits=limits)
    with contextlib.ExitStack() as stack:
        peers = [
            stack.enter_context(talk_tls(daemon.address("tls"), context))
            for _ in range(PEERS[loop])
        ]
        peers[0].send(request())
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < ENOUGH
    assert daemon.event("closing_connections")["connections"] == PEERS[loop]
    assert daemon.event("connections_cut_off")["connections"] > 0


def test_who_comes_at_the_end_is_told_to_come_later(
    run_daemon: Run, loop: str, tls: Section, context: ssl.SSLContext
) -> None:
    """Ports close last: while peers are waited for, a new connection is served, with 503."""
    listen = ["tls://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://127.0.0.1:0"]
    daemon = run_daemon(loop=loop, listen=listen, tls=tls())
    with talk_tls(daemon.address("tls"), context) as mute:
        assert isinstance(mute, Tls)
        daemon.process.terminate()
        daemon.event("closing_connections")
        for transport in ("tcp", "udp"):
            with talk(transport, daemon.address(transport)) as late:
                late.send(request())
                answer = late.receive()
            assert (answer.status, answer["Retry-After"]) == (503, "30")
        assert daemon.process.wait(ENOUGH) == 0
