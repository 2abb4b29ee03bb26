"""Without `secret` one is made and kept (docs/operations.md, State): dialogs outlive a restart."""

import os
import re
import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from stat import S_IMODE

import pytest

from chatredirect.service.own_secret import FILE, own_secret
from tests.installed.readme import ROOT
from tests.ports import free_port
from tests.service.daemon import Daemon
from tests.service.fixtures import Run


def kept(folder: Path) -> tuple[bytes, str | None]:
    """The secret that a daemon with this state directory has, and why it isn't kept."""
    made = own_secret({"STATE_DIRECTORY": str(folder)})
    return made.key, made.fault


def test_it_is_made_once(tmp_path: Path) -> None:
    """For its owner alone, whatever the umask leaves, and nothing else lies about."""
    before = os.umask(0o277)
    try:
        first, fault = kept(tmp_path)
    finally:
        os.umask(before)
    assert fault is None
    assert len(first) == 64
    assert (first, None) == kept(tmp_path)
    assert os.listdir(tmp_path) == [FILE]
    assert S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert own_secret({"STATE_DIRECTORY": f"{tmp_path}:/nowhere"}).key == first


@pytest.mark.parametrize("value", [None, "", "relative/folder"])
def test_without_a_state_directory(value: str | None) -> None:
    """It is another one each time, as it was."""
    environment = {} if value is None else {"STATE_DIRECTORY": value}
    one, other = own_secret(environment), own_secret(environment)
    assert one.file is None
    assert one.key != other.key


def _fifo(file: Path) -> None:
    os.mkfifo(file, 0o600)


def _link(file: Path) -> None:
    (file.parent / "elsewhere").write_text("x" * 64)
    file.symlink_to("elsewhere")


def _open_to_all(file: Path) -> None:
    file.write_text("x" * 64)
    file.chmod(0o644)


def _short(file: Path) -> None:
    file.write_text("x\n")
    file.chmod(0o600)


def _long(file: Path) -> None:
    file.write_text("x" * 100_000)
    file.chmod(0o600)


@pytest.mark.parametrize("spoil", [_fifo, _link, _open_to_all, _short, _long, Path.mkdir])
def test_what_is_no_secret_is_not_taken(tmp_path: Path, spoil: object) -> None:
    """Nor waited for, nor overwritten: another one serves, and why is told."""
    spoil(tmp_path / FILE)  # type: ignore[operator]
    before = os.lstat(tmp_path / FILE)
    key, fault = kept(tmp_path)
    assert len(key) == 32
    assert fault
    assert os.lstat(tmp_path / FILE) == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The system's words say what is wrong."""
    _, fault = kept(tmp_path / "nowhere")
    assert fault == "no such file or directory"


def test_two_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have the one that was there first."""
    link = os.link

    def late(source: str, target: str) -> None:
        monkeypatch.setattr(os, "link", link)
        kept(tmp_path)
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert kept(tmp_path) == kept(tmp_path)
    assert os.listdir(tmp_path) == [FILE]


def invite(via: int) -> bytes:
    """The first request of a dialog."""
    return (
        "INVITE sip:ocschat@contoso.com SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP 127.0.0.1:{via};branch=z9hG4bKa1\r\nMax-Forwards: 70\r\n"
        "From: <sip:a@contoso.com>;tag=1\r\nTo: <sip:ocschat@contoso.com>\r\nCall-ID: k1\r\n"
        "CSeq: 1 INVITE\r\nContact: <sip:a@127.0.0.1>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def info(route: str, number: int) -> bytes:
    """A later one."""
    return (
        "INFO sip:p@127.0.0.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bKb{number}\r\nRoute: {route}\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:a@contoso.com>;tag=1\r\n"
        f"To: <sip:ocschat@contoso.com>;tag=2\r\nCall-ID: k1\r\nCSeq: {number} INFO\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def heard(connection: socket.socket, begin: bytes) -> bytes:
    """What comes, from a message that begins so."""
    connection.settimeout(20)
    octets = b""
    while begin not in octets or not octets.endswith(b"\r\n\r\n"):
        more = connection.recv(65536)
        assert more, octets
        octets += more
    return octets[octets.index(begin) :]


@pytest.mark.parametrize("then", ["kept", "configured", "lost"])
def test_a_dialog_outlives_a_restart(run_daemon: Run, tmp_path: Path, then: str) -> None:
    """Killed and started again: with a state directory the pool gets it, else the caller 481.

    So does it where the kept secret has become the configured one (docs/two-machines.md).
    """
    state = then != "lost"
    folder = tmp_path / "state"
    folder.mkdir(0o700)
    environment = {"STATE_DIRECTORY": str(folder) if state else ""}
    with ExitStack() as stack:
        pool = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        pool.settimeout(20)
        port = free_port()
        settings = {
            "listen": [f"tcp://127.0.0.1:{port}"],
            "advertise": "127.0.0.1",
            "endpoints": [
                {
                    "sip_address": "sip:ocschat@contoso.com",
                    "pool_fqdn": "127.0.0.1",
                    "port": pool.getsockname()[1],
                    "transport": "tcp",
                    "mode": "proxy",
                }
            ],
            "control": {"socket": "off"},
        }
        daemon = run_daemon(settings, environment=environment)
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        client.sendall(invite(client.getsockname()[1]))
        member = stack.enter_context(pool.accept()[0])
        route = re.search(rb"(?m)^Record-Route: (.*)\r$", heard(member, b"INVITE "))
        assert route is not None
        told(daemon, state)
        daemon.stop(signal.SIGKILL)
        if then == "configured":
            settings["secret"], environment = (folder / FILE).read_text().strip(), {}
        daemon = run_daemon(settings, environment=environment)
        again = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        again.sendall(info(route[1].decode(), 2))
        if state:
            anew = stack.enter_context(pool.accept()[0])
            assert heard(anew, b"INFO ")
        else:
            assert heard(again, b"SIP/2.0 481 ")
        told(daemon, state)


def told(daemon: Daemon, state: bool) -> None:
    """One line says that the secret isn't kept, if it isn't."""
    lines = daemon.events("secret_not_kept")
    assert [line["level"] for line in lines] == ([] if state else ["info"])


def test_the_unit_gives_it_a_place() -> None:
    """systemd.exec(5): the service's group may enter, for the usage ledger; the file is 0600."""
    unit = (ROOT / "systemd/chatredirect.service").read_text()
    assert "\nStateDirectory=chatredirect\n" in unit
    assert "\nStateDirectoryMode=0750\n" in unit
