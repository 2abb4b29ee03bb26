"""What the service opens with a configuration, and whether its user may.

root may read everything, so what root sees says nothing about the service. A child process takes
on the user and the groups of the service and opens the files: modes, access lists and folders on
the way count as they do for the service.
"""

import glob
import grp
import json
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from chatredirect.config import Fault, Settings
from chatredirect.config.faults import quoted
from chatredirect.config.usage_section import STATE_DIRECTORY
from chatredirect.net.addresses import bracketed
from chatredirect.systemd.unit_file import ServiceUnit
from chatredirect.usage.pseudonyms import KEY_NAME

_NOT_OURS = ("/", "/root", "/home")
_OWN_FOLDER = "/etc/chatredirect"
_CREDENTIALS = "/run/credentials/"  # systemd reads their sources as root
_RESOLV_CONF = "/etc/resolv.conf"
_LIBPQ_FILES = ("passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl")
_UNPRIVILEGED = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
_BITS = {"read": "r", "change": "rw", "list": "rx", "write": "rwx", "search": "x"}
_FOLDER_RIGHTS = {"list": os.X_OK, "write": os.W_OK | os.X_OK}
_VERBS = {
    "read": "read it",
    "change": "read and write it",
    "list": "list it",
    "write": "write in it",
}


@dataclass(frozen=True, slots=True)
class NeededPath:
    """A file to `read` or `change`, or a folder to `list` or `write` in; `key` asks for it."""

    path: str
    how: Literal["read", "change", "list", "write"]
    key: str


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """The user and the groups that the service runs with."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @property
    def group(self) -> str:
        """The name of its group."""
        try:
            return grp.getgrgid(self.gid).gr_name
        except KeyError:
            return str(self.gid)


def service_user(name: str, unit: ServiceUnit | None) -> ServiceUser:
    """The user with this name, with the unit's groups if the unit is given.

    Raises:
        LookupError: there is no such user or group; the message says what to do.
    """
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise LookupError(_nobody("user", name)) from None
    gid = entry.pw_gid if unit is None or unit.group is None else _gid(unit.group)
    more = [] if unit is None else [_gid(each) for each in unit.more_groups]
    return ServiceUser(name, entry.pw_uid, gid, (*os.getgrouplist(name, gid), *more))


def _gid(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise LookupError(_nobody("group", name)) from None


def _nobody(kind: str, name: str) -> str:
    return (
        f"there is no {kind} {quoted(name)}: make it, as make install does (systemd-sysusers), or "
        "name another user with --user"
    )


def faults_of_service(
    settings: Settings, user: ServiceUser, unit: ServiceUnit | None
) -> list[Fault]:
    """What the service can't open or listen on, each with its remedy. Only root can judge."""
    credentials = set() if unit is None else set(unit.credentials.values())
    needed = [
        each
        for each in dict.fromkeys(_needed(settings, unit))
        if each.path not in credentials and not each.path.startswith(_CREDENTIALS)
    ]
    hidden, left = list[Fault](), list[NeededPath]()
    for each in needed:
        why = _sandboxed(each, unit)
        if why is None:
            left.append(each)
        else:
            hidden.append(Fault(each.path, 0, 0, why))
    return [*hidden, *_denied_faults(left, user), *_low_ports(settings, user, unit)]


def _needed(settings: Settings, unit: ServiceUnit | None) -> Iterator[NeededPath]:
    for file in settings.files:
        yield NeededPath(os.path.abspath(file), "read", "the configuration")
    if settings.include is not None and settings.files:
        main = os.path.abspath(settings.files[0])
        folder = os.path.dirname(os.path.join(os.path.dirname(main), settings.include))
        # a folder that can't be listed includes nothing, and says nothing
        if not glob.has_magic(folder) and os.path.isdir(folder):
            yield NeededPath(os.path.normpath(folder), "list", "include")
    for profile in (settings.tls, *settings.tls_listeners.values()):
        for name in ("certificate", "private_key", "private_key_password_file", "ca"):
            file = getattr(profile, name)
            if file is not None:
                yield NeededPath(os.path.abspath(file), "read", f"tls.{name}")
    if settings.secret_file is not None:
        yield NeededPath(os.path.abspath(settings.secret_file), "read", "secret_file")
    yield NeededPath(os.path.abspath(settings.dns.hosts_file), "read", "dns.hosts_file")
    if not settings.dns.nameservers:
        yield NeededPath(_RESOLV_CONF, "read", "no dns.nameservers")
    state = None if unit is None else next(filter(_is_state, unit.own_folders), None)
    yield from _needed_by_usage(settings, state)
    yield from _needed_by_page(settings, state)
    socket = settings.control.socket
    made = ["/run/chatredirect"] if unit is None else unit.own_folders
    if socket is not None and os.path.dirname(socket) not in made:
        yield NeededPath(os.path.dirname(socket), "write", "control.socket")


def _is_state(folder: str) -> bool:
    return folder.startswith("/var/lib/")


def _needed_by_usage(settings: Settings, state: str | None) -> Iterator[NeededPath]:
    """The ledger and its key; a restored backup often belongs to root alone."""
    store, key_file = settings.usage.address(state), settings.usage.key_file
    if key_file is not None:
        yield NeededPath(key_file, "read", "usage.key_file")
    if store is not None and store.path:
        folder = os.path.dirname(store.path)
        if folder != state:
            yield NeededPath(folder, "write", "usage.store")
        yield NeededPath(store.path, "change", "usage.store")
        if key_file is None and settings.usage.callers == "pseudonyms":
            yield NeededPath(os.path.join(folder, KEY_NAME), "read", "usage.callers")
    if store is not None and store.url:
        for name, values in parse_qs(urlsplit(store.url).query).items():
            if name in _LIBPQ_FILES:
                yield NeededPath(os.path.abspath(values[-1]), "read", f"usage.store, {name}")


def _needed_by_page(settings: Settings, state: str | None) -> Iterator[NeededPath]:
    """The page's token; without a file, the folder in which it is made."""
    path = settings.http.token_path(state)
    if settings.http.page_listen is None or path is None:
        return
    folder = os.path.dirname(path)
    if folder != state and not os.path.lexists(path):
        yield NeededPath(folder, "write", "http.token_file")
    yield NeededPath(path, "read", "http.token_file")


def _sandboxed(needed: NeededPath, unit: ServiceUnit | None) -> str | None:
    """Why the unit's sandbox keeps a path from the service, and what to do; None if it doesn't."""
    if unit is None:
        return None
    key = unit.hides(os.path.realpath(needed.path))
    if key is not None:
        return (
            f"{needed.key}: {key}= of the service's unit hides it from the service: put it "
            f"into {_OWN_FOLDER}"
        )
    if needed.how in ("write", "change") and unit.forbids_writing(os.path.realpath(needed.path)):
        return (
            f"{needed.key}: ProtectSystem=strict of the service's unit makes it read-only: "
            f"ReadWritePaths={_folder_of(needed)} under [Service] in systemctl edit chatredirect, "
            f"or use one of {', '.join(unit.own_folders)}"
        )
    return None


def _folder_of(needed: NeededPath) -> str:
    return needed.path if needed.how == "write" else os.path.dirname(needed.path)


def _denied_faults(needed: Sequence[NeededPath], user: ServiceUser) -> Iterator[Fault]:
    """A fault for each file or folder that stands in the way, however many files are behind it."""
    behind: dict[tuple[str, str], list[NeededPath]] = {}
    for index, obstacle, how in denied(needed, user):
        behind.setdefault((obstacle, how), []).append(needed[index])
    for (obstacle, how), paths in behind.items():
        first = paths[0]
        more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
        status = os.stat(obstacle)
        through = "" if obstacle == first.path else f", for it may not pass {obstacle}"
        what = f"user {user.name} can't {_VERBS[first.how]}{through} ({_modes(status)})"
        remedy = _remedy(obstacle, how, status, user, first)
        yield Fault(first.path, 0, 0, f"{first.key}{more}: {what}: {remedy}")


def _modes(status: os.stat_result) -> str:
    owner, group = str(status.st_uid), str(status.st_gid)
    with suppress(KeyError):  # a number without a name
        owner = pwd.getpwuid(status.st_uid).pw_name
        group = grp.getgrgid(status.st_gid).gr_name
    return f"{owner}:{group} {stat.S_IMODE(status.st_mode):04o}"


def _remedy(
    path: str, how: str, status: os.stat_result, user: ServiceUser, needed: NeededPath
) -> str:
    bits = _BITS[how]
    if path in _NOT_OURS:
        if needed.key == "control.socket":
            return "use a path in /run/chatredirect, which systemd makes for the service"
        if needed.how in ("write", "change"):
            return f"use a path in {STATE_DIRECTORY}, which systemd makes for the service"
        return f"put the file into {_OWN_FOLDER}, with chgrp {user.group} and chmod 640"
    if status.st_uid == user.uid:
        return f"chmod u+{bits} {path}"
    if status.st_gid in user.groups:
        return f"chmod g+{bits} {path}"
    return f"chgrp {user.group} {path} && chmod g+{bits} {path}"


def denied(needed: Sequence[NeededPath], user: ServiceUser) -> list[tuple[int, str, str]]:
    """What the user isn't permitted: the path's index, what stands in the way, and what it lacks.

    What isn't there, or fails for another reason, isn't listed: other checks tell that.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            os.setgroups(user.groups)
            os.setgid(user.gid)
            os.setuid(user.uid)
            found = list(_tried(needed))
            with os.fdopen(writer, "w") as pipe:
                json.dump(found, pipe)
            status = 0
        finally:
            os._exit(status)  # nothing of the parent's is to be flushed or cleaned up here
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise OSError(f"the process that was to act as user {user.name} failed")
    return [(int(index), str(path), str(how)) for index, path, how in json.loads(text)]


def _tried(needed: Sequence[NeededPath]) -> Iterator[tuple[int, str, str]]:
    for index, each in enumerate(needed):
        try:
            # without O_NONBLOCK the opening of a named pipe would wait
            mode = os.O_RDWR if each.how == "change" else os.O_RDONLY
            if each.how == "write":
                os.stat(each.path)
            else:
                os.close(os.open(each.path, mode | os.O_NONBLOCK | os.O_CLOEXEC))
            wanted = _FOLDER_RIGHTS.get(each.how)
            if wanted is not None and not os.access(each.path, wanted):
                raise PermissionError
        except PermissionError:
            yield index, *_obstacle(each)
        except OSError:
            continue


def _obstacle(needed: NeededPath) -> tuple[str, str]:
    """The first folder on the way that may not be searched, else the path itself."""
    for path in (needed.path, os.path.realpath(needed.path)):
        folder = "/"
        for part in path.split("/")[1:-1]:
            folder = os.path.join(folder, part)
            if not os.access(folder, os.X_OK):
                return folder, "search"
    return os.path.realpath(needed.path), needed.how


def _low_ports(settings: Settings, user: ServiceUser, unit: ServiceUnit | None) -> Iterator[Fault]:
    """A fault for each port that only root may listen on (ip(7), ip_unprivileged_port_start)."""
    if user.uid == 0 or (unit is not None and unit.binds_low_ports):
        return
    try:
        with open(_UNPRIVILEGED, encoding="ascii") as file:
            first = int(file.read())
    except (OSError, ValueError):
        first = 1024
    main = settings.files[0] if settings.files else "(settings)"
    if unit is None or not unit.sockets:
        for url in settings.listen:
            if 0 < url.port < first:
                kind = "ListenDatagram" if url.transport == "udp" else "ListenStream"
                why = (
                    f"listen: {url} is below {first}, where user {user.name} may not listen, and "
                    "the service's unit has no capability for it: write "
                    f"{kind}={bracketed(url.host)}:{url.port} under [Socket] in systemctl edit "
                    "chatredirect.socket, then systemctl enable --now chatredirect.socket; or "
                    f"take a port from {first} up"
                )
                yield Fault(main, 0, 0, why)
    for key, http in (
        ("http.listen", settings.http.listen),
        ("http.page_listen", settings.http.page_listen),
    ):
        if http is not None and http.port is not None and 0 < http.port < first:
            why = f"where user {user.name} may not listen: take a port from {first} up"
            yield Fault(main, 0, 0, f"{key}: {http} is below {first}, {why}")
