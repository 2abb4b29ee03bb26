"""SIPp as a process on loopback, on either side of a call."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port
from tests.service.daemon import PATIENCE
from tests.tls.processes import program

_ENVIRONMENT = {"TERM": "dumb", "PATH": "/usr/bin:/bin"}
#: Its own 64 KB overflow when a busy machine doesn't let it run for a tenth of a second.
BUFFERS = ("-buff_size", str(4 << 20))


def sipp(
    to: tuple[str, int],
    folder: Path,
    scenario: Path,
    *arguments: str,
    calls: int,
    rate: int = 200,
    service: str = "ocschat",
) -> "subprocess.CompletedProcess[str]":
    """SIPp as a client, until its calls are over; its exit status is 0 if none has failed.

    Args:
        to: whom it calls.
        folder: for what it has to complain of; see `errors`.
        scenario: an XML file.
        arguments: more of its own.
        calls: how many.
        rate: calls a second.
        service: what stands for [service] in the scenario.
    """
    return subprocess.run(
        [
            *(program("sipp"), f"{to[0]}:{to[1]}", "-sf", str(scenario), "-i", "127.0.0.1"),
            *("-p", str(free_port()), "-m", str(calls), "-r", str(rate), "-l", "200", "-nostdin"),
            *BUFFERS,
            *(
                "-s",
                service,
                "-timeout",
                "60s",
                "-timeout_error",
                "-trace_err",
                "-error_file",
                "errors.log",
            ),
            *arguments,
        ],
        cwd=folder,
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE + 60,
        check=False,
    )


def errors(folder: Path) -> str:
    """What SIPp had to complain of."""
    file = folder / "errors.log"
    return file.read_text(errors="replace")[-3000:] if file.exists() else ""


@contextmanager
def answering(
    scenario: Path, folder: Path, *arguments: str, host: str = "127.0.0.1", port: int = 0
) -> Iterator[int]:
    """SIPp as a server; its port.

    Args:
        scenario: an XML file.
        folder: for what it has to complain of; see `complaints`.
        arguments: more of its own.
        host: where it listens.
        port: where it listens; a free one if 0.
    """
    port = port or free_port()
    with (folder / f"uas{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(program("sipp"), "-sf", str(scenario), "-i", host, "-p", str(port), "-nostdin"),
                *("-trace_err", "-error_file", f"uas{port}.errors", *BUFFERS, *arguments),
            ],
            cwd=folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait(process, host, port)
        yield port
    finally:
        process.kill()
        process.wait()


def complaints(folder: Path, port: int) -> str:
    """What a server had to complain of."""
    file = folder / f"uas{port}.errors"
    return file.read_text(errors="replace")[-3000:] if file.exists() else ""


def _wait(process: "subprocess.Popen[bytes]", host: str, port: int) -> None:
    """Until it has its port, by whatever transport."""
    address = int.from_bytes(socket.inet_aton(host), sys.byteorder)
    end, place = time.monotonic() + PATIENCE, f" {address:08X}:{port:04X} "
    tables = (Path("/proc/net/udp"), Path("/proc/net/tcp"))
    while not any(place in table.read_text() for table in tables):
        assert process.poll() is None, "SIPp ended"
        assert time.monotonic() < end
        time.sleep(0.02)


def open_connection(port: int, folder: Path, scenario: Path) -> None:
    """A call through Kamailio that opens its connection to the daemon; how it ends doesn't matter.

    While its TLS connection is being opened, Kamailio 5.6.3 on a busy machine may read responses
    and not handle them before something else comes: all octets are acknowledged, and 20 s later it
    sends 408.
    """
    sipp(("127.0.0.1", port), folder, scenario, "-timeout", "5s", calls=1)
