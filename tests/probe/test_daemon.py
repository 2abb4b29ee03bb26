"""`chatredirect probe` against the daemon itself."""

import pytest

from tests.probe.conftest import CONFIG, Probe
from tests.service.daemon import Daemon, endpoint
from tests.service.fixtures import Run

URI = "sip:ocschat@contoso.com"


@pytest.fixture(scope="module")
def daemon(run_shared_daemon: Run) -> Daemon:
    """One daemon for all of them: on IPv4 and IPv6, with a pool that isn't there."""
    return run_shared_daemon(
        listen=["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://[::1]:0", "tcp://[::1]:0"],
        endpoints=[
            endpoint(),
            endpoint("sip:empty@contoso.com", pool_fqdn="nowhere.contoso.com"),
            endpoint("sip:six@contoso.com", pool_fqdn="2001:db8::20", transport="tcp"),
        ],
        dns={"hosts": {"pcpool.contoso.com": ["192.0.2.20"]}, "nameservers": ["127.0.0.1:1"]},
    )


def via(daemon: Daemon, transport: str = "udp", host: str = "127.0.0.1") -> str:
    """Where the daemon listens, as --via has it."""
    _, port = daemon.address(transport, host)
    return f"{transport}://{f'[{host}]' if ':' in host else host}:{port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_invite(probe: Probe, daemon: Daemon, transport: str, host: str) -> None:
    """An INVITE, its 302 and the ACK, over each transport and family; where the Contact leads."""
    probed = probe(URI, "--via", via(daemon, transport, host))
    assert (probed.status, probed.err) == (0, "")
    assert probed.arrows == ["> INVITE", "< 302 Moved Temporarily", "> ACK"]
    assert probed.out.splitlines()[-3:] == [
        "302 Moved Temporarily",
        "Contact: sip:ocschat@pcpool.contoso.com:5061;transport=tls",
        "         -> tls://192.0.2.20:5061",
    ]
    assert max(map(len, probed.out.splitlines())) <= 80
    assert probed.out.isascii()


def test_subscribe(probe: Probe, daemon: Daemon) -> None:
    """A SUBSCRIBE is redirected too, and gets no ACK."""
    probed = probe(URI, "--method", "subscribe", "--via", via(daemon))
    assert probed.status == 0
    assert probed.arrows == ["> SUBSCRIBE", "< 302 Moved Temporarily"]


def test_options(probe: Probe, daemon: Daemon) -> None:
    """OPTIONS gets 200 and what the daemon allows: exit status 0."""
    probed = probe(URI, "--method", "OPTIONS", "--via", via(daemon))
    assert probed.status == 0
    assert probed.arrows == ["> OPTIONS", "< 200 OK"]
    (allow,) = (line for line in probed.out.splitlines() if line.startswith("Allow: "))
    assert "INVITE" in allow


def test_via_as_people_write_it(probe: Probe, daemon: Daemon) -> None:
    """`udp:HOST:PORT`, a host name, and a URI without its scheme."""
    _, port = daemon.address("udp", "127.0.0.1")
    config = CONFIG.replace("hosts: {", "hosts: {here.contoso.com: [127.0.0.1], ")
    probed = probe("ocschat@contoso.com", "--via", f"udp:here.contoso.com:{port}", config=config)
    assert (probed.status, probed.err) == (0, "")


def test_uri_is_the_way(probe: Probe, daemon: Daemon) -> None:
    """Without --via the request goes where the URI leads (RFC 3263 §4)."""
    _, port = daemon.address("tcp", "127.0.0.1")
    probed = probe(f"sip:127.0.0.1:{port};transport=tcp", "--method", "OPTIONS")
    assert (probed.status, probed.err) == (0, "")
    assert f"tcp://127.0.0.1:{port}" in probed.out


def test_no_endpoint(probe: Probe, daemon: Daemon) -> None:
    """404: exit status 1."""
    probed = probe("sip:nobody@contoso.com", "--via", via(daemon))
    assert probed.status == 1
    assert probed.arrows == ["> INVITE", "< 404 Not Found", "> ACK"]


def test_pool_without_targets(probe: Probe, daemon: Daemon) -> None:
    """480: the Warning says why, Retry-After when to come back."""
    probed = probe("sip:empty@contoso.com", "--via", via(daemon))
    assert probed.status == 1
    assert '\nWarning: 399 chatredirect "nowhere.contoso.com:' in probed.out
    assert "\nRetry-After: 30\n" in probed.out


def test_contact_that_does_not_resolve(probe: Probe, daemon: Daemon) -> None:
    """The daemon redirects, but here the pool's name isn't known: said, and no failure."""
    probed = probe(URI, "--via", via(daemon), config=CONFIG.replace("pcpool", "other"))
    assert probed.status == 0
    last = probed.out.splitlines()[-1]
    assert last.startswith("         pcpool.contoso.com:5061 over tls doesn't resolve: ")


def test_contact_with_an_ipv6_address(probe: Probe, daemon: Daemon) -> None:
    """Brackets come and go where they should."""
    probed = probe("sip:six@contoso.com", "--via", via(daemon))
    assert "Contact: sip:six@[2001:db8::20]:5061;transport=tcp\n" in probed.out
    assert "         -> tcp://[2001:db8::20]:5061\n" in probed.out


def test_verbose(probe: Probe, daemon: Daemon) -> None:
    """Whole messages, as they went over the wire."""
    probed = probe(URI, "--via", via(daemon), "--verbose", "--from", "sip:alice@contoso.com")
    lines = [line.removeprefix("    ") for line in probed.out.splitlines()]
    assert "INVITE sip:ocschat@contoso.com SIP/2.0" in lines
    assert "SIP/2.0 302 Moved Temporarily" in lines
    assert any(line.startswith("From: <sip:alice@contoso.com>;tag=") for line in lines)
    assert "m=message 5060 sip null" in lines
    assert probed.arrows == ["> INVITE", "< 302 Moved Temporarily", "> ACK"]


def test_json(probe: Probe, daemon: Daemon) -> None:
    """All of it for scripts; with --verbose the messages too."""
    probed = probe(URI, "--via", via(daemon), "--json", "--verbose")
    assert (probed.status, probed.err) == (0, "")
    found = probed.json
    assert found["ending"] == "answered"
    assert found["notes"] == []
    (request,) = found["requests"]
    assert request["uri"] == URI
    assert request["target"] == via(daemon)
    assert (request["status"], request["reason"]) == (302, "Moved Temporarily")
    assert request["error"] is None
    (contact,) = request["contacts"]
    assert contact["uri"] == "sip:ocschat@pcpool.contoso.com:5061;transport=tls"
    assert [target["address"] for target in contact["targets"]] == ["192.0.2.20"]
    assert contact["reason"] is None
    messages = request["messages"]
    assert [message["summary"] for message in messages] == [
        "INVITE",
        "302 Moved Temporarily",
        "ACK",
    ]
    assert [message["sent"] for message in messages] == [True, False, True]
    assert messages[1]["message"].startswith("SIP/2.0 302 Moved Temporarily\r\nVia: ")


def test_configuration_of_the_environment(probe: Probe, daemon: Daemon) -> None:
    """CHATREDIRECT_CONFIG's `dns` resolves the pool, as everywhere."""
    probed = probe(URI, "--via", via(daemon), config=None, CHATREDIRECT_CONFIG=str(daemon.config))
    assert (probed.status, probed.err) == (0, "")
    assert probed.out.endswith("-> tls://192.0.2.20:5061\n")


def test_no_configuration(probe: Probe, daemon: Daemon) -> None:
    """A file that isn't there, and that nobody named on the command line, is no error."""
    probed = probe(
        URI, "--via", via(daemon), "--timeout", "1", config=None, CHATREDIRECT_CONFIG="none.yaml"
    )
    assert (probed.status, probed.err) == (0, "")
    assert "Contact: sip:ocschat@pcpool.contoso.com:5061;transport=tls\n" in probed.out


def test_useless_configuration_of_the_environment(probe: Probe, daemon: Daemon) -> None:
    """A faulty one neither: it may not even be ours to mend. It is told."""
    probed = probe(
        URI, "--via", via(daemon), "--timeout", "1", config=None, CHATREDIRECT_CONFIG="/dev/null"
    )
    assert probed.status == 0
    (line,) = probed.err.splitlines()
    assert line.startswith("chatredirect: /dev/null")
    assert line.endswith(": the system's name servers are asked instead")


def test_named_configuration(probe: Probe, daemon: Daemon) -> None:
    """A file that was named has to be there: exit status 78."""
    probed = probe(URI, "--via", via(daemon), "--config", "none.yaml", config=None)
    assert (probed.status, probed.out) == (78, "")
    assert "none.yaml" in probed.err


def test_terminal_of_another_code(probe: Probe, daemon: Daemon) -> None:
    """A terminal that can't show what there is to show is no reason to fail."""
    probed = probe("sip:łukasz@contoso.com", "--via", via(daemon), PYTHONIOENCODING="iso8859-1")
    assert probed.status == 1
    assert "INVITE sip:\\u0142" in probed.out
