"""What must hold for whatever body comes: XCCOS, a multipart, a session description."""

from collections.abc import Hashable
from contextlib import suppress
from xml.etree.ElementTree import ParseError, fromstring

from chatredirect.sip import sdp, xccos
from chatredirect.sip.body import BadMultipart, Body, body_of, find
from chatredirect.sip.errors import SipError
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Request
from chatredirect.sip.xml_body import BadXml
from tests.fuzz.broken import Broken

_SPACE = "{urn:parlano:xml:ns:xccos}"


def bodies(data: bytes) -> Hashable:
    """A body is read or refused with a reason phrase; it may stand alone, or in a request."""
    body = Body(b"multipart/alternative", b";boundary=a", False, False, data)
    with suppress(SipError):
        request = parse_datagram(data, Limits())
        if isinstance(request, Request):
            body = body_of(request)
    return (_commands(body), _session(body), body.optional, body.encoded)


def _commands(body: Body) -> Hashable:
    octets = body.octets[: xccos.MAX_OCTETS]
    try:
        commands = xccos.read_commands(octets, body.param(b"charset"))
    except BadXml as bad:
        if not str(bad).isascii() or not str(bad).isprintable():
            raise Broken(f"a reason phrase like {bad}") from bad
        return str(bad)
    reply = fromstring(xccos.write_replies(1, commands, "contoso.com", lambda: "sip:a@b"))
    if [each.get("id") for each in reply] != [f"rpl:{each.name}" for each in commands]:
        raise Broken("other replies than commands")
    with suppress(ParseError, LookupError, ValueError):  # of namespaces, it asks for more
        if body.param(b"charset") is None:
            _compare(commands, octets)
    return (len(commands), sum(each.asks_for_uri for each in commands))


def _compare(commands: list[xccos.XccosCommand], octets: bytes) -> None:
    tree = fromstring(octets)
    found = [
        (each.get("id", "").removeprefix("cmd:"), each.get("seqid", ""), tree.get("envid", ""))
        for each in tree.findall(f"{_SPACE}cmd")
    ]
    if tree.tag != f"{_SPACE}xccos" or found != [
        (each.name, each.number, each.envelope) for each in commands
    ]:
        raise Broken("other commands than the tree of the whole document has")


def _session(body: Body) -> Hashable:
    try:
        found = find(body, sdp.TYPE)
    except BadMultipart:
        return "bad multipart"
    if found is None:
        return "not understood"
    if found.octets not in body.octets:
        raise Broken("a part that isn't there")
    try:
        made = sdp.answer(found.octets, "192.0.2.9", 0)
    except sdp.BadSession:
        return "bad session"
    return None if made is None else min(made.count(b"m="), 3)
