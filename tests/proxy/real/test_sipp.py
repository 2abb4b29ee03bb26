"""SIPp on both sides of the daemon: dialogs, subscriptions, cancelled calls, and lost packets."""

from pathlib import Path

import pytest

from tests.proxy.real.dialog import hosts, proxied
from tests.proxy.real.lossy import lossy
from tests.proxy.real.test_members import MEMBERS, members
from tests.service.daemon import Daemon
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


def run(run_daemon: Run, folder: Path, caller: str, front: str, back: str) -> Daemon:
    """Calls through a daemon, none of which may fail on either side."""
    program("sipp")
    with answering(HERE / f"{BOTH[caller]}.xml", folder, "-t", mode(back)) as port:
        daemon = run_daemon(endpoints=[proxied(port, back)], dns=hosts())
        call(daemon, folder, caller, port, "-t", mode(front), calls=CALLS)
    return daemon


def call(daemon: Daemon, folder: Path, caller: str, port: int, *arguments: str, calls: int) -> None:
    """Calls to a daemon, whose pool is on a port."""
    to = daemon.address("udp" if "u1" in arguments else "tcp")
    done = sipp(to, folder, HERE / f"{caller}.xml", *arguments, calls=calls, rate=100)
    told = errors(folder) + done.stderr + complaints(folder, port) + daemon.log_text[-2000:]
    assert done.returncode == 0, told


@pytest.mark.parametrize("back", ["udp", "tcp"])
@pytest.mark.parametrize("front", ["udp", "tcp"])
@pytest.mark.parametrize("caller", ["client_ends", "pool_ends", "subscriber", "canceller"])
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


def test_lost_packets_as_the_pool_asks(run_daemon: Run, tmp_path: Path) -> None:
    """A tenth of what goes either way on either side is lost: it is repeated.

    On the caller's side SIPp loses them; as a server it doesn't recover from its own losses.
    """
    program("sipp")
    with (
        answering(HERE / "lossy_pool_of_pool_ends.xml", tmp_path) as port,
        lossy(port, 0.1) as lossy_port,
    ):
        daemon = run_daemon(endpoints=[proxied(lossy_port, "udp")], dns=hosts())
        arguments = ("-t", "u1", "-lost", "10")
        call(daemon, tmp_path, "lossy_pool_ends", port, *arguments, calls=60)


def test_lost_packets_as_the_client_asks(run_daemon: Run, tmp_path: Path) -> None:
    """The same the other way round; where an ACK may be late, SIPp is no good server either."""
    program("sipp")
    with members(tmp_path) as pool, lossy(pool.port, 0.1, MEMBERS[0]) as lossy_port:
        daemon = run_daemon(endpoints=[proxied(lossy_port, "udp")], dns=hosts())
        arguments = ("-t", "u1", "-lost", "10")
        call(daemon, tmp_path, "lossy_client_ends", pool.port, *arguments, calls=60)


def test_a_front_end_with_many_connections(run_daemon: Run, tmp_path: Path) -> None:
    """A connection for each call (SIPp's tn), each of which gets what is its own."""
    program("sipp")
    with answering(HERE / "pool_of_pool_ends.xml", tmp_path, "-t", "t1") as port:
        daemon = run_daemon(endpoints=[proxied(port)], dns=hosts())
        arguments = ("-t", "tn", "-max_socket", "1000")
        call(daemon, tmp_path, "pool_ends", port, *arguments, calls=CALLS)
    # all of them shared one connection to the pool
    assert len(daemon.events("connected")) == 1
