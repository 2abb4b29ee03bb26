"""What the load sends and what it expects back.

Both are templates: the load programs replace ``@@@@@@@@`` with the request's number (eight digits)
and ``######`` with the number of the endpoint asked for (six digits); load/template.h has the
details. The INVITE has the size and the header fields of a Group Chat client's.
"""

from dataclasses import dataclass

DOMAIN = "contoso.com"
POOL = "pcpool.contoso.com"
ENDPOINT = f"sip:room######@{DOMAIN}"

_SDP = (
    "v=0\r\n"
    "o=- 0 0 IN IP4 127.0.0.1\r\n"
    "s=session\r\n"
    "c=IN IP4 127.0.0.1\r\n"
    "t=0 0\r\n"
    "m=message 5060 sip null\r\n"
    "a=accept-types:text/plain text/html image/gif multipart/alternative "
    "application/im-iscomposing+xml\r\n"
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what its answer must be, as templates for the load programs."""

    request: bytes
    expected: bytes


def redirect_exchange(transport: str, sent_by: str) -> Exchange:
    """An INVITE for an endpoint and its 302.

    `transport` is ``udp`` or ``tcp``, `sent_by` the client's ``host:port`` for the Via.
    """
    via = f"SIP/2.0/{transport.upper()} {sent_by};branch=z9hG4bK@@@@@@@@"
    to = f"<{ENDPOINT}>"
    copied = [
        ("From", "<sip:alice@contoso.com>;tag=a1-@@@@@@@@;epid=d4716485a8"),
        ("Call-ID", "@@@@@@@@-1f4e2b@127.0.0.1"),
        ("CSeq", "@@@@@@@@ INVITE"),
    ]
    fields = [
        ("Via", f"{via};rport"),
        ("Max-Forwards", "70"),
        ("To", to),
        *copied,
        ("Contact", "<sip:alice@contoso.com;opaque=user:epid:abc;gruu>"),
        ("User-Agent", "UCCAPI/3.5.6907.196 GC/3.5.6907.0 (Group Chat)"),
        ("Supported", "ms-delayed-accept, ms-renders-isf, ms-renders-gif, timer"),
        ("Allow", "INVITE, BYE, ACK, CANCEL, INFO, UPDATE, REFER, NOTIFY, BENOTIFY, OPTIONS"),
        ("Roster-Manager", "sip:alice@contoso.com"),
        ("EndPoints", f"<sip:alice@contoso.com>, {to}"),
        ("Content-Type", "application/sdp"),
        ("Content-Length", str(len(_SDP))),
    ]
    request = (
        f"INVITE {ENDPOINT} SIP/2.0\r\n"
        + "".join(f"{name}: {value}\r\n" for name, value in fields)
        + f"\r\n{_SDP}"
    )
    expected = (
        "SIP/2.0 302 \n"
        + "".join(f"={name}: {value}\n" for name, value in copied)
        + f"^Via: {via};\n"  # received and rport follow
        + f"^To: {to};tag=\n"
        + f"=Contact: <sip:room######@{POOL}>\n"
        + "=Content-Length: 0\n"
    )
    return Exchange(request.encode(), expected.encode())


def numbered(template: bytes, number: int = 0, endpoint: int = 0) -> bytes:
    """The template filled in, as the load programs do it; for a probe sent from Python."""
    filled = template.replace(b"@@@@@@@@", b"%08d" % (10_000_000 + number))
    return filled.replace(b"######", b"%06d" % endpoint)


def endpoint_uri(number: int) -> str:
    """The URI of endpoint `number`, counted from 0."""
    return ENDPOINT.replace("######", f"{number:06}")
