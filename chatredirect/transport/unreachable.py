"""ICMP errors: which addresses and ports datagrams couldn't be delivered to (RFC 3261 §18.4).

Linux keeps them in the socket's error queue, with the address that the datagram was sent to. It
accepts an ICMP message only if the quoted datagram has our socket's address and port. A pending
error also fails the next system call on the socket, which has to be repeated.
"""

import errno
import socket
import sys

_IP_RECVERR, _IPV6_RECVERR = 11, 25  # in.h and in6.h; the socket module of 3.11 has neither
_RECVERR = ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR))
_CONTROL = 256  # octets, more than a struct sock_extended_err with its address takes
_ERRNO = slice(0, 4)  # ee_errno, the first of struct sock_extended_err: errqueue.h
_ORIGIN = 4  # ee_origin
_FROM_ICMP = (2, 3)  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
_UNREACHABLE = frozenset((
    errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN,
    errno.ENONET, errno.ENOPROTOOPT, errno.EACCES,
))  # fmt: skip

MOST = 64
"""Errors that are read at a time; the kernel reports again that there are more."""


def listen_to_icmp(sock: socket.socket) -> None:
    """Make the kernel queue the errors of an IPv4 or IPv6 socket."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)  # of IPv6: for v4-mapped addresses


def unreachable(sock: socket.socket) -> set[tuple[str, int]]:
    """Read at most `MOST` errors; the addresses and ports that are unreachable."""
    found: set[tuple[str, int]] = set()
    for _ in range(MOST):
        try:
            _, controls, _, name = sock.recvmsg(
                0, _CONTROL, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
            )
        except OSError:  # no more errors
            break
        for level, kind, error in controls:
            if (
                (level, kind) in _RECVERR
                and len(error) > _ORIGIN
                and error[_ORIGIN] in _FROM_ICMP
                and int.from_bytes(error[_ERRNO], sys.byteorder) in _UNREACHABLE
            ):
                found.add((name[0], name[1]))
    return found
