"""The control socket's file: who gets it, and what somebody is told who doesn't."""

import fcntl
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chatredirect.control.socket_file import ControlSocketError, peer_of, take_socket


def test_only_owner_and_group_may_use_it(tmp_path: Path) -> None:
    file = take_socket(str(tmp_path / "control"))
    assert stat.S_IMODE(os.stat(file.path).st_mode) == 0o660
    file.sock.close()


def test_one_that_a_crash_has_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "control"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    file = take_socket(str(path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert peer_of(client) == (os.getpid(), os.geteuid(), os.getegid())
    file.leave()
    file.sock.close()
    assert not path.exists()


@pytest.mark.parametrize("full", [False, True])
def test_a_living_daemons_is_left_to_it(tmp_path: Path, full: bool) -> None:
    """Also if so many wait there that nobody else gets in. The message names the process."""
    path = str(tmp_path / "control")
    code = (
        "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\n"
        "s.listen(0)\nprint(flush=True)\nsys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        other.stdout.readline()
        waiting = []
        while full:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            waiting.append(client)
            try:
                client.connect(path)
            except BlockingIOError:
                break
        with pytest.raises(ControlSocketError) as raised:
            take_socket(path)
        for client in waiting:
            client.close()
        assert other.stdin is not None
        other.stdin.close()
    assert "two daemons" in str(raised.value)
    assert path in str(raised.value)
    if not full:
        assert f"process {other.pid}" in str(raised.value)
    assert os.path.exists(path)


def test_a_file_that_is_none_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "control"
    path.write_text("mine")
    with pytest.raises(ControlSocketError, match="which is no socket; remove it"):
        take_socket(str(path))
    assert path.read_text() == "mine"


def test_a_folder_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ControlSocketError, match=f"there is no folder {tmp_path}/no; make it"):
        take_socket(str(tmp_path / "no" / "control"))


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(ControlSocketError, match="at most 107 octets"):
        take_socket(str(tmp_path / ("x" * 108)))


def test_somebody_elses_file_is_not_removed(tmp_path: Path) -> None:
    """Whoever has moved our socket away and made another has one of his own."""
    file = take_socket(str(tmp_path / "control"))
    os.rename(file.path, tmp_path / "old")
    other = take_socket(file.path)
    file.leave()
    assert os.path.exists(file.path)
    for each in (file, other):
        each.sock.close()


def test_somebody_who_holds_the_lock_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    file = take_socket(str(tmp_path / "control"))
    file.sock.close()
    os.close(folder)
