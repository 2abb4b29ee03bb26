"""Writes sightings to a capture file, for Wireshark, tshark and sngrep.

The format is libpcap's with raw IP packets (LINKTYPE_RAW). The packets are made for the messages,
with their real addresses, ports and times. Messages over TLS are written as plain TCP. A TCP
connection begins with a handshake and has correct sequence numbers, so that messages of any length
are reassembled.
"""

import struct
from collections.abc import Callable
from ipaddress import ip_address

from chatredirect.trace.sighting import Sighting, SightingKind

_MAGIC = 0xA1B2C3D4  # times in microseconds
_LINKTYPE_RAW = 101
_SNAPSHOT = 262_144
_TTL = 64
_UDP, _TCP = 17, 6
_SYN, _PSH, _ACK = 0x02, 0x08, 0x10
_SEGMENT = 16_384  # octets of a message in one TCP packet
_WINDOW = 65_535
_MAX_DATAGRAM = 65_000  # octets that fit into a datagram with any headers
_MAX_CONNECTIONS = 4096

#: An address and a port.
End = tuple[str, int]


class PcapWriter:
    """Writes one capture."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        """Begin the file; `write` gets its octets, in order."""
        self._write = write
        self._identification = 0
        self._next: dict[tuple[End, End], int] = {}
        write(struct.pack("=IHHiIII", _MAGIC, 2, 4, 0, 0, _SNAPSHOT, _LINKTYPE_RAW))

    def add(self, sighting: Sighting) -> None:
        """Write a message, or unreadable octets; ignore other sightings."""
        ends = sighting.ends
        is_message = sighting.kind not in (SightingKind.DECIDED, SightingKind.CONNECTION)
        if ends is None or not sighting.data or not is_message:
            return
        own, peer = _end(ends.own, ends.peer), ends.peer
        way = (own, peer) if sighting.kind is SightingKind.SENT else (peer, own)
        if ends.transport in ("tcp", "tls"):
            self._stream(sighting.at, way, sighting.data)
        else:
            self._datagram(sighting.at, way, sighting.data[:_MAX_DATAGRAM])

    def _datagram(self, at: float, way: tuple[End, End], data: bytes) -> None:
        (_, source), (_, target) = way
        header = struct.pack("!HHHH", source, target, 8 + len(data), 0)
        # a checksum of 0 means that there is none (RFC 768)
        checksum = _checksum(_pseudo(way, _UDP, 8 + len(data)) + header + data) or 0xFFFF
        self._packet(at, way, _UDP, header[:6] + struct.pack("!H", checksum) + data)

    def _stream(self, at: float, way: tuple[End, End], data: bytes) -> None:
        back = (way[1], way[0])
        if way not in self._next:
            if len(self._next) >= 2 * _MAX_CONNECTIONS:
                self._next.clear()
            self._next[way] = self._next[back] = 1
            self._segment(at, way, 0, 0, _SYN)
            self._segment(at, back, 0, 1, _SYN | _ACK)
            self._segment(at, way, 1, 1, _ACK)
        for position in range(0, len(data), _SEGMENT):
            piece = data[position : position + _SEGMENT]
            self._segment(at, way, self._next[way], self._next[back], _PSH | _ACK, piece)
            self._next[way] = (self._next[way] + len(piece)) % 2**32

    def _segment(
        self, at: float, way: tuple[End, End], number: int, seen: int, flags: int, data: bytes = b""
    ) -> None:
        (_, source), (_, target) = way
        offset = 5 << 4  # header of five words
        fields = (source, target, number, seen, offset, flags, _WINDOW)
        header = struct.pack("!HHIIBBH", *fields)
        whole = header + bytes(4) + data
        checksum = _checksum(_pseudo(way, _TCP, len(whole)) + whole)
        self._packet(at, way, _TCP, header + struct.pack("!HH", checksum, 0) + data)

    def _packet(self, at: float, way: tuple[End, End], protocol: int, payload: bytes) -> None:
        (source, _), (target, _) = way
        self._identification = (self._identification + 1) % 65536
        if ":" in source:  # RFC 8200 §3
            header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, _TTL)
            packet = header + _packed(source) + _packed(target) + payload
        else:  # RFC 791 §3.1
            length = 20 + len(payload)
            fields = (0x45, 0, length, self._identification, 0, _TTL, protocol)
            header = struct.pack("!BBHHHBB", *fields)
            addresses = _packed(source) + _packed(target)
            checksum = struct.pack("!H", _checksum(header + bytes(2) + addresses))
            packet = header + checksum + addresses + payload
        seconds, microseconds = divmod(round(at * 1_000_000), 1_000_000)
        record = struct.pack("=IIII", seconds, microseconds, len(packet), len(packet))
        self._write(record + packet)


def _end(end: End, other: End) -> End:
    """An end; if its address is unknown, the unspecified address of the other's family."""
    host, port = end
    if not host:
        host = "::" if ":" in other[0] else "0.0.0.0"  # noqa: S104  # nothing is bound to it
    return host, port


def _packed(host: str) -> bytes:
    return ip_address(host).packed


def _pseudo(way: tuple[End, End], protocol: int, length: int) -> bytes:
    """The pseudo-header of a checksum (RFC 9293 §3.1, RFC 8200 §8.1)."""
    (source, _), (target, _) = way
    addresses = _packed(source) + _packed(target)
    if ":" in source:
        return addresses + struct.pack("!IxxxB", length, protocol)
    return addresses + struct.pack("!xBH", protocol, length)


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
