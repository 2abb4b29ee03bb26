"""sd_notify(3): reports the daemon's state to systemd.

A datagram of `NAME=value` lines to the socket in `NOTIFY_SOCKET`. The manual page recommends this
instead of linking a library.
"""

import os
import socket
from collections.abc import Mapping

_PATIENCE = 2.0  # seconds for a message that must arrive, should systemd be busy


class Notifier:
    """Sends messages to systemd; does nothing without it.

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
        """Whether there is a socket of systemd's."""
        return self._address is not None

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
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(patience)
                sock.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError:  # requests are served all the same
            self.failed += 1


def _address(name: str) -> str | None:
    """A path, or an abstract name written with `@`; nothing else is supported."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _status(text: str) -> str:
    return "STATUS=" + text.replace("\n", " ")
