"""The daemon itself: the recorded conversation over its sockets, and many of them."""

import contextlib
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lookup.peer import Peer
from tests.lookup.test_captures import REPLY, capture
from tests.sent_message import SentMessage
from tests.service.daemon import Daemon, endpoint
from tests.service.fixtures import Run
from tests.sipp import errors, sipp
from tests.tls.processes import program

HERE = Path(__file__).parent
CALLS = 500
LISTEN = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"]


def lookup_endpoint(**keys: Any) -> dict[str, Any]:
    return endpoint(mode="lookup", channel_uris=["sip:gc-channel@pcpool.contoso.com"], **keys)


@pytest.fixture(scope="module")
def daemon(run_shared_daemon: Run, tls: Callable[..., dict[str, Any]]) -> Daemon:
    return run_shared_daemon(
        listen=LISTEN,
        tls=tls(),
        endpoints=[lookup_endpoint()],
        log={"requests": False},
    )


@pytest.fixture(params=["udp", "tcp", "tls"])
def peer(request: pytest.FixtureRequest, daemon: Daemon, context: ssl.SSLContext) -> Iterator[Peer]:
    secure = context if request.param == "tls" else None
    with Peer(request.param, daemon.address(request.param), secure) as peer:
        yield peer


class Recorded:
    """The recorded messages, with what that client knew from its server put right.

    Their server tagged FE123, was reached by another Contact and sent its INFO with another Via. A
    client repeats these; all other octets are as recorded, but for the Call-ID, which is new
    for each conversation, and its own port where answers are sent to it.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.known = {
            b"BC4Cg0F38aBCC0i49B0mE370t266EbE83Bx432Fx": b"%d" % time.monotonic_ns(),
            b"Via: SIP/2.0/tcp 127.0.0.1:45154": b"Via: SIP/2.0/tcp " + peer.local.encode(),
        }

    def learn(self, answer: SentMessage) -> None:
        self.known[b"FE123"] = answer["To"].rpartition("=")[2].encode()
        contact = answer["Contact"].strip("<>").encode()
        self.known[b"sip:ocschat@contoso.com;gruu;opaque=srvr:x"] = contact

    def message(self, number: int) -> bytes:
        data = capture(str(number))
        for theirs, ours in self.known.items():
            data = data.replace(theirs, ours)
        return data

    def answer(self, reply: SentMessage) -> bytes:
        self.known[b"SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bKfe1"] = reply["Via"].encode()
        return self.message(4)


def test_the_recorded_conversation(peer: Peer) -> None:
    """INVITE/200/ACK/INFO/200/INFO/200/BYE/200 over UDP, TCP and mutual TLS."""
    recorded = Recorded(peer)
    peer.send(recorded.message(1))
    answer = peer.receive()
    assert answer.kind == "200 INVITE"
    assert "m=message 5060 sip null" in answer.body
    recorded.learn(answer)
    peer.send(recorded.message(2))
    peer.send(recorded.message(3))
    assert peer.receive_new().kind == "200 INFO"
    reply = peer.receive_new()
    assert reply.start == "INFO sip:user1@contoso.com:45154;maddr=127.0.0.1;transport=tcp SIP/2.0"
    assert reply.body == REPLY
    peer.send(recorded.answer(reply))
    peer.send(recorded.message(5))
    assert peer.receive_new().kind == "200 BYE"


@pytest.mark.parametrize("peer", ["tcp", "tls"], indirect=True)
def test_cut_into_pieces(peer: Peer) -> None:
    """Over real connections the client's messages in pieces of 7 octets, each sent by itself."""
    recorded = Recorded(peer)

    def send(data: bytes) -> None:
        for i in range(0, len(data), 7):
            peer.send(data[i : i + 7])

    send(recorded.message(1))
    recorded.learn(peer.receive())
    send(recorded.message(2) + recorded.message(3))
    assert peer.receive_new().kind == "200 INFO"
    send(recorded.answer(peer.receive_new()) + recorded.message(5))
    assert peer.receive_new().kind == "200 BYE"


def test_the_200_is_repeated_until_the_ack(peer: Peer) -> None:
    """By the real clock and timer: twice, half a second and a second later."""
    recorded = Recorded(peer)
    begun = time.monotonic()
    peer.send(recorded.message(1))
    first = peer.receive()
    assert [peer.receive().raw, peer.receive().raw] == [first.raw, first.raw]
    assert time.monotonic() - begun > 1.4
    recorded.learn(first)
    peer.send(recorded.message(2))
    peer.send(recorded.message(5))
    assert peer.receive_new().kind == "200 BYE"


@pytest.mark.parametrize("ends", ["before the 200", "after the INFO"])
def test_a_client_that_sends_no_more_gets_its_answers(daemon: Daemon, ends: str) -> None:
    """docs/answers.md, "Streams": shutdown(SHUT_WR) after a request; what it asked is answered."""
    with Peer("tcp", daemon.address("tcp")) as peer:
        recorded = Recorded(peer)
        peer.send(recorded.message(1))
        if ends == "before the 200":
            peer.socket.shutdown(socket.SHUT_WR)
        answer = peer.receive()
        assert answer.kind == "200 INVITE"
        if ends == "before the 200":
            assert peer.receive().raw == answer.raw  # repeated, since nobody has acknowledged it
            return
        recorded.learn(answer)
        peer.send(recorded.message(2) + recorded.message(3))
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.receive_new().kind == "200 INFO"
        assert peer.receive_new().body == REPLY


def test_a_connection_that_sends_no_more_ends_with_the_dialog(run_daemon: Run) -> None:
    """docs/answers.md, "Streams": open as long as the dialog, and so long one of all connections.

    The client ends the dialog by another way, since this one takes nothing any more.
    """
    daemon = run_daemon(endpoints=[lookup_endpoint()], limits={"connections": 1})
    with Peer("tcp", daemon.address("tcp")) as peer, Peer("udp", daemon.address("udp")) as by_udp:
        recorded = Recorded(peer)
        peer.send(recorded.message(1))
        peer.socket.shutdown(socket.SHUT_WR)
        answer = peer.receive()
        assert peer.receive().raw == answer.raw  # half a second later: it is still open
        with Peer("tcp", daemon.address("tcp")) as other, contextlib.suppress(ConnectionError):
            assert other.socket.recv(1) == b""  # one too many
        recorded.learn(answer)
        recorded.known[b"Via: SIP/2.0/tcp 127.0.0.1:45154"] = (
            f"Via: SIP/2.0/UDP {by_udp.local}".encode()
        )
        by_udp.send(recorded.message(2))
        by_udp.send(recorded.message(5))
        assert by_udp.receive().kind == "200 BYE"
        while more := peer.socket.recv(65536):  # until it is closed
            assert more.startswith(b"SIP/2.0 200 "), more  # the answer once more
    with Peer("tcp", daemon.address("tcp")) as next_one:
        next_one.send(Recorded(next_one).message(1))
        assert next_one.receive().kind == "200 INVITE"


def test_a_dialog_ends_with_its_connection(daemon: Daemon, context: ssl.SSLContext) -> None:
    """The connection goes, the 200 can't be sent again: nobody holds the dialog any more."""
    with Peer("tcp", daemon.address("tcp")) as peer:
        recorded = Recorded(peer)
        peer.send(recorded.message(1))
        peer.receive()
    call_id = next(iter(recorded.known.values())).decode()
    daemon.event("lookup_ended", call_id=call_id, why="lost")


@pytest.mark.parametrize(
    ("listen", "to"),
    [("udp://0.0.0.0:0", "127.0.0.3"), ("udp://[::]:0", "::1"), ("udp://[::]:0", "127.0.0.3")],
)
def test_wildcard_listener(run_daemon: Run, listen: str, to: str) -> None:
    """Whatever is sent later leaves from the address that the INVITE was sent to, too."""
    daemon = run_daemon(listen=[listen], endpoints=[lookup_endpoint()], advertise="cr.contoso.com")
    port = daemon.listening[0][2]
    # connected: what comes from another address isn't received
    with Peer("udp", (to, port)) as peer:
        recorded = Recorded(peer)
        peer.send(recorded.message(1))
        answer = peer.receive()
        assert answer["Contact"] == f"<sip:ocschat@cr.contoso.com:{port}>"
        assert peer.receive().raw == answer.raw  # by the timer
        recorded.learn(answer)
        peer.send(recorded.message(2))
        peer.send(recorded.message(3))
        assert peer.receive_new().kind == "200 INFO"
        reply = peer.receive_new()
        assert reply["Via"].startswith(f"SIP/2.0/UDP cr.contoso.com:{port};branch=")
        peer.send(recorded.answer(reply))
        peer.send(recorded.message(5))
        assert peer.receive_new().kind == "200 BYE"


def test_a_reload_leaves_dialogs_alone(run_daemon: Run) -> None:
    """One that has begun ends by the settings with which it began."""
    daemon = run_daemon(endpoints=[lookup_endpoint()])
    with Peer("tcp", daemon.address("tcp")) as peer:
        recorded = Recorded(peer)
        peer.send(recorded.message(1))
        recorded.learn(peer.receive())
        peer.send(recorded.message(2))  # a reload may take longer than a 200 waits for its ACK
        settings = yaml.safe_load(daemon.config.read_text())
        settings["endpoints"] = [endpoint("sip:other@contoso.com")]
        daemon.config.write_text(yaml.safe_dump(settings))
        daemon.send_signal(signal.SIGHUP)
        daemon.event("configuration_changed")
        peer.send(recorded.message(3))
        assert peer.receive_new().kind == "200 INFO"
        reply = peer.receive_new()
        assert reply.body == REPLY
        peer.send(recorded.answer(reply) + recorded.message(5))
        assert peer.receive_new().kind == "200 BYE"


def test_log(run_daemon: Run) -> None:
    """A line for each request, and who was sent where."""
    daemon = run_daemon(endpoints=[lookup_endpoint()])
    with Peer("tcp", daemon.address("tcp")) as peer:
        recorded = Recorded(peer)
        peer.send(recorded.message(1))
        recorded.learn(peer.receive())
        peer.send(recorded.message(2) + recorded.message(3))
        peer.receive_new()
        peer.send(recorded.answer(peer.receive_new()) + recorded.message(5))
        peer.receive_new()
    line = daemon.event("request", method="INFO")
    assert (line["status"], line["endpoint"]) == (200, "sip:ocschat@contoso.com")
    assert line["peer"].startswith("tcp://127.0.0.1:")
    line = daemon.event("lookup")
    assert line["channel"] == "sip:gc-channel@pcpool.contoso.com"
    assert line["caller"] == "sip:user1@contoso.com"
    daemon.event("request", method="BYE")


def test_over_the_limit(run_daemon: Run) -> None:
    daemon = run_daemon(endpoints=[lookup_endpoint()], limits={"dialogs": 1})
    with Peer("tcp", daemon.address("tcp")) as peer:
        peer.send(Recorded(peer).message(1))
        assert peer.receive().kind == "200 INVITE"
        peer.send(Recorded(peer).message(1).replace(b"3255258176", b"1"))
        refused = peer.receive()
        while refused.status == 200:
            refused = peer.receive()
        assert (refused.status, refused["Retry-After"]) == (480, "30")


@pytest.mark.parametrize("mode", ["u1", "t1", "tn"])
def test_sipp(daemon: Daemon, tmp_path: Path, mode: str) -> None:
    """Whole lookups from SIPp, hundreds of them at a steady rate: none fails."""
    program("sipp")
    to = daemon.address("udp" if mode == "u1" else "tcp")
    done = sipp(to, tmp_path, HERE / "lookup.xml", "-t", mode, "-max_socket", "1000", calls=CALLS)
    assert done.returncode == 0, errors(tmp_path) + done.stderr
