"""Requests of our own, and which response answers one.

A `ClientRequest` has all parts of a request. The ACK of a final response that isn't 2xx and the
CANCEL are derived from it; `dialog` has the requests within a dialog. Random values are arguments.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache

from chatredirect.sip import headers
from chatredirect.sip.errors import SipError
from chatredirect.sip.message import Response, values

MAX_FORWARDS = 70  # RFC 3261 §8.1.1.6


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request of our own (RFC 3261 §8.1.1). No value may have a line break.

    Attributes:
        uri: the Request-URI.
        via: the only Via value, made by `via`.
        from_: with a tag.
        cseq: the sequence number.
        routes: from the top.
        fields: names and values of further header fields; Content-Type if there is a body.
    """

    method: bytes
    uri: bytes
    via: bytes
    from_: bytes
    to: bytes
    call_id: bytes
    cseq: int
    routes: tuple[bytes, ...] = ()
    fields: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    def write(self) -> bytes:
        """The message as it is sent."""
        return write_request(
            self.method, self.uri, self.via, self.from_, self.to, self.call_id, self.cseq,
            self.routes, self.fields, self.body,
        )  # fmt: skip


def write_request(
    method: bytes,
    uri: bytes,
    via: bytes,
    from_: bytes,
    to: bytes,
    call_id: bytes,
    cseq: int,
    routes: tuple[bytes, ...],
    fields: tuple[tuple[bytes, bytes], ...],
    body: bytes,
) -> bytes:
    """The octets of a request with the parts of a `ClientRequest`."""
    further = b"".join([b"%b: %b\r\n" % field for field in fields])
    listed = b"".join([b"Route: %b\r\n" % route for route in routes]) if routes else b""
    return (
        b"%b %b SIP/2.0\r\nVia: %b\r\nMax-Forwards: %d\r\n%bFrom: %b\r\nTo: %b\r\nCall-ID: %b\r\n"
        b"CSeq: %d %b\r\n%bContent-Length: %d\r\n\r\n%b"
    ) % (
        method, uri, via, MAX_FORWARDS, listed, from_, to, call_id,
        cseq, method, further, len(body), body,
    )  # fmt: skip


@lru_cache(maxsize=256)
def hostport(host: str, port: int | None) -> bytes:
    """`host:port` for a URI or Via, with IPv6 in brackets (RFC 3261 §25.1)."""
    bare = host.partition("%")[0]  # a zone means something on this machine only
    written = f"[{bare}]" if ":" in bare else bare
    return (written if port is None else f"{written}:{port}").encode("ascii")


def via(transport: str, sent_by: bytes, branch: bytes) -> bytes:
    """A Via value (RFC 3261 §8.1.1.7) with `rport` (RFC 3581).

    `hostport` makes `sent_by`; the branch is unique and begins with `z9hG4bK`.
    """
    return b"SIP/2.0/%b %b;branch=%b;rport" % (transport.upper().encode("ascii"), sent_by, branch)


def answers(response: Response, request: ClientRequest) -> bool:
    """Whether a response answers this request: branch and CSeq match (§17.1.3), and Call-ID."""
    if response.call_id != request.call_id or not response.vias or response.cseq is None:
        return False
    try:
        theirs = headers.param(headers.read_via(response.vias[0]).params, b"branch")
        cseq = headers.read_cseq(response.cseq)
    except SipError:
        return False
    ours = headers.param(headers.read_via(request.via).params, b"branch")
    same = theirs is not None and ours is not None and theirs.lower() == ours.lower()  # §7.3.1
    return same and cseq == (request.cseq, request.method)


def ack(request: ClientRequest, response: Response) -> ClientRequest:
    """The ACK of an INVITE's final response that isn't 2xx (RFC 3261 §17.1.1.3).

    It belongs to the INVITE's transaction: same Request-URI, Via and Route, the response's To.
    """
    return replace(
        request, method=b"ACK", to=one_line(response.to) or request.to, fields=(), body=b""
    )


def cancel(request: ClientRequest) -> ClientRequest:
    """The CANCEL of an INVITE that has had a provisional response (RFC 3261 §9.1)."""
    return replace(request, method=b"CANCEL", fields=(), body=b"")


def addresses(response: Response, name: str) -> list[headers.NameAddr]:
    """The addresses of all valid Contact or Record-Route header fields, in order."""
    found: list[headers.NameAddr] = []
    for value in values(response, name.lower().encode("ascii")):
        with suppress(SipError):
            found += headers.read_addresses(value, name, headers.MAX_ADDRESSES - len(found))
    return found


def by_quality(contacts: Sequence[headers.NameAddr]) -> list[headers.NameAddr]:
    """Contacts by descending q-value; the default is 1 (RFC 3261 §20.10)."""
    return sorted(contacts, key=_quality, reverse=True)


def _quality(contact: headers.NameAddr) -> float:
    text = headers.param(contact.params, b"q")
    if text is None:
        return 1.0
    # 1, 0.5 or .5, and nothing else that float() reads: no nan, no infinity
    if not set(text) <= set(b"0123456789.") or text.count(b".") > 1 or not text.strip(b"."):
        return 0.0
    return min(float(text), 1.0)


def one_line(value: bytes | None) -> bytes:
    """A peer's value with its folded lines joined, for a message of our own (§7.3.1)."""
    return b" ".join(value.split()) if value else b""
