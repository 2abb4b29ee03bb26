"""The proxy with the compiled codec and without: the same octets, counters and states."""

from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatredirect.codec import compiled
from chatredirect.sip.response import Peer
from tests.fuzz.twins import in_python
from tests.proxy.in_memory_proxy import (
    CONTACT,
    FRONT_END,
    STRANGER,
    Caller,
    InMemoryProxy,
    record_route,
    response,
    targets,
)
from tests.recording_flow import RecordingFlow
from tests.sent_message import SentMessage, read

if compiled is None:
    pytest.skip("the compiled codec isn't in use", allow_module_level=True)

METHODS = ("INVITE", "ACK", "BYE", "INFO", "SUBSCRIBE", "UPDATE", "BENOTIFY", "CANCEL", "OPTIONS")
STATUSES = (100, 180, 200, 302, 408, 487, 503)
#: Header fields that a proxy changes or reads, some of which the compiled functions leave.
MORE = (
    "", "", "", "Record-Route: <sip:192.0.2.7;lr>\r\n", "Proxy-Require: ms-benotify\r\n",
    "Proxy-Require: other\r\n", "X: folded\r\n line\r\n", "Via: SIP/2.0/TCP 192.0.2.8\r\n",
    "Route: <sip:127.0.0.1:5060;lr>\r\n", "Route: <sip:192.0.2.7;lr>, <sip:192.0.2.6>\r\n",
    "Route: <sip:192.0.2.6>\r\n", "max-forwards : 7\r\n", "l: 0\r\n",
    "P-Asserted-Identity: <a:b>\r\n",
)  # fmt: skip
PEERS = (FRONT_END, FRONT_END, FRONT_END, STRANGER, None)

_methods, _more = st.sampled_from(METHODS), st.sampled_from(MORE)
_hops, _peers = st.sampled_from((None, 0, 1, 70, 70, 70)), st.sampled_from(PEERS)
step = st.one_of(
    st.tuples(st.just("request"), _methods, _more, _hops, _peers),
    st.tuples(st.just("response"), st.integers(0, 9), st.sampled_from(STATUSES), _more),
    st.tuples(st.just("again")),
    st.tuples(st.just("back"), _methods, _more),
    st.tuples(st.just("wait"), st.sampled_from((0.6, 4.1, 33.0, 181.0))),
)


class Both:
    """Two proxies that are given the same octets."""

    def __init__(self, transport: str) -> None:
        self.proxies = [InMemoryProxy(*targets(2, transport), transport=transport) for _ in "12"]
        self.asked: list[tuple[str, bytes]] = []  # what a flow of this key has got

    def do(self, name: str, *arguments: object) -> None:
        """Let both do it, and compare."""
        for number, proxy in enumerate(self.proxies):
            with in_python() if number else nullcontext():
                getattr(self, name)(proxy, *arguments)
        one, other = map(self.seen, self.proxies)
        assert one == other
        for flow, raw in one[0]:
            self.asked += [(flow, data) for data in raw if not data.startswith(b"SIP/2.0 ")]
        for proxy in self.proxies:
            for flow in self.flows(proxy).values():
                flow.raw.clear()

    @staticmethod
    def flows(proxy: InMemoryProxy) -> dict[str, RecordingFlow]:
        """The client's flow and those of targets, by name."""
        return {"client": proxy.client} | {str(key): flow for key, flow in proxy.ways.flows.items()}

    def seen(self, proxy: InMemoryProxy) -> tuple[object, ...]:
        """What came out, and what is kept."""
        core = proxy.core
        transactions = [
            (key, each.state, each.flow.transport, each.message, each.tag, each.due)
            for table in (core.transactions._servers, core.transactions._clients)
            for key, each in table.items()
        ]
        contexts = sorted(
            (
                each.number,
                each.why,
                each.cancelled,
                each.due,
                str(each.active and each.active.state),
            )
            for each in core.open
        )
        flows = self.flows(proxy)
        return (
            [(name, list(flow.raw)) for name, flow in flows.items()],
            [(name, flow.held, flow.vain) for name, flow in flows.items()],
            transactions, contexts, repr(core.counters.forwarded), repr(core.counters),
            repr(proxy.counters), dict(core.peers), len(proxy.sought), len(proxy.ways.wanted),
        )  # fmt: skip

    def deliver(self, proxy: InMemoryProxy, data: bytes, flow: str, peer: Peer | None) -> None:
        """Let octets come over a flow."""
        proxy.deliver(data, self.flows(proxy)[flow], peer)

    def wait(self, proxy: InMemoryProxy, seconds: float) -> None:
        """Time goes by."""
        end = proxy.now + seconds
        while (due := proxy.core.next_timer()) is not None and due <= end:
            proxy.now = max(due, proxy.now)
            proxy.driver.handle_timers()
        proxy.now = end


@given(
    transport=st.sampled_from(["udp", "tcp"]),
    begins=st.booleans(),
    steps=st.lists(step, max_size=12),
)
@settings(max_examples=200)
def test_the_same_with_and_without(
    transport: str, begins: bool, steps: list[tuple[object, ...]]
) -> None:
    """Calls with responses, retransmissions, CANCEL and failover, in any order."""
    both = Both(transport)
    caller, called = (Caller(both.proxies[0], transport.upper()) for _ in "12")
    last = caller.write("INVITE")
    both.do("deliver", last, "client", FRONT_END)
    target = both.asked[0][0]
    if begins:
        invite = read(both.asked[0][1], ours=False)
        both.do("deliver", answer_to(invite, 200, ""), target, None)
        caller.to += ";tag=called"
        caller.target, caller.routes = "sip:room@192.0.2.20:5070", invite.routes[::-1]
        called.target, called.routes = "sip:user1@127.0.0.1:45154", invite.routes
        called.from_, called.to, called.call_id = caller.to, caller.from_, caller.call_id
    for what, *details in steps:
        if what == "request":
            method, more, hops, peer = details
            last = caller.write(method, more=more, hops=hops)  # type: ignore[arg-type]
            both.do("deliver", last, "client", peer)
        elif what == "again":
            both.do("deliver", last, "client", FRONT_END)
        elif what == "wait":
            both.do("wait", *details)
        elif what == "response":
            number, status, more = details
            flow, asked = both.asked[-1 - number % len(both.asked)]  # type: ignore[operator]
            data = answer_to(read(asked, ours=False), status, more)  # type: ignore[arg-type]
            both.do("deliver", data, flow, None)
        elif begins:
            method, more = details
            data = called.write(method, more=more)  # type: ignore[arg-type]
            both.do("deliver", data, target, None)
    both.do("wait", 400.0)


def answer_to(request: SentMessage, status: int, more: str) -> bytes:
    """A target's response; `more` is further header lines."""
    return response(request, status, more=CONTACT + record_route(request) + more)
