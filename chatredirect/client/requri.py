"""The client's side of a lookup (MS-XCCOSIP): the command that asks, and what the reply says."""

from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

CONTENT_TYPE = b"text/plain"
_SPACE = "urn:parlano:xml:ns:xccos"
_REPLY = "rpl:requri"
_OK = "200"


def command(number: int) -> bytes:
    """The body that asks for a channel service.

    Args:
        number: the envelope's, to know the reply by.
    """
    return (
        f'<xccos ver="1" envid="{number}" xmlns="{_SPACE}">'
        '<cmd id="cmd:requri" seqid="1"><data/></cmd></xccos>'
    ).encode("ascii")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        uri: the channel service's; empty if there is none.
        why: why there is none; empty if there is one.
    """

    uri: str
    why: str = ""


def read(body: bytes, number: int) -> Reply | None:
    """The reply to `command` in a body; None if it is something else."""
    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError):
        return None
    if root.tag != f"{{{_SPACE}}}xccos":
        return None
    for reply in root.iterfind(f"{{{_SPACE}}}rpl"):
        answered = reply.find(f"{{{_SPACE}}}commandid")
        envelope = "" if answered is None else answered.get("envid")
        if reply.get("id") == _REPLY and envelope in ("", str(number)):
            return _reply(reply)
    return None


def _reply(reply: Element) -> Reply:
    said = reply.find(f"{{{_SPACE}}}resp")
    code = "" if said is None else said.get("code", "")
    if said is None or code != _OK:
        text = "" if said is None else said.text or ""
        return Reply("", f"{code} {text}".strip() or "the reply has no code")
    found = reply.find(f"{{{_SPACE}}}data/{{{_SPACE}}}uib")
    uri = "" if found is None else found.get("uri", "")
    return Reply(uri, "" if uri else "the reply names no URI")
