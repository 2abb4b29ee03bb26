"""Bytes to messages: RFC 3261 §7. What is cut out, what is wrong with it, what survives."""

from collections.abc import Callable

import pytest

from chatredirect.sip.errors import (
    BadHeaderLine,
    BareLineBreak,
    EmptyDatagram,
    NoHeaderEnd,
    NotSip,
    SipError,
)
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.message import Request, Response, values
from chatredirect.sip.parser import parse_head
from tests.sip.in_memory_server import ENDPOINT, Served, message, request


def parse(data: bytes) -> Request:
    parsed = parse_datagram(data, DEFAULT)
    assert isinstance(parsed, Request)
    return parsed


def fault(data: bytes) -> type[SipError] | None:
    found = parse(data).fault
    return None if found is None else type(found)


# -- header names, §7.3.1 and §7.3.3 ----------------------------------------------------------


@pytest.mark.parametrize("spell", [bytes.lower, bytes.upper, bytes.title, bytes.swapcase])
@pytest.mark.parametrize("names", [
    (b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Content-Length"),
    (b"v", b"f", b"t", b"i", b"CSeq", b"l"),
])  # fmt: skip
@pytest.mark.parametrize("colon", [b":", b": ", b" :", b"\t : \t", b":\r\n "])
def test_names_without_case_and_in_compact_form(
    names: tuple[bytes, ...], spell: Callable[[bytes], bytes], colon: bytes
) -> None:
    spelled = [spell(name) + colon for name in names]
    via, from_, to, call_id, cseq, length = spelled
    parsed = parse(
        message(
            b"INVITE sip:a@b SIP/2.0",
            length + b"3",
            cseq + b"1 INVITE",
            call_id + b"x@y",
            to + b"<sip:a@b>",
            from_ + b"<sip:c@d>;tag=1",
            via + b"SIP/2.0/UDP h",
            body=b"abcd",
        )
    )
    assert parsed.fault is None
    assert parsed.vias == [b"SIP/2.0/UDP h"]
    assert (parsed.from_, parsed.to) == (b"<sip:c@d>;tag=1", b"<sip:a@b>")
    assert (parsed.call_id, parsed.cseq) == (b"x@y", b"1 INVITE")
    assert (parsed.content_length, parsed.body) == (3, b"abc")


@pytest.mark.parametrize(
    "line",
    [
        b"No colon", b"Via", b"To", b"l", b": no name", b"Na me: x", b"N@me: x", b"Na\x00me: x",
        b"\xc3\xa9: x",
        b"Na\x0bme: x", b"(x): y",
    ],
)  # fmt: skip
def test_lines_that_are_no_header_fields(line: bytes) -> None:
    """They are told of; and since others may see other lines, such a head frames nothing."""
    data = request(b"INVITE", ENDPOINT, line)
    assert fault(data) is BadHeaderLine
    assert parse(data).content_length is None


# -- lists and repeated fields, §7.3.1 --------------------------------------------------------


def test_vias_in_one_line_or_many(served: Served) -> None:
    """They mean the same; an answer repeats them as they came."""
    one = request(via=b"SIP/2.0/UDP 192.0.2.99;branch=1, SIP/2.0/UDP b , SIP/2.0/UDP c")
    many = request(via=b"SIP/2.0/UDP 192.0.2.99;branch=1\r\nv: SIP/2.0/UDP b\r\nVIA:SIP/2.0/UDP c")
    mixed = request(via=b"SIP/2.0/UDP 192.0.2.99;branch=1, SIP/2.0/UDP b\r\nVia: SIP/2.0/UDP c")
    for data, expected in (
        (one, [b"SIP/2.0/UDP 192.0.2.99;branch=1, SIP/2.0/UDP b , SIP/2.0/UDP c"]),
        (many, [b"SIP/2.0/UDP 192.0.2.99;branch=1", b"SIP/2.0/UDP b", b"SIP/2.0/UDP c"]),
        (mixed, [b"SIP/2.0/UDP 192.0.2.99;branch=1, SIP/2.0/UDP b", b"SIP/2.0/UDP c"]),
    ):
        answer = served.ask(data)
        assert answer is not None
        assert answer.status == 302
        assert answer.all(b"Via") == expected


def test_received_goes_to_the_first_via_of_a_line(served: Served) -> None:
    answer = served.ask(request(via=b'SIP/2.0/UDP a;rport;x="1,2" ,\r\n SIP/2.0/UDP b;rport'))
    assert answer is not None
    assert answer[b"Via"] == (
        b'SIP/2.0/UDP a;rport=40000;x="1,2";received=192.0.2.99 ,\r\n SIP/2.0/UDP b;rport'
    )


def test_unknown_headers_survive() -> None:
    """`values` gives every value of a field in order, compact and folded ones too."""
    data = request(
        b"INVITE", ENDPOINT,
        b"X-Odd: \xff\x00\xfe", b"Contact: <sip:a@b>, <sip:c@d>", b"x-ODD : ",
        b"M: <sip:e@f>;x=\"1\r\n 2\"",
        b"X-Oddity: no", b"Subject: X-Odd: no",
    )  # fmt: skip
    parsed = parse(data)
    assert parsed.fault is None
    assert values(parsed, b"x-odd") == [b"\xff\x00\xfe", b""]
    assert values(parsed, b"contact") == [b"<sip:a@b>, <sip:c@d>", b'<sip:e@f>;x="1\r\n 2"']
    assert values(parsed, b"nothing") == []


# -- folding, §7.3.1 --------------------------------------------------------------------------


def test_folded_lines(served: Served) -> None:
    """A line that begins with white space goes on; the answer has the folds as they were."""
    to = b"\r\n <sip:ocschat@contoso.com>\r\n\t;x=y"
    data = request(to=to, from_=b"Alice\r\n   Liddell\r\n\t<sip:a@b>")
    answer = served.ask(data)
    assert answer is not None
    assert answer.status == 302
    assert answer[b"To"].startswith(b"<sip:ocschat@contoso.com>\r\n\t;x=y;tag=")
    assert answer[b"From"] == b"Alice\r\n   Liddell\r\n\t<sip:a@b>"


def test_fold_before_the_first_header_field() -> None:
    """The Request-Line can't be folded (§7.1)."""
    data = request().replace(b"SIP/2.0\r\nVia", b"SIP/2.0\r\n Via", 1)
    assert parse(data).fault is not None


# -- start-lines, §7.1 and §7.2 ---------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [b"", b"INVITE", b"INVITE ", b" INVITE sip:a@b SIP/2.0", b"IN VITE", b"GET / HTTP/1.1"[:3],
     b"IN(VITE sip:a@b SIP/2.0", b"\x16\x03\x01 x y", b"INVITE\tsip:a@b\tSIP/2.0"],
)  # fmt: skip
def test_no_start_line(line: bytes) -> None:
    """Not SIP at all: nothing that an answer could be sent to."""
    if line == b"IN VITE":
        assert isinstance(parse(message(line, b"a: b")), Request)
        return
    with pytest.raises((NotSip, EmptyDatagram, NoHeaderEnd)):
        parse_datagram(message(line, b"Via: SIP/2.0/UDP a"), DEFAULT)


def test_response() -> None:
    data = request().replace(
        b"INVITE sip:ocschat@contoso.com SIP/2.0", b"sip/2.0 486 Busy \xff Here"
    )
    parsed = parse_datagram(data, DEFAULT)
    assert isinstance(parsed, Response)
    assert (parsed.status, parsed.reason, parsed.call_id) == (
        486,
        b"Busy \xff Here",
        b"a84b4c76e66710",
    )


# -- line ends and datagrams ------------------------------------------------------------------


@pytest.mark.parametrize("octet", [b"\r", b"\n", b"\n\r", b"\r\r\n", b"\n "])
@pytest.mark.parametrize("where", ["name", "value", "start"])
def test_bare_line_breaks(octet: bytes, where: str) -> None:
    """CR and LF only end lines together: somebody else might see another line there."""
    data = request(b"INVITE", ENDPOINT, b"Subject: a")
    place = {"name": b"Sub", "value": b"Subject: ", "start": b"INVITE sip"}[where]
    data = data.replace(place, place + octet, 1)
    assert fault(data) is BareLineBreak
    assert parse(data).content_length is None


@pytest.mark.parametrize(
    ("name", "old"), [(b"From", b"<sip:alice"), (b"Call-ID", b"a84b"), (b"CSeq", b"1 INV")]
)
@pytest.mark.parametrize("octet", [b"\r", b"\n"])
def test_an_answer_repeats_no_bare_line_break(
    served: Served, name: bytes, old: bytes, octet: bytes
) -> None:
    """What would be a header line to a careless reader isn't reflected."""
    answer = served.ask(request().replace(old, b"x" + octet + b"Evil: 1", 1))
    assert answer is not None
    assert (answer.status, answer.reason) == (400, b"Bare Line Break")
    assert answer.all(name) == []
    assert b"Evil" not in answer.raw


def test_a_via_with_a_bare_line_break_is_no_way_back(served: Served) -> None:
    assert served.ask(request().replace(b";branch", b"\n;branch", 1)) is None
    assert served.counted == {"no_via": 1}


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\n\n\n"])
def test_keep_alives(data: bytes, served: Served) -> None:
    """RFC 5626 §4.4: empty datagrams are dropped and counted."""
    with pytest.raises(EmptyDatagram):
        parse_datagram(data, DEFAULT)
    assert served.ask(data) is None
    assert served.counted == {"empty_datagram": 1}


def test_empty_lines_before_the_start_line() -> None:
    """§7.5."""
    assert parse(b"\r\n\r\n" + request()).fault is None


def test_no_end_of_the_header_fields(served: Served) -> None:
    """§7: 400 if the whole lines say whom to tell, whatever fields are missing."""
    whole = request()
    for data in (whole[:-2], whole[:-4], whole[: whole.index(b"To: ")], whole[:-2] + b"X: cut"):
        answer = served.ask(data)
        assert answer is not None
        assert (answer.status, answer.reason) == (400, b"No End Of Header Fields")
    assert served.counted == {"no_header_end": 4}


def test_what_a_datagram_without_an_end_does_not_say(served: Served) -> None:
    """A line that may be cut says nothing: its port may be one that was meant to be longer."""
    whole = request()
    assert served.ask(whole[:20]) is None
    assert served.ask(whole[: whole.index(b"0000;branch")]) is None
    assert served.ask(request(b"ACK")[:-2]) is None
    assert served.ask(whole.replace(b"\r\n", b"\n")) is None
    assert served.ask(b"\x00\r\n") is None
    assert served.counted == {"no_via": 1, "ack": 1, "not_sip": 3}


def test_body_without_content_length() -> None:
    """§18.3: over UDP it goes to the datagram's end."""
    assert parse(request(body=b"a\r\n\r\nb", length=None)).body == b"a\r\n\r\nb"


def test_a_head_of_nothing_but_a_start_line() -> None:
    parsed = parse_head(b"INVITE sip:a@b SIP/2.0", DEFAULT)
    assert isinstance(parsed, Request)
    assert parsed.vias == []
    assert parsed.from_ is None
