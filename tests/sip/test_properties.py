"""What holds for every message: Hypothesis makes them, valid and mutated (strategies.py)."""

from hypothesis import example, given
from hypothesis import strategies as st

from chatredirect.sip import headers
from chatredirect.sip.errors import (
    BadContentLength,
    BareLineBreak,
    RepeatedHeader,
    SipError,
    Unanswerable,
)
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import DEFAULT, Limits
from chatredirect.sip.message import Message, Request, Response, read_mandatory_headers, values
from chatredirect.sip.uri import SipUri, equivalent, parse_uri
from tests.sip.in_memory_server import UDP, Served, read_answer, request, serve
from tests.sip.strategies import addresses, mutated, requests, uris, via_parms

WIDE = Limits(message=2**20, header_line=2**20, headers=1000, via_values=1000, uri=2**20)
SERVED = serve()


def written(message: Message) -> bytes:
    """A message written from its parts alone: names in long form, order as usual."""
    start = (
        b"%b %b %b" % (message.method, message.uri, message.version)
        if isinstance(message, Request)
        else b"SIP/2.0 %d %b" % (message.status, message.reason)
    )
    lines = [start, *(b"Via: " + via for via in message.vias)]
    for name, value in (
        (b"From", message.from_),
        (b"To", message.to),
        (b"Call-ID", message.call_id),
        (b"CSeq", message.cseq),
    ):
        if value is not None:
            lines.append(name + b": " + value)
    if message.content_length is not None:
        lines.append(b"Content-Length: %d" % message.content_length)
    return b"\r\n".join((*lines, b"", message.body))


def parts(message: Message) -> tuple[object, ...]:
    """What two messages have in common if they are the same."""
    kind = (
        (message.method, message.uri, message.version)
        if isinstance(message, Request)
        else (message.status, message.reason)
    )
    return (
        *(kind, message.vias, message.from_, message.to, message.call_id, message.cseq),
        *(message.content_length, message.body, message.fault and type(message.fault)),
    )


# -- valid messages ---------------------------------------------------------------------------


@given(requests())
def test_a_message_written_and_parsed_again_is_the_same(data: bytes) -> None:
    parsed = parse_datagram(data, DEFAULT)
    assert isinstance(parsed, Request)
    assert parsed.fault is None
    assert parts(parse_datagram(written(parsed), WIDE)) == parts(parsed)
    read_mandatory_headers(parsed, headers.read_via(parsed.vias[0]))


@given(requests(), st.integers(100, 699), st.sampled_from([b"", b"OK", b"No \xff", "Нет".encode()]))
def test_the_same_for_responses(data: bytes, status: int, reason: bytes) -> None:
    rest = data.partition(b"\r\n")[2]
    parsed = parse_datagram(b"SIP/2.0 %d %b\r\n%b" % (status, reason, rest), DEFAULT)
    assert isinstance(parsed, Response)
    # §16.7: only of a Content-Length it matters how it is written
    judged = BadContentLength | RepeatedHeader | BareLineBreak  # the last for a NUL as well
    assert parsed.fault is None or isinstance(parsed.fault, judged)
    assert (parsed.status, parsed.reason) == (status, reason)
    if parsed.fault is None:
        assert parts(parse_datagram(written(parsed), WIDE)) == parts(parsed)


@given(requests())
def test_every_header_field_survives(data: bytes) -> None:
    """`values` finds each of them with its octets, whatever they are."""
    parsed = parse_datagram(data, DEFAULT)
    assert values(parsed, b"via") == parsed.vias
    assert values(parsed, b"call-id") == [parsed.call_id]
    assert values(parsed, b"cseq") == [parsed.cseq]
    assert data.startswith(parsed.head)


@given(requests())
def test_a_valid_request_is_never_malformed(data: bytes) -> None:
    """It may be for nobody, but nothing is wrong with it."""
    answered = SERVED.server.answer_datagram(data, SERVED.source, UDP)
    parsed = parse_datagram(data, DEFAULT)
    assert isinstance(parsed, Request)
    if parsed.method in (b"ACK", b"BENOTIFY"):
        assert answered is None
        return
    assert answered is not None
    answer = read_answer(*answered)
    assert answer.status in (200, 302, 404, 480, 481)
    assert answer[b"From"] == parsed.from_
    assert answer[b"Call-ID"] == parsed.call_id
    assert answer[b"CSeq"] == parsed.cseq
    assert answer.all(b"Via")[1:] == parsed.vias[1:]
    assert answer[b"To"].startswith(parsed.to or b"?")
    assert headers.read_tag(answer[b"To"], "To") is not None


@given(uris())
def test_a_uri_is_itself(text: bytes) -> None:
    uri = parse_uri(text)
    assert equivalent(uri, uri)
    assert uri.canonical_key() == parse_uri(_spelled_otherwise(uri)).canonical_key()


def _spelled_otherwise(uri: SipUri) -> bytes:
    """The same contact object: host in capitals, every octet of the user escaped, no parameters."""
    text = uri.scheme.upper() + b":"
    if uri.user is not None:
        text += uri.user if b"%" in uri.user or uri.password is not None else _escaped(uri.user)
        text += b"" if uri.password is None else b":" + uri.password
        text += b"@"
    port = uri.default_port() if uri.port is None else uri.port
    tls = b";transport=tls" if uri.default_port() == 5061 and uri.scheme == b"sip" else b""
    return text + b"%b:%d%b" % (uri.host.upper(), port, tls)


def _escaped(text: bytes) -> bytes:
    return b"".join(b"%%%02X" % octet for octet in text)


@given(via_parms(), via_parms())
def test_a_via_ends_where_the_next_begins(one: bytes, other: bytes) -> None:
    value = one + b" , " + other
    via = headers.read_via(value)
    assert via.readable
    assert value[: via.end].rstrip() == one.rstrip()
    assert headers.read_via(other).readable


@given(addresses())
def test_an_address_is_read(value: bytes) -> None:
    found = headers.read_from_to(value, "To")
    assert found.uri in value
    assert value.rstrip().endswith(found.params)


# -- whatever octets --------------------------------------------------------------------------


@given(st.binary(max_size=2000) | mutated())
@example(b"\r\n\r\n")
@example(b" \r\n\r\n")
@example(request(via=b", ".join([b"SIP/2.0/UDP h"] * 80)))
def test_any_octets_give_a_message_or_a_named_error(data: bytes) -> None:
    try:
        parsed = parse_datagram(data, DEFAULT)
    except SipError as error:
        dropped = error
    else:
        dropped = None
    if dropped is not None:
        assert isinstance(dropped, Unanswerable)
        assert dropped.status is None
        assert str(dropped).isprintable()
        return
    if parsed.fault is not None:
        assert parsed.fault.status is not None
        assert str(parsed.fault).isprintable()
    # a fault is found again; and what is good is the same message once more
    again = parse_datagram(data, DEFAULT)
    assert parts(again) == parts(parsed)
    if parsed.fault is None:
        assert parts(parse_datagram(written(parsed), WIDE)) == parts(parsed)


@given(mutated())
def test_any_octets_are_counted_once(data: bytes) -> None:
    served = serve()
    answered = served.server.answer_datagram(data, served.source, UDP)
    assert sum(served.counters.answers.values()) == (answered is not None)
    assert sum(served.counters.drops.values()) == (answered is None)


def respelled(data: bytes, served: Served) -> tuple[bytes, int] | None:
    return served.server.answer_datagram(data, served.source, UDP)


@given(requests())
def test_a_retransmission_gets_the_same_answer(data: bytes) -> None:
    """From any worker that shares the key: the other server is another object."""
    assert respelled(data, SERVED) == respelled(data, serve())
