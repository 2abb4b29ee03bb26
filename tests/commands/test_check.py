"""`chatredirect check`: faults like a compiler's, or what would be served where."""

import json
from collections.abc import Callable
from pathlib import Path

from .conftest import Command

Write = Callable[..., Path]

GOOD = """
    listen: [udp://127.0.0.1:5060]
    endpoints:
      - sip_address: ocschat@contoso.com
        pool_fqdn: pcpool.contoso.com
        port: 5061
        transport: tls
        methods: [INVITE]
"""
BAD = """
    listen: [udp://localhost]
    endpoint: []
    secret: 98765432
"""


def test_good(chatredirect: Command, write: Write) -> None:
    done = chatredirect("check", write(GOOD))
    assert done.returncode == 0, done.stderr
    assert "udp://127.0.0.1:5060" in done.stdout
    assert (
        "sip:ocschat@contoso.com  302 to pcpool.contoso.com:5061 over tls, only INVITE"
        in done.stdout
    )
    assert done.stdout.endswith("The configuration can be used.\n")


def test_a_proxied_endpoint(chatredirect: Command, write: Write) -> None:
    done = chatredirect("check", write(GOOD.replace("methods: [INVITE]", "mode: proxy")))
    assert "  proxy to pcpool.contoso.com:5061 over tls\n" in done.stdout


def test_the_option_of_the_other_commands(chatredirect: Command, write: Write) -> None:
    """Every other command takes the file with --config, so a hand that types it is served."""
    assert chatredirect("check", "--config", write(GOOD)).returncode == 0
    assert chatredirect("check", "--config", write(BAD)).returncode == 78


def test_bad(chatredirect: Command, write: Write) -> None:
    """78, every fault as `file:line:column: error: …`, and how many."""
    path = write(BAD)
    done = chatredirect("check", path)
    assert done.returncode == 78
    lines = done.stdout.splitlines()
    assert [line.split(" ")[:2] for line in lines[:3]] == [
        [f"{path}:1:10:", "error:"],
        [f"{path}:2:1:", "error:"],
        [f"{path}:3:9:", "error:"],
    ]
    assert lines[3] == "3 errors in 1 file; not usable"
    assert "98765432" not in done.stdout + done.stderr


def test_json(chatredirect: Command, write: Write) -> None:
    bad = chatredirect("check", write(BAD), "--json")
    assert bad.returncode == 78
    error = json.loads(bad.stdout)["error"]
    assert error["exit_status"] == 78
    assert [fault["line"] for fault in error["faults"]] == [1, 2, 3]
    good = json.loads(chatredirect("check", write(GOOD), "--json").stdout)
    assert good["schema"] == "chatredirect/check/1"
    assert good["listen"] == ["udp://127.0.0.1:5060"]
    assert good["endpoints"][0]["pool_fqdn"] == "pcpool.contoso.com"
    assert good["warnings"] == []


def test_file_from_the_environment(chatredirect: Command, write: Write) -> None:
    path = write(GOOD)
    assert chatredirect("check", CHATREDIRECT_CONFIG=str(path)).returncode == 0
    done = chatredirect("check", CHATREDIRECT_CONFIG=str(path) + ".none")
    assert done.returncode == 78
    assert "there is no such file" in done.stdout


def test_default_file(chatredirect: Command) -> None:
    """Without a file and without the variable: the one under /etc."""
    done = chatredirect("check", "--offline")
    assert "/etc/chatredirect/chatredirect.yaml" in done.stdout


def test_pools_without_srv(chatredirect: Command, write: Write, name_server: str) -> None:
    """RFC 3263 §4.1: without SRV records UDP is meant; a pool that DNS doesn't know is told too."""
    path = write(f"""
        listen: [udp://127.0.0.1:5060]
        endpoints:
          - {{sip_address: a@contoso.com, pool_fqdn: plain.contoso.com}}
          - {{sip_address: b@contoso.com, pool_fqdn: pcpool.contoso.com}}
          - {{sip_address: c@contoso.com, pool_fqdn: nowhere.contoso.com}}
          - {{sip_address: d@contoso.com, pool_fqdn: nowhere.contoso.com, transport: tls}}
        dns: {{nameservers: ["{name_server}"], hosts_file: /dev/null}}
    """)
    done = chatredirect("check", path)
    assert done.returncode == 0
    warned = [line for line in done.stdout.splitlines() if ": warning: " in line]
    assert len(warned) == 2, done.stdout
    assert warned[0].startswith(f"{path}:3: warning: plain.contoso.com with neither port nor")
    assert warned[1].startswith(f"{path}:5: warning: nowhere.contoso.com has no targets")
    assert "with 2 warnings" in done.stdout
    assert " warning: " not in chatredirect("check", "--offline", path).stdout


def test_many_endpoints_are_not_all_listed(chatredirect: Command, write: Write) -> None:
    items = "".join(
        f"  - {{sip_address: r{i}@contoso.com, pool_fqdn: p, transport: tls}}\n" for i in range(500)
    )
    done = chatredirect("check", write(f"listen: [udp://127.0.0.1:5060]\nendpoints:\n{items}"))
    assert "endpoints     500, to 1 pool" in done.stdout
    assert "… and 480 more" in done.stdout
    faulty = items.replace("transport: tls", "transport: x")
    done = chatredirect("check", write(f"listen: [udp://127.0.0.1:5060]\nendpoints:\n{faulty}"))
    assert "500 errors in 1 file" in done.stdout
    assert len(done.stdout.splitlines()) < 250
