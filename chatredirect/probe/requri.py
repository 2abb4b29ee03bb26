"""The client's side of a lookup (MS-XCCOSIP): the command that asks, and what the reply says."""

from collections.abc import Mapping
from dataclasses import dataclass

from chatredirect.sip.xml_body import BadXml, read_xml

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
    replies = _Replies()
    try:
        read_xml(body, None, replies)
    except BadXml:
        return None
    for each in replies.found:
        if each.name == _REPLY and each.envelope in ("", str(number)):
            return each.reply()
    return None


@dataclass(slots=True)
class _Found:
    """What a reply says; None for what hasn't come."""

    name: str
    envelope: str | None = None
    code: str | None = None
    said: str = ""
    uri: str | None = None

    def reply(self) -> Reply:
        if self.code != _OK:
            return Reply("", f"{self.code or ''} {self.said}".strip() or "the reply has no code")
        return Reply(self.uri or "", "" if self.uri else "the reply names no URI")


class _Replies:
    """Takes the replies out of what is read; of a part that is there twice the first counts."""

    def __init__(self) -> None:
        self.found: list[_Found] = []
        self._path: list[str] = []

    def start(self, depth: int, space: str, name: str, attributes: Mapping[str, str]) -> None:
        """See `xml_body.Listener`."""
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
        """See `xml_body.Listener`."""
        if self._path[: depth + 1] == ["xccos", "rpl", "resp"]:
            self.found[-1].said += text

    def end(self, depth: int) -> None:
        """See `xml_body.Listener`."""
