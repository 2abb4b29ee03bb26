"""Batches of datagrams by way of ctypes: the Python twin of the compiled codec's functions.

The kernel fills one block of memory with datagrams and their addresses; those to be sent are put
into a second block.
"""

import ctypes
import socket
from itertools import repeat

#: A datagram, the raw socket address that it came from or goes to, and a control message.
Datagram = tuple[bytes, bytes, bytes]

SLOT = 65536  # octets; no UDP datagram is longer
# octets of a struct sockaddr_in and sockaddr_in6
_NAME = {socket.AF_INET: 16, socket.AF_INET6: 28}
_CONTROL = 64  # octets, more than one IP_PKTINFO or IPV6_PKTINFO takes
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

    def __init__(self, name_octets: int, with_control: bool, count: int) -> None:
        data = bytearray(count * SLOT)
        names = bytearray(count * name_octets)
        controls = bytearray(count * _CONTROL)
        headers = bytearray(count * ctypes.sizeof(_Mmsghdr))
        iovecs = bytearray(count * ctypes.sizeof(_Iovec))
        header_array = (_Mmsghdr * count).from_buffer(headers)
        iovec_array = (_Iovec * count).from_buffer(iovecs)
        for i in range(count):
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
        self.data = _cut(data, SLOT, count)
        self.names = _cut(names, name_octets, count)
        self.controls = memoryview(controls)
        self.headers = memoryview(headers)
        self.words = self.headers.cast("I")
        # typeshed doesn't know "N", a size_t
        self.sizes: memoryview[int] = self.headers.cast("N")  # type: ignore[call-overload]
        self.lengths: memoryview[int] = memoryview(iovecs).cast("N")  # type: ignore[call-overload]
        self.address = _address_of(headers)


def _cut(memory: bytearray, octets: int, count: int) -> list[memoryview]:
    return [memoryview(memory)[i * octets : (i + 1) * octets] for i in range(count)]


def _address_of(memory: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


class MemoryOfBatches:
    """Receives and sends batches of a bound, non-blocking UDP socket."""

    __slots__ = ("_control", "_count", "_fd", "_fresh", "_in", "_interface", "_out")

    def __init__(
        self, fd: int, family: socket.AddressFamily, with_control: bool, count: int
    ) -> None:
        """Make the memory for `count` datagrams in each direction.

        Args:
            fd: the socket's descriptor.
            family: AF_INET or AF_INET6.
            with_control: whether the kernel says which address a datagram was sent to.
            count: how many are received or sent with one call.
        """
        self._fd = fd
        self._count = count
        self._control = with_control
        self._interface = _INTERFACE[family]
        self._in = _Block(_NAME[family], with_control, count)
        self._out = _Block(_NAME[family], with_control, count)
        self._fresh = bytes(self._in.headers)  # the kernel writes into them with every batch

    def receive(self) -> list[Datagram] | int:
        """What has come, at most `count` datagrams; the error number if the call fails."""
        block = self._in
        block.headers[:] = self._fresh
        came: int = _recvmmsg(self._fd, block.address, self._count, socket.MSG_DONTWAIT, None)
        if came < 0:
            return ctypes.get_errno()
        lengths = block.words[_LEN_AT::_HEADER_WORDS]
        controls = map(self._control_message, range(came)) if self._control else repeat(b"")
        return [
            (data[:length].tobytes(), name.tobytes(), control)
            for data, length, name, control in zip(
                block.data[:came], lengths, block.names, controls, strict=False
            )
        ]

    def _control_message(self, i: int) -> bytes:
        length = self._in.sizes[i * _HEADER_SIZES + _CONTROLLEN_AT]
        control = bytearray(self._in.controls[i * _CONTROL : i * _CONTROL + length])
        if length:
            control[self._interface] = bytes(4)
        return bytes(control)

    def send(self, batch: list[Datagram], start: int) -> int:
        """Send a batch from a position on; how many the kernel took, or the negative error number.

        Args:
            batch: at most `count` datagrams of at most `SLOT` octets.
            start: how many of them have been sent already.
        """
        block = self._out
        memory, lengths, names, with_control = block.data, block.lengths, block.names, self._control
        for k in range(start, len(batch)):
            data, name, control = batch[k]
            length = len(data)
            memory[k][:length] = data
            lengths[k * _IOVEC_SIZES + _IOVEC_LEN_AT] = length
            names[k][:] = name
            if with_control:
                block.controls[k * _CONTROL : k * _CONTROL + len(control)] = control
                block.sizes[k * _HEADER_SIZES + _CONTROLLEN_AT] = len(control)
        address = block.address + start * ctypes.sizeof(_Mmsghdr)
        sent: int = _sendmmsg(self._fd, address, len(batch) - start, socket.MSG_DONTWAIT)
        return -ctypes.get_errno() if sent < 0 else sent
