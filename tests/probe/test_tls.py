"""The probe over TLS: who is at the other end, and clear words when it is nobody that was meant."""

import shutil
import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.probe.conftest import Probe
from tests.probe.peers import always, answer, header, method, redirect, tcp_peer
from tests.service.daemon import Daemon
from tests.service.fixtures import Run
from tests.tls.authority import DAY, NOW, Authority, peer_context

pytestmark = pytest.mark.usefixtures("in_process")

URI = "sip:ocschat@contoso.com"
POOL = "pcpool.contoso.com"
CONFIG = """\
listen: [udp://127.0.0.1:0]
dns:
  nameservers: ["127.0.0.1:1"]
  hosts: {pcpool.contoso.com: [127.0.0.1], fe01.contoso.com: [127.0.0.1]}
tls: {ca: ca/ca.pem}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Its files are in `ca`, beside the configuration."""
    return Authority(tmp_path / "ca")


def via(port: int, host: str = POOL) -> list[str]:
    return [URI, "--via", f"tls://{host}:{port}"]


# -- what it shows -------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_the_peer_is_shown(probe: Probe, authority: Authority, version: str) -> None:
    """Protocol, cipher and names, as text and as JSON; the server is asked for by name."""
    context = peer_context(
        authority.issue(POOL, "sip.contoso.com"), maximum_version=ssl.TLSVersion[version]
    )
    with tcp_peer(redirect(f"<sip:ocschat@{POOL}>"), tls=context) as peer:
        probed = probe(*via(peer.port), config=CONFIG)
        as_json = probe(*via(peer.port), "--json", config=CONFIG).json["requests"][0]["tls"]
    assert probed.status == 0, probed.err
    assert peer.names == [POOL, POOL]
    assert peer.certificates == [{}, {}]
    assert probed.arrows == ["> INVITE", "< 302 Moved Temporarily", "> ACK"]
    protocol = version.replace("_", ".")
    assert as_json["protocol"] == protocol
    assert as_json["names"] == [POOL, "sip.contoso.com"]
    assert as_json["verified"] == POOL
    assert f"            {protocol}, {as_json['cipher']}, with {POOL}," in probed.out
    assert max(map(len, probed.out.splitlines())) <= 80
    assert header(peer.received[0], "Via").startswith(b"SIP/2.0/TLS ")
    assert b";transport=tls>" in header(peer.received[0], "Contact")


def test_without_tls_there_is_none(probe: Probe) -> None:
    with tcp_peer(always("200 OK")) as peer:
        probed = probe(URI, "--via", f"tcp://127.0.0.1:{peer.port}", "--json", config=CONFIG)
    assert probed.json["requests"][0]["tls"] is None


def test_many_names(probe: Probe, authority: Authority) -> None:
    """Eight as text, all as JSON."""
    names = [POOL, *(f"front-end-{n:02}.contoso.com" for n in range(30))]
    with tcp_peer(redirect("<sip:a@b>"), tls=peer_context(authority.issue(*names))) as peer:
        probed = probe(*via(peer.port), config=CONFIG)
        as_json = probe(*via(peer.port), "--json", config=CONFIG)
    head, _, _ = probed.out.partition("|---")
    assert "front-end-06.contoso.com, 23 more\n" in head.replace("\n            ", " ")
    assert max(map(len, head.splitlines())) <= 80
    assert as_json.json["requests"][0]["tls"]["names"] == names


def test_sips(probe: Probe, authority: Authority) -> None:
    """A SIPS URI needs no --via, and the Contact is SIPS as well (RFC 3261 §8.1.1.8)."""
    with tcp_peer(always("200 OK"), tls=peer_context(authority.issue(POOL))) as peer:
        probed = probe(f"sips:ocschat@{POOL}:{peer.port}", "--method", "OPTIONS", config=CONFIG)
    assert probed.status == 0, probed.err
    assert header(peer.received[0], "Contact").startswith(b"<sips:probe@127.0.0.1:")


def test_a_redirection_to_tls(probe: Probe, authority: Authority) -> None:
    """--follow goes on to a pool over TLS and verifies its own name."""
    with (
        tcp_peer(
            always("480 Temporarily Unavailable"), tls=peer_context(authority.issue(POOL))
        ) as pool,
        tcp_peer(redirect(f"<sip:ocschat@{POOL}:{pool.port};transport=tls>")) as peer,
    ):
        probed = probe(URI, "--via", f"tcp://127.0.0.1:{peer.port}", "--follow", config=CONFIG)
    assert probed.status == 1
    assert pool.names == [POOL]
    assert f", with {POOL}\n" in probed.out


def test_a_call_that_is_accepted(probe: Probe, authority: Authority) -> None:
    """BYE goes over the connection that is there, where the Contact leads to the same server."""
    leaf = authority.issue("sip.contoso.com")

    def script(request: bytes, _: int) -> list[bytes]:
        if method(request) == "ACK":
            return []
        contact = f"Contact: <sip:chat@127.0.0.1:{peer.port};transport=tls>\r\n"
        return [answer(request, "200 OK", contact)]

    with tcp_peer(script, tls=peer_context(leaf)) as peer:
        arguments = via(peer.port, "127.0.0.1")
        probed = probe(*arguments, "--tls-name", "sip.contoso.com", config=CONFIG)
    assert (probed.status, probed.err) == (0, "")
    assert peer.methods == ["INVITE", "ACK", "BYE"]
    assert len(peer.certificates) == 1


def test_the_daemon(probe: Probe, authority: Authority, run_daemon: Run) -> None:
    """Mutual TLS with our own listener: let in by name, refused under another."""
    daemon: Daemon = run_daemon(
        listen=["tls://127.0.0.1:0"],
        tls=authority.issue("sip.contoso.com").files
        | {"ca": str(authority.file), "allowed_peers": ["fe01.contoso.com"]},
    )
    to = via(daemon.address("tls")[1], "127.0.0.1")
    for name, status in (("fe01.contoso.com", 0), ("other.contoso.com", 69)):
        shown = authority.issue(name).files
        probed = probe(
            *to,
            *("--tls-name", "sip.contoso.com", "--ca", authority.file),
            *("--certificate", shown["certificate"], "--private-key", shown["private_key"]),
            config=None,
        )
        assert probed.status == status, probed.err
    daemon.event("peer_refused")
    assert "tls_handshake_failed" not in daemon.log_text
    assert daemon.stop() == 0


# -- options and configuration -------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("given", ["configuration", "options", "one file", "neither", "declined"])
def test_our_certificate(
    probe: Probe, authority: Authority, tmp_path: Path, given: str, version: str
) -> None:
    """From the configuration or the options; without one, a server that wants it says so."""
    context = peer_context(
        authority.issue(POOL), authority.file, maximum_version=ssl.TLSVersion[version]
    )
    ours = authority.issue("probe.contoso.com", file="probe")
    both = tmp_path / "both.pem"
    both.write_bytes(ours.certificate.read_bytes() + ours.private_key.read_bytes())
    with_ours = CONFIG.replace(
        "ca.pem}", "ca.pem, certificate: ca/probe.pem, private_key: ca/probe.key}"
    )
    config = with_ours if given in ("configuration", "declined", "one file") else CONFIG
    arguments = {
        "options": ["--certificate", ours.certificate, "--private-key", ours.private_key],
        "one file": ["--certificate", both],
        "declined": ["--no-certificate"],
    }.get(given, [])
    with tcp_peer(redirect("<sip:a@b>"), tls=context) as peer:
        probed = probe(*via(peer.port), *arguments, config=config)
    if given in ("neither", "declined"):
        assert probed.status == 69
        (line,) = probed.err.splitlines()
        assert line.startswith(f"chatredirect: tls://127.0.0.1:{peer.port}: ")
        # by TLS 1.3 the server says so when the INVITE is out, and a reset may be faster
        assert (
            "asks for a certificate of ours. Ours is given with --certificate FILE" in line
            or "It may have refused our certificate: see --certificate." in line
        )
    else:
        assert (probed.status, probed.err) == (0, "")
        (certificate,) = peer.certificates
        assert certificate["subjectAltName"] == (("DNS", "probe.contoso.com"),)


def test_files_are_relative_to_where_we_are(
    probe: Probe, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of options; those of the configuration are relative to it."""
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(authority.file, tmp_path / "elsewhere" / "here.pem")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with tcp_peer(redirect("<sip:a@b>"), tls=peer_context(authority.issue(POOL))) as peer:
        assert probe(*via(peer.port), config=CONFIG).status == 0
        without = CONFIG.replace("tls: {ca: ca/ca.pem}", "")
        assert probe(*via(peer.port), "--ca", "here.pem", config=without).status == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ca", "nowhere.pem"], "nowhere.pem: no such file or directory"),
        (["--certificate", "nowhere.pem"], "nowhere.pem: no such file or directory"),
        (["--ca", ""], "--ca: is empty"),
        (["--private-key", "ca/ca.pem"], "--private-key: there is no certificate that goes with"),
        (["--no-certificate", "--certificate", "x"], "--no-certificate: leave it out"),
        (["--ciphers", "NONSUCH"], 'ciphers "NONSUCH" select nothing'),
        (["--tls-name", "127.0.0.1"], '--tls-name: "127.0.0.1" is an IP address'),
        (["--tls-name", "a b"], "--tls-name: "),
    ],
)
def test_options_that_cant_be_used(probe: Probe, arguments: list[str], says: str) -> None:
    """Exit status 2, before anything is sent, also where TLS isn't spoken."""
    config = CONFIG.replace("tls: {ca: ca/ca.pem}", "")
    for scheme in ("udp", "tls"):
        if scheme == "udp" and "--tls-name" in arguments:
            continue
        probed = probe(URI, "--via", f"{scheme}://127.0.0.1:9", *arguments, config=config)
        assert (probed.status, probed.out) == (2, "")
        (line,) = probed.err.splitlines()
        assert says in line


def test_a_name_without_tls(probe: Probe) -> None:
    probed = probe(URI, "--via", "udp://127.0.0.1:9", "--tls-name", "sip.contoso.com")
    assert probed.status == 2
    assert "--tls-name: means nothing without TLS" in probed.err


def test_configured_files_that_cant_be_used(probe: Probe, authority: Authority) -> None:
    """Nothing to do with UDP; over TLS there is a way around, and it is told."""
    config = CONFIG.replace("ca.pem}", "ca.pem, certificate: nowhere.pem}")
    with tcp_peer(redirect("<sip:a@b>"), tls=peer_context(authority.issue(POOL))) as peer:
        plain = probe(URI, "--via", "udp://127.0.0.1:9", config=config)
        assert plain.status == 69
        assert "nowhere.pem" not in plain.err
        probed = probe(*via(peer.port), config=config)
        assert probed.status == 69
        assert "nowhere.pem: no such file or directory. Give files that can be read" in probed.err
        assert "--no-certificate" in probed.err
        assert probe(*via(peer.port), "--no-certificate", config=config).status == 0


# -- who is refused ------------------------------------------------------------------------------


def fails(probed: Any, *says: str) -> None:
    """One line on standard error, nothing sent."""
    assert probed.status == 69
    assert probed.out == ""
    (line,) = probed.err.splitlines()
    for each in says:
        assert each in line


def test_another_name(probe: Probe, authority: Authority) -> None:
    """A good certificate of someone else: nothing is sent, and the names are told."""
    leaf = authority.issue("fe01.contoso.com", "other.contoso.com")
    with tcp_peer(always("200 OK"), tls=peer_context(leaf)) as peer:
        fails(
            probe(*via(peer.port), config=CONFIG),
            f"its certificate names fe01.contoso.com, other.contoso.com, not {POOL}. "
            "If that is the server that is meant: "
            f"--via tls://127.0.0.1:{peer.port} --tls-name fe01.contoso.com.",
        )
        assert probe(*via(peer.port), "--tls-name", "fe01.contoso.com", config=CONFIG).status == 0
        fails(probe(*via(peer.port), "--tls-name", "x.contoso.com", config=CONFIG), "not x.contoso")
    assert peer.methods == ["INVITE", "ACK", "BYE"]
    assert peer.names == [POOL, "fe01.contoso.com", "x.contoso.com"]


@pytest.mark.parametrize("address", ["127.0.0.1", "[::ffff:127.0.0.1]"])
def test_an_address(probe: Probe, authority: Authority, address: str) -> None:
    """No name to verify: said, with the option that gives one; no name is asked for."""
    leaf = authority.issue("fe01.contoso.com")
    with tcp_peer(redirect("<sip:a@b>"), tls=peer_context(leaf)) as peer:
        fails(
            probe(*via(peer.port, address), config=CONFIG),
            "An IP address is no name that a certificate is verified for.",
            "--tls-name fe01.contoso.com",
        )
    assert peer.names == [None]


@pytest.mark.parametrize(
    ("names", "common_name", "option"),
    [
        ((), POOL, "--common-name"),
        (("*.contoso.com",), "", "--wildcards"),
    ],
)
def test_names_that_count_if_told_to(
    probe: Probe, authority: Authority, names: tuple[str, ...], common_name: str, option: str
) -> None:
    """What RFC 5922 doesn't take for a name: the option that would is told, and works."""
    leaf = authority.issue(*names, common_name=common_name, file="leaf")
    with tcp_peer(redirect("<sip:a@b>"), tls=peer_context(leaf)) as peer:
        fails(probe(*via(peer.port), config=CONFIG), f"not {POOL}. {option} would let its ")
        assert probe(*via(peer.port), option, config=CONFIG).status == 0
        key = option[2:].replace("-", "_")
        config = CONFIG.replace("ca.pem}", f"ca.pem, {key}: true}}")
        assert probe(*via(peer.port), config=config).status == 0
        no = option.replace("--", "--no-")
        fails(probe(*via(peer.port), no, config=config), f"not {POOL}. ")


def test_nobodys_certificate(probe: Probe, authority: Authority, tmp_path: Path) -> None:
    """An authority that isn't on the list, among them the certificate itself."""
    stranger = Authority(tmp_path / "stranger", "Another CA").issue(POOL)
    with tcp_peer(always("200 OK"), tls=peer_context(stranger)) as peer:
        fails(
            probe(*via(peer.port), config=CONFIG),
            "the peer's certificate was refused: unable to get local issuer certificate. "
            "If its authority is to be trusted: --ca FILE.",
        )
        assert probe(*via(peer.port), "--ca", tmp_path / "stranger" / "ca.pem").status == 69
    assert peer.received == []


@pytest.mark.parametrize(
    ("dates", "says"),
    [
        ({"not_after": NOW - timedelta(hours=1)}, "certificate has expired"),
        ({"not_before": NOW + DAY}, "certificate is not yet valid"),
    ],
)
def test_dates(probe: Probe, authority: Authority, dates: dict[str, Any], says: str) -> None:
    leaf = authority.issue(POOL, **dates)
    with tcp_peer(always("200 OK"), tls=peer_context(leaf)) as peer:
        fails(probe(*via(peer.port), config=CONFIG), f"the peer's certificate was refused: {says}")
    assert peer.received == []


def test_an_old_peer(probe: Probe, authority: Authority) -> None:
    """TLS 1.0 is refused until it is asked for; then it is shown."""
    context = peer_context(authority.issue(POOL), minimum_version=ssl.TLSVersion.TLSv1)
    context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with tcp_peer(redirect("<sip:a@b>"), tls=context) as peer:
        fails(
            probe(*via(peer.port), config=CONFIG),
            "no TLS version in common. Does it speak TLS there? An old peer needs "
            "--minimum-version TLSv1.",
        )
        probed = probe(*via(peer.port), "--minimum-version", "tlsv1", config=CONFIG)
    assert probed.status == 0, probed.err
    assert "            TLSv1, ECDHE-" in probed.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (b"SIP/2.0 400 Bad Request\r\n\r\n", "it doesn't speak TLS here"),
        (b"", "closed the connection in the TLS handshake. Does it speak TLS there?"),
    ],
)
def test_no_tls_there(probe: Probe, authority: Authority, words: bytes, says: str) -> None:
    """A peer that answers in plain text, and one that hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(words)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        fails(probe(*via(listener.getsockname()[1]), config=CONFIG), says)
        thread.join(10)


def test_a_handshake_that_never_ends(probe: Probe, authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = via(listener.getsockname()[1])
        fails(probe(*arguments, "--timeout", "0.3", config=CONFIG), "no connection within 0.3 s")
