"""Session descriptions, as far as a session without media needs them (RFC 3264, RFC 4566).

Office Communicator offers a line `m=message` (or `m=x-ms-message`) for text messages in the dialog
itself; nothing is sent to its port. Such a line is accepted, every other one is rejected with
port 0 (RFC 3264 §6).
"""

import re
from dataclasses import dataclass

TYPE = b"application/sdp"
MAX_MEDIA = 32  # media lines of an offer
MAX_LINES = 1000  # of an offer, empty ones included
MAX_ANSWER = 4096  # octets; an answer copies the offer's media lines and is kept until the ACK

_SPOKEN = (b"message", b"x-ms-message")
_PORT = 5060  # any port but 0 accepts the line
_MESSAGES = b"m=%b %d %b\r\na=accept-types:text/plain\r\n"
_DIRECTIONS = {  # of an offer, and of its answer (RFC 3264 §6.1)
    b"a=sendonly": b"a=recvonly\r\n",
    b"a=recvonly": b"a=sendonly\r\n",
    b"a=inactive": b"a=inactive\r\n",
}

# An offer of a single media line without a direction, as Group Chat's clients write it: the lines
# before t=, its times; kind, port, and protocol with formats; attributes. Groups aren't possessive,
# for the reason that sip.abnf has.
_PLAIN = re.compile(
    rb"v=0\r\n(?:[a-lnopqrsu-z]=[^\x00\r\n]*+\r\n){0,16}t=([0-9]++ [0-9]++)\r\n"
    rb"m=([!-~]++) ([0-9]{1,5}+) ([!-~]++(?: [!-~]++)*)\r\n"
    rb"(?:a=(?!sendonly|recvonly|inactive)[^\x00\r\n]*+\r\n){0,32}\Z"
)


class BadSession(Exception):
    """A session description that can't be read."""


@dataclass(slots=True)
class Media:
    """A media line of an offer, with what is said of it.

    Attributes:
        kind: its first word.
        accepted: whether we accept it.
        rest: protocol and formats.
        direction: the last attribute of `_DIRECTIONS`; empty if there is none.
    """

    kind: bytes
    accepted: bool
    rest: bytes
    direction: bytes = b""


def answer(offer: bytes, host: str, version: int) -> bytes | None:
    """The answer to an offer; None if nothing in it is acceptable (RFC 3264 §6).

    Args:
        offer: the peer's session description.
        host: our address, or a name; IPv6 has no brackets.
        version: of the o= line; one more than in our last description if this one differs.

    Raises:
        BadSession: the offer can't be read.
    """
    times, media = read_plain(offer) or read_any(offer)
    made = _head(host, version, times)
    refused = True
    for each in media:
        if each.accepted:
            refused = False
            made += _MESSAGES % (each.kind, _PORT, each.rest)
            if each.direction:
                made += _DIRECTIONS[each.direction]
        else:
            made += b"m=%b 0 %b\r\n" % (each.kind, each.rest)
    if refused:
        return None
    if len(made) > MAX_ANSWER:
        raise BadSession
    return made


def offer(host: str, version: int) -> bytes:
    """Our offer in the 2xx to an INVITE without one (RFC 3261 §13.3.1.4)."""
    return _head(host, version, b"0 0") + _MESSAGES % (b"message", _PORT, b"sip null")


def _head(host: str, version: int, times: bytes) -> bytes:
    address = b"IN %b %b" % (b"IP6" if ":" in host else b"IP4", host.encode("ascii"))
    return b"v=0\r\no=- 0 %d %b\r\ns=session\r\nc=%b\r\nt=%b\r\n" % (
        version, address, address, times
    )  # fmt: skip


def read_plain(description: bytes) -> tuple[bytes, list[Media]] | None:
    """As `read_any` for a description in the most frequent form; None for any other form.

    The general way takes three times as long, and reads the same.
    """
    match = _PLAIN.match(description)
    if match is None:
        return None
    times, kind, number, rest = match.groups()
    return times, [_media_of(kind, number, rest)]


def read_any(description: bytes) -> tuple[bytes, list[Media]]:
    """The value of the last t= line before the media lines, and the media lines in order.

    Raises:
        BadSession: it can't be read.
    """
    if max(description.count(b"\n"), description.count(b"\r")) > MAX_LINES:
        raise BadSession
    lines = [line.strip(b" \t") for line in description.splitlines()]
    if not lines or lines[0] != b"v=0" or 0 in description:
        raise BadSession
    times = b"0 0"
    media: list[Media] = []
    for line in lines:
        kind = line[:2]
        if kind == b"m=":
            if len(media) == MAX_MEDIA:
                raise BadSession
            media.append(_media(line))
        elif kind == b"t=" and not media and line[2:].replace(b" ", b"").isdigit():
            times = line[2:]
        elif media and line in _DIRECTIONS:
            media[-1].direction = line
        elif kind[1:] != b"=" and line:
            raise BadSession
    return times, media


def _media(line: bytes) -> Media:
    """m=<media> <port>[/<number>] <proto> <fmt> ... (RFC 4566 §5.14)."""
    parts = line[2:].split(b" ", 2)
    if len(parts) < 3 or not all(parts):
        raise BadSession
    kind, port, rest = parts
    number = port.partition(b"/")[0]
    if not number.isdigit() or len(number) > 5:
        raise BadSession
    return _media_of(kind, number, rest)


def _media_of(kind: bytes, number: bytes, rest: bytes) -> Media:
    return Media(kind, kind.lower() in _SPOKEN and number.strip(b"0") != b"", rest)
