"""docs/troubleshooting.md, step by step: a fault is made, and its page says what the commands show.

What a command shows is looked for in the page, and what the page says in the command.
"""

import io
import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chatredirect.control.client import ask as ask_daemon
from chatredirect.status.sheet import WIDTH, draw
from tests.ports import free_port
from tests.service.client import ask, request, talk
from tests.service.daemon import ROOT, Daemon, endpoint, eventually
from tests.service.fixtures import Run
from tests.tls.authority import Authority, Leaf, peer_context
from tests.tls.client import client_context, talk_tls
from tests.trace.trace_process import Looking, asked, looking

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
BOB = "<sip:bob@contoso.com>;tag=b{n}"
URI = "sip:ocschat@contoso.com"


def traced(
    daemon: Daemon, control: str, folder: Path, uri: str = URI, method: str = "INVITE"
) -> str:
    """What the page's trace shows of a call of bob's."""
    with (
        looking(folder, control, "--from", "bob@contoso.com") as trace,
        talk("udp", daemon.address()) as client,
    ):
        ask(client, request(method, uri=uri, from_=BOB))
        trace.shows("* ")
        eventually(lambda: trace.text.count("\n") >= 5, trace.text)
        return _unwrapped(trace)


def _unwrapped(trace: Looking) -> str:
    return re.sub(r"\s*\n\s*", " ", trace.text)


def glance(control: str) -> str:
    """What the page's first command shows, without its lines' breaks."""
    console = Console(width=WIDTH, file=io.StringIO())
    with console.capture() as captured:
        draw(ask_daemon(control, "status"), console)
    return re.sub(r"\s+", " ", captured.get())


def says(said: str, *shown: str) -> None:
    """The page has this text, and so has each output."""
    assert f"`{said}" in PAGE or f"{said}`" in PAGE or said in PAGE
    for each in shown:
        assert said in each, each


def test_every_link_leads_to_a_heading() -> None:
    headings = {
        re.sub(r"[^a-z -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in PAGE.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([a-z-]+)\)", PAGE)) <= headings


def test_no_daemon(control: str) -> None:
    says("the daemon isn't running", asked("status", "--socket", control, status=69))


def test_a_refused_reload(run_daemon: Run, control: str) -> None:
    daemon = run_daemon(control={"socket": control})
    daemon.config.write_text("listen: nowhere\n")
    asked("reload", "--socket", control, status=78)
    says("last reload", glance(control))
    says("refused", glance(control))


def test_dns_is_down(run_daemon: Run, control: str, tmp_path: Path) -> None:
    """A name server that isn't there."""
    port = free_port()
    daemon = run_daemon(
        control={"socket": control},
        endpoints=[endpoint(port=None, transport=None)],
        dns={"nameservers": [f"127.0.0.1:{port}"], "timeout": 0.2, "lifetime": 0.5},
    )
    eventually(lambda: "not resolved yet" not in glance(control), "the first answer")
    shown = traced(daemon, control, tmp_path)
    assert "480, pcpool.contoso.com: " in shown
    assert "1 with a trouble" in glance(control)
    resolved = asked("resolve", "pcpool.contoso.com", "--config", str(daemon.config), status=75)
    for each in (shown, glance(control), re.sub(r"\s+", " ", resolved)):
        failed = re.search(rf"no name server answers|127.0.0.1:{port}.*connection refused", each)
        assert failed is not None, each
        says(failed[0].rpartition(": ")[2])
    # what the page says gets callers through
    text = daemon.config.read_text()
    daemon.config.write_text(
        text.replace("dns:\n", "dns:\n  hosts: {pcpool.contoso.com: [192.0.2.20]}\n")
    )
    asked("reload", "--socket", control)
    assert "302 to" in traced(daemon, control, tmp_path)


def test_the_pool_is_unknown_to_dns(run_daemon: Run, control: str, tmp_path: Path) -> None:
    """RFC 6761 §6.4: invalid. exists nowhere; no name server is asked for it."""
    daemon = run_daemon(control={"socket": control}, endpoints=[endpoint(pool_fqdn="p.invalid")])
    eventually(lambda: "p.invalid" in glance(control), "the pool")
    assert "480, p.invalid: " in traced(daemon, control, tmp_path)


def test_the_pool_is_down(run_daemon: Run, control: str, tmp_path: Path) -> None:
    """A target where nobody listens, pinged; `check --live` finds the same."""
    port = free_port()
    daemon = run_daemon(
        control={"socket": control},
        endpoints=[endpoint(port=port, transport="tcp")],
        dns={"hosts": {"pcpool.contoso.com": ["127.0.0.1"]}},
        health={"interval": 1, "timeout": 1, "losses": 1},
    )
    eventually(lambda: "target is down" in glance(control), "the ping to be lost")
    shown = traced(daemon, control, tmp_path)
    says("its only target is down", shown, glance(control))
    assert "480, pcpool.contoso.com: its only target is down" in shown
    says("connection refused", glance(control))
    says("connection refused", asked("check", str(daemon.config), "--live", status=1))


def test_an_unknown_uri(run_daemon: Run, control: str, tmp_path: Path) -> None:
    """Served after the page's own command."""
    (tmp_path / "endpoints.d").mkdir()
    daemon = run_daemon(control={"socket": control}, include="endpoints.d/*.yaml")
    shown = traced(daemon, control, tmp_path, "sip:ocschat@fabrikam.com")
    says("404, no endpoint has this URI", shown)
    line = re.search(r"^chatredirect (endpoint new .*)$", PAGE, re.MULTILINE)
    assert line is not None
    asked(*line[1].split(), "--config", str(daemon.config))
    shown = traced(daemon, control, tmp_path, uri="sip:groupchat@contoso.com")
    assert "endpoint sip:groupchat@contoso.com" in shown
    assert "no endpoint has this URI" not in shown


def test_a_peer_that_is_not_trusted(run_daemon: Run, control: str, tmp_path: Path) -> None:
    daemon = run_daemon(
        control={"socket": control},
        trusted_peers=["192.0.2.0/24"],
        endpoints=[endpoint(mode="lookup")],
    )
    shown = traced(daemon, control, tmp_path)
    says("403, the peer isn't trusted", shown)
    assert "caller udp://127.0.0.1:" in shown, "the address that belongs into trusted_peers"


def test_an_endpoint_in_maintenance(run_daemon: Run, control: str, tmp_path: Path) -> None:
    """Closed, seen, and opened again with the page's own command."""
    folder = tmp_path / "endpoints.d"
    folder.mkdir()
    file = folder / "ocschat@contoso.com.yaml"
    file.write_text(f"sip_address: {URI}\npool_fqdn: pcpool.contoso.com\nstate: maintenance\n")
    daemon = run_daemon(control={"socket": control}, include="endpoints.d/*.yaml", endpoints=[])
    shown = traced(daemon, control, tmp_path)
    assert "480, " in shown
    says("maintenance", shown, glance(control))
    line = re.search(r"^chatredirect (endpoint set .*)$", PAGE, re.MULTILINE)
    assert line is not None
    asked(*line[1].split(), "--config", str(daemon.config))
    assert "302 to" in traced(daemon, control, tmp_path)


def test_a_redirect_that_nobody_follows(run_daemon: Run, control: str, tmp_path: Path) -> None:
    daemon = run_daemon(control={"socket": control})
    says("302 to", traced(daemon, control, tmp_path))


@pytest.mark.parametrize(
    ("whose", "said"),
    [
        ("stranger", "peer_refused: its certificate names"),
        ("nobody", "tls_handshake_failed: the peer showed no certificate"),
        ("forger", "tls_handshake_failed: the peer's certificate was refused"),
    ],
)
def test_a_wrong_certificate(
    run_daemon: Run,
    control: str,
    tmp_path: Path,
    tls: Callable[..., dict[str, Any]],
    authority: Authority,
    stranger: Leaf,
    whose: str,
    said: str,
) -> None:
    """A stranger's, none, and one of another authority: three lines of the page's table."""
    (tmp_path / "other").mkdir()
    forger = Authority(tmp_path / "other").issue("fe01.contoso.com")
    own = {"stranger": stranger, "nobody": None, "forger": forger}[whose]
    daemon = run_daemon(control={"socket": control}, listen=["tls://127.0.0.1:0"], tls=tls())
    with looking(tmp_path, control, "--peer", "127.0.0.1") as trace:
        try:
            with talk_tls(daemon.address("tls"), client_context(authority.file, own)) as client:
                client.rest()
        except (ssl.SSLError, ConnectionError):
            pass  # refused while it still shook hands
        trace.shows("#" if whose == "never" else said.partition(":")[0])
        says(said, re.sub(r"\s*\n\s+", " ", trace.text))


def test_nothing_arrives(run_daemon: Run, control: str, tmp_path: Path) -> None:
    """The trace stays empty, and probe finds the listener all the same."""
    daemon = run_daemon(control={"socket": control})
    host, port = daemon.address("tcp")
    with looking(tmp_path, control, "--from", "bob@contoso.com") as trace:
        probed = asked("probe", URI, "--via", f"tcp:{host}:{port}")
        assert "302" in probed
        assert trace.text.count("\n") == 1, "its heading"
    gone = free_port()
    says("connection refused", asked("probe", URI, "--via", f"tcp:127.0.0.1:{gone}", status=69))


def test_the_pool_of_a_proxied_endpoint_is_down(
    run_daemon: Run, control: str, tmp_path: Path
) -> None:
    """Found out by the call itself first; by its pings then, and it is said as for a redirect."""
    port = free_port()
    daemon = run_daemon(
        control={"socket": control},
        endpoints=[endpoint(mode="proxy", port=port, transport="tcp")],
        dns={"hosts": {"pcpool.contoso.com": ["127.0.0.1"]}},
    )
    shown = traced(daemon, control, tmp_path, method="SUBSCRIBE")
    says("connection refused", shown)
    assert f"500, tcp://127.0.0.1:{port}: " in shown
    text = daemon.config.read_text()
    daemon.config.write_text(f"{text}\nhealth: {{interval: 1, timeout: 1, losses: 1}}\n")
    asked("reload", "--socket", control)
    eventually(lambda: "target is down" in glance(control), "the ping to be lost")
    shown = traced(daemon, control, tmp_path, method="SUBSCRIBE")
    assert "480, pcpool.contoso.com: its only target is down" in shown


def test_the_pool_shows_a_wrong_certificate(
    run_daemon: Run,
    control: str,
    tmp_path: Path,
    tls: Callable[..., dict[str, Any]],
    stranger: Leaf,
) -> None:
    """A good one of another name: the trace, `status` and the page say whose."""
    context = peer_context(stranger)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]

        def serve() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = sock.accept()
                    with suppress(OSError), context.wrap_socket(peer, server_side=True) as other:
                        other.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        daemon = run_daemon(
            control={"socket": control},
            endpoints=[endpoint(mode="proxy", port=port)],
            dns={"hosts": {"pcpool.contoso.com": ["127.0.0.1"]}},
            tls=tls(),
        )
        said = "its certificate names other.contoso.com, not pcpool.contoso.com"
        says(said, traced(daemon, control, tmp_path, method="SUBSCRIBE"))
        text = daemon.config.read_text()
        daemon.config.write_text(f"{text}\nhealth: {{interval: 1, timeout: 1, losses: 1}}\n")
        asked("reload", "--socket", control)
        eventually(lambda: said in glance(control), "the ping to be lost")
        sock.shutdown(socket.SHUT_RDWR)
