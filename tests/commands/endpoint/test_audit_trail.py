"""The records of commands that write files: to the journal, else to syslog, else to nobody."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chatredirect.commands import audit_trail
from chatredirect.log import journal
from tests.commands.endpoint.conftest import Command

URI = "sip:ocschat@contoso.com"


@pytest.fixture
def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What journald listens on."""
    path = tmp_path / "journal"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(10)
        monkeypatch.setattr(journal, "SOCKET", str(path))
        yield sock


def taken(sock: socket.socket) -> list[dict[str, str]]:
    """The records that have come."""
    found = []
    sock.setblocking(False)
    while True:
        try:
            lines = sock.recv(65536).decode().splitlines()
        except BlockingIOError:
            return found
        found.append({name: value for name, _, value in (each.partition("=") for each in lines)})


def test_each_change_and_no_other_command(
    listening: socket.socket, new: Command, endpoint: Command
) -> None:
    """What only looks, or fails, leaves no record."""
    new()
    endpoint("get")
    endpoint("set", URI, "--mode", "lookup", "--what-if")
    endpoint("set", URI, "--mode", "nonsense")
    endpoint("set", URI, "--mode", "lookup", "--display-name", "Persistent Chat")
    new()  # there is one
    endpoint("remove", URI)
    records = taken(listening)
    assert [each["ACTION"] for each in records] == [
        "endpoint_new",
        "endpoint_set",
        "endpoint_remove",
    ]
    assert records[1]["WAS"] == "{display_name: -, mode: redirect}"
    assert records[1]["NOW"] == '{display_name: "Persistent Chat", mode: lookup}'
    assert {each["SUBJECT"] for each in records} == {URI}
    assert {each["EVENT"] for each in records} == {"audit"}


def test_a_value_makes_no_field(
    listening: socket.socket, new: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment says may be anything."""
    monkeypatch.setenv("SUDO_USER", "alice\nSAID_LOGIN=root\x1b[2J")
    new()
    (record,) = taken(listening)
    assert record["SAID_SUDO_USER"] == r"alice\x0aSAID_LOGIN=root\x1b[2J"
    assert record.get("SAID_LOGIN") != "root\x1b[2J"


def test_many_rows_are_one_record(
    listening: socket.socket,
    endpoint: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One for each endpoint up to a bound, as docs/audit.md says; then their number."""
    monkeypatch.setattr(audit_trail, "MOST", 3)
    for count in (3, 4):
        rows = "".join(f"sip:e{count}{i}@contoso.com,pcpool.contoso.com\n" for i in range(count))
        (tmp_path / "list.csv").write_text(f"SipAddress,PersistentChatPoolFqdn\n{rows}")
        done = endpoint("new", "--from-csv", tmp_path / "list.csv")
        assert done.status == 0, done.err
    records = taken(listening)
    assert len(records) == 4
    assert records[0]["SUBJECT"] == "sip:e30@contoso.com"
    assert records[3]["NOW"].startswith("{endpoints: 4, folder: ")


def test_a_journal_that_doesnt_read_holds_up_no_command(
    listening: socket.socket, new: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_trail, "_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
        full.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                full.sendto(b"x", listening.getsockname())
    began = time.monotonic()
    assert new().status == 0
    assert time.monotonic() - began < 30


def test_without_a_journal_syslog_is_told(
    new: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one line, in words."""
    lines: list[str] = []
    (tmp_path / "log").touch()
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "missing"))
    monkeypatch.setattr(audit_trail, "SYSLOG", str(tmp_path / "log"))
    monkeypatch.setattr(audit_trail.syslog, "syslog", lambda _, line: lines.append(line))
    new()
    (line,) = lines
    assert line.startswith(f"audit action=endpoint_new outcome=done subject={URI} now=")
    assert " by=command said_uid=" in line


def test_without_either_nothing_is_said(
    new: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's command isn't bothered with it; the file's comment says who and when."""
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "missing"))
    monkeypatch.setattr(audit_trail, "SYSLOG", str(tmp_path / "missing"))
    done = new()
    assert (done.status, done.err) == (0, "")
