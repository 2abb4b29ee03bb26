"""Who sends in vain for long is sent away; what waits for its turn is lost to nobody.

That nobody makes the others wait is tested in tests/attack/test_floods.py.
"""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatredirect.control.client import ask as ask_daemon
from tests.service.client import Tcp, request, talk
from tests.service.daemon import Daemon
from tests.service.fixtures import Run


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
