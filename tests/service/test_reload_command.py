"""`chatredirect reload`: synchronous, and its exit status is the verdict."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.service.client import ask, request, talk
from tests.service.daemon import (
    PATIENCE,
    ROOT,
    Daemon,
    command,
    configured,
    endpoint,
    eventually,
    run_command,
)
from tests.service.fixtures import Run
from tests.service.reload import reload, rewrite


def still_serves(daemon: Daemon, uri: str = "sip:ocschat@contoso.com") -> None:
    with talk("udp", daemon.address()) as client:
        answer = ask(client, request(uri=uri))
        assert answer is not None
        assert answer.status == 302


def test_a_new_configuration_is_in_force(run_daemon: Run, tmp_path: Path) -> None:
    """When the command ends with 0, and not some time later."""
    settings = configured(tmp_path)
    daemon = run_daemon(settings)
    with talk("tcp", daemon.address("tcp")) as kept:
        assert ask(kept, request()).status == 302
        more = [endpoint(), endpoint("sip:new@contoso.com")]
        done = reload(daemon, settings | {"endpoints": more})
        assert (done.returncode, done.stderr) == (0, "")
        assert ask(kept, request(uri="sip:new@contoso.com")).status == 302
    assert "1 endpoint added" in done.stdout
    told = daemon.event("configuration_changed")
    assert told["counts"] == {"added": 1, "removed": 0, "changed": 0}
    assert daemon.event("control_request", command="reload")["uid"] == os.geteuid()


def test_nothing_new(run_daemon: Run, tmp_path: Path) -> None:
    daemon = run_daemon(configured(tmp_path))
    done = reload(daemon)
    assert done.returncode == 0
    assert "Nothing has changed" in done.stdout
    daemon.event("configuration_unchanged")


def test_all_faults_are_printed(run_daemon: Run, tmp_path: Path) -> None:
    """With file and line, status 78; the old configuration serves on."""
    settings = configured(tmp_path)
    daemon = run_daemon(settings)
    faulty = settings | {"listne": [], "endpoints": [{"sip_address": "tel:1"}]}
    done = reload(daemon, faulty)
    assert done.returncode == os.EX_CONFIG
    assert f"{daemon.config}:" in done.stderr
    assert 'unknown key "listne"' in done.stderr
    assert '"pool_fqdn" is missing' in done.stderr
    assert "the old configuration serves on" in done.stderr
    still_serves(daemon)
    assert reload(daemon, settings).returncode == 0


def a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_gigabyte(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(1024**3)  # takes no room on disk


def aliases(file: Path) -> None:
    """A billion laughs."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 12):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    file.write_text("\n".join(lines) + "\n")


def octets(file: Path) -> None:
    file.write_bytes(os.urandom(100_000))


def nothing(file: Path) -> None:
    file.write_text("")


def not_there(file: Path) -> None:
    file.unlink()


def itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def deep(file: Path) -> None:
    file.write_text("[" * 1_000_000)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (a_directory, "is a directory"),
        (a_gigabyte, "larger than"),
        (aliases, "aliases repeat more than"),
        (octets, ""),
        (nothing, "is empty"),
        (not_there, "there is no such file"),
        (itself, "symbolic link"),
        (deep, ""),
    ],
)
def test_a_file_that_turns_into_garbage(
    run_daemon: Run, tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    """Refused with 78 and a reason, within bounds of time and memory; it serves on."""
    settings = configured(tmp_path)
    daemon = run_daemon(settings)
    before = resident(daemon)
    spoil(daemon.config)
    # the socket's place can't be read from such a file
    done = run_command("reload", "--socket", tmp_path / "control")
    assert done.returncode == os.EX_CONFIG, done.stderr
    assert told in done.stderr
    assert str(daemon.config) in done.stderr
    assert "Traceback" not in done.stderr
    assert resident(daemon) < before + 50_000
    still_serves(daemon)


def resident(daemon: Daemon) -> int:
    """Kilobytes of memory."""
    text = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0])


def test_an_address_that_is_taken(run_daemon: Run, tmp_path: Path) -> None:
    """Status 69; the endpoints of that configuration aren't in force either."""
    settings = configured(tmp_path)
    daemon = run_daemon(settings)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        new = {"listen": [*settings["listen"], url], "endpoints": [endpoint("sip:b@contoso.com")]}
        done = reload(daemon, settings | new)
    assert done.returncode == os.EX_UNAVAILABLE
    assert url in done.stderr
    assert "in use" in done.stderr
    still_serves(daemon)


def test_settings_change_in_place(run_daemon: Run, tmp_path: Path) -> None:
    """Log level, what is logged of requests, and limits; what can't is named."""
    settings = configured(tmp_path)
    daemon = run_daemon(settings)
    changed = {
        "log": {"level": "debug", "requests": False, "format": "console"},
        "limits": {"uri": 64},
    }
    done = reload(daemon, settings | changed)
    assert done.returncode == 0
    assert "log.format" in done.stderr
    assert "restart" in done.stderr
    assert daemon.event("restart_needed")["settings"] == ["log.format"]
    assert set(daemon.event("configuration_changed")["settings"]) == {"log", "limits"}
    with talk("udp", daemon.address()) as client:
        answer = ask(client, request(uri=f"sip:{'x' * 100}@contoso.com"))
        assert answer is not None
        assert answer.status == 414
    assert not daemon.events("request")


def test_several_at_once(run_daemon: Run, tmp_path: Path) -> None:
    """Each asker gets a verdict, on what was in the file when it asked or later."""
    settings = configured(tmp_path)
    daemon = run_daemon(settings)
    asking = [
        subprocess.Popen(
            command("reload", "--config", daemon.config),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(5)
    ]
    daemon.send_signal(signal.SIGHUP)
    assert [each.wait(2 * PATIENCE) for each in asking] == [0] * 5
    rewrite(daemon.config, settings | {"endpoints": [endpoint("sip:last@contoso.com")]})
    daemon.send_signal(signal.SIGHUP)
    daemon.event("configuration_changed")
    still_serves(daemon, "sip:last@contoso.com")


def children(daemon: Daemon) -> list[int]:
    """Processes that the daemon has started."""
    found = []
    for task in Path(f"/proc/{daemon.process.pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has ended
            found += (task / "children").read_text(encoding="ascii").split()
    return [int(child) for child in found]


def reading_process(daemon: Daemon) -> int:
    """The process that reads the configuration, held where it is: it imports for a while first.

    Not before it runs its own program: until then the daemon's process waits for it.
    """
    (reader,) = eventually(lambda: children(daemon), "the reading process")
    own, its = (Path(f"/proc/{each}/cmdline") for each in (daemon.process.pid, reader))
    eventually(lambda: its.read_bytes() != own.read_bytes(), "its own program")
    os.kill(reader, signal.SIGSTOP)
    return int(reader)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_reload_that_is_not_finished_leaves_nothing(
    run_daemon: Run, tmp_path: Path, end: str
) -> None:
    """The reading process doesn't come to its end, and ends with us."""
    settings = configured(tmp_path)
    daemon = run_daemon(settings)
    asking = subprocess.Popen(
        command("reload", "--socket", tmp_path / "control"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    reader = reading_process(daemon)
    still_serves(daemon)
    assert daemon.stop() == 0 if end == "stop" else kill(asking)
    _, told = asking.communicate(timeout=PATIENCE)
    if end == "stop":
        assert asking.returncode == 75, told
        assert "stopping" in told
        eventually(lambda: not Path(f"/proc/{reader}").exists(), "the end of the reading process")
    else:
        still_serves(daemon)
        assert daemon.stop() == 0


def kill(process: subprocess.Popen[str]) -> bool:
    process.kill()
    return True


def test_a_reading_process_that_is_killed(run_daemon: Run, tmp_path: Path) -> None:
    """As the kernel does for want of memory: refused, told, and the next reload works."""
    settings = configured(tmp_path)
    daemon = run_daemon(settings)
    asking = subprocess.Popen(
        command("reload", "--socket", tmp_path / "control"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    reader = reading_process(daemon)
    os.kill(reader, signal.SIGKILL)
    _, told = asking.communicate(timeout=PATIENCE)
    assert asking.returncode == 71
    assert "killed by signal 9" in told
    assert reload(daemon).returncode == 0


def test_many_endpoints_by_reload(run_daemon: Run, tmp_path: Path) -> None:
    """20,000 in, and out again: the first and the last are found, and then they aren't."""
    settings = configured(tmp_path)
    daemon = run_daemon(settings)
    lines = [
        f"- {{sip_address: sip:room{i}@contoso.com, pool_fqdn: pcpool.contoso.com, port: 5061}}\n"
        for i in range(20_000)
    ]
    text = yaml.safe_dump(settings | {"endpoints": None}).replace("endpoints: null\n", "")
    done = reload(daemon, text + "endpoints:\n" + "".join(lines))
    assert done.returncode == 0, done.stderr
    assert "20,000 endpoints added" in done.stdout
    for uri in ("sip:room0@contoso.com", "sip:room19999@contoso.com"):
        still_serves(daemon, uri)
    done = reload(daemon, settings)
    assert "20,000 endpoints removed" in done.stdout
    still_serves(daemon)


def test_a_hundred_thousand_faults(run_daemon: Run, tmp_path: Path) -> None:
    """The first are printed, and the number of all; the old configuration serves on."""
    settings = configured(tmp_path)
    daemon = run_daemon(settings)
    lines = ["- {sip_address: sip:room@contoso.com}\n"] * 20_000
    text = yaml.safe_dump(settings | {"endpoints": None}).replace("endpoints: null\n", "")
    began = time.monotonic()
    done = reload(daemon, text + "endpoints:\n" + "".join(lines))
    assert done.returncode == os.EX_CONFIG
    assert "more" in done.stderr
    assert len(done.stderr) < 100_000
    assert time.monotonic() - began < PATIENCE
    still_serves(daemon)


def test_no_daemon(tmp_path: Path) -> None:
    done = run_command("reload", "--socket", tmp_path / "control")
    assert done.returncode == os.EX_UNAVAILABLE
    assert "the daemon isn't running" in done.stderr
    assert "systemctl start chatredirect" in done.stderr


def test_switched_off(run_daemon: Run, tmp_path: Path) -> None:
    daemon = run_daemon(configured(tmp_path, control={"socket": False}))
    done = reload(daemon)
    assert done.returncode == os.EX_CONFIG
    assert "control.socket: off" in done.stderr
    assert "SIGHUP" in done.stderr
