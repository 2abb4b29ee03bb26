"""States: what an endpoint answers, and opening by itself, once, whatever the clock does."""

import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from chatredirect.config import EndpointSettings, load
from chatredirect.config.endpoint import parse_moment, written
from chatredirect.endpoints.activation import INTERVAL, ActivationSchedule
from chatredirect.endpoints.directory import DirectoryBuilder, Endpoint, Unavailability
from chatredirect.pools.pool import Pool
from tests.lookup.in_memory_lookups import SDP, Client
from tests.lookup.in_memory_lookups import InMemoryLookups as Lookups
from tests.service.client import ask, request, talk
from tests.service.daemon import Daemon, configuration, endpoint
from tests.service.fixtures import Run, run_daemon

__all__ = ["run_daemon"]

START = 1_800_000_000.0  # seconds since the epoch


class ClockedSchedule:
    """A wall clock that is set at will, and timers that ring when the test lets them."""

    def __init__(self) -> None:
        self.now = START
        self.asked: list[tuple[float, Callable[[], None]]] = []
        self.states = ActivationSchedule(lambda: self.now, self.later)
        self.endpoints: dict[str, Endpoint] = {}

    def later(self, seconds: float, call: Callable[[], None]) -> "ClockedSchedule":
        self.asked.append((seconds, call))
        return self

    def cancel(self) -> None:
        self.asked.clear()

    def serve(self, *settings: EndpointSettings) -> None:
        """Have a configuration in force."""
        reading = self.states.read()
        building = DirectoryBuilder(lambda each: Pool(each.pool, "ipv4"), closed_of=reading.closed)
        for each in settings:
            building.add(each)
        self.endpoints = {each.address: each for each in building.directory}
        self.states.serve(reading, building.waiting)

    def ring(self) -> None:
        """Let the timer ring that was asked for last."""
        ((seconds, call),) = self.asked
        assert 0 < seconds <= INTERVAL
        self.asked.clear()
        call()

    def is_open(self, user: str = "a") -> bool:
        return self.endpoints[f"sip:{user}@contoso.com"].closed is None


def settings(user: str = "a", **keys: Any) -> EndpointSettings:
    return EndpointSettings(
        sip_address=f"sip:{user}@contoso.com", pool_fqdn="pcpool.contoso.com", **keys
    )


def after(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


@pytest.fixture
def schedule() -> ClockedSchedule:
    return ClockedSchedule()


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def test_it_opens_when_its_time_has_come(schedule: ClockedSchedule, logged: list[Any]) -> None:
    schedule.serve(settings(active_from=after(100)), settings("b", active_from=after(50)))
    assert not schedule.is_open()
    schedule.now += 60
    schedule.ring()
    assert (schedule.is_open("b"), schedule.is_open()) == (True, False)
    schedule.now += 40
    schedule.ring()
    assert schedule.is_open()
    assert not schedule.asked  # nothing waits, so nobody looks
    events = [(line["event"], line["endpoint"]) for line in logged]
    assert events == [
        ("endpoint_waits", "sip:b@contoso.com"),
        ("endpoint_waits", "sip:a@contoso.com"),
        ("endpoint_activated", "sip:b@contoso.com"),
        ("endpoint_activated", "sip:a@contoso.com"),
    ]
    assert logged[2]["active_from"] == written(after(50))
    assert logged[2]["seconds_late"] == 10


def test_a_clock_that_is_set_forwards(schedule: ClockedSchedule) -> None:
    """It is noticed at the next look, a second later at most, however far away the time was."""
    schedule.serve(settings(active_from=after(86_400)))
    schedule.ring()
    assert not schedule.is_open()
    schedule.now += 90_000
    schedule.ring()
    assert schedule.is_open()


def test_a_clock_that_is_set_back_closes_nothing(
    schedule: ClockedSchedule, logged: list[Any]
) -> None:
    """Neither by itself, nor with a reload, nor does it open a second time."""
    schedule.serve(settings(active_from=after(10)))
    schedule.now += 10
    schedule.ring()
    schedule.now -= 3600
    assert schedule.is_open()
    schedule.serve(settings(active_from=after(10)), settings("b"))
    assert schedule.is_open()
    schedule.now += 3700
    assert not schedule.asked
    assert [line["event"] for line in logged].count("endpoint_activated") == 1


def test_one_that_was_active_from_the_start_stays_so(schedule: ClockedSchedule) -> None:
    schedule.serve(settings(active_from=after(-10)))
    assert schedule.is_open()
    schedule.now -= 3600
    schedule.serve(settings(active_from=after(-10)))
    assert schedule.is_open()


def test_a_clock_that_is_set_back_while_it_waits(schedule: ClockedSchedule) -> None:
    """Its time comes when the clock says so."""
    schedule.serve(settings(active_from=after(10)))
    schedule.now -= 100
    schedule.ring()
    schedule.now += 105
    schedule.ring()
    assert not schedule.is_open()
    schedule.now += 5
    schedule.ring()
    assert schedule.is_open()


def test_another_time_counts_anew(schedule: ClockedSchedule) -> None:
    """A new active_from after the old one has passed makes it wait again."""
    schedule.serve(settings(active_from=after(10)))
    schedule.now += 10
    schedule.ring()
    schedule.serve(settings(active_from=after(100)))
    assert not schedule.is_open()
    schedule.serve(settings())
    assert schedule.is_open()
    schedule.serve(settings(active_from=after(100)))  # which had been forgotten
    assert not schedule.is_open()


def test_it_opens_while_a_reload_is_under_way(schedule: ClockedSchedule, logged: list[Any]) -> None:
    """The old configuration's timer rings when the new one is read and not yet in force."""
    schedule.serve(settings(active_from=after(10)))
    reading = schedule.states.read()
    building = DirectoryBuilder(lambda each: Pool(each.pool, "ipv4"), closed_of=reading.closed)
    building.add(settings(active_from=after(10)))
    schedule.now += 10
    schedule.ring()
    (new,) = building.directory
    assert new.closed is not None
    schedule.states.serve(reading, building.waiting)
    assert new.closed is None
    assert [line["event"] for line in logged].count("endpoint_activated") == 1


def test_a_configuration_that_is_refused_changes_nothing(schedule: ClockedSchedule) -> None:
    schedule.serve(settings(active_from=after(10)))
    schedule.states.read().closed(settings(active_from=after(-5)))
    schedule.now += 10
    schedule.ring()
    assert schedule.is_open()


def test_waiting_is_logged_once(schedule: ClockedSchedule, logged: list[Any]) -> None:
    """And not with every reload; of very many not one by one."""
    many = [settings(f"u{n}", active_from=after(10)) for n in range(30)]
    schedule.serve(*many)
    schedule.serve(*many)
    assert [line["event"] for line in logged] == [*["endpoint_waits"] * 20, "endpoints_wait"]


@given(st.lists(st.one_of(st.floats(-200, 200), st.booleans()), max_size=30))
def test_never_twice(steps: list[float | bool]) -> None:
    """However the clock jumps, and whenever it is looked at: it opens once, for good."""
    schedule, opened = ClockedSchedule(), False
    with capture_logs() as logged:
        schedule.serve(settings(active_from=after(50)))
        for step in steps:
            if isinstance(step, bool):
                if step:
                    schedule.serve(settings(active_from=after(50)))
                elif schedule.asked:
                    schedule.ring()
            else:
                schedule.now += step
            assert not opened or schedule.is_open()
            opened = schedule.is_open()
    assert [line["event"] for line in logged].count("endpoint_activated") <= 1


@pytest.mark.parametrize(
    ("state", "at", "now", "expected"),
    [
        ("active", None, 0, "active"),
        ("maintenance", None, 0, "maintenance"),
        ("disabled", None, 0, "disabled"),
        ("active", 10, 9.9, "maintenance"),
        ("active", 10, 10, "active"),
        ("maintenance", 10, 9.9, "maintenance"),
        ("maintenance", 10, 10, "active"),
        ("disabled", 10, 9.9, "disabled"),
        ("disabled", 10, 10, "active"),
    ],
)
def test_state_at(state: str, at: float | None, now: float, expected: str) -> None:
    """Before its time an endpoint can't be active, after it it is (docs/configuration.md)."""
    each = settings(state=state, active_from=None if at is None else after(at))
    assert each.state_at(START + now) == expected


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-23T06:00:00+01:00", "2026-11-23T05:00:00"),
        ("2026-11-23 06:00:00 +01:00", "2026-11-23T05:00:00"),
        ("2026-11-23t06:00z", "2026-11-23T06:00:00"),
        ("2026-11-23T06:00:00.5-0530", "2026-11-23T11:30:00.500000"),
        ("2026-11-23T06:00:00+02", "2026-11-23T04:00:00"),
    ],
)
def test_moments(text: str, at: str) -> None:
    moment = parse_moment(text)
    assert moment.astimezone(UTC).isoformat() == f"{at}+00:00"
    assert parse_moment(written(moment)) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T06:00:00",
        "2026-11-23",
        "06:00+01:00",
        "2026-13-01T00:00Z",
        "now",
        "",
        "0001-01-01T00:00:00Z",
        "2026-11-23T06:00:00+25:00",
        "2026-11-23T24:30:00Z",
        "1" * 500,
    ],
)
def test_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it as in|no UTC offset|calendar|a year from"):
        parse_moment(text)


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        settings(active_from=datetime(2026, 11, 23))


def test_the_place_of_a_faulty_moment(tmp_path: Path) -> None:
    """A YAML timestamp is text here, so its fault has a line and a column."""
    main = tmp_path / "main.yaml"
    text = (
        "- {sip_address: a@contoso.com, pool_fqdn: p.contoso.com, active_from: 2026-11-23 06:00:00}"
    )
    main.write_text(f"listen: [udp://127.0.0.1:5060]\nendpoints:\n{text}\n")
    with pytest.raises(Exception, match=r"main.yaml:3:71: active_from: .* has no UTC offset"):
        load(main)


# -- on the wire ----------------------------------------------------------------------------------


def answer(daemon: Daemon, user: str, **fields: Any) -> Any:
    with talk("udp", daemon.address()) as client:
        return ask(client, request(uri=f"sip:{user}@contoso.com", **fields))


def accepts(daemon: Daemon, user: str) -> bool:
    """Whether a lookup's INVITE gets 200."""
    more = "Contact: <sip:user1@127.0.0.1>\r\nContent-Type: application/sdp\r\n"
    invite = request(uri=f"sip:{user}@contoso.com", more=more, body=SDP)
    with talk("udp", daemon.address()) as client:
        client.send(invite)
        data: bytes = client.socket.recv(65536)
        return data.startswith(b"SIP/2.0 200 ")


@pytest.mark.parametrize("mode", ["redirect", "lookup", "proxy"])
def test_answers(run_daemon: Run, mode: str) -> None:
    """Maintenance is 480 with Retry-After, disabled is 404, in every mode, and for OPTIONS too.

    In the mode `lookup` an INVITE gets 200: its client hears 503 when it asks.
    """
    soon = datetime.now(UTC) + timedelta(seconds=500)  # sooner than retry_after
    daemon = run_daemon(
        configuration(
            advertise="chatredirect.contoso.com",
            retry_after=600,
            endpoints=[
                endpoint("sip:down@contoso.com", mode=mode, state="maintenance"),
                endpoint("sip:off@contoso.com", mode=mode, state="disabled"),
                endpoint("sip:soon@contoso.com", mode=mode, active_from=soon.isoformat()),
                endpoint("sip:later@contoso.com", mode=mode, active_from="2126-01-01T00:00:00Z"),
                endpoint(
                    "sip:never@contoso.com",
                    mode=mode,
                    state="disabled",
                    active_from="2126-01-01T00:00:00Z",
                ),
            ],
        )
    )
    for method in ("INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE"):
        assert answer(daemon, "off", method=method).status == 404
        assert answer(daemon, "never", method=method).status == 404
        if mode == "lookup" and method == "INVITE":
            assert accepts(daemon, "down")
            assert accepts(daemon, "soon")
            continue
        down = answer(daemon, "down", method=method)
        assert (down.status, down["Retry-After"]) == (480, "600")
        assert 'in maintenance"' in down["Warning"]
        waits = answer(daemon, "soon", method=method)
        assert waits.status == 480
        assert 1 <= int(waits["Retry-After"]) <= 500
        assert written(soon) in waits["Warning"]
        assert answer(daemon, "later", method=method)["Retry-After"] == "600"


def test_it_opens_in_the_daemon(run_daemon: Run) -> None:
    """Nobody has to do anything."""
    keys = configuration()
    daemon = run_daemon(keys)
    soon = datetime.now(UTC) + timedelta(seconds=8)
    waiting = endpoint("sip:soon@contoso.com", active_from=soon.isoformat())
    daemon.config.write_text(yaml.safe_dump(keys | {"endpoints": [waiting]}))
    daemon.send_signal(signal.SIGHUP)
    assert daemon.event("endpoint_waits")["endpoint"] == "sip:soon@contoso.com"
    daemon.event("configuration_changed")
    assert answer(daemon, "soon").status == 480
    daemon.event("endpoint_activated", endpoint="sip:soon@contoso.com")
    assert time.time() >= soon.timestamp()
    assert answer(daemon, "soon").status == 302


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_lookups_that_have_begun_go_on(transport: str) -> None:
    """A state is for what is new: a retransmission gets its 200, a dialog goes to its end."""
    lookups = Lookups(transport=transport)
    _, served = lookups.directory.find(b"sip:ocschat@contoso.com")
    assert served is not None
    client = Client(lookups)
    assert client.invite().status == 200
    for disabled, status in ((False, 200), (True, 404)):
        served.closed = Unavailability(disabled, None, "in maintenance", time.time)
        again = lookups.send(client.first)
        assert {each.status for each in again} <= {200}  # over TCP a 200 isn't sent for it
        assert Client(lookups).invite().status == status
    client.ack()
    client.look_up()
    client.hang_up()
