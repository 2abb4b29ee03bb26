"""Kamailio as the front end: it relays over mutual TLS, follows the 302, and the call is taken.

SIPp (UDP) -> Kamailio -> the daemon (TLS): 302
              Kamailio -> SIPp (UDP): 200
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kamailio import kamailio
from tests.ports import free_port
from tests.service.daemon import Daemon, endpoint, eventually
from tests.service.fixtures import Run
from tests.sipp import errors, open_connection, sipp
from tests.tls.authority import Authority, Leaf
from tests.tls.processes import program

Section = Callable[..., dict[str, Any]]
HERE = Path(__file__).parent
CALLS = 200


@contextmanager
def front_end_server(
    daemon: Daemon, folder: Path, authority: Authority, leaf: Leaf
) -> Iterator[int]:
    """Kamailio that shows a certificate to the daemon; its UDP port."""
    port, to = free_port(), "{}:{}".format(*daemon.address("tls"))
    config = HERE / "front-end.cfg"
    tls = (authority, leaf)
    with kamailio(folder, port, config, tls=tls, TLS_PORT=free_port(), DAEMON=to):
        yield port


@contextmanager
def pool_server(folder: Path, port: int) -> Iterator[None]:
    """SIPp's own UAS, which takes every call."""
    process = subprocess.Popen(
        [program("sipp"), "-sn", "uas", "-i", "127.0.0.1", "-p", str(port), "-nostdin"],
        cwd=folder,
        env={"TERM": "dumb", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def behind_tls(run_daemon: Run, loop: str, tls: Section, pool_port: int) -> Daemon:
    """The daemon with an endpoint for trusted peers; addresses are no reason for trust."""
    pool = {"pool_fqdn": "127.0.0.1", "port": pool_port, "transport": "udp"}
    return run_daemon(
        loop=loop,
        listen=["tls://127.0.0.1:0"],
        tls=tls(),
        trusted_peers=[],
        endpoints=[endpoint(peers="trusted", **pool)],
    )


def test_calls_reach_the_pool(
    run_daemon: Run,
    loop: str,
    tls: Section,
    authority: Authority,
    front_end: Leaf,
    tmp_path: Path,
) -> None:
    """Every call is taken; all users' requests come over the front end's few connections."""
    program("sipp")
    pool_port = free_port()
    daemon = behind_tls(run_daemon, loop, tls, pool_port)
    with (
        pool_server(tmp_path, pool_port),
        front_end_server(daemon, tmp_path, authority, front_end) as port,
    ):
        open_connection(port, tmp_path, HERE / "call.xml")
        done = sipp(("127.0.0.1", port), tmp_path, HERE / "call.xml", calls=CALLS)
    assert done.returncode == 0, errors(tmp_path) + done.stderr

    def invites() -> list[dict[str, Any]]:
        return [each for each in daemon.events("request") if each["method"] == "INVITE"]

    eventually(lambda: len({each["call_id"] for each in invites()}) == 1 + CALLS, "their lines")
    requests = invites()
    assert {each["status"] for each in requests} == {302}
    peers = {each["peer"] for each in requests}
    assert all(peer.startswith("tls://127.0.0.1:") for peer in peers)
    assert len(peers) <= 4


def test_another_server_gets_nothing(
    run_daemon: Run,
    loop: str,
    tls: Section,
    authority: Authority,
    stranger: Leaf,
    tmp_path: Path,
) -> None:
    """The same with a certificate that isn't on the list: no call, and a line that says why."""
    program("sipp")
    daemon = behind_tls(run_daemon, loop, tls, free_port())
    with front_end_server(daemon, tmp_path, authority, stranger) as port:
        done = sipp(("127.0.0.1", port), tmp_path, HERE / "call.xml", "-timeout", "6s", calls=1)
    assert done.returncode != 0
    line = daemon.event("peer_refused")
    assert line["why"] == (
        "its certificate names other.contoso.com; tls.allowed_peers has none of these"
    )
    assert not daemon.events("request")
