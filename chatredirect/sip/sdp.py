"""Session descriptions, as far as a session without media needs them (RFC 3264, RFC 4566).

Office Communicator offers a line `m=message` (or `m=x-ms-message`) for text messages in the dialog
itself; nothing is sent to its port. Such a line is accepted, every other one is rejected with
port 0 (RFC 3264 §6).
"""

from dataclasses import dataclass, replace

TYPE = b"application/sdp"
MAX_MEDIA = 32  # media lines of an offer
MAX_LINES = 1000  # of an offer, empty ones included
MAX_ANSWER = 4096  # octets; an answer copies the offer's media lines and is kept until the ACK

_SPOKEN = (b"message", b"x-ms-message")
_PORT = 5060  # any port but 0 accepts the line
_ACCEPTED = b"a=accept-types:text/plain"
_DIRECTIONS = {  # of an offer, and of its answer (RFC 3264 §6.1)
    b"a=sendonly": b"a=recvonly",
    b"a=recvonly": b"a=sendonly",
    b"a=inactive": b"a=inactive",
}


class BadSession(Exception):
    """A session description that can't be read."""


@dataclass(frozen=True, slots=True)
class _Media:
    kind: bytes
    port: bytes
    rest: bytes  # protocol and formats
    direction: bytes  # the last attribute of `_DIRECTIONS`; empty if there is none

    @property
    def accepted(self) -> bool:
        return self.kind.lower() in _SPOKEN and self.port != b"0"


def answer(offer: bytes, host: str, version: int) -> bytes | None:
    """The answer to an offer; None if nothing in it is acceptable (RFC 3264 §6).

    Args:
        offer: the peer's session description.
        host: our address, or a name; IPv6 has no brackets.
        version: of the o= line; one more than in our last description if this one differs.

    Raises:
        BadSession: the offer can't be read.
    """
    times, media = _read(offer)
    if not any(each.accepted for each in media):
        return None
    lines = _head(host, version, times)
    for each in media:
        if each.accepted:
            lines += [b"m=%b %d %b" % (each.kind, _PORT, each.rest), _ACCEPTED]
            lines += [_DIRECTIONS[each.direction]] if each.direction else []
        else:
            lines.append(b"m=%b 0 %b" % (each.kind, each.rest))
    made = b"\r\n".join(lines) + b"\r\n"
    if len(made) > MAX_ANSWER:
        raise BadSession
    return made


def offer(host: str, version: int) -> bytes:
    """Our offer in the 2xx to an INVITE without one (RFC 3261 §13.3.1.4)."""
    lines = _head(host, version, b"0 0")
    lines += [b"m=message %d sip null" % _PORT, _ACCEPTED]
    return b"\r\n".join(lines) + b"\r\n"


def _head(host: str, version: int, times: bytes) -> list[bytes]:
    address = b"IN %b %b" % (b"IP6" if ":" in host else b"IP4", host.encode("ascii"))
    return [
        b"v=0",
        b"o=- 0 %d %b" % (version, address),
        b"s=session",
        b"c=" + address,
        b"t=" + times,
    ]


def _read(description: bytes) -> tuple[bytes, list[_Media]]:
    """The value of the first t= line, and the media lines in order."""
    if max(description.count(b"\n"), description.count(b"\r")) > MAX_LINES:
        raise BadSession
    lines = [line.strip(b" \t") for line in description.splitlines()]
    if not lines or lines[0] != b"v=0" or b"\x00" in description:
        raise BadSession
    times = b"0 0"
    media: list[_Media] = []
    for line in lines:
        if line.startswith(b"m="):
            if len(media) == MAX_MEDIA:
                raise BadSession
            media.append(_media(line))
        elif line.startswith(b"t=") and not media and line[2:].replace(b" ", b"").isdigit():
            times = line[2:]
        elif media and line in _DIRECTIONS:
            media[-1] = replace(media[-1], direction=line)
        elif line[1:2] != b"=" and line:
            raise BadSession
    return times, media


def _media(line: bytes) -> _Media:
    """m=<media> <port>[/<number>] <proto> <fmt> ... (RFC 4566 §5.14)."""
    parts = line[2:].split(b" ", 2)
    if len(parts) < 3 or not all(parts):
        raise BadSession
    kind, port, rest = parts
    number = port.partition(b"/")[0]
    if not number.isdigit() or len(number) > 5:
        raise BadSession
    return _Media(kind, number.lstrip(b"0") or b"0", rest, b"")
