"""A peer's XML in a body, read as a stream within limits.

A listener gets each start tag and text, and stops the reading by raising. Nothing else is kept.
Namespaces are resolved here and not by expat, which would prefix each attribute with its
namespace's name: that made 1 GB of a 60 KB body.

A DTD is refused, and with it all entities; so is a processing instruction. expat gets the octets in
pieces, and nothing more once a tag doesn't end within `MAX_TAG`.

The charset is that of a byte order mark, else of the charset parameter, else of the XML
declaration, else UTF-8 (RFC 7303 §3.2). It must be one that expat knows: Python would cache every
name of an encoding that a peer makes up.
"""

import re
from collections.abc import Mapping
from typing import NoReturn, Protocol
from xml.parsers.expat import ExpatError, ParserCreate

MAX_DEPTH = 16
MAX_ELEMENTS = 256
MAX_ATTRIBUTES = 256  # of all elements together
MAX_NAMES = 40  # different names of elements and attributes; expat keeps them
MAX_NAME = 64  # characters of a name
MAX_TAG = 640  # octets of one tag or comment
_PIECE = 256  # octets that expat gets at once; it reads them all even if one is refused
_MAX_CHARSET = 40

_CHARSETS = {
    b"utf-8": "utf-8",
    b"utf8": "utf-8",
    b"us-ascii": "us-ascii",
    b"ascii": "us-ascii",
    b"iso-8859-1": "iso-8859-1",
    b"iso8859-1": "iso-8859-1",
    b"latin1": "iso-8859-1",
    b"utf-16": "utf-16",
    b"utf-16le": "utf-16le",
    b"utf-16be": "utf-16be",
}
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_DECLARED = re.compile(
    rb"<\?xml[ \t\r\n][^>?]{0,100}?encoding[ \t\r\n]{0,8}=[ \t\r\n]{0,8}"
    rb"[\"']([A-Za-z0-9._-]{1,40})[\"']"
)
_XML_SPACE = "http://www.w3.org/XML/1998/namespace"

MALFORMED = "Malformed XML"
TOO_COMPLEX = "XML Too Complex"


class BadXml(Exception):
    """The XML is refused; the text is a reason phrase."""


class UnknownCharset(BadXml):
    """The charset isn't supported."""


class Listener(Protocol):
    """Gets the start tags and the text of a body; may raise `BadXml`."""

    def start(self, depth: int, space: str, name: str, attributes: Mapping[str, str]) -> None:
        """The start tag of an element that `depth` others contain.

        The element has this namespace, empty for none, and this local name; attributes with a
        prefix are left out.
        """

    def text(self, depth: int, text: str) -> None:
        """A part of the text of an element at this depth."""


def read_xml(body: bytes, charset: bytes | None, listener: Listener) -> None:
    """Read a body, whose size the caller limits.

    `charset` is the charset parameter of Content-Type.

    Raises:
        BadXml: it isn't well-formed, or exceeds a limit, or the listener raised this.
    """
    reading = _Reading(listener)
    parser = ParserCreate(_encoding(body, charset))
    parser.ordered_attributes = True
    parser.buffer_text = True
    parser.buffer_size = _PIECE
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    parser.StartDoctypeDeclHandler = _dtd
    parser.ProcessingInstructionHandler = _instruction
    last = max(len(body) - 1, 0) // _PIECE * _PIECE
    try:
        for at in range(0, last, _PIECE):
            parser.Parse(body[at : at + _PIECE], False)
            if at + _PIECE - parser.CurrentByteIndex > MAX_TAG:
                raise BadXml(TOO_COMPLEX)
        parser.Parse(body[last:], True)
    except ExpatError:
        raise BadXml(MALFORMED) from None


def _encoding(body: bytes, charset: bytes | None) -> str:
    if not body.startswith(b"<"):
        for mark, encoding in _MARKS:
            if body.startswith(mark):
                return encoding
    if charset is not None:
        known = _CHARSETS.get(charset[:_MAX_CHARSET].lower())
        if known is None:
            raise UnknownCharset("Unknown Charset")
    elif body[1:2] == b"\0" or body[:1] == b"\0":
        known = "utf-16"
    else:
        declared = _DECLARED.match(body)
        # a declaration in ASCII that claims UTF-16 is wrong
        known = "utf-8" if declared is None else _CHARSETS.get(declared[1].lower())
        if known is None:
            raise BadXml(MALFORMED)
        known = "utf-8" if known.startswith("utf-16") else known
    if known == "utf-16":  # without a mark
        return "utf-16le" if body[1:2] == b"\0" else "utf-16be"
    return known


def _dtd(*_: object) -> NoReturn:
    raise BadXml("DTD In XML Refused")


def _instruction(*_: object) -> NoReturn:
    raise BadXml(MALFORMED)


class _Reading:
    """Resolves namespaces, checks the limits, and calls the listener."""

    __slots__ = ("_attributes", "_elements", "_listener", "_names", "_spaces")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._spaces: list[dict[str, str]] = [{"": "", "xml": _XML_SPACE}]
        self._elements = 0
        self._attributes = 0
        self._names: set[str] = set()

    def start(self, name: str, attributes: list[str]) -> None:
        stack, known = self._spaces, self._names
        depth = len(stack) - 1
        self._elements += 1
        self._attributes += len(attributes) // 2
        if (
            self._elements > MAX_ELEMENTS
            or self._attributes > MAX_ATTRIBUTES
            or depth >= MAX_DEPTH
            or len(attributes) > 2 * MAX_NAMES
        ):
            raise BadXml(TOO_COMPLEX)
        if name not in known:
            self._add_name(name)
        spaces = stack[-1]
        plain: dict[str, str] = {}
        prefixes = []
        pairs = iter(attributes)
        for attribute, value in zip(pairs, pairs, strict=True):
            if attribute not in known:
                self._add_name(attribute)
            if attribute == "xmlns":
                spaces = {**spaces, "": value}
            elif ":" not in attribute:
                plain[attribute] = value
            else:
                prefix, _, local = attribute.partition(":")
                if prefix == "xmlns":
                    spaces = {**spaces, local: value}
                else:
                    prefixes.append(prefix)
        stack.append(spaces)
        prefix, _, local = name.rpartition(":")
        if (prefix or prefixes) and not spaces.keys() >= {prefix, *prefixes}:
            raise BadXml(MALFORMED)
        self._listener.start(depth, spaces[prefix], local, plain)

    def _add_name(self, name: str) -> None:
        if len(name) > MAX_NAME or len(self._names) == MAX_NAMES:
            raise BadXml(TOO_COMPLEX)
        self._names.add(name)

    def end(self, _: str) -> None:
        self._spaces.pop()

    def text(self, text: str) -> None:
        self._listener.text(len(self._spaces) - 2, text)
