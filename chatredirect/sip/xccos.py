"""XCCOS, Group Chat's commands and replies (MS-XCCOSIP), read and written for client and server.

Only `cmd:requri` is understood: it asks for the URI of a channel service. A server replies to every
other command that it isn't implemented, since a client waits for the reply to each of its commands.

`xml_body` reads the XML, which comes from peers, within its limits. A body whose root isn't XCCOS's
is refused at its start tag.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from chatredirect.sip.xml_body import BadXml, read_xml

MAX_OCTETS = 16384  # of a body
MAX_COMMANDS = 16  # in one envelope
_MAX_TEXT = 64  # characters of an attribute that a reply repeats

_SPACE = "urn:parlano:xml:ns:xccos"
_REQURI = "requri"
_SUCCESS = "200"
CONTENT_TYPE = b"text/plain"
_TO_ESCAPE = re.compile(r'[&<>"\t\r\n]')
_IN_QUOTES = {'"': "&quot;", "\t": "&#9;", "\r": "&#13;", "\n": "&#10;"}


# Values without entities, white space and letters beyond ASCII: those mean what is written.
_PLAIN = re.compile(
    rb'<xccos ver="[0-9.]{1,8}" envid="([0-9]{0,64})" xmlns="urn:parlano:xml:ns:xccos">'
    rb'<cmd id="([A-Za-z0-9:]{0,64})" seqid="([0-9]{0,64})"><data/></cmd></xccos>'
)


class BadCommand(BadXml):
    """A body that isn't XCCOS; the text is a reason phrase."""


@dataclass(slots=True)
class XccosCommand:
    """One command of a client.

    Attributes:
        name: the id without `cmd:`.
        number: the seqid, as written.
        envelope: the envid of the envelope, as written.
    """

    name: str
    number: str
    envelope: str

    @property
    def asks_for_uri(self) -> bool:
        """Whether it asks for a channel service's URI."""
        return self.name == _REQURI


def read_commands(body: bytes, charset: bytes | None = None) -> list[XccosCommand]:
    """Read the commands in a body of at most `MAX_OCTETS`; none if it holds other XCCOS.

    Raises:
        BadXml: it isn't XCCOS, or there is too much of it.
    """
    if charset is None:
        return read_plain(body) or read_any(body, charset)
    return read_any(body, charset)


def read_plain(body: bytes) -> list[XccosCommand] | None:
    """Read one command as Group Chat's clients write it; None for a body in any other form.

    An XML parser takes ten times as long, and reads the same.
    """
    match = _PLAIN.fullmatch(body)
    if match is None:
        return None
    envelope, named, number = match.groups()
    name = named.decode("ascii").removeprefix("cmd:")
    return [XccosCommand(name, number.decode("ascii"), envelope.decode("ascii"))]


def read_any(body: bytes, charset: bytes | None) -> list[XccosCommand]:
    """As `read_commands`, whatever the form."""
    envelope = _Envelope()
    read_xml(body, charset, envelope)
    return envelope.commands


class _Envelope:
    """Collects the commands of a body; an `xml_body.Listener`."""

    __slots__ = ("_number", "commands")

    def __init__(self) -> None:
        self.commands: list[XccosCommand] = []
        self._number = ""

    def start(self, depth: int, space: str, name: str, attributes: Mapping[str, str]) -> None:
        if depth == 0:
            if name != "xccos" or space != _SPACE:
                raise BadCommand("Not XCCOS")
            self._number = _attribute(attributes, "envid")
        elif depth == 1 and name == "cmd" and space == _SPACE:
            if len(self.commands) == MAX_COMMANDS:
                raise BadCommand("Too Many Commands")
            named = _attribute(attributes, "id").removeprefix("cmd:")
            self.commands.append(XccosCommand(named, _attribute(attributes, "seqid"), self._number))

    def text(self, depth: int, text: str) -> None:
        pass  # no command has text


def _attribute(attributes: Mapping[str, str], name: str) -> str:
    text = attributes.get(name, "")
    if len(text) > _MAX_TEXT:
        raise BadCommand("XCCOS Attribute Too Long")
    return text


def write_replies(
    number: int, commands: list[XccosCommand], domain: str, find: Callable[[], str | None]
) -> bytes:
    """Write an envelope with the reply to each command of another one, in their order.

    Args:
        number: our own envid.
        commands: the commands of the other envelope.
        domain: the SIP domain of the contact object.
        find: returns the URI of a channel service, None if there is none at the moment.
    """
    replies = []
    for position, command in enumerate(commands, 1):
        code, said, data = 501, "ERROR_NOT_IMPLEMENTED", "<data/>"
        if command.asks_for_uri:
            uri = find()
            if uri is None:
                code, said = 503, "ERROR_SERVICE_UNAVAILABLE"
            else:
                code, said = 200, "SUCCESS_OK"
                data = (
                    f'<data><uib uri="{_escaped(uri)}" domain="{_escaped(domain)}"'
                    ' id="0" type="3"/></data>'
                )
        replies.append(
            f'<rpl id="rpl:{_escaped(command.name)}" seqid="{position}">'
            f'<commandid seqid="{_escaped(command.number)}" envid="{_escaped(command.envelope)}"/>'
            f'<resp code="{code}">{said}</resp>{data}</rpl>'
        )
    return f'<xccos ver="1" envid="{number}" xmlns="{_SPACE}">{"".join(replies)}</xccos>'.encode()


def _escaped(text: str) -> str:
    """The value of an attribute, to be written in double quotes."""
    if text.isalnum() or not _TO_ESCAPE.search(text):
        return text
    return escape(text, _IN_QUOTES)


def write_command(number: int) -> bytes:
    """Write the body that asks for a channel service; the reply repeats the envelope's number."""
    return (
        f'<xccos ver="1" envid="{number}" xmlns="{_SPACE}">'
        '<cmd id="cmd:requri" seqid="1"><data/></cmd></xccos>'
    ).encode("ascii")


@dataclass(frozen=True, slots=True)
class ChannelReply:
    """A server's reply to `cmd:requri`: the channel service's URI, or why there is none.

    Of the two, the other is empty.
    """

    uri: str
    why: str = ""


def read_reply(body: bytes, number: int) -> ChannelReply | None:
    """Read the reply to the `write_command` of this number in a body; None if there is none."""
    replies = _Replies()
    try:
        read_xml(body, None, replies)
    except BadXml:
        return None
    for each in replies.found:
        if each.name == f"rpl:{_REQURI}" and each.envelope in ("", str(number)):
            return each.reply()
    return None


@dataclass(slots=True)
class _Found:
    """A reply as far as it has been read; None for a part that hasn't come."""

    name: str
    envelope: str | None = None
    code: str | None = None
    said: str = ""
    uri: str | None = None

    def reply(self) -> ChannelReply:
        if self.code != _SUCCESS:
            return ChannelReply(
                "", f"{self.code or ''} {self.said}".strip() or "the reply has no code"
            )
        return ChannelReply(self.uri or "", "" if self.uri else "the reply names no URI")


class _Replies:
    """Collects the replies of a body; of a part that is there twice the first counts."""

    def __init__(self) -> None:
        self.found: list[_Found] = []
        self._path: list[str] = []

    def start(self, depth: int, space: str, name: str, attributes: Mapping[str, str]) -> None:
        self._path[depth:] = [name if space == _SPACE else ""]
        match self._path:
            case ["xccos", "rpl"]:
                self.found.append(_Found(attributes.get("id", "")))
            case ["xccos", "rpl", "commandid"] if self.found[-1].envelope is None:
                self.found[-1].envelope = attributes.get("envid", "")
            case ["xccos", "rpl", "resp"] if self.found[-1].code is None:
                self.found[-1].code = attributes.get("code", "")
            case ["xccos", "rpl", "data", "uib"] if self.found[-1].uri is None:
                self.found[-1].uri = attributes.get("uri", "")

    def text(self, depth: int, text: str) -> None:
        if self._path[: depth + 1] == ["xccos", "rpl", "resp"]:
            self.found[-1].said += text
