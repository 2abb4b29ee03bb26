"""Which name server is asked next."""

from chatredirect.config import HostPort
from chatredirect.dns.servers import LAST_PAUSE, ServerList

FIRST, SECOND = HostPort("192.0.2.53", 53), HostPort("192.0.2.54", 5353)


def test_in_the_order_of_the_configuration() -> None:
    """The first is asked, then the second, then nobody is left."""
    servers = ServerList([FIRST, SECOND, FIRST])
    one = servers.pick(0.0, [], 2.0)
    assert one is not None
    assert str(one) == "192.0.2.53"
    two = servers.pick(0.0, [one], 2.0)
    assert two is not None
    assert str(two) == "192.0.2.54:5353"
    assert servers.pick(0.0, [one, two], 2.0) is None


def test_a_silent_server_goes_behind_at_once() -> None:
    """One question without an answer, and the other is asked first."""
    servers = ServerList([FIRST, SECOND])
    one = servers.pick(0.0, [], 2.0)
    assert one is not None
    servers.silent(one, 0.0)
    assert servers.pick(0.0, [], 2.0) is not one
    servers.answered(one)
    assert servers.pick(0.0, [], 2.0) is one


def test_one_question_at_a_time_to_a_server_that_is_down() -> None:
    """After the pause one question goes to it, the others go elsewhere or get their no at once."""
    servers = ServerList([FIRST])
    only = servers.pick(0.0, [], 2.0)
    assert only is not None
    for _ in range(3):
        servers.silent(only, 0.0)
    assert only.down
    assert servers.pick(0.5, [], 2.0) is None
    assert servers.pick(1.0, [], 2.0) is only
    assert servers.pick(1.0, [], 2.0) is None
    servers.silent(only, 3.0)
    pauses = []
    now = 3.0
    for _ in range(10):
        pauses.append(only.ask_again_at - now)
        now = only.ask_again_at
        assert servers.pick(now, [], 2.0) is only
        servers.silent(only, now)
    assert max(pauses) == LAST_PAUSE
    servers.answered(only)
    assert servers.pick(now, [], 2.0) is only
    assert servers.pick(now, [], 2.0) is only


def test_nobody_listens_is_down_at_once() -> None:
    """An ICMP error says all at once."""
    servers = ServerList([FIRST, SECOND])
    one = servers.pick(0.0, [], 2.0)
    assert one is not None
    servers.silent(one, 0.0, gone=True)
    assert one.down


def test_update_keeps_what_is_known() -> None:
    """A reload with the same server remembers that it is down."""
    servers = ServerList([FIRST, SECOND])
    one = servers.pick(0.0, [], 2.0)
    assert one is not None
    servers.silent(one, 0.0, gone=True)
    assert servers.update([FIRST])
    assert not servers.update([FIRST])
    assert servers.pick(0.1, [], 2.0) is None


def test_a_server_that_drops_questions_with_edns() -> None:
    """As glibc does: the next question goes without it, unless it has answered one with it."""
    servers = ServerList([FIRST, SECOND])
    drops, knows = servers
    servers.silent(drops, 0.0)
    servers.silent(drops, 0.0)  # two questions at a time are two silences
    assert not drops.edns
    servers.answered(drops)
    assert not drops.edns
    servers.answered(knows)
    servers.silent(knows, 0.0)
    assert knows.edns
    gone = ServerList([FIRST]).pick(0.0, [], 2.0)
    assert gone is not None
    servers.silent(gone, 0.0, gone=True)
    assert gone.edns
