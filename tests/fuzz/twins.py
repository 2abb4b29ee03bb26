"""The compiled codec against its twin in Python: what it reads and writes must be the same.

    python -m tests.fuzz.twins [--messages 10000000] [--seed N]

Exit status 1: something was different. Counted are the messages that both were given, those that
the compiled reader didn't leave to Python, and what both have made of them.
"""

import argparse
import random
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from zlib import crc32

from benchmarks.messages import numbered, redirect_exchange
from chatredirect.codec import compiled
from chatredirect.proxy.record_route import LoopDetector, Signature
from chatredirect.sip import caller, codec, framing, message, response
from chatredirect.sip.errors import SipError
from chatredirect.sip.forwarded_head import ForwardedHead
from chatredirect.sip.forwarding import Route, returned
from chatredirect.sip.framing import Event, StreamFramer
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Message, Request, read_mandatory_headers, read_topmost_via
from chatredirect.sip.response import Peer, TagMaker, write_answer
from chatredirect.sip.transaction import matching
from tests.fuzz.seeds import WORDS, corpus

LIMITS = (
    Limits(),
    Limits(message=1500, header_line=300, headers=16, via_values=6, uri=200),
    Limits(message=900, header_line=60, headers=9, via_values=2, uri=24),
)
SOURCES = (Peer(b"192.0.2.99", 40000), Peer(b"2001:db8::9:1", 5060), Peer(b"127.0.0.1", 65535))
TAGS = TagMaker(b"secret")
CAPTURES = Path(__file__).parent.parent / "captures"


#: What is looked up in `sip.codec` whenever it is called.
_BY_NAME = (
    "stamped", "loop_mark", "transaction_key", "branch_key", "tag_of", "keyed_hash", "sign",
    "unsign", "read_forwarded", "write_forwarded", "returned",
)  # fmt: skip
ABOVE = b"\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKours;rport\r\n"
LOOPS = LoopDetector(b"secret")
SIGNATURE = Signature(bytes(range(64)))


class Different(AssertionError):
    """The twins differ."""


@dataclass(slots=True)
class Counts:
    """What has been compared so far."""

    messages: int = 0
    read: int = 0
    answers: int = 0
    forwarded: int = 0
    keys: int = 0
    texts: int = 0
    callers: int = 0
    stamped: int = 0
    on_streams: int = 0


COUNTS = Counts()


@contextmanager
def in_python() -> Iterator[None]:
    """Within it the twins in Python read and write."""
    before = framing.read_datagram, framing.read_stream, response.compiled_answer
    index, message.compiled_index = message.compiled_index, None
    others = {name: getattr(codec, name) for name in _BY_NAME}
    for name in _BY_NAME:
        setattr(codec, name, None)
    caller_of, caller.compiled = caller.compiled, None
    framing.read_datagram = framing.read_stream = response.compiled_answer = None  # type: ignore[assignment]
    try:
        yield
    finally:
        framing.read_datagram, framing.read_stream, response.compiled_answer = before
        message.compiled_index = index
        for name, function in others.items():
            setattr(codec, name, function)
        caller.compiled = caller_of


def parts(thing: object) -> Hashable:
    """A message, an event or a part of one, as something that knows its types."""
    if isinstance(thing, Request) and thing.mandatory_headers is None:
        try:
            thing.mandatory_headers = read_mandatory_headers(thing, read_topmost_via(thing))
        except SipError:
            thing.mandatory_headers = None
    if isinstance(thing, SipError):
        return (type(thing), str(thing), thing.offending)
    if isinstance(thing, list | tuple):
        return (type(thing), *map(parts, thing))
    if hasattr(thing, "__dataclass_fields__"):
        return (type(thing), *(parts(getattr(thing, each.name)) for each in fields(thing)))  # type: ignore[arg-type]
    return (type(thing), thing)  # type: ignore[return-value]


def same(one: object, other: object) -> None:
    """Hold what the two have given against each other; faults are never equal, types may be."""
    if (one != other or not COUNTS.messages % 8) and parts(one) != parts(other):
        raise Different(f"compiled: {one}\nin Python: {other}")


def twins(data: bytes) -> Hashable:
    """A message read from a datagram and from a stream, and its answer, by both."""
    assert compiled is not None
    COUNTS.messages += 1
    chosen = crc32(data)
    limits = LIMITS[chosen % len(LIMITS)]
    read = compiled.read_datagram(data, limits)
    _forwarded(data, chosen)
    _indexed(data)
    if not chosen & 3840:
        _signed(data, chosen)
    kind: Hashable = None
    if read is not None:
        COUNTS.read += 1
        with in_python():
            other = framing.parse_datagram(data, limits)
        if (
            isinstance(other, Request) and other.mandatory_headers is None
        ):  # it is read later in Python
            other.mandatory_headers = read_mandatory_headers(other, read_topmost_via(other))
        same(read, other)
        _keys(read)
        kind = _answered(read, chosen)
        _caller_of(read)
        _taken_on(read, chosen)
    if chosen & 768:
        return kind
    return (kind, _on_a_stream(data, limits, chosen))


def _indexed(data: bytes) -> None:
    """The index of any head; a folded one has none."""
    assert compiled is not None
    head = data.partition(b"\r\n\r\n")[0]
    index = compiled.index(head)
    assert (index is None) == (b"\r\n " in head or b"\r\n\t" in head)
    if index is not None:
        with in_python():
            other = message.index_of(head)
        if index != other or list(index) != list(other):
            raise Different(f"compiled: {index}\nin Python: {other}")


def _forwarded(data: bytes, chosen: int) -> None:
    """What a proxy reads of a request's head and what it writes of it; the body may be anything."""
    assert compiled is not None
    head = data.partition(b"\r\n\r\n")[0]
    if compiled.read_forwarded(head) is None:
        return
    COUNTS.forwarded += 1
    kept, body = chosen % 3, data[: chosen % 1000]
    one = _forward(head, kept, body)
    with in_python():
        same(one, _forward(head, kept, body))


def _forward(head: bytes, kept: int, body: bytes) -> object:
    read = ForwardedHead(head)
    routes, hops = read.route_set(), read.hops()
    going = routes[max(len(routes) - kept, 0) :]
    written = None if hops == 0 else read.rest(b"SIP/2.0/UDP a;received=b", going, body)
    return (hops, read.required(), routes, read.recorded(), written)


def _keys(message: Message) -> None:
    """Keys and tags of a message that both have read, and a response without its Via."""
    one = _keys_of(message)
    with in_python():
        same(one, _keys_of(message))
    COUNTS.keys += 1


def _keys_of(message: Message) -> list[bytes | None]:
    assert message.from_ is not None
    assert message.to is not None
    tags: list[bytes | None] = [
        matching.tag_of(message.from_, "From"), matching.tag_of(message.to, "To")
    ]  # fmt: skip
    if not isinstance(message, Request):
        try:
            without_via = returned(message)
        except SipError:
            without_via = None
        return [*tags, matching.branch_key(message), without_via]
    headers = message.mandatory_headers
    assert headers is not None
    return [
        *tags,
        matching.server_key(message, headers),
        matching.cancelled_key(message, headers),
        matching.merged_key(message, headers),
    ]


def _signed(data: bytes, chosen: int) -> None:
    """Any octets signed, and any text, or a signed one with an octet exchanged, read."""
    said, call_id, tag = data[chosen % 50 : chosen % 140], data[: chosen % 60], data[: chosen % 9]
    text = SIGNATURE.sign(said, call_id, tag)
    place, octet = chosen % len(text), bytes([chosen >> 8 & 255])
    wrong = text[:place] + octet + text[place + 1 :]
    texts = (text, wrong, text[: chosen % 70], data[: chosen % 90])
    one = [SIGNATURE.read(each, call_id, tag, b"x") for each in texts]
    one.append(SIGNATURE.read(text, call_id, b"x", tag))
    with in_python():
        same(text, SIGNATURE.sign(said, call_id, tag))
        other = [SIGNATURE.read(each, call_id, tag, b"x") for each in texts]
        other.append(SIGNATURE.read(text, call_id, b"x", tag))
    same(one, other)
    if one[0] != (said, True):
        raise Different(f"{one[0]} instead of what was signed")
    COUNTS.texts += 1


def _answered(message: Message, chosen: int) -> Hashable:
    if not isinstance(message, Request):
        return message.status // 100
    assert compiled is not None
    assert message.mandatory_headers is not None
    source = SOURCES[chosen % len(SOURCES)]
    tags = TAGS if chosen & 64 else None
    line, contact = b"SIP/2.0 302 Moved Temporarily", b"Contact: <sip:a@b>\r\n"
    key = None if tags is None else tags.key
    answer = compiled.answer(message, source.host, source.port, line, contact, key)
    if answer is not None:
        COUNTS.answers += 1
        via, number = message.mandatory_headers.via, message.mandatory_headers.number
        with in_python():
            same(answer, write_answer(message, via, number, source, line, contact, tags))
    return (message.method, answer is None, len(message.vias), message.mandatory_headers.in_dialog)


def _caller_of(message: Message) -> None:
    if not isinstance(message, Request) or message.mandatory_headers is None:
        return
    assert compiled is not None
    from_ = message.mandatory_headers.from_
    found = compiled.caller_and_client(from_, message.head)
    if found is not None:
        COUNTS.callers += 1
        with in_python():
            same(found, caller.caller_and_client(message, from_))


def _taken_on(message: Message, chosen: int) -> None:
    """The stamped Via and the loop mark of a request that a proxy forwards."""
    if not isinstance(message, Request):
        return
    assert compiled is not None
    headers = message.mandatory_headers
    assert headers is not None
    source = SOURCES[chosen % len(SOURCES)]
    routes = [Route(b"sip:a", each, 0) for each in message.vias[: chosen & 3]]
    if compiled.stamped(message, headers, source.host, source.port) is not None:
        COUNTS.stamped += 1
    one = (response.stamped(message, headers, source), LOOPS.mark(message, routes))
    with in_python():
        same(one, (response.stamped(message, headers, source), LOOPS.mark(message, routes)))


def _on_a_stream(data: bytes, limits: Limits, chosen: int) -> Hashable:
    pieces = [data]
    if chosen & 128:
        where = chosen % (len(data) + 1)
        pieces = [data[:where], data[where:]]
    one = _events(pieces, limits)
    with in_python():
        other = _events(pieces, limits)
    if len(one) != len(other):
        raise Different(f"{one}\n{other}")
    for mine, its in zip(one, other, strict=True):
        parts(mine), parts(its)  # mandatory headers
        same(mine, its)
    COUNTS.on_streams += len(one)
    return (len(one), type(one[-1]).__name__ if one else None)


def _events(pieces: list[bytes], limits: Limits) -> list[Event]:
    framer = StreamFramer(limits)
    return [event for piece in pieces for event in framer.feed(piece)]


def usual() -> list[bytes]:
    """What clients and servers usually send."""
    request = numbered(redirect_exchange("udp", "127.0.0.1:40000").request)
    return [
        request,
        request.replace(b"\r\nFrom:", b"\r\nVia: SIP/2.0/TCP a:5061;branch=z9hG4bKa\r\nFrom:", 1),
        request.replace(b"INVITE", b"BYE").replace(b"\r\nFrom", b";tag=b\r\nFrom", 1),
        b"SIP/2.0 200 OK" + request[request.index(b"\r\n") :],
        b"SIP/2.0 180 Ringing" + request[request.index(b"\r\n") :].replace(b"\r\n", ABOVE, 1),
        request * 3,
    ]


def within() -> bytes:
    """A request within a dialog that goes through a proxy."""
    fields = (
        b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKaB;x",
        b"Max-Forwards: 70",
        b"Route: <sip:192.0.2.9;lr;cr-flow=abc>",
        b"Route: <sip:192.0.2.8;lr>",
        b"Record-Route: <sip:192.0.2.1;lr>",
        b"From: <sip:a@b>;x=y;tag=A1",
        b"To: <sip:c@d>;tag=b2",
        b"Call-ID: c@d",
        b"CSeq: 2 INFO",
        b"Content-Type: a/b",
        b"Content-Length: 4",
    )
    return b"\r\n".join((b"INFO sip:room@192.0.2.20:5070 SIP/2.0", *fields, b"\r\nbody"))


def seeds() -> list[bytes]:
    """The corpus, the captures, and what is usual."""
    captures = (path.read_bytes() for path in sorted(CAPTURES.glob("*.sip")))
    return [*corpus(), *captures, *usual(), within()]


PIECES = (
    *WORDS, *(bytes([octet]) for octet in range(256)),
    *(b";rport", b";rport=1", b";received=192.0.2.1", b";RPORT", b"; rport", b";tag", b";tag=",
      b";tag=a;tag=b", b";a=b" * 70, b";a" * 64, b"\r\nVia: SIP/2.0/UDP [::1];rport",
      b"\r\nv: SIP/2.0/UDP b", b"Via: a, b", b"9" * 9, b"9" * 10, b"65536", b"65535", b"000001",
      b"\r\nRoute: <sip:a;lr>", b"\r\nmax-FORWARDS \t: 7", b"\r\nProxy-Require\t:a", b"\r\nl:3",
      b"\r\nRecord-Route:<sip:b>", b"\r\nuser-AGENT \t: \x7fa", b"\r\nUser-Agent: \t b",
      b"User-Agent:", b"\r\nUser-Agent: " + b"z" * 300),
)  # fmt: skip


def mutants(seed: int) -> Iterator[bytes]:
    """Messages with one to three pieces put in, exchanged or taken out, without end.

    Most are usual ones with one piece, of which the compiled reader reads about a half.
    """
    rng = random.Random(seed)
    often, seldom = [*usual(), within()], seeds()
    draw = rng.random
    while True:
        pool = seldom if draw() < 0.2 else often
        data = pool[int(draw() * len(pool))]
        for _ in range(1 + int(draw() * draw() * 3)):
            place = int(draw() * (len(data) + 1))
            length = int(draw() * draw() * 12)
            piece = PIECES[int(draw() * len(PIECES))] if draw() < 0.8 else b""
            data = data[:place] + piece + data[place + length :]
        yield data


def run(messages: int, seed: int) -> None:
    """Compare so many mutants, and the seeds.

    Raises:
        Different: at the first that isn't the same.
    """
    for data in seeds():
        twins(data)
    for _, data in zip(range(messages), mutants(seed), strict=False):
        try:
            twins(data)
        except Exception as error:
            raise Different(f"{error}\nfor {data!r}") from error


def main() -> int:
    """Compare, and say what was compared."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.twins")
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    asked = parser.parse_args()
    if compiled is None:
        print("the compiled codec isn't in use", file=sys.stderr)
        return 2
    print(f"seed {asked.seed}", flush=True)
    try:
        run(asked.messages, asked.seed)
    except Different as different:
        print(different, file=sys.stderr)
        return 1
    print(
        f"{COUNTS.messages:,} messages: {COUNTS.read:,} read, {COUNTS.answers:,} answered, "
        f"{COUNTS.callers:,} callers found, {COUNTS.stamped:,} stamped and "
        f"{COUNTS.forwarded:,} forwarded by both, {COUNTS.keys:,} with keys, {COUNTS.texts:,} "
        f"signed texts, {COUNTS.on_streams:,} events on streams; none different"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
