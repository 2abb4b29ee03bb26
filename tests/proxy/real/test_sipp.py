"""SIPp on both sides of the daemon: dialogs, subscriptions, cancelled calls, and lost packets."""

from pathlib import Path
from typing import Any

import pytest

from tests.proxy.real.dialog import hosts, proxied
from tests.proxy.real.lossy import lossy
from tests.proxy.real.test_members import MEMBERS, members
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
#: What keeps a busy machine from failing calls over UDP. SIPp repeats nothing, since nothing is
#: lost here: it takes the 200 to an INVITE that comes again for the one that its INFO waits for.
#: What the daemon repeats after half a second (RFC 3261 §17.1.2.2) ends no call: one that doesn't
#: get what it expects still fails, with the timeout.
OVER_UDP = ("-nr", "-default_behaviors", "all,-abortunexp")


def mode(transport: str) -> str:
    """SIPp's: one socket for all calls."""
    return "u1" if transport == "udp" else "t1"


def call(daemon: Daemon, folder: Path, caller: str, port: int, *arguments: str, calls: int) -> None:
    """Calls to a daemon whose pool is on a port, none of which may fail on either side."""
    to = daemon.address("udp" if "u1" in arguments else "tcp")
    scenario = HERE / f"{caller}.xml"
    done = sipp(to, folder, scenario, *arguments, calls=calls)
    told = errors(folder) + done.stderr + complaints(folder, port) + daemon.log_text[-2000:]
    assert done.returncode == 0, told


@pytest.mark.parametrize(
    ("caller", "front", "back"),
    [
        ("client_ends", "udp", "udp"),
        ("client_ends", "udp", "tcp"),
        ("client_ends", "tcp", "udp"),
        ("client_ends", "tcp", "tcp"),
        ("pool_ends", "udp", "udp"),
        ("pool_ends", "tcp", "tcp"),
        ("pool_ends", "udp", "tcp"),
        ("subscriber", "udp", "udp"),
        ("subscriber", "tcp", "tcp"),
        ("canceller", "udp", "tcp"),
        ("canceller", "tcp", "udp"),
    ],
)
def test_all_calls_succeed(
    run_daemon: Run, tmp_path: Path, caller: str, front: str, back: str
) -> None:
    """Whatever the two sides speak; requests within dialogs find their way both ways."""
    program("sipp")
    patience = () if front == back == "tcp" else OVER_UDP
    server = HERE / f"{BOTH[caller]}.xml"
    with answering(server, tmp_path, "-t", mode(back), *patience) as port:
        daemon = run_daemon(endpoints=[proxied(port, back)], dns=hosts())
        call(daemon, tmp_path, caller, port, "-t", mode(front), *patience, calls=CALLS)
    assert not daemon.events("target_failed")

    def invited() -> list[dict[str, Any]]:
        return [each for each in daemon.events("request") if each["method"] == "INVITE"]

    if caller != "subscriber":
        eventually(lambda: len({each["call_id"] for each in invited()}) == CALLS, "their lines")
    invites = invited()
    assert {each["status"] for each in invites} <= {487 if caller == "canceller" else 200}
    assert {each["target"] for each in invites} <= {f"{back}://127.0.0.1:{port}"}


def test_lost_packets_as_the_pool_asks(run_daemon: Run, tmp_path: Path) -> None:
    """A tenth of what goes either way before the daemon, and to the pool, is lost: it is repeated.

    On the caller's side SIPp loses them; as a server it doesn't recover from its own losses, and
    takes an INVITE whose 180 and 200 were both lost for another one when it is repeated.
    """
    program("sipp")
    with (
        answering(HERE / "lossy_pool_of_pool_ends.xml", tmp_path) as port,
        lossy(port, 0.1, both_ways=False) as lossy_port,
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
