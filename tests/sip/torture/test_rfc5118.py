"""RFC 5118 §4: IPv6 in SIP. The messages are our own; each exercises what its section is about."""

import pytest

from chatredirect.sip import headers
from chatredirect.sip.response import Peer
from chatredirect.sip.uri import canonical_host, parse_uri
from tests.sip.in_memory_server import ENDPOINT, Served, endpoint, request, serve
from tests.sip.torture.outcomes import redirected

CLIENT6 = Peer(b"2001:db8::9:1", 5060)
VIA6 = b"SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3"


@pytest.fixture
def served6() -> Served:
    """A server that serves endpoints of IPv6 hosts, asked over IPv6."""
    names = ("sip:ocschat@contoso.com", "sip:room@[2001:db8::10]", "sip:room@[2001:db8::192.0.2.1]")
    return serve([endpoint(name) for name in names], source=CLIENT6)


def status(served: Served, data: bytes) -> int:
    answer = served.ask(data)
    assert answer is not None
    return answer.status


def test_4_1_valid_message_with_an_ipv6_reference(served6: Served) -> None:
    """In the Request-URI, the Via and the Contact; the sender's own address needs no received."""
    data = request(b"REGISTER", b"sip:[2001:db8::10]", b"Contact: <sip:a@[2001:db8::1]>", via=VIA6)
    answer = redirected(served6, data)  # the server itself, so the To decides
    assert answer[b"Via"] == VIA6
    redirected(
        served6,
        request(uri=b"sip:room@[2001:0DB8:0:0::10]", via=VIA6),
        b"<sip:room@pcpool.contoso.com>",
    )


def test_4_2_ipv6_address_without_brackets(served6: Served) -> None:
    answer = served6.ask(request(b"REGISTER", b"sip:2001:db8::10", via=VIA6))
    assert answer is not None
    assert (answer.status, answer.reason) == (400, b"Bad Request-URI")
    assert served6.counted == {"bad_request_uri": 1}


def test_4_2_ipv6_address_without_brackets_in_via(served6: Served) -> None:
    """A sent-by that can't be told from its port is none: nobody to answer."""
    assert served6.ask(request(via=b"SIP/2.0/UDP 2001:db8::9:1;branch=z9hG4bK1")) is None
    assert served6.counted == {"no_via": 1}


def test_4_3_port_ambiguous(served6: Served) -> None:
    """Within the brackets all is address: `[2001:db8::10:5070]` is another host, without a port."""
    parsed = parse_uri(b"sip:room@[2001:db8::10:5070]")
    assert (parsed.host, parsed.port) == (b"[2001:db8::10:5070]", None)
    assert status(served6, request(uri=b"sip:room@[2001:db8::10:5070]", via=VIA6)) == 404


def test_4_4_port_unambiguous(served6: Served) -> None:
    parsed = parse_uri(b"sip:room@[2001:db8::10]:5070")
    assert (parsed.host, parsed.port) == (b"[2001:db8::10]", 5070)
    assert status(served6, request(uri=b"sip:room@[2001:db8::10]:5070", via=VIA6)) == 404
    assert status(served6, request(uri=b"sip:room@[2001:db8::10]:5060", via=VIA6)) == 302


@pytest.mark.parametrize(
    "received", [b"[2001:db8::9:255]", b"2001:db8::9:255", b'"2001:db8::9:255"']
)
def test_4_5_received_with_and_without_brackets(served6: Served, received: bytes) -> None:
    """Both are read. The topmost one isn't the client's to write: the true address replaces it."""
    value = b"SIP/2.0/UDP [2001:db8::9:1];received=%b;branch=z9hG4bKas3" % received
    assert headers.param(headers.read_via(value).params, b"received") == received
    answer = redirected(served6, request(via=value))
    assert answer[b"Via"] == b"SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3;received=2001:db8::9:1"


def test_4_5_received_written_by_us_has_no_brackets(served6: Served) -> None:
    """As the grammar has it (RFC 3261 §25.1: via-received)."""
    answer = redirected(served6, request(via=b"SIP/2.0/UDP host.contoso.com;rport;branch=z9hG4bK1"))
    assert (
        answer[b"Via"]
        == b"SIP/2.0/UDP host.contoso.com;rport=5060;branch=z9hG4bK1;received=2001:db8::9:1"
    )


@pytest.mark.parametrize("section", ["4.6", "4.8"])
def test_4_6_and_4_8_addresses_in_sdp(served6: Served, section: str) -> None:
    """A body isn't looked at, whatever addresses are in it."""
    body = b"v=0\r\no=- 0 0 IN IP6 2001:db8::20\r\nc=IN IP6 2001:db8::20\r\n"
    if section == "4.8":
        body += b"m=audio 6000 RTP/AVP 2\r\nc=IN IP4 192.0.2.1\r\n"
        body += b"m=video 6024 RTP/AVP 107\r\nc=IN IP6 ::1\r\n"
    redirected(
        served6, request(b"INVITE", ENDPOINT, b"Content-Type: application/sdp", via=VIA6, body=body)
    )


def test_4_7_ipv4_and_ipv6_in_one_message(served6: Served) -> None:
    vias = (
        b"SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3",
        b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKj,SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK4",
        b"SIP/2.0/TCP [2001:db8::9:254];branch=z9hG4bK5;received=192.0.2.200",
    )
    answer = redirected(served6, request(b"BYE", via=b"\r\nVia: ".join(vias)))
    assert tuple(answer.all(b"Via")) == vias
    assert answer.port == 6050


def test_4_9_ipv4_mapped_ipv6_addresses() -> None:
    """A mapped address is the IPv4 address that it maps, and its sender needs no received."""
    served = serve(source=Peer(b"192.0.2.10", 19823))
    via = b"SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19"
    data = request(via=via + b"\r\nVia: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bK3")
    answer = redirected(served, data)
    assert answer.all(b"Via")[0] == via
    assert answer.port == 19823
    assert canonical_host(b"[::FFFF:192.0.2.10]") == b"192.0.2.10"


def test_4_10_three_colons_of_rfc_3261s_grammar(served6: Served) -> None:
    """The old grammar allowed a colon too many before an IPv4 part: it is passed over."""
    for host in (b"[2001:db8:::192.0.2.1]", b"[2001:db8::192.0.2.1]"):
        data = request(uri=b"sip:room@" + host, via=VIA6)
        redirected(served6, data, b"<sip:room@pcpool.contoso.com>")
    assert canonical_host(b"[:::192.0.2.1]") == canonical_host(b"[::192.0.2.1]")


@pytest.mark.parametrize(
    "host",
    [b"[2001:db8:::10]", b"[2001:db8::::192.0.2.1]", b"[1::2:::192.0.2.1]", b"[:]", b"[1.2.3]"],
)
def test_4_10_what_only_looks_like_an_address(served6: Served, host: bytes) -> None:
    """It names nobody but itself."""
    assert canonical_host(host.upper()) == host.lower()
    assert status(served6, request(uri=b"sip:room@" + host, via=VIA6)) == 404
