"""A command's side of the control socket.

It blocks, as a command may. Every failure is a `ControlError` whose text says what to do.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from chatredirect.control.protocol import MAX_ANSWER, UNREAD_SECONDS, BadLine, Json, decode, encode
from chatredirect.runtime.wording import error_text

_CONNECT_SECONDS = 5.0
_CHUNK = 65536

OnEvent: TypeAlias = Callable[[Mapping[str, Json]], None]


class ControlError(Exception):
    """The daemon couldn't be reached, or refused; the text is a sentence for a person.

    Attributes:
        status: exit status for the command, from sysexits(3).
        faults: the details of a refusal.
        refused: whether the daemon refused; else it is unknown what it has done.
    """

    def __init__(
        self, message: str, *, status: int, faults: Sequence[Json] = (), refused: bool = False
    ) -> None:
        """Make an error for a person."""
        super().__init__(message)
        self.status = status
        self.faults = faults
        self.refused = refused


def ask(
    path: str,
    command: str,
    arguments: Mapping[str, Json] | None = None,
    *,
    on_event: OnEvent | None = None,
    timeout: float | None = 30.0,
) -> Mapping[str, Json]:
    """Send a request to the control socket at `path`, and return its result.

    Args:
        arguments: further fields of the request.
        on_event: called for each line before the last.
        timeout: seconds that the daemon may be silent, None for any time.

    Raises:
        ControlError: it isn't running, it isn't permitted, or the daemon refused.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_CONNECT_SECONDS)
        try:
            sock.connect(path)
        except OSError as error:
            raise _unreached(path, error) from None
        sock.settimeout(timeout)
        try:
            # a daemon that has refused already doesn't read: its answer can still be read
            with suppress(BrokenPipeError):
                sock.sendall(encode({"command": command, **(arguments or {})}))
            return _answer(sock, on_event or (lambda fields: None))
        except TimeoutError:
            raise ControlError(
                f"the daemon at {path} hasn't answered for {timeout:g} s: its log says more "
                "(journalctl -u chatredirect)",
                status=os.EX_TEMPFAIL,
            ) from None
        except BadLine as error:
            raise ControlError(
                f"what answers at {path} is no chatredirect: {error}", status=os.EX_PROTOCOL
            ) from None
        except OSError as error:
            raise _lost(path, error_text(error)) from None


def _answer(sock: socket.socket, on_event: OnEvent) -> Mapping[str, Json]:
    with sock.makefile("rb", _CHUNK) as lines:
        while True:
            line = lines.readline(MAX_ANSWER + 1)
            if not line.endswith(b"\n"):
                if len(line) > MAX_ANSWER:
                    raise BadLine("a line without an end")
                raise _lost(
                    sock.getpeername(),
                    "it has ended, was restarted, or dropped this command, which read nothing for "
                    f"{UNREAD_SECONDS:g} s (Ctrl-Z, a terminal that is held)",
                )
            fields = decode(line)
            event = fields.get("event")
            if not isinstance(event, Mapping):
                return _result(fields)
            on_event(event)


def _result(line: Mapping[str, Json]) -> Mapping[str, Json]:
    result = line.get("result")
    if line.get("ok") is True and isinstance(result, Mapping):
        return result
    error, status, faults = line.get("error"), line.get("status"), line.get("faults")
    if line.get("ok") is not False or not isinstance(error, str):
        raise BadLine("an answer that is none")
    raise ControlError(
        error,
        status=status if isinstance(status, int) and 0 < status < 256 else os.EX_UNAVAILABLE,
        faults=faults if isinstance(faults, list) else (),
        refused=True,
    )


def _unreached(path: str, error: OSError) -> ControlError:
    match error:
        case FileNotFoundError() | ConnectionRefusedError():
            missing = isinstance(error, FileNotFoundError)
            what = "there is no" if missing else "nobody answers at the"
            return ControlError(
                f"the daemon isn't running: {what} control socket {path}. Start it (systemctl "
                "start chatredirect), or name its configuration with --config, or its socket with "
                "--socket",
                status=os.EX_UNAVAILABLE,
            )
        case PermissionError():
            return ControlError(
                f"user {os.geteuid()} isn't permitted to use the control socket {path}: root and "
                "members of the service's group are (usermod -aG chatredirect USER)",
                status=os.EX_NOPERM,
            )
        case TimeoutError() | BlockingIOError():
            return ControlError(
                f"the daemon at {path} takes no connection within {_CONNECT_SECONDS:g} s: "
                "try again",
                status=os.EX_TEMPFAIL,
            )
    return ControlError(
        f"the control socket {path} can't be used: {error_text(error)}", status=os.EX_UNAVAILABLE
    )


def _lost(path: str, why: str) -> ControlError:
    return ControlError(
        f"the daemon at {path} went away before it had answered: {why}", status=os.EX_TEMPFAIL
    )
