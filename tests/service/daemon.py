"""chatredirect as a process: started on free ports with a configuration made for one test.

It listens on port 0; the `started` line says which ports it got, so tests can run side by side. The
log goes to a file, is there to be read at any time, and is shown when something fails.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0  # seconds for what should take none; only a failing test waits that long

LOOPBACK = ("udp://127.0.0.1:0", "tcp://127.0.0.1:0")


def endpoint(address: str = "sip:ocschat@contoso.com", **keys: Any) -> dict[str, Any]:
    """An entry under `endpoints`; the pool is one that `configuration` knows."""
    return {
        "sip_address": address,
        "pool_fqdn": "pcpool.contoso.com",
        "port": 5061,
        "transport": "tls",
    } | keys


def configuration(**keys: Any) -> dict[str, Any]:
    """A configuration that needs nothing but loopback; keys replace those given here.

    A key that is None is left out.
    """
    settings = {
        "listen": list(LOOPBACK),
        "endpoints": [endpoint()],
        "dns": {"hosts": {"pcpool.contoso.com": ["192.0.2.20"]}},
        "secret": "a secret of sixteen characters and more",
    } | keys
    return {key: value for key, value in settings.items() if value is not None}


def configured(folder: Path, **keys: Any) -> dict[str, Any]:
    """A configuration with a control socket in a folder of its own."""
    return configuration(**{"control": {"socket": str(folder / "control")}} | keys)


def command(*arguments: str | Path) -> list[str]:
    """A command line for this interpreter's chatredirect, or that of the variable ATTACKED.

    With ATTACKED=/path/of/another/chatredirect `make attack` shows what another version does.
    """
    other = os.environ.get("ATTACKED")
    begin = [other] if other else [sys.executable, "-m", "chatredirect"]
    return [*begin, *map(str, arguments)]


def run_command(*arguments: str | Path, **keys: Any) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself, with its exit status and what it printed.

    Keys replace those given to `subprocess.run`.
    """
    settings: dict[str, Any] = {"cwd": ROOT, "timeout": 2 * PATIENCE} | keys
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, **settings
    )


def eventually(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait until a condition gives something true, and give it."""
    end = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain for {what}")
        time.sleep(0.01)


@dataclass
class Daemon:
    """A running `chatredirect run`.

    Attributes:
        process: it.
        config: its configuration file.
        log_file: where its standard error goes.
        listening: its addresses from the `started` line, in the order of the configuration, as
            (transport, host without brackets, port).
    """

    process: subprocess.Popen[bytes]
    config: Path
    log_file: Path
    listening: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def log_text(self) -> str:
        """All of the log so far."""
        return self.log_file.read_text(encoding="utf-8")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's lines for an event."""
        lines = [line for line in self.log_text.split("\n")[:-1] if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """The first line for an event with these fields, as soon as it is there."""

        def look() -> dict[str, Any] | None:
            for event in self.events(name):
                if fields.items() <= event.items():
                    return event
            if self.process.poll() is not None:
                raise AssertionError(f"exit status {self.process.returncode}:\n{self.log_text}")
            return None

        return eventually(look, f"{name} {fields} in\n{self.log_text}")

    def address(self, transport: str = "udp", host: str | None = None) -> tuple[str, int]:
        """Host and port of the first listener of a transport (on a host)."""
        for listening, at, port in self.listening:
            if listening == transport and host in (None, at):
                return at, port
        raise LookupError(transport)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, wait for it, and give its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def start(
    folder: Path,
    settings: Mapping[str, Any] | Path,
    *,
    wait: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Daemon:
    """Start the daemon; its files go into `folder`.

    Args:
        folder: an existing directory for the configuration and the log.
        settings: the configuration, or the path of one.
        wait: whether to wait until it serves.
        environment: variables to add.
    """
    number = len(list(folder.glob("daemon*.log")))
    if isinstance(settings, Path):
        config = settings
    else:
        config = folder / f"daemon{number}.yaml"
        config.touch(mode=0o600)  # it holds a secret
        config.write_text(yaml.safe_dump(dict(settings), sort_keys=False), encoding="utf-8")
    log_file = folder / f"daemon{number}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command("run", "--config", config),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env=os.environ | dict(environment or {}),
        )
    daemon = Daemon(process, config, log_file)
    if wait:
        try:
            daemon.listening = [_listener(url) for url in daemon.event("started")["listen"]]
        except BaseException:
            process.kill()
            process.wait()
            raise
    return daemon


def _listener(url: str) -> tuple[str, str, int]:
    transport, _, rest = url.partition("://")
    host, _, port = rest.rpartition(":")
    return transport, host.strip("[]"), int(port)
