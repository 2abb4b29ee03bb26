"""docs/configuration.md, Files: no file that is named stops the daemon's answers, or its end."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatredirect.runtime.regular_file import in_thread
from tests.service.client import ask, request, talk
from tests.service.daemon import Daemon, configuration, eventually, run_command
from tests.service.fixtures import Run
from tests.service.reload import rewrite

PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "include": lambda fifo: {"include": fifo},
    "certificate": lambda fifo: {"tls": {"certificate": fifo, "private_key": fifo}},
    "authorities": lambda fifo: {"tls": {"ca": fifo}},
}


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    """A FIFO that nobody writes to."""
    os.mkfifo(tmp_path / "fifo")
    return str(tmp_path / "fifo")


def answers(daemon: Daemon) -> None:
    with talk("udp", daemon.address()) as client:
        answer = ask(client, request())
    assert answer is not None
    assert answer.status == 302


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["run", "check"])
def test_the_start_is_refused(tmp_path: Path, fifo: str, place: str, name: str) -> None:
    """Exit status 78 and a sentence, at once."""
    rewrite(tmp_path / "main.yaml", configuration(**PLACES[place](fifo)))
    file = ["--config"] if name == "run" else []
    result = run_command(name, *file, tmp_path / "main.yaml")
    assert result.returncode == 78
    told = result.stdout + result.stderr
    assert fifo in told
    assert "is a FIFO, not a file" in told


def refused(daemon: Daemon, settings: Any) -> None:
    """A reload of these settings is refused because of a FIFO; the daemon goes on, and ends."""
    if settings is not None:
        rewrite(daemon.config, settings)
    daemon.send_signal(signal.SIGHUP)
    event = daemon.event("reload_refused")
    told = [event.get("why", ""), *(each["why"] for each in daemon.events("configuration_fault"))]
    assert any("is a FIFO, not a file" in why for why in told)
    answers(daemon)
    assert daemon.stop() == 0


@pytest.mark.parametrize("place", PLACES)
def test_a_reload_is_refused(run_daemon: Run, fifo: str, place: str) -> None:
    """The daemon goes on answering, and ends when it is told to."""
    daemon = run_daemon(configuration())
    refused(daemon, configuration(**PLACES[place](fifo)))


def test_the_main_file_becomes_a_fifo(run_daemon: Run) -> None:
    daemon = run_daemon(configuration())
    daemon.config.unlink()
    os.mkfifo(daemon.config)
    refused(daemon, None)


def test_a_hosts_file_that_is_a_fifo(run_daemon: Run, fifo: str) -> None:
    """It is told, at the start and in a running daemon, which looks at it every 5 s."""
    settings = configuration()
    daemon = run_daemon(settings | {"dns": settings["dns"] | {"hosts_file": fifo}})
    assert "is a FIFO" in daemon.event("hosts_file_unreadable")["why"]
    answers(daemon)
    assert daemon.stop() == 0


def test_a_hosts_file_that_becomes_a_fifo(run_daemon: Run, tmp_path: Path) -> None:
    settings = configuration()
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.1 a\n")
    daemon = run_daemon(settings | {"dns": settings["dns"] | {"hosts_file": str(hosts)}})
    hosts.unlink()
    os.mkfifo(hosts)
    eventually(lambda: daemon.events("hosts_file_unreadable"), "hosts_file_unreadable")
    answers(daemon)
    assert daemon.stop() == 0


def test_work_that_hangs_is_not_waited_for() -> None:
    """A file system that hangs holds its thread; the loop ends all the same."""
    hanging = threading.Event()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await in_thread(hanging.wait)

    try:
        asyncio.run(give_up())  # which waits for the threads of the loop's own pool
        assert not hanging.is_set()
    finally:
        hanging.set()


def test_what_fails_in_a_thread_fails_here() -> None:
    def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        asyncio.run(in_thread(fail))
