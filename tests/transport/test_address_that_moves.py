"""An address that this machine gets after the daemon's start, as from keepalived.

docs/operations.md, "An address that moves". In a network namespace of the test's own.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from tests.installed.namespace import Namespace, network_namespace
from tests.service.daemon import command, configuration, eventually

OWN, MOVED = "192.0.2.1", "192.0.2.10"
MOVED6 = "2001:db8::10"
# A client that takes nothing from another address than the one that it asks, as many do.
CLIENT = """
import socket, sys
transport, host = sys.argv[1:]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
with socket.socket(family, kind) as sock:
    sock.settimeout(20)
    sock.connect((host, 5060))
    sock.send(
        b"OPTIONS sip:ocschat@contoso.com SIP/2.0\\r\\n"
        b"Via: SIP/2.0/%b client.contoso.com;rport;branch=z9hG4bK1\\r\\n"
        b"From: <sip:a@contoso.com>;tag=1\\r\\nTo: <sip:ocschat@contoso.com>\\r\\n"
        b"Call-ID: 1\\r\\nCSeq: 1 OPTIONS\\r\\nContent-Length: 0\\r\\n\\r\\n"
        % transport.upper().encode()
    )
    print(sock.recv(4000).decode().splitlines()[0])
"""


@pytest.fixture
def machine() -> Iterator[Namespace]:
    with network_namespace() as namespace:  # with /24, lo would have every address of it
        inside(namespace, "ip", "address", "add", f"{OWN}/32", "dev", "lo")
        yield namespace


def inside(namespace: Namespace, *arguments: str) -> str:
    done = subprocess.run(
        [*namespace.prefix(), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(machine: Namespace, folder: Path, listen: Sequence[str], **keys: object) -> Path:
    """The configuration's file; `check` approves it, whatever addresses this machine has."""
    file = folder / "main.yaml"
    file.touch(mode=0o600)
    hosts = {"dns": {"hosts": {"pcpool.contoso.com": ["192.0.2.20"]}}, "control": {"socket": "off"}}
    file.write_text(yaml.safe_dump(configuration(listen=list(listen), **hosts, **keys)))
    answer = json.loads(inside(machine, *command("check", file, "--offline", "--json")))
    assert answer["schema"].startswith("chatredirect/check")
    return file


@pytest.mark.parametrize(
    ("listen", "keys"),
    [
        (["udp://0.0.0.0:5060", "tcp://0.0.0.0:5060"], {}),
        (["udp://[::]:5060", "tcp://[::]:5060"], {}),
        (
            [
                f"{transport}://{host}:5060"
                for transport in ("udp", "tcp")
                for host in (MOVED, f"[{MOVED6}]")
            ],
            {"free_bind": True},
        ),
    ],
)
def test_it_answers_from_the_address_that_it_was_asked_at(
    machine: Namespace, tmp_path: Path, listen: list[str], keys: dict[str, object]
) -> None:
    """By a wildcard listener or by `free_bind`, over UDP and TCP, IPv4 and IPv6."""
    config = run(machine, tmp_path, listen, **keys)
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*machine.prefix(), *command("run", "--config", config)], stderr=output
        ) as daemon,
    ):
        try:
            eventually(
                lambda: daemon.poll() is not None or b'"started"' in log.read_bytes(), "start"
            )
            assert daemon.poll() is None, log.read_text()
            inside(machine, "ip", "address", "add", f"{MOVED}/32", "dev", "lo")
            inside(machine, "ip", "address", "add", f"{MOVED6}/128", "dev", "lo", "nodad")
            both = [MOVED] if listen[0] == "udp://0.0.0.0:5060" else [MOVED, MOVED6]
            for host in both:
                for transport in ("udp", "tcp"):
                    said = inside(machine, sys.executable, "-c", CLIENT, transport, host)
                    assert said == "SIP/2.0 200 OK\n"
        finally:
            daemon.terminate()


def test_without_free_bind(machine: Namespace, tmp_path: Path) -> None:
    """Exit status 69, with the key that would help."""
    config = run(machine, tmp_path, [f"udp://{MOVED}:5060"])
    done = subprocess.run(
        [*machine.prefix(), *command("run", "--config", config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 69
    assert f"can't listen on udp://{MOVED}:5060: this machine has no such address" in done.stderr
    assert "set free_bind" in done.stderr
