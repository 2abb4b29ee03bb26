"""`python -m benchmarks.hostile`: what a message costs, and that what costs too much is told."""

import pytest

from benchmarks import hostile, hostile_messages
from benchmarks.hostile_messages import (
    EVERYWHERE,
    FIELDS,
    PIECES,
    SHAPES,
    Costly,
    Kind,
    changed,
    kinds,
    redirect_seconds,
    too_costly,
    worst_message,
)
from chatredirect import codec
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import DEFAULT
from tests.sip.pattern_watch import PatternWatch

KINDS = {kind.name: kind for kind in kinds()}


@pytest.mark.parametrize(
    "name", ["redirect, INVITE, datagram", "lookup, INVITE, tcp", "proxy, response, udp"]
)
def test_no_message_costs_much(name: str) -> None:
    """docs/benchmarks.md: under a millisecond; the fields that most is read of."""
    found = worst_message(KINDS[name], (b"Via", b"From", b"Route", b"Contact"))
    most = 2 * hostile.MAX_MESSAGE_RATIO[codec.NAME]  # a busy machine is no fault
    assert not too_costly([found], redirect_seconds(), most)
    assert found.seconds > found.ordinary


def test_a_costly_message_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark that can't fail tells nothing: exit status 1."""
    kind = Kind("slow", KINDS["redirect, INVITE, datagram"].ready)
    slow = Costly(kind, 1e-5, 3e-3, "Via: b';a'", 8192)
    assert too_costly([slow], 1e-5, 100) == ["slow: 300 times a redirect, for Via: b';a'"]
    assert too_costly([slow], 1e-4, 100) == []
    monkeypatch.setattr(hostile, "worst_messages", lambda: [slow])
    monkeypatch.setattr(hostile, "redirect_seconds", lambda: 1e-5)
    assert hostile.main(["--only", "messages"]) == 1
    assert hostile.main(["--only", "messages", "--max-message-ratio", "400"]) == 0


def test_every_kind_is_dealt_with_as_it_should_be() -> None:
    """The ordinary message of each is a good one, so that its changes get as far as it does."""
    for kind in KINDS.values():
        take, data = kind.ready()
        assert parse_datagram(data, DEFAULT).fault is None, kind.name
        take(data)


@pytest.mark.parametrize("name", KINDS)
def test_no_value_over_its_limit_is_taken_apart(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/answers.md: whatever the message is, the mode, and the way that it came."""
    for field in FIELDS:
        take, data = KINDS[name].ready()
        with monkeypatch.context() as patch:
            watched = PatternWatch(patch)
            take(changed(data, field, b";a", 60_000, 1, False))
            take(changed(data, field, b",<sip:a;lr>", 60_000, 1, True))
            assert watched.longest <= DEFAULT.header_line, field


@pytest.mark.parametrize("shape", SHAPES)
def test_changes(shape: tuple[int, int, bool]) -> None:
    """No message is longer than one may be, and its start-line and body stay whole."""
    data = hostile_messages._INVITE + b"body"
    for name in (EVERYWHERE, *FIELDS):
        for piece in PIECES:
            made = changed(data, name, piece, *shape)
            assert len(made) <= DEFAULT.message
            assert made.startswith(b"INVITE sip:ocschat@contoso.com")
            assert made.endswith(b"\r\n\r\nbody")
