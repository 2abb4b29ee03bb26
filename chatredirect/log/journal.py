"""Events for systemd's journal, each with its fields: `journalctl -u chatredirect CALL_ID=…`.

The journal's own protocol: a datagram for each event, of `NAME=value` lines. Values have no line
ends and are bounded when they come here (`escape`), so its forms for binary and for large values
aren't needed. The datagrams leave from the log's thread; while the journal doesn't read, that
thread waits, and the queue's bound holds.
"""

import os
import re
import socket
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from chatredirect.log.escape import Plain
from chatredirect.log.render import Renderer, cleaned, shown

SOCKET = "/run/systemd/journal/socket"
# syslog(3)
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
# Names that the journal, or we, give a meaning of their own.
_TAKEN = re.compile(r"(MESSAGE|PRIORITY|EVENT|LEVEL|ERRNO|(SYSLOG|CODE|OBJECT|COREDUMP)_\w+)$")
_CONSTANT = "SYSLOG_IDENTIFIER=chatredirect"
_UNFIT = re.compile(r"[^A-Z0-9_]")
_MAX_NAME = 64  # of a field, in the journal


def reads_stderr(stream: object, environ: Mapping[str, str]) -> bool:
    """Whether a stream is one that systemd has connected to the journal.

    `JOURNAL_STREAM` alone doesn't tell: standard error may have been sent elsewhere since
    (systemd.exec(5)).
    """
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    fileno = getattr(stream, "fileno", None)
    if fileno is None or not inode or not Path(SOCKET).exists():
        return False
    try:
        status = os.fstat(fileno())
    except (OSError, ValueError):  # closed, or in memory
        return False
    return stat.S_ISSOCK(status.st_mode) and (str(status.st_dev), str(status.st_ino)) == (
        device,
        inode,
    )


def journal_renderer() -> Renderer:
    """The fields of an event, a line each. `MESSAGE` has them all again, for people."""

    def render(_now: float, level: str, event: str, fields: Mapping[str, object]) -> str:
        name, clean = cleaned(event, fields)
        said, lines = [name], []
        for key, value in clean.items():
            text = shown(value)
            said.append(f"{key}={text}")
            if isinstance(value, str):
                lines.append(f"{_name(key)}={value}")
            elif isinstance(value, list) and value:  # a field that is there several times
                lines += (f"{_name(key)}={_text(item)}" for item in value)
            else:
                lines.append(f"{_name(key)}={text}")
        priority = _PRIORITIES.get(level, 6)
        lines.append(f"{_CONSTANT}\nPRIORITY={priority}\nEVENT={name}\nMESSAGE={' '.join(said)}")
        return "\n".join(lines)

    return render


class JournalWriter:
    """Sends rendered events to the journal. Blocks while the journal doesn't read."""

    __slots__ = ("_path", "_sock")

    def __init__(self, path: str = SOCKET) -> None:
        """Open a socket; `path` is looked up for each event, since the journal may restart."""
        self._path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def __call__(self, lines: list[str]) -> None:
        """Send some events, in order.

        Raises:
            OSError: there is no journal.
        """
        for line in lines:
            self._sock.sendto(line.encode("utf-8", "replace") + b"\n", self._path)


@lru_cache
def _name(key: str) -> str:
    """A field's name as the journal wants it: capitals, digits, underscores, a letter first."""
    name = _UNFIT.sub("_", key.upper())[: _MAX_NAME - 1].lstrip("_0123456789") or "FIELD"
    return f"{name}_" if _TAKEN.match(name) else name


def _text(item: Plain) -> str:
    return item if isinstance(item, str) else shown(item)
