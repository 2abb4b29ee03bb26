"""`chatredirect check --live`: ready or not ready, by real pings to a real SIP server (SIPp)."""

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ports import free_port

from .conftest import Command

Write = Callable[..., Path]

ANSWERS_OPTIONS = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="answers OPTIONS">
  <recv request="OPTIONS"/>
  <send><![CDATA[

    SIP/2.0 200 OK
    [last_Via:]
    [last_From:]
    [last_To:];tag=[call_number]
    [last_Call-ID:]
    [last_CSeq:]
    Content-Length: 0

  ]]></send>
</scenario>
"""


@pytest.fixture
def sip_server(tmp_path: Path) -> Iterator[int]:
    """SIPp on 127.0.0.1, over UDP: its port."""
    tool = shutil.which("sipp")
    if tool is None:
        pytest.skip("sipp")
    scenario = tmp_path / "options.xml"
    scenario.write_text(ANSWERS_OPTIONS)
    port = free_port()
    server = subprocess.Popen(
        [tool, "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), "-t", "u1", "-nostdin"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    try:
        yield port
    finally:
        server.kill()
        server.wait(10)


def config(endpoints: str) -> str:
    return f"""
        listen: [udp://127.0.0.1:5060]
        endpoints: [{endpoints}]
        dns: {{nameservers: ["127.0.0.1:9"], timeout: 0.2, lifetime: 0.4, hosts_file: /dev/null,
               hosts: {{pc.contoso.com: [127.0.0.2, 127.0.0.1]}}}}
    """


def test_ready(chatredirect: Command, write: Write, sip_server: int) -> None:
    """One target of two that answers is enough; the ping is sent again until SIPp is up."""
    path = write(
        config(
            f"{{sip_address: a@contoso.com, pool_fqdn: pc.contoso.com, port: {sip_server},"
            " transport: udp}"
        )
    )
    done = chatredirect("check", "--live", path)
    for _ in range(20):  # a refused datagram is an answer of its own while SIPp starts
        if done.returncode == 0:
            break
        done = chatredirect("check", "--live", path)
    assert done.returncode == 0, done.stdout
    assert f"works  udp://127.0.0.1:{sip_server}  pc.contoso.com: 200 OK" in done.stdout
    assert f"FAILS  udp://127.0.0.2:{sip_server}  pc.contoso.com: " in done.stdout
    assert "ready      sip:a@contoso.com" in done.stdout
    assert done.stdout.endswith("1 of 1 endpoint ready\n")


def test_not_ready(chatredirect: Command, write: Write) -> None:
    """1, though the configuration is right; each endpoint says why."""
    path = write(
        config(
            "{sip_address: a@contoso.com, pool_fqdn: pc.contoso.com, port: 9, transport: tls},"
            "{sip_address: b@contoso.com, pool_fqdn: nowhere.contoso.com, transport: tcp}"
        )
    )
    done = chatredirect("check", "--live", path)
    assert done.returncode == 1
    assert "FAILS  tls://127.0.0.1:9  pc.contoso.com: " in done.stdout
    assert "not ready  sip:a@contoso.com (pc.contoso.com:9 over tls: " in done.stdout
    assert "not ready  sip:b@contoso.com (nowhere.contoso.com over tcp: " in done.stdout
    assert done.stdout.endswith("0 of 2 endpoints ready\n")
    answer = json.loads(chatredirect("check", "--live", "--json", path).stdout)
    assert [pool["ready"] for pool in answer["pools"]] == [False, False]


def test_own_listeners_are_no_targets(
    chatredirect: Command, write: Write, name_server: str
) -> None:
    """As for the daemon: a pool that leads back to it isn't ready, though something answers there.

    What literals tell is refused when the file is read; here only DNS knows.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        path = write(f"""
            listen: ["tcp://0.0.0.0:{port}"]
            endpoints:
              - {{sip_address: a@contoso.com, pool_fqdn: here.contoso.com, port: {port},
                 transport: tcp}}
            dns: {{nameservers: ["{name_server}"], hosts_file: /dev/null}}
        """)
        done = chatredirect("check", "--live", path)
        shown = chatredirect("resolve", "here.contoso.com", "--config", path)
    assert done.returncode == 1
    assert "own listener" in done.stdout
    assert shown.returncode == 1
    assert "own listener" in shown.stdout


def test_faulty_configuration_is_78(chatredirect: Command, write: Write) -> None:
    assert chatredirect("check", "--live", write("listen: 5")).returncode == 78


def test_resolve_shows_health(chatredirect: Command, write: Write, sip_server: int) -> None:
    """`resolve` ends with the targets in order and their health, if the daemon would ping them."""
    endpoint = f"{{sip_address: a@contoso.com, pool_fqdn: pc.contoso.com, port: {sip_server}}}"
    file = write(config(endpoint))
    command = ("resolve", "pc.contoso.com", "-c", file)
    done = chatredirect(*command, "--ping")
    for _ in range(20):  # a refused datagram is an answer of its own while SIPp starts
        if "works" in done.stdout:
            break
        done = chatredirect(*command, "--ping")
    assert done.returncode == 0, done.stderr
    down, up = done.stdout.splitlines()[-2:]
    assert f"→ udp://127.0.0.2:{sip_server}" in down
    assert "FAILS: connection refused" in down
    assert f"→ udp://127.0.0.1:{sip_server}" in up
    assert "works: 200 OK" in up
    found = json.loads(chatredirect(*command, "--ping", "--json").stdout)
    assert [each["works"] for each in found["resolutions"][0]["pings"]] == [False, True]
    assert "works" not in chatredirect(*command).stdout
    write(config(endpoint) + "    health: {timeout: 5.0}\n")
    assert "works: 200 OK" in chatredirect(*command).stdout
    assert "works" not in chatredirect(*command, "--no-ping").stdout


@pytest.mark.parametrize("option", ["--live", "--offline"])
def test_ciphers_that_are_none(chatredirect: Command, write: Write, option: str) -> None:
    """A fault also where no file is named: connections to pools begin with them."""
    path = write(
        "listen: [udp://127.0.0.1:5060]\n"
        "endpoints: [{sip_address: a@contoso.com, pool_fqdn: 127.0.0.1, port: 9}]\n"
        "tls: {ciphers: NONSUCH}\n"
    )
    done = chatredirect("check", option, path)
    assert done.returncode == 78
    assert 'tls: ciphers "NONSUCH" select nothing' in done.stdout
    assert "Traceback" not in done.stderr
