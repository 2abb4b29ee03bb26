"""Lookups without a socket: octets in, octets out, and a clock that the test moves.

The answers are read by the reader of tests/sent_message, which shares no code with the package.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from chatredirect.answering.dispatch import Registrars, ResponseSettings
from chatredirect.answering.request_handler import RequestHandler
from chatredirect.answering.stateful import StatefulModes
from chatredirect.config import EndpointSettings, HostPort
from chatredirect.dns.resolution import Located, LocatedState
from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.lookup.core import LookupCore, LookupSettings
from chatredirect.lookup.driver import LookupDriver
from chatredirect.net.own_names import OwnNames
from chatredirect.net.target import Target
from chatredirect.pools.pool import Pool
from chatredirect.responses.counters import Counters
from chatredirect.sip.framing import PONG, StreamFramer
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.observer import Observing
from chatredirect.sip.response import Peer, TagMaker
from tests.endpoints.directories import build_directory
from tests.recording_flow import RecordingFlow
from tests.sent_message import SentMessage, read

TRANSPORTS = ("udp", "tcp", "tls")
FRONT_END = Peer(b"127.0.0.1", 45154, trusted=True)
STRANGER = Peer(b"192.0.2.99", 45154)


class FixedTags(TagMaker):
    """Gives the tag that the captures have."""

    def __init__(self, tag: bytes) -> None:
        super().__init__(b"")
        self.fixed = tag

    def tag(self, request: object, number: int) -> bytes:
        """Always the same."""
        return self.fixed


def endpoint(address: str = "sip:ocschat@contoso.com", **settings: object) -> EndpointSettings:
    """A lookup endpoint."""
    settings = {"pool_fqdn": "pcpool.contoso.com", "mode": "lookup"} | settings
    return EndpointSettings(sip_address=address, **settings)  # type: ignore[arg-type]


class InMemoryLookups:
    """A server with lookup endpoints, its clock, and one flow to it."""

    def __init__(
        self,
        *endpoints: EndpointSettings,
        transport: str = "tcp",
        tags: TagMaker | None = None,
        branches: Iterable[bytes] | None = None,
        dialogs: int = 1000,
        advertise: HostPort | None = None,
        registrars: dict[str, HostPort] | None = None,
    ) -> None:
        self.now = 1000.0
        self.wakes: list[float] = []
        self.counters = Counters()
        self.pools: dict[object, Pool] = {}
        tags = tags or TagMaker(b"a key for tests")
        made = iter(branches or (b"z9hG4bKours%d" % n for n in count()))
        lookup_settings = LookupSettings(tags, 30, b"redirect", dialogs)
        self.core = LookupCore(lookup_settings, lambda: next(made), self.counters)
        self.observing = Observing()
        driver = LookupDriver(self.core, lambda: self.now, self.wakes.append, self.observing)
        driver.log_requests = False
        self.driver = driver
        settings = endpoints or (endpoint(),)
        lookups = [each for each in settings if each.mode == "lookup"]
        self.directory = build_directory(
            settings,
            lambda each: self.pool(each.pool),
            lambda each: (
                LookupEndpoint.of(each, self.pool, advertise) if each.mode == "lookup" else None
            ),
        )
        self.server = RequestHandler(
            self.directory,
            OwnNames(frozenset({b"127.0.0.1"}), frozenset({("udp", "127.0.0.1", 5060)})),
            ResponseSettings(
                tags,
                30,
                b"redirect",
                log_requests=False,
                stateful=StatefulModes(lookup=driver),
                registrars=Registrars.of(
                    registrars or {}, [each.sip_address.host for each in lookups]
                ),
            ),
            DEFAULT,
            self.counters,
        )
        self.source = FRONT_END
        self.flow = RecordingFlow(transport)
        self.framer = StreamFramer(DEFAULT)

    def pool(self, key: tuple[str, int | None, str | None]) -> Pool:
        """A pool; those whose name begins with `down` have no target."""
        if key not in self.pools:
            self.pools[key] = Pool(key, "ipv4")  # type: ignore[arg-type]
            self.set_usable(key, not key[0].startswith("down"))
        return self.pools[key]

    def set_usable(self, key: tuple[str, int | None, str | None], usable: bool) -> None:
        """Let a pool have a target or none."""
        targets = (Target("tls", "192.0.2.20", 5061, key[0]),) if usable else ()
        state = LocatedState.FOUND if usable else LocatedState.NONE
        located = Located(state, targets, "" if usable else "NXDOMAIN", 3600.0, None, ())
        self.pools[key].take(located, 0.0, 0.0)

    def send(self, data: bytes, flow: RecordingFlow | None = None) -> list[SentMessage]:
        """Send octets, one datagram or a piece of the stream; what goes out at once."""
        flow = flow or self.flow
        before = len(flow.raw)
        if flow.transport == "udp":
            answered = self.server.answer_datagram(data, self.source, flow)
            if answered is not None:
                flow.raw.append(answered[0])
        else:
            for event in self.framer.feed(data):
                answer = self.server.answer_event(event, self.source, flow.transport, flow)
                if answer not in (None, PONG):
                    flow.raw.append(answer)
        return [read(raw) for raw in flow.raw[before:]]

    def pass_time(self, seconds: float) -> list[tuple[float, SentMessage]]:
        """Let time go by; what goes out, and after how many seconds."""
        begun, end = self.now, self.now + seconds
        out = []
        while True:
            due = self.core.next_timer()
            if due is None or due > end:
                break
            assert any(wake <= due for wake in self.wakes), "nobody asked to be woken"
            self.now = max(due, self.now)
            before = len(self.flow.raw)
            self.driver.handle_timers()
            out += [(self.now - begun, read(raw)) for raw in self.flow.raw[before:]]
        self.now = end
        return out

    @property
    def empty(self) -> bool:
        """Whether nothing is kept any more."""
        return not (self.core.dialogs or len(self.core.transactions) or self.core.next_timer())


SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=message 5080 sip null\r\na=accept-types:text/plain\r\n"
)
REQURI = (
    '<xccos ver="1" envid="741776619" xmlns="urn:parlano:xml:ns:xccos">'
    '<cmd id="cmd:requri" seqid="1"><data/></cmd></xccos>'
)


@dataclass
class Client:
    """A client of the lookups: writes what comes next in its dialog, octet by octet."""

    lookups: InMemoryLookups
    name: str = "user1"
    contact: str | None = "<sip:{name}@contoso.com:45154;maddr=127.0.0.1;transport=tcp>"
    branches: bool = True
    to: str = "<sip:ocschat@contoso.com>"
    target: str = "sip:ocschat@contoso.com"
    number: int = 0
    source: str = "127.0.0.1:45154"

    def __post_init__(self) -> None:
        n = next(_numbers)
        self.call_id = f"{n}-{self.name}"
        self.tag = f"f{n}"

    def write(
        self,
        method: str,
        *,
        number: int | None = None,
        more: str = "",
        body: str | bytes = "",
        content_type: str = "text/plain",
        branch: str | None = None,
        contact: str | None = None,
    ) -> bytes:
        """A request; `more` is further header lines, each with its CRLF."""
        if number is None:
            self.number += 1
            number = self.number
        if branch is None:
            branch = f";branch=z9hG4bK{next(_numbers)}" if self.branches else ""
        transport = self.lookups.flow.transport
        octets = body if isinstance(body, bytes) else body.encode()
        if contact:
            more += f"Contact: {contact.format(name=self.name)}\r\n"
        if body:
            more += f"Content-Type: {content_type}\r\n"
        return (
            f"{method} {self.target} SIP/2.0\r\n"
            f"Via: SIP/2.0/{transport} {self.source}{branch}\r\n"
            f"From: <sip:{self.name}@contoso.com>;tag={self.tag};epid=e6019fcb7892\r\n"
            f"To: {self.to}\r\n"
            f"Call-ID: {self.call_id}\r\n"
            f"CSeq: {number} {method}\r\n"
            f"Max-Forwards: 70\r\n{more}"
            f"Content-Length: {len(octets)}\r\n\r\n"
        ).encode() + octets

    def ask(self, method: str, **keys: object) -> list[SentMessage]:
        """Send a request; what comes back at once."""
        return self.lookups.send(self.write(method, **keys))  # type: ignore[arg-type]

    def invite(self, body: str = SDP, **keys: object) -> SentMessage:
        """The INVITE that begins a dialog; its answer."""
        keys = {"contact": self.contact, "content_type": "application/sdp"} | keys
        self.first = self.write("INVITE", body=body, **keys)  # type: ignore[arg-type]
        (answer,) = self.lookups.send(self.first)
        if answer.status == 200:
            self.to = answer["To"]
            self.target = answer["Contact"].partition(">")[0].lstrip("<")
        return answer

    def ack(self, number: int | None = None) -> None:
        """The ACK of the last INVITE's 200."""
        assert not self.ask("ACK", number=number or self.number)

    def begin(self) -> "Client":
        """INVITE and ACK."""
        assert self.invite().status == 200
        self.ack()
        return self

    def accept(self, request: SentMessage, status: str = "200 OK") -> bytes:
        """Our answer to a request of the server's."""
        repeated = ("Via", "From", "To", "Call-ID", "CSeq")
        lines = [f"{name}: {request[name]}\r\n" for name in repeated]
        return f"SIP/2.0 {status}\r\n{''.join(lines)}Content-Length: 0\r\n\r\n".encode()

    def look_up(self) -> SentMessage:
        """INFO with cmd:requri; the INFO with the reply, which is answered."""
        ok, reply = self.ask("INFO", body=REQURI)
        assert ok.kind == "200 INFO"
        assert reply.kind == "INFO"
        assert not self.lookups.send(self.accept(reply))
        return reply

    def hang_up(self) -> None:
        """BYE and its answer."""
        (ok,) = self.ask("BYE")
        assert ok.kind == "200 BYE"


_numbers = count(1)
