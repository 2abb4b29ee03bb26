"""Thousands of open requests, and handshakes that nobody goes on with: others are served."""

import contextlib
import socket
import threading
from collections.abc import Callable

import pytest

from tests.attack.beside import NO_STALL, RATIO, peak, waits
from tests.attack.extent import extent
from tests.lookup.peer import Peer
from tests.ports import free_port
from tests.proxy.real.dialog import hosts, proxied
from tests.service.daemon import endpoint, eventually
from tests.service.fixtures import Run
from tests.tls.authority import Authority

Record = Callable[[str, object], None]
REDIRECT = endpoint("sip:ocschat@contoso.com")
PER_REQUEST = 16  # KB of memory, several times what docs/proxy.md says of one that waits
PER_HANDSHAKE = 150  # KB: what OpenSSL, asyncio and their buffers take


@pytest.mark.parametrize("end", ["its connection closes", "nobody listens"])
def test_open_invites(run_daemon: Run, record_property: Record, end: str) -> None:
    """A lost connection to a pool with all requests that wait there stalls nobody."""
    number = extent(2000, 20_000)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1] if end == "its connection closes" else free_port()
    daemon = run_daemon(
        endpoints=[REDIRECT, proxied(port, sip_address="sip:proxied@contoso.com")],
        dns=hosts(),
        trusted_peers=["127.0.0.1"],
        proxy={"transactions_per_peer": 20_000},
        log={"requests": False},
    )
    undisturbed = waits(daemon, 40)
    before = peak(daemon)
    with listening, Peer("tcp", daemon.address("tcp")) as caller:
        finals: dict[str, int] = {}
        reader = threading.Thread(target=count_finals, args=(caller, number, finals), daemon=True)
        reader.start()
        sender = threading.Thread(target=send_invites, args=(caller, number))
        sender.start()
        if end == "its connection closes":
            member, _ = listening.accept()
            read_requests(member, number)
            member.close()
        seconds = waits(daemon, extent(100, 400))
        sender.join()
        eventually(lambda: sum(finals.values()) == number, f"{number} final responses")
    growth = peak(daemon) - before
    record_property("figure longest wait", f"{seconds[-1] * 1000:.0f} ms")
    record_property("figure finals", str(finals))
    record_property("figure memory of one", f"{growth / number:.1f} KB")
    assert seconds[-1] < max(NO_STALL[100][1], RATIO * undisturbed[-1])
    assert growth < PER_REQUEST * number


def send_invites(caller: Peer, number: int) -> None:
    """So many INVITEs, as fast as they are taken."""
    for n in range(number):
        caller.send(
            f"INVITE sip:proxied@contoso.com SIP/2.0\r\n"
            f"Via: SIP/2.0/TCP {caller.local};branch=z9hG4bKopen{n}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:a@contoso.com>;tag=1\r\nTo: <sip:proxied@contoso.com>\r\n"
            f"Call-ID: open{n}\r\nCSeq: 1 INVITE\r\n"
            f"Contact: <sip:a@{caller.local};transport=tcp>\r\nContent-Length: 0\r\n\r\n".encode()
        )


def count_finals(caller: Peer, number: int, finals: dict[str, int]) -> None:
    """Read responses until each INVITE has its final one; none comes twice."""
    left = {f"open{n}" for n in range(number)}
    with contextlib.suppress(OSError):
        while left:
            got = caller.receive()
            if got.status >= 200:
                left.remove(got["Call-ID"])
                finals[got.kind] = finals.get(got.kind, 0) + 1


def read_requests(member: socket.socket, number: int) -> None:
    """Take so many requests without an answer."""
    member.settimeout(30)
    seen, rest = 0, b""
    while seen < number:
        data = rest + member.recv(1 << 20)
        seen += data.count(b"\r\n\r\n")
        rest = data[-3:]


def test_half_open_handshakes(
    run_daemon: Run, record_property: Record, authority: Authority
) -> None:
    """RFC 8446: whoever begins a handshake and says no more takes a little memory, no time."""
    leaf = authority.issue("sip.contoso.com")
    number = extent(500, 3500)
    daemon = run_daemon(
        listen=["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"],
        tls=leaf.files | {"ca": str(authority.file)},
        limits={
            "handshakes": 100_000,
            "handshakes_per_peer": 100_000,
            "connections_per_peer": 10_000,
        },
    )
    undisturbed = waits(daemon, 40)
    before = peak(daemon)
    with contextlib.ExitStack() as stack:

        def begin() -> None:
            for _ in range(number):
                sock = stack.enter_context(socket.create_connection(daemon.address("tls"), 30))
                sock.sendall(b"\x16\x03\x01\x02\x00\x01")  # a ClientHello of 512 octets begins

        beginner = threading.Thread(target=begin)
        beginner.start()
        seconds = waits(daemon, extent(100, 1000))
        beginner.join()
        seconds = sorted(seconds + waits(daemon, 40))
        growth = peak(daemon) - before
    record_property("figure longest wait", f"{seconds[-1] * 1000:.0f} ms")
    record_property("figure memory of one", f"{growth / number:.0f} KB")
    assert seconds[-1] < max(NO_STALL[100][1], RATIO * undisturbed[-1])
    assert growth < PER_HANDSHAKE * number
