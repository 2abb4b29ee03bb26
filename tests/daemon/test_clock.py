"""A clock that jumps: by hours or years, forwards and back, under a running daemon."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.daemon.jumping_clock import Clock
from tests.service.client import ask, request, talk
from tests.service.daemon import Daemon, configuration, endpoint, eventually, run_command
from tests.service.fixtures import Run

YEAR = 365 * 86_400
JUMPS = (3600, -YEAR, 3 * YEAR, 0)
MUCH = min(abs(each) for each in JUMPS if each) / 2  # no jump is taken for a slow machine


def test_the_daemon_does_not_mind(run_daemon: Run, tmp_path: Path) -> None:
    """It answers and reloads as before, drops nobody, and knows how long it has been up."""
    clock = Clock(tmp_path)
    keys = configuration(control={"socket": str(tmp_path / "control")})
    daemon = run_daemon(keys, environment=clock.environment)
    with talk("tcp", daemon.address("tcp")) as connection:
        for number, jump in enumerate(JUMPS):
            clock.jump(jump)
            assert ask(connection, request()).status == 302
            _command(daemon, "reload")
            status = json.loads(_command(daemon, "status", "--json"))
            assert abs(status["now"] - datetime.now(UTC).timestamp() - jump) < MUCH
            assert 0 <= status["uptime"] < MUCH
            reloads = status["configuration"]["reloads"]
            assert (reloads["done"], reloads["refused"]) == (number + 1, 0)
            told = daemon.events("request")[-1]["timestamp"]
            shown = datetime.now(UTC) + timedelta(seconds=jump)
            assert abs(datetime.fromisoformat(told) - shown) < timedelta(seconds=MUCH)
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
    done = run_command(*words, "--config", daemon.config)
    assert done.returncode == 0, done.stderr
    return done.stdout
