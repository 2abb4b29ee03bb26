"""A clock that jumps: by hours or years, forwards and back, under a running daemon."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.service.client import ask, request, talk
from tests.service.daemon import Daemon, command, configuration, endpoint, eventually
from tests.service.fixtures import Run

SHIM = Path(__file__).with_name("jumping_clock.c")
YEAR = 365 * 86_400


class Clock:
    """The daemon's time of day."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            pytest.skip("no C compiler (cc)")
        library = folder / "jumping_clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SHIM], check=True)
        self._jump = folder / "jump"
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_JUMP": str(self._jump)}

    def jump(self, seconds: int) -> None:
        """So far from the right time."""
        new = self._jump.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._jump)


def test_the_daemon_does_not_mind(run_daemon: Run, tmp_path: Path) -> None:
    """It answers and reloads as before, drops nobody, and knows how long it has been up."""
    clock = Clock(tmp_path)
    keys = configuration(control={"socket": str(tmp_path / "control")})
    daemon = run_daemon(keys, environment=clock.environment)
    with talk("tcp", daemon.address("tcp")) as connection:
        for number, jump in enumerate((3600, -YEAR, 3 * YEAR, 0)):
            clock.jump(jump)
            assert ask(connection, request()).status == 302
            _command(daemon, "reload")
            status = json.loads(_command(daemon, "status", "--json"))
            assert abs(status["now"] - datetime.now(UTC).timestamp() - jump) < 60
            assert 0 <= status["uptime"] < 60
            assert status["configuration"]["reloads"] == {"done": number + 1, "refused": 0}
            told = daemon.events("request")[-1]["timestamp"]
            shown = datetime.now(UTC) + timedelta(seconds=jump)
            assert abs(datetime.fromisoformat(told) - shown) < timedelta(minutes=1)
    assert daemon.stop() == 0


def test_an_endpoint_that_waits(run_daemon: Run, tmp_path: Path) -> None:
    """It opens when the clock says so, and a clock that is set back doesn't close it."""
    clock = Clock(tmp_path)
    moment = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    waits = endpoint("sip:later@contoso.com", active_from=moment)
    daemon = run_daemon(configuration(endpoints=[waits]), environment=clock.environment)
    with talk("udp", daemon.address()) as client:
        later = "sip:later@contoso.com"
        assert ask(client, request(uri=later)).status == 480
        clock.jump(3 * 3600)
        daemon.event("endpoint_activated", endpoint=later)
        assert ask(client, request(uri=later)).status == 302
        clock.jump(-3 * 3600)
        eventually(lambda: ask(client, request(uri=later)).status == 302, "302")


def _command(daemon: Daemon, *words: str) -> str:
    done = subprocess.run(
        command(*words, "--config", daemon.config),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
