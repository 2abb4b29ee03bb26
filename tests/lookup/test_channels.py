"""Which channel service a caller gets: in turn, for a minute the same, and only those that work."""

import time

import pytest

from chatredirect.endpoints.directory import Unavailability
from chatredirect.endpoints.lookup_endpoint import MAX_CALLERS, STABLE, Channel, Channels
from chatredirect.pools.pool import Pool
from tests.lookup.in_memory_lookups import (
    FRONT_END,
    STRANGER,
    TRANSPORTS,
    Client,
    InMemoryLookups,
    endpoint,
)

URIS = ("sip:a@one.contoso.com", "sip:b@two.contoso.com", "sip:c@three.contoso.com")


def lookups(*uris: str, **settings: object) -> InMemoryLookups:
    return InMemoryLookups(endpoint(channel_uris=uris, **settings))


def ask(there: InMemoryLookups, name: str) -> str:
    client = Client(there, name=name).begin()
    body = client.look_up().body
    client.hang_up()
    return body.partition('uri="')[2].partition('"')[0]


def test_round_robin() -> None:
    there = lookups(*URIS)
    assert [ask(there, f"user{n}") for n in range(6)] == [*URIS, *URIS]


def test_stable_for_a_minute() -> None:
    """A caller whose first try was lost is sent to the same one; after a minute in turn again."""
    there = lookups(*URIS)
    assert ask(there, "alice") == URIS[0]
    assert ask(there, "bob") == URIS[1]
    there.pass_time(STABLE - 1)
    assert ask(there, "alice") == URIS[0]
    there.pass_time(1.1)
    assert ask(there, "alice") == URIS[2]


def test_only_those_that_work() -> None:
    there = lookups(*URIS)
    assert ask(there, "alice") == URIS[0]
    there.set_usable(("one.contoso.com", None, None), usable=False)
    there.set_usable(("two.contoso.com", None, None), usable=False)
    assert ask(there, "alice") == URIS[2]
    assert ask(there, "bob") == URIS[2]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_none_works(transport: str) -> None:
    """docs/answers.md: the client asks, and hears 503, after which it comes again by itself.

    OPTIONS is the health check and gets 480, with Retry-After and the reason.
    """
    uris = ("sip:a@down1.contoso.com", "sip:b@down2.contoso.com")
    there = InMemoryLookups(endpoint(channel_uris=uris), transport=transport)
    client = Client(there).begin()
    assert '<resp code="503">ERROR_SERVICE_UNAVAILABLE</resp><data/>' in client.look_up().body
    client.hang_up()
    assert there.core.counters.not_found == 1
    answer = Client(there).ask("OPTIONS")[0]
    assert (answer.status, answer["Retry-After"]) == (480, "30")
    assert answer["Warning"] == '399 redirect "down1.contoso.com: NXDOMAIN"'
    there.pass_time(64)
    assert there.empty


def test_a_channel_that_comes_back_in_time() -> None:
    """What counts is when the client asks, not when it calls; the pool is asked for at once."""
    there = lookups("sip:a@down1.contoso.com")
    wanted: list[Pool] = []
    there.pool(("down1.contoso.com", None, None)).want = wanted.append
    client = Client(there).begin()
    assert len(wanted) == 1
    there.set_usable(("down1.contoso.com", None, None), usable=True)
    assert 'uri="sip:a@down1.contoso.com"' in client.look_up().body


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_closed_endpoint(transport: str) -> None:
    """docs/answers.md: in maintenance a client hears 503, and goes on trying; everybody else 480.

    One whose lookup began then is told so, whatever has become of the endpoint meanwhile.
    """
    there = InMemoryLookups(endpoint(methods=("INVITE", "MESSAGE")), transport=transport)
    _, served = there.directory.find(b"sip:ocschat@contoso.com")
    assert served is not None
    served.closed = Unavailability(False, None, "in maintenance", time.time)
    client = Client(there).begin()
    served.closed = None
    assert '<resp code="503">ERROR_SERVICE_UNAVAILABLE</resp><data/>' in client.look_up().body
    client.hang_up()
    served.closed = Unavailability(False, None, "in maintenance", time.time)
    for method in ("OPTIONS", "MESSAGE"):
        assert Client(there).ask(method)[0].status == 480
    there.source = STRANGER
    assert Client(there).invite().status == 403
    there.source = FRONT_END
    served.closed = Unavailability(True, None, "disabled", time.time)
    assert Client(there).invite().status == 404
    there.pass_time(64)
    assert there.empty


def test_pools_of_uris() -> None:
    """A URI's host is a pool; in the SIP domain it stands for the endpoint's."""
    settings = endpoint(
        pool_fqdn="pcpool.contoso.com",
        port=5061,
        transport="tls",
        channel_uris=(
            "sip:a@contoso.com",
            "sip:b@pcpool.contoso.com",
            "sip:c@other.contoso.com",
            "sip:d@other.contoso.com:5070;transport=tcp",
            "sips:e@contoso.com",
        ),
    )
    own = ("pcpool.contoso.com", 5061, "tls")
    assert [settings.channel_pool(uri) for uri in settings.channels] == [
        own,
        own,
        ("other.contoso.com", 5061, "tls"),
        ("other.contoso.com", 5070, "tcp"),
        own,
    ]
    assert settings.pools == (
        own,
        ("other.contoso.com", 5061, "tls"),
        ("other.contoso.com", 5070, "tcp"),
    )


def test_callers_are_forgotten() -> None:
    """Those whose time is over, and the oldest of too many."""
    there = lookups(*URIS)
    made = Channels([Channel(uri, there.pool(("one.contoso.com", None, None))) for uri in URIS])
    for n in range(MAX_CALLERS + 100):
        made.choose(b"sip:%d@contoso.com" % n, 0.0)
    assert len(made._callers) == MAX_CALLERS
    made.choose(b"sip:last@contoso.com", STABLE)
    assert len(made._callers) == 1


def test_what_nobody_wants_to_know_is_only_counted() -> None:
    """Without a log of requests and an observer no event is made of a response; the counts stay."""
    reported = []
    for wanted in (False, True):
        lookups = InMemoryLookups()
        lookups.driver.log_requests = wanted
        seen: list[object] = []
        lookups.driver._driver._events._do = seen.append  # type: ignore[attr-defined]
        client = Client(lookups).begin()
        client.look_up()
        client.hang_up()
        reported.append(len(seen))
        assert lookups.counters.answers == {200: 3}
    assert reported == [0, 4]
