"""The parts by themselves: the INVITE client transaction, tokens, the heap, a message's fields."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.net.target import Target
from chatredirect.proxy import branches
from chatredirect.proxy.record_route import MAX_TOKEN, RecordRouteCodec, signed
from chatredirect.sip.forwarding import (
    ack_of,
    addressed_to,
    cancel_of,
    lay_out,
    named,
    returned,
    without,
)
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.message import Response
from chatredirect.sip.transaction.layer import Send, Transaction, Transactions
from chatredirect.sip.transaction.state_machines import (
    INVITE_CLIENT,
    TransactionEvent,
    TransactionState,
    event_of,
)
from tests.recording_flow import RecordingFlow


class Layer:
    """A client's transaction of an INVITE, and what it sends."""

    def __init__(self, transport: str) -> None:
        self.out: list[Send[str]] = []
        self.due: dict[Transaction[str], float] = {}
        self.layer: Transactions[str] = Transactions(self.out, self._changed)
        flow = RecordingFlow(transport)
        self.it = self.layer.request(b"k", b"INVITE", flow, "user", 0.0, invite=True)

    def _changed(self, transaction: Transaction[str]) -> None:
        self.due[transaction] = transaction.due

    def run(self, until: float) -> list[tuple[float, bytes]]:
        """What is sent and told until then."""
        found: list[tuple[float, bytes]] = []
        while (now := self.due.get(self.it, inf)) <= until:
            self.due[self.it] = inf
            self.out.clear()
            if self.layer.handle_timers(self.it, now):
                found.append((now, b"timeout"))
            found += [(now, send.data) for send in self.out]
        return found


def test_the_table_leads_to_an_end() -> None:
    """Every state has a way out but PROCEEDING, which only the user's patience ends (§16.8)."""
    reached = {state for state, _ in INVITE_CLIENT.values()}
    assert reached - {state for state, _ in INVITE_CLIENT} == {TransactionState.TERMINATED}
    for state in {state for state, _ in INVITE_CLIENT}:
        assert INVITE_CLIENT[state, TransactionEvent.END][0] is TransactionState.TERMINATED


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_invite_client_without_an_answer(transport: str) -> None:
    """Figure 5: timer A doubles without end, timer B ends it."""
    sent = (
        [] if transport == "tcp" else [(at, b"INVITE") for at in (0.5, 1.5, 3.5, 7.5, 15.5, 31.5)]
    )
    made = Layer(transport)
    assert made.run(100.0) == [*sent, (32.0, b"timeout")]
    assert len(made.layer) == 0


def test_invite_client_proceeding() -> None:
    """After a provisional response nothing is sent again, and nothing ends by itself."""
    made = Layer("udp")
    assert made.layer.handle_event(made.it, TransactionEvent.PROVISIONAL, 0.4)
    assert made.run(1e6) == []
    made.layer.give_up(made.it, 1e6)
    assert made.run(2e6) == [(1e6 + 32, b"timeout")]


@pytest.mark.parametrize(("transport", "ends"), [("udp", 33.0), ("tcp", 1.0)])
def test_invite_client_refused(transport: str, ends: float) -> None:
    """Timer D: the ACK goes out for each retransmission, without the user's hearing of it."""
    made = Layer(transport)
    assert made.layer.refused(made.it, b"ACK", 1.0)
    assert [send.data for send in made.out] == [b"INVITE", b"ACK"]
    again = made.layer.refused(made.it, b"", 2.0)
    assert not again
    assert [send.data for send in made.out][2:] == ([b"ACK"] if transport == "udp" else [])
    assert made.run(ends - 0.1) == []
    made.run(ends)
    assert len(made.layer) == 0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_invite_client_accepted(transport: str) -> None:
    """RFC 6026, timer M: every 2xx is told, whatever the transport, for 64*T1."""
    made = Layer(transport)
    assert made.layer.handle_event(made.it, event_of(200), 1.0)
    assert made.layer.handle_event(made.it, event_of(200), 2.0)
    assert not made.layer.handle_event(made.it, event_of(486), 2.0)
    assert not made.layer.handle_event(made.it, event_of(180), 2.0)
    assert made.run(32.9) == []
    assert made.run(33.0) == []
    assert len(made.layer) == 0


def test_branches_lead_to_an_end() -> None:
    """Every state of a branch has a way to OVER."""
    ways = {state: set() for state in branches.BranchState}  # type: ignore[var-annotated]
    for (state, _), (following, _) in branches.TABLE.items():
        ways[state].add(following)
    over = {branches.BranchState.OVER}
    while True:
        more = {state for state, to in ways.items() if to & over} | over
        if more == over:
            break
        over = more
    assert over == set(branches.BranchState)


TOKENS = RecordRouteCodec(b"a key")
OTHER = RecordRouteCodec(b"another key")
text = st.binary(max_size=30).filter(lambda octets: b"\n" not in octets)


@given(
    flow=st.binary(max_size=64),
    transport=st.sampled_from(["udp", "tcp", "tls"]),
    address=st.sampled_from(["192.0.2.1", "2001:db8::1"]),
    port=st.integers(1, 65535),
    domain=st.sampled_from(["", "pcpool.contoso.com", "p" * 253]),
    behind=st.binary(max_size=20),
    made=st.integers(0, 2**32 - 1),
    call_id=text,
    tags=st.tuples(text, text),
)
def test_tokens_come_back(
    flow: bytes,
    transport: str,
    address: str,
    port: int,
    domain: str,
    behind: bytes,
    made: int,
    call_id: bytes,
    tags: tuple[bytes, bytes],
) -> None:
    """Both ways, with this key alone, and for this dialog alone."""
    target = Target(transport, address, port, "x", domain=domain)  # type: ignore[arg-type]
    one, other = tags
    token = TOKENS.write(flow, target, behind, made, call_id, one)
    assert len(token) < (MAX_TOKEN if len(domain) > 20 else 200)
    assert set(token) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    down = TOKENS.read(token, call_id, one, other)
    assert down is not None
    assert (down.flow, down.target.key, down.downstream) == (flow, target.key, True)
    assert down.made == made
    assert TOKENS.leads_to(down, behind)
    assert not TOKENS.leads_to(down, behind + b"x")
    if transport == "tls":  # the certificate may carry it (`tls.srv_names`)
        assert down.target.host == "x"
    up = TOKENS.read(token, call_id, other, one)
    assert up is not None
    assert up.downstream is (one == other)
    assert OTHER.read(token, call_id, one, other) is None
    assert TOKENS.read(token, call_id + b"x", one, other) is None
    assert TOKENS.read(token, call_id, one + b"x", other + b"x") is None


@given(token=st.binary(max_size=700), call_id=text)
def test_whatever_stands_for_a_token(token: bytes, call_id: bytes) -> None:
    assert TOKENS.read(token, call_id, b"a", b"b") is None


@given(at=st.integers(0, 60), octet=st.integers(0, 255))
def test_a_token_with_another_octet(at: int, octet: int) -> None:
    """It is none: a token has one text, and every bit of it counts."""
    target = Target("udp", "192.0.2.1", 5070, "x", domain="pcpool.contoso.com")
    token = TOKENS.write(b"12345678", target, b"", 0, b"call", b"tag")
    at %= len(token)
    changed = token[:at] + bytes([octet]) + token[at + 1 :]
    read = TOKENS.read(changed, b"call", b"tag", b"other")
    assert (read is None) is (changed != token)


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token + b"=",
        lambda token: token + b"\n",
        lambda token: b"!" + token,
        lambda token: token[:20] + b"%" + token[20:],
        lambda token: token[:20] + b"\xe4" + token[20:],
        lambda token: token.replace(b"-", b"+").replace(b"_", b"/") + b"+",
        lambda token: token[:-1],
        lambda token: token[:-1] + bytes([token[-1] ^ 1]),  # a bit that base64 leaves unused
    ],
)
def test_a_token_has_one_text(change: Callable[[bytes], bytes]) -> None:
    """RFC 4648 §3.3 and §3.5: foreign characters aren't skipped, spare bits not passed over."""
    target = Target("udp", "192.0.2.1", 5070, "x", domain="pcpool.contoso.com")
    token = TOKENS.write(b"12345678", target, b"", 0, b"call", b"tag")
    assert TOKENS.read(token, b"call", b"tag", b"") is not None
    assert TOKENS.read(change(token), b"call", b"tag", b"") is None


octets = st.binary(max_size=12)


@given(one=st.tuples(octets, octets, octets), other=st.tuples(octets, octets, octets))
def test_what_is_signed_is_unambiguous(
    one: tuple[bytes, bytes, bytes], other: tuple[bytes, bytes, bytes]
) -> None:
    """No two of (said, Call-ID, tag) have the same octets in the keyed hash."""
    assert (signed(*one) == signed(*other)) is (one == other)


@given(cuts=st.tuples(st.integers(0, 600), st.integers(0, 600)), shift=st.integers(1, 600))
def test_what_is_signed_is_unambiguous_at_any_length(cuts: tuple[int, int], shift: int) -> None:
    """The same octets cut elsewhere are something else, over 255 octets as well."""
    whole = b"A" * 600
    first, second = sorted(cuts)
    moved = (first + shift) % 601
    one = signed(whole[:first], whole[first:second], whole[second:])
    other = signed(whole[:moved], whole[moved : max(moved, second)], whole[max(moved, second) :])
    assert (one == other) is (moved == first)


def test_a_call_id_of_256_octets_more() -> None:
    """A token for a long Call-ID is good for no shorter one, whatever its client has put there."""
    target = Target("tls", "192.0.2.1", 5061, "x", domain="pcpool.contoso.com")
    token = TOKENS.write(b"12345678", target, b"", 0, b"c" * 256 + b"call", b"tag")
    inside = a2b_base64(token.translate(bytes.maketrans(b"-_", b"+/")) + b"==")
    longer = inside[:-10] + b"c" * 256 + inside[-10:]
    for octets in (inside, longer):
        text = b2a_base64(octets, newline=False).rstrip(b"=")
        text = text.translate(bytes.maketrans(b"+/", b"-_"))
        assert TOKENS.read(text, b"call", b"tag", b"") is None


@given(said=st.binary(max_size=60))
def test_what_is_signed_by_us_and_says_nothing(said: bytes) -> None:
    """Any fault is a refusal: no exception, whatever stands behind a good signature."""
    signer = RecordRouteCodec(b"a key")
    text = signer._signature.sign(said, b"call", b"tag")
    read = signer.read(text, b"call", b"tag", b"")
    assert read is None or isinstance(read.target, Target)


INVITE = (
    b"INVITE sip:a@b;x=y SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKours\r\n"
    b"Record-Route: <sip:a;lr>\r\nv: SIP/2.0/UDP c\r\nMax-Forwards: 5\r\n"
    b"route:<sip:r1;lr>,\r\n <sip:r2;lr>\r\nf: <sip:f>;tag=1\r\n"
    b"TO: <sip:t>\r\ni: c\r\ncseq: 7 \r\n INVITE\r\nContact: <sip:c>\r\nl: 3\r\n\r\nabc"
)


def test_ack_and_cancel_are_made_of_the_invite() -> None:
    """§17.1.1.3 and §9.1: Request-URI, topmost Via, Route, From, Call-ID, CSeq number."""
    same = b"route:<sip:r1;lr>,\r\n <sip:r2;lr>\r\nf: <sip:f>;tag=1\r\n"
    begin = b" sip:a@b;x=y SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKours\r\nMax-Forwards: 70\r\n"
    assert ack_of(INVITE, b"<sip:t>;tag=2") == (
        b"ACK"
        + begin
        + same
        + b"To: <sip:t>;tag=2\r\ni: c\r\nCSeq: 7 ACK\r\nContent-Length: 0\r\n\r\n"
    )
    assert cancel_of(INVITE) == (
        b"CANCEL"
        + begin
        + same
        + b"TO: <sip:t>\r\ni: c\r\nCSeq: 7 CANCEL\r\nContent-Length: 0\r\n\r\n"
    )


def test_fields_are_found_in_any_spelling() -> None:
    """§7.3.1 and §7.3.3: case, compact forms, spaces before the colon, folds."""
    head = (
        b"OPTIONS sip:a SIP/2.0\r\nX: y\r\nV : SIP/2.0/UDP a\r\n b\r\nMAX-forwards \t: 7\r\n"
        b"ROUTE: <sip:x>\r\nProxy-require:a\r\n ,b\r\nL: 0"
    )
    draft = lay_out(head)
    assert draft.fields[draft.via].startswith(b"V ")
    assert draft.hops() == 7
    assert [route.uri for route in draft.route_set()] == [b"sip:x"]
    assert draft.required() == [b"a", b"b"]
    assert draft.fields[draft.length] == b"L: 0"
    assert without(head, named(b"Route", b"X")).count(b"\r\n") == head.count(b"\r\n") - 2


@pytest.mark.parametrize(
    "length",
    [
        b"Content-Length: 5", b"Content-Length:\r\n 5", b"l : 5", b"CONTENT-LENGTH:\t\r\n\t5 \r\n ",
        b"Content-Length: 005", b"Content-Length: 5\r\nl: 5", b"l: 5\r\nX: y\r\nL:\r\n 5",
    ],
)  # fmt: skip
def test_content_length_is_written_anew(length: bytes) -> None:
    """§18.3: in one way that nobody can read otherwise; requests and responses."""
    head = b"MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n" + length + b"\r\nX-End: 1"
    written = lay_out(head).rest(b"hello")
    assert written.lower().count(b"content-length") == 1
    assert b"\r\nContent-Length: 5\r\n" in written
    assert b"\nl" not in written
    assert written.endswith(b"X-End: 1\r\n\r\nhello")
    fields = (
        b"Via: SIP/2.0/UDP ours\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@b>;tag=1\r\n"
        b"To: <sip:c@d>;tag=2\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\n"
    )
    answer = b"SIP/2.0 200 OK\r\n" + fields + length + b"\r\n\r\nhello"
    parsed = parse_datagram(answer, DEFAULT)
    assert isinstance(parsed, Response)
    # §16.7: a folded or repeated one is no way to say it, and such a response is dropped
    single = b"\n" not in length
    assert (parsed.fault is None) == single
    if not single:
        return
    passed = returned(parsed)
    assert b"ours" not in passed
    again = parse_datagram(passed, DEFAULT)
    assert (again.fault, again.content_length, again.body) == (None, 5, b"hello")
    if b"\r\n " in length or b"\r\n\t" in length:
        assert b"\r\nContent-Length: 5\r\n" in passed
        assert b"\r\n " not in passed
    addressed_to(parsed, [b"SIP/2.0/UDP b"])
    assert b"\r\n\r\n" not in parsed.head
