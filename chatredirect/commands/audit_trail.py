"""The audit trail of commands that write files or the ledger themselves, without the daemon.

They write to systemd's journal, which adds what it can prove (`_UID`, `_PID`, `_AUDIT_LOGINUID`).
Without a journal they write the same line to syslog, and without that nowhere: a command in a
container has nobody to tell, and its file says who made it.
"""

import os
import socket
import syslog

from chatredirect.control.said import SaidUser
from chatredirect.log import journal
from chatredirect.log.audit import EVENT, AuditedChange, Origin, audit_fields
from chatredirect.log.render import cleaned, shown

SYSLOG = "/dev/log"
MOST = 1000
"""Records of one command; of more changes than that one record says how many there are."""
_SECONDS = 2.0  # for a journal that doesn't read: a command doesn't hang because of it


def record(*changes: AuditedChange) -> None:
    """Write down what this command has changed. Raises nothing."""
    said = SaidUser.here()
    origin = Origin(
        "command",
        said_uid=os.getuid(),
        said_loginuid=said.loginuid,
        said_login=said.login,
        said_sudo_user=said.sudo_user,
    )
    if os.path.exists(journal.SOCKET):
        _to_journal(origin, changes)
    elif os.path.exists(SYSLOG):
        _to_syslog(origin, changes)


def _to_journal(origin: Origin, changes: tuple[AuditedChange, ...]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_SECONDS)
        try:
            for change in changes:
                entry = journal.render_for_journal(0, "info", EVENT, audit_fields(origin, change))
                sock.sendto(entry.encode("utf-8", "replace") + b"\n", journal.SOCKET)
        except OSError:
            return  # the change is done, and nothing is left to be told


def _to_syslog(origin: Origin, changes: tuple[AuditedChange, ...]) -> None:
    syslog.openlog("chatredirect", syslog.LOG_PID, syslog.LOG_AUTHPRIV)
    for change in changes:
        name, fields = cleaned(EVENT, audit_fields(origin, change))
        words = " ".join(f"{key}={shown(value)}" for key, value in fields.items())
        syslog.syslog(syslog.LOG_INFO, f"{name} {words}")
    syslog.closelog()
