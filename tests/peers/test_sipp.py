"""SIPp as a client: a thousand calls at a few hundred a second, none failed."""

import csv
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.service.daemon import PATIENCE, Daemon
from tests.service.fixtures import Run
from tests.sipp import BUFFERS

HERE = Path(__file__).parent
RATE = 400  # calls a second

pytestmark = pytest.mark.skipif(
    shutil.which("sipp") is None, reason="sipp isn't installed (Debian: sip-tester)"
)


@pytest.fixture(scope="module")
def daemon(run_shared_daemon: Run) -> Daemon:
    return run_shared_daemon(log={"requests": False})


def sipp(daemon: Daemon, folder: Path, scenario: str, mode: str, calls: int) -> dict[str, str]:
    """Run a scenario; gives the last line of SIPp's statistics.

    Args:
        daemon: whom to call.
        folder: for SIPp's files.
        scenario: its file's name without the end.
        mode: `u1`, `t1` (one socket for all calls) or `tn` (a connection for each).
        calls: how many.
    """
    host, port = daemon.address("udp" if mode.startswith("u") else "tcp")
    statistics = folder / "statistics.csv"
    done = subprocess.run(
        [
            *("sipp", f"{host}:{port}", "-sf", HERE / f"{scenario}.xml"),
            *("-i", "127.0.0.1", "-t", mode, "-m", str(calls), "-r", str(RATE), "-l", "400"),
            *("-max_socket", "800", *BUFFERS),
            *("-trace_stat", "-stf", statistics, "-fd", "1", "-trace_err", "-error_file"),
            *(folder / "errors.log", "-nostdin", "-timeout", "60s", "-timeout_error"),
        ],
        cwd=folder,
        env={"TERM": "dumb", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE + 60,
        check=False,
    )
    errors = folder / "errors.log"
    told = errors.read_text(errors="replace") if errors.exists() else done.stderr
    assert done.returncode == 0, told[-4000:]
    with statistics.open() as file:
        *_, last = csv.DictReader(file, delimiter=";")
    return last


@pytest.mark.parametrize("mode", ["u1", "t1", "tn"])
def test_a_thousand_calls(daemon: Daemon, tmp_path: Path, mode: str) -> None:
    statistics = sipp(daemon, tmp_path, "invite", mode, 1000)
    assert statistics["SuccessfulCall(C)"] == "1000"
    assert statistics["FailedCall(C)"] == "0"


@pytest.mark.parametrize("mode", ["u1", "t1"])
def test_subscriptions(daemon: Daemon, tmp_path: Path, mode: str) -> None:
    statistics = sipp(daemon, tmp_path, "subscribe", mode, 300)
    assert statistics["SuccessfulCall(C)"] == "300"
    assert statistics["FailedCall(C)"] == "0"


def test_a_wrong_answer_would_fail(run_daemon: Run, tmp_path: Path) -> None:
    """The scenarios notice: another pool's Contact is a failed call."""
    daemon = run_daemon(
        endpoints=[{"sip_address": "ocschat@contoso.com", "pool_fqdn": "192.0.2.9"}]
    )
    with pytest.raises(AssertionError):
        sipp(daemon, tmp_path, "invite", "u1", 1)


@pytest.mark.skipif(shutil.which("sipsak") is None, reason="sipsak isn't installed")
def test_sipsak_takes_it_for_alive(daemon: Daemon) -> None:
    """OPTIONS to the server itself, as a health check."""
    host, port = daemon.address()
    done = subprocess.run(
        # -r: of a port in the URI it reads four digits
        ["sipsak", "-v", "-s", f"sip:{host}", "-r", str(port)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
