"""Where an answer goes, how large it is, and what gets none: nobody is hit through this server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import DEFAULT
from tests.sip.in_memory_server import ENDPOINT, TCP, UDP, Served, endpoint, message, request, serve
from tests.sip.strategies import mutated, requests

# -- where it goes, RFC 3261 §18.2.2 and RFC 3581 §4 ------------------------------------------


@pytest.mark.parametrize(
    ("via", "port", "stamped"),
    [
        # the address is the source's in any case; the port is sent-by's, or the source's by rport
        (b"192.0.2.99:40000", 40000, b"192.0.2.99:40000"),
        (b"192.0.2.99:5080", 5080, b"192.0.2.99:5080"),
        (b"192.0.2.99", 5060, b"192.0.2.99"),
        (b"h:5080", 5080, b"h:5080;received=192.0.2.99"),
        (b"h:5080;rport", 40000, b"h:5080;rport=40000;received=192.0.2.99"),
        (b"192.0.2.99;rport;x", 40000, b"192.0.2.99;rport=40000;x;received=192.0.2.99"),
        (b"h;RPort = 9", 40000, b"h;rport=40000;received=192.0.2.99"),
        (b"h;rport=;x", 40000, b"h;rport=40000;x;received=192.0.2.99"),
        (b"203.0.113.9:53", 53, b"203.0.113.9:53;received=192.0.2.99"),
        (b"h:0", 5060, b"h:0;received=192.0.2.99"),
    ],
)
def test_address_and_port(served: Served, via: bytes, port: int, stamped: bytes) -> None:
    answer = served.ask(request(via=b"SIP/2.0/UDP " + via))
    assert answer is not None
    assert answer.port == port
    assert answer[b"Via"] == b"SIP/2.0/UDP " + stamped


@pytest.mark.parametrize(
    "params",
    [b";maddr=203.0.113.9", b";maddr=239.255.255.1;ttl=16", b";received=203.0.113.9",
     b";received=203.0.113.9;maddr=203.0.113.8;rport=9", b";RECEIVED = [2001:db8::666]"],
)  # fmt: skip
def test_parameters_steer_nothing(served: Served, params: bytes) -> None:
    """`maddr` is ignored, and a `received` that the client wrote is replaced."""
    answer = served.ask(request(via=b"SIP/2.0/UDP 192.0.2.99:40000" + params))
    assert answer is not None
    assert answer.port == 40000
    assert b"received=203" not in answer[b"Via"]
    assert b"666" not in answer[b"Via"]
    if b"eceived" in params.lower():
        assert answer[b"Via"].endswith(b";received=192.0.2.99")
        assert answer[b"Via"].lower().count(b"received") == 1


def test_rport_in_a_quoted_value_is_no_rport(served: Served) -> None:
    answer = served.ask(request(via=b'SIP/2.0/UDP 192.0.2.99:5080;x=";rport"'))
    assert answer is not None
    assert answer.port == 5080
    assert answer[b"Via"] == b'SIP/2.0/UDP 192.0.2.99:5080;x=";rport"'


def test_a_later_via_steers_nothing(served: Served) -> None:
    vias = b"SIP/2.0/UDP 192.0.2.99:40000, SIP/2.0/UDP h:9;rport;received=203.0.113.9"
    answer = served.ask(request(via=vias))
    assert answer is not None
    assert answer.port == 40000
    assert answer[b"Via"] == vias


# -- how large it is --------------------------------------------------------------------------

_LARGE = st.sampled_from(
    [
        b"sip:many@contoso.com",
        b"sips:many@contoso.com",
        ENDPOINT,
        b"sip:down@contoso.com",
        b"sip:nobody@x",
    ]
)


@given(requests() | mutated(), _LARGE)
def test_no_amplifier(data: bytes, uri: bytes) -> None:
    """Over UDP at most the larger of twice the request and 1,300 octets, whatever is asked."""
    served = serve()
    line, _, rest = data.partition(b"\r\n")
    for asked in (data, b"%b %b SIP/2.0\r\n%b" % (line.partition(b" ")[0], uri, rest)):
        answered = served.server.answer_datagram(asked, served.source, UDP)
        if answered is not None:
            assert len(answered[0]) <= max(2 * len(asked), 1300)
            if answered[0].count(b"\r\nContact: ") > 1:
                assert len(answered[0]) <= 3 * len(asked)
    assert "would_amplify" not in served.counted


def test_a_small_request_has_a_small_answer(served: Served) -> None:
    """docs/answers.md: several Contacts at most thrice the request; the best one always stays.

    On a stream, whose peer has shown that it is there, all of them are named.
    """
    data = (
        b"A sip:many@contoso.com SIP/2.0\r\nv:SIP/2.0/UDP h\r\nf:<a:b>\r\nt:<a:b>\r\ni:123\r\n"
        b"CSeq:1 A\r\nl:0\r\n\r\n"
    )
    assert len(data) == 91
    answer = served.ask(data)
    assert answer is not None
    assert answer.status == 302
    (best,) = answer.all(b"Contact")
    answered = served.server.answer_event(parse_datagram(data, DEFAULT), served.source, "tcp", TCP)
    assert answered is not None
    assert answered.count(b"\r\nContact: ") == 64
    assert answered.partition(b"\r\nContact: ")[2].startswith(best + b"\r\n")
    longer = served.ask(data.replace(b"l:0", b"X:%b" % (b"x" * 300)))
    assert longer is not None
    assert 1 < len(longer.all(b"Contact")) < 64


@pytest.mark.parametrize("name", [b"v", b"Via"])
@pytest.mark.parametrize("vias", [1, 9, 70])
def test_contacts_are_cut_to_fit(served: Served, vias: int, name: bytes) -> None:
    """64 targets don't fit: as many as may are named, one at least, and no request is dropped."""
    for octets in range(1, 900, 3):
        data = message(
            b"INVITE sip:many@contoso.com SIP/2.0",
            *[name + b":SIP/2.0/UDP h"] * vias,
            *(b"f:<sip:a@b>;tag=1", b"t:<sip:many@contoso.com>", b"i:" + b"c" * octets),
            b"CSeq:1 INVITE",
        )
        answer = served.ask(data)
        assert answer is not None
        assert answer.status == 302
        assert 1 <= len(answer.all(b"Contact")) < 64
        assert len(answer.raw) <= max(2 * len(data), 1300)


@pytest.mark.parametrize("method", [b"INFO", b"OPTIONS"])
@pytest.mark.parametrize("vias", [1, 9, 70])
def test_the_longest_allow_fits(method: bytes, vias: int) -> None:
    """The configuration takes no list of methods that would make a 405 too large to be sent."""
    methods = (*(f"M{i:038}" for i in range(7)), "X" * 13)
    assert len(", ".join(methods)) == 300
    served = serve([endpoint("sip:listed@contoso.com", methods=methods)])
    for octets in range(1, 900, 3):
        data = message(
            method + b" sip:listed@contoso.com SIP/2.0",
            *[b"v:SIP/2.0/UDP h;rport"] * vias,
            *(b"f:<sip:a@b>;tag=1", b"t:<sip:a@b>", b"i:" + b"c" * octets, b"CSeq:1 " + method),
        )
        answer = served.ask(data)
        assert answer is not None
        assert answer.status == (200 if method == b"OPTIONS" else 405)


def test_contacts_on_a_stream_need_not_be_cut(served: Served) -> None:
    """There the peer has shown that it is there."""
    (answer,) = served.stream(request(uri=b"sip:many@contoso.com"))
    assert len(answer.all(b"Contact")) == 64


# -- what gets none ---------------------------------------------------------------------------


@given(requests() | mutated(), st.sampled_from([b"ACK", b"BENOTIFY"]))
def test_ack_and_benotify_get_nothing(data: bytes, method: bytes) -> None:
    served = serve()
    rest = data.partition(b" ")[2]
    assert served.server.answer_datagram(method + b" " + rest, served.source, UDP) is None
    assert served.stream(method + b" " + rest + b"\r\n\r\n") == [] or b"\r\n\r\n" in rest


@given(
    requests() | mutated(),
    st.sampled_from([b"SIP/2.0 200 OK", b"sip/2.0 302 x", b"SIP/9.9 1", b"SIP/2.0"]),
)
def test_responses_get_nothing(data: bytes, line: bytes) -> None:
    """Two servers that answered each other's answers would never end."""
    served = serve()
    rest = data.partition(b"\r\n")[2]
    assert served.server.answer_datagram(line + b"\r\n" + rest, served.source, UDP) is None


def test_our_own_answers_get_nothing(served: Served) -> None:
    for data in (request(), request(to=None), request(b"OPTIONS"), request(uri=b"tel:1")):
        answer = served.ask(data)
        assert answer is not None
        assert served.ask(answer.raw) is None
