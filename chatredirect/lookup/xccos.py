"""XCCOS, Group Chat's commands (MS-XCCOSIP): an envelope of commands comes, one of replies goes.

Only `cmd:requri` is understood: it asks for the URI of a channel service. Every other command
is told that it isn't, since a client waits for the reply to each of its commands.

The XML comes from clients, and is read as `xml_body` says: as a stream, within bounds. What begins
like no XCCOS is read no further.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from chatredirect.sip.xml_body import BadXml, read_xml

MAX_OCTETS = 16384
"""Of a body."""
MAX_COMMANDS = 16
"""In one envelope."""
_MAX_TEXT = 64  # characters of an attribute that a reply repeats

_SPACE = "urn:parlano:xml:ns:xccos"
_REQURI = "requri"
CONTENT_TYPE = b"text/plain"


class BadCommand(BadXml):
    """A body that isn't XCCOS; the text is a reason phrase."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: its id without `cmd:`.
        number: its seqid, as written.
        envelope: its envelope's envid, as written.
    """

    name: str
    number: str
    envelope: str

    @property
    def asks_for_uri(self) -> bool:
        """Whether it asks for a channel service's URI."""
        return self.name == _REQURI


def read(body: bytes, charset: bytes | None = None) -> list[Command]:
    """The commands in a body, in order; none if it holds something else that is XCCOS.

    Args:
        body: at most `MAX_OCTETS`.
        charset: the parameter of its Content-Type.

    Raises:
        BadXml: it isn't XCCOS, or there is too much of it.
    """
    envelope = _Envelope()
    read_xml(body, charset, envelope)
    return envelope.commands


class _Envelope:
    """Takes the commands out of what is read."""

    __slots__ = ("_number", "commands")

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self._number = ""

    def start(self, depth: int, space: str, name: str, attributes: Mapping[str, str]) -> None:
        """See `xml_body.Listener`."""
        if depth == 0:
            if (space, name) != (_SPACE, "xccos"):
                raise BadCommand("Not XCCOS")
            self._number = _attribute(attributes, "envid")
        elif depth == 1 and (space, name) == (_SPACE, "cmd"):
            if len(self.commands) == MAX_COMMANDS:
                raise BadCommand("Too Many Commands")
            named = _attribute(attributes, "id").removeprefix("cmd:")
            self.commands.append(Command(named, _attribute(attributes, "seqid"), self._number))

    def text(self, depth: int, text: str) -> None:
        """Nothing that counts is text."""

    def end(self, depth: int) -> None:
        """Nothing that counts is at an end."""


def _attribute(attributes: Mapping[str, str], name: str) -> str:
    text = attributes.get(name, "")
    if len(text) > _MAX_TEXT:
        raise BadCommand("XCCOS Attribute Too Long")
    return text


def write(
    number: int, commands: list[Command], domain: str, find: Callable[[], str | None]
) -> bytes:
    """An envelope with the reply to each command, in their order.

    Args:
        number: our own envid.
        commands: those of one envelope.
        domain: the SIP domain of the contact object.
        find: finds the URI of a channel service; None if there is none at the moment.
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
                    f"<data><uib uri={_quoted(uri)} domain={_quoted(domain)}"
                    ' id="0" type="3"/></data>'
                )
        replies.append(
            f'<rpl id={_quoted(f"rpl:{command.name}")} seqid="{position}">'
            f"<commandid seqid={_quoted(command.number)} envid={_quoted(command.envelope)}/>"
            f'<resp code="{code}">{said}</resp>{data}</rpl>'
        )
    return f'<xccos ver="1" envid="{number}" xmlns="{_SPACE}">{"".join(replies)}</xccos>'.encode()


def _quoted(text: str) -> str:
    return f'"{escape(text, _IN_QUOTES)}"'


_IN_QUOTES = {'"': "&quot;", "\t": "&#9;", "\r": "&#13;", "\n": "&#10;"}
