"""sd_notify(3): telling systemd how we are.

A datagram of `NAME=value` lines to the socket that `NOTIFY_SOCKET` names. The manual invites
programs to do it themselves rather than to load a library for it.
"""

import os
import socket
from collections.abc import Mapping

_PATIENCE = 2.0  # seconds for a message that must arrive, should systemd be busy


class Notifier:
    """Sends messages to systemd, or nothing at all where there is none.

    Attributes:
        failed: messages that could not be sent.
    """

    __slots__ = ("_address", "failed")

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Find systemd's socket in the environment."""
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.failed = 0

    @property
    def active(self) -> bool:
        """Whether anybody listens."""
        return self._address is not None

    def ready(self, status: str) -> None:
        """Requests are served, for the first time or after a reload."""
        self._send(f"READY=1\n{_status(status)}", _PATIENCE)

    def reloading(self) -> None:
        """A new configuration is being read; `ready` follows, whatever comes of it."""
        self._send("RELOADING=1", _PATIENCE)

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._send(f"STOPPING=1\n{_status(status)}", _PATIENCE)

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(_status(text), 0)

    def alive(self) -> None:
        """A sign of life, for the watchdog. One that finds no room is made up for by the next."""
        self._send("WATCHDOG=1", 0)

    def _send(self, message: str, patience: float) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(patience)
                sock.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError:  # nothing that we could do, and no reason to serve worse
            self.failed += 1


def _address(name: str) -> str | None:
    """A path, or an abstract name that is written with `@`; anything else isn't ours to speak."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _status(text: str) -> str:
    return "STATUS=" + text.replace("\n", " ")
