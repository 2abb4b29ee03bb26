"""Messages on a stream: RFC 3261 §18.3 and RFC 5626 §4.4.1, over any split of the octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.sip.errors import (
    BadContentLength,
    BadHeaderLine,
    BareLineBreak,
    MessageTooLarge,
    MissingContentLength,
    NotSip,
    SipError,
    TooManyHeaders,
)
from chatredirect.sip.framing import Event, FramingFault, Ping, StreamFramer
from chatredirect.sip.limits import DEFAULT, Limits
from chatredirect.sip.message import Request, Response
from tests.sip.in_memory_server import ENDPOINT, TCP, Served, message, request
from tests.sip.strategies import mutated, requests, splits

SMALL = Limits(message=600, header_line=200, headers=12, via_values=5, uri=100)


def feed(*pieces: bytes, limits: Limits = DEFAULT) -> list[Event]:
    framer = StreamFramer(limits)
    return [event for piece in pieces for event in framer.feed(piece)]


def described(events: list[Event]) -> list[object]:
    """Events in a form that can be compared: exceptions can't."""
    return [
        (type(event.error), event.error.offending, event.message and event.message.head)
        if isinstance(event, FramingFault)
        else event
        if isinstance(event, Ping)
        else (event.head, event.body, event.fault and type(event.fault))
        for event in events
    ]


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# -- any split --------------------------------------------------------------------------------


@given(st.data())
def test_any_split_gives_the_same_events(data: st.DataObject) -> None:
    """Valid, broken, or nothing: where the pieces end tells nothing."""
    junk = st.sampled_from([b"", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"junk\r\n\r\n", b"\x00"])
    parts = st.lists(requests() | mutated() | junk, max_size=4)
    stream = b"".join(data.draw(parts))
    limits = data.draw(st.sampled_from([DEFAULT, SMALL]))
    whole = described(feed(stream, limits=limits))
    assert described(feed(*data.draw(splits(stream)), limits=limits)) == whole
    assert described(feed(*bytewise(stream), limits=limits)) == whole


@given(st.lists(requests(), max_size=5))
def test_valid_messages_come_out_as_they_went_in(sent: list[bytes]) -> None:
    events = feed(b"\r\n".join(sent))
    assert len(events) == len(sent)
    for event, data in zip(events, sent, strict=True):
        assert isinstance(event, Request)
        assert event.fault is None
        assert event.head + b"\r\n\r\n" + event.body == data


def test_several_messages_in_a_segment() -> None:
    """Requests and responses, with bodies and without, that look like messages or not."""
    inner = request(call_id=b"inner")
    response = message(b"SIP/2.0 200 OK", b"Content-Length: 2", body=b"ok")
    events = feed(
        request(body=inner, call_id=b"outer") + response + request(b"OPTIONS", call_id=b"last")
    )
    assert [type(event) for event in events] == [Request, Response, Request]
    assert isinstance(events[0], Request)
    assert isinstance(events[2], Request)
    assert (events[0].call_id, events[0].body, events[2].call_id) == (b"outer", inner, b"last")


# -- what stands between messages -------------------------------------------------------------


@pytest.mark.parametrize(
    ("between", "pings"),
    [(b"", 0), (b"\r\n", 0), (b"\r\n\r\n", 1), (b"\r\n" * 3, 1), (b"\r\n" * 8, 4)],
)
def test_line_breaks_between_messages(between: bytes, pings: int) -> None:
    """§7.5: they are skipped; RFC 5626 §4.4.1: two of them are a ping."""
    for events in (feed(between + request()), feed(*bytewise(between + request()))):
        assert sum(isinstance(event, Ping) for event in events) == pings
        assert isinstance(events[-1], Request)


def test_ping_alone(served: Served) -> None:
    (event,) = feed(b"\r\n\r\n")
    assert served.server.answer_event(event, served.source, "tcp", TCP) == b"\r\n"


@pytest.mark.parametrize(
    "junk", [b"junk", b"\n", b"\r", b"\x00", b" ", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1"]
)
def test_garbage_between_messages(junk: bytes, served: Served) -> None:
    """It has no Via, so it gets no answer; and it is the end."""
    data = request() + junk + b"\r\n\r\n" + request()
    events = feed(data)
    assert [type(event) for event in events] == [Request, FramingFault]
    assert [answer.status for answer in served.stream(data)] == [302]


# -- faults, and what never follows them ------------------------------------------------------

LENGTHS = {
    b"-1": BadContentLength,
    b"-0": BadContentLength,
    b"+5": BadContentLength,
    b"5 5": BadContentLength,
    b"5\r\n 5": BadContentLength,
    b"5,5": BadContentLength,
    b"0x5": BadContentLength,
    b"5.0": BadContentLength,
    b"1e1": BadContentLength,
    b"five": BadContentLength,
    b"": BadContentLength,
    b'"5"': BadContentLength,
    b"5;x": BadContentLength,
    b"5\x00": BadContentLength,
    "\N{ARABIC-INDIC DIGIT FIVE}".encode(): BadContentLength,
    b"18446744073709551616": MessageTooLarge,
    b"18446744073709551621": MessageTooLarge,  # 5 in a number of 64 bits
    b"4294967301": MessageTooLarge,  # 5 in one of 32
    b"65536": MessageTooLarge,
    b"9" * 7000: MessageTooLarge,
}


@pytest.mark.parametrize("length", LENGTHS, ids=lambda value: repr(value[:24]))
def test_content_lengths_that_nobody_can_cut_by(length: bytes, served: Served) -> None:
    """One answer, 400 or 513, and nothing more: not the rest, not the next message, ever."""
    error = LENGTHS[length]
    data = request(length=length, body=b"v=0\r\n", call_id=b"broken")
    for pieces in ([data + request()], [*bytewise(data), request()]):
        framer = StreamFramer(DEFAULT)
        events = [event for piece in pieces for event in framer.feed(piece)]
        assert len(events) == 1
        assert isinstance(events[0], FramingFault)
        assert type(events[0].error) is error
        assert framer.feed(request()) == []
        assert not framer.partial
    (answer,) = served.stream(data + request(), request())
    assert answer.status == error.status
    assert answer[b"Call-ID"] == b"broken"
    assert served.counted == {error.counter: 1}


@pytest.mark.parametrize("zeros", [1, 20, 3000])
def test_leading_zeros_are_no_harm(zeros: int) -> None:
    """1*DIGIT (§25.1): the number is what counts."""
    (event,) = feed(request(length=zeros * b"0" + b"3", body=b"abc"))
    assert isinstance(event, Request)
    assert event.body == b"abc"


def test_white_space_around_the_length() -> None:
    for spelled in (b" 3", b"\t3 ", b"\r\n 3", b"3 \r\n "):
        (event,) = feed(
            request(length=None, body=b"abc").replace(b"CSeq", b"l :%b\r\nCSeq" % spelled)
        )
        assert isinstance(event, Request)
        assert event.body == b"abc"


BROKEN_HEADS: dict[str, tuple[tuple[bytes, ...], type[SipError]]] = {
    "two lengths that differ": ((b"Content-Length: 0", b"Content-Length: 5"), BadContentLength),
    "one of them in compact form": ((b"l: 5", b"CONTENT-LENGTH : 0"), BadContentLength),
    "a good one and a bad one": ((b"l: 5", b"l: -5"), BadContentLength),
    "the same number in two spellings": ((b"l: 5", b"l: 05"), BadContentLength),
    "none": ((), MissingContentLength),
    "one in a folded line": ((b"Subject: x\r\n Content-Length: 5",), MissingContentLength),
    "one behind a bare LF": ((b"Subject: x\nContent-Length: 5",), BareLineBreak),
    "another one behind a bare LF": ((b"l: 0", b"Subject: x\nContent-Length: 5"), BareLineBreak),
    "another one behind a bare CR": ((b"l: 0", b"Subject: x\rContent-Length: 5"), BareLineBreak),
    "one with a control character": ((b"l: 0", b"Content-Length\x0b: 5"), BadHeaderLine),
    "one with a NUL": ((b"l: 0", b"\x00Content-Length: 5"), BadHeaderLine),
    "one without a colon": ((b"l: 0", b"Content-Length 5"), BadHeaderLine),
    "one behind a line that is none": ((b"no field", b"l: 5"), BadHeaderLine),
    "one behind too many": ((*(b"X: y" for _ in range(130)), b"l: 5"), TooManyHeaders),
}


@pytest.mark.parametrize("name", BROKEN_HEADS)
def test_smuggling(name: str, served: Served) -> None:
    """Heads that two parsers would cut differently: none of the ways is taken."""
    fields, error = BROKEN_HEADS[name]
    smuggled = request(b"BYE", ENDPOINT, call_id=b"smuggled")
    data = request(b"INVITE", ENDPOINT, *fields, length=None, body=b"hello") + smuggled
    for pieces in ([data], bytewise(data)):
        events = feed(*pieces)
        assert len(events) == 1
        assert isinstance(events[0], FramingFault)
        assert type(events[0].error) is error
    answers = served.stream(data)
    assert [answer.status for answer in answers] == [error.status]
    assert b"smuggled" not in answers[0].raw


def test_a_length_that_is_too_short(served: Served) -> None:
    """The rest of the body stands where a message should begin: what came before is answered."""
    data = request(body=b"hello world", length=b"5")
    assert [answer.status for answer in served.stream(data + request())] == [302]
    assert feed(data + request())[1:] != []
    assert isinstance(feed(data + request())[1], FramingFault)


def test_a_length_that_is_too_long() -> None:
    """Then the message hasn't ended yet; the transport's timer ends that."""
    framer = StreamFramer(DEFAULT)
    assert framer.feed(request(body=b"hello", length=b"6")) == []
    assert framer.partial


def test_faults_that_are_none_of_the_framing(served: Served) -> None:
    """A message that can be cut is answered 400, and the next one is heard."""
    bad = (
        request(cseq=b"1 BYE"),
        request(to=b"<"),
        request(uri=b"sip:"),
        request(b"INVITE", ENDPOINT, b"To: x"),
    )
    answers = served.stream(b"".join(bad) + request())
    assert [answer.status for answer in answers] == [400, 400, 400, 400, 302]


@pytest.mark.parametrize("method", [b"ACK", b"BENOTIFY"])
def test_a_fault_in_what_is_never_answered(method: bytes, served: Served) -> None:
    assert served.stream(request(method, length=b"-1") + request()) == []


def test_a_fault_in_a_response(served: Served) -> None:
    data = message(b"SIP/2.0 200 OK", b"Via: SIP/2.0/TCP a", b"Content-Length: x")
    assert served.stream(data + request()) == []
    assert served.counted == {"response": 1}


# -- limits -----------------------------------------------------------------------------------


def test_body_over_the_limit(served: Served) -> None:
    """What is only announced is refused at once, and nothing is kept of it."""
    framer = StreamFramer(DEFAULT)
    head = request(length=b"60000000000")
    (event,) = framer.feed(head)
    assert isinstance(event, FramingFault)
    assert type(event.error) is MessageTooLarge
    assert not framer.partial
    (answer,) = served.stream(head)
    assert (answer.status, answer.reason) == (513, b"Message Too Large")


@pytest.mark.parametrize("body", [b"x" * 100, b""])
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_message_limit_to_the_octet(over: int, body: bytes) -> None:
    """In the body, or in the head where there is none."""
    data = request(body=body)
    limits = Limits(message=len(data) - over)
    for pieces in ([data], bytewise(data), [data[:-1], data[-1:]]):
        (event,) = feed(*pieces, limits=limits)
        assert isinstance(event, FramingFault if over > 0 else Request)


def test_a_head_that_never_ends(served: Served) -> None:
    """513 once the limit is reached, as the Via says where to; memory stays below the limit."""
    start = request(length=b"0")[:-2]
    framer = StreamFramer(DEFAULT)
    events: list[Event] = []
    sent = framer.feed(start)
    while not events and len(sent) < 10:
        events = framer.feed(b"X: %b\r\n" % (b"y" * 8000))
        assert len(framer._buffer) <= DEFAULT.message
    (event,) = events
    assert isinstance(event, FramingFault)
    answer = served.server.answer_event(event, served.source, "tcp", TCP)
    assert answer is not None
    assert answer.startswith(b"SIP/2.0 513 Message Too Large\r\n")
    assert framer._buffer == b""


def test_a_line_that_never_ends() -> None:
    """Not even a start-line: nobody to answer."""
    (event,) = feed(*[b"x" * 5000] * 20)
    assert isinstance(event, FramingFault)
    assert event.message is None


def test_nothing_is_taken_for_sip_after_tls_bytes() -> None:
    events = feed(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n" + request())
    assert [type(event) for event in events] == [FramingFault]
    assert isinstance(events[0], FramingFault)
    assert type(events[0].error) is NotSip


# -- a trusted peer's message that is too large ------------------------------------------------


def trusting(*pieces: bytes) -> list[Event]:
    framer = StreamFramer(SMALL)
    framer.passes_over = True
    return [event for piece in pieces for event in framer.feed(piece)]


def large(octets: int, more: bytes = b"") -> bytes:
    """A message of that many octets, all in all."""
    head = (
        b"INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:b@c>\r\n"
        b"To: <sip:a@b>\r\nCall-ID: large\r\nCSeq: 1 INFO\r\n%bContent-Length: %05d\r\n\r\n"
    )
    size = octets - len(head % (more, 0))
    return head % (more, size) + bytes(size)


@given(st.data())
def test_a_trusted_peers_large_message_is_passed_over(data: st.DataObject) -> None:
    """docs/answers.md, "Streams": its head is given with the fault, its octets are no message."""
    octets = data.draw(st.integers(601, 16 * 600))
    stream = request(call_id=b"before") + large(octets) + request(call_id=b"after")
    for pieces in ([stream], data.draw(splits(stream)), bytewise(stream)):
        before, passed, after = trusting(*pieces)
        assert isinstance(before, Request)
        assert isinstance(passed, Request)
        assert isinstance(after, Request)
        assert (before.call_id, passed.call_id, after.call_id) == (b"before", b"large", b"after")
        assert type(passed.fault) is MessageTooLarge
        assert (passed.body, after.fault) == (b"", None)


def test_what_is_passed_over_isnt_kept() -> None:
    """docs/answers.md, "Streams": not in memory; until its end has come it is unfinished."""
    framer = StreamFramer(SMALL)
    framer.passes_over = True
    stream = large(16 * 600)
    for start in range(0, len(stream), 500):
        framer.feed(stream[start : start + 500])
        assert framer.partial is (start + 500 < len(stream))
        assert len(framer._buffer) - framer.position <= 600


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(large(16 * 600 + 1), id="beyond what is passed over"),
        pytest.param(large(700, b"broken line\r\n"), id="a broken line"),
        pytest.param(large(700, b"l: 00420\r\n"), id="two lengths"),
        pytest.param(large(700).replace(b"Content-Length", b"X"), id="no length"),
        pytest.param(large(700).replace(b"SIP/2.0\r\n", b"HTTP/1.1\r\n", 1), id="HTTP"),
        pytest.param(large(700).replace(b"Call-ID", b"X"), id="no Call-ID"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 700\r\n\r\n" + request(), id="a browser"
        ),
    ],
)
def test_what_isnt_well_delimited_ends_a_trusted_stream(stream: bytes) -> None:
    """RFC 3261 §18.3: where the next message begins is known, or the stream is over."""
    (event,) = trusting(stream + request())
    assert isinstance(event, FramingFault)
