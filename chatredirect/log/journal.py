"""Events for systemd's journal, each with its fields: `journalctl -u chatredirect CALL_ID=…`.

The journal's native protocol: a datagram of `NAME=value` lines for each event. Values have no line
breaks and are bounded (`escape`), so the formats for binary and large values aren't needed. The
sink's thread sends the datagrams, and blocks while the journal doesn't read.
"""

import os
import re
import socket
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from chatredirect.log.escape import Plain
from chatredirect.log.render import cleaned, shown
from chatredirect.log.sink import Writer

SOCKET = "/run/systemd/journal/socket"
# syslog(3)
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
# Names with a meaning in the journal or here.
_TAKEN = re.compile(r"(MESSAGE|PRIORITY|EVENT|LEVEL|ERRNO|(SYSLOG|CODE|OBJECT|COREDUMP)_\w+)$")
_CONSTANT = "SYSLOG_IDENTIFIER=chatredirect"
_UNFIT = re.compile(r"[^A-Z0-9_]")
_MAX_NAME = 64  # characters of a field's name


def reads_stderr(stream: object, environ: Mapping[str, str]) -> bool:
    """Whether systemd has connected a stream to the journal."""
    # device and inode of the journal's stream; ours may be redirected (systemd.exec(5))
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


def render_for_journal(_now: float, level: str, event: str, fields: Mapping[str, object]) -> str:
    """`NAME=value` lines, one for each field; `MESSAGE` has all of them, for people."""
    name, clean = cleaned(event, fields)
    words, lines = [name], []
    for key, value in clean.items():
        text = shown(value)
        words.append(f"{key}={text}")
        if isinstance(value, str):
            lines.append(f"{_name(key)}={value}")
        elif isinstance(value, list) and value:  # a repeated field
            lines += (f"{_name(key)}={_text(item)}" for item in value)
        else:
            lines.append(f"{_name(key)}={text}")
    priority = _PRIORITIES.get(level, 6)
    lines.append(f"{_CONSTANT}\nPRIORITY={priority}\nEVENT={name}\nMESSAGE={' '.join(words)}")
    return "\n".join(lines)


def journal_writer(path: str = SOCKET) -> Writer:
    """A writer to the journal's socket, which blocks while the journal doesn't read."""
    # not connected, since the journal may restart
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def write(lines: list[str]) -> None:
        for line in lines:
            sock.sendto(line.encode("utf-8", "replace") + b"\n", path)

    return write


@lru_cache
def _name(key: str) -> str:
    """A valid field name for the journal: capitals, digits, underscores, a letter first."""
    name = _UNFIT.sub("_", key.upper())[: _MAX_NAME - 1].lstrip("_0123456789") or "FIELD"
    return f"{name}_" if _TAKEN.match(name) else name


def _text(item: Plain) -> str:
    return item if isinstance(item, str) else shown(item)
