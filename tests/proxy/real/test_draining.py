"""The daemon ends: what comes within a dialog until then is answered (docs/answers.md)."""

import select
import signal
import time

from tests.lookup.peer import Peer
from tests.proxy.real.dialog import answer, branch, hosts, pool, proxied, route_of, routed
from tests.sent_message import SentMessage
from tests.service.daemon import PATIENCE
from tests.service.fixtures import Run

URI = "sip:ocschat@contoso.com"


def _write(caller: Peer, method: str, number: int, to: str = f"<{URI}>") -> bytes:
    return (
        f"{method} {URI} SIP/2.0\r\nVia: SIP/2.0/TCP {caller.local};branch={branch()}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:ann@contoso.com>;tag=1\r\nTo: {to}\r\nCall-ID: last\r\n"
        f"CSeq: {number} {method}\r\nContact: <sip:ann@{caller.local};transport=tcp>\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def _final(caller: Peer) -> SentMessage:
    while (response := caller.receive()).raw.startswith(b"SIP/2.0 1"):
        pass
    return response


def test_a_request_of_the_last_moments_is_answered(run_daemon: Run) -> None:
    """Its response comes over a connection to the pool, which stays until then.

    It used to be closed a tenth of a second after nothing was open, and the request got 500.
    """
    with pool() as served:
        daemon = run_daemon(endpoints=[proxied(served.port)], dns=hosts())
        with Peer("tcp", daemon.address("tcp")) as caller:
            caller.send(_write(caller, "INVITE", 1))
            member = served.accept()
            contact = f"Contact: <sip:room@127.0.0.1:{served.port};transport=tcp>\r\n"
            member.send(answer(member.receive(), more=contact))
            taken = _final(caller)
            for number, method in ((1, "ACK"), (2, "INFO")):
                message = _write(caller, method, number, taken["To"])
                caller.send(routed(message, route_of(taken)))
            assert member.receive().raw.startswith(b"ACK ")
            info = member.receive()
            daemon.send_signal(signal.SIGTERM)
            daemon.event("draining")
            member.send(answer(info))
            assert _final(caller).raw.startswith(b"SIP/2.0 200 ")
            caller.send(routed(_write(caller, "INFO", 3, taken["To"]), route_of(taken)))
            ready, _, _ = select.select([member.socket, caller.socket], (), (), PATIENCE)
            if caller.socket in ready:  # who was held up too long for it is sent elsewhere
                assert _final(caller).raw.startswith(b"SIP/2.0 503 ")
                return
            info = member.receive()
            time.sleep(0.3)  # longer than the daemon reads what has come when nothing is open
            member.send(answer(info))
            assert _final(caller).raw.startswith(b"SIP/2.0 200 ")
            assert daemon.process.wait(PATIENCE) == 0
