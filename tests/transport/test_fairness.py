"""Nobody makes the others wait, however fast he sends; who sends in vain for long is sent away."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatredirect.control.client import ask as ask_daemon
from tests.service.client import Tcp, request, talk
from tests.service.daemon import Daemon
from tests.service.fixtures import Run

WAITS = 2.0  # seconds; undisturbed it is a thousandth, and without bounds it was many seconds


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def daemon(request: pytest.FixtureRequest, run_shared_daemon: Run) -> Daemon:
    if request.param == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop isn't installed")
    return run_shared_daemon(loop=request.param, trusted_peers=[], log={"requests": False})


@contextlib.contextmanager
def flood(daemon: Daemon, kind: str, connections: int, seconds: float) -> Iterator[None]:
    """Somebody sends as fast as he can, from a process of his own."""
    host, port = daemon.address(kind.partition("/")[0])
    arguments = [kind, host, str(port), str(connections), str(seconds)]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.fairness_load", *arguments])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("connections", [1, 100])
@pytest.mark.parametrize("kind", ["response", "keep-alive", "long ack", "request"])
def test_an_honest_client_is_served(daemon: Daemon, kind: str, connections: int) -> None:
    """Each answer comes while the flood goes on: it gets a share of each turn and no more."""
    with flood(daemon, f"tcp/{kind}", connections, 30), connected(daemon) as client:
        time.sleep(0.5)
        client.socket.settimeout(WAITS)
        for _ in range(40):
            client.send(request())
            assert client.receive().status == 302
            time.sleep(0.01)


def test_datagrams_make_no_connection_wait(daemon: Daemon) -> None:
    with flood(daemon, "udp/request", 1, 30), connected(daemon) as client:
        time.sleep(0.5)
        client.socket.settimeout(WAITS)
        for _ in range(40):
            client.send(request())
            assert client.receive().status == 302
            time.sleep(0.01)


@pytest.mark.parametrize(("kind", "reason"), [("response", "useless"), ("keep-alive", "pings")])
def test_what_is_of_no_use_for_ten_seconds_ends(
    run_daemon: Run, tmp_path: Path, kind: str, reason: str
) -> None:
    """`limits.useless_messages`, `limits.pings`: closed, counted, named in the log and `status`."""
    control = str(tmp_path / "control")
    daemon = run_daemon(log={"requests": False}, control={"socket": control})
    with flood(daemon, f"tcp/{kind}", 1, 40):
        line = daemon.event("connection_closed", reason=reason)
    assert line["peer"].startswith("tcp://127.0.0.1:")
    assert f"limits.{'useless_messages' if reason == 'useless' else 'pings'}" in line["why"]
    connections = ask_daemon(control, "status")["connections"]
    assert isinstance(connections, dict)
    assert connections["closed"] == {reason: 1}
    (sent_away,) = connections["sent_away"]
    assert (sent_away["peer"], sent_away["reason"]) == (line["peer"], reason)


def test_order_is_kept_and_nothing_lost(daemon: Daemon) -> None:
    """What waits for its turn is answered in its order, once, up to the end of the connection."""
    numbers = range(100_000, 103_000)
    with connected(daemon) as client:
        client.send(b"".join(request(number=number) for number in numbers))
        client.socket.shutdown(socket.SHUT_WR)
        for number in numbers:
            assert client.receive()["Call-ID"] == f"{number}@192.0.2.1"
        assert client.rest() == b""


@contextlib.contextmanager
def connected(daemon: Daemon) -> Iterator[Tcp]:
    with talk("tcp", daemon.address("tcp")) as client:
        assert isinstance(client, Tcp)
        yield client
