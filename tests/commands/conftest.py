"""The commands as a user runs them: a process, its output and its exit status; and a DNS server."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.ports import free_port
from tests.service.fixtures import run_daemon
from tests.trace.conftest import control

__all__ = ["control", "run_daemon"]

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def chatredirect(tmp_path: Path) -> Command:
    """Run `chatredirect ARGUMENTS`; settings of the caller's environment don't count."""

    def run(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if k != "CHATREDIRECT_CONFIG"}
        return subprocess.run(
            [sys.executable, "-m", "chatredirect", *map(str, arguments)],
            env={**clean, "NO_COLOR": "1", "COLUMNS": "100", **environ},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file under the test's own directory; the text may be indented."""

    def write_file(text: str, name: str = "main.yaml") -> Path:
        path = tmp_path / name
        path.write_text(dedent(text).lstrip("\n"))
        return path

    return write_file


@pytest.fixture(scope="session")
def name_server() -> Iterator[str]:
    """A dnsmasq of our own on loopback that knows contoso.com: its address and port."""
    tool = shutil.which("dnsmasq") or shutil.which("dnsmasq", path="/usr/sbin:/sbin")
    if tool is None:
        pytest.skip("dnsmasq")
    port = free_port()
    server = subprocess.Popen(
        [
            *(tool, "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="),
            *(f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces"),
            *("--no-resolv", "--no-hosts", "--local=/contoso.com/", "--user=", "--group="),
            "--host-record=plain.contoso.com,192.0.2.20",
            "--host-record=fe01.contoso.com,192.0.2.21",
            "--host-record=here.contoso.com,127.0.0.1",
            "--srv-host=_sips._tcp.pcpool.contoso.com,fe01.contoso.com,5061,10,20",
        ],
        stderr=subprocess.PIPE,
    )
    try:
        _wait_until_it_answers(server, port)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate(timeout=10)


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int) -> None:
    query = b"\0\1\1\0\0\1\0\0\0\0\0\0\5plain\7contoso\3com\0\0\1\0\1"
    deadline = time.monotonic() + 10
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.1)
        client.connect(("127.0.0.1", port))
        while time.monotonic() < deadline:
            if server.poll() is not None and server.stderr is not None:
                pytest.fail(f"dnsmasq: {server.stderr.read().decode()}")
            try:
                client.send(query)
                client.recv(512)
            except OSError:
                time.sleep(0.02)
            else:
                return
    pytest.fail("dnsmasq didn't answer in time")
