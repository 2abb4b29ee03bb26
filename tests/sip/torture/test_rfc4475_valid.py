"""RFC 4475 §3.1.1, valid messages: each is understood and handled like any other.

The messages are our own; each exercises what its section is about.
"""

from chatredirect.sip import headers
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.message import Request, Response, values
from chatredirect.sip.uri import parse_uri
from tests.sip.in_memory_server import Served, endpoint, message, request, serve
from tests.sip.torture.outcomes import redirected


def parse_request(data: bytes) -> Request:
    parsed = parse_datagram(data, DEFAULT)
    assert isinstance(parsed, Request)
    assert parsed.fault is None
    return parsed


def test_3_1_1_1_short_tortuous_invite(served: Served) -> None:
    """White space and folds wherever the grammar has them, odd case, compact names, escaped
    quotes, empty values, unknown headers and parameters, unfamiliar transports."""
    data = message(
        b"INVITE sip:ocschat@contoso.com;custom=1 SIP/2.0",
        b"tO :",
        b' "Chat \\\\\\"desk\\"" \t  <sip:ocschat@contoso.com;n=v>',
        b"\t; other = value",
        b"fRoM: sip:alice@contoso.com ;",
        b"  tag \t=\t 4711",
        b"MAX-forwards:0069 ",
        b"i: torture.one@2001:db8::7",
        b'X-Nobody-Knows-Me : <,=";?\x80\xff',
        b"cSEQ: 0007",
        b"  INVITE",
        b"V  : SIP  /   2.0",
        b" /UDP",
        b"    192.0.2.99 ; hidden",
        b"  ;branch=z9hG4bKtorture",
        b"Subject  :",
        b"k:",
        b"vIa: sip / 2.0 / UNHEARD-OF host.contoso.com ; x = y , SIP/2.0/TCP a.contoso.com",
        b"l: 5",
        b"rOUTE:",
        b" <sip:edge.contoso.com;lr;unknown=%6c>",
        b'm: "\\"\\\\" <sip:alice@192.0.2.99;p>',
        body=b"hello",
    )
    parsed = parse_request(data)
    assert parsed.body == b"hello"
    assert headers.read_cseq(parsed.cseq or b"") == (7, b"INVITE")
    assert headers.read_tag(parsed.from_ or b"", "From") == b"4711"
    assert headers.read_from_to(parsed.to or b"", "To").uri == b"sip:ocschat@contoso.com;n=v"
    via = headers.read_via(parsed.vias[0])
    assert (via.host, via.port) == (b"192.0.2.99", None)
    assert headers.param(via.params, b"hidden") == b""
    assert values(parsed, b"subject") == [b""]
    assert values(parsed, b"x-nobody-knows-me") == [b'<,=";?\x80\xff']

    answer = redirected(served, data)
    assert answer.port == 5060
    first, second = answer.all(b"Via")
    assert first == b"SIP  /   2.0\r\n /UDP\r\n    192.0.2.99 ; hidden\r\n  ;branch=z9hG4bKtorture"
    assert second == b"sip / 2.0 / UNHEARD-OF host.contoso.com ; x = y , SIP/2.0/TCP a.contoso.com"
    assert answer[b"CSeq"] == b"0007\r\n  INVITE"
    assert answer[b"To"].startswith(
        b'"Chat \\\\\\"desk\\"" \t  <sip:ocschat@contoso.com;n=v>\r\n\t; other = value;tag='
    )


def test_3_1_1_2_wide_range_of_valid_characters() -> None:
    """Every character that a method, a user part, a Call-ID and a quoted string allow."""
    method = b"Odd0.!%*_+`'~-Method"
    user = b"az09-_.!~*'()&=+$,;?/:pw-_.!~*'()&=+$,"
    to = b'"NUL:\\\x00 BEL:\\\x07 DEL:\\\x7f \\\\ \\"" <sip:%b@contoso.com;a=[/:&+$]>' % user
    from_ = b"a-.!%*_+`'~ <sip:alice@contoso.com>;tag=-.!%*_+`'~9"
    # a configuration writes a star escaped, lest it be meant as a wildcard: it is the same URI
    served = serve([endpoint("sip:az09-_.!~%2A'()&=+$,;?/@contoso.com")])
    uri = b"sip:az09-_.!~*'()&=+$,;?/@contoso.com;a-_.!~*'()=[]/:&+$"
    data = request(
        method,
        uri,
        b"-.!%*_+`'~9: -.!%*_+`'~9",
        from_=from_,
        to=to,
        call_id=b"-.!%*_+`'~()<>:\\\"/[]?{}@-.!%*_+`'~()<>:\\\"/[]?{}",
        cseq=b"2139 " + method,
    )
    parsed = parse_request(data)
    assert parsed.method == method
    assert headers.read_from_to(to, "To").uri == b"sip:%b@contoso.com;a=[/:&+$]" % user
    assert values(parsed, b"-.!%*_+`'~9") == [b"-.!%*_+`'~9"]
    answer = redirected(served, data, b"<sip:az09-_.!~*'()&=+$,;?/@pcpool.contoso.com>")
    assert answer[b"To"].startswith(to)
    # a user with a password is another user
    assert parse_uri(b"sip:%b@contoso.com" % user).password == b"pw-_.!~*'()&=+$,"


def test_3_1_1_3_valid_use_of_percent_escaping() -> None:
    """Escaped characters are the user's own, an escaped `@` separates nothing."""
    served = serve([endpoint("sip:sip%3achat%40contoso.com@redirect.example")])
    uri = b"sip:sip%3Achat%40CONTOSO.com@redirect.example"
    answer = redirected(
        served,
        request(b"INVITE", uri, to=b"<%b>" % uri),
        b"<sip:sip%3Achat%40CONTOSO.com@pcpool.contoso.com>",
    )
    assert answer[b"To"].startswith(b"<sip:sip%3Achat%40CONTOSO.com@redirect.example>;tag=")
    parsed = parse_uri(uri)
    assert (parsed.user, parsed.host) == (b"sip%3Achat%40CONTOSO.com", b"redirect.example")


def test_3_1_1_4_escaped_nulls_in_uris() -> None:
    """`%00` is a character of a user part like any other: it ends nothing, and two aren't one."""
    served = serve([endpoint("sip:chat-%00-room@contoso.com")])
    redirected(
        served,
        request(b"REGISTER", b"sip:chat-%00-room@contoso.com"),
        b"<sip:chat-%00-room@pcpool.contoso.com>",
    )
    for other in (
        b"sip:chat-%00%00-room@contoso.com",
        b"sip:chat-@contoso.com",
        b"sip:%00@contoso.com",
    ):
        answer = served.ask(request(b"REGISTER", other))
        assert answer is not None
        assert answer.status == 404


def test_3_1_1_5_percent_when_it_is_no_escape(served: Served) -> None:
    """In a method, a display name and a Call-ID `%` is only a character."""
    answer = redirected(
        served,
        request(
            b"IN%56ITE",
            from_=b"%Q%41 <sip:alice@contoso.com>;tag=a%2",
            call_id=b"esc%6fe@192.0.2.99",
        ),
    )
    assert answer[b"CSeq"] == b"1 IN%56ITE"
    # A%43K is no ACK, so it is answered
    assert served.ask(request(b"A%43K")) is not None


def test_3_1_1_6_no_space_between_display_name_and_bracket(served: Served) -> None:
    """`caller<sip:...>` is a display name and an address."""
    from_ = b"alice<sip:alice@contoso.com>;tag=323"
    answer = redirected(served, request(b"SUBSCRIBE", from_=from_))
    assert answer[b"From"] == from_
    assert headers.read_from_to(from_, "From").uri == b"sip:alice@contoso.com"


def test_3_1_1_7_long_values_in_header_fields(served: Served) -> None:
    """Names, values and parameters far longer than usual come back whole."""
    long = b"very" + 20 * b"long" + b"value"
    to = b'"%b" <sip:%b@contoso.com:6000;%b=%b;short>' % (40 * b"Amazing ", long, long, long)
    from_ = b"sip:%b.%b@contoso.com;tag=%b;%b=%b;x" % (long, long, 12 * b"983", long, long)
    vias = [
        b"Via: SIP/2.0/TCP host%d.contoso.com;branch=z9hG4bK%b;%b=%b" % (n, long, long, long)
        for n in range(30)
    ]
    data = message(
        b"INVITE sip:ocschat@contoso.com SIP/2.0",
        b"Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bK" + 3 * long,
        *vias,
        b"To: " + to,
        b"From: " + from_,
        b"Call-ID: one" + 10 * b"really" + b"longcallid",
        b"CSeq: 3882340 INVITE",
        b"Unknown-" + 20 * b"Long-" + b"Name: " + 50 * b"value " + b", " + 50 * b"value ",
        b"Contact: <sip:%b@192.0.2.99>" % (5 * long),
        b"l: 0",
    )
    answer = redirected(served, data)
    assert answer[b"From"] == from_
    assert answer[b"To"].startswith(to + b";tag=")
    assert answer.all(b"Via")[1:] == [line[5:] for line in vias]


def test_3_1_1_8_extra_trailing_octets_in_a_datagram(served: Served) -> None:
    """What stands behind Content-Length is ignored, even if it is a request of its own."""
    first = request(body=b"v=0\r\n", call_id=b"first")
    answer = redirected(served, first + request(call_id=b"second"))
    assert answer[b"Call-ID"] == b"first"
    assert parse_request(first + b"trailing").body == b"v=0\r\n"
    assert served.counters.answers == {302: 1}


def test_3_1_1_9_semicolon_separated_parameters_in_user_part() -> None:
    """What looks like a parameter before the `@` belongs to the user."""
    served = serve(
        [endpoint("sip:chat;par=u%40contoso.com@contoso.com"), endpoint("sip:chat@contoso.com")]
    )
    uri = b"sip:chat;par=u%40contoso.com@contoso.com"
    parsed = parse_uri(uri)
    assert (parsed.user, parsed.params) == (b"chat;par=u%40contoso.com", b"")
    redirected(served, request(uri=uri), b"<sip:chat;par=u%40contoso.com@pcpool.contoso.com>")


def test_3_1_1_10_varied_and_unknown_transports(served: Served) -> None:
    """A Via may name any transport; the answer goes back the way that the request came."""
    vias = [
        b"SIP/2.0/UDP t1.contoso.com",
        b"SIP/2.0/SCTP t2.contoso.com",
        b"SIP/2.0/TLS t3.contoso.com",
        b"SIP/2.0/CARRIER-PIGEON t4.contoso.com",
        b"SIP/2.0/TCP t5.contoso.com",
    ]
    for n in range(len(vias)):
        turned = vias[n:] + vias[:n]
        data = request(
            b"SUBSCRIBE", via=b"\r\nVia: ".join(each + b";branch=z9hG4bKt" for each in turned)
        )
        answer = redirected(served, data)
        assert len(answer.all(b"Via")) == len(vias)
        assert answer.all(b"Via")[0] == turned[0] + b";branch=z9hG4bKt;received=192.0.2.99"


def test_3_1_1_11_multipart_body(served: Served) -> None:
    """A body is octets, NUL and CRLFCRLF among them; it is never searched."""
    body = (
        b"--seam\r\nContent-Type: text/plain\r\n\r\nHello\r\n--seam\r\n"
        b"Content-Type: application/octet-stream\r\n\r\n\x00\x01\xfe\xff\r\n\r\nINVITE x\r\n"
        b"--seam--\r\n"
    )
    data = request(
        b"MESSAGE",
        b"sip:ocschat@contoso.com",
        b'Content-Type: multipart/mixed;boundary="seam"',
        body=body,
    )
    assert parse_request(data).body == body
    redirected(served, data)
    assert [answer.status for answer in served.stream(data, data)] == [302, 302]


def test_3_1_1_12_unusual_reason_phrase(served: Served) -> None:
    """A reason phrase is free text, UTF-8 too. A response is read, and never answered."""
    reason = "= 2**3 * 9**2 не 100 % \N{LATIN SMALL LETTER U WITH DIAERESIS}".encode()
    data = request().replace(b"INVITE sip:ocschat@contoso.com SIP/2.0", b"SIP/2.0 200 " + reason)
    parsed = parse_datagram(data, DEFAULT)
    assert isinstance(parsed, Response)
    assert (parsed.status, parsed.reason, parsed.fault) == (200, reason, None)
    assert served.ask(data) is None
    assert served.counted == {"response": 1}


def test_3_1_1_13_empty_reason_phrase(served: Served) -> None:
    """The space stands, the phrase doesn't. Without the space the meaning is plain all the same."""
    for line in (b"SIP/2.0 100 ", b"SIP/2.0 100"):
        data = request().replace(b"INVITE sip:ocschat@contoso.com SIP/2.0", line)
        parsed = parse_datagram(data, DEFAULT)
        assert isinstance(parsed, Response)
        assert (parsed.status, parsed.reason) == (100, b"")
        assert served.ask(data) is None
    assert served.counted == {"response": 2}
