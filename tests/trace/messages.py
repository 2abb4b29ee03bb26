"""Messages and flows made by hand, for tests without sockets."""

from dataclasses import dataclass

from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Message
from chatredirect.sip.response import Peer
from tests.recording_flow import RecordingFlow

SOURCE = Peer(b"192.0.2.9", 40312)


@dataclass(eq=False)
class TracedFlow(RecordingFlow):
    """A flow between a server and the sender of these messages."""

    transport: str = "tcp"
    host: str = "192.0.2.1"
    peer_host: str = "192.0.2.9"
    peer_port: int = 40312


def request(
    call_id: str = "1@192.0.2.9",
    *,
    method: str = "INVITE",
    uri: str = "sip:ocschat@contoso.com",
    caller: str = "<sip:bob@contoso.com>;tag=1",
    to: str = "<sip:ocschat@contoso.com>",
    body: str = "",
) -> bytes:
    """A request's octets."""
    return (
        f"{method} {uri} SIP/2.0\r\n"
        "Via: SIP/2.0/TCP 192.0.2.9:40312;branch=z9hG4bK1\r\n"
        f"From: {caller}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def response(call_id: str = "1@192.0.2.9", status: str = "302 Moved Temporarily") -> bytes:
    """A response's octets."""
    return (
        f"SIP/2.0 {status}\r\nVia: SIP/2.0/TCP 192.0.2.9:40312;branch=z9hG4bK1\r\n"
        "From: <sip:bob@contoso.com>;tag=1\r\nTo: <sip:ocschat@contoso.com>;tag=2\r\n"
        f"Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def read(data: bytes) -> Message:
    """The message that octets are."""
    return parse_datagram(data, Limits())
