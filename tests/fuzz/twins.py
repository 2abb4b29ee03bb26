"""The compiled codec against its twin in Python: what it reads and writes must be the same.

    python -m tests.fuzz.twins [--messages 10000000] [--seed N]

Exit status 1: something was different. Counted are the messages that both were given, those that
the compiled reader didn't leave to Python, and the answers that both have written.
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
from chatredirect.sip import forwarding, framing, response
from chatredirect.sip.errors import SipError
from chatredirect.sip.framing import Event, StreamFramer
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Message, Request, read_mandatory_headers, read_topmost_via
from chatredirect.sip.response import Peer, TagMaker, write_answer
from tests.fuzz.seeds import WORDS, corpus

LIMITS = (
    Limits(),
    Limits(message=1500, header_line=300, headers=16, via_values=6, uri=200),
    Limits(message=900, header_line=60, headers=9, via_values=2, uri=24),
)
SOURCES = (Peer(b"192.0.2.99", 40000), Peer(b"2001:db8::9:1", 5060), Peer(b"127.0.0.1", 65535))
TAGS = TagMaker(b"secret")
CAPTURES = Path(__file__).parent.parent / "captures"


class Different(AssertionError):
    """The twins differ."""


@dataclass(slots=True)
class Counts:
    """What has been compared so far."""

    messages: int = 0
    read: int = 0
    answers: int = 0
    laid_out: int = 0
    on_streams: int = 0


COUNTS = Counts()


@contextmanager
def in_python() -> Iterator[None]:
    """Within it the twins in Python read and write."""
    before = framing.read_datagram, framing.read_stream, response.compiled_answer
    lay_out, forwarding.compiled_lay_out = forwarding.compiled_lay_out, None
    framing.read_datagram = framing.read_stream = response.compiled_answer = None  # type: ignore[assignment]
    try:
        yield
    finally:
        framing.read_datagram, framing.read_stream, response.compiled_answer = before
        forwarding.compiled_lay_out = lay_out


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
    _laid_out(data)
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
        kind = _answered(read, chosen)
    if chosen & 768:
        return kind
    return (kind, _on_a_stream(data, limits, chosen))


def _laid_out(data: bytes) -> None:
    assert compiled is not None
    head = data.partition(b"\r\n\r\n")[0]
    laid_out = compiled.lay_out(head)
    if laid_out is not None:
        COUNTS.laid_out += 1
        with in_python():
            same(forwarding.HeaderEditor(*laid_out), forwarding.lay_out(head))


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
        b"SIP/2.0 180 Ringing" + request[request.index(b"\r\n") :],
        request * 3,
    ]


def seeds() -> list[bytes]:
    """The corpus, the captures, and what is usual."""
    return [*corpus(), *(path.read_bytes() for path in sorted(CAPTURES.glob("*.sip"))), *usual()]


PIECES = (
    *WORDS, *(bytes([octet]) for octet in range(256)),
    *(b";rport", b";rport=1", b";received=192.0.2.1", b";RPORT", b"; rport", b";tag", b";tag=",
      b";tag=a;tag=b", b";a=b" * 70, b";a" * 64, b"\r\nVia: SIP/2.0/UDP [::1];rport",
      b"\r\nv: SIP/2.0/UDP b", b"Via: a, b", b"9" * 9, b"9" * 10, b"65536", b"65535", b"000001",
      b"\r\nRoute: <sip:a;lr>", b"\r\nmax-FORWARDS \t: 7", b"\r\nProxy-Require\t:a", b"\r\nl:3",
      b"\r\nRecord-Route:<sip:b>"),
)  # fmt: skip


def mutants(seed: int) -> Iterator[bytes]:
    """Messages with one to three pieces put in, exchanged or taken out, without end.

    Most are usual ones with one piece, of which the compiled reader reads about a half.
    """
    rng = random.Random(seed)
    often, seldom = usual(), seeds()
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
        f"{COUNTS.messages:,} messages: {COUNTS.read:,} read, {COUNTS.answers:,} answered and "
        f"{COUNTS.laid_out:,} laid out by both, {COUNTS.on_streams:,} events on streams; "
        "none different"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
