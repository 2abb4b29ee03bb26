"""A command's side of the control socket.

It blocks, as a command may. Every failure is a `ControlError` whose text says what to do.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from chatredirect.control.protocol import MAX_ANSWER, UNREAD_SECONDS, BadLine, Json, decode, encode
from chatredirect.control.running import daemons_at, running_daemons
from chatredirect.control.said import FIELD, SaidUser
from chatredirect.runtime.wording import error_text, sentence

_CONNECT_SECONDS = 5.0
_CHUNK = 65536
_SHOWN = 3  # other daemons

OnEvent: TypeAlias = Callable[[Mapping[str, Json]], None]


class ControlError(Exception):
    """The daemon couldn't be reached, or refused; the text is a sentence for a person.

    Attributes:
        what, why, remedy: the sentence's parts; `what` may be all of it.
        where: the control socket, which the sentence names too.
        status: exit status for the command, from sysexits(3).
        faults: the details of a refusal.
        refused: whether the daemon refused; else it is unknown what it has done.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int,
        where: str = "",
        why: str = "",
        remedy: str = "",
        faults: Sequence[Json] = (),
        refused: bool = False,
    ) -> None:
        """Make an error for a person."""
        super().__init__(sentence(what, why=why, remedy=remedy))
        self.what = what
        self.where = where
        self.why = why
        self.remedy = remedy
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
    said = SaidUser.here().as_field()
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
                sock.sendall(encode({"command": command, **(arguments or {}), FIELD: said}))
            return _answer(sock, on_event or (lambda fields: None))
        except TimeoutError:
            raise ControlError(
                f"the daemon at {path} hasn't answered for {timeout:g} s",
                where=path,
                remedy="its log says more (journalctl -u chatredirect)",
                status=os.EX_TEMPFAIL,
            ) from None
        except BadLine as error:
            raise ControlError(
                f"what answers at {path} isn't chatredirect",
                where=path,
                why=str(error),
                status=os.EX_PROTOCOL,
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
        raise BadLine("not an answer of the control socket")
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
            return _unanswered(path, f"{what} control socket {path}")
        case PermissionError():
            return ControlError(
                f"user {os.geteuid()} isn't permitted to use the control socket {path}",
                where=path,
                remedy="root and members of the service's group are (usermod -aG chatredirect "
                "USER)",
                status=os.EX_NOPERM,
            )
        case TimeoutError() | BlockingIOError():
            return ControlError(
                f"the daemon at {path} takes no connection within {_CONNECT_SECONDS:g} s",
                where=path,
                remedy="try again",
                status=os.EX_TEMPFAIL,
            )
    return ControlError(
        f"the control socket {path} can't be used",
        where=path,
        why=error_text(error),
        status=os.EX_UNAVAILABLE,
    )


def _unanswered(path: str, why: str) -> ControlError:
    """Why nobody answers at a control socket: no daemon, or one that has no socket."""
    daemons = list(running_daemons())
    meant = daemons_at(path, daemons)
    if meant:
        return ControlError(
            f"the daemon runs ({meant[0]}), but can't be asked",
            where=path,
            why=why,
            remedy="its log says why (no_control_socket); set control.socket to a path where it "
            "may make a file, and restart it",
            status=os.EX_UNAVAILABLE,
        )
    others = ", ".join(map(str, daemons[:_SHOWN]))
    instead = f"; other daemons run here: {others}" if others else ""
    return ControlError(
        "the daemon isn't running",
        where=path,
        why=why + instead,
        remedy="start it (systemctl start chatredirect), or name the configuration of the one "
        "that is meant with --config, or its socket with --socket",
        status=os.EX_UNAVAILABLE,
    )


def _lost(path: str, why: str) -> ControlError:
    return ControlError(
        f"the daemon at {path} went away before it had answered",
        where=path,
        why=why,
        status=os.EX_TEMPFAIL,
    )
