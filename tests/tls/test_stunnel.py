"""Load over TLS from SIPp, whose TLS stunnel does: Debian's SIPp has none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.service.daemon import eventually
from tests.service.fixtures import Run
from tests.sipp import errors, sipp
from tests.tls.authority import Authority, Leaf
from tests.tls.client import SERVER
from tests.tls.processes import program, running

Section = Callable[..., dict[str, Any]]
INVITE = Path(__file__).parents[1] / "peers/invite.xml"
CALLS = 600


@pytest.mark.parametrize("mode", ["t1", "tn"])
def test_calls_through_stunnel(
    run_daemon: Run,
    loop: str,
    tls: Section,
    authority: Authority,
    front_end: Leaf,
    tmp_path: Path,
    mode: str,
) -> None:
    """On one connection for all calls, and on one for each; none fails."""
    stunnel, port = program("stunnel4"), free_port()
    daemon = run_daemon(
        loop=loop,
        listen=["tls://127.0.0.1:0"],
        tls=tls(),
        limits={"handshakes_per_peer": 1000, "handshakes": 1000},
    )
    host, secure = daemon.address("tls")
    config = tmp_path / "stunnel.conf"
    config.write_text(
        f"foreground = yes\npid =\n[sip]\nclient = yes\naccept = 127.0.0.1:{port}\n"
        f"connect = {host}:{secure}\ncert = {front_end.certificate}\n"
        f"key = {front_end.private_key}\nCAfile = {authority.file}\n"
        f"verifyChain = yes\ncheckHost = {SERVER}\n"
    )
    calls = CALLS if mode == "t1" else 100
    with running([stunnel, config], tmp_path, port):
        done = sipp(
            ("127.0.0.1", port), tmp_path, INVITE, "-t", mode, "-max_socket", "800", calls=calls
        )
    assert done.returncode == 0, errors(tmp_path) + done.stderr

    def redirected() -> list[dict[str, Any]]:
        requests = daemon.events("request")
        return [each for each in requests if each["method"] == "INVITE" and each["status"] == 302]

    eventually(lambda: len(redirected()) >= calls, "their lines")
    answered = redirected()
    assert len(answered) == calls
    peers = {each["peer"] for each in answered}
    assert len(peers) == (1 if mode == "t1" else calls)
    assert all(peer.startswith("tls://127.0.0.1:") for peer in peers)
