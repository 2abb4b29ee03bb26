"""What must hold for whatever octets come.

Each target takes octets and returns what came of them, as something that can be compared; anything
that it raises is a fault of ours.
"""

from collections.abc import Callable, Hashable
from dataclasses import replace
from zlib import crc32

from chatredirect.sip import client_request as client
from chatredirect.sip import headers
from chatredirect.sip.caller import caller_and_client, probe_proof
from chatredirect.sip.client_request import ClientRequest
from chatredirect.sip.dialog import ClientDialog
from chatredirect.sip.errors import SipError
from chatredirect.sip.framing import FramingFault, Ping, StreamFramer, parse_datagram
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import (
    HEAD_END,
    Request,
    Response,
    read_mandatory_headers,
    read_topmost_via,
)
from chatredirect.sip.message import values as values_of
from chatredirect.sip.parser import parse_head, read_plain
from chatredirect.sip.response import Peer
from chatredirect.sip.uri import destination, equivalent, parse_uri, without_maddr
from chatredirect.trace.masking import mask
from tests.fuzz.bodies import bodies
from tests.fuzz.broken import WIDE, Broken
from tests.fuzz.looked_up import looked_up
from tests.fuzz.proxied import proxied
from tests.sip.in_memory_server import TCP, UDP, Answer, Served, read_answer, serve

_SMALL = Limits(message=1500, header_line=300, headers=16, via_values=6, uri=200)
_SOURCES = (
    Peer(b"192.0.2.99", 40000),
    Peer(b"2001:db8::9:1", 5060),
    Peer(b"127.0.0.1", 65535),
)
# every tenth message meets limits that it can reach
_SERVED = tuple(serve(source=source) for source in (*_SOURCES, *_SOURCES, *_SOURCES))
_TIGHT = serve(limits=_SMALL)
_NEVER = (b"ACK ", b"BENOTIFY ", b"SIP/", b"sip/")


def _served_for(data: bytes) -> Served:
    choice = crc32(data) % 10
    return _TIGHT if choice == 9 else _SERVED[choice]


def _counts(served: Served) -> int:
    counters = served.counters
    return sum(counters.answers.values()) + sum(counters.drops.values())


def datagram(data: bytes) -> Hashable:
    """A datagram gets one answer to its source that can be read and doesn't amplify, or none."""
    served = _served_for(data)
    before = _counts(served)
    faults = dict(served.counters.faults)
    drops = dict(served.counters.drops)
    answered = served.server.answer_datagram(data, served.source, UDP)
    if _counts(served) != before + 1:
        raise Broken("not counted once")
    fault = next((k for k, n in served.counters.faults.items() if n != faults.get(k, 0)), None)
    if answered is None:
        why = next((k for k, n in served.counters.drops.items() if n != drops.get(k, 0)), None)
        if why == "would_amplify":
            raise Broken("an answer had to be dropped for its size")
        return (0, why)
    raw, port = answered
    if len(raw) > max(2 * len(data), 1300):
        raise Broken(f"{len(data)} octets are answered with {len(raw)}")
    if data.lstrip(b"\r\n").startswith(_NEVER):
        raise Broken("answered what gets no answer")
    if not 0 < port <= 65535:
        raise Broken(f"answered to port {port}")
    answer = read_answer(raw, port)
    _check_answer(answer, parse_datagram(data, served.limits))
    if len(data) % 16 == 0 and served.server.answer_datagram(data, served.source, UDP) != answered:
        raise Broken("a retransmission got another answer")
    return (answer.status, answer.reason, fault, len(answer.all(b"Contact")) > 1)


def _check_answer(answer: Answer, asked: object) -> None:
    """It repeats what it must, byte for byte, and is a message itself."""
    if not isinstance(asked, Request):
        raise Broken("answered what is no request")
    # a NUL of the request's is repeated; a proxy would drop a response for it
    ours = parse_datagram(answer.raw.replace(b"\0", b"?"), WIDE)
    if not isinstance(ours, Response) or ours.fault is not None:
        raise Broken(f"the answer isn't good: {ours.fault!r} in {answer.raw!r}")
    for name, theirs in (
        (b"From", asked.from_),
        (b"Call-ID", asked.call_id),
        (b"CSeq", asked.cseq),
    ):
        if answer.all(name) != ([] if theirs is None else [theirs]):
            raise Broken(f"{name.decode()} isn't repeated as it was")
    if answer.all(b"Via")[1:] != asked.vias[1:]:
        raise Broken("Vias aren't repeated as they were")
    for to in answer.all(b"To"):
        if asked.to is None or not to.startswith(asked.to):
            raise Broken("To isn't repeated as it was")
    if answer.status in (200, 302, 404, 405, 480):
        headers.read_from_to(answer[b"From"], "From")
        if headers.read_tag(answer[b"To"], "To") is None and answer.status != 481:
            raise Broken("no To tag")


def stream(data: bytes) -> Hashable:
    """A stream's octets give the same events however they are split, and nothing after a fault."""
    limits = _SMALL if crc32(data) % 2 else Limits()
    whole = StreamFramer(limits)
    whole.passes_over = trusted = crc32(data) % 4 > 1
    events = whole.feed(data)
    step = 1 + crc32(data) % 61 + len(data) // 50
    pieces = StreamFramer(limits)
    pieces.passes_over = trusted
    split = []
    for start in range(0, len(data), step):
        split += pieces.feed(data[start : start + step])
        if len(pieces._buffer) > limits.message + step:
            raise Broken("more is kept than may be sent")
    kinds = []
    for one, other in zip(events, split, strict=True):
        if type(one) is not type(other):
            raise Broken(f"split otherwise: {one} and {other}")
        if isinstance(one, FramingFault) and isinstance(other, FramingFault):
            if type(one.error) is not type(other.error):
                raise Broken(f"split otherwise: {one.error} and {other.error}")
            kinds.append(one.error.counter)
        elif isinstance(one, Request | Response) and isinstance(other, Request | Response):
            if (one.head, one.body) != (other.head, other.body):
                raise Broken("split otherwise: other octets")
            kinds.append(type(one).__name__)
    if whole.partial != pieces.partial:
        raise Broken("split otherwise: partial")
    if any(isinstance(event, FramingFault) for event in events[:-1]):
        raise Broken("something came after a fault")
    if (
        events
        and isinstance(events[-1], FramingFault)
        and whole.feed(b"OPTIONS x SIP/2.0" + HEAD_END)
    ):
        raise Broken("something came after a fault")
    served = _served_for(data)
    for event in events:
        raw = served.server.answer_event(event, served.source, "tcp", TCP)
        if raw is None:
            continue
        if isinstance(event, Ping):
            if raw != b"\r\n":
                raise Broken("a ping got something else")
            continue
        answer = read_answer(raw)
        asked = event.message if isinstance(event, FramingFault) else event
        if isinstance(event, FramingFault) and answer.status not in (400, 414, 505, 513):
            raise Broken(f"a framing fault got {answer.status}")
        _check_answer(answer, asked)
        kinds.append(answer.reason.decode())
    return tuple(kinds[:2])


def values(data: bytes) -> Hashable:
    """Readers of values give parts or a SipError; both ways of reading a head give the same."""
    kinds: list[Hashable] = []
    for reader in (parse_uri, headers.read_via, headers.read_cseq, headers.check_call_id):
        kinds.append(_outcome(reader, data))
    kinds.append(_outcome(lambda value: headers.read_tag(value, "To"), data))
    kinds.append(_outcome(lambda value: headers.read_addresses(value, "Contact"), data))
    kinds.append(_outcome(_uri_of_its_own, data))
    kinds.append(_outcome(_where_to, data))
    kinds.append(_outcome(_two_uris, data))
    head = data.partition(HEAD_END)[0]
    kinds.append(_outcome(_fields, head))
    kinds.append(_outcome(_caller, head))
    plain = read_plain(head, Limits())
    if plain is not None and plain != _generally(head):
        raise Broken("the short way of reading gives another request")
    return (*kinds, plain is not None)


def _outcome(reader: Callable[[bytes], object], data: bytes) -> str:
    try:
        return type(reader(data)).__name__
    except SipError as error:
        text = str(error)
        if not text.isprintable() or len(text) > 400:
            raise Broken(f"a fault that can't be shown: {text!r}") from None
        return error.counter


def _uri_of_its_own(data: bytes) -> bytes:
    uri = parse_uri(data)
    key = uri.canonical_key()
    if key != parse_uri(data).canonical_key() or not equivalent(uri, uri):
        raise Broken("a URI isn't itself")
    uri.default_port()
    return key


def _where_to(data: bytes) -> str:
    uri = parse_uri(data)
    leads = destination(uri)
    try:
        without = parse_uri(without_maddr(uri))
    except SipError:
        raise Broken("a URI without its maddr is none") from None
    if destination(without).maddr:
        raise Broken("a URI without its maddr has it still")
    if leads.canonical != destination(parse_uri(data)).canonical or not leads.looked_up:
        raise Broken("a URI leads elsewhere when it is read again, or nowhere")
    try:
        return leads.wanted() or ""
    except ValueError:
        return "nowhere"


def _fields(head: bytes) -> int:
    message = parse_head(head, Limits())
    vias = values_of(message, b"via")
    if message.fault is None and vias != message.vias:
        raise Broken("Vias are found that weren't there, or not those that were")
    return len(vias)


def _caller(head: bytes) -> int:
    message = parse_head(head, Limits())
    if not isinstance(message, Request) or message.from_ is None:
        return 0
    read_mandatory_headers(message, read_topmost_via(message))
    uri, _, agent = caller_and_client(message, message.from_).partition(b"\n")
    proof = probe_proof(head)
    if proof and (len(proof) > 100 or probe_proof(proof) != proof):
        raise Broken("a proof that isn't the field alone")
    if len(agent) > 256 or uri not in message.from_:
        raise Broken("a caller or a client that isn't the message's")
    return len(agent)


def _two_uris(data: bytes) -> bool:
    one, _, other = data.partition(b" ")
    same = equivalent(parse_uri(one), parse_uri(other))
    if same is not equivalent(parse_uri(other), parse_uri(one)):
        raise Broken("one URI is another, but not the other way round")
    return same


def _generally(head: bytes) -> Request:
    request = parse_head(head, Limits())
    if not isinstance(request, Request):
        raise Broken("the short way took a response for a request")
    return replace(
        request,
        mandatory_headers=read_mandatory_headers(request, headers.read_via(request.vias[0])),
    )


_INVITE = ClientRequest(
    b"INVITE",
    b"sip:ocschat@contoso.com",
    b"SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKa1;rport",
    b"<sip:alice@contoso.com>;tag=a1",
    b"<sip:ocschat@contoso.com>",
    b"a84b4c76e66710",
    1,
)


def answered(data: bytes) -> Hashable:
    """Whatever answers our own INVITE, what we send next is a request, and one only."""
    try:
        response = parse_datagram(data, Limits())
    except SipError as error:
        return error.counter
    if not isinstance(response, Response):
        return "request"
    ours = client.answers(response, _INVITE)
    next_ones = [client.ack(_INVITE, response)]
    dialog = ClientDialog.of(_INVITE, response)
    next_ones += [dialog.request(b"ACK", 1, _INVITE.via), dialog.request(b"BYE", 2, _INVITE.via)]
    for sent in next_ones:
        written = sent.write()
        read = parse_datagram(written, WIDE)
        if not isinstance(read, Request) or read.fault is not None:
            raise Broken(f"we would send {written!r}")
        if (read.method, read.call_id) != (sent.method, sent.call_id):
            raise Broken(f"we would send something else: {written!r}")
        fields = written.partition(HEAD_END)[0].count(b"\r\n")
        if fields != 7 + len(sent.routes):
            raise Broken(f"we would send {fields} header fields: {written!r}")
    contacts = client.by_quality(client.addresses(response, "Contact"))
    fault = None if response.fault is None else response.fault.counter
    return (ours, min(len(contacts), 3), min(len(dialog.route_set), 3), fault)


def masked(data: bytes) -> Hashable:
    """A trace shows every octet, or an `x` in its place."""
    shown = mask(data)
    if len(shown) != len(data):
        raise Broken("another length")
    changed = [new for old, new in zip(data, shown, strict=True) if old != new]
    if set(changed) - {ord("x")}:
        raise Broken(f"other octets in {shown!r}")
    return min(len(changed), 40)


TARGETS: dict[str, Callable[[bytes], Hashable]] = {
    "datagram": datagram,
    "stream": stream,
    "values": values,
    "answered": answered,
    "proxied": proxied,
    "looked_up": looked_up,
    "bodies": bodies,
    "masked": masked,
}
