"""SIP messages as the load writes and reads them: independent of the package's own codec."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_FIELD = re.compile(r"^([^\s:]+)\s*:\s*(.*)$")
_COMMA = re.compile(r",\s*(?=<)")
_URI = re.compile(r"<([^>]*)>")
_TAG = re.compile(r";tag=([^;\s]+)")
_BRANCH = re.compile(r";branch=([^;\s,]+)")
_HOST = re.compile(r"^sips?:(?:[^@;?]*@)?([^;:?]+)")

REQURI = (
    '<xccos ver="1" envid="7" xmlns="urn:parlano:xml:ns:xccos">'
    '<cmd id="cmd:requri" seqid="1"><data/></cmd></xccos>'
)
SDP = (
    "v=0\r\no=- 0 0 IN IP4 192.0.2.100\r\ns=session\r\nc=IN IP4 192.0.2.100\r\nt=0 0\r\n"
    "m=message 5080 sip null\r\n"
)


@dataclass(slots=True)
class Message:
    """A message: its first line, its fields in order, its body."""

    first: str
    fields: list[tuple[str, str]]
    body: str

    @property
    def status(self) -> int | None:
        """A response's status; None for a request."""
        return int(self.first[8:11]) if self.first.startswith("SIP/2.0 ") else None

    @property
    def method(self) -> str:
        """A request's method."""
        return self.first.partition(" ")[0]

    @property
    def call(self) -> str:
        """The Call-ID."""
        return self.value("call-id")

    @property
    def branch(self) -> str:
        """That of the topmost Via."""
        found = _BRANCH.search(self.value("via"))
        return found[1] if found else ""

    def value(self, name: str) -> str:
        """The first field of this name; empty without one."""
        return next((value for field, value in self.fields if field == name), "")

    def values(self, name: str) -> list[str]:
        """All fields of this name."""
        return [value for field, value in self.fields if field == name]

    def routes(self) -> list[str]:
        """All Record-Route values."""
        return [one for each in self.values("record-route") for one in _COMMA.split(each)]


def read(data: bytes) -> Message:
    """A whole message, as text."""
    head, _, body = data.decode(errors="replace").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    fields = []
    for line in lines:
        found = _FIELD.match(line)
        if found:
            fields.append((found[1].lower(), found[2]))
    return Message(first, fields, body)


def uri_of(value: str) -> str:
    """The URI between angle brackets."""
    found = _URI.search(value)
    return found[1] if found else value


def tag_of(value: str) -> str:
    """A From's or To's tag; empty without one."""
    found = _TAG.search(value)
    return found[1] if found else ""


def host_of(uri: str) -> str:
    """A URI's host."""
    found = _HOST.match(uri)
    assert found is not None, uri
    return found[1]


def request(
    method: str,
    uri: str,
    via: str,
    fields: Iterable[str],
    routes: Sequence[str] = (),
    body: str = "",
    kind: str = "text/plain",
) -> bytes:
    """Write a request; `fields` are whole lines."""
    lines = [f"{method} {uri} SIP/2.0", f"Via: {via}", "Max-Forwards: 70", *fields]
    lines += [f"Route: {route}" for route in routes]
    if body:
        lines.append(f"Content-Type: {kind}")
    return ("\r\n".join([*lines, f"Content-Length: {len(body)}"]) + f"\r\n\r\n{body}").encode()


def response(to: Message, line: str, tag: str = "", contact: str = "") -> bytes:
    """Answer a request; a 2xx to an INVITE has its Record-Routes and our Contact."""
    lines = [f"SIP/2.0 {line}"]
    for name, value in to.fields:
        if name in {"via", "from", "call-id", "cseq"}:
            lines.append(f"{name}: {value}")
        elif name == "to":
            lines.append(f"to: {value}" + (f";tag={tag}" if tag and not tag_of(value) else ""))
        elif name == "record-route" and contact:
            lines.append(f"record-route: {value}")
    if contact:
        lines.append(f"contact: <{contact}>")
    return ("\r\n".join([*lines, "content-length: 0"]) + "\r\n\r\n").encode()
