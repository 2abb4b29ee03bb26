"""Kamailio as the front end in between: SIPp -> Kamailio (Record-Route) -> the daemon, and back.

The daemon's INFO goes to Kamailio over the connection that Kamailio has opened, and from there by
its Route to the client.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lookup.test_daemon import lookup_endpoint
from tests.service.daemon import Daemon
from tests.service.fixtures import Run
from tests.tls.authority import Authority, Leaf
from tests.tls.processes import errors, free_port, program, running, sipp

HERE = Path(__file__).parent
CALLS = 200


@contextmanager
def front_end_server(
    daemon: Daemon, transport: str, folder: Path, authority: Authority, leaf: Leaf
) -> Iterator[int]:
    """Kamailio, with this certificate where it speaks TLS; its UDP and TCP port."""
    kamailio, port, tls_port = program("kamailio"), free_port(), free_port()
    profile = folder / "tls.cfg"
    files = f"private_key = {leaf.private_key}\ncertificate = {leaf.certificate}\n"
    profile.write_text(
        f"[server:default]\nmethod = TLSv1.2+\n{files}\n"
        f"[client:default]\nmethod = TLSv1.2+\n{files}ca_list = {authority.file}\n"
        "verify_certificate = yes\nrequire_certificate = yes\n"
    )
    text = (HERE / "front-end.cfg").read_text()
    to = "{}:{}".format(*daemon.address(transport))
    for name, value in {
        "PORT": port,
        "TLS_PORT": tls_port,
        "TLS_CONFIG": profile,
        "DAEMON": f"{to};transport={transport}",
    }.items():
        text = text.replace(f"@{name}@", str(value))
    config = folder / "kamailio.cfg"
    config.write_text(text)
    # fewer and smaller pools than a server needs
    arguments = [kamailio, "-f", config, "-DD", "-E", "-w", folder, "-Y", folder, "-m", "64"]
    if transport == "tls":
        arguments += ["-A", "WITH_TLS"]
    with running([*arguments, "-M", "8"], folder, port):
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
        done = sipp(("127.0.0.1", port), tmp_path, scenario, calls=CALLS, rate=100)
    assert done.returncode == 0, errors(tmp_path) + done.stderr
    assert len(daemon.events("lookup")) == CALLS
    infos = [each for each in daemon.events("request") if each["method"] == "BYE"]
    assert {each["status"] for each in infos} == {200}
    assert {each["peer"].partition(":")[0] for each in infos} == {transport}
    assert not daemon.events("lookup_ended")
