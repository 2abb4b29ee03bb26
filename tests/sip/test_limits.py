"""Limits: each is kept to the octet, has its answer and its count, and bounds memory."""

import tracemalloc

import pytest

from chatredirect.sip.framing import StreamFramer
from chatredirect.sip.limits import DEFAULT, Limits
from tests.sip.served import ENDPOINT, Served, message, request, serve

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
    assert kept < 50_000
