"""Binds sockets to addresses, with errors that say what to do."""

import errno
import socket
from dataclasses import dataclass

from chatredirect.net.addresses import ListenUrl

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
_FREE_BIND = {  # linux/in.h, linux/in6.h
    socket.AF_INET: (socket.IPPROTO_IP, 15),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 78),
}


@dataclass(slots=True)
class BindError(Exception):
    """The address of an entry under `listen` can't be used: why, and what to do."""

    url: ListenUrl
    why: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"can't listen on {self.url}: {self.why}"


_REASONS = {
    errno.EADDRINUSE: "the address is in use, by another chatredirect or another server; "
    "stop that one or change `listen` (`ss -lnp` shows who has it)",
    errno.EADDRNOTAVAIL: "this machine has no such address; change `listen`, "
    "bring the interface up first, or set free_bind if it is to come later (VRRP)",
    errno.EACCES: "no permission; ports below 1024 need CAP_NET_BIND_SERVICE",
    errno.EPERM: "no permission; ports below 1024 need CAP_NET_BIND_SERVICE",
    errno.EAFNOSUPPORT: "this machine has no IPv6; change `listen`",
}


def bind(
    url: ListenUrl,
    *,
    only_ipv6: bool,
    receive_buffer: int,
    free_bind: bool = False,
    key: str = "listen",
) -> socket.socket:
    """A non-blocking socket bound to an address; port 0 takes a free one.

    SO_REUSEPORT is never set: a second daemon on the same address must fail.

    Args:
        only_ipv6: whether an IPv6 wildcard leaves IPv4 to another listener.
        receive_buffer: octets of a UDP socket's receive buffer, as far as the system allows.
        free_bind: whether the address may be one that this machine doesn't have yet (ip(7)).
        key: the key of the configuration with the address, for the error.

    Raises:
        BindError: the address can't be used.
    """
    family = socket.AF_INET6 if ":" in url.host else socket.AF_INET
    kind = socket.SOCK_DGRAM if url.transport == "udp" else socket.SOCK_STREAM
    try:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise _bind_error(url, error, key) from None
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
        if free_bind:
            sock.setsockopt(*_FREE_BIND[family], 1)
        if kind == socket.SOCK_STREAM:
            # so that a restart doesn't wait for old connections in TIME_WAIT
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            _set_receive_buffer(sock, receive_buffer)
        sock.bind((url.host, url.port))
        if kind == socket.SOCK_STREAM:
            sock.listen()  # with SO_REUSEADDR several may bind, but only one may listen
    except OSError as error:
        sock.close()
        raise _bind_error(url, error, key) from None
    return sock


def adopt(inherited: socket.socket, *, receive_buffer: int) -> socket.socket:
    """A duplicate of a socket that systemd has bound; a larger receive buffer stays."""
    sock = inherited.dup()
    # the kernel doubles the value, and returns the doubled one: socket(7)
    has = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    if sock.type == socket.SOCK_DGRAM and has < receive_buffer:
        _set_receive_buffer(sock, receive_buffer)
    return sock


def bound_url(url: ListenUrl, sock: socket.socket) -> ListenUrl:
    """The URL with the port that a socket is bound to."""
    return ListenUrl(url.transport, url.host, sock.getsockname()[1])


def _set_receive_buffer(sock: socket.socket, octets: int) -> None:
    """Set a buffer that holds a burst; more than net.core.rmem_max needs CAP_NET_ADMIN."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)


def _bind_error(url: ListenUrl, error: OSError, key: str) -> BindError:
    why = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return BindError(url, why.replace("`listen`", f"`{key}`"))
