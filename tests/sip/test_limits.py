"""Limits: each is kept to the octet, has its answer and its count, and bounds memory."""

import tracemalloc

import pytest

from chatredirect.sip.errors import HeaderLineTooLong
from chatredirect.sip.framing import StreamFramer, parse_datagram
from chatredirect.sip.limits import DEFAULT, Limits
from tests.sip.in_memory_server import ENDPOINT, Served, message, request, serve
from tests.sip.pattern_watch import PatternWatch

LINE = b"X: " + b"y" * 97  # 100 octets


def over(limits: Limits, data: bytes, status: int, reason: bytes, counter: str) -> None:
    """The answer and the count, as a datagram and on a stream."""
    served = serve(limits=limits)
    answer = served.ask(data)
    assert answer is not None
    assert (answer.status, answer.reason) == (status, reason)
    assert served.counted == {counter: 1}
    served = serve(limits=limits)
    (answer,) = served.stream(data)
    assert (answer.status, answer.reason) == (status, reason)
    assert served.counted == {counter: 1}


def within(limits: Limits, data: bytes) -> None:
    served = serve(limits=limits)
    answer = served.ask(data)
    assert answer is not None
    assert answer.status == 302
    assert [answer.status for answer in served.stream(data)] == [302]
    assert served.counted == {}


def test_message() -> None:
    """§21.5.7: 513."""
    data = request(body=b"x" * 500)
    within(Limits(message=len(data)), data)
    over(Limits(message=len(data) - 1), data, 513, b"Message Too Large", "message_too_large")


@pytest.mark.parametrize("fold", [b"", b"\r\n "])
def test_header_line(fold: bytes) -> None:
    """The whole field, folds included."""
    line = LINE + fold + b"z" * 50
    data = request(b"INVITE", ENDPOINT, line)
    within(Limits(header_line=len(line)), data)
    over(
        Limits(header_line=len(line) - 1),
        data,
        513,
        b"Header Line Too Long",
        "header_line_too_long",
    )


@pytest.mark.parametrize("fold", [b"", b"\r\n y"])
def test_headers(fold: bytes) -> None:
    """Fields are counted, not lines."""
    fields = [b"X: y" + fold] * 20
    data = request(b"INVITE", ENDPOINT, *fields)
    within(Limits(headers=26), data)
    over(Limits(headers=25), data, 513, b"Too Many Header Fields", "too_many_headers")


def test_lines() -> None:
    """Four lines for each header field: folds are counted when there are far too many of them."""
    data = request(b"INVITE", ENDPOINT, b"X: y" + b"\r\n y" * 97)  # with the others 104
    within(Limits(headers=26), data)
    over(Limits(headers=25), data, 513, b"Too Many Header Fields", "too_many_headers")


@pytest.mark.parametrize("join", [b", ", b"\r\nVia: ", b"\r\nv:"])
def test_via_values(join: bytes) -> None:
    """On however many lines."""
    data = request(via=join.join([b"SIP/2.0/UDP h"] * 9))
    within(Limits(via_values=9), data)
    over(Limits(via_values=8), data, 513, b"Too Many Via Values", "too_many_vias")


def test_uri() -> None:
    """§21.4.12: 414."""
    uri = b"sip:ocschat@contoso.com;x=" + b"y" * 100
    within(Limits(uri=len(uri)), request(uri=uri))
    over(Limits(uri=len(uri) - 1), request(uri=uri), 414, b"Request-URI Too Long", "uri_too_long")


FIELDS = ("via", "from_", "to", "call_id", "cseq")
PARAMS = b";rport" * 10_000
LONG = {
    "via": b"SIP/2.0/UDP 192.0.2.99:40000" + PARAMS,
    "from_": b"<sip:alice@contoso.com>" + PARAMS,
    "to": b"<sip:ocschat@contoso.com>" + PARAMS,
    "call_id": b"a" * 60_000,
    "cseq": b"1" * 60_000 + b" INVITE",
}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> PatternWatch:
    """Every expression that takes a value apart."""
    return PatternWatch(monkeypatch)


@pytest.mark.parametrize("method", [b"INVITE", b"ACK", b"BENOTIFY"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_over_its_limit_is_never_taken_apart(
    field: str, method: bytes, watched: PatternWatch
) -> None:
    """§21.5.7, docs/answers.md: it comes back octet for octet, with nothing added to it."""
    data = request(method, **{field: LONG[field]})
    served = serve()
    answer = served.ask(data)
    answers = [] if answer is None else [answer]
    answers += served.stream(data, request(call_id=b"next"))
    assert watched.longest <= DEFAULT.header_line
    if method != b"INVITE":
        assert [each.status for each in answers] == [302]
        return
    expected = [513, 302] if field == "via" else [513, 513, 302]  # a datagram's sender isn't known
    assert [each.status for each in answers] == expected
    name = {"from_": b"From", "call_id": b"Call-ID", "cseq": b"CSeq"}.get(
        field, field.title().encode()
    )
    for each in answers[:-1]:
        assert each.reason == b"Header Line Too Long"
        assert each[name] == LONG[field]
        assert len(each.raw) < len(data) + 200
    drops = {"header_line_too_long": 1} if field == "via" else {}
    assert served.counters.drops == drops
    assert served.counters.faults == {"header_line_too_long": len(expected) - 1}


@pytest.mark.parametrize("field", FIELDS)
def test_an_overlong_field_of_a_response_is_left_out(field: str) -> None:
    """Nobody answers a response, so nobody needs what nobody may read."""
    start_line = b"INVITE sip:ocschat@contoso.com SIP/2.0"
    data = request(**{field: LONG[field]}).replace(start_line, b"SIP/2.0 200 OK")
    parsed = parse_datagram(data, DEFAULT)
    assert isinstance(parsed.fault, HeaderLineTooLong)
    assert not (parsed.vias if field == "via" else getattr(parsed, field))


def test_faults_that_hide_an_overlong_field(watched: PatternWatch) -> None:
    """Whatever is said first: a bare CR, too many fields, no length, no end, too many octets."""
    served = serve()
    for field in FIELDS:
        data = request(**{field: LONG[field]})
        long = request(**{field: LONG[field]}, body=b"x" * 6000)
        many = request(b"INVITE", ENDPOINT, *[b"X: y"] * 200, **{field: LONG[field]})
        no_length = request(**{field: LONG[field]}, length=None)
        for each in (data[:-4] + b"\r: x\r\n\r\n", many, no_length, data[:-2], long):
            served.ask(each)
            served.stream(each)
    assert watched.longest <= DEFAULT.header_line


def test_a_via_with_more_parameters_than_may_be() -> None:
    """64: more is 400, whatever its length, since each of them costs time."""
    via = b"SIP/2.0/UDP 192.0.2.99:40000"
    assert [each.status for each in serve().stream(request(via=via + b";a" * 64))] == [302]
    served = serve()
    (answer,) = served.stream(request(via=via + b";a" * 65))
    assert (answer.status, answer.reason) == (400, b"Bad Via")
    assert answer[b"Via"] == via + b";a" * 65


@pytest.mark.parametrize("via", [b"SIP/2.0/UDP [fe80::1%eth0]:5060;branch=z9hG4bKa", b"x", b""])
def test_a_via_that_cannot_be_read_on_a_stream(via: bytes) -> None:
    """§18.2.2: an answer goes back over its connection, so no sent-by is needed for it."""
    served = serve()
    bad, good = served.stream(request(via=via), request())
    assert (bad.status, bad.reason, bad[b"Via"]) == (400, b"Bad Via", via)
    assert good.status == 302
    assert served.ask(request(via=via)) is None
    assert served.counted == {"bad_header_value": 1, "no_via": 1}


def test_defaults_are_generous() -> None:
    """Ten times what clients send."""
    fields = [b"X%d: %b" % (n, 100 * b"y") for n in range(100)]
    vias = b", ".join([b"SIP/2.0/UDP h"] * 70)
    data = request(b"INVITE", ENDPOINT, *fields, b"Long: " + b"z" * 8000, via=vias)
    within(DEFAULT, data)


@pytest.mark.parametrize("method", [b"ACK", b"BENOTIFY"])
def test_what_is_never_answered_isn_t_either_when_too_large(method: bytes, served: Served) -> None:
    assert served.ask(request(method, b"sip:" + b"u" * 5000 + b"@contoso.com")) is None


# -- memory -----------------------------------------------------------------------------------

HUGE = {
    "a body that is announced": [request(length=b"65000")] + [b""] * 100,
    "a body far over the limit": [request(length=b"9" * 50)] * 50,
    "a head that never ends": [request()[:-2]] + [b"X: y\r\n" * 1000] * 50,
    "a line that never ends": [b"INVITE "] + [b"x" * 10000] * 50,
    "a fold that never ends": [request()[:-2] + b"X: y"] + [b"\r\n z" * 2000] * 50,
    "pings": [b"\r\n\r\n" * 1000] * 50,
    "faults": [b"junk\r\n\r\n" * 1000] * 50,
}


@pytest.mark.parametrize("name", HUGE)
def test_memory_is_bounded(name: str) -> None:
    """Megabytes are sent; little more than a message is kept."""
    framer = StreamFramer(DEFAULT)
    framer.feed(request())  # whatever is made once
    tracemalloc.start()
    try:
        for piece in HUGE[name]:
            framer.feed(piece)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < DEFAULT.message + 20_000
    assert peak < 40 * DEFAULT.message  # lines, split: an object for each of two octets


def test_a_name_that_is_new_is_not_remembered(served: Served) -> None:
    """Made-up header names, methods and URIs leave nothing behind."""
    for n in range(200):  # whatever is made once
        served.ask(request(b"M%d" % n, b"sip:u%d@h" % n, b"N%d: x" % n))
    tracemalloc.start()
    try:
        for n in range(2000, 5000):
            served.ask(
                request(b"M%d" % n, b"sip:u%d@h%d" % (n, n), b"N%d: x" % n, call_id=b"%d" % n)
            )
            served.ask(message(b"junk%d" % n, b"N%d: x" % n))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000, "a name of each would take 300 KB"
