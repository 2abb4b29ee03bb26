"""Who asks: proved by the kernel, and beside it what the command says, which may be anything."""

import json
import os
import socket
from pathlib import Path

import pytest

from chatredirect.control import said
from chatredirect.control.client import ask
from chatredirect.control.said import MAX_TEXT, SaidUser
from tests.service.daemon import PATIENCE, Daemon
from tests.service.fixtures import Run, run_daemon
from tests.trace.conftest import control

__all__ = ["control", "run_daemon"]


def tell(path: str, request: dict[str, object]) -> dict[str, object]:
    """A request as somebody writes it who doesn't use our commands."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(path)
        sock.sendall(json.dumps(request).encode() + b"\n")
        return dict(json.loads(sock.makefile().readline()))


@pytest.fixture
def daemon(run_daemon: Run, control: str) -> Daemon:
    return run_daemon(control={"socket": control})


def test_who_asks_is_proved(
    daemon: Daemon, control: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command's login user and sudo's go along; a lie about them changes no proof."""
    (tmp_path / "loginuid").write_text("0")
    monkeypatch.setattr(said, "_LOGINUID", str(tmp_path / "loginuid"))
    monkeypatch.setenv("SUDO_USER", "alice")
    ask(control, "log-level", {"level": "debug", "seconds": 60})
    found = daemon.event("audit", action="log_level")
    assert found["proved_uid"] == os.getuid()
    assert found["proved_gid"] == os.getgid()
    assert found["proved_pid"] == os.getpid()
    assert (found["said_loginuid"], found["said_login"]) == ("0", "root")
    assert found["said_sudo_user"] == "alice"
    assert (found["was"], found["now"], found["seconds"]) == ("info", "debug", 60)


def test_what_is_said_is_cut_and_escaped(daemon: Daemon, control: str) -> None:
    """No line of the log begins within a value, no terminal is steered, nothing grows."""
    evil = {
        "login": "\x1b[31m\nroot",
        "sudo_user": "x" * 10_000,
        "loginuid": ["0"],
        "proved_uid": 0,
        "more": {},
    }
    assert tell(control, {"command": "log-level", "level": "warning", "said": evil})["ok"]
    found = daemon.event("audit", action="log_level")
    assert found["said_login"] == r"\x1b[31m\x0aroot"
    assert found["said_sudo_user"] == "x" * MAX_TEXT
    assert "said_loginuid" not in found
    assert found["proved_uid"] == os.getuid()
    for value in ("text", 7, None, [], {"login": {}}):
        assert tell(control, {"command": "log-level", "level": "info", "said": value})["ok"]


@pytest.mark.parametrize("arguments", [{"level": "loud"}, {"level": "debug", "seconds": -1}, {}])
def test_what_changes_nothing_leaves_no_record(
    daemon: Daemon, control: str, arguments: dict[str, object]
) -> None:
    tell(control, {"command": "log-level", **arguments})
    tell(control, {"command": "status"})
    ask(control, "log-level", {"level": "debug", "seconds": 60})
    daemon.event("audit", now="debug")
    assert [each["action"] for each in daemon.events("audit")] == ["start", "log_level"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("4294967295", SaidUser()),
        ("0\n", SaidUser("0", "root")),
        ("4242424", SaidUser("4242424")),
        ("nonsense", SaidUser("nonsense")),
        (None, SaidUser()),
    ],
)
def test_the_login_user(
    content: str | None,
    expected: SaidUser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody may have logged in, the number may have no name, and /proc may be missing."""
    path = tmp_path / "loginuid"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr(said, "_LOGINUID", str(path))
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert SaidUser.here() == expected
