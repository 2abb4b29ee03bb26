"""sd_notify(3) and the watchdog, against a socket of the test's own."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatredirect.systemd.notify import Notifier, Watchdog, watchdog_interval
from tests.waiting import wait_until


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        yield sock


@pytest.fixture
def notifier(manager: socket.socket) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": manager.getsockname()})


def test_messages(manager: socket.socket, notifier: Notifier) -> None:
    """READY, RELOADING, STOPPING and STATUS as sd_notify(3) spells them, STATUS in one line."""
    notifier.ready("serving\n2 endpoints")
    notifier.reloading()
    notifier.status("ü")
    notifier.stopping("bye")
    said = [manager.recv(4096).decode() for _ in range(4)]
    assert said == [
        "READY=1\nSTATUS=serving 2 endpoints",
        "RELOADING=1",
        "STATUS=ü",
        "STOPPING=1\nSTATUS=bye",
    ]


def test_abstract_socket() -> None:
    """A name that begins with @ is in Linux's abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0chatredirect-test-{os.getpid()}")
        sock.settimeout(10)
        Notifier({"NOTIFY_SOCKET": f"@chatredirect-test-{os.getpid()}"}).alive()
        assert sock.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("name", ["", "vsock:2:3", "relative"])
def test_nobody_to_tell(name: str) -> None:
    """Without systemd nothing happens."""
    notifier = Notifier({"NOTIFY_SOCKET": name} if name else {})
    notifier.ready("x")
    assert not notifier.active


def test_nobody_listens(tmp_path: Path) -> None:
    """A manager that is gone is no reason to fail."""
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "missing")})
    assert notifier.active
    notifier.alive()


def test_a_busy_manager_holds_nobody_up(manager: socket.socket, notifier: Notifier) -> None:
    """Signs of life that find no room are given up at once."""
    for _ in range(5000):
        notifier.alive()
    manager.setblocking(False)
    assert 0 < len(_said(manager)) < 5000


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 1.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
    ],
)
def test_interval(environ: dict[str, str], seconds: float | None) -> None:
    """A third of WATCHDOG_USEC, if it is meant for this process (sd_watchdog_enabled(3))."""
    assert watchdog_interval(environ, 7) == seconds


async def test_a_stuck_loop_gives_no_sign(manager: socket.socket, notifier: Notifier) -> None:
    """Signs come from the loop: while it is blocked there are none, for whatever reason."""
    manager.setblocking(False)
    dog = Watchdog(asyncio.get_running_loop(), notifier, lambda: "well", 0.02)
    dog.start()
    assert _said(manager) == ["READY=1\nSTATUS=well", "WATCHDOG=1"]
    said: list[str] = []

    def several() -> bool:
        said.extend(_said(manager))
        return len(said) >= 2

    await wait_until(several)
    _block(0.3)
    assert _said(manager) == []
    dog.stop()
    await asyncio.sleep(0.1)
    assert _said(manager) == []


async def test_ready_only_while_serving(manager: socket.socket, notifier: Notifier) -> None:
    """A reload that is under way at the start or at the end tells nothing that isn't so."""
    manager.setblocking(False)
    dog = Watchdog(asyncio.get_running_loop(), notifier, lambda: "well", None)
    dog.reloading()
    dog.ready()
    assert _said(manager) == []
    dog.start()
    dog.reloading()
    dog.ready()
    dog.stopping()
    dog.ready()
    dog.stop()
    assert [line.partition("\n")[0] for line in _said(manager)] == [
        "READY=1", "RELOADING=1", "READY=1", "STOPPING=1",
    ]  # fmt: skip


def _block(seconds: float) -> None:
    """Do to the loop what must never be done."""
    left, right = socket.socketpair()
    with left, right:
        left.settimeout(seconds)
        with pytest.raises(TimeoutError):
            left.recv(1)


async def test_status_follows(
    manager: socket.socket, notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status line is told when it has changed, and only then."""
    monkeypatch.setattr("chatredirect.systemd.notify.STATUS_INTERVAL", 0.01)
    manager.setblocking(False)
    words = ["one"]
    dog = Watchdog(asyncio.get_running_loop(), notifier, lambda: words[-1], None)
    dog.start()
    await asyncio.sleep(0.1)
    words.append("two")
    await asyncio.sleep(0.1)
    dog.stop()
    assert _said(manager) == ["READY=1\nSTATUS=one", "STATUS=two"]


def _said(manager: socket.socket) -> list[str]:
    """All that has been said until now."""
    said = []
    while True:
        try:
            said.append(manager.recv(4096).decode())
        except BlockingIOError:
            return said
