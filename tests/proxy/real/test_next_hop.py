"""Where a request to the caller goes when his connection is gone (RFC 5626 §5.3).

The next Route is a peer's word. It leads to the place with which the dialog began, and to that only
if it is trusted: so nobody makes the daemon deliver to a third party.
"""

import itertools
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lookup.peer import Peer
from tests.ports import free_port
from tests.proxy.real.dialog import POOL, Pool, answer, branch, pool, proxied, within
from tests.sent_message import SentMessage
from tests.service.daemon import PATIENCE, Daemon, configuration, endpoint, eventually
from tests.service.fixtures import Run
from tests.service.reload import rewrite
from tests.tls.authority import Authority, Leaf, peer_context
from tests.tls.conftest import FRONT_END

OTHER = "fe02.contoso.com"
TRUSTED, STRANGE = "127.0.0.3", "127.0.0.9"
NAMES = {POOL: ["127.0.0.1"], FRONT_END: [TRUSTED], OTHER: [STRANGE]}


class FrontEnd:
    """What listens where a Route leads."""

    def __init__(self, host: str, port: int, leaf: Leaf | None = None) -> None:
        self._listening = socket.create_server((host, port))
        self._context = None if leaf is None else peer_context(leaf)

    def accept(self) -> Peer:
        """The daemon's connection."""
        self._listening.settimeout(PATIENCE)
        accepted, _ = self._listening.accept()
        if self._context is not None:
            accepted = self._context.wrap_socket(accepted, server_side=True)
        return Peer("tcp", ("", 0), accepted=accepted)

    @property
    def untouched(self) -> bool:
        """Whether nobody has connected."""
        self._listening.setblocking(False)
        try:
            self._listening.accept()[0].close()
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        """Listen no more."""
        self._listening.close()


@contextmanager
def front_end_at(host: str, port: int, leaf: Leaf | None = None) -> Iterator[FrontEnd]:
    made = FrontEnd(host, port, leaf)
    try:
        yield made
    finally:
        made.close()


def begun(daemon: Daemon, made: Pool, record_route: str) -> tuple[SentMessage, Peer]:
    """A dialog whose caller has hung up: its INVITE at the pool, and the pool's connection."""
    with Peer("tcp", daemon.address("tcp")) as caller:
        caller.send(
            (
                f"INVITE sip:ocschat@contoso.com SIP/2.0\r\n"
                f"Via: SIP/2.0/TCP {caller.local};branch={branch()}\r\nMax-Forwards: 70\r\n"
                f"Record-Route: <{record_route}>\r\nFrom: <sip:a@contoso.com>;tag=1\r\n"
                f"To: <sip:ocschat@contoso.com>\r\nCall-ID: {branch()}\r\nCSeq: 1 INVITE\r\n"
                f"Contact: <sip:a@{caller.local};transport=tcp>\r\nContent-Length: 0\r\n\r\n"
            ).encode()
        )
        member = made.accept()
        invite = member.receive()
        member.send(answer(invite))
        assert [caller.receive().kind for _ in range(2)] == ["100 INVITE", "200 INVITE"]
        caller.socket.shutdown(socket.SHUT_WR)
        while caller.socket.recv(65536):
            pass
    return invite, member


@pytest.mark.parametrize("lookup", ["name", "maddr"])
def test_a_trusted_next_hop_over_tcp(run_daemon: Run, lookup: str) -> None:
    """RFC 3263 §4: INFO, BENOTIFY and ACK find it, by its maddr if it has one."""
    port = free_port()
    with pool() as made, front_end_at(TRUSTED, port) as there:
        daemon = run_daemon(
            endpoints=[proxied(made.port)],
            dns={"hosts": NAMES},
            trusted_peers=["127.0.0.1", TRUSTED],
        )
        route = f"sip:{FRONT_END}:{port};transport=tcp;lr"
        if lookup == "maddr":
            route = f"sip:{OTHER}:{port};transport=tcp;maddr={TRUSTED};lr"
        invite, member = begun(daemon, made, route)
        member.send(within(invite, "BENOTIFY", 2, "127.0.0.1:5060"))
        line = there.accept()
        assert line.receive().kind == "BENOTIFY"
        for number, method in ((2, "ACK"), (3, "INFO")):
            member.send(within(invite, method, number, "127.0.0.1:5060"))
            request = line.receive()
            assert (request.kind, request["Route"]) == (method, f"<{route}>")
        line.send(answer(request))
        assert member.receive().kind == "200 INFO"


@pytest.mark.parametrize("how", ["from the beginning", "later"])
def test_a_place_that_is_not_trusted(run_daemon: Run, how: str) -> None:
    """Neither a Route that the caller had written himself, nor one that is exchanged: 430."""
    port = free_port()
    with pool() as made, front_end_at(STRANGE, port) as victim:
        daemon = run_daemon(
            endpoints=[proxied(made.port)],
            dns={"hosts": NAMES},
            trusted_peers=["127.0.0.1", TRUSTED],
        )
        route = f"sip:{STRANGE}:{port};transport=tcp;lr"
        trusted = f"sip:{FRONT_END}:{port};transport=tcp;lr"
        invite, member = begun(daemon, made, route if how == "from the beginning" else trusted)
        for number, method in ((2, "INFO"), (3, "BENOTIFY"), (4, "UPDATE")):
            data = within(invite, method, number, "127.0.0.1:5060")
            member.send(data.replace(trusted.encode(), route.encode()))
            if method != "BENOTIFY":
                assert member.receive().kind == f"430 {method}"
        assert victim.untouched


@pytest.mark.parametrize(
    ("names", "allowed", "sent"),
    [
        ([FRONT_END], [FRONT_END], True),
        ([FRONT_END], ["*.contoso.com"], True),
        ([FRONT_END], [OTHER], False),  # a good certificate, of nobody who is allowed
        ([OTHER], [FRONT_END], False),  # an allowed name, and a certificate that doesn't prove it
    ],
)
def test_a_next_hop_over_tls(
    run_daemon: Run,
    authority: Authority,
    tls: Callable[..., dict[str, Any]],
    names: list[str],
    allowed: list[str],
    sent: bool,
) -> None:
    """The certificate proves the URI's host, and `allowed_peers` has it, wherever it is."""
    port = free_port()
    leaf = authority.issue(*names, file=f"next-{names[0]}")
    with pool() as made, front_end_at(STRANGE, port, leaf) as there:
        daemon = run_daemon(
            endpoints=[proxied(made.port)],
            dns={"hosts": NAMES | {FRONT_END: [STRANGE]}},
            trusted_peers=["127.0.0.1"],
            tls=tls(allowed_peers=allowed),
        )
        route = f"sip:{FRONT_END}:{port};transport=tls;lr"
        invite, member = begun(daemon, made, route)
        member.send(within(invite, "INFO", 2, "127.0.0.1:5060"))
        if sent:
            line = there.accept()
            request = line.receive()
            assert (request.kind, request["Route"]) == ("INFO", f"<{route}>")
            line.send(answer(request))
            assert member.receive().kind == "200 INFO"
        elif allowed == [OTHER]:
            assert member.receive().kind == "430 INFO"
            assert there.untouched
        else:
            with pytest.raises((ssl.SSLError, OSError, AssertionError)):
                there.accept().receive()
            assert member.receive().status in (430, 500)


GRACE = 0.5
CHANGES: dict[str, Callable[[int], dict[str, Any]]] = {
    "removed": lambda port: endpoint("sip:other@contoso.com"),
    "another pool": lambda port: proxied(port, pool_fqdn=OTHER),
    "another port": lambda port: proxied(port + 1),
    "another mode": lambda port: endpoint(port=port, transport="tcp"),
    "maintenance": lambda port: proxied(port, state="maintenance"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_reload_that_takes_the_pool_away(run_daemon: Run, change: str) -> None:
    """docs/proxy.md: its dialogs end after `proxy.target_grace`; a state ends none."""
    with pool() as made:
        settings = configuration(
            endpoints=[proxied(made.port)], dns={"hosts": NAMES}, proxy={"target_grace": GRACE}
        )
        daemon = run_daemon(settings)
        invite, member = begun(daemon, made, f"sip:{OTHER}:{made.port};transport=tcp;lr")

        def status(number: int) -> int:
            member.send(within(invite, "INFO", number, "127.0.0.1:5060"))
            return member.receive().status

        assert status(2) == 430  # the caller is gone, which only shows that the dialog is known
        rewrite(daemon.config, settings | {"endpoints": [CHANGES[change](made.port)]})
        daemon.send_signal(signal.SIGHUP)
        daemon.event("configuration_changed")
        if change == "maintenance":
            time.sleep(3 * GRACE)
            assert status(3) == 430
        else:
            numbers = itertools.count(3)
            eventually(lambda: status(next(numbers)) == 481, "481")
