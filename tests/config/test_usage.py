"""The section usage: where the ledger is, how callers are named, and what is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chatredirect.config import Settings, checks
from chatredirect.config.usage_section import AUTO, StoreAddress

Load = Callable[[str], Settings]
Faults = Callable[[str], list[tuple[int, str]]]

START = "listen: [udp://127.0.0.1:5060]\n"
SERVER = "postgresql://me:hunter22@db.contoso.com/ledger"


def test_defaults(settings: Load) -> None:
    usage = settings(START).usage
    assert (usage.store, usage.callers, usage.keep, usage.key_file) == (AUTO, "named", 400, None)


@pytest.mark.parametrize(
    ("text", "store"),
    [
        ("auto", AUTO),
        ("off", None),
        ('"off"', None),
        ("sqlite:///var/lib/x/usage.db", StoreAddress("sqlite", "/var/lib/x/usage.db")),
        ("sqlite:////var/lib/x/../usage.db", StoreAddress("sqlite", "/var/lib/usage.db")),
        (SERVER, StoreAddress("postgresql", url=SERVER)),
        (
            "postgres:///ledger?host=/run/postgresql",
            StoreAddress("postgresql", url="postgresql:///ledger?host=/run/postgresql"),
        ),
    ],
)
def test_stores(settings: Load, text: str, store: StoreAddress | None) -> None:
    assert settings(f"{START}usage:\n  store: {text}\n").usage.store == store


@pytest.mark.parametrize(
    ("directory", "path"),
    [
        (None, None),
        ("", None),
        ("/var/lib/chatredirect", "/var/lib/chatredirect/usage.db"),
        ("/var/lib/a:/var/lib/b", "/var/lib/a/usage.db"),
    ],
)
def test_auto_is_systemd_s_state_directory(
    settings: Load, directory: str | None, path: str | None
) -> None:
    """A daemon that somebody tries out leaves no names of callers behind."""
    address = settings(START).usage.address(directory)
    assert (None if address is None else address.path) == path


def test_the_callers(settings: Load) -> None:
    assert settings(START + "usage: {callers: off}\n").usage.callers == "off"
    assert settings(START + "usage: {callers: pseudonyms}\n").usage.callers == "pseudonyms"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("store: usage.db", "usage.store: must begin with sqlite:// or postgresql://"),
        ("store: mysql://x/y", "usage.store: must begin with sqlite:// or postgresql://"),
        ("store: sqlite://usage.db", "names no file by its absolute path"),
        ("store: sqlite:///var/lib/", "names no file by its absolute path"),
        ("store: 'sqlite://'", "names no file by its absolute path"),
        ('store: "sqlite:///a\\0b"', "without NUL"),
        ("store: 5", "usage.store: must be an address in text, auto or off"),
        ("store: yes", "usage.store: must be an address in text, auto or off"),
        ("store: postgresql://db.contoso.com", "names no database"),
        ("store: postgresql://db:x/ledger", "has no valid host and port"),
        ("store: 'postgresql://db/ledger#1'", "must be written as %XX"),
        ("callers: hashed", "usage.callers: must be named, pseudonyms or off"),
        ("keep: 0", "usage.keep: must be at least 1"),
        ("keep: 4000", "usage.keep: must be at most 3650"),
        ("keep: forever", "usage.keep: must be a whole number"),
        ("keeps: 5", 'unknown key "keeps" in usage (did you mean "keep"?)'),
        ("{callers: pseudonyms, key_file: key}", '"key" must be an absolute path'),
        ("{callers: pseudonyms, key_file: /gone}", 'usage.key_file: there is no file "/gone"'),
        ("key_file: /gone", "usage.key_file: only callers: pseudonyms uses it"),
        (f"{{store: '{SERVER}', callers: pseudonyms}}", "need the same key in all instances"),
    ],
)
def test_faults(faults: Faults, text: str, says: str) -> None:
    ((line, message),) = faults(f"{START}usage:\n  {text}\n")
    assert says in message
    assert line == 3


def test_a_password_is_in_no_fault(faults: Faults) -> None:
    for store in (SERVER + "#", SERVER.replace("/ledger", ""), SERVER.replace("@db", "@db:x")):
        ((_, message),) = faults(f"{START}usage:\n  store: '{store}'\n")
        assert "hunter22" not in message


def test_a_key_that_can_be_guessed(faults: Faults, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("short\n")
    ((line, message),) = faults(f"{START}usage:\n  callers: pseudonyms\n  key_file: {key}\n")
    assert message == (
        f"usage.key_file: {key} holds 5 octets: a key of at least 16 can't be guessed"
    )
    assert line == 4


def test_without_the_driver(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda _name: None)
    ((line, message),) = faults(f"{START}usage:\n  store: {SERVER}\n")
    assert "pip install 'chatredirect[postgresql]'" in message
    assert line == 3
