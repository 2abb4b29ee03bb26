"""What a person is told whose command can't reach the daemon."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chatredirect.config import ConfigError, load
from chatredirect.config.control_socket import configured_socket
from chatredirect.config.models import DEFAULT_SOCKET
from chatredirect.control import client
from chatredirect.control.client import ControlError, ask
from tests.privileges import AS_NOBODY


def test_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="isn't running: there is no control socket") as raised:
        ask(str(tmp_path / "control"), "reload")
    assert raised.value.status == 69


def test_a_daemon_that_has_crashed(tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    with pytest.raises(ControlError, match="isn't running: nobody answers") as raised:
        ask(path, "reload")
    assert raised.value.status == 69


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv isn't installed")
def test_somebody_who_may_not(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o660)
        server.listen()
        for folder in (tmp_path, *tmp_path.parents[:3]):
            folder.chmod(0o755)
        code = (
            "import sys\nfrom chatredirect.control.client import ControlError, ask\n"
            "try:\n    ask(sys.argv[1], 'reload')\n"
            "except ControlError as error:\n    print(error.status, error)"
        )
        done = subprocess.run(
            [*AS_NOBODY, sys.executable, "-c", code, path],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.startswith("77 user 65534 isn't permitted"), done
    assert "members of the service's group" in done.stdout


@pytest.mark.parametrize(
    ("answer", "message", "status"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "isn't chatredirect", 76),
        (b"[]\n", "isn't chatredirect", 76),
        (b'{"ok": 1}\n', "isn't chatredirect", 76),
        (b'{"event": {}}\n', "went away before it had answered: .* which read nothing", 75),
        (b"", "went away before it had answered", 75),
        (b'{"ok": false, "error": "no", "status": 0}\n', "^no$", 69),
    ],
)
def test_answers_that_are_none(tmp_path: Path, answer: bytes, message: str, status: int) -> None:
    path = str(tmp_path / "control")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def respond() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(answer)

        thread = threading.Thread(target=respond)
        thread.start()
        with pytest.raises(ControlError, match=message) as raised:
            ask(path, "reload", timeout=20)
        thread.join()
    assert raised.value.status == status


@pytest.mark.parametrize("more", [0, 1])
def test_the_longest_line_of_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """The limit is for the line without its end."""
    answer = b'{"ok": true, "result": {}}'
    monkeypatch.setattr(client, "MAX_ANSWER", len(answer))
    path = str(tmp_path / "control")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def respond() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b" " * more + answer + b"\n")

        thread = threading.Thread(target=respond)
        thread.start()
        if more:
            with pytest.raises(ControlError, match="a line without an end"):
                ask(path, "reload", timeout=20)
        else:
            assert ask(path, "reload", timeout=20) == {}
        thread.join()


def test_a_daemon_that_says_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        with pytest.raises(ControlError, match=r"hasn't answered for 0\.2 s") as raised:
            ask(path, "reload", timeout=0.2)
    assert raised.value.status == 75


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("control: {socket: /tmp/x}\n", "/tmp/x"),
        ("endpoints: [{a: [b, {c: d}]}]\ncontrol:\n  other: [1]\n  socket: /tmp/x\n", "/tmp/x"),
        ("control: {socket: off}\n", None),
        ("control: {}\n", DEFAULT_SOCKET),
        ("listen: []\n", DEFAULT_SOCKET),
        ("control: {socket: /tmp/x}\nlisten: [\n", "/tmp/x"),  # faulty, after it
        ("listen: [\ncontrol: {socket: /tmp/x}\n", DEFAULT_SOCKET),
        ("[control, socket]\n", DEFAULT_SOCKET),
        ("", DEFAULT_SOCKET),
        ("{[a]: b}\n", DEFAULT_SOCKET),
        ("control: /tmp/x\n", DEFAULT_SOCKET),
    ],
)
def test_the_socket_is_found_in_any_file(tmp_path: Path, text: str, found: str | None) -> None:
    """Also in a faulty one: its reload must reach the daemon, which tells the faults."""
    file = tmp_path / "chatredirect.yaml"
    file.write_text(text)
    assert configured_socket(file) == found


def test_a_relative_socket_is_beside_the_configuration(tmp_path: Path) -> None:
    """Daemon and commands agree on it, wherever they were started."""
    file = tmp_path / "chatredirect.yaml"
    file.write_text("listen: [udp://127.0.0.1:5060]\ncontrol: {socket: run/../x.sock}\n")
    assert load(file).control.socket == configured_socket(file) == f"{tmp_path}/x.sock"
    assert load(os.path.relpath(file)).control.socket == f"{tmp_path}/x.sock"


def test_a_relative_socket_whose_path_is_too_long(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    file = folder / "chatredirect.yaml"
    file.write_text("listen: [udp://127.0.0.1:5060]\ncontrol: {socket: x.sock}\n")
    with pytest.raises(ConfigError, match=r"yaml:2:19: control.socket: .* at most 107 octets"):
        load(file)


def test_the_socket_without_a_file(tmp_path: Path) -> None:
    assert configured_socket(tmp_path / "missing") == DEFAULT_SOCKET
    assert configured_socket(tmp_path) == DEFAULT_SOCKET
