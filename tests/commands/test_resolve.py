"""`chatredirect resolve`: the targets of a pool, and the way there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Command

Write = Callable[..., Path]


@pytest.fixture
def config(write: Write, name_server: str) -> Path:
    return write(f"""
        listen: [udp://127.0.0.1:5060]
        endpoints:
          - {{sip_address: a@contoso.com, pool_fqdn: plain.contoso.com, port: 5061, transport: tls}}
          - {{sip_address: b@contoso.com, pool_fqdn: plain.contoso.com, port: 5061, transport: tls}}
          - {{sip_address: c@contoso.com, pool_fqdn: plain.contoso.com, transport: tcp}}
        dns:
          nameservers: ["{name_server}"]
          hosts: {{fixed.contoso.com: [192.0.2.30, "2001:db8::30"]}}
          hosts_file: /dev/null
    """)


def test_srv(chatredirect: Command, config: Path) -> None:
    """Names, records, who was asked, and the target with its priority and weight."""
    done = chatredirect("resolve", "PCPool.contoso.com", "-c", config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SRV   _sips._tcp.pcpool.contoso.com: NOERROR (dns, TTL" in done.stdout
    assert "→ tls://192.0.2.21:5061  fe01.contoso.com, priority 10, weight 20" in done.stdout
    assert "over udp: NOERROR" in done.stdout
    assert done.stderr == "", "no log lines among the output"


def test_json(chatredirect: Command, config: Path) -> None:
    done = chatredirect("resolve", "pcpool.contoso.com", "-c", config, "--json")
    (found,) = json.loads(done.stdout)["resolutions"]
    assert found["state"] == "found"
    assert found["targets"][0]["address"] == "192.0.2.21"
    assert found["steps"]


def test_as_the_endpoints_have_it(chatredirect: Command, config: Path) -> None:
    """Without --port and --transport: those of each endpoint with this pool, each once."""
    done = chatredirect("resolve", "plain.contoso.com", "-c", config, "--json")
    found = json.loads(done.stdout)["resolutions"]
    assert [(each["port"], each["transport"]) for each in found] == [(5061, "tls"), (None, "tcp")]
    assert [each["targets"][0]["port"] for each in found] == [5061, 5060]


def test_port_and_transport(chatredirect: Command, config: Path) -> None:
    arguments = ("fixed.contoso.com", "--port", 5070, "--transport", "tcp", "-c", config)
    done = chatredirect("resolve", *arguments)
    assert done.returncode == 0
    assert "fixed.contoso.com:5070 over tcp" in done.stdout
    assert "→ tcp://192.0.2.30:5070" in done.stdout
    assert "→ tcp://[2001:db8::30]:5070" in done.stdout
    assert "(hosts)" in done.stdout


def test_no_such_pool(chatredirect: Command, config: Path) -> None:
    """1: DNS says clearly that there is nothing."""
    done = chatredirect("resolve", "nowhere.contoso.com", "-c", config)
    assert done.returncode == 1
    assert "no targets: " in done.stdout
    assert "NXDOMAIN" in done.stdout


def test_nobody_knows(chatredirect: Command, write: Write) -> None:
    """75 (EX_TEMPFAIL): no name server answers, so nothing is known."""
    path = write("""
        listen: [udp://127.0.0.1:5060]
        dns: {nameservers: ["127.0.0.1:9"], timeout: 0.2, lifetime: 0.4}
    """)
    done = chatredirect("resolve", "pcpool.contoso.com", "-c", path)
    assert done.returncode == 75
    assert "no targets" in done.stdout


def test_mistakes(chatredirect: Command, write: Write, tmp_path: Path) -> None:
    """2 for what isn't a pool's name, 78 for a configuration that can't be used."""
    done = chatredirect("resolve", "sip:a@pcpool.contoso.com")
    assert done.returncode == 2
    assert "write pcpool.contoso.com" in " ".join(done.stderr.split())
    assert chatredirect("resolve", "x.contoso.com", "-c", tmp_path / "none").returncode == 78
    assert chatredirect("resolve", "x.contoso.com", "-c", write("listen: 5")).returncode == 78


def test_default_file_may_be_missing(chatredirect: Command) -> None:
    """An IP address needs no DNS: it shows that the default settings serve."""
    done = chatredirect("resolve", "192.0.2.20")
    assert done.returncode == 0
    assert "udp://192.0.2.20:5060" in done.stdout
