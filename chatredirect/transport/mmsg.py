"""recvmmsg(2) and sendmmsg(2): many datagrams with one system call.

At tens of thousands of datagrams a second a system call for each, and Python's objects for each
socket address, cost more than SIP does. Here the kernel fills one block of memory with
up to `BATCH` datagrams and their addresses; answers are put into a second block, addressed with the
bytes of the address that their request came from, and leave together.

A listener on a wildcard address answers from the address that the request was sent to (RFC 3581
§4): the kernel hands that over as a control message, which goes back unchanged.

Linux only, like the system calls.
"""

import ctypes
import errno
import socket
import struct
import sys
from ipaddress import IPv6Address

from chatredirect.transport.unreachable import listen_to_icmp, unreachable

BATCH = 32
SLOT = 65536  # octets; no UDP datagram is longer
_TRIES = 8  # of a system call that fails for the sake of datagrams that were sent before
# octets of a struct sockaddr_in and sockaddr_in6
_NAME = {socket.AF_INET: 16, socket.AF_INET6: 28}
_CONTROL = 64  # octets, more than one IP_PKTINFO or IPV6_PKTINFO takes
# in.h and in6.h; the socket module of 3.11 doesn't name them all
_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = 49
_SO_MEMINFO = 55  # asm-generic/socket.h
_MEMINFO = struct.Struct("9I")  # linux/sock_diag.h: SK_MEMINFO_RMEM_ALLOC to SK_MEMINFO_DROPS
_CMSGHDR = struct.Struct("@Nii")  # cmsg_len, cmsg_level, cmsg_type: socket.h
# Where the interface's index is in such a control message: cmsghdr, then in_pktinfo or in6_pktinfo.
# It is set to 0 for the answer, so that routing decides by which interface it leaves.
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

# Fields are read and written through memoryviews of machine words: a tenth of what attributes of
# ctypes structures cost. These are their positions in words.
_WORD = ctypes.sizeof(ctypes.c_uint32)
_SIZE = ctypes.sizeof(ctypes.c_size_t)
_HEADER_WORDS = ctypes.sizeof(_Mmsghdr) // _WORD
_LEN_AT = _Mmsghdr.len.offset // _WORD
_HEADER_SIZES = ctypes.sizeof(_Mmsghdr) // _SIZE
_CONTROLLEN_AT = _Msghdr.controllen.offset // _SIZE
_IOVEC_SIZES = ctypes.sizeof(_Iovec) // _SIZE
_IOVEC_LEN_AT = _Iovec.len.offset // _SIZE


class _Block:
    """The memory of one direction: message headers, data, addresses, control messages.

    `data` and `names` have a view for each datagram.
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

    Between two calls of `receive` the datagrams of the first are numbered from 0; `reply` puts an
    answer to one of them into the outgoing batch, `put` any other datagram, `flush` sends it.

    Attributes:
        batching: whether what is put waits for `flush`, or for the batch to be full.
        unsent: datagrams that the kernel would not take.
        failed: whether a call has failed since `unreachable` was asked, perhaps by an ICMP error.
    """

    __slots__ = (
        "_fd", "_fresh", "_host", "_in", "_interface", "_out", "_outgoing", "_port", "_sock",
        "_wildcard", "batching", "failed", "unsent",
    )  # fmt: skip

    def __init__(self, sock: socket.socket) -> None:
        """Take over a bound socket; it is closed with this object."""
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
        self._fresh = bytes(self._in.headers)  # the kernel writes into them with every batch
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
        """Datagrams that the kernel dropped since the socket was opened, its buffer being full.

        None where the kernel doesn't say, or the socket is closed. It counts to 2**32 and begins
        anew.
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
        """Take in what has come, at most `BATCH` datagrams.

        Returns:
            Each datagram with the raw socket address that it came from; see `host_and_port`.
        """
        block = self._in
        block.headers[:] = self._fresh
        count: int = _recvmmsg(self._fd, block.address, BATCH, socket.MSG_DONTWAIT, None)
        if count < 0:
            count = self._receive_all_the_same()
        data, names, words = block.data, block.names, block.words
        return [
            (data[i][: words[i * _HEADER_WORDS + _LEN_AT]].tobytes(), names[i].tobytes())
            for i in range(count)
        ]

    def _receive_all_the_same(self) -> int:
        """Receive after a call has failed: it may have been for the sake of another datagram."""
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
        """To which addresses and ports ICMP says that datagrams of ours don't get (§18.4)."""
        self.failed = False
        return {(plain_host(host), port) for host, port in unreachable(self._sock)}

    def reply(self, i: int, data: bytes, name: bytes) -> None:
        """Put an answer to datagram `i` into the outgoing batch.

        Args:
            i: its number; the answer leaves from the address that it was sent to.
            data: the answer.
            name: the raw socket address that the answer goes to.
        """
        self._put(data, name, self._control(i) if self._wildcard else b"")

    def put(self, data: bytes, name: bytes, control: bytes) -> bool:
        """Put any datagram into the outgoing batch; it leaves at once if there is none.

        Args:
            data: the datagram.
            name: the raw socket address that it goes to; see `raw_name`.
            control: what makes it leave from one of our addresses; see `addressed`, `leaving_from`.

        Returns:
            False if the socket is closed. That it arrives nobody knows.
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
        """The raw socket address that datagram `i` came from."""
        return self._in.names[i].tobytes()

    def addressed(self, i: int) -> tuple[str, bytes]:
        """The address that datagram `i` was sent to, and what makes others leave from there."""
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
        """Its port."""
        return self._port

    @property
    def host(self) -> str:
        """The address that it is bound to; `0.0.0.0` or `::` if that is any."""
        return self._host

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return self._sock.family

    @property
    def only_ipv6(self) -> bool:
        """Whether a socket for IPv6 leaves IPv4 alone."""
        return bool(self._sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))

    def leaving_from(self, host: str) -> bytes:
        """What makes a datagram leave from one of our addresses; on a wildcard it matters."""
        if not self._wildcard:
            return b""
        if self._sock.family == socket.AF_INET:
            address = socket.inet_pton(socket.AF_INET, host)
            kind, info = (socket.IPPROTO_IP, _IP_PKTINFO), bytes(4) + address + address
        else:
            kind, info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO), _inet6(host) + bytes(4)
        message = _CMSGHDR.pack(_CMSGHDR.size + len(info), *kind) + info
        return message + bytes(-len(message) % _SIZE)  # CMSG_SPACE, as the kernel has it

    def _control(self, i: int) -> bytes:
        """The control message of datagram `i`, for one that leaves from where it was sent to."""
        length = self._in.sizes[i * _HEADER_SIZES + _CONTROLLEN_AT]
        control = bytearray(self._in.controls[i * _CONTROL : i * _CONTROL + length])
        control[self._interface] = bytes(4)
        return bytes(control)

    def flush(self) -> None:
        """Send the outgoing batch. What the kernel won't take is counted; SIP repeats itself."""
        sent, count, tries = 0, self._outgoing, 0
        self._outgoing = 0
        while sent < count:
            start = self._out.address + sent * ctypes.sizeof(_Mmsghdr)
            done: int = _sendmmsg(self._fd, start, count - sent, socket.MSG_DONTWAIT)
            if done > 0:
                # what made it stop, if anything did, isn't told when some have been sent
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
                continue  # it may be for the sake of a datagram that was sent before
            # a full socket buffer holds for all that are left, other errors for the first of them
            lost = count - sent if error == errno.EAGAIN else 1
            tries = 0
            self.unsent += lost
            sent += lost


def with_port(name: bytes, port: int) -> bytes:
    """A raw socket address with another port."""
    # sockaddr_in and sockaddr_in6 both have the port in octets 2 and 3, in network order
    return b"%b%b%b" % (name[:2], port.to_bytes(2, "big"), name[4:])


def raw_name(family: socket.AddressFamily, host: str, port: int) -> bytes:
    """The raw socket address of an IP address and a port, for a socket of this family."""
    start = family.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big")
    if family == socket.AF_INET:
        return start + socket.inet_pton(socket.AF_INET, host) + bytes(8)
    return start + bytes(4) + _inet6(host) + bytes(4)  # flow information, address, scope


def _inet6(host: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, host if ":" in host else f"::ffff:{host}")


def host_and_port(name: bytes) -> tuple[str, int]:
    """The IP address and port of a raw struct sockaddr_in or sockaddr_in6.

    A v4-mapped IPv6 address is given as the IPv4 address that it is.
    """
    family = int.from_bytes(name[:2], sys.byteorder)
    port = int.from_bytes(name[2:4], "big")
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port
    return plain_host(socket.inet_ntop(socket.AF_INET6, name[8:24])), port


def plain_host(host: str) -> str:
    """An address of a socket without its scope, v4-mapped ones as IPv4."""
    host = host.partition("%")[0]
    if host.startswith("::ffff:"):
        mapped = IPv6Address(host).ipv4_mapped
        return host if mapped is None else str(mapped)
    return host
