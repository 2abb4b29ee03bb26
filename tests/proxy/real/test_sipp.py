"""SIPp on both sides of the daemon: dialogs, subscriptions, cancelled calls, and lost packets."""

from pathlib import Path

import pytest

from tests.proxy.real.dialog import hosts, proxied
from tests.service.daemon import Daemon, eventually
from tests.service.fixtures import Run
from tests.sipp import answering, complaints, errors, sipp
from tests.tls.processes import program

HERE = Path(__file__).parent
#: The caller's scenario, and the pool's.
BOTH = {
    "client_ends": "pool_of_client_ends",
    "pool_ends": "pool_of_pool_ends",
    "subscriber": "notifier",
    "canceller": "cancelled",
}
CALLS = 200


def mode(transport: str) -> str:
    """SIPp's: one socket for all calls."""
    return "u1" if transport == "udp" else "t1"


def run(
    run_daemon: Run, folder: Path, caller: str, front: str, back: str, *lossy: str, rate: int = 100
) -> Daemon:
    """Calls through a daemon, none of which may fail on either side."""
    program("sipp")
    calls = 100 if lossy else CALLS
    with answering(HERE / f"{BOTH[caller]}.xml", folder, "-t", mode(back), *lossy) as port:
        daemon = run_daemon(endpoints=[proxied(port, back)], dns=hosts())
        scenario = HERE / f"{caller}.xml"
        to = daemon.address(front)
        done = sipp(to, folder, scenario, "-t", mode(front), *lossy, calls=calls, rate=rate)
        told = errors(folder) + done.stderr + complaints(folder, port) + daemon.log_text[-2000:]
        assert done.returncode == 0, told
    return daemon


@pytest.mark.parametrize("back", ["udp", "tcp"])
@pytest.mark.parametrize("front", ["udp", "tcp"])
@pytest.mark.parametrize("caller", BOTH)
def test_all_calls_succeed(
    run_daemon: Run, tmp_path: Path, caller: str, front: str, back: str
) -> None:
    """Whatever the two sides speak; requests within dialogs find their way both ways."""
    daemon = run(run_daemon, tmp_path, caller, front, back)
    assert not daemon.events("target_failed")
    invites = [each for each in daemon.events("request") if each["method"] == "INVITE"]
    if caller == "canceller":
        assert {each["status"] for each in invites} == {487}
    elif invites:
        assert {each["status"] for each in invites} == {200}
        assert len({each["call_id"] for each in invites}) == CALLS


@pytest.mark.parametrize("caller", ["client_ends", "pool_ends", "subscriber", "canceller"])
def test_lost_packets(run_daemon: Run, tmp_path: Path, caller: str) -> None:
    """A tenth of what either side sends or receives is lost: it is repeated."""
    run(run_daemon, tmp_path, caller, "udp", "udp", "-lost", "10", rate=50)


def test_a_front_end_with_many_connections(run_daemon: Run, tmp_path: Path) -> None:
    """A connection for each call (SIPp's tn), each of which gets what is its own."""
    program("sipp")
    with answering(HERE / "pool_of_pool_ends.xml", tmp_path, "-t", "t1") as port:
        daemon = run_daemon(endpoints=[proxied(port)], dns=hosts())
        arguments = ("-t", "tn", "-max_socket", "1000")
        scenario = HERE / "pool_ends.xml"
        done = sipp(daemon.address("tcp"), tmp_path, scenario, *arguments, calls=CALLS)
        assert done.returncode == 0, errors(tmp_path) + complaints(tmp_path, port)
        # all of them shared one connection to the pool
        assert len(daemon.events("connected")) == 1
        eventually(lambda: not daemon.events("target_failed"), "no failure")
