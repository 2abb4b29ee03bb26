"""What counts as one use, between requests and a batch."""

import tracemalloc

import pytest

from chatredirect.sip.caller import caller_and_client
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Request
from chatredirect.usage.identity import OTHERS, ClientProduct
from chatredirect.usage.recorder import ONE_CALL, UsageRecorder
from chatredirect.usage.tally import Batch
from tests.held_clock import HeldClock
from tests.usage.uses import CHAT, OC

AGENT = b"User-Agent: UCCAPI/3.5.6907.196 OC/3.5.6907.196 (Microsoft Office Communicator 2007 R2)"


def request(call_id: bytes = b"1", line: bytes = AGENT) -> Request:
    message = parse_datagram(
        b"INVITE sip:ocschat@contoso.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        b"From: <sip:ann@contoso.com>;tag=1\r\nTo: <sip:ocschat@contoso.com>\r\n"
        b"CSeq: 1 INVITE\r\n" + line + b"\r\nCall-ID: " + call_id + b"\r\n\r\n",
        Limits(),
    )
    assert isinstance(message, Request)
    return message


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock(1_000_000.0)


@pytest.fixture
def recorder(clock: HeldClock) -> UsageRecorder:
    made = UsageRecorder(clock)
    made.on = True
    return made


def used(recorder: UsageRecorder, *args: object, trusted: bool = True) -> None:
    use(recorder, request(*args), trusted=trusted)  # type: ignore[arg-type]


def use(recorder: UsageRecorder, message: Request, *, trusted: bool = True) -> None:
    assert message.from_ is not None
    assert message.call_id is not None
    client = caller_and_client(message, message.from_)
    recorder.used(CHAT, message.call_id, client, "redirected", trusted, message.head)


def counts(batch: Batch) -> dict[tuple[str, str, bool], int]:
    return {(k.caller, k.client.family, k.trusted): u.count for k, u in batch.uses.items()}


@pytest.mark.parametrize(
    "from_",
    [
        b"<sip:ann@contoso.com>",
        b"<sip:Ann@contoso.com;x=1>;tag=1;epid=2",
        b'"A <b> \\" c" <sip:ann@contoso.com>;tag=1',
        b"Ann <sip:ann@contoso.com:5060>;tag=1",
        b"sip:ann@contoso.com;tag=1",
    ],
)
def test_the_caller_of_every_form_of_from(recorder: UsageRecorder, from_: bytes) -> None:
    message = request()
    message.from_ = from_
    use(recorder, message)
    assert list(counts(recorder.take())) == [("sip:ann@contoso.com", OC.family, True)]


def test_midnight_begins_another_row(recorder: UsageRecorder, clock: HeldClock) -> None:
    """The same octets, before midnight, after it, and after a clock that jumps back over it."""
    clock.now = 86400.0 * 100 - 1
    for call, step in enumerate((0, 2, -2, 2)):
        clock.now += step
        used(recorder, b"%d" % call)
    days = {key.day: use.count for key, use in recorder.take().uses.items()}
    assert days == {99: 2, 100: 2}


def test_a_batch_that_was_taken_changes_no_more(recorder: UsageRecorder) -> None:
    used(recorder, b"1")
    taken = recorder.take()
    used(recorder, b"2")
    assert taken.total == recorder.take().total == 1


def test_callers_are_named_otherwise_at_once(recorder: UsageRecorder) -> None:
    used(recorder, b"1")
    recorder.name_callers(lambda _uri: "x")
    used(recorder, b"2")
    assert {key.caller for key in recorder.take().uses} == {"sip:ann@contoso.com", "x"}


def test_a_retransmission_is_the_same_use(recorder: UsageRecorder, clock: HeldClock) -> None:
    for _ in range(11):  # RFC 3261 §17.1.1.2: until 64*T1
        used(recorder)
        clock.now += 3.2
    used(recorder, b"2")
    assert counts(recorder.take()) == {("sip:ann@contoso.com", OC.family, True): 2}


def test_a_retransmission_after_midnight_is_the_same_use(
    recorder: UsageRecorder, clock: HeldClock
) -> None:
    """However often the day ends meanwhile."""
    clock.now = 86400.0 * 100 - 16
    for step in (0, 15, 2, 2, -3, 2, 14):
        clock.now += step
        used(recorder)
    (key,) = recorder.take().uses
    assert key.day == 99


def test_a_call_of_a_later_time_is_another_use(recorder: UsageRecorder, clock: HeldClock) -> None:
    used(recorder)
    clock.now += 2 * ONE_CALL + 1
    used(recorder)
    assert sum(counts(recorder.take()).values()) == 2


def test_strangers_hide_no_call_of_a_trusted_peer(recorder: UsageRecorder) -> None:
    used(recorder, trusted=False)
    used(recorder)
    assert set(counts(recorder.take()).values()) == {1}


def test_a_clock_that_is_set_back(recorder: UsageRecorder, clock: HeldClock) -> None:
    used(recorder)
    clock.now -= 7200
    used(recorder)
    used(recorder, b"2")
    (use,) = recorder.take().uses.values()
    assert (use.count, use.first, use.last) == (2, 992_800.0, 1_000_000.0)


def test_a_million_of_everything_from_one_stranger(
    recorder: UsageRecorder, clock: HeldClock
) -> None:
    """The memory has a bound, real users keep their names, and each use is counted."""
    message = request()
    tracemalloc.start()
    number = 60_000
    for each in range(number):
        clock.now += 0.0001
        message.call_id = b"c%d" % each
        message.head = b"x\r\nUser-Agent: x/%d" % each
        message.from_ = b"<sip:%d@x>;tag=1" % each
        use(recorder, message, trusted=False)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    used(recorder)
    told = counts(recorder.take())
    assert told["sip:ann@contoso.com", OC.family, True] == 1
    assert sum(told.values()) == number + 1
    assert told[OTHERS, OTHERS, False] > number / 2
    assert size < 8 << 20


def test_a_hundred_thousand_callers_in_a_day(recorder: UsageRecorder, clock: HeldClock) -> None:
    """Issue 18: in under 64 MiB, be the store away all day or not."""
    clock.now = 86400.0 * 100
    tracemalloc.start()
    for each in range(100_000):
        clock.now += 0.8
        client = b"sip:user%d@contoso.com\na/1" % each
        recorder.used(CHAT, b"c%d" % each, client, "looked_up", True, b"")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40 << 20
    assert recorder.waiting == 50_001
    taken = recorder.take()
    assert taken.total == 100_000
    key = next(reversed(list(taken.uses)))
    assert key.client in (ClientProduct("a", "1"), ClientProduct(OTHERS, ""))


def test_off_costs_nothing_and_counts_nothing(recorder: UsageRecorder) -> None:
    recorder.on = False
    used(recorder)
    assert not recorder.take().uses
