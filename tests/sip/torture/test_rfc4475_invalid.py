"""RFC 4475 §3.1.2, invalid messages: each gets a clear answer, or none, and is counted.

The messages are our own. Where the RFC leaves a choice, docs/leniency.md says what was chosen.
"""

import pytest

from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.message import Request
from tests.sip.in_memory_server import Served, message, request
from tests.sip.torture.outcomes import redirected, refused


@pytest.mark.parametrize(
    "via",
    [
        b"SIP/2.0/UDP 192.0.2.99;;,;,,",
        b"SIP/2.0/UDP 192.0.2.99;branch=z9hG4bK1;",
        b"SIP/2.0/UDP 192.0.2.99:40000;;branch=z9hG4bK1",
    ],
)
def test_3_1_2_1_extraneous_separators_in_via(served: Served, via: bytes) -> None:
    """Semicolons and commas with nothing between: sent-by can be read, so there is an answer."""
    refused(served, request(via=via), 400, b"Bad Via", "bad_header_value")


def test_3_1_2_1_extraneous_separators_in_contact(served: Served) -> None:
    """A Contact isn't looked at: nothing of a redirect depends on it."""
    redirected(
        served,
        request(b"INVITE", b"sip:ocschat@contoso.com", b'Contact: "" <> ;,"Joe" <sip:joe>;;;;'),
    )


@pytest.mark.parametrize(
    "field", [b"From: <sip:alice@contoso.com>;;tag=1", b"To: <sip:a@b>,", b"To: <sip:a@b>;"]
)
def test_3_1_2_1_extraneous_separators_in_from_and_to(served: Served, field: bytes) -> None:
    name, _, value = field.partition(b": ")
    data = request(from_=value) if name == b"From" else request(to=value)
    refused(served, data, 400, b"Bad " + name, "bad_header_value")


def test_3_1_2_2_content_length_larger_than_message(served: Served) -> None:
    """A datagram that ends too soon gets 400; on a stream the rest may still come."""
    data = request(body=b"v=0\r\n", length=b"9999")
    refused(served, data, 400, b"Truncated Body", "truncated_body")
    assert served.stream(data) == []


def test_3_1_2_3_negative_content_length(served: Served) -> None:
    data = request(body=b"v=0\r\n", length=b"-999")
    refused(served, data, 400, b"Bad Content-Length", "bad_content_length")
    # on a stream it is also the end of the stream
    assert [a.status for a in served.stream(data + request())] == [400]


@pytest.mark.parametrize("number", [b"36893488147419103232", b"2147483648", b"4294967296"])
def test_3_1_2_4_request_scalars_with_overlarge_values(served: Served, number: bytes) -> None:
    """CSeq counts below 2**31 (§8.1.1.5)."""
    refused(served, request(cseq=number + b" INVITE"), 400, b"Bad CSeq", "bad_header_value")


def test_3_1_2_4_scalars_that_nobody_reads(served: Served) -> None:
    """Max-Forwards and Expires mean nothing to a redirect, whatever they say."""
    fields = (
        b"Max-Forwards: 300",
        b"Expires: 1%b" % (40 * b"0"),
        b"Contact: <sip:a@b>;expires=28040010200",
    )
    redirected(served, request(b"REGISTER", b"sip:ocschat@contoso.com", *fields))


def test_3_1_2_5_response_scalars_with_overlarge_values(served: Served) -> None:
    data = message(
        b"SIP/2.0 503 Service Unavailable",
        b"Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx",
        b"CSeq: 9292394834772304023312 INVITE",
        b"Call-ID: scalar",
        b"From: <sip:a@contoso.com>;tag=1",
        b"To: <sip:b@contoso.com>;tag=2",
        b"Retry-After: 94930283850302834930",
        b'Warning: 1812 overture "In progress"',
        b"Content-Length: 0",
    )
    assert served.ask(data) is None
    assert served.counted == {"response": 1}


@pytest.mark.parametrize("header", [b"To", b"From"])
def test_3_1_2_6_unterminated_quoted_string(served: Served, header: bytes) -> None:
    value = b'"Chat \\" desk <sip:ocschat@contoso.com>'
    data = request(to=value) if header == b"To" else request(from_=value)
    refused(served, data, 400, b"Bad " + header, "bad_header_value")


def test_3_1_2_7_angle_brackets_around_request_uri(served: Served) -> None:
    """Liberal: the URI in the brackets is what is meant; they go nowhere."""
    data = request(uri=b"<sip:ocschat@contoso.com>")
    parsed = parse_datagram(data, DEFAULT)
    assert isinstance(parsed, Request)
    assert parsed.uri == b"sip:ocschat@contoso.com"
    redirected(served, data)


@pytest.mark.parametrize(
    "uri",
    [
        b"<sip:ocschat@contoso.com",
        b"sip:ocschat@contoso.com>",
        b"<>",
        b"<<sip:a@b>>",
        b"Chat <sip:ocschat@contoso.com>",
    ],
)
def test_3_1_2_7_half_of_the_brackets(served: Served, uri: bytes) -> None:
    answer = served.ask(request(uri=uri))
    assert answer is not None
    assert answer.status == 400


@pytest.mark.parametrize(
    "uri",
    [b"sip:ocschat@contoso.com; lr", b"sip:ocschat @contoso.com", b"sip: ocschat@contoso.com"],
)
def test_3_1_2_8_space_within_request_uri(served: Served, uri: bytes) -> None:
    """Strict: parsers disagree where it ends, so somebody before us may have seen another URI."""
    refused(served, request(uri=uri), 400, b"Bad Request-Line", "bad_start_line")


def test_3_1_2_9_multiple_spaces_in_request_line(served: Served) -> None:
    """Liberal: three parts are three parts."""
    data = request().replace(
        b"INVITE sip:ocschat@contoso.com SIP", b"INVITE   sip:ocschat@contoso.com  SIP", 1
    )
    redirected(served, data)


def test_3_1_2_10_spaces_at_end_of_request_line(served: Served) -> None:
    """Liberal."""
    redirected(served, request().replace(b" SIP/2.0\r\n", b" SIP/2.0  \r\n", 1))


def test_3_1_2_11_escaped_headers_in_request_uri(served: Served) -> None:
    """Liberal: embedded header fields are ignored, and aren't passed on."""
    answer = redirected(
        served, request(uri=b"sip:ocschat@contoso.com?Route=%3Csip:evil.example%3E&Subject=x")
    )
    assert b"evil.example" not in answer.raw


def test_3_1_2_12_invalid_time_zone_in_date(served: Served) -> None:
    """Liberal: nobody here reads a Date."""
    redirected(
        served,
        request(b"INVITE", b"sip:ocschat@contoso.com", b"Date: Sun, 22 Nov 2026 05:00:00 CET"),
    )


def test_3_1_2_13_no_angle_brackets_around_name_addr(served: Served) -> None:
    """A Contact isn't looked at; a From or To must be plain."""
    redirected(
        served,
        request(
            b"REGISTER",
            b"sip:ocschat@contoso.com",
            b"Contact: sip:a@contoso.com?Route=%3Csip:b@c%3E",
        ),
    )


def test_3_1_2_13_question_mark_without_angle_brackets(served: Served) -> None:
    """Strict: §20 says that a URI with `?`, `,` or `;` needs brackets."""
    data = request(to=b"sip:ocschat@contoso.com?Route=%3Csip:b@c%3E")
    refused(served, data, 400, b"Bad To", "bad_header_value")


@pytest.mark.parametrize(
    "to",
    [
        b'"Chat" < sip:ocschat@contoso.com >',
        b"<\tsip:ocschat@contoso.com>",
        b"<sip:ocschat@contoso.com\r\n >",
    ],
)
def test_3_1_2_14_spaces_within_addr_spec(served: Served, to: bytes) -> None:
    """Liberal: space just inside the brackets belongs to nothing."""
    answer = redirected(served, request(to=to))
    assert answer[b"To"].startswith(to + b";tag=")


@pytest.mark.parametrize("to", [b"<sip:ocschat @contoso.com>", b"<sip: ocschat@contoso.com>"])
def test_3_1_2_14_spaces_within_the_uri(served: Served, to: bytes) -> None:
    """Strict: within the URI itself they are refused."""
    refused(served, request(to=to), 400, b"Bad To", "bad_header_value")


@pytest.mark.parametrize(
    "name", [b"Liddell, Alice", b"Alice (home)", "Алиса".encode(), b"Alice\xff @ home"]
)
def test_3_1_2_15_non_token_characters_in_display_name(served: Served, name: bytes) -> None:
    """Liberal: the quotes are inferred; the name comes back as it was."""
    from_ = name + b" <sip:alice@contoso.com>;tag=43"
    assert redirected(served, request(from_=from_))[b"From"] == from_


@pytest.mark.parametrize(
    "version", [b"SIP/7.0", b"SIP/2.1", b"SIP/1.0", b"sip/3.0", b"SIP/20000000000000000.0"]
)
def test_3_1_2_16_unknown_protocol_version(served: Served, version: bytes) -> None:
    data = request().replace(b"SIP/2.0", version, 1)
    refused(served, data, 505, b"Version Not Supported", "version_not_supported")


@pytest.mark.parametrize("method", [b"OPTIONS", b"NEWMETHOD"])
def test_3_1_2_16_unknown_protocol_version_in_via_too(served: Served, method: bytes) -> None:
    """As the message stands there: 505, to where its Via says, and with what it asks for."""
    data = request(method, via=b"SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw;rport")
    for each in (data, data.replace(b" SIP/2.0\r\n", b" SIP/7.0\r\n", 1)):
        answer = served.ask(each)
        assert answer is not None
        assert (answer.status, answer.reason) == (505, b"Version Not Supported")
        via = b"SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw;rport=40000;received=192.0.2.99"
        assert (answer[b"Via"], answer.port) == (via, 40000)
    assert served.counted == {"version_not_supported": 2}


@pytest.mark.parametrize(
    "version", [b"HTTP/1.1", b"SIP/2", b"SIP2.0", b"SIP/2.0.0", b"SIP/x.y", b"SIP"]
)
def test_3_1_2_16_no_sip_version_at_all(served: Served, version: bytes) -> None:
    data = request().replace(b"SIP/2.0", version, 1)
    refused(served, data, 400, b"Bad Request-Line", "bad_start_line")


def test_3_1_2_16_version_in_lower_case(served: Served) -> None:
    """SIP-Version counts no case (§7.1)."""
    redirected(served, request().replace(b"SIP/2.0", b"sip/2.0", 1))


def test_3_1_2_17_start_line_and_cseq_method_mismatch(served: Served) -> None:
    data = request(b"OPTIONS", cseq=b"8 INVITE")
    refused(served, data, 400, b"CSeq Method Mismatch", "cseq_method_mismatch")


def test_3_1_2_18_unknown_method_with_cseq_method_mismatch(served: Served) -> None:
    """400 and not 501: every method is redirected, so the mismatch is what is wrong."""
    data = request(b"NEWMETHOD", cseq=b"8 INVITE")
    refused(served, data, 400, b"CSeq Method Mismatch", "cseq_method_mismatch")


def test_3_1_2_18_methods_are_told_apart_by_case(served: Served) -> None:
    refused(served, request(cseq=b"8 Invite"), 400, b"CSeq Method Mismatch", "cseq_method_mismatch")


@pytest.mark.parametrize("code", [b"4294967301", b"099", b"700", b"2000", b"-1", b"2x0", b""])
def test_3_1_2_19_overlarge_response_code(served: Served, code: bytes) -> None:
    """Nothing answers a response, even one that isn't one."""
    data = request().replace(
        b"INVITE sip:ocschat@contoso.com SIP/2.0", b"SIP/2.0 %b better not break" % code
    )
    assert served.ask(data) is None
    assert served.counted == {"bad_status_line": 1}
