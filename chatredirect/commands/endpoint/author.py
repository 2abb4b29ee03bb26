"""Who makes a change and when, for a comment in the file that it is about."""

import os
import pwd
from collections.abc import Mapping
from datetime import UTC, datetime

_MAX_NAME = 64


def author(environ: Mapping[str, str], now: datetime, command: str) -> str:
    """`alice with sudo on 2026-11-22 08:31:05 UTC: chatredirect endpoint new`.

    Args:
        environ: the process's environment.
        now: with its offset from UTC.
        command: what was called.
    """
    name = _printable(_user())
    before = _printable(environ.get("SUDO_USER", ""))
    who = f"{before} with sudo" if before and before != name and os.geteuid() == 0 else name
    when = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{who} on {when}: {_printable(command, 200)}"


def _user() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user needn't have a name
        return f"user {uid}"


def _printable(text: str, most: int = _MAX_NAME) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)[:most]
