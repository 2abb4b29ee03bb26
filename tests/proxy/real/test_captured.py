"""The recorded client, which follows no redirect, reaches its room: octet for octet, over TCP."""

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lookup.peer import Peer
from tests.proxy.real.dialog import Pool, answer, hosts, pool, proxied, route_of, routed, within
from tests.sent_message import SentMessage
from tests.service.daemon import Daemon
from tests.service.fixtures import Run

CAPTURES = Path(__file__).parents[2] / "captures"
GRUU = "sip:ocschat@contoso.com;gruu;opaque=srvr:x"
CONTACT = f"Contact: <{GRUU}>\r\n"
_calls = itertools.count(1)


def recorded(name: str) -> bytes:
    (path,) = CAPTURES.glob(f"{name}*.sip")
    return path.read_bytes()


class Client:
    """The recorded client; only its Call-ID and the port in its Via are new."""

    def __init__(self, daemon: Daemon) -> None:
        self.peer = Peer("tcp", daemon.address("tcp"))
        self.call_id = f"BC4Cg0F38aBCC0i49B0mE370t266EbE83Bx{next(_calls)}x".encode()
        self.route: list[str] = []

    def message(self, name: str) -> bytes:
        """One of its messages, for this call and by its route."""
        data = recorded(name)
        data = data.replace(b"BC4Cg0F38aBCC0i49B0mE370t266EbE83Bx432Fx", self.call_id)
        data = data.replace(b"tcp 127.0.0.1:45154", b"tcp " + self.peer.local.encode())
        return routed(data, self.route)

    def send(self, name: str) -> None:
        self.peer.send(self.message(name))

    def receive(self) -> SentMessage:
        """What comes next, 100 Trying apart."""
        while True:
            message = self.peer.receive()
            if message.start != "SIP/2.0 100 Trying":
                return message


@pytest.fixture(scope="module")
def listening() -> Iterator[Pool]:
    with pool() as made:
        yield made


@pytest.fixture(scope="module")
def daemon(run_shared_daemon: Run, listening: Pool) -> Daemon:
    return run_shared_daemon(endpoints=[proxied(listening.port)], dns=hosts())


@pytest.fixture
def contoso(listening: Pool) -> Iterator[Pool]:
    """The pool, which has no connection before and after a test."""
    yield listening
    listening.hang_up()


def invited(daemon: Daemon, contoso: Pool) -> tuple[Client, Peer, SentMessage]:
    """A call that the pool has taken, up to the ACK."""
    client = Client(daemon)
    client.send("lookup-1")
    server = contoso.accept()
    invite = server.receive()
    server.send(answer(invite, more=CONTACT))
    taken = client.receive()
    assert taken.kind == "200 INVITE"
    client.route = route_of(taken)
    client.send("lookup-2")
    assert server.receive().kind == "ACK"
    return client, server, invite


OWN = {"Via", "Record-Route", "Max-Forwards", "Route", "Content-Length"}


def untouched(sent: bytes, arrived: SentMessage) -> None:
    """Whatever isn't a proxy's business arrives as it was sent, in the same order."""
    head, _, body = sent.decode().partition("\r\n\r\n")
    lines = [line for line in head.split("\r\n")[1:] if line.partition(":")[0] not in OWN]
    kept = [f"{name}: {value}" for name, value in arrived.fields if name not in OWN]
    assert kept == lines
    assert arrived.body == body


def test_the_recorded_conversation(daemon: Daemon, contoso: Pool) -> None:
    """INVITE, ACK, INFO both ways, BYE: all on the client's own connection."""
    client = Client(daemon)
    client.send("lookup-1")
    server = contoso.accept()
    invite = server.receive()
    untouched(client.message("lookup-1"), invite)
    assert invite.start == "INVITE sip:ocschat@contoso.com SIP/2.0"
    assert invite["Max-Forwards"] == "69"
    ours, theirs = invite.all("Via")
    assert ours.startswith("SIP/2.0/TCP 127.0.0.1:")
    assert theirs == f"SIP/2.0/tcp {client.peer.local}"
    server.send(answer(invite, "180 Ringing"))
    assert client.receive().kind == "180 INVITE"
    server.send(answer(invite, more=CONTACT))
    taken = client.receive()
    assert taken.kind == "200 INVITE"
    assert taken.all("Via") == [f"SIP/2.0/tcp {client.peer.local}"]
    assert taken["Contact"] == f"<{GRUU}>"
    client.route = route_of(taken)
    assert client.route

    client.send("lookup-2")
    ack = server.receive()
    assert ack.start == f"ACK {GRUU} SIP/2.0"
    untouched(client.message("lookup-2"), ack)
    assert not ack.all("Route")
    client.send("lookup-3")
    info = server.receive()
    assert info.start == f"INFO {GRUU} SIP/2.0"
    untouched(client.message("lookup-3"), info)
    server.send(answer(info))
    assert client.receive().kind == "200 INFO"

    # the pool's own INFO goes to a Contact behind which nothing listens
    body = '<xccos ver="1" envid="1"/>'
    server.send(within(invite, "INFO", 1, server.local, body=body))
    asked = client.receive()
    assert asked.start.startswith("INFO sip:user1@contoso.com:45154;maddr=127.0.0.1;transport=tcp ")
    assert asked.body == body
    client.peer.send(answer(asked))
    assert server.receive().kind == "200 INFO"

    client.send("lookup-5")
    bye = server.receive()
    untouched(client.message("lookup-5"), bye)
    server.send(answer(bye))
    assert client.receive().kind == "200 BYE"


@pytest.mark.parametrize("method", ["INFO", "NOTIFY", "BYE", "SERVICE"])
def test_the_pools_requests_find_the_client(daemon: Daemon, contoso: Pool, method: str) -> None:
    """Whatever the method: over the connection on which the dialog came in."""
    client, server, invite = invited(daemon, contoso)
    server.send(within(invite, method, 1, server.local))
    asked = client.receive()
    assert asked.kind == method
    client.peer.send(answer(asked))
    assert server.receive().kind == f"200 {method}"


def test_they_may_come_over_another_connection(daemon: Daemon, contoso: Pool) -> None:
    """A pool may open one of its own to where our Record-Route leads."""
    client, _, invite = invited(daemon, contoso)
    with Peer("tcp", daemon.address("tcp")) as other:
        other.send(within(invite, "INFO", 1, other.local))
        asked = client.receive()
        client.peer.send(answer(asked))
        trying_or_final = other.receive()
        while trying_or_final.status == 100:
            trying_or_final = other.receive()
        assert trying_or_final.kind == "200 INFO"


def test_benotify(daemon: Daemon, contoso: Pool) -> None:
    """Microsoft's NOTIFY without a response: sent on, and nothing is expected or kept."""
    client, server, invite = invited(daemon, contoso)
    for number in range(1, 4):
        server.send(within(invite, "BENOTIFY", number, server.local, body="x"))
        told = client.receive()
        assert (told.kind, told["CSeq"]) == ("BENOTIFY", f"{number} BENOTIFY")
    # even if the client answers all the same, nothing comes back before the next response
    client.peer.send(answer(told))
    server.send(within(invite, "INFO", 9, server.local))
    client.peer.send(answer(client.receive()))
    assert server.receive().kind == "200 INFO"


@pytest.mark.parametrize("method", ["INFO", "NOTIFY", "BYE"])
def test_430_when_the_clients_connection_is_gone(
    daemon: Daemon, contoso: Pool, method: str
) -> None:
    """RFC 5626 §5.3: nobody can be asked any more, and the pool hears of it at once."""
    client, server, invite = invited(daemon, contoso)
    client.peer.socket.close()
    server.send(within(invite, method, 1, server.local))
    assert server.receive().status == 430


def test_a_connection_that_goes_while_the_pool_waits(daemon: Daemon, contoso: Pool) -> None:
    """The client has the request and hangs up: a final response comes before Timer F."""
    client, server, invite = invited(daemon, contoso)
    server.send(within(invite, "INFO", 1, server.local))
    assert client.receive().kind == "INFO"
    client.peer.socket.close()
    assert server.receive().status in (408, 430)


def test_a_subscription_of_the_recorded_client(daemon: Daemon, contoso: Pool) -> None:
    """Proxy-Require: ms-benotify is let through; NOTIFY and BENOTIFY come back."""
    client = Client(daemon)
    data = recorded("subscribe-roaming-contacts").replace(
        b"SUBSCRIBE sip:user1@", b"SUBSCRIBE sip:ocschat@"
    )
    client.peer.send(data)
    server = contoso.accept()
    subscribe = server.receive()
    assert subscribe["Proxy-Require"] == "ms-benotify"
    server.send(answer(subscribe, more="Expires: 3600\r\n" + CONTACT))
    assert client.receive().kind == "200 SUBSCRIBE"
    server.send(within(subscribe, "NOTIFY", 1, server.local))
    notify = client.receive()
    assert notify.kind == "NOTIFY"
    client.peer.send(answer(notify))
    assert server.receive().kind == "200 NOTIFY"
    server.send(within(subscribe, "BENOTIFY", 2, server.local))
    assert client.receive().kind == "BENOTIFY"


def test_a_reload_leaves_dialogs_alone(run_daemon: Run, contoso: Pool) -> None:
    """Also one whose endpoint is no longer there: its state is in its Route."""
    daemon = run_daemon(endpoints=[proxied(contoso.port)], dns=hosts())
    client, server, invite = invited(daemon, contoso)
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace("sip:ocschat@", "sip:other@"))
    daemon.send_signal(signal.SIGHUP)
    daemon.event("configuration_changed")
    server.send(within(invite, "INFO", 1, server.local))
    client.peer.send(answer(client.receive()))
    assert server.receive().kind == "200 INFO"
    client.send("lookup-5")
    server.send(answer(server.receive()))
    assert client.receive().kind == "200 BYE"
