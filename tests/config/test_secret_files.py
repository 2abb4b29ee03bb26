"""`secret_file`, and how any file with a secret is read: one line, bounded, and never shown."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chatredirect.config import ConfigError, load, warnings
from chatredirect.config.secret_files import read_secret
from chatredirect.config.service_environment import ServiceEnvironment

Write = Callable[..., Path]
MAIN = "listen: [udp://127.0.0.1:5060]\n"
SECRET = "a secret of sixteen characters"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_one_line_end_is_dropped(tmp_path: Path, end: str) -> None:
    """An editor puts it there; white space else is part of the secret."""
    file = tmp_path / "secret"
    file.write_bytes(f" {SECRET} {end}".encode())
    assert read_secret(str(file)) == f" {SECRET} "


def test_the_largest(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("x" * 1024 + "\n")
    assert read_secret(str(file)) == "x" * 1024


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (SECRET.encode() + b"\n\n", "more than one line"),
        (b"one\ntwo", "more than one line"),
        (b"a\0b", "more than one line"),
        (b"\xff\xfe", "isn't text in UTF-8"),
        (b"x" * 1025, "more than 1,024 octets"),
        (b"x" * 1025 + b"\n", "more than 1,024 octets"),
        (b"x" * 5000, "is larger than"),
    ],
)
def test_files_that_hold_none(tmp_path: Path, content: bytes, says: str) -> None:
    """The message names the file, and nothing of what is in it."""
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=says) as caught:
        read_secret(str(file))
    assert str(file) in str(caught.value)
    assert SECRET not in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        read_secret(str(tmp_path / "missing"))
    with pytest.raises(ValueError, match="is a directory"):
        read_secret(str(tmp_path))
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="is a FIFO"):
        read_secret(str(tmp_path / "fifo"))


def test_the_secret(write: Write, tmp_path: Path) -> None:
    """Relative to the configuration, or a credential of systemd."""
    write(f"{SECRET}\n", "secret")
    for text, environment in (
        ("secret_file: secret\n", ServiceEnvironment()),
        ("secret_file: credential:secret\n", ServiceEnvironment(credentials=str(tmp_path))),
    ):
        found = load(write(MAIN + text), environment=environment)
        assert found.secret is not None
        assert found.secret.get_secret_value() == SECRET
        assert found.secret_file == f"{tmp_path}/secret"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("secret_file: secret\nsecret: sixteen characters\n", "keep one of the two"),
        ("secret_file: short\n", "is shorter than 16 characters"),
        ("secret_file: missing\n", "there is no file"),
        ("secret_file: credential:secret\n", r"\$CREDENTIALS_DIRECTORY isn't set"),
        ("secret_file: 5\n", "must be text"),
    ],
)
def test_faults(write: Write, text: str, says: str) -> None:
    """In line 2, with everything else that is wrong."""
    write(SECRET, "secret")
    write("hunter2", "short")
    with pytest.raises(ConfigError, match=rf"main.yaml:2:.* secret_file: .*{says}") as caught:
        load(write(MAIN + text), environment=ServiceEnvironment())
    assert "hunter2" not in str(caught.value)


def test_a_secret_that_everybody_can_read(write: Write) -> None:
    """As for the main file that holds it: the file that is named is the one to change."""
    file = write(SECRET, "secret")
    main = write(MAIN + "secret_file: secret\n")
    main.chmod(0o644)
    for mode, warned in ((0o644, True), (0o640, False)):
        file.chmod(mode)
        found = [each for each in warnings(load(main)) if "chmod o=" in each.message]
        assert [each.file for each in found] == [str(file)] * warned


def test_the_ledgers_key(write: Write, tmp_path: Path) -> None:
    write("a key of sixteen octets", "key")
    environment = ServiceEnvironment(credentials=str(tmp_path))
    text = MAIN + "usage: {callers: pseudonyms, key_file: credential:%s}\n"
    assert load(write(text % "key"), environment=environment).usage.key_file == f"{tmp_path}/key"
    with pytest.raises(ConfigError, match=r"usage.key_file: .*LoadCredential=no"):
        load(write(text % "no"), environment=environment)
