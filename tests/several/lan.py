"""Machines in network namespaces, on one switch: each has an address and can be cut off."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.installed.namespace import Namespace, network_namespace

NAME_SERVER = "192.0.2.53"
PATIENCE = 30.0
_TOOLS = ("mount", "setpriv")


@dataclass(slots=True)
class Machine:
    """A namespace with one link to the switch.

    Attributes:
        name: what its link and its logs are called.
        address: its first address.
        namespace: its own, with mounts.
        switch: the switch's.
        folder: where its programs' logs go.
    """

    name: str
    address: str
    namespace: Namespace
    switch: Namespace
    folder: Path
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def command(self, *arguments: str | Path) -> list[str]:
        """A command line that runs inside, and ends with the test's process."""
        inside = self.namespace.prefix()
        return ["setpriv", "--pdeathsig", "KILL", *inside, *map(str, arguments)]

    def run(self, *arguments: str | Path) -> str:
        """What a command prints; fails if the command does."""
        done = self._done(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def output(self, *arguments: str | Path) -> str:
        """What a command prints, whether it fails or not."""
        return self._done(*arguments).stdout

    def _done(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False, timeout=60
        )

    def start(
        self,
        *arguments: str | Path,
        environment: Mapping[str, str] | None = None,
        log: str | None = None,
        stdout: int | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start a program whose output goes to a log file, unless `stdout` takes its own."""
        name = log or Path(str(arguments[0])).name
        with (self.folder / f"{self.name}-{name}.log").open("ab") as file:
            process = subprocess.Popen(
                self.command(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=file if stdout is None else stdout,
                stderr=file,
                cwd=self.folder,
                env={**os.environ, **(environment or {})},
            )
        self.started.append(process)
        return process

    def log(self, name: str) -> str:
        """What a program has written so far."""
        return (self.folder / f"{self.name}-{name}.log").read_text(errors="replace")

    def link(self, state: str) -> None:
        """Pull the cable out of the switch (`down`), or put it in again (`up`)."""
        command = [*self.switch.prefix(), "ip", "link", "set", self.name, state]
        subprocess.run(command, check=True, timeout=10)

    def knows(self, address: str, other: "Machine") -> None:
        """Whom this machine takes for the one that has an address, until it hears otherwise."""
        link = other.run("ip", "-o", "link", "show", "dev", "eth0")
        hardware = link.partition("link/ether ")[2].split()[0]
        known = ["lladdr", hardware, "dev", "eth0", "nud", "reachable"]
        self.run("ip", "neigh", "replace", address, *known)

    def addresses(self) -> list[str]:
        """All IPv4 addresses that it has now, loopback apart."""
        lines = self.run("ip", "-4", "-o", "address", "show", "dev", "eth0").splitlines()
        return [line.split()[3].partition("/")[0] for line in lines]


@dataclass(slots=True)
class Lan:
    """A switch, and what makes machines on it."""

    switch: Namespace
    folder: Path
    stack: ExitStack

    def machine(self, name: str, *addresses: str) -> Machine:
        """A machine with these addresses, in a network of 24 bits."""
        resolv = self.folder / "resolv.conf"
        resolv.write_text(f"nameserver {NAME_SERVER}\noptions timeout:1 attempts:2\n")
        hosts = self.folder / "hosts"
        hosts.write_text("127.0.0.1 localhost\n")
        own = self.stack.enter_context(network_namespace(mounts=True))
        machine = Machine(name, addresses[0], own, self.switch, self.folder)
        veth = ["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0"]
        enter = self.switch.prefix()
        for each in (
            [*veth, "netns", str(own.pid)],
            ["ip", "link", "set", name, "master", "switch", "up"],
        ):
            subprocess.run([*enter, *each], check=True, timeout=10)
        for address in addresses:
            machine.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        machine.run("ip", "link", "set", "eth0", "up")
        machine.run("mount", "--bind", resolv, "/etc/resolv.conf")
        machine.run("mount", "--bind", hosts, "/etc/hosts")
        self.stack.callback(_end_all, machine.started)
        return machine


@contextmanager
def lan(folder: Path) -> Iterator[Lan]:
    """A switch; skips the test where none can be made."""
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} not found")
    with ExitStack() as stack:
        switch = stack.enter_context(network_namespace())
        enter = [*switch.prefix(), "ip", "link"]
        made = subprocess.run(
            [*enter, "add", "switch", "type", "bridge"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
        if made.returncode:
            pytest.skip(f"a bridge can't be made here: {made.stderr.strip()}")
        subprocess.run([*enter, "set", "switch", "up"], check=True, timeout=10)
        yield Lan(switch, folder, stack)


def end(process: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> None:
    """Send a signal and wait until the process has ended."""
    if process.poll() is None:
        process.send_signal(number)
    _wait(process)


def _wait(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_all(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()  # the test has seen all that it wants to see
    for process in processes:
        _wait(process)


def wait_for(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Return when the condition is true; fail with `what` if it never is."""
    ends = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < ends, f"waited {patience} s in vain for {what}"
        time.sleep(0.05)
