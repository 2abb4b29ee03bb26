"""Hostile bodies: what those who read bodies are given, and what an ordinary one looks like."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from chatredirect.sip import sdp, xccos
from chatredirect.sip.body import BadMultipart, Body, find
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.xml_body import BadXml


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads bodies of one kind.

    Attributes:
        read: does so.
        ordinary: makes a body as people's software sends it, of so many octets.
        beginnings: of hostile ones.
        pieces: what is repeated then.
        ends: what stands at the end.
        most: octets that it is given.
    """

    read: Callable[[bytes], None]
    ordinary: Callable[[int], bytes]
    beginnings: tuple[bytes, ...]
    pieces: tuple[bytes, ...]
    ends: tuple[bytes, ...]
    most: int


_ENVELOPE = b'<xccos ver="1" envid="1" xmlns="urn:parlano:xml:ns:xccos">'
XCCOS = (
    *(b"", b"<", _ENVELOPE, _ENVELOPE + b"<a ", _ENVELOPE + b"<a><a><a ", _ENVELOPE + b'<a b="'),
    *(_ENVELOPE + b"<!--", _ENVELOPE + b"<![CDATA[", b"<!DOCTYPE a [", b'<?xml version="'),
    *(_ENVELOPE[:-1] + b' xmlns:n="u" ', b"\xff\xfe", b"\xef\xbb\xbf" + _ENVELOPE),
)
XCCOS_PIECES = (
    *(b"a", b" ", b"\n", b"\r\n", b"<", b">", b"&", b"\x00", b"\xff", b"<a>", b"<a/>", b"</a>"),
    *(b"<a></a>", b"x<a/>", b'<a b=""/>', b'<a b="" c=""/>', b'<a xmlns="u">', b'<a xmlns:n="u"/>'),
    *(
        b"<n:a/>",
        b' a=""',
        b' n:a=""',
        b"&#65;",
        b"&#x41;",
        b"&lt;",
        b"&a;",
        b"<!---->",
        b"<!--a-->",
    ),
    *(b"<![CDATA[]]>", b"<![CDATA[a]]>", b"]]>", b"--", b"<?a?>", b"<!ENTITY a 'b'>", b"\xc3\xa9"),
    *(b'<cmd id="cmd:requri" seqid="1"/>', b"\xf0\x9f\x98\x80", b"a\x00", b"<\x00a\x00/\x00>\x00"),
)
XCCOS_ENDS = (b"", b">", b'"/></xccos>', b"</xccos>")

_SESSION = b"v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=x\r\nt=0 0\r\nm=message 5060 sip null\r\n"
SESSIONS = (b"", _SESSION, _SESSION + b"m=", _SESSION + b"m=a 1 ", b"v=0\r\nt=", _SESSION + b"a=")
SESSION_PIECES = (
    *(b"\r", b"\n", b"\r\n", b"a", b" ", b"0", b"0 ", b"a=", b"a=sendonly\r\n", b"m=a 1 b c\r\n"),
    *(b"\ta=b\n", b"m=", b"/", b"a\n", b"\x00"),
)

_HEAD = b"\r\n--a\r\nContent-Type: application/sdp\r\n"
MULTIPARTS = (
    b"",
    b"\r\n--a",
    _HEAD,
    _HEAD + b"\r\n",
    _HEAD + b"Content-Disposition: x",
    _HEAD + b"X",
)
MULTIPART_PIECES = (
    *(
        b"\r\n--a",
        b"--a",
        b"\r\n",
        b"\r\n--",
        b"a",
        b";a",
        b"\r\n ",
        b"a:b\r\n",
        b"\r\n--a\r\n\r\n",
    ),
    *(b";handling=optional", b'"', b'\\"', b"a\n", b"\n"),
)


def read_commands(body: bytes) -> None:
    """Read XCCOS; what comes of it doesn't matter here."""
    with suppress(BadXml):
        xccos.read_commands(body)


def answer_session(body: bytes) -> None:
    """Answer an offer."""
    with suppress(sdp.BadSession):
        sdp.answer(body, "192.0.2.1", 0)


def find_session(body: bytes) -> None:
    """Look for an offer in a multipart, and answer it."""
    with suppress(BadMultipart):
        part = find(Body(b"multipart/mixed", b";boundary=a", False, False, body), sdp.TYPE)
        if part is not None:
            answer_session(part.octets)


def ordinary_commands(octets: int) -> bytes:
    """As much XCCOS as may be read, with elements as clients send them."""
    element = b'<chanib uri="ma-chan://contoso.com/%d" name="A room"/>'
    middle = b"".join(element % n for n in range(120))
    text = b"<data>%b</data>" % (b"ordinary words " * (octets // 15))[: octets - len(middle) - 200]
    return _ENVELOPE + middle + text + b'<cmd id="cmd:requri" seqid="1"/></xccos>'


def ordinary_session(octets: int) -> bytes:
    """An offer with many lines."""
    return _SESSION + b"a=candidate:1 1 UDP 2130706431 192.0.2.1 50000 typ host   \r\n" * (
        octets // 66
    )


def ordinary_multipart(octets: int) -> bytes:
    """Two offers."""
    part = _HEAD + b"Content-Disposition: session;handling=optional\r\n\r\n"
    return (part + ordinary_session(octets // 2)) * 2 + b"\r\n--a--\r\n"


READERS = (
    Reader(read_commands, ordinary_commands, XCCOS, XCCOS_PIECES, XCCOS_ENDS, xccos.MAX_OCTETS),
    Reader(answer_session, ordinary_session, SESSIONS, SESSION_PIECES, (b"",), DEFAULT.message),
    Reader(
        find_session,
        ordinary_multipart,
        MULTIPARTS,
        MULTIPART_PIECES,
        (b"", b"\r\n--a--"),
        DEFAULT.message,
    ),
)
