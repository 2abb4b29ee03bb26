"""docs/exit-statuses.md lists every status that the code ends with, and whose it is."""

import ast
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatredirect
from chatredirect.cli import app
from chatredirect.commands.description import tree
from tests.installed.readme import ROOT

PACKAGE = Path(chatredirect.__file__).parent
_ROW = re.compile(r"(?m)^\| (\d+) \| (?:`([A-Z]+)` )?\| ([^|]+) \| [^|]+ \|$")
#: The last argument of a call of one of these is a status.
_ENDING = {"typer.Exit", "sys.exit", "failure", "os._exit"}
_CONSTANTS = {"NO", "USAGE_ERROR", "_NOT_READY"}


def _rows() -> dict[int, tuple[str, set[str]]]:
    """By status its name and its commands; `all` for all."""
    text = (ROOT / "docs/exit-statuses.md").read_text(encoding="utf-8")
    rows = _ROW.findall(text)
    assert len(rows) == len({number for number, _, _ in rows}), "a status stands there twice"
    return {
        int(number): (name, set(re.findall(r"`([a-z -]+)`", commands)) or {commands.strip()})
        for number, name, commands in rows
    }


def _ends_with(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("EX_"):
            yield int(getattr(os, node.attr))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in _ENDING and node.args:
            yield from _value(node.args[-1])
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in _CONSTANTS:
            yield from _value(node.value)


def _value(expression: ast.expr) -> Iterator[int]:
    match expression:
        case ast.Constant(int(number)):
            yield number
        case ast.BinOp():
            yield 128 + signal.SIGINT
            assert ast.unparse(expression) == "128 + signal.SIGINT"


#: Of a process that only the daemon starts.
_NO_COMMANDS = {PACKAGE / "loading/__main__.py"}
ROWS = _rows()


def test_every_status_that_the_code_ends_with() -> None:
    found = {0}  # a function that returns
    for path in PACKAGE.rglob("*.py"):
        if path not in _NO_COMMANDS:
            found.update(_ends_with(ast.parse(path.read_text(encoding="utf-8"))))
    assert sorted(found) == sorted(ROWS)


def test_names_are_those_of_sysexits() -> None:
    for number, (name, _) in ROWS.items():
        if name:
            assert getattr(os, f"EX_{name}") == number


COMMANDS = dict(tree(app, "").each())


@pytest.mark.parametrize("path", sorted(path for path in COMMANDS if path))
def test_what_a_commands_help_says(path: str) -> None:
    """Each status that `--help` names stands on the page as one of this command's."""
    said = COMMANDS[path].help.partition("Exit status:")[2]
    for number in map(int, re.findall(r"(?<![-\d])\b(?:\d|\d\d)\b(?!xx)", said)):
        assert number in ROWS, number
        assert ROWS[number][1] & {path, "all"}, f"{path}: {number}"


def test_the_page_names_commands_that_there_are() -> None:
    for _, commands in ROWS.values():
        assert commands <= {*COMMANDS, "all"}
