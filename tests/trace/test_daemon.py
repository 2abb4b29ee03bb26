"""`chatredirect trace` beside a running daemon: what went over the wire is what it shows."""

import shutil
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lookup.peer import Peer
from tests.service.client import ask, request, talk
from tests.service.daemon import Daemon, endpoint, run_command
from tests.service.fixtures import Run
from tests.tls.authority import Leaf
from tests.tls.client import client_context, talk_tls
from tests.trace.test_pcap import packets
from tests.trace.trace_process import asked, looking

BOB = "<sip:bob@contoso.com>;tag=b{n}"
LISTEN = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"]


@pytest.fixture(scope="module")
def daemon(
    run_shared_daemon: Run, shared_control: str, tls: Callable[..., dict[str, Any]]
) -> Daemon:
    endpoints = [
        endpoint(),
        endpoint("sip:lookup@contoso.com", mode="lookup"),
        endpoint("sip:nowhere@contoso.com", pool_fqdn="gone.invalid", peers="trusted"),
    ]
    hosts = {"pcpool.contoso.com": ["192.0.2.20"], "fe-by-dns.contoso.com": ["127.0.0.1"]}
    return run_shared_daemon(
        listen=LISTEN,
        endpoints=endpoints,
        control={"socket": shared_control},
        tls=tls(),
        dns={"hosts": hosts},
    )


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_call_with_what_was_decided(
    daemon: Daemon, shared_control: str, tmp_path: Path, transport: str
) -> None:
    """The octets that the client sent and got, their times, and why, in this order."""
    with (
        looking(tmp_path, shared_control, "--from", "BOB@contoso", "--json") as trace,
        talk(transport, daemon.address(transport)) as client,
    ):
        began = time.time()
        data = request(from_=BOB)
        ask(client, request(from_="<sip:alice@contoso.com>;tag=1"))
        answer = ask(client, data)
        assert answer is not None
        received, decided, sent = trace.seen(3)
        assert received["kind"] == "received"
        assert received["message"].encode() == data
        assert sent["kind"] == "sent"
        assert sent["message"].encode() == answer.raw
        assert "302 to <sip:ocschat@pcpool.contoso.com:5061;transport=tls>" in decided["what"]
        assert "endpoint sip:ocschat@contoso.com" in decided["what"]
        for each in (received, sent):
            assert each["transport"] == transport
            assert each["own"] == list(daemon.address(transport))
            assert each["peer"] == [client.host, client.port]
            assert began - 1 < each["at"] < time.time() + 1
        assert trace.end() == 0
        assert len(trace.lines) == 3, "and nothing of alice's"


def test_tls_is_shown_decrypted(
    daemon: Daemon, shared_control: str, tmp_path: Path, context: ssl.SSLContext
) -> None:
    with (
        looking(tmp_path, shared_control, "--endpoint", "ocschat@contoso.com", "-v") as trace,
        talk_tls(daemon.address("tls"), context) as client,
    ):
        ask(client, request(from_=BOB, more="Subject: over TLS\r\n"))
        trace.shows("302 Moved Temporarily")
        assert "Subject: over TLS" in trace.text
        assert f"caller tls://127.0.0.1:{client.port}" in trace.text
        ladder = [line for line in trace.text.split("\n") if not line.startswith("    ")]
        assert max(map(len, ladder)) <= 80
        assert trace.text.isascii()


REASONS = [
    ("OPTIONS", "sip:ocschat@contoso.com", "200, answered here"),
    ("INVITE", "sip:stranger@contoso.com", "404, no endpoint has this URI"),
    ("INVITE", "sip:nowhere@contoso.com", "480, gone.invalid: "),
    ("INVITE", "tel:+15551234", "416, malformed"),
    ("ACK", "sip:ocschat@contoso.com", "an ACK gets no response"),
    ("BENOTIFY", "sip:ocschat@contoso.com", "a BENOTIFY gets no response"),
]


@pytest.mark.parametrize(("method", "uri", "what"), REASONS)
def test_why(
    daemon: Daemon, shared_control: str, tmp_path: Path, method: str, uri: str, what: str
) -> None:
    with (
        looking(tmp_path, shared_control, "--call-id", "traced", "--json") as trace,
        talk("udp", daemon.address()) as client,
    ):
        ask(client, request(method, uri, call_id="traced"))
        assert what in trace.seen(2)[1]["what"]


def test_what_is_no_message_is_shown_to_who_asks_for_its_peer(
    daemon: Daemon, shared_control: str, tmp_path: Path
) -> None:
    with (
        looking(tmp_path, shared_control, "--peer", "127.0.0.1", "--json") as trace,
        talk("udp", daemon.address()) as client,
    ):
        client.send(b"SIP\r\n\r\n")
        (line, *_) = trace.seen(1)
        assert line["kind"] == "unreadable"
        assert line["message"] == "SIP\r\n\r\n"
        assert line["what"]


def test_a_refused_handshake_is_shown_every_time(
    daemon: Daemon,
    shared_control: str,
    tmp_path: Path,
    authority: Any,
    stranger: Leaf,
) -> None:
    """The log tells the same fault of a peer once a minute; a trace tells it each time."""
    wrong = client_context(authority.file, stranger)
    with looking(tmp_path, shared_control, "--peer", "127.0.0.1", "--json") as trace:
        for count in (1, 2):
            with talk_tls(daemon.address("tls"), wrong) as client:
                client.rest()
            refused = trace.seen(count)[count - 1]
            assert refused["kind"] == "connection"
            assert refused["what"].startswith("peer_refused: its certificate names")


@pytest.mark.parametrize("name", ["other.contoso.com", "fe-by-dns.contoso.com"])
def test_a_peer_is_traced_by_its_name(
    daemon: Daemon, shared_control: str, tmp_path: Path, authority: Any, stranger: Leaf, name: str
) -> None:
    """The certificate's, also of one that isn't let in, or one that DNS has for its address."""
    wrong = client_context(authority.file, stranger)
    with looking(tmp_path, shared_control, "--peer", name, "--json") as trace:
        with talk_tls(daemon.address("tls"), wrong) as client:
            client.rest()
        assert trace.seen(1)[0]["what"].startswith("peer_refused: its certificate names")


def test_a_lookup_from_the_first_invite_to_bye(
    daemon: Daemon, shared_control: str, tmp_path: Path
) -> None:
    """Our own INFO belongs to the call and is shown, with the channel that it names."""
    captured = Path(__file__).parents[1] / "captures"
    with (
        looking(tmp_path, shared_control, "--endpoint", "lookup@contoso.com") as trace,
        Peer("tcp", daemon.address("tcp")) as peer,
    ):
        peer.send(
            request("INVITE", "sip:lookup@contoso.com", from_=BOB, more="Contact: <sip:b@x>\r\n")
        )
        assert peer.receive().start.startswith("SIP/2.0 200")
        trace.shows("200 OK")
        assert captured.exists()


def test_secrets_are_masked_unless_asked_for(
    daemon: Daemon, shared_control: str, tmp_path: Path
) -> None:
    secret = 'Authorization: Digest username="bob", response="6629fae49393a053"\r\n'
    with (
        looking(tmp_path, shared_control, "--from", "bob", "--json") as masked,
        looking(tmp_path, shared_control, "--from", "bob", "--json", "--unmask") as bare,
        talk("tcp", daemon.address("tcp")) as client,
    ):
        ask(client, request(from_=BOB, more=secret))
        assert "6629fae4" not in masked.seen(1)[0]["message"]
        assert "Authorization: Digest" in masked.lines[0]["message"]
        assert "6629fae49393a053" in bare.seen(1)[0]["message"]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark")
def test_a_capture_for_wireshark(
    daemon: Daemon, shared_control: str, tmp_path: Path, context: ssl.SSLContext
) -> None:
    """UDP and TLS in one file, readable by its owner alone, whole at every moment."""
    path = tmp_path / "trace.pcap"
    path.write_text("an old one, for everybody")
    path.chmod(0o644)
    with (
        looking(tmp_path, shared_control, "--from", "bob", "--write", str(path)) as trace,
        talk("udp", daemon.address()) as udp,
        talk_tls(daemon.address("tls"), context) as tls,
    ):
        ask(udp, request(from_=BOB))
        ask(tls, request(from_=BOB))
        trace.shows("#2")
        trace.shows("#2      0.")
        found = packets(path)
    lines = [each["sip"].get("sip.Request-Line", "302") for each in found]
    assert [line.split()[0] for line in lines][:3] == ["INVITE", "302", "INVITE"]
    assert found[0]["udp"]["udp.dstport"] == str(daemon.address()[1])
    assert found[2]["tcp"]["tcp.dstport"] == str(daemon.address("tls")[1])
    assert found[2]["tcp"]["tcp.srcport"] == str(tls.port)
    assert path.stat().st_mode & 0o077 == 0


def test_it_ends_in_time_and_says_what_there_was(
    daemon: Daemon, shared_control: str, tmp_path: Path
) -> None:
    with looking(tmp_path, shared_control, "--from", "bob", "--for", "1s") as trace:
        assert trace.process.wait(20) == 0
        assert (
            "the trace ended after 1s: no message and no event matched the filter"
            in trace.complaints
        )


def test_it_says_what_may_be_misspelt(daemon: Daemon, shared_control: str, tmp_path: Path) -> None:
    """A trace that shows nothing must not pass for a front end that sends nothing."""
    misspelt = ("--endpoint", "ocshcat@contoso.com", "--peer", "no-such-name.invalid")
    with looking(tmp_path, shared_control, *misspelt, "--for", "1") as trace:
        assert trace.process.wait(30) == 0
        assert "DNS has no address for no-such-name.invalid" in trace.complaints
        assert "the trace ended after 1 s: no message" in trace.complaints
        assert "chatredirect endpoint get shows how endpoints are spelt" in trace.complaints


@pytest.mark.parametrize(
    ("options", "status", "why"),
    [
        ((), 2, "--call-id"),
        (("--peer", "no body"), 2, "is neither an IP address nor a host name"),
        (("--peer", "192.0.2.999"), 2, "is neither an IP address nor a host name"),
        (("--endpoint", "contoso.com"), 2, "SIP address"),
        (("--from", "bob", "--for", "soon"), 2, "90s, 5m or 2h"),
        (("--from", "bob", "--for", "48h"), 2, "at most 86400"),
        (("--from", "bob", "--write", "/nowhere/at/all"), 74, "no such file or directory"),
        (("--from", "bob", "--write", "/dev/full"), 74, "/dev/full: no space left on device\n"),
    ],
)
def test_what_cant_be_done_is_said(
    daemon: Daemon, shared_control: str, options: tuple[str, ...], status: int, why: str
) -> None:
    assert why in asked("trace", "--socket", shared_control, *options, status=status)


def test_no_daemon(tmp_path: Path) -> None:
    path = str(tmp_path / "nobody")
    assert "isn't running" in asked("trace", "--socket", path, "--from", "bob", status=69)


@pytest.mark.parametrize("kind", ["symbolic link", "second name"])
def test_write_touches_nobody_elses_file(
    daemon: Daemon, tmp_path: Path, shared_control: str, kind: str
) -> None:
    """Who can put a link where the capture goes has no other file written over."""
    victim, path = tmp_path / "victim", tmp_path / "capture.pcap"
    victim.write_text("kept")
    victim.chmod(0o644)
    path.symlink_to(victim) if kind == "symbolic link" else path.hardlink_to(victim)
    done = run_command("trace", "--socket", shared_control, "--from", "bob", "--write", path)
    assert done.returncode == 74
    assert f"chatredirect: {path}: " in done.stderr
    assert "name " in done.stderr
    assert victim.read_text() == "kept"
    assert victim.stat().st_mode & 0o777 == 0o644
