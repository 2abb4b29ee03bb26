"""Sockets that systemd has bound for us (sd_listen_fds(3)), matched to the entries of `listen`.

They outlive this process: what comes in while it restarts waits in them. The configuration and
the socket unit must say the same. An entry without a socket would have to be bound by ourselves
and would be lost at each restart; a socket without an entry would take connections that nobody
ever answers. So either is an error, at the start and at each reload.
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
    """What systemd has passed on and what `listen` says don't fit together: one line for people."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a socket is bound: `udp` or `tcp` (TLS included), address and port."""

    kind: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{_OPTION[self.kind]}={bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Inherited:
    """The sockets that systemd has passed on; none if it has passed none.

    They stay open as long as this object does: listeners get duplicates.
    """

    sockets: dict[_Place, socket.socket] = field(default_factory=dict)
    names: dict[_Place, str] = field(default_factory=dict)

    def match(self, listen: Iterable[ListenUrl]) -> dict[ListenUrl, socket.socket]:
        """Each entry's socket; empty if systemd has passed none, and we bind ourselves.

        Raises:
            InheritError: an entry has no socket, or a socket no entry.
        """
        if not self.sockets:
            return {}
        wanted = {_place(url): url for url in listen}
        without_socket = [
            f"{url} has no socket (add {place} to the unit, or take the entry away)"
            for place, url in wanted.items()
            if place not in self.sockets
        ]
        without_entry = [
            f"{place} in {self.names[place]} has no entry"
            for place in self.sockets
            if place not in wanted
        ]
        if without_socket or without_entry:
            raise InheritError(
                "listen and the sockets from systemd differ: "
                + "; ".join([*without_socket, *without_entry])
                + f". After a change of the unit: systemctl restart {self._units()} chatredirect"
            )
        return {url: self.sockets[place] for place, url in wanted.items()}

    def _units(self) -> str:
        return " ".join(dict.fromkeys(self.names.values()))


def inherit(environ: MutableMapping[str, str] = os.environ, pid: int | None = None) -> Inherited:
    """Take over what systemd has passed on; the variables are gone afterwards.

    Args:
        environ: `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES`.
        pid: of this process.

    Raises:
        InheritError: there is something that can't be listened on.
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
        place, sock = _adopt(_FIRST + i, name)
        if place in inherited.sockets:
            raise InheritError(f"{place} is passed on twice (ReusePort=?), in {name}")
        inherited.sockets[place] = sock
        inherited.names[place] = name
    return inherited


def _adopt(descriptor: int, name: str) -> tuple[_Place, socket.socket]:
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
    return _Place(kind, _plain(host), port), sock


def _place(url: ListenUrl) -> _Place:
    return _Place("udp" if url.transport == "udp" else "tcp", _plain(url.host), url.port)


def _plain(host: str) -> str:
    """An address in one spelling, without a zone."""
    return str(ip_address(host.partition("%")[0]))
