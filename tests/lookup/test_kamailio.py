"""Kamailio as the front end in between: SIPp -> Kamailio (Record-Route) -> the daemon, and back.

The daemon's INFO goes to Kamailio over the connection that Kamailio has opened, and from there by
its Route to the client.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kamailio import RELAY, kamailio
from tests.lookup.test_daemon import lookup_endpoint
from tests.ports import free_port
from tests.service.daemon import Daemon, eventually
from tests.service.fixtures import Run
from tests.sipp import errors, open_connection, sipp
from tests.tls.authority import Authority, Leaf
from tests.tls.processes import program

HERE = Path(__file__).parent
CALLS = 200


@contextmanager
def front_end_server(
    daemon: Daemon, transport: str, folder: Path, authority: Authority, leaf: Leaf
) -> Iterator[int]:
    """Kamailio, with this certificate where it speaks TLS; its UDP and TCP port."""
    port, defines = free_port(), ("WITH_TLS",) if transport == "tls" else ()
    to = "{}:{};transport={}".format(*daemon.address(transport), transport)
    with kamailio(
        folder, port, RELAY, *defines, tls=(authority, leaf), TLS_PORT=free_port(), TO=to
    ):
        yield port


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_lookups_through_a_front_end(
    run_daemon: Run,
    tls: Callable[..., dict[str, Any]],
    authority: Authority,
    front_end: Leaf,
    tmp_path: Path,
    transport: str,
) -> None:
    """None is lost, whatever they speak; over TLS with certificates both ways."""
    program("sipp")
    daemon = run_daemon(
        listen=[f"{transport}://127.0.0.1:0"],
        tls=tls() if transport == "tls" else None,
        trusted_peers=[] if transport == "tls" else ["127.0.0.1"],
        endpoints=[lookup_endpoint()],
    )
    with front_end_server(daemon, transport, tmp_path, authority, front_end) as port:
        scenario = HERE / "lookup.xml"
        open_connection(port, tmp_path, scenario)
        before = len(daemon.events("lookup"))
        # -nr: nothing is lost here, and what a busy machine makes SIPp repeat would confuse it
        done = sipp(("127.0.0.1", port), tmp_path, scenario, "-nr", calls=CALLS, rate=100)
    assert done.returncode == 0, errors(tmp_path) + done.stderr
    eventually(lambda: len(daemon.events("lookup")) >= before + CALLS, "a line for each")
    assert len(daemon.events("lookup")) == before + CALLS
    infos = [each for each in daemon.events("request") if each["method"] == "BYE"]
    assert {each["status"] for each in infos} == {200}
    assert {each["peer"].partition(":")[0] for each in infos} == {transport}
    assert not daemon.events("lookup_ended")
