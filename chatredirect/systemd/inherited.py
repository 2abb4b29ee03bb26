"""Sockets that systemd has bound for us (sd_listen_fds(3)), matched to the entries of `listen`.

They outlive this process, so requests that come during a restart wait in them. Configuration and
socket unit must agree: an entry without a socket would be bound by the daemon and lost at each
restart, and a socket without an entry would accept connections that nobody answers. So either is an
error, at the start and at each reload.
"""

import os
import socket
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from chatredirect.config import ListenUrl
from chatredirect.net.addresses import bracketed

_FIRST = 3  # SD_LISTEN_FDS_START
_KINDS = {socket.SOCK_DGRAM: "udp", socket.SOCK_STREAM: "tcp"}
_OPTION = {"udp": "ListenDatagram", "tcp": "ListenStream"}


class InheritError(Exception):
    """The sockets of systemd don't match `listen`, or can't be used; one line for people."""


@dataclass(frozen=True, slots=True)
class _BoundTo:
    """What a socket is bound to: `udp` or `tcp` (also for TLS), address and port."""

    kind: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{_OPTION[self.kind]}={bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Inherited:
    """The sockets of systemd, if any. They stay open; listeners get duplicates."""

    sockets: dict[_BoundTo, socket.socket] = field(default_factory=dict)
    names: dict[_BoundTo, str] = field(default_factory=dict)

    def match(self, listen: Iterable[ListenUrl]) -> dict[ListenUrl, socket.socket]:
        """The socket of each entry; empty if there are none and the daemon binds its own.

        Raises:
            InheritError: an entry has no socket, or a socket has no entry.
        """
        if not self.sockets:
            return {}
        wanted = {_bound_to(url): url for url in listen}
        without_socket = [
            f"{url} has no socket (add {bound_to} to the unit, or take the entry away)"
            for bound_to, url in wanted.items()
            if bound_to not in self.sockets
        ]
        without_entry = [
            f"{bound_to} in {self.names[bound_to]} has no entry"
            for bound_to in self.sockets
            if bound_to not in wanted
        ]
        if without_socket or without_entry:
            units = " ".join(dict.fromkeys(self.names.values()))
            raise InheritError(
                "listen and the sockets from systemd differ: "
                + "; ".join([*without_socket, *without_entry])
                + f". After a change of the unit: systemctl restart {units} chatredirect"
            )
        return {url: self.sockets[bound_to] for bound_to, url in wanted.items()}


def inherit(environ: MutableMapping[str, str] = os.environ, pid: int | None = None) -> Inherited:
    """Take the sockets of systemd, and remove the variables from the environment.

    Args:
        environ: `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES`.
        pid: the process id, for tests.

    Raises:
        InheritError: a descriptor can't be listened on.
    """
    meant, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if meant != str(os.getpid() if pid is None else pid):
        return Inherited()
    if not (count.isascii() and count.isdigit()):
        raise InheritError(f"LISTEN_FDS is {count!r}, and should be a number")
    inherited = Inherited()
    for i in range(int(count)):
        name = names[i] if i < len(names) and names[i] else "chatredirect.socket"
        bound_to, sock = _adopt(_FIRST + i, name)
        if bound_to in inherited.sockets:
            raise InheritError(f"{bound_to} is passed on twice (ReusePort=?), in {name}")
        inherited.sockets[bound_to] = sock
        inherited.names[bound_to] = name
    return inherited


def _adopt(descriptor: int, name: str) -> tuple[_BoundTo, socket.socket]:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise InheritError(
            f"descriptor {descriptor} from systemd ({name}) is no socket: {error.strerror}"
        ) from None
    kind = _KINDS.get(sock.type)
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or kind is None:
        raise InheritError(
            f"a socket in {name} is neither UDP nor TCP ({sock.family.name}, {sock.type.name})"
        )
    if kind == "tcp" and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise InheritError(f"{name} passes on single connections: Accept=no is needed")
    sock.setblocking(False)
    sock.set_inheritable(False)
    host, port = sock.getsockname()[:2]
    return _BoundTo(kind, _plain(host), port), sock


def _bound_to(url: ListenUrl) -> _BoundTo:
    return _BoundTo("udp" if url.transport == "udp" else "tcp", _plain(url.host), url.port)


def _plain(host: str) -> str:
    """An address in canonical form, without a zone."""
    return str(ip_address(host.partition("%")[0]))
