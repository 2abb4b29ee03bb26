"""Whole hostile messages: what each costs from its octets to what is sent for it.

Every kind of message that comes in, in every mode, as a datagram and on a stream: it gets a header
field that is as long as one may be, far longer, or there as often as it may be, or all of them are
long at once, filled with one short piece repeated. All combinations are tried, and the slowest
again. Bodies are left out: `hostile_bodies` has them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from benchmarks.report import print_table
from chatredirect.sip.framing import StreamFramer
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.message import HEAD_END
from tests.lookup.in_memory_lookups import REQURI, InMemoryLookups
from tests.lookup.in_memory_lookups import Client as LookupClient
from tests.proxy.in_memory_proxy import FRONT_END, Caller, InMemoryProxy, response
from tests.proxy.in_memory_proxy import targets as proxy_targets
from tests.sip.in_memory_server import TCP, UDP, serve

SLOWEST = 8  # of each kind, tried again
_TRIES = 5

#: What takes a message, and one that it takes.
Ready = tuple[Callable[[bytes], object], bytes]

FIELDS: dict[bytes, bytes] = {  # with a beginning that fits
    b"Via": b"SIP/2.0/UDP 192.0.2.99",
    b"From": b"<sip:alice@contoso.com>",
    b"To": b"<sip:ocschat@contoso.com>",
    b"Call-ID": b"a84b4c76e66710",
    b"CSeq": b"1",
    b"Contact": b"<sip:alice@192.0.2.99>",
    b"Route": b"<sip:127.0.0.1;lr>",
    b"Record-Route": b"<sip:192.0.2.99;lr>",
    b"Max-Forwards": b"7",
    b"Require": b"a",
    b"Proxy-Require": b"a",
    b"Supported": b"a",
    b"Content-Type": b"application/sdp",
    b"Content-Disposition": b"session",
    b"Content-Length": b"0",
    b"Timestamp": b"1",
    b"Authorization": b"Digest a=b",
    b"X": b"y",
    b"\t unusual Name": b"y",
}
PIECES = (
    *(b"a", b"a ", b"a,", b";a", b'; a = "b"', b";rport", b";tag=x", b'"', b'\\"', b'""', b"%41"),
    *(b"<", b",<a:b>", b",<sip:127.0.0.1;lr>;a;b", b"&a=b", b"\xff", b"\r\n ", b"\r\n\t;a", b"\n"),
    *(b", SIP/2.0/UDP a", b",<a:b>" + b";a" * 64, b",<sip:127.0.0.1;lr" + b";a" * 60 + b">"),
)
#: Octets of a field, and how often it is there; whether what stood there stays before it.
SHAPES = (
    *((8100, 1, False), (8100, 1, True), (4000, 1, False), (3800, 1, True)),
    *((64000, 1, False), (480, 120, False), (480, 120, True), (0, 9000, False), (0, 9000, True)),
)
EVERYWHERE = b""
"""Stands for all fields at once, each with its share of the octets."""
REQUEST_URI = b"sip:ocschat@contoso.com"
_MOST_URI = 2000


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of message, in one mode and on one carrier."""

    name: str
    ready: Callable[[], Ready]


@dataclass(frozen=True, slots=True)
class Costly:
    """The worst message of a kind."""

    kind: Kind
    ordinary: float
    """Seconds for a message of that kind as people's software sends it."""
    seconds: float
    what: str
    octets: int


def worst_messages(fields: Sequence[bytes] = tuple(FIELDS)) -> list[Costly]:
    """The slowest message of every kind, with changes to these fields."""
    return [worst_message(kind, fields) for kind in kinds()]


def too_costly(found: Sequence[Costly], yardstick: float, most: float) -> list[str]:
    """What costs more than `most` ordinary requests, in words."""
    return [
        f"{each.kind.name}: {each.seconds / yardstick:.0f} times a redirect, for {each.what}"
        for each in found
        if each.seconds > most * yardstick
    ]


def print_messages(found: Sequence[Costly], yardstick: float, markdown: bool) -> None:
    """The table."""
    print_table(
        ("", "ordinary µs", "worst µs", "of a redirect", "octets", "worst message found"),
        [
            (
                each.kind.name,
                f"{each.ordinary * 1e6:,.0f}",
                f"{each.seconds * 1e6:,.0f}",
                f"{each.seconds / yardstick:.1f}",
                f"{each.octets:,}",
                each.what,
            )
            for each in found
        ],
        markdown,
    )


def redirect_seconds() -> float:
    """The yardstick: an ordinary request that is redirected, from datagram to answer."""
    data = _INVITE
    served = serve()
    took = []
    for _ in range(300):
        began = time.thread_time()
        served.server.answer_datagram(data, served.source, UDP)
        took.append(time.thread_time() - began)
    return sorted(took)[len(took) // 2]


def worst_message(kind: Kind, fields: Sequence[bytes]) -> Costly:
    """The slowest message of one kind, with changes to these fields."""
    tried = sorted(
        (
            (_once(kind, name, piece, shape), name, piece, shape)
            for name, piece, shape in product((EVERYWHERE, *fields), PIECES, SHAPES)
        ),
        key=lambda each: each[0],
        reverse=True,
    )
    again = [
        (min(_once(kind, *rest) for _ in range(_TRIES)), *rest) for _, *rest in tried[:SLOWEST]
    ]
    seconds, name, piece, (octets, times, stays) = max(again, key=lambda each: each[0])
    seconds = min(
        seconds, *(_once(kind, name, piece, (octets, times, stays)) for _ in range(2 * _TRIES))
    )
    ordinary = min(_take(*kind.ready()) for _ in range(_TRIES))
    data = changed(kind.ready()[1], name, piece, octets, times, stays)
    what = f"{(name or b'all').decode()}: {piece[:20]!r} … {octets:,} octets, {times} times"
    return Costly(kind, ordinary, seconds, what, len(data))


def _once(kind: Kind, name: bytes, piece: bytes, shape: tuple[int, int, bool]) -> float:
    take, data = kind.ready()
    return _take(take, changed(data, name, piece, *shape))


def _take(take: Callable[[bytes], object], data: bytes) -> float:
    began = time.thread_time()
    take(data)
    return time.thread_time() - began


def changed(data: bytes, name: bytes, piece: bytes, octets: int, times: int, stays: bool) -> bytes:
    """A message with another value of a field at its old place, or at the end if it had none."""
    head, _, body = data.partition(HEAD_END)
    most = DEFAULT.message - len(body) - len(HEAD_END)
    if name == EVERYWHERE:
        for each in FIELDS:
            head = _exchanged(head, each, piece, most // len(FIELDS) // times - 40, times, stays)
        method, _, rest = head.partition(b" ")
        uri = REQUEST_URI + piece * (_MOST_URI // len(piece))
        head = b"%b %b" % (method, rest.replace(REQUEST_URI, uri, 1))
    else:
        head = _exchanged(head, name, piece, octets, times, stays)
    return head[:most] + HEAD_END + body


def _exchanged(
    head: bytes, name: bytes, piece: bytes, octets: int, times: int, stays: bool
) -> bytes:
    start_line, *lines = head.split(b"\r\n")
    value = FIELDS[name]
    value += piece * (max(octets - len(value), len(piece)) // len(piece))
    field = b"%b: %b" % (name, value)
    fields = [field] * min(times, 1 + DEFAULT.message // len(field))  # what is more is cut off
    own = [line for line in lines if line.startswith(name + b":")]
    if stays or (start_line.startswith(b"SIP/") and name == b"Via"):
        fields = [*own, *fields]  # a response without our Via is nobody's
    at = lines.index(own[0]) if own else len(lines)
    lines = [line for line in lines if line not in own]
    lines[at:at] = fields
    return b"\r\n".join((start_line, *lines))


# -- the kinds --------------------------------------------------------------------------------


_LOOKED_UP = ("INVITE", "OPTIONS", "CANCEL", "INFO", "UPDATE", "ACK", "BYE", "response")
_PROXIED = ("INVITE", "MESSAGE", "CANCEL", "ACK", "BENOTIFY", "INFO", "INFO back", "response")


def kinds() -> Iterator[Kind]:
    """All of them."""
    for method in (b"INVITE", b"OPTIONS", b"REGISTER", b"CANCEL", b"ACK", b"BYE"):
        for carrier in ("datagram", "stream"):
            name = f"redirect, {method.decode()}, {carrier}"
            yield Kind(name, lambda m=method, c=carrier: _redirected(m, c))  # type: ignore[misc]
    yield Kind("redirect, response, datagram", lambda: _redirected(b"", "datagram"))
    for transport in ("udp", "tcp"):
        for method in _LOOKED_UP:
            name = f"lookup, {method}, {transport}"
            yield Kind(name, lambda m=method, t=transport: _looked_up(m, t))  # type: ignore[misc]
        for method in _PROXIED:
            name = f"proxy, {method}, {transport}"
            yield Kind(name, lambda m=method, t=transport: _proxied(m, t))  # type: ignore[misc]


_INVITE = (
    b"INVITE sip:ocschat@contoso.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.99:40000;branch=z9hG4bK776asdhds;rport\r\n"
    b'From: "Alice" <sip:alice@contoso.com>;tag=1928301774\r\nTo: <sip:ocschat@contoso.com>\r\n'
    b"Call-ID: a84b4c76e66710\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
    b"Contact: <sip:alice@192.0.2.99:40000>\r\nUser-Agent: softphone/1.0\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def _redirected(method: bytes, carrier: str) -> Ready:
    served = serve()
    data = _INVITE.replace(b"INVITE", method)
    if not method:
        data = b"SIP/2.0 200 OK" + _INVITE[_INVITE.index(b"\r\n") :]
    if carrier == "datagram":
        return lambda data: served.server.answer_datagram(data, served.source, UDP), data
    framer = StreamFramer(DEFAULT)

    def take(data: bytes) -> None:
        for event in framer.feed(data):
            served.server.answer_event(event, served.source, "tcp", TCP)

    return take, data


def _looked_up(method: str, transport: str) -> Ready:
    lookups = InMemoryLookups(transport=transport)
    client = LookupClient(lookups)
    framer = StreamFramer(DEFAULT)

    def take(data: bytes) -> None:
        if transport == "udp":
            lookups.server.answer_datagram(data, lookups.source, lookups.flow)
            return
        for event in framer.feed(data):
            lookups.server.answer_event(event, lookups.source, transport, lookups.flow)

    if method in ("INVITE", "OPTIONS"):
        return take, client.write(method, contact=client.contact)
    client.begin()
    if method == "response":
        _, reply = client.ask("INFO", body=REQURI)
        return take, client.accept(reply)
    number = client.number if method in ("ACK", "CANCEL") else None
    return take, client.write(method, number=number, contact=client.contact)


def _proxied(method: str, transport: str) -> Ready:
    proxy = InMemoryProxy(*proxy_targets(transport=transport), transport=transport)
    caller = Caller(proxy, transport.upper())

    def take(data: bytes) -> None:
        proxy.deliver(data, proxy.client, FRONT_END)

    def take_from_pool(data: bytes) -> None:
        proxy.deliver(data, proxy.target())

    if method == "response":
        return take_from_pool, response(caller.invite(), 200)
    if method == "CANCEL":
        caller.invite()
        return take, caller.write(method, number=caller.number, branch=caller.last_branch)
    if method in ("INVITE", "MESSAGE"):
        return take, caller.write(method)
    called = caller.begin()
    if method == "INFO back":
        return take_from_pool, called.write("INFO")
    number = caller.number if method == "ACK" else None
    return take, caller.write(method, number=number)
