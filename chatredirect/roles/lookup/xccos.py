"""XCCOS, Group Chat's commands (MS-XCCOSIP): an envelope of commands comes, one of replies goes.

Only `cmd:requri` is understood: it asks for the URI of a channel service. Every other command
is told that it isn't, since a client waits for the reply to each of its commands.

The XML comes from clients: no DTD, no entity of its own, nothing external (defusedxml), and all of
it is bounded before it is read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

MAX_OCTETS = 65536
"""Of a body."""
MAX_COMMANDS = 16
"""In one envelope."""
_MAX_TEXT = 64  # characters of an attribute that a reply repeats

_SPACE = "urn:parlano:xml:ns:xccos"
_ENVELOPE = f"{{{_SPACE}}}xccos"
_COMMAND = f"{{{_SPACE}}}cmd"
_REQURI = "requri"
CONTENT_TYPE = b"text/plain"


class BadCommand(Exception):
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


def read(body: bytes) -> list[Command]:
    """The commands in a body, in order; none if it holds something else that is XCCOS.

    Raises:
        BadCommand: it isn't XCCOS, or there is too much of it.
    """
    try:
        root = fromstring(body, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException:
        raise BadCommand("DTD In XML Refused") from None
    except (ParseError, LookupError, ValueError):  # the latter two: of an encoding nobody knows
        raise BadCommand("Malformed XML") from None
    if root.tag != _ENVELOPE:
        raise BadCommand("Not XCCOS")
    envelope = _attribute(root, "envid")
    found = root.findall(_COMMAND)
    if len(found) > MAX_COMMANDS:
        raise BadCommand("Too Many Commands")
    return [
        Command(_attribute(each, "id").removeprefix("cmd:"), _attribute(each, "seqid"), envelope)
        for each in found
    ]


def _attribute(element: Element, name: str) -> str:
    text = element.get(name, "")
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
