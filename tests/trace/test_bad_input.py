"""Whoever is at the control socket: refused or dropped, with the SIP side unharmed."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.privileges import AS_NOBODY
from tests.service.client import request, talk
from tests.service.daemon import PATIENCE, Daemon, eventually, run_command
from tests.service.fixtures import Run
from tests.trace.trace_process import asked

_MIB = 1024 * 1024


@pytest.fixture
def daemon(run_daemon: Run, control: str) -> Daemon:
    return run_daemon(control={"socket": control}, log={"requests": False})


@contextmanager
def calls(daemon: Daemon) -> Iterator[list[float]]:
    """Calls of bob's one after the other; how long each took, in seconds."""
    took: list[float] = []
    faults: list[BaseException] = []
    stop = threading.Event()

    def call() -> None:
        try:
            with talk("udp", daemon.address()) as client:
                while not stop.wait(0.001):
                    began = time.monotonic()
                    client.send(request(from_="<sip:bob@contoso.com>;tag={n}", body="x" * 400))
                    assert client.receive().status == 302
                    took.append(time.monotonic() - began)
        except BaseException as fault:
            faults.append(fault)
            raise

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()
    assert not faults
    assert len(took) > 100


def connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    while True:
        try:
            sock.connect(path)
        except BlockingIOError:  # unix(7): the backlog is full
            time.sleep(0.001)
        else:
            return sock


def say(path: str, **fields: object) -> socket.socket:
    sock = connect(path)
    sock.sendall(json.dumps(fields).encode() + b"\n")
    return sock


def resident(daemon: Daemon) -> int:
    """Octets of memory that the daemon has."""
    for line in Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def test_trace_clients_that_stop_reading(daemon: Daemon, control: str) -> None:
    """Dropped after ten seconds; what waits for them is bounded, and nobody waits with them."""
    with calls(daemon) as took, ExitStack() as stack:
        eventually(lambda: len(took) > 200, "calls")
        before = resident(daemon)
        for _ in range(3):
            sock = stack.enter_context(say(control, command="trace", **{"from": "bob"}))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        eventually(lambda: dropped(control)["unread"] == 3, "three dropped")
        assert resident(daemon) - before < 16 * _MIB
        assert max(took[200:]) < 5
    with say(control, command="trace", **{"from": "bob"}) as sock:
        assert b"begun" in sock.recv(1000), "there is room for others again"


def test_a_thousand_clients(daemon: Daemon, control: str) -> None:
    """They say nothing, or read nothing, or go at once: calls go on, and no memory is lost."""
    with calls(daemon) as took:
        for number in range(40):  # what is touched for the first time isn't growth
            with say(control, command="status", all=number % 2 == 0) as sock:
                sock.recv(65536)
        before = resident(daemon)
        with ExitStack() as stack:
            for number in range(1000):
                try:
                    sock = connect(control)
                    if number % 4:
                        asking = ("status", "trace", "log-level")[number % 4 - 1]
                        sock.sendall(
                            json.dumps({"command": asking, "from": "bob"}).encode() + b"\n"
                        )
                except ConnectionError:
                    continue  # it has been refused already
                if number % 10 < 5:
                    stack.callback(sock.close)
                else:
                    sock.close()
            so_far = len(took)
            eventually(lambda: len(took) > so_far + 200, "calls")
            assert max(took) < 5
        shown = eventually(lambda: _asked_or_none(control), "a status afterwards")
        assert shown["control"]["dropped"]["busy"] > 100
        assert resident(daemon) - before < 24 * _MIB
    assert "the trace ended after 1s" in asked(
        "trace", "--socket", control, "--from", "bob", "--for", "1s"
    )


def dropped(path: str) -> dict[str, int]:
    return json.loads(asked("status", "--socket", path, "--json"))["control"]["dropped"]


def _asked_or_none(path: str) -> dict[str, Any] | None:
    done = run_command("status", "--socket", path, "--json")
    return json.loads(done.stdout) if done.returncode == 0 else None


GARBAGE = [
    b"\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x00\xff" * 500 + b"\n",
    b'{"command": "trace"}\n',
    b'{"command": "trace", "from": {"a": 1}}\n',
    b'{"command": "trace", "from": "bob", "seconds": "x"}\n',
    b'{"command": "trace", "from": "bob", "seconds": 1e400}\n',
    b'{"command": "trace", "from": "\\ud800"}\n',
    b'{"command": "trace", "endpoint": "sip:\\ud800@x"}\n',
    b'{"command": "trace", "call_id": "\\ud800"}\n',
    b'{"command": "status", "all": "yes"}\n',
    b'{"command": "log-level", "level": 7}\n',
    b'{"command": "log-level", "level": "debug", "seconds": -1}\n',
    b'{"command": "log-level", "level": "debug", "seconds": NaN}\n',
    b"[" * 30_000 + b"\n",
    b'{"command": "nothing"}\n',
    b"x" * 70_000,
]


def test_garbage_is_refused_in_a_sentence(daemon: Daemon, control: str) -> None:
    """Each gets a refusal and no exception; the next is served as if nothing had been."""
    with calls(daemon):
        for data in GARBAGE:
            with connect(control) as sock:
                sock.sendall(data)
                answer = json.loads(sock.makefile("rb").readline())
            assert answer["ok"] is False, data[:60]
            assert answer["error"]
            assert "failed" not in answer["error"], data[:60]
        assert dropped(control)["garbage"] >= 4


@pytest.mark.skipif(os.geteuid() != 0, reason="root, to become somebody else")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv")
@pytest.mark.parametrize("what", ["status", "trace", "log-level", "reload"])
def test_who_is_not_in_the_group_is_refused(daemon: Daemon, control: str, what: str) -> None:
    """A real user without the group's right: exit status 77, with what to do."""
    os.chmod(os.path.dirname(control), 0o755)
    code = (
        "from chatredirect.control.client import ask, ControlError\n"
        "import sys\n"
        f"try: ask({control!r}, {what!r}, {{'from': 'bob'}})\n"
        "except ControlError as error: print(error); sys.exit(error.status)"
    )
    done = subprocess.run(
        [*AS_NOBODY, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 77, done.stdout + done.stderr
    assert "isn't permitted" in done.stdout
    assert "usermod" in done.stdout
