"""Kamailio before the daemon as the front end, and Kamailio behind it as the pool's own server.

SIPp (UDP) -> Kamailio -> the daemon -> Kamailio -> SIPp (UDP), and back: four Record-Routes, of
which the daemon's must lead each request within the dialog through it both ways.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.kamailio import RELAY, kamailio
from tests.ports import free_port
from tests.proxy.real.dialog import POOL, hosts, proxied
from tests.proxy.real.test_sipp import BOTH, HERE
from tests.service.daemon import Daemon
from tests.service.fixtures import Run
from tests.sipp import answering, complaints, errors, sipp
from tests.tls.authority import Authority, Leaf
from tests.tls.conftest import FRONT_END
from tests.tls.processes import program

CALLS = 100
Section = Callable[..., dict[str, Any]]


def through(
    run_daemon: Run,
    folder: Path,
    caller: str,
    front: str,
    back: str,
    certificates: tuple[Authority, Leaf, Leaf],
    tls: dict[str, Any],
) -> Daemon:
    """Calls all the way through and back, none of which may fail."""
    program("sipp")
    program("kamailio")
    authority, front_end, pool = certificates
    secure = "tls" in (front, back)
    with ExitStack() as stack:
        # -nr: nothing is lost here, and what a busy machine makes SIPp repeat would confuse it
        uas = stack.enter_context(answering(HERE / f"{BOTH[caller]}.xml", folder, "-nr"))

        def relay(to: str, leaf: Leaf, transport: str) -> tuple[int, int]:
            port, tls_port = free_port(), free_port()
            defines = ("WITH_TLS",) if transport == "tls" else ()
            with_tls = (authority, leaf)
            stack.enter_context(
                kamailio(folder, port, RELAY, *defines, tls=with_tls, TLS_PORT=tls_port, TO=to)
            )
            return port, tls_port

        ports = relay(f"127.0.0.1:{uas};transport=udp", pool, back)
        daemon = run_daemon(
            listen=[f"{each}://127.0.0.1:0" for each in dict.fromkeys((front, back))],
            tls=tls if secure else None,
            trusted_peers=["127.0.0.1"] if front != "tls" else [],
            endpoints=[proxied(ports[back == "tls"], back)],
            dns=hosts(),
        )
        to = "{}:{};transport={}".format(*daemon.address(front), front)
        port, _ = relay(to, front_end, front)
        scenario = HERE / f"{caller}.xml"
        done = sipp(("127.0.0.1", port), folder, scenario, "-nr", calls=CALLS, rate=50)
        told = errors(folder) + done.stderr + complaints(folder, uas) + daemon.log_text[-3000:]
        assert done.returncode == 0, told
    return daemon


@pytest.mark.parametrize(
    ("caller", "front", "back"),
    [
        ("client_ends", "udp", "udp"),
        ("client_ends", "tls", "tcp"),
        ("client_ends", "tls", "tls"),
        ("pool_ends", "tcp", "tcp"),
        ("pool_ends", "udp", "tls"),
        ("pool_ends", "tls", "tls"),
        ("subscriber", "tcp", "tcp"),
        ("subscriber", "tls", "tls"),
    ],
)
def test_front_end_and_pool(
    run_daemon: Run,
    tls: Section,
    authority: Authority,
    front_end: Leaf,
    tmp_path: Path,
    caller: str,
    front: str,
    back: str,
) -> None:
    """None is lost, whatever they speak; over TLS with certificates both ways."""
    certificates = (authority, front_end, authority.issue(POOL, file="pool"))
    section = tls(allowed_peers=[FRONT_END, POOL])
    daemon = through(run_daemon, tmp_path, caller, front, back, certificates, section)
    answered = [each for each in daemon.events("request") if each["status"] >= 300]
    assert not answered
    peers = {each["peer"].partition(":")[0] for each in daemon.events("request")}
    assert peers <= {front, back}


def test_a_pool_without_the_right_certificate_gets_nothing(
    run_daemon: Run,
    tls: Section,
    authority: Authority,
    front_end: Leaf,
    stranger: Leaf,
    tmp_path: Path,
) -> None:
    """Its name isn't the pool's: no call reaches it, and the log says why."""
    certificates = (authority, front_end, stranger)
    with pytest.raises(AssertionError):
        through(run_daemon, tmp_path, "client_ends", "udp", "tls", certificates, tls())
    log = next(tmp_path.glob("daemon*.log")).read_text()
    assert f"its certificate names other.contoso.com, not {POOL}" in log
