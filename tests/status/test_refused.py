"""The parts of a status about refusals: whom, why, how often, and the key to change."""

import json
import re
import socket
import ssl
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatredirect.config import load
from chatredirect.net.refusals import RefusalReason
from chatredirect.status.refused import wording
from tests.service.client import ask, request, talk
from tests.service.daemon import PATIENCE, ROOT, Daemon, configuration, endpoint, eventually
from tests.service.fixtures import Run
from tests.status.test_status import DOCS, status
from tests.tls.authority import Authority, Leaf
from tests.tls.client import client_context, talk_tls
from tests.trace.trace_process import asked

TLS = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
FIRST_STEPS = PAGE.partition("## First")[2].partition("\n## ")[0]
TRUSTED = ["192.0.2.0/24"]  # nobody here


def refused(control: str, reason: str) -> dict[str, Any]:
    """The row of a reason, as soon as it is there."""

    def look() -> dict[str, Any] | None:
        rows = status(control)["refused"]["peers"]
        return next((row for row in rows if row["reason"] == reason), None)

    return dict(eventually(look, reason))


def reached(control: str, key: str) -> dict[str, Any]:
    """The row of a limit, as soon as it is there."""

    def look() -> dict[str, Any] | None:
        limits = status(control)["refused"]["limits"]
        return next((limit for limit in limits if limit["key"] == key), None)

    return dict(eventually(look, key))


def handshake(daemon: Daemon, context: ssl.SSLContext) -> None:
    """Connect, and see what comes of it; with TLS 1.3 a refusal comes after the handshake."""
    with suppress(OSError), talk_tls(daemon.address("tls"), context) as peer:
        peer.rest()


def test_a_front_end_whose_name_isnt_allowed(
    run_daemon: Run,
    control: str,
    tls: Callable[..., dict[str, Any]],
    authority: Authority,
    stranger: Leaf,
) -> None:
    """The likeliest fault of all: one look says who, with which names, and what to write where.

    What it says is done, and the front end is let in; until it comes again the row tells that it is
    older than the configuration.
    """
    daemon = run_daemon(control={"socket": control}, listen=TLS, tls=tls(), trusted_peers=TRUSTED)
    context = client_context(authority.file, stranger)
    for _ in range(2):
        handshake(daemon, context)
    eventually(lambda: refused(control, "name_not_allowed")["count"] == 2, "both")
    row = refused(control, "name_not_allowed")
    assert (row["peer"], row["transport"], row["standing"]) == ("127.0.0.1", "tls", "known")
    assert row["names"] == ["other.contoso.com"]
    assert (row["key"], row["value"]) == ("tls.allowed_peers", "other.contoso.com")
    assert row["first"] <= row["last"]
    text = re.sub(r"\s+", " ", asked("status", "--socket", control))
    assert "refused lately" in text
    assert "`refused lately`" in FIRST_STEPS
    for said in ("tls 127.0.0.1", "other.contoso.com", "tls.allowed_peers: other.contoso.com"):
        assert said in text
    settings = yaml.safe_load(daemon.config.read_text())
    settings["tls"]["allowed_peers"].append(row["value"])
    daemon.config.write_text(yaml.safe_dump(settings))
    asked("reload", "--socket", control)
    with talk_tls(daemon.address("tls"), context) as peer:
        assert ask(peer, request()).status == 302
    text = re.sub(r"\s+", " ", asked("status", "--socket", control))
    assert "before the configuration that is in force" in text


def test_handshakes_that_fail(
    run_daemon: Run,
    control: str,
    tls: Callable[..., dict[str, Any]],
    authority: Authority,
    tmp_path: Path,
) -> None:
    """Each with its key: no certificate, a foreign authority's, no version in common, no TLS."""
    daemon = run_daemon(control={"socket": control}, listen=TLS, tls=tls(), trusted_peers=TRUSTED)
    handshake(daemon, client_context(authority.file))
    assert refused(control, "no_certificate")["key"] == "tls.verify_peer"
    (tmp_path / "foreign").mkdir()
    foreign = Authority(tmp_path / "foreign").issue("fe01.contoso.com")
    handshake(daemon, client_context(authority.file, foreign))
    assert refused(control, "unknown_authority")["key"] == "tls.ca"
    old = client_context(authority.file)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    handshake(daemon, old)
    assert refused(control, "no_common_version")["key"] == "tls.minimum_version"
    with socket.create_connection(daemon.address("tls"), PATIENCE) as plain:
        plain.sendall(request())
        plain.recv(4096)
    assert refused(control, "not_tls")["standing"] == "connected"
    with suppress(OSError), talk_tls(daemon.address("tcp"), client_context(authority.file)):
        pass
    assert refused(control, "tls_here")["key"] == "listen"


@pytest.mark.parametrize("mode", ["lookup", "proxy", "redirect"])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_peers_that_arent_trusted(
    run_daemon: Run,
    control: str,
    tls: Callable[..., dict[str, Any]],
    authority: Authority,
    stranger: Leaf,
    mode: str,
    transport: str,
) -> None:
    """403, over each transport and in each mode; a certificate's name is the better key."""
    daemon = run_daemon(
        control={"socket": control},
        listen=TLS,
        tls=tls(allowed_peers=[]),
        trusted_peers=TRUSTED,
        endpoints=[
            endpoint(mode=mode, peers="trusted") if mode == "redirect" else endpoint(mode=mode)
        ],
    )
    address = daemon.address(transport)
    with ExitStack() as stack:
        if transport == "tls":
            context = client_context(authority.file, stranger)
            peer: Any = stack.enter_context(talk_tls(address, context))
        else:
            peer = stack.enter_context(talk(transport, address))
        assert ask(peer, request()).status == 403
        row = refused(control, "not_trusted")
    assert (row["transport"], row["detail"]) == (transport, "sip:ocschat@contoso.com")
    if transport == "tls":
        assert (row["key"], row["value"]) == ("tls.allowed_peers", "other.contoso.com")
    else:
        assert (row["key"], row["value"]) == ("trusted_peers", "127.0.0.1")


def test_limits_of_messages_and_connections(run_daemon: Run, control: str) -> None:
    """Which limit, its value, how often, whose it was last; and as metrics."""
    daemon = run_daemon(
        control={"socket": control},
        http={"listen": "127.0.0.1:0"},
        limits={"message": 2048, "uri": 100, "connections": 2, "message_timeout": 0.2},
    )
    with talk("udp", daemon.address()) as peer:
        assert ask(peer, request(uri="sip:" + "x" * 200 + "@contoso.com")).status == 414
        assert ask(peer, request(more=f"Subject: {'x' * 3000}\r\n")).status == 513
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(talk("tcp", daemon.address("tcp")))
        eventually(lambda: status(control)["connections"]["open"] == 2, "both")
        with socket.create_connection(daemon.address("tcp"), PATIENCE) as third:
            assert third.recv(1) == b""
        limit = reached(control, "limits.connections")
        assert (limit["limit"], limit["count"], limit["peer"]) == (2, 1, "127.0.0.1")
    eventually(lambda: status(control)["connections"]["open"] == 0, "both to close")
    with socket.create_connection(daemon.address("tcp"), PATIENCE) as slow:
        slow.sendall(b"INVITE sip:")
        assert reached(control, "limits.message_timeout")["limit"] == 0.2
    assert reached(control, "limits.uri")["limit"] == 100
    assert reached(control, "limits.message")["limit"] == 2048
    row = refused(control, "limits.message")
    assert (row["key"], row["why"]) == ("limits.message", "limits.message is reached")
    text = re.sub(r"\s+", " ", asked("status", "--socket", control))
    assert "`limits that were reached`" in FIRST_STEPS
    assert re.search(r"limits that were reached .* limits\.connections 2 1 ", text)
    url = daemon.event("http_listening")["where"] + "/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        metrics = answer.read().decode()
    assert 'chatredirect_refusals_total{reason="limits.connections"} 1.0' in metrics
    assert 'chatredirect_refusals_total{reason="name_not_allowed"} 0.0' in metrics


def test_dialogs_transactions_and_required_extensions(run_daemon: Run, control: str) -> None:
    """480 of a lookup, 503 and 420 of the proxy."""
    daemon = run_daemon(
        control={"socket": control},
        limits={"dialogs": 1},
        proxy={"transactions_per_peer": 1},
        endpoints=[
            endpoint("sip:l@contoso.com", mode="lookup"),
            endpoint("sip:p@contoso.com", mode="proxy", transport="udp"),
        ],
    )
    contact = "Contact: <sip:bob@192.0.2.9>\r\nMax-Forwards: 70\r\n"
    with talk("udp", daemon.address()) as peer:
        for _ in range(2):
            peer.send(request(uri="sip:l@contoso.com", more=contact))
        limit = reached(control, "limits.dialogs")
        assert (limit["limit"], limit["peer"]) == (1, "127.0.0.1")
    with talk("udp", daemon.address()) as peer:
        required = contact + "Proxy-Require: foo\r\n"
        assert ask(peer, request(uri="sip:p@contoso.com", more=required)).status == 420
        row = refused(control, "proxy_require")
        assert (row["key"], row["value"]) == ("proxy.proxy_require", "foo")
        for _ in range(2):
            peer.send(request(uri="sip:p@contoso.com", more=contact))
        assert reached(control, "proxy.transactions_per_peer")["limit"] == 1
    assert refused(control, "proxy.transactions_per_peer")["standing"] == "known"


def test_every_reason_has_words_and_a_key_that_there_is(tmp_path: Path) -> None:
    """A key that `status` names can be written into a configuration."""
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump(configuration()))
    settings = load(config)
    for reason in RefusalReason:
        words = wording(reason, ())
        assert words.why
        if words.key in {"", "pool_fqdn"}:
            continue  # an endpoint's key
        section, _, name = words.key.partition(".")
        assert hasattr(settings, section), words.key
        assert not name or hasattr(getattr(settings, section), name), words.key


def test_a_wildcard_certificate_needs_wildcards() -> None:
    """allowed_peers can't have a name that a certificate has as *.contoso.com."""
    assert wording(RefusalReason.NAME_NOT_ALLOWED, ("*.contoso.com",)).key == "tls.wildcards"
    names = ("*.contoso.com", "fe02.contoso.com")
    assert wording(RefusalReason.NAME_NOT_ALLOWED, names).key == "tls.allowed_peers"


def test_the_page_names_what_json_has(run_daemon: Run, control: str) -> None:
    daemon = run_daemon(
        control={"socket": control}, trusted_peers=TRUSTED, endpoints=[endpoint(mode="lookup")],
        limits={"uri": 100},
    )  # fmt: skip
    with talk("udp", daemon.address()) as peer:
        ask(peer, request())
        ask(peer, request(uri="sip:" + "x" * 200 + "@contoso.com"))
    found = json.loads(asked("status", "--socket", control, "--json"))["refused"]
    section = DOCS.partition("\n## status\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", section))
    assert {*found, *found["peers"][0], *found["limits"][0]} <= named
    reasons = {reason.value for reason in RefusalReason if not reason.is_limit}
    assert reasons <= named
