"""The whole way of a message without a socket: octets in, octets out, and what was counted.

Answers are read here by a reader of their own, which shares no code with the package: what both
got wrong would never be seen.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from chatredirect.answering.dispatch import ResponseSettings
from chatredirect.answering.request_handler import RequestHandler
from chatredirect.config import EndpointSettings
from chatredirect.dns.resolution import Located, LocatedState
from chatredirect.net.own_names import OwnNames
from chatredirect.net.target import Target
from chatredirect.pools.pool import Pool
from chatredirect.responses.counters import Counters
from chatredirect.sip.framing import StreamFramer
from chatredirect.sip.limits import DEFAULT, Limits
from chatredirect.sip.response import Peer, TagMaker
from tests.endpoints.directories import build_directory

CLIENT = Peer(b"192.0.2.99", 40000)
ENDPOINT = b"sip:ocschat@contoso.com"
CONTACT = b"<sip:ocschat@pcpool.contoso.com>"
RIGHT = b"right"  # stands for the value that fits the rest of a request
SERVER = b"redirect.contoso.com"  # the name that the server itself goes by


def endpoint(sip_address: str, **settings: object) -> EndpointSettings:
    """An endpoint with these settings; its pool is pcpool.contoso.com if nothing else is said."""
    settings.setdefault("pool_fqdn", "pcpool.contoso.com")
    return EndpointSettings(sip_address=sip_address, **settings)  # type: ignore[arg-type]


#: What the server under test serves, if a test doesn't say otherwise.
ENDPOINTS = (
    endpoint("sip:ocschat@contoso.com"),
    endpoint("sip:picky@contoso.com", methods=("INVITE", "SUBSCRIBE")),
    endpoint("sip:udp@contoso.com", transport="udp"),
    endpoint("sip:many@contoso.com", pool_fqdn="many.contoso.com", contact="targets"),
    endpoint("sip:down@contoso.com", pool_fqdn="down.contoso.com"),
)


@dataclass(slots=True)
class Answer:
    """An answer, its values as octets."""

    status: int
    reason: bytes
    fields: list[tuple[bytes, bytes]]
    raw: bytes
    port: int = 0

    def all(self, name: bytes) -> list[bytes]:
        """The values of a header field, in order."""
        return [value for key, value in self.fields if key == name]

    def __getitem__(self, name: bytes) -> bytes:
        """The value of a header field that must be there once."""
        (value,) = self.all(name)
        return value


def read_answer(raw: bytes, port: int = 0) -> Answer:
    """Read an answer as strictly as it should have been written; folds stay in their value."""
    head, end, body = raw.partition(b"\r\n\r\n")
    assert end, raw
    assert body == b"", raw
    lines = re.split(rb"\r\n(?![ \t])", head)
    version, status, reason = lines[0].split(b" ", 2)
    assert version == b"SIP/2.0", raw
    assert 200 <= int(status) < 700, raw
    assert reason.isascii(), raw
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b": ")
        assert colon, raw
        assert name.replace(b"-", b"").isalpha(), raw
        fields.append((name, value))
    answer = Answer(int(status), reason, fields, raw, port)
    assert answer[b"Content-Length"] == b"0", raw
    return answer


@dataclass(frozen=True, slots=True)
class NoWayBack:
    """A return path for messages that get their response at once: nothing is sent later."""

    transport: str

    def flow(self, port: int) -> NoReturn:
        """No flow is needed."""
        raise AssertionError

    def useless(self) -> None:
        """No connection is closed for it."""


UDP, TCP = NoWayBack("udp"), NoWayBack("tcp")


@dataclass(slots=True)
class Served:
    """A server with its counters; `ask` is a datagram, `stream` a connection's octets."""

    server: RequestHandler
    counters: Counters
    limits: Limits = DEFAULT
    source: Peer = field(default_factory=lambda: CLIENT)

    def ask(self, data: bytes) -> Answer | None:
        """Send a datagram; give its answer, None if there is none."""
        answered = self.server.answer_datagram(data, self.source, UDP)
        return None if answered is None else read_answer(*answered)

    def stream(self, *pieces: bytes) -> list[Answer]:
        """Send octets in these pieces; give the answers, in order."""
        framer = StreamFramer(self.limits)
        answers = []
        for piece in pieces:
            for event in framer.feed(piece):
                raw = self.server.answer_event(event, self.source, "tcp", TCP)
                if raw is not None and raw != b"\r\n":
                    answers.append(read_answer(raw))
        return answers

    @property
    def counted(self) -> dict[str, int]:
        """Drops and faults by name."""
        return self.counters.drops | self.counters.faults


def serve(
    endpoints: Iterable[EndpointSettings] = ENDPOINTS,
    limits: Limits = DEFAULT,
    source: Peer = CLIENT,
) -> Served:
    """A server. The pool many.contoso.com has 64 targets, down.contoso.com has none."""
    counters = Counters()
    server = RequestHandler(
        build_directory(endpoints, _pool),
        OwnNames(
            frozenset({b"192.0.2.1", b"[2001:db8::10]", SERVER}),
            frozenset({("udp", "192.0.2.1", 5060)}),
        ),
        ResponseSettings(TagMaker(b"a key for tests"), 30, SERVER, log_requests=False),
        limits,
        counters,
    )
    return Served(server, counters, limits, source)


def _pool(settings: EndpointSettings) -> Pool:
    pool = Pool((settings.pool_fqdn, settings.port, settings.transport), "ipv4")
    targets: tuple[Target, ...] = ()
    if settings.pool_fqdn.startswith("many"):
        targets = tuple(
            Target("tcp", f"192.0.2.{n}", 5060 + n, f"front-end-{n:02}.many.contoso.com", n // 4)
            for n in range(1, 65)
        )
    elif not settings.pool_fqdn.startswith("down"):
        targets = (Target("udp", "192.0.2.20", 5060, settings.pool_fqdn),)
    if targets:
        located = Located(LocatedState.FOUND, targets, "", 3600.0, None, ())
    else:
        located = Located(LocatedState.FAILED, (), "NXDOMAIN", 3600.0, None, ())
    pool.take(located, 0.0, 0.0)
    return pool


def message(start_line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    """A message of its lines; nothing is added but line ends."""
    return b"\r\n".join((start_line, *fields, b"", body))


def request(
    method: bytes = b"INVITE",
    uri: bytes = ENDPOINT,
    *fields: bytes,
    via: bytes | None = b"SIP/2.0/UDP 192.0.2.99:40000;branch=z9hG4bKa1",
    from_: bytes | None = b"<sip:alice@contoso.com>;tag=a1",
    to: bytes | None = b"<sip:ocschat@contoso.com>",
    call_id: bytes | None = b"a84b4c76e66710",
    cseq: bytes | None = RIGHT,
    body: bytes = b"",
    length: bytes | None = RIGHT,
) -> bytes:
    """A request with what every request has; None leaves a header field out.

    `cseq` and `length` are right if they are left out. Further fields come behind.
    """
    lines = []
    if cseq is RIGHT:
        cseq = b"1 " + method
    if length is RIGHT:
        length = b"%d" % len(body)
    for name, value in (
        (b"Via", via),
        (b"From", from_),
        (b"To", to),
        (b"Call-ID", call_id),
        (b"CSeq", cseq),
        (b"Content-Length", length),
    ):
        if value is not None:
            lines.append(name + b": " + value)
    return message(b"%b %b SIP/2.0" % (method, uri), *lines, *fields, body=body)
