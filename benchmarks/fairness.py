"""Does anybody make the others wait? An honest client beside each kind of flood.

    python -m benchmarks.fairness [--seconds 8] [--command 'CHATREDIRECT'] [--only KIND ...]

The client sends 100 requests a second over UDP, and over TCP, and notes how long each answer takes;
beside it others send as fast as they can: over one connection, eight or a hundred. The first row
has nobody beside it, and the same client against a program that only echoes tells what the machine
itself is late by. Exit status 1: beside one flooding connection the p99 was over 20 ms, or anybody
waited over 100 ms, and the machine wasn't late itself. Exit status 2: nothing could be measured.
"""

import argparse
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import CannotMeasureError
from benchmarks.messages import POOL, endpoint_uri, numbered, redirect_exchange
from benchmarks.servers import running
from tests.ports import free_port
from tests.tls.authority import Authority

RATE = 100  # requests a second
ONE_P99 = 0.020
"""Seconds of p99 that one flooding connection may cost."""
LONGEST = 0.100
"""Seconds that nobody waits longer than, however many there are."""
PATIENCE = 15.0
"""Seconds after which an answer is lost."""

#: What is sent, over how many connections.
FLOODS = (
    *(("tcp/response", 1), ("tcp/keep-alive", 1), ("tcp/ack", 1), ("tcp/long ack", 1)),
    *(("tcp/request", 1), ("tls/response", 1), ("tls/request", 1), ("tcp/response", 8)),
    *(("tcp/response", 100), ("tcp/request", 100), ("udp/response", 1), ("udp/request", 1)),
    *(("http/http", 8), ("unix/control", 8), ("pool/180", 1)),
)


@dataclass(slots=True)
class Waits:
    """How long answers took, in seconds, and how many never came."""

    seconds: list[float] = field(default_factory=list)
    lost: int = 0

    def at(self, part: float) -> float:
        """The wait that this part of all had at most."""
        if not self.seconds:
            return PATIENCE
        return sorted(self.seconds)[min(int(part * len(self.seconds)), len(self.seconds) - 1)]

    @property
    def longest(self) -> float:
        """The longest wait."""
        return PATIENCE if self.lost or not self.seconds else max(self.seconds)


class Client(threading.Thread):
    """The honest client: a request each hundredth of a second, whatever the answers do."""

    def __init__(
        self, transport: str, port: int, seconds: float, patience: float = PATIENCE
    ) -> None:
        """Connect."""
        super().__init__(daemon=True)
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.waits = Waits()
        self._seconds = seconds
        self._patience = patience
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.connect(("127.0.0.1", port))
        self._request = numbered(
            redirect_exchange(transport, f"127.0.0.1:{self._socket.getsockname()[1]}").request
        )
        self._sent: dict[int, float] = {}
        self._done = False

    def run(self) -> None:
        """Send, while another thread receives."""
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        began = time.monotonic()
        for number in range(int(self._seconds * RATE)):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            self._sent[number] = time.monotonic()
            self._socket.send(self._request.replace(b"CSeq: ", b"CSeq: 1%06d" % number, 1))
        end = time.monotonic() + self._patience
        while self._sent and time.monotonic() < end:
            time.sleep(0.01)
        self.waits.lost = len(self._sent)
        self._done = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _read(self) -> None:
        buffer = b""
        while not self._done:
            try:
                data = self._socket.recv(65536)
            except OSError:
                return
            now = time.monotonic()
            buffer += data
            while b"\r\n\r\n" in buffer:
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                number = int(head.partition(b"CSeq: 1")[2][:6])
                sent = self._sent.pop(number, None)
                if sent is not None:
                    self.waits.seconds.append(now - sent)


@contextmanager
def echo() -> Iterator[int]:
    """A process that sends back what it gets, over UDP: its port."""
    program = (
        "import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.bind(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\n"
        "while True:\n    d, a = s.recvfrom(65536)\n    s.sendto(d, a)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


class Pool(threading.Thread):
    """A pool's member that answers an INVITE with 180s, as fast as it can."""

    def __init__(self) -> None:
        """Listen."""
        super().__init__(daemon=True)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.until = 0.0

    def run(self) -> None:
        """Serve one connection after the other."""
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return  # it has been closed
            head = sock.recv(65536).partition(b"\r\n\r\n")[0].split(b"\r\n")
            copied = [line for line in head[1:] if line[:2] in (b"Vi", b"Fr", b"To", b"Ca", b"CS")]
            ringing = b"\r\n".join((b"SIP/2.0 180 Ringing", *copied, b"Content-Length: 0", b"\r\n"))
            try:
                while time.monotonic() < self.until:
                    sock.sendall(ringing * 64)
            except OSError:
                pass
            sock.close()

    def close(self) -> None:
        """End."""
        self.until = 0.0
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@dataclass(frozen=True, slots=True)
class Bench:
    """A daemon with everything that can be flooded: its configuration, and where that is."""

    config: Path
    port: int
    tls: int
    http: int
    control: Path
    files: tuple[Path, Path, Path]
    pool: Pool


@contextmanager
def bench(folder: Path, loop: str = "auto") -> Iterator[Bench]:
    """Write the configuration; strangers come from loopback too, so one address is trusted."""
    port, tls, http = free_port(), free_port(), free_port()
    authority = Authority(folder)
    leaf = authority.issue("contoso.com")
    pool = Pool()
    pool.start()
    control = folder / "control"
    config = folder / "flooded.yaml"
    config.write_text(
        f"loop: {loop}\n"
        f"listen: [udp://127.0.0.1:{port}, tcp://127.0.0.1:{port}, tls://127.0.0.1:{tls}]\n"
        f"tls: {{certificate: {leaf.certificate}, private_key: {leaf.private_key}, "
        f"ca: {authority.file}, verify_peer: optional}}\n"
        f"dns: {{hosts: {{{POOL}: [192.0.2.20], member.contoso.com: [127.0.0.1]}}}}\n"
        "trusted_peers: [127.0.0.9]\nlog: {requests: false}\n"
        f"http: {{listen: {http}}}\ncontrol: {{socket: {control}}}\n"
        "endpoints:\n"
        f"  - {{sip_address: '{endpoint_uri(0)}', pool_fqdn: {POOL}}}\n"
        "  - {sip_address: 'sip:proxied@contoso.com', pool_fqdn: member.contoso.com, mode: proxy, "
        f"transport: tcp, port: {pool.port}}}\n"
    )
    files = (leaf.certificate, leaf.private_key, authority.file)
    try:
        yield Bench(config, port, tls, http, control, files, pool)
    finally:
        pool.close()


@contextmanager
def flooded(bench: Bench, kind: str, connections: int, seconds: float) -> Iterator[None]:
    """Somebody sends as fast as he can."""
    transport = kind.partition("/")[0]
    host, port = "127.0.0.1", bench.port
    if transport == "pool":
        with ringing(bench, seconds):
            yield
        return
    if transport == "tls":
        port = bench.tls
    elif transport == "http":
        port = bench.http
    elif transport == "unix":
        host = str(bench.control)
    arguments = [kind, host, str(port), str(connections), str(seconds), *map(str, bench.files)]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.fairness_load", *arguments])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def ringing(bench: Bench, seconds: float) -> Iterator[None]:
    """A trusted caller's INVITE reaches a pool that never stops ringing."""
    bench.pool.until = time.monotonic() + seconds
    with socket.socket() as caller:
        caller.bind(("127.0.0.9", 0))
        caller.connect(("127.0.0.1", bench.port))
        invite = redirect_exchange("tcp", f"127.0.0.9:{caller.getsockname()[1]}").request
        uri = endpoint_uri(0).encode()
        caller.sendall(numbered(invite).replace(uri, b"sip:proxied@contoso.com"))
        reader = threading.Thread(target=_read_all, args=(caller,), daemon=True)
        reader.start()
        time.sleep(0.2)
        yield


def _read_all(sock: socket.socket) -> None:
    try:
        while sock.recv(1 << 20):
            pass
    except OSError:
        pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row for each flood."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="for each flood")
    parser.add_argument("--command", default=f"{sys.executable} -m chatredirect")
    parser.add_argument("--only", nargs="*", help="floods whose name begins so")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    over = late = 0
    with ExitStack() as stack:
        echoing = stack.enter_context(echo())
        for kind, connections in (("nobody", 0), *FLOODS):
            if options.only and kind != "nobody" and not kind.startswith(tuple(options.only)):
                continue
            try:
                machine, udp, tcp = _fresh(kind, connections, echoing, options)
            except CannotMeasureError as error:
                print(error, file=sys.stderr)
                return 2
            name = f"{kind} x {connections}" if connections > 1 else kind
            _show((name, machine, udp, tcp), markdown=options.markdown, first=not connections)
            # a datagram that the kernel drops of a full buffer was made to wait by nobody here
            waits = tcp if kind.startswith("udp/") else max(udp, tcp, key=lambda w: w.longest)
            if waits.longest > LONGEST or (connections == 1 and waits.at(0.99) > ONE_P99):
                if machine.longest > LONGEST / 2:
                    late += 1
                else:
                    over += 1
    if late:
        print(f"the machine itself was late beside {late} floods: they say nothing")
    return 1 if over else 2 if late else 0


def _fresh(
    kind: str, connections: int, echoing: int, options: argparse.Namespace
) -> tuple[Waits, Waits, Waits]:
    """A daemon of its own beside a flood."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fairness-")))
        made = stack.enter_context(bench(folder))
        run = [*shlex.split(options.command), "run", "--config", str(made.config)]
        stack.enter_context(running("chatredirect", run, folder, made.port, None))
        return beside(made, kind, connections, echoing, options.seconds)


def beside(
    bench: Bench,
    kind: str,
    connections: int,
    echoing: int,
    seconds: float,
    patience: float = PATIENCE,
) -> tuple[Waits, Waits, Waits]:
    """How long the machine, UDP and TCP took beside a flood, over no connection for none."""
    with ExitStack() as stack:
        if connections:
            stack.enter_context(flooded(bench, kind, connections, seconds + patience))
            time.sleep(0.5)
        clients = [
            Client("udp", echoing, seconds, patience),
            Client("udp", bench.port, seconds, patience),
            Client("tcp", bench.port, seconds, patience),
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    machine, udp, tcp = (client.waits for client in clients)
    return machine, udp, tcp


def _show(row: tuple[str, Waits, Waits, Waits], *, markdown: bool, first: bool) -> None:
    name, *all_waits = row
    head = (
        "beside",
        "echo, longest",
        "UDP p50",
        "p99",
        "longest",
        "TCP p50",
        "p99",
        "longest (ms)",
    )
    machine, udp, tcp = all_waits
    cells = [name, f"{machine.longest * 1e3:.1f}"]
    for waits in (udp, tcp):
        cells += [f"{seconds * 1e3:.1f}" for seconds in (waits.at(0.5), waits.at(0.99))]
        cells.append(f"{waits.lost} lost" if waits.lost else f"{waits.longest * 1e3:.1f}")
    if markdown:
        if first:
            print("| " + " | ".join(head) + " |\n| --- |" + " ---: |" * (len(head) - 1))
        print("| " + " | ".join(cells) + " |", flush=True)
        return
    if first:
        print("  ".join(f"{text:>13}" for text in head))
    print("  ".join(f"{text:>13}" for text in cells), flush=True)


if __name__ == "__main__":
    sys.exit(main())
