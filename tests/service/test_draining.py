"""The daemon is told to stop: what is open may finish, nothing new is begun, redirects go on."""

import json
import re
import signal
import socket
import time

import pytest

from tests.lookup.in_memory_lookups import REQURI, SDP
from tests.ports import free_port
from tests.service.client import ask, request, talk
from tests.service.daemon import PATIENCE, eventually
from tests.service.fixtures import Run
from tests.service.lookup_caller import Caller, lookups


def test_what_is_open_may_finish(run_daemon: Run) -> None:
    """An open lookup keeps it; others are served; redirects go on; then it ends, with status 0."""
    daemon = run_daemon(lookups(drain=PATIENCE))
    caller = Caller(daemon).begin()
    daemon.send_signal(signal.SIGTERM)
    daemon.event("draining")
    Caller(daemon).begin().hang_up()
    with talk("udp", daemon.address()) as other, talk("tcp", daemon.address("tcp")) as stream:
        for client in (other, stream):
            redirected = ask(client, request())
            assert redirected is not None
            assert redirected.status == 302
        assert daemon.process.poll() is None
        caller.hang_up()
        assert daemon.process.wait(PATIENCE) == 0
    assert daemon.event("drained")["all_ended"] is True
    assert daemon.events("stopped")


def test_no_lookup_begins_without_time_for_it(run_daemon: Run) -> None:
    """docs/answers.md: with less than 3 s left 503 with Retry-After, so that it goes elsewhere."""
    daemon = run_daemon(lookups(drain=2.9))
    caller = Caller(daemon).begin()
    daemon.send_signal(signal.SIGTERM)
    daemon.event("draining")
    other = Caller(daemon)
    other.send("INVITE", body=SDP)
    answer = other.receive()
    assert answer.startswith("SIP/2.0 503 ")
    assert re.search(r"^Retry-After: [1-9]", answer, re.MULTILINE)
    caller.hang_up()
    assert daemon.process.wait(PATIENCE) == 0


def test_what_does_not_finish_gets_a_bye(run_daemon: Run) -> None:
    """When `drain` seconds are over, and the daemon ends."""
    daemon = run_daemon(lookups(drain=0.5))
    caller = Caller(daemon).begin()
    daemon.send_signal(signal.SIGTERM)
    assert caller.receive().startswith("BYE sip:user1@127.0.0.1")
    assert daemon.process.wait(PATIENCE) == 0
    assert daemon.event("not_drained")["lookups"] == 1


def test_nothing_open_takes_no_time(run_daemon: Run) -> None:
    daemon = run_daemon(lookups(drain=PATIENCE))
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < PATIENCE / 2
    assert not daemon.events("draining")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_second_signal_ends_it_at_once(
    run_daemon: Run, loop: str, second: signal.Signals
) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop isn't installed")
    daemon = run_daemon(lookups(drain=600.0, loop=loop))
    Caller(daemon).begin()
    daemon.send_signal(signal.SIGTERM)
    daemon.event("draining")
    with talk("tcp", daemon.address("tcp")) as idle:
        daemon.send_signal(second)
        assert daemon.process.wait(PATIENCE) == 0
        assert idle.rest() in (b"", b"<reset>")
    assert daemon.events("stopped_at_once")


def test_a_reload_at_the_end_is_not_begun(run_daemon: Run) -> None:
    daemon = run_daemon(lookups(drain=PATIENCE))
    caller = Caller(daemon).begin()
    daemon.send_signal(signal.SIGTERM)
    daemon.event("draining")
    daemon.send_signal(signal.SIGHUP)
    caller.hang_up()
    assert daemon.process.wait(PATIENCE) == 0
    assert not daemon.events("configuration_unchanged")


def test_it_is_told_to_whom_it_may_concern(run_daemon: Run) -> None:
    """A second daemon can have the addresses as soon as the first has ended."""
    listen = [f"udp://127.0.0.1:{free_port()}"]  # which nobody else gets
    first = run_daemon(lookups(drain=PATIENCE, listen=listen))
    caller = Caller(first).begin()
    first.send_signal(signal.SIGTERM)
    first.event("draining")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
        pytest.raises(OSError, match="in use"),
    ):
        taken.bind(first.address())
    caller.hang_up()
    eventually(lambda: first.process.poll() is not None, "its end")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(first.address())


def test_the_log_tells_the_story_of_a_call(run_daemon: Run) -> None:
    """Its Call-ID is in every line about it, from the INVITE to why it ended."""
    daemon = run_daemon(lookups(drain=0.2))
    caller = Caller(daemon).begin()
    caller.send("INFO", body=REQURI)
    assert "200" in caller.receive().partition("\r\n")[0]
    assert caller.receive().startswith("INFO ")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.process.wait(PATIENCE) == 0
    call_id = f"call-{caller.udp.port}"
    story = [json.loads(line)["event"] for line in daemon.log_text.splitlines() if call_id in line]
    assert story == ["request", "request", "lookup", "not_drained"]
    assert daemon.event("lookup")["channel"] == "sip:lookup@pcpool.contoso.com"
