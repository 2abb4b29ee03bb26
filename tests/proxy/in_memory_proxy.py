"""A proxy without a socket and without a clock: octets in, octets out, time when told to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from chatredirect.answering.dispatch import ResponseSettings
from chatredirect.answering.request_handler import RequestHandler
from chatredirect.answering.stateful import StatefulModes
from chatredirect.config import EndpointSettings, HostPort, ListenUrl
from chatredirect.dns.resolution import Located, LocatedState
from chatredirect.net.own_names import own_names
from chatredirect.net.target import Target
from chatredirect.pools.pool import Pool
from chatredirect.proxy.core import ProxyCore
from chatredirect.proxy.driver import ProxyDriver
from chatredirect.proxy.record_route import LoopDetector, RecordRouteCodec
from chatredirect.proxy.settings import ProxySettings
from chatredirect.responses.counters import Counters
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.observer import Observing
from chatredirect.sip.response import Peer, TagMaker
from chatredirect.sip.uri import SipUri
from tests.endpoints.directories import build_directory
from tests.recording_flow import RecordingFlow
from tests.sent_message import SentMessage

KEY = b"a key for tests"
FRONT_END = Peer(b"127.0.0.1", 45154, trusted=True)
STRANGER = Peer(b"192.0.2.99", 5060)
ENDPOINT = "sip:ocschat@contoso.com"
_numbers = count(1)


class Ways:
    """Ways to targets: those that are up are there at once, unless they have to be dialled."""

    def __init__(self) -> None:
        self.flows: dict[object, RecordingFlow] = {}
        self.wanted: list[
            tuple[Target, Callable[[RecordingFlow], None], Callable[[str], None]]
        ] = []
        self.by_dialling: set[str] = set()  # transports

    def of(self, target: Target) -> RecordingFlow:
        """The flow to a target, there or not."""
        flow = self.flows.get(target.key)
        if flow is None or flow.gone:
            flow = RecordingFlow(target.transport, peer_host=target.address, peer_port=target.port)
            self.flows[target.key] = flow
        return flow

    def reach(self, target: Target) -> RecordingFlow | None:
        """The way, if it is there."""
        if target.transport in self.by_dialling:
            flow = self.flows.get(target.key)
            return flow if flow is not None and not flow.gone else None
        return self.of(target)

    def dial(
        self,
        target: Target,
        on_flow: Callable[[RecordingFlow], None],
        on_failure: Callable[[str], None],
    ) -> None:
        """Wait until the test says what comes of it."""
        self.wanted.append((target, on_flow, on_failure))

    def connect(self) -> RecordingFlow:
        """The oldest attempt has a connection."""
        target, on_flow, _ = self.wanted.pop(0)
        flow = self.of(target)
        on_flow(flow)
        return flow

    def fail(self, why: str = "connection refused") -> None:
        """The oldest attempt has none."""
        self.wanted.pop(0)[2](why)


class Names:
    """Names of flows: numbers. No two instances have a name of a connection in common."""

    def __init__(self) -> None:
        self.flows: list[RecordingFlow] = []

    def name(self, flow: RecordingFlow) -> bytes:
        """Its place in the list."""
        if flow not in self.flows:
            self.flows.append(flow)
        return b"%d" % self.flows.index(flow)

    def find(self, name: bytes) -> RecordingFlow | None:
        """The flow, unless it is gone."""
        number = int(name)
        if number >= len(self.flows) or self.flows[number].gone:
            return None
        return self.flows[number]


def targets(count: int = 1, transport: str = "udp", address: str = "192.0.2.2") -> list[Target]:
    """Targets of one pool, in the order in which they are tried."""
    return [
        Target(
            transport,  # type: ignore[arg-type]
            f"{address}{n}",
            5070,
            f"pc{n}.contoso.com",
            priority=n,
            domain="pcpool.contoso.com",
        )
        for n in range(count)
    ]


class InMemoryProxy:
    """A server with proxy endpoints, its clock, a client's flow and some targets."""

    def __init__(
        self,
        *pool: Target,
        transport: str = "udp",
        advertise: HostPort | None = None,
        record_route_host: HostPort | None = None,
        key: bytes = KEY,
        settings: dict[str, object] | None = None,
        **rules: object,
    ) -> None:
        self.now = 1000.0
        self.epoch = 1_800_000_000.0
        self.wakes: list[float] = []
        self.counters = Counters()
        self.targets = list(pool or targets())
        self.ways, self.names = Ways(), Names()
        self.sought: list[tuple[SipUri, Callable[[tuple[Target, ...]], None]]] = []
        self.endpoint = EndpointSettings(
            sip_address=ENDPOINT,  # type: ignore[arg-type]
            pool_fqdn="pcpool.contoso.com",
            mode="proxy",
            **(settings or {}),  # type: ignore[arg-type]
        )
        self.pool = Pool(self.endpoint.pool, "ipv4")
        self.set_targets(self.targets)
        tags = TagMaker(key)
        directory = build_directory([self.endpoint], lambda each: self.pool)
        listen = [ListenUrl("udp", "127.0.0.1", 5060), ListenUrl("udp", "127.0.0.1", 5090)]
        names = own_names(listen, filter(None, (advertise, record_route_host)), [])
        self.rules = ProxySettings(
            directory=directory,
            names=names,
            advertise=advertise,
            record_route_host=record_route_host or advertise,
            tags=tags,
            record_route=RecordRouteCodec(key),
            loops=LoopDetector(key),
            follows=lambda target: target.address.startswith("192.0.2."),
            is_target=lambda host: any(host.decode() == each.address for each in self.targets),
            **{"pools": {self.pool.key[0]: {self.pool.key}}, **rules},  # type: ignore[arg-type]
        )
        self.core = ProxyCore(self.rules, self.ways, self.names, partial(next, count(1)))
        self.core.go_by(self.rules, self.now)
        observing = Observing()
        self.driver = ProxyDriver(
            self.core,
            self.counters,
            lambda: self.now,
            self.wakes.append,
            lambda uri, found: self.sought.append((uri, found)),
            observing,
            lambda: self.epoch,
        )
        self.driver.log_requests = False
        answering = ResponseSettings(
            tags, 30, b"proxy", log_requests=False, stateful=StatefulModes(proxy=self.driver)
        )
        self.server = RequestHandler(directory, names, answering, DEFAULT, self.counters)
        self.client = RecordingFlow(transport)

    def set_targets(self, targets: list[Target]) -> None:
        """Let the pool have these targets."""
        state = LocatedState.FOUND if targets else LocatedState.NONE
        located = Located(state, tuple(targets), "" if targets else "NXDOMAIN", 3600.0, None, ())
        self.pool.take(located, 0.0, 0.0)

    def target(self, number: int = 0) -> RecordingFlow:
        """The flow to a target."""
        return self.ways.of(self.targets[number])

    def send(
        self, data: bytes, flow: RecordingFlow | None = None, source: Peer | None = FRONT_END
    ) -> list[SentMessage]:
        """Send octets over a flow, the client's unless another is given; what comes back on it."""
        flow = flow or self.client
        self.deliver(data, flow, source)
        return flow.take()

    def deliver(self, data: bytes, flow: RecordingFlow, source: Peer | None = None) -> None:
        """Let octets come over a flow.

        Without a source they come from the flow's own peer, who is a target and not trusted.
        """
        if source is None:
            source = Peer(flow.peer_host.encode(), flow.peer_port)
        if flow.transport == "udp":
            answered = self.server.answer_datagram(data, source, flow)
            if answered is not None:
                flow.raw.append(answered[0])
        else:
            for event in flow.framer.feed(data):
                answer = self.server.answer_event(event, source, flow.transport, flow)
                if answer is not None:
                    flow.raw.append(answer)

    def answer(
        self, number: int, request: SentMessage, status: int, **keys: str
    ) -> list[SentMessage]:
        """A target answers; what the client gets."""
        self.deliver(response(request, status, **keys), self.target(number))
        return self.client.take()

    def pass_time(self, seconds: float, *flows: RecordingFlow) -> list[tuple[float, SentMessage]]:
        """Let time go by; what goes out over the flows, and after how many seconds."""
        begun, end = self.now, self.now + seconds
        out: list[tuple[float, SentMessage]] = []
        while True:
            due = self.core.next_timer()
            if due is None or due > end:
                break
            assert any(wake <= due for wake in self.wakes), "nobody asked to be woken"
            self.now = max(due, self.now)
            self.driver.handle_timers()
            for flow in flows or (self.client,):
                out += [(round(self.now - begun, 3), sent) for sent in flow.take()]
        self.now = end
        return out

    @property
    def empty(self) -> bool:
        """Whether nothing is kept any more."""
        core = self.core
        return not (core.open or core.peers or len(core.transactions))

    def expire(self) -> None:
        """After all timers nothing is kept."""
        self.pass_time(400.0)
        assert self.empty
        assert self.client.held == 0
        assert self.core.next_timer() is None


@dataclass
class Caller:
    """One end of a dialog: writes what comes next in it."""

    proxy: InMemoryProxy
    transport: str = "UDP"
    name: str = "user1"
    to: str = f"<{ENDPOINT}>"
    target: str = ENDPOINT
    routes: list[str] = field(default_factory=list)
    via: str = "127.0.0.1:45154"
    cookie: str = "z9hG4bK"
    number: int = 0

    def __post_init__(self) -> None:
        n = next(_numbers)
        self.call_id = f"{n}@{self.name}"
        self.from_ = f"<sip:{self.name}@contoso.com>;tag=f{n};epid=e6019fcb7892"

    def write(
        self,
        method: str,
        *,
        number: int | None = None,
        branch: str | None = None,
        more: str = "",
        body: str = "",
        hops: int | None = 70,
        length: bool = True,
    ) -> bytes:
        """A request; `more` is further header lines, each with its CRLF."""
        if number is None:
            self.number += 1
            number = self.number
        if branch is None:
            branch = f";branch={self.cookie}{next(_numbers)}" if self.cookie else ""
        self.last_branch = branch
        lines = [
            f"{method} {self.target} SIP/2.0\r\n",
            f"Via: SIP/2.0/{self.transport} {self.via}{branch}\r\n",
            *(f"Route: <{route}>\r\n" for route in self.routes),
            f"From: {self.from_}\r\nTo: {self.to}\r\n",
            f"Call-ID: {self.call_id}\r\nCSeq: {number} {method}\r\n",
            "" if hops is None else f"Max-Forwards: {hops}\r\n",
            more,
            f"Content-Length: {len(body.encode())}\r\n" if length else "",
            f"\r\n{body}",
        ]
        return "".join(lines).encode("utf-8", "surrogateescape")

    def invite(self, number: int = 0, **keys: object) -> SentMessage:
        """Send an INVITE; it as a target gets it. The client has got 100 then."""
        answers = self.proxy.send(self.write("INVITE", **keys))  # type: ignore[arg-type]
        assert [sent.kind for sent in answers] == ["100 INVITE"]
        return self.proxy.target(number).one()

    def accepted(self, answer: SentMessage) -> None:
        """Take up the dialog of a 2xx."""
        self.to = answer["To"]
        self.target = answer["Contact"].strip("<>")
        self.routes = list(reversed(answer.routes))

    def begin(self, number: int = 0) -> "Called":
        """INVITE, 200 and ACK; the other end."""
        invite = self.invite(number)
        (answer,) = self.proxy.answer(number, invite, 200, more=CONTACT + record_route(invite))
        assert answer.kind == "200 INVITE"
        self.accepted(answer)
        assert not self.proxy.send(self.write("ACK", number=self.number))
        ack = self.proxy.target(number).one()
        assert ack.kind == "ACK"
        return Called(self.proxy, invite, answer)


CONTACT = "Contact: <sip:room@192.0.2.20:5070>\r\n"


def record_route(request: SentMessage) -> str:
    """What an answer repeats of it."""
    return "".join(f"Record-Route: {value}\r\n" for value in request.all("Record-Route"))


@dataclass
class Called:
    """The other end of a dialog: the pool's."""

    proxy: InMemoryProxy
    invite: SentMessage
    answer: SentMessage
    number: int = 100

    def write(self, method: str, *, more: str = "", body: str = "") -> bytes:
        """A request to the caller."""
        self.number += 1
        routes = "".join(f"Route: <{route}>\r\n" for route in self.invite.routes)
        return (
            f"{method} sip:user1@127.0.0.1:45154;maddr=127.0.0.1 SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 192.0.2.20:5070;branch=z9hG4bK{next(_numbers)}\r\n{routes}"
            f"From: {self.answer['To']}\r\nTo: {self.invite['From']}\r\n"
            f"Call-ID: {self.invite['Call-ID']}\r\nCSeq: {self.number} {method}\r\n"
            f"Max-Forwards: 70\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


def response(request: SentMessage, status: int, *, tag: str = "called", more: str = "") -> bytes:
    """The answer of whoever got a request."""
    vias = "".join(f"Via: {via}\r\n" for via in request.all("Via"))
    to = request["To"]
    if ";tag=" not in to and status > 100:
        to += f";tag={tag}"
    return (
        f"SIP/2.0 {status} Whatever\r\n{vias}From: {request['From']}\r\nTo: {to}\r\n"
        f"Call-ID: {request['Call-ID']}\r\nCSeq: {request['CSeq']}\r\n{more}"
        "Content-Length: 0\r\n\r\n"
    ).encode()
