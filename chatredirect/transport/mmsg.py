"""recvmmsg(2) and sendmmsg(2): many datagrams with one system call (Linux only).

At tens of thousands of datagrams a second, a system call for each and Python's objects for socket
addresses cost more than SIP does. Here up to `BATCH` datagrams with their raw addresses
are received with one call, and responses are sent together. The compiled codec makes the calls, or
`mmsg_ctypes`.

A listener on a wildcard address responds from the address that the request was sent to (RFC 3581
§4): the kernel provides it as a control message, which is returned unchanged.
"""

import errno
import socket
import struct
from collections.abc import Callable
from functools import partial

from chatredirect.codec import compiled
from chatredirect.transport.mmsg_ctypes import SLOT, Datagram, MemoryOfBatches
from chatredirect.transport.raw_address import inet6, plain_host
from chatredirect.transport.unreachable import listen_to_icmp, unreachable

BATCH = 32
_TRIES = 8  # of a system call that may report an error of an earlier datagram
# in.h and in6.h; the socket module of 3.11 doesn't name them all
_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = 49
_SO_MEMINFO = 55  # asm-generic/socket.h
_MEMINFO = struct.Struct("9I")  # linux/sock_diag.h: SK_MEMINFO_RMEM_ALLOC to SK_MEMINFO_DROPS
_SIZE = struct.calcsize("N")
_CMSGHDR = struct.Struct("@Nii")  # cmsg_len, cmsg_level, cmsg_type: socket.h


class DatagramSocket:
    """A bound, non-blocking UDP socket that is read and written in batches.

    `put` adds a datagram to the outgoing batch, `flush` sends the batch.

    Attributes:
        host: the address that it is bound to, which may be `0.0.0.0` or `::`.
        port: the port that it is bound to.
        wildcard: whether it is bound to `0.0.0.0` or `::`, so that datagrams come with a control
            message that says which address they were sent to.
        batching: whether datagrams wait for `flush` or a full batch.
        unsent: datagrams that the kernel didn't accept.
        failed: whether a call has failed since the last `unreachable`, perhaps by an ICMP error.
    """

    __slots__ = (
        "_closed", "_fd", "_outgoing", "_receive", "_send", "_sock", "batching", "failed", "host",
        "port", "unsent", "wildcard",
    )  # fmt: skip

    def __init__(self, sock: socket.socket) -> None:
        """Take a bound socket; `close` closes it."""
        host: str = sock.getsockname()[0]
        self.host = plain_host(host)
        self.port: int = sock.getsockname()[1]
        self._sock = sock
        self._fd = sock.fileno()
        self.wildcard = host in ("0.0.0.0", "::")  # noqa: S104  compared, not bound
        if self.wildcard and sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        elif self.wildcard:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        # both return the number of an error, `_send` with a minus sign
        self._receive: Callable[[], list[Datagram] | int]
        self._send: Callable[[list[Datagram], int], int]
        if compiled is None:
            memory = MemoryOfBatches(self._fd, sock.family, self.wildcard, BATCH)
            self._receive, self._send = memory.receive, memory.send
        else:
            self._receive = partial(compiled.receive, self._fd, BATCH)
            self._send = partial(compiled.send, self._fd)
        self._closed = False
        self._outgoing: list[Datagram] = []
        self.batching = False
        self.failed = False
        self.unsent = 0
        listen_to_icmp(sock)

    def fileno(self) -> int:
        """The file descriptor, for an event loop to watch."""
        return self._fd

    @property
    def overflows(self) -> int | None:
        """Datagrams that the kernel has dropped because the buffer was full, modulo 2**32.

        None if the kernel doesn't report it, or the socket is closed.
        """
        try:
            memory = self._sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            drops: int = _MEMINFO.unpack(memory)[-1]
        except (OSError, struct.error):
            return None
        return drops

    def close(self) -> None:
        """Close the socket."""
        self._closed = True
        self._sock.close()

    def receive(self) -> list[Datagram]:
        """Receive at most `BATCH` datagrams.

        Each comes with the raw address of its sender, and with the control message that has its
        destination as a source.
        """
        for _ in range(_TRIES):
            received = self._receive()
            if not isinstance(received, int):
                return received
            if received == errno.EAGAIN:
                break
            self.failed = True  # the error may be that of a datagram that was sent
        return []

    def unreachable(self) -> set[tuple[str, int]]:
        """The addresses and ports that ICMP reports unreachable for our datagrams (§18.4)."""
        self.failed = False
        return {(plain_host(host), port) for host, port in unreachable(self._sock)}

    def put(self, data: bytes, name: bytes, control: bytes) -> bool:
        """Send a datagram, with the outgoing batch if `batching`.

        Args:
            data: the datagram.
            name: the raw address to send it to; see `raw_name`.
            control: the control message with its source: the one of a received datagram, or see
                `leaving_from`.

        Returns:
            False if the socket is closed. The datagram may be lost.
        """
        if self._closed:
            return False
        if len(data) > SLOT:
            self.unsent += 1
            return True
        # on a specific address, whoever made the socket may have asked for other control messages,
        # such as time stamps (systemd.socket(5)), which can't be sent
        outgoing = self._outgoing
        outgoing.append((data, name, control if self.wildcard else b""))
        if not self.batching or len(outgoing) == BATCH:
            self.flush()
        return True

    def addressed(self, control: bytes) -> tuple[str, bytes]:
        """The destination of a datagram that came with this control message.

        Returns:
            The address, and the control message with it as a source.
        """
        if not self.wildcard:
            return self.host, b""
        if self._sock.family == socket.AF_INET:
            # struct in_pktinfo: index, the local address, the address in the datagram
            return socket.inet_ntop(socket.AF_INET, control[20:24]), control
        # struct in6_pktinfo: address, index
        return plain_host(socket.inet_ntop(socket.AF_INET6, control[16:32])), control

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return self._sock.family

    @property
    def only_ipv6(self) -> bool:
        """Whether an IPv6 socket doesn't receive IPv4."""
        return bool(self._sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))

    def leaving_from(self, host: str) -> bytes:
        """The control message with one of our addresses as a source; empty if not needed."""
        if not self.wildcard:
            return b""
        if self._sock.family == socket.AF_INET:
            address = socket.inet_pton(socket.AF_INET, host)
            kind, info = (socket.IPPROTO_IP, _IP_PKTINFO), bytes(4) + address + address
        else:
            kind, info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO), inet6(host) + bytes(4)
        message = _CMSGHDR.pack(_CMSGHDR.size + len(info), *kind) + info
        return message + bytes(-len(message) % _SIZE)  # as CMSG_SPACE pads it

    def flush(self) -> None:
        """Send the outgoing batch. What the kernel refuses is counted; SIP retransmits."""
        outgoing, self._outgoing = self._outgoing, []
        sent, count, tries = 0, len(outgoing), 0
        while sent < count:
            done = self._send(outgoing, sent)
            if done > 0:
                # sendmmsg doesn't report the error that stopped it after some datagrams
                self.failed = self.failed or done < count - sent
                sent += done
                tries = 0
                continue
            error = -done
            if error == errno.EINTR:
                continue
            self.failed = True
            tries += 1
            if error not in (errno.EAGAIN, errno.ENOBUFS) and tries < _TRIES:
                continue  # it may be the error of an earlier datagram
            # a full buffer affects all that are left, other errors the first of them
            lost = count - sent if error == errno.EAGAIN else 1
            tries = 0
            self.unsent += lost
            sent += lost
