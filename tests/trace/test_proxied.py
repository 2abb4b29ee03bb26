"""A proxied call in a trace: the caller on the left, the pool on the right, all in one call."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lookup.peer import Peer
from tests.service.client import request
from tests.service.daemon import PATIENCE, endpoint, eventually
from tests.service.fixtures import Run
from tests.trace.trace_process import looking


@contextmanager
def pool() -> Iterator[int]:
    """A pool's server over UDP that takes every call; gives its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        port: int = sock.getsockname()[1]

        def serve() -> None:
            while (got := sock.recvfrom(65536))[0] != b"over":
                data, sender = got
                head = data.partition(b"\r\n\r\n")[0].decode()
                copied = [
                    line
                    for line in head.split("\r\n")
                    if line.startswith(("Via", "From", "Call-ID", "CSeq", "Record-Route"))
                ]
                to = next(line for line in head.split("\r\n") if line.startswith("To"))
                lines = [
                    *("SIP/2.0 200 OK", *copied, f"{to};tag=pool"),
                    f"Contact: <sip:ocschat@127.0.0.1:{port}>",
                    "Content-Length: 0",
                ]
                sock.sendto("\r\n".join([*lines, "", ""]).encode(), sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield port
        finally:
            sock.sendto(b"over", ("127.0.0.1", port))
            thread.join()


def test_both_sides_of_a_proxied_call(run_daemon: Run, control: str, tmp_path: Path) -> None:
    with pool() as port:
        daemon = run_daemon(
            control={"socket": control},
            endpoints=[endpoint(mode="proxy", port=port, transport="udp")],
            dns={"hosts": {"pcpool.contoso.com": ["127.0.0.1"]}},
        )
        with (
            looking(tmp_path, control, "--from", "bob") as trace,
            looking(tmp_path, control, "--from", "bob", "--json") as lines,
            Peer("tcp", daemon.address("tcp")) as peer,
        ):
            peer.send(request(from_="<sip:bob@contoso.com>;tag=b", more="Contact: <sip:b@x>\r\n"))
            answer = peer.receive()
            if answer.start.startswith("SIP/2.0 100"):
                answer = peer.receive()
            assert answer.start == "SIP/2.0 200 OK"
            trace.shows(f"pool udp://127.0.0.1:{port}")
            trace.shows("|<---------------")
            ladder = trace.text.split("\n")
            seen = lines.seen(4)
    right = [line for line in ladder if line.endswith("|") and f"|{' ' * 31}|-" in line]
    assert any("INVITE" in line for line in right), ladder
    left = [line for line in ladder if f"|{' ' * 31}|" in line and "|---" in line]
    assert any("INVITE" in line for line in left), ladder
    assert [line for line in ladder if "caller tcp://127.0.0.1:" in line]
    ways = [(each["kind"], each["transport"]) for each in seen if each["kind"] != "decided"]
    assert ways[0] == ("received", "tcp")
    assert ("sent", "udp") in ways
    assert ("received", "udp") in ways
    assert ways[-1][0] in ("sent", "received")


def test_a_target_that_fails_is_told_with_its_reason(
    run_daemon: Run, control: str, tmp_path: Path
) -> None:
    """Also if another takes the request then: nobody would know what took so long."""
    with pool() as port:
        daemon = run_daemon(
            control={"socket": control},
            proxy={"attempt_timeout": 1},
            endpoints=[endpoint(mode="proxy", port=port, transport="udp")],
            dns={"hosts": {"pcpool.contoso.com": ["127.0.0.1", "127.0.0.9"]}},
        )
        with looking(tmp_path, control, "--from", "bob", "--json") as lines:
            for number in range(20):  # one half of the callers has the other target first
                with Peer("tcp", daemon.address("tcp")) as peer:
                    caller = f"<sip:bob{number}@contoso.com>;tag=b{number}"
                    peer.send(request(from_=caller, more="Contact: <sip:b@x>\r\n"))
                    while (answer := peer.receive()).start.startswith("SIP/2.0 100"):
                        pass
                    assert answer.start == "SIP/2.0 200 OK"
                if "on to the next target" in lines.text:
                    break
            eventually(lambda: "next target" in lines.text, "the one that failed")
            told = [each["what"] for each in lines.lines if "next target" in each.get("what", "")]
    assert len(told) == 1
    assert told[0].startswith(f"udp://127.0.0.9:{port}: ")
