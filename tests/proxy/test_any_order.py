"""One request and two targets, with whatever may happen in any order: what always holds."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.proxy.in_memory_proxy import Caller, InMemoryProxy, response, targets
from tests.recording_flow import RecordingFlow
from tests.sent_message import SentMessage

STATUSES = (100, 180, 183, 200, 202, 302, 404, 408, 486, 503, 600)


class AnyOrder(RuleBasedStateMachine):
    """A caller, the proxy and a pool of two."""

    @initialize(
        method=st.sampled_from(["INVITE", "SUBSCRIBE"]),
        client=st.sampled_from(["udp", "tcp"]),
        pool=st.sampled_from(["udp", "tcp"]),
        dialling=st.booleans(),
    )
    def begin(self, method: str, client: str, pool: str, dialling: bool) -> None:
        """The caller sends its request."""
        self.proxy = InMemoryProxy(*targets(2, pool), transport=client)
        if dialling:
            self.proxy.ways.by_dialling.add("tcp")
        self.caller = Caller(self.proxy, client.upper())
        self.method = method
        self.request = self.caller.write(method)
        self.branch = self.caller.last_branch
        self.got: list[SentMessage] = []
        self.seen: list[tuple[RecordingFlow, SentMessage]] = []
        self.cancelled = False
        self._deliver(self.request)

    def _deliver(self, data: bytes) -> None:
        self.got += self.proxy.send(data)
        self._look()

    def _look(self) -> None:
        """What the targets have got, and the caller."""
        self.got += self.proxy.client.take()
        for flow in self.proxy.ways.flows.values():
            self.seen += [(flow, sent) for sent in flow.take()]

    @rule(which=st.integers(0, 20), status=st.sampled_from(STATUSES), tag=st.sampled_from("ab"))
    @precondition(lambda self: self._asked())
    def answer(self, which: int, status: int, tag: str) -> None:
        """A target answers something that it got, again perhaps."""
        asked = self._asked()
        flow, sent = asked[which % len(asked)]
        if sent.kind == "CANCEL":
            status = 200
        self.proxy.deliver(response(sent, status, tag=tag), flow)
        self._look()

    def _asked(self) -> list[tuple[RecordingFlow, SentMessage]]:
        return [each for each in self.seen if each[1].kind in (self.method, "CANCEL")]

    @rule(seconds=st.sampled_from([0.1, 0.6, 4.1, 33.0, 181.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        end = self.proxy.now + seconds
        core = self.proxy.core
        while (due := core.next_timer()) is not None and due <= end:
            self.proxy.now = max(due, self.proxy.now)
            self.proxy.driver.handle_timers()
            self._look()
        self.proxy.now = end

    @rule()
    def repeat(self) -> None:
        """The caller has lost patience."""
        if any(status >= 200 for status in self._finals()) and not self.proxy.core.open:
            return  # long after its end it would be a new request
        self._deliver(self.request)

    @rule()
    @precondition(lambda self: self.method == "INVITE")
    def cancel(self) -> None:
        """The caller doesn't want it any more."""
        data = self.caller.write("CANCEL", number=1, branch=self.branch)
        self._deliver(data)

    @rule()
    @precondition(lambda self: self.method == "INVITE" and any(s >= 300 for s in self._finals()))
    def acknowledge(self) -> None:
        """The caller has got a refusal."""
        refused = next(sent for sent in self.got if self._is_final(sent) and sent.status >= 300)
        self.caller.to, to = refused["To"], self.caller.to
        self._deliver(self.caller.write("ACK", number=1, branch=self.branch))
        self.caller.to = to

    @rule(works=st.booleans())
    @precondition(lambda self: self.proxy.ways.wanted)
    def handle_connected(self, works: bool) -> None:
        """A connection is there, or can't be had."""
        if works:
            self.proxy.ways.connect()
        else:
            self.proxy.ways.fail()
        self._look()

    @rule(number=st.integers(0, 1))
    def lose(self, number: int) -> None:
        """A connection breaks."""
        flow = self.proxy.ways.flows.get(self.proxy.targets[number].key)
        if flow is not None and flow.transport != "udp":
            flow.gone = True
            self.proxy.driver.lost(flow)
            self._look()

    def _is_final(self, sent: SentMessage) -> bool:
        return sent.kind.endswith(f" {self.method}") and sent.status >= 200

    def _finals(self) -> list[int]:
        return [sent.status for sent in self.got if self._is_final(sent)]

    @invariant()
    def the_caller_gets_what_it_may_get(self) -> None:
        """One refusal at most, never a 503, never two kinds of final answer but a late 2xx."""
        finals = self._finals()
        assert 503 not in finals
        assert len({status for status in finals if status >= 300}) <= 1
        if self.method != "INVITE":
            assert len(set(finals)) <= 1
            assert 408 not in finals
            assert not {sent.status for sent in self.got} & {180, 183}
        assert all(len(sent.all("Via")) == 1 for sent in self.got)

    @invariant()
    def nothing_is_kept_twice(self) -> None:
        """One open request, and a bounded number of transactions."""
        assert len(self.proxy.core.open) <= 1
        assert len(self.proxy.core.transactions) <= 8

    def teardown(self) -> None:
        """Everything comes to its end, with a final answer to an INVITE, and nothing is left."""
        if not hasattr(self, "world"):
            return
        while self.proxy.ways.wanted:
            self.handle_connected(False)
        self.wait(33.0)
        while self.proxy.ways.wanted:
            self.handle_connected(False)
        for _ in range(8):
            self.wait(181.0)
        assert self.proxy.empty
        assert self.proxy.core.next_timer() is None
        if self.method == "INVITE":
            assert self._finals()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=25)
