"""The command line as a whole: help at once, and exit statuses for scripts."""

import subprocess
import sys

import pytest

import chatredirect as package
from chatredirect import codec

from .conftest import Command

COMMANDS = ("run", "check", "resolve", "probe")


def test_help_names_every_command(chatredirect: Command) -> None:
    done = chatredirect("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f" {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_says_its_exit_statuses(chatredirect: Command, command: str) -> None:
    done = chatredirect(command, "--help")
    assert done.returncode == 0
    assert "Exit status" in done.stdout


def test_version(chatredirect: Command) -> None:
    assert chatredirect("--version").stdout == (
        f"chatredirect {package.__version__} (codec: {codec.NAME})\n"
    )


@pytest.mark.parametrize("arguments", [("chek",), ("--colour",), ("resolve",), ("check", "a", "b")])
def test_usage(chatredirect: Command, arguments: tuple[str, ...]) -> None:
    """A command line that isn't understood: 2, and no traceback."""
    done = chatredirect(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_help_imports_nothing_heavy() -> None:
    """`--help` is there at once: what a command works with is imported when it runs."""
    program = "import sys, chatredirect.cli; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    heavy = {"dns", "pydantic", "structlog", "yaml", "uvloop", "ifaddr", "chatredirect.config"}
    assert not heavy & set(output.split())
