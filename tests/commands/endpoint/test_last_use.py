"""Turning off an endpoint that somebody used lately."""

import os
import pty
import sys
import time
from pathlib import Path

import pytest

from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.store import UsageStore
from chatredirect.usage.tally import DAY
from tests.usage.uses import batch, use

from .conftest import Command

NAME = "sip:ocschat@contoso.com"
TODAY = int(time.time() // DAY)
TURN_OFF = [("remove", NAME), ("set", NAME, "--state", "disabled")]


@pytest.fixture
def made(endpoint: Command, config: Path, folder: Path, tmp_path: Path) -> Path:
    """The endpoint's file; the ledger is where the configuration has it."""
    with config.open("a") as file:
        file.write(f"usage: {{store: 'sqlite://{tmp_path}/usage.db'}}\n")
    options = ("--sip-address", NAME, "--persistent-chat-pool-fqdn", "pool.contoso.com")
    done = endpoint("new", *options)
    assert done.status == 0, done.err
    (file_made,) = folder.iterdir()
    return file_made


def used(tmp_path: Path, days_ago: int, *, trusted: bool = True) -> None:
    store = UsageStore(StoreAddress("sqlite", f"{tmp_path}/usage.db"))
    store.write(batch(use(TODAY - days_ago, trusted=trusted), at=time.time()))


@pytest.mark.parametrize("arguments", TURN_OFF)
def test_without_a_terminal_nothing_is_changed(
    endpoint: Command, made: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    used(tmp_path, 3)
    before = made.read_bytes()
    done = endpoint(*arguments)
    assert done.status == 1
    assert "last by sip:ann@contoso.com with Office Communicator 2007 R2" in done.err
    assert "--ignore-usage does it anyway" in done.err
    assert made.read_bytes() == before
    assert endpoint(*arguments, "--ignore-usage").status == 0
    assert not made.exists() or made.read_bytes() != before


@pytest.mark.parametrize("arguments", TURN_OFF)
@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("y", 0)])
def test_a_terminal_is_asked(
    endpoint: Command,
    made: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    answer: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used(tmp_path, 3)
    before = made.read_bytes()
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    with os.fdopen(theirs, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        done = endpoint(*arguments)
    os.close(ours)
    assert done.status == status
    assert f"{NAME} anyway? [y/N]" in done.err
    assert (made.exists() and made.read_bytes() == before) == (status == 1)
    assert ("nothing has been changed: the answer was no" in done.err) == (status == 1)


@pytest.mark.parametrize("arguments", TURN_OFF)
def test_a_use_that_is_long_ago_is_told_and_not_asked_about(
    endpoint: Command, made: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    used(tmp_path, 31)
    done = endpoint(*arguments)
    assert done.status == 0
    assert "last by sip:ann@contoso.com" in done.err


def test_what_if_asks_nothing(endpoint: Command, made: Path, tmp_path: Path) -> None:
    used(tmp_path, 3)
    done = endpoint("remove", NAME, "-WhatIf")
    assert done.status == 0
    assert "last by sip:ann@contoso.com" in done.err
    assert made.exists()


def test_force_answers_no_question(endpoint: Command, made: Path, tmp_path: Path) -> None:
    used(tmp_path, 3)
    assert endpoint("remove", NAME, "-Force").status == 1
    assert endpoint("remove", NAME, "-Force", "-Confirm").status == 1
    assert made.exists()


@pytest.mark.parametrize("arguments", TURN_OFF)
def test_without_a_ledger_nothing_is_asked(
    endpoint: Command, made: Path, arguments: tuple[str, ...]
) -> None:
    done = endpoint(*arguments)
    assert (done.status, done.err) == (0, done.err)
    assert "last by" not in done.err


def test_a_ledger_that_can_t_be_read_stops_nobody(
    endpoint: Command, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "usage.db").write_bytes(b"no database" * 500)
    done = endpoint("remove", NAME)
    assert done.status == 0
    assert "who used it last isn't known" in done.err


def test_other_changes_ask_nothing(endpoint: Command, made: Path, tmp_path: Path) -> None:
    used(tmp_path, 3)
    assert endpoint("set", NAME, "--state", "maintenance").status == 0
    assert endpoint("set", NAME, "--display-name", "x").status == 0
