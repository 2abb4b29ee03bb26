"""The audit trail: the log event `audit` for each change, with who, what was and what is.

What is proved and what is only said are kept apart. The kernel proves the user at the other end of
the control socket (`proved_…`). The login user and sudo's user are what a command says of itself
(`said_…`): whoever may run the command could have it say anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chatredirect.log.bridge import unfiltered
from chatredirect.log.sink import LogSink

EVENT = "audit"
DONE = "done"
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who changes something, and by which way.

    Attributes:
        by: `control_socket`, `command` (which writes files itself), `page` (a browser, or a
            script, that has shown the page's token), `signal`, `watch` (a file has changed) or
            `start`.
        proved_pid, proved_uid, proved_gid: the process at the other end of the control socket.
        said_uid: the user of a command that writes files itself.
        said_loginuid: the user that has logged in, as a number; empty if none has.
        said_login: that user's name.
        said_sudo_user: who called sudo.
        client: the address of who uses the page; behind a proxy the proxy has said so.
    """

    by: str
    proved_pid: int | None = None
    proved_uid: int | None = None
    proved_gid: int | None = None
    said_uid: int | None = None
    said_loginuid: str = ""
    said_login: str = ""
    said_sudo_user: str = ""
    client: str = ""


@dataclass(frozen=True, slots=True)
class AuditedChange:
    """A change, or an attempt at one.

    Attributes:
        action: `reload`, `endpoint_set` and so on: docs/audit.md has all.
        subject: what is changed: an endpoint's SIP address, a trace's filter.
        was, now: before and after; as far as there is something to say.
        outcome: `done` or `refused`.
        why: why it was refused.
        seconds: how long it will be so; None for as long as nobody changes it.
    """

    action: str
    subject: object = ""
    was: object = ""
    now: object = ""
    outcome: str = DONE
    why: str = ""
    seconds: float | None = None


def audit_fields(origin: Origin, change: AuditedChange) -> Mapping[str, object]:
    """The fields of the event; those without a value are left out."""
    fields: dict[str, object] = {
        "action": change.action,
        "outcome": change.outcome,
        "subject": change.subject,
        "was": change.was,
        "now": change.now,
        "seconds": change.seconds,
        "why": change.why,
        "by": origin.by,
        "proved_uid": origin.proved_uid,
        "proved_gid": origin.proved_gid,
        "proved_pid": origin.proved_pid,
        "said_uid": origin.said_uid,
        "said_loginuid": origin.said_loginuid,
        "said_login": origin.said_login,
        "said_sudo_user": origin.said_sudo_user,
        "client": origin.client,
    }
    return {name: value for name, value in fields.items() if value not in (None, "", {}, ())}


class AuditLog:
    """Writes the daemon's part of the trail into its log, whatever the log's level is."""

    __slots__ = ("_log",)

    def __init__(self, sink: LogSink) -> None:
        """Write to this sink."""
        self._log = unfiltered(sink)

    def record(self, origin: Origin, change: AuditedChange) -> None:
        """Log a change."""
        log = self._log
        log.info("audit", **audit_fields(origin, change))
