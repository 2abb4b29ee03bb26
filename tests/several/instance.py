"""One instance of chatredirect on a machine of its own, and keepalived beside it if need be."""

import json
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.several.lan import Machine, end, wait_for
from tests.tls.processes import program

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


@dataclass(slots=True)
class Instance:
    """A machine with a daemon.

    Attributes:
        config: its configuration, a file that all have in common.
        tree: the source that its daemon runs from.
        variables: more of its environment.
    """

    machine: Machine
    name: str
    config: Path
    tree: Path = ROOT
    variables: dict[str, str] = field(default_factory=dict)
    process: Any = None
    keepalived: Any = None

    def start(self) -> None:
        """Start the daemon, and wait until it is ready."""
        before = self._started()
        self.process = self.machine.start(
            sys.executable,
            "-m",
            "chatredirect",
            "run",
            "--config",
            self.config,
            environment=self._environment,
            log="chatredirect",
        )
        wait_for(lambda: self._started() > before or self.process.poll() is not None, "start")
        assert self.process.poll() is None, self.log

    @property
    def _environment(self) -> dict[str, str]:
        name = f"{self.name}.contoso.com"
        own = {"PYTHONPATH": str(self.tree), "CHATREDIRECT_ADVERTISE": name}
        return own | self.variables

    def compared(self) -> list[str]:
        """What `check --live` says of the other instances."""
        pairs = [f"{key}={value}" for key, value in self._environment.items()]
        check = ["-m", "chatredirect", "check", self.config, "--live", "--json"]
        told = self.machine.output("env", *pairs, sys.executable, *check)
        instances = json.loads(told)["instances"]
        return [f"{each['instance']}: {', '.join(each['problems'])}" for each in instances]

    def _started(self) -> int:
        path = self.machine.folder / f"{self.name}-chatredirect.log"
        return self.log.count('"event":"started"') if path.exists() else 0

    @property
    def log(self) -> str:
        """Its log so far."""
        return self.machine.log("chatredirect")

    def kill(self) -> None:
        """The process dies at once."""
        end(self.process, signal.SIGKILL)

    def drain(self) -> None:
        """A stop as systemd makes it; the virtual address goes first, where there is one."""
        if self.keepalived is not None:
            end(self.keepalived)
        end(self.process)

    def cut(self) -> None:
        """The machine's cable is pulled out."""
        self.machine.link("down")

    def upgrade(self, tree: Path = ROOT) -> None:
        """Stopped, and started again, from another tree."""
        self.drain()
        self.tree = tree
        self.start()
        if self.keepalived is not None:
            self.start_keepalived()

    def start_keepalived(self) -> None:
        """Take the virtual address, if nobody with a higher priority is ready."""
        folder, name = self.machine.folder, self.machine.name
        priority = 150 - 10 * int(name[2:])
        values = {"NAME": name, "CURL": program("curl"), "PRIORITY": priority}
        text = (HERE / "keepalived.conf").read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        written = folder / f"{name}-keepalived.conf"
        written.write_text(text)
        self.keepalived = self.machine.start(
            program("keepalived"),
            *("--dont-fork", "--log-console", "--vrrp", f"--use-file={written}"),
            f"--pid={folder / f'{name}-keepalived.pid'}",
            # version 2.3 locks those of processes that it doesn't start, too
            *(
                f"--{each}_pid={folder / f'{name}-{each}.pid'}"
                for each in ("vrrp", "checkers", "bfd")
            ),
            log="keepalived",
        )
