"""The servers under measurement: the daemon and Kamailio, each a process on a loopback port.

A server is ready when it has answered a request of the kind that is going to be measured.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import CannotMeasureError
from benchmarks.messages import POOL, endpoint_uri, numbered, redirect_exchange
from benchmarks.processes import on_core, process_tree
from tests.ports import free_port

READY_WITHIN = 120.0  # seconds; a hundred thousand endpoints take a while to read
_KAMAILIO_CONFIG = Path(__file__).parent / "kamailio.cfg"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its name in the table, its port (UDP and TCP alike), its processes."""

    name: str
    port: int
    pids: list[int]


def daemon_configuration(
    port: int,
    endpoints: int = 1,
    loop: str = "auto",
    http: int | None = None,
    ledger: Path | None = None,
) -> str:
    """The daemon's YAML: two listeners, endpoints that share one pool, no request log.

    With a port for HTTP it serves its metrics there, with a file it keeps its ledger of uses in it.
    """
    lines = [
        f"listen: [udp://127.0.0.1:{port}, tcp://127.0.0.1:{port}]",
        f"dns: {{hosts: {{{POOL}: [192.0.2.20]}}}}",
        "log: {requests: false}",
        f"loop: {loop}",
        f"http: {{listen: {'off' if http is None else http}}}",
        f"usage: {{store: {'off' if ledger is None else f'sqlite://{ledger}'}}}",
        "endpoints:",
    ]
    lines += [
        f"  - {{sip_address: '{endpoint_uri(i)}', pool_fqdn: {POOL}}}" for i in range(endpoints)
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def daemon(
    directory: Path,
    name: str,
    *,
    endpoints: int = 1,
    loop: str = "auto",
    command: Sequence[str] = (sys.executable, "-m", "chatredirect"),
    core: int | None = None,
    http: int | None = None,
    ledger: Path | None = None,
) -> Iterator[Server]:
    """The daemon with `endpoints` endpoints, run as `command` ``run --config FILE``."""
    port = free_port()
    config = directory / f"{port}.yaml"
    config.write_text(daemon_configuration(port, endpoints, loop, http, ledger))
    with running(name, [*command, "run", "--config", str(config)], directory, port, core) as server:
        yield server


@contextmanager
def kamailio(directory: Path, name: str, core: int | None = None) -> Iterator[Server]:
    """Kamailio with kamailio.cfg; raises CannotMeasureError where it is not installed."""
    program = find_kamailio()
    port = free_port()
    config = directory / "kamailio.cfg"
    config.write_text(_KAMAILIO_CONFIG.read_text().replace("@PORT@", str(port)))
    command = [program, "-f", str(config), "-DD", "-E", "-w", str(directory)]
    command += ["-Y", str(directory), "-x", "tlsf", "-X", "tlsf"]
    with running(name, command, directory, port, core) as server:
        yield server


def find_kamailio() -> str:
    """The path of Kamailio; raises CannotMeasureError where it is not installed."""
    program = shutil.which("kamailio", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        raise CannotMeasureError("no kamailio to compare with: apt-get install kamailio")
    return program


@contextmanager
def running(
    name: str, command: list[str], directory: Path, port: int, core: int | None
) -> Iterator[Server]:
    """Start `command`, wait until it redirects over UDP and TCP, and stop it in the end.

    Raises CannotMeasureError with the end of its output when it exits or does not get ready.
    """
    output = directory / f"{port}.log"
    with output.open("wb") as log:
        process = subprocess.Popen(on_core(core, command), stdout=log, stderr=log)
    try:
        _wait_until_ready(name, process, port, output)
        yield Server(name, port, process_tree(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(
    name: str, process: "subprocess.Popen[bytes]", port: int, output: Path
) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not (_answers("udp", port) and _answers("tcp", port)):
        if process.poll() is not None or time.monotonic() > deadline:
            state = "does not answer" if process.poll() is None else "has exited"
            tail = output.read_text(errors="backslashreplace")[-2000:]
            raise CannotMeasureError(f"{name} {state}; the end of its output:\n{tail}")


def _answers(transport: str, port: int) -> bool:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with closing(socket.socket(socket.AF_INET, kind)) as sock:
        sock.settimeout(0.2)
        try:
            sock.connect(("127.0.0.1", port))
            sent_by = f"127.0.0.1:{sock.getsockname()[1]}"
            sock.send(numbered(redirect_exchange(transport, sent_by).request))
            return sock.recv(65535).startswith(b"SIP/2.0 302 ")
        except OSError:
            time.sleep(0.05)
            return False


#: The daemon without the compiled codec, in the tables.
IN_PYTHON = "chatredirect in Python"


def in_python(command: Sequence[str]) -> list[str]:
    """A command for the daemon, without the compiled codec."""
    return ["env", "CHATREDIRECT_CODEC=python", *command]


def has_codec(about: dict[str, str]) -> bool:
    """Whether the daemon has the compiled codec, by what `versions` gave."""
    return "codec: compiled" in about["chatredirect"]


def versions(command: Sequence[str]) -> dict[str, str]:
    """The versions of the daemon (run with `command`) and of Kamailio, for the record."""
    own = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    peer = subprocess.run([find_kamailio(), "-v"], capture_output=True, text=True, check=False)
    return {
        "chatredirect": own.stdout.strip() or "unknown",
        "kamailio": peer.stdout.splitlines()[0] if peer.stdout else "unknown",
    }
