"""SIGHUP: another configuration as a whole or not at all; what stays the same stays open."""

import asyncio
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from chatredirect.loading import parent
from chatredirect.loading.parent import LoadingError, load_elsewhere
from chatredirect.runtime.slicing import Slicer
from chatredirect.service import reload as service_reload
from tests.service.client import ask, request, talk
from tests.service.daemon import Daemon, configuration, eventually
from tests.service.fixtures import Run


def reload(daemon: Daemon, event: str, text: str) -> None:
    """Give the daemon another file, and wait for what it says of it."""
    seen = len(daemon.events(event))
    daemon.config.write_text(text)
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: len(daemon.events(event)) > seen, event)


def test_endpoints_change_and_connections_stay(run_daemon: Run) -> None:
    """A reload is a new directory for the same listeners; the log says what is different."""
    settings = configuration()
    daemon = run_daemon(settings)
    with talk("tcp", daemon.address("tcp")) as old:
        assert ask(old, request()).status == 302
        other = {"sip_address": "sip:new@contoso.com", "pool_fqdn": "pcpool.contoso.com"}
        reload(daemon, "configuration_changed", yaml.safe_dump(settings | {"endpoints": [other]}))
        told = daemon.events("configuration_changed")[-1]
        assert told["added"] == ["sip:new@contoso.com -> pcpool.contoso.com"]
        assert told["counts"]["removed"] == len(settings["endpoints"])
        assert ask(old, request()).status == 404
        new = ask(old, request(uri="sip:new@contoso.com"))
        assert new is not None
        assert new.status == 302
    with talk("udp", daemon.address()) as client:
        assert ask(client, request(uri="sip:new@contoso.com")).status == 302


def test_faults_refuse_the_whole(run_daemon: Run) -> None:
    """One faulty key, and nothing of the file is in force; the old configuration serves on."""
    settings = configuration()
    daemon = run_daemon(settings)
    reload(daemon, "reload_refused", yaml.safe_dump(settings | {"endpoints": [], "listn": []}))
    assert 'unknown key "listn"' in daemon.event("configuration_fault")["why"]
    with talk("udp", daemon.address()) as client:
        assert ask(client, request()).status == 302


def test_the_same_file_again_is_told(run_daemon: Run) -> None:
    """Whoever asks for a reload hears of it, also that there was nothing to do."""
    settings = configuration()
    daemon = run_daemon(settings)
    reload(daemon, "configuration_unchanged", daemon.config.read_text())
    assert not daemon.events("configuration_changed")


async def test_a_reload_that_is_under_way_is_not_counted_as_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = asyncio.Event()

    async def load(*_: Any) -> None:
        await over.wait()
        raise LoadingError("no process")

    monkeypatch.setattr(service_reload, "load_elsewhere", load)
    service: Any = SimpleNamespace(running=None)
    level: Any = None
    reloader = service_reload.Reloader(Path("c.yaml"), service, level)
    asked = asyncio.create_task(reloader.reload())
    await asyncio.sleep(0.01)
    assert (reloader.done, reloader.refused) == (0, 0)
    over.set()
    with pytest.raises(service_reload.ReloadRefused):
        await asked
    assert (reloader.done, reloader.refused) == (0, 1)


async def test_the_reading_process_does_not_die_of_a_hang_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`systemctl kill --signal=HUP` means all processes of a service, this one included."""

    class HungUp(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **keys: Any) -> None:
            super().__init__(*args, **keys)
            self.send_signal(signal.SIGHUP)

    monkeypatch.setattr(parent.subprocess, "Popen", HungUp)
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump(configuration()))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    loaded = await load_elsewhere(config, Slicer())
    assert loaded.settings.endpoints
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
