"""recvmmsg(2) and sendmmsg(2): many datagrams with one system call (Linux only).

At tens of thousands of datagrams a second, a system call for each and Python's objects for socket
addresses cost more than SIP does. Here the kernel fills one block of memory with up to `BATCH`
datagrams and their addresses. Responses are written into a second block, with the raw address that
their request came from, and are sent together.

A listener on a wildcard address responds from the address that the request was sent to (RFC 3581
§4): the kernel provides it as a control message, which is returned unchanged.
"""

import ctypes
import errno
import socket
import struct

from chatredirect.transport.raw_address import inet6, plain_host
from chatredirect.transport.unreachable import listen_to_icmp, unreachable

BATCH = 32
SLOT = 65536  # octets; no UDP datagram is longer
_TRIES = 8  # of a system call that may report an error of an earlier datagram
# octets of a struct sockaddr_in and sockaddr_in6
_NAME = {socket.AF_INET: 16, socket.AF_INET6: 28}
_CONTROL = 64  # octets, more than one IP_PKTINFO or IPV6_PKTINFO takes
# in.h and in6.h; the socket module of 3.11 doesn't name them all
_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = 49
_SO_MEMINFO = 55  # asm-generic/socket.h
_MEMINFO = struct.Struct("9I")  # linux/sock_diag.h: SK_MEMINFO_RMEM_ALLOC to SK_MEMINFO_DROPS
_CMSGHDR = struct.Struct("@Nii")  # cmsg_len, cmsg_level, cmsg_type: socket.h
# The interface index in such a control message: cmsghdr, then in_pktinfo or in6_pktinfo. It is set
# to 0 for the response, so that routing chooses the interface.
_INTERFACE = {socket.AF_INET: slice(16, 20), socket.AF_INET6: slice(32, 36)}


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("hdr", _Msghdr), ("len", ctypes.c_uint32))


_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p,
)  # fmt: skip
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)

# Fields are accessed through memoryviews of machine words, at a tenth of the cost of attributes of
# ctypes structures. These are their positions in words.
_WORD = ctypes.sizeof(ctypes.c_uint32)
_SIZE = ctypes.sizeof(ctypes.c_size_t)
_HEADER_WORDS = ctypes.sizeof(_Mmsghdr) // _WORD
_LEN_AT = _Mmsghdr.len.offset // _WORD
_HEADER_SIZES = ctypes.sizeof(_Mmsghdr) // _SIZE
_CONTROLLEN_AT = _Msghdr.controllen.offset // _SIZE
_IOVEC_SIZES = ctypes.sizeof(_Iovec) // _SIZE
_IOVEC_LEN_AT = _Iovec.len.offset // _SIZE


class _Block:
    """The memory of one direction: headers, data, addresses and control messages.

    `data` and `names` have a memoryview for each datagram.
    """

    __slots__ = ("address", "controls", "data", "headers", "lengths", "names", "sizes", "words")

    def __init__(self, name_octets: int, with_control: bool) -> None:
        data = bytearray(BATCH * SLOT)
        names = bytearray(BATCH * name_octets)
        controls = bytearray(BATCH * _CONTROL)
        headers = bytearray(BATCH * ctypes.sizeof(_Mmsghdr))
        iovecs = bytearray(BATCH * ctypes.sizeof(_Iovec))
        header_array = (_Mmsghdr * BATCH).from_buffer(headers)
        iovec_array = (_Iovec * BATCH).from_buffer(iovecs)
        for i in range(BATCH):
            iovec_array[i].base = _address_of(data) + i * SLOT
            iovec_array[i].len = SLOT
            header = header_array[i].hdr
            header.name = _address_of(names) + i * name_octets
            header.namelen = name_octets
            header.iov = _address_of(iovecs) + i * ctypes.sizeof(_Iovec)
            header.iovlen = 1
            if with_control:
                header.control = _address_of(controls) + i * _CONTROL
                header.controllen = _CONTROL
        self.data = _cut(data, SLOT)
        self.names = _cut(names, name_octets)
        self.controls = memoryview(controls)
        self.headers = memoryview(headers)
        self.words = self.headers.cast("I")
        # typeshed doesn't know "N", a size_t
        self.sizes: memoryview[int] = self.headers.cast("N")  # type: ignore[call-overload]
        self.lengths: memoryview[int] = memoryview(iovecs).cast("N")  # type: ignore[call-overload]
        self.address = _address_of(headers)


def _cut(memory: bytearray, octets: int) -> list[memoryview]:
    return [memoryview(memory)[i * octets : (i + 1) * octets] for i in range(BATCH)]


def _address_of(memory: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


class DatagramSocket:
    """A bound, non-blocking UDP socket that is read and written in batches.

    Until the next call of `receive` the datagrams of the last one are numbered from 0. `reply` adds
    a response to one of them to the outgoing batch, `put` adds any other datagram, `flush` sends.

    Attributes:
        batching: whether datagrams wait for `flush` or a full batch.
        unsent: datagrams that the kernel didn't accept.
        failed: whether a call has failed since the last `unreachable`, perhaps by an ICMP error.
    """

    __slots__ = (
        "_fd", "_fresh", "_host", "_in", "_interface", "_out", "_outgoing", "_port", "_sock",
        "_wildcard", "batching", "failed", "unsent",
    )  # fmt: skip

    def __init__(self, sock: socket.socket) -> None:
        """Take a bound socket; `close` closes it."""
        host: str = sock.getsockname()[0]
        self._host = plain_host(host)
        self._port: int = sock.getsockname()[1]
        self._sock = sock
        self._fd = sock.fileno()
        self._wildcard = host in ("0.0.0.0", "::")  # noqa: S104  compared, not bound
        self._interface = _INTERFACE[sock.family]
        if self._wildcard and sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        elif self._wildcard:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        name_octets = _NAME[sock.family]
        self._in = _Block(name_octets, self._wildcard)
        self._out = _Block(name_octets, self._wildcard)
        self._fresh = bytes(self._in.headers)  # to reset them: the kernel writes into them
        self._outgoing = 0
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
        self._sock.close()

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Receive at most `BATCH` datagrams, each with the raw address of its sender."""
        block = self._in
        block.headers[:] = self._fresh
        count: int = _recvmmsg(self._fd, block.address, BATCH, socket.MSG_DONTWAIT, None)
        if count < 0:
            count = self._receive_again()
        data, names, words = block.data, block.names, block.words
        return [
            (data[i][: words[i * _HEADER_WORDS + _LEN_AT]].tobytes(), names[i].tobytes())
            for i in range(count)
        ]

    def _receive_again(self) -> int:
        """Receive after a failed call: the error may be that of a datagram that was sent."""
        for _ in range(_TRIES):
            if ctypes.get_errno() == errno.EAGAIN:
                break
            self.failed = True
            address = self._in.address
            count: int = _recvmmsg(self._fd, address, BATCH, socket.MSG_DONTWAIT, None)
            if count >= 0:
                return count
        return 0

    def unreachable(self) -> set[tuple[str, int]]:
        """The addresses and ports that ICMP reports unreachable for our datagrams (§18.4)."""
        self.failed = False
        return {(plain_host(host), port) for host, port in unreachable(self._sock)}

    def reply(self, i: int, data: bytes, name: bytes) -> None:
        """Add a response to datagram `i` to the outgoing batch.

        Args:
            i: the datagram's number; the response's source is the datagram's destination.
            data: the response.
            name: the raw address to send it to.
        """
        self._put(data, name, self._control(i) if self._wildcard else b"")

    def put(self, data: bytes, name: bytes, control: bytes) -> bool:
        """Send a datagram, with the outgoing batch if `batching`.

        Args:
            data: the datagram.
            name: the raw address to send it to; see `raw_name`.
            control: the control message with its source; see `addressed` and `leaving_from`.

        Returns:
            False if the socket is closed. The datagram may be lost.
        """
        if self._sock.fileno() < 0:
            return False
        self._put(data, name, control)
        if not self.batching:
            self.flush()
        return True

    def _put(self, data: bytes, name: bytes, control: bytes) -> None:
        length = len(data)
        if length > SLOT:
            self.unsent += 1
            return
        block, k = self._out, self._outgoing
        block.data[k][:length] = data
        block.lengths[k * _IOVEC_SIZES + _IOVEC_LEN_AT] = length
        block.names[k][:] = name
        if control:
            block.controls[k * _CONTROL : k * _CONTROL + len(control)] = control
            block.sizes[k * _HEADER_SIZES + _CONTROLLEN_AT] = len(control)
        self._outgoing = k + 1
        if k + 1 == BATCH:
            self.flush()

    def sender(self, i: int) -> bytes:
        """The raw address of the sender of datagram `i`."""
        return self._in.names[i].tobytes()

    def addressed(self, i: int) -> tuple[str, bytes]:
        """The destination of datagram `i`, and the control message with it as a source."""
        if not self._wildcard:
            return self._host, b""
        control = self._control(i)
        if self._sock.family == socket.AF_INET:
            # struct in_pktinfo: index, the local address, the address in the datagram
            return socket.inet_ntop(socket.AF_INET, control[20:24]), control
        # struct in6_pktinfo: address, index
        return plain_host(socket.inet_ntop(socket.AF_INET6, control[16:32])), control

    @property
    def port(self) -> int:
        """The port that it is bound to."""
        return self._port

    @property
    def host(self) -> str:
        """The address that it is bound to, which may be `0.0.0.0` or `::`."""
        return self._host

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
        if not self._wildcard:
            return b""
        if self._sock.family == socket.AF_INET:
            address = socket.inet_pton(socket.AF_INET, host)
            kind, info = (socket.IPPROTO_IP, _IP_PKTINFO), bytes(4) + address + address
        else:
            kind, info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO), inet6(host) + bytes(4)
        message = _CMSGHDR.pack(_CMSGHDR.size + len(info), *kind) + info
        return message + bytes(-len(message) % _SIZE)  # as CMSG_SPACE pads it

    def _control(self, i: int) -> bytes:
        """The control message with the destination of datagram `i` as a source."""
        length = self._in.sizes[i * _HEADER_SIZES + _CONTROLLEN_AT]
        control = bytearray(self._in.controls[i * _CONTROL : i * _CONTROL + length])
        control[self._interface] = bytes(4)
        return bytes(control)

    def flush(self) -> None:
        """Send the outgoing batch. What the kernel refuses is counted; SIP retransmits."""
        sent, count, tries = 0, self._outgoing, 0
        self._outgoing = 0
        while sent < count:
            start = self._out.address + sent * ctypes.sizeof(_Mmsghdr)
            done: int = _sendmmsg(self._fd, start, count - sent, socket.MSG_DONTWAIT)
            if done > 0:
                # sendmmsg doesn't report the error that stopped it after some datagrams
                self.failed = self.failed or done < count - sent
                sent += done
                tries = 0
                continue
            error = ctypes.get_errno()
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
