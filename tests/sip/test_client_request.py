"""Requests as `chatredirect.sip.client_request` writes them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.sip.client_request import (
    ClientRequest,
    ack,
    addresses,
    answers,
    by_quality,
    cancel,
    hostport,
    via,
)
from chatredirect.sip.dialog import ClientDialog
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.message import Request, Response

INVITE = ClientRequest(
    b"INVITE",
    b"sip:ocschat@contoso.com",
    via("udp", hostport("192.0.2.1", 5060), b"z9hG4bK1"),
    b"<sip:a@contoso.com>;tag=1",
    b"<sip:ocschat@contoso.com>",
    b"call",
    7,
    routes=(b"<sip:192.0.2.7;lr>",),
    fields=((b"Contact", b"<sip:a@192.0.2.1>"), (b"Content-Type", b"application/sdp")),
    body=b"v=0\r\n",
)
BYE_VIA = via("udp", b"192.0.2.1", b"z9hG4bK2")


def response(
    status: int = 200,
    *,
    to: bytes = b"<sip:ocschat@contoso.com>;tag=2",
    cseq: bytes = b"7 INVITE",
    via: bytes = INVITE.via,
    call_id: bytes = b"call",
    more: bytes = b"",
) -> Response:
    """An answer to INVITE, but for what is given."""
    parsed = parse_datagram(
        b"SIP/2.0 %d OK\r\nVia: %b\r\nFrom: <sip:a@contoso.com>;tag=1\r\nTo: %b\r\n"
        b"Call-ID: %b\r\nCSeq: %b\r\n%b\r\n" % (status, via, to, call_id, cseq, more),
        DEFAULT,
    )
    assert isinstance(parsed, Response)
    return parsed


def test_written() -> None:
    """RFC 3261 §7: start-line, header fields, an empty line, the body; all read back."""
    parsed = parse_datagram(INVITE.write(), DEFAULT)
    assert isinstance(parsed, Request)
    assert (parsed.method, parsed.uri, parsed.version, parsed.fault) == (
        *(b"INVITE", b"sip:ocschat@contoso.com", b"SIP/2.0"),
        None,
    )
    assert parsed.vias == [b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport"]
    assert (parsed.cseq, parsed.call_id, parsed.body) == (b"7 INVITE", b"call", b"v=0\r\n")
    assert b"\r\nMax-Forwards: 70\r\n" in parsed.head
    assert b"\r\nRoute: <sip:192.0.2.7;lr>\r\n" in parsed.head


@pytest.mark.parametrize(
    ("host", "port", "written"),
    [
        ("192.0.2.1", 5060, b"192.0.2.1:5060"),
        ("2001:db8::1", 5060, b"[2001:db8::1]:5060"),
        ("fe80::1%eth0", None, b"[fe80::1]"),
    ],
)
def test_hostport(host: str, port: int | None, written: bytes) -> None:
    """IPv6 in brackets, without its zone (RFC 3261 §25.1)."""
    assert hostport(host, port) == written


@pytest.mark.parametrize(
    ("answer", "is_ours"),
    [
        (response(), True),
        (response(100, to=b"<sip:ocschat@contoso.com>"), True),
        (response(via=INVITE.via + b";received=192.0.2.9"), True),
        (response(via=BYE_VIA), False),
        (response(via=b"nonsense"), False),
        (response(cseq=b"7 CANCEL"), False),
        (response(cseq=b"8 INVITE"), False),
        (response(cseq=b"nonsense"), False),
        (response(call_id=b"other"), False),
    ],
)
def test_answers(answer: Response, is_ours: bool) -> None:
    """RFC 3261 §17.1.3: by branch and CSeq method."""
    assert answers(answer, INVITE) is is_ours


def test_ack_of_a_failure() -> None:
    """RFC 3261 §17.1.1.3: the INVITE's Request-URI, Via, Route and number, the answer's To."""
    made = ack(INVITE, response(486))
    assert made == replace(
        INVITE, method=b"ACK", to=b"<sip:ocschat@contoso.com>;tag=2", fields=(), body=b""
    )
    assert b"\r\nCSeq: 7 ACK\r\n" in made.write()


def test_folded_to() -> None:
    """A To that comes in two lines goes back in one (§7.3.1)."""
    made = ack(INVITE, response(486, to=b"<sip:ocschat@contoso.com>\r\n ;tag=2"))
    assert made.to == b"<sip:ocschat@contoso.com> ;tag=2"


def test_cancel() -> None:
    """RFC 3261 §9.1: everything as in the INVITE, but the method."""
    made = cancel(INVITE)
    assert (made.via, made.to, made.cseq, made.routes) == (
        *(INVITE.via, INVITE.to, 7),
        INVITE.routes,
    )
    assert answers(response(cseq=b"7 CANCEL"), made)


def test_dialog() -> None:
    """RFC 3261 §12.1.2: the Contact, and the Record-Route upside down."""
    accepted = response(
        more=b"Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nRecord-Route: <sip:p3;lr>\r\n"
        b"Contact: <sip:agent@192.0.2.9>\r\n"
    )
    dialog = ClientDialog.of(INVITE, accepted)
    bye = dialog.request(b"BYE", 8, BYE_VIA)
    assert bye == ClientRequest(
        b"BYE",
        b"sip:agent@192.0.2.9",
        BYE_VIA,
        INVITE.from_,
        b"<sip:ocschat@contoso.com>;tag=2",
        b"call",
        8,
        routes=(b"<sip:p3;lr>", b"<sip:p2;lr>", b"<sip:p1;lr>"),
    )
    assert dialog.next_hop == b"sip:p3;lr"


def test_dialog_through_a_strict_router() -> None:
    """RFC 3261 §12.2.1.1: a first route without `lr` becomes the Request-URI."""
    accepted = response(
        more=b"Record-Route: <sip:p1;lr>, <sip:p2>\r\nContact: <sip:agent@192.0.2.9>\r\n"
    )
    bye = ClientDialog.of(INVITE, accepted).request(b"BYE", 8, BYE_VIA)
    assert bye.uri == b"sip:p2"
    assert bye.routes == (b"<sip:p1;lr>", b"<sip:agent@192.0.2.9>")


@pytest.mark.parametrize("more", [b"", b"Contact: *\r\n", b"Contact: <\r\n"])
def test_dialog_without_contact(more: bytes) -> None:
    """What has no Contact that can be read is asked where it was before."""
    dialog = ClientDialog.of(INVITE, response(more=more))
    assert dialog.remote_target == dialog.next_hop == INVITE.uri


def test_by_quality() -> None:
    """RFC 3261 §20.10: the best first, those alike in their order; nonsense last."""
    answer = response(
        302,
        more=b"m: <sip:none>;q=nonsense, <sip:a>;q=0.5, <sip:b>;q=.7\r\n"
        b'Contact: "x, y" <sip:c>, sip:d;q=1.0, <sip:e>;q=nan, <sip:f>;q=0.5;expires=1\r\n',
    )
    ordered = by_quality(addresses(answer, "Contact"))
    assert [each.uri.decode() for each in ordered] == [
        *("sip:c", "sip:d", "sip:b", "sip:a", "sip:f", "sip:none", "sip:e")
    ]


@given(to=st.binary(max_size=60), contact=st.binary(max_size=60), route=st.binary(max_size=60))
def test_no_line_of_a_peer_gets_into_a_request(to: bytes, contact: bytes, route: bytes) -> None:
    """Whatever an answer holds, ACK and BYE have the header lines that we meant, and no more."""
    data = b"SIP/2.0 200 OK\r\nTo: %b\r\nContact: <%b>\r\nRecord-Route: <sip:%b>\r\n\r\n"
    parsed = parse_datagram(data % (to, contact, route), DEFAULT)
    assert isinstance(parsed, Response)
    dialog = ClientDialog.of(INVITE, parsed)
    bye = dialog.request(b"BYE", 8, BYE_VIA)
    for made, routes in ((ack(INVITE, parsed), INVITE.routes), (bye, bye.routes)):
        lines = made.write().splitlines()
        names = [line.partition(b":")[0] for line in lines[1:-1]]
        assert names == [
            *(b"Via", b"Max-Forwards"),
            *[b"Route"] * len(routes),
            *(b"From", b"To", b"Call-ID", b"CSeq", b"Content-Length"),
        ]
        assert lines[0].count(b" ") == 2
