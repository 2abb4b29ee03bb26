"""sd_notify(3): reports the daemon's state to systemd, and sends the watchdog's keep-alives.

A message is a datagram of `NAME=value` lines to the socket in `NOTIFY_SOCKET`. The manual page
recommends this instead of linking a library.

Keep-alives come from a timer of the event loop: a thread would send them even while the loop hangs.
The timer sends three times as often as needed. If the loop is stuck, systemd ends the process with
SIGABRT, and faulthandler writes where it was stuck.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

STATUS_INTERVAL = 5.0
"""Seconds between updates of the status line."""
_PATIENCE = 2.0  # seconds for a message that must arrive, should systemd be busy


class Notifier:
    """Sends messages to systemd; does nothing without it."""

    __slots__ = ("_address",)

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Find systemd's socket: a path, or an abstract name that is written with `@`."""
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name

    @property
    def active(self) -> bool:
        """Whether there is a socket of systemd's; no other kind of address is supported."""
        return self._address.startswith(("/", "\0"))

    def ready(self, status: str) -> None:
        """Requests are served, for the first time or after a reload."""
        self._send(f"READY=1\n{_status(status)}", _PATIENCE)

    def reloading(self) -> None:
        """A new configuration is being read; `ready` follows even if it is refused."""
        self._send("RELOADING=1", _PATIENCE)

    def stopping(self, status: str) -> None:
        """The daemon stops."""
        self._send(f"STOPPING=1\n{_status(status)}", _PATIENCE)

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(_status(text), 0)

    def alive(self) -> None:
        """A keep-alive for the watchdog; it may be lost, since the next one follows."""
        self._send("WATCHDOG=1", 0)

    def _send(self, message: str, patience: float) -> None:
        if not self.active:
            return
        # without systemd's ear, requests are served all the same
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.settimeout(patience)
            sock.sendto(message.encode("utf-8", "replace"), self._address)


def _status(text: str) -> str:
    return "STATUS=" + text.replace("\n", " ")


def watchdog_interval(
    environ: Mapping[str, str] = os.environ, pid: int | None = None
) -> float | None:
    """Seconds between keep-alives, a third of what systemd allows; None without a watchdog.

    Args:
        environ: `WATCHDOG_USEC` and `WATCHDOG_PID` as sd_watchdog_enabled(3) has them.
        pid: the process id, for tests.
    """
    usec, meant = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID")
    if meant is not None and meant != str(os.getpid() if pid is None else pid):
        return None
    if not (usec.isascii() and usec.isdigit()) or int(usec) == 0:
        return None
    return int(usec) / 3_000_000


@dataclass(slots=True)
class Watchdog:
    """Sends keep-alives, and the status line whenever it changes, on timers of a loop.

    Attributes:
        describe: makes the status line.
        every: seconds between keep-alives; None without a watchdog.
    """

    loop: asyncio.AbstractEventLoop
    notifier: Notifier
    describe: Callable[[], str]
    every: float | None
    _timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    _status: str = ""
    _serving: bool = False

    def start(self) -> None:
        """Report that requests are served, and start the timers."""
        self._serving = True
        self.ready()
        if not self.notifier.active:
            return
        if self.every is not None:
            self._keep_alive(self.every)
        self._timers["status"] = self.loop.call_later(STATUS_INTERVAL, self._update_status)

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        if self._serving:
            self.notifier.reloading()

    def ready(self) -> None:
        """A reload is over, or serving begins. Ignored before `start` and after `stopping`."""
        if self._serving:
            self._status = self.describe()
            self.notifier.ready(self._status)

    def stopping(self) -> None:
        """The daemon stops. Keep-alives go on, since a stop can hang as well."""
        self._serving = False
        self._cancel("status")
        self.notifier.stopping("stopping: answering what has come")

    def stop(self) -> None:
        """Cancel the timers."""
        self._cancel("status")
        self._cancel("alive")

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _keep_alive(self, every: float) -> None:
        self.notifier.alive()
        self._timers["alive"] = self.loop.call_later(every, self._keep_alive, every)

    def _update_status(self) -> None:
        status = self.describe()
        if status != self._status:
            self._status = status
            self.notifier.status(status)
        self._timers["status"] = self.loop.call_later(STATUS_INTERVAL, self._update_status)
