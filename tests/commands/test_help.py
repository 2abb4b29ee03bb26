"""`--help`: whole words at any width, and examples that the commands take."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from chatredirect.cli import app
from chatredirect.commands.description import tree
from chatredirect.commands.endpoint.powershell import understand
from chatredirect.commands.examples import EXAMPLES

ROOT = tree(app, "chatredirect")
PATHS = [path.partition(" ")[2] for path, _ in ROOT.each()]


def help_of(path: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `chatredirect PATH --help` prints at a terminal of this width."""
    monkeypatch.setenv("COLUMNS", str(columns))
    context = None
    command: Any = typer.main.get_command(app)
    context = command.make_context("chatredirect", [], resilient_parsing=True)
    for word in path.split():
        command = command.commands[word]
        context = command.make_context(word, [], parent=context, resilient_parsing=True)
    text = command.get_help(context)
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_cut(path: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option and its text are there whole, without a library's words for types."""
    text = help_of(path, columns, monkeypatch)
    flat = " ".join(text.replace("\\\n", " ").split())
    command = next(each for name, each in ROOT.each() if name.partition(" ")[2] == path)
    for option in command.options:
        assert f"{', '.join(option.names)} {option.metavar}".strip() in flat
        assert " ".join(option.help.replace("`", "").split()) in flat
    for sign in ("…", "<bool>", "<path>", "<str>", "[[", "{", "`", "<="):
        assert sign not in text, sign
    assert all(len(line) < columns for line in text.splitlines())
    assert "Exit status" in text or command.commands


@pytest.mark.parametrize("path", [path for path in PATHS if path])
def test_examples(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command has one, whole in its help, and its parser takes it."""
    flat = " ".join(help_of(path, 80, monkeypatch).replace("\\\n", " ").split())
    for example in EXAMPLES[path]:
        assert example in flat
        words = shlex.split(example.partition(" 2>")[0])
        assert words[0] == "chatredirect"
        assert example.startswith(f"chatredirect {path.split(maxsplit=1)[0]}")
        _parse(understand(words[1:]).arguments)


def _parse(arguments: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = command.make_context("chatredirect", list(arguments))
    while getattr(command, "commands", None) and context._protected_args + context.args:
        name, command, rest = command.resolve_command(
            context, context._protected_args + context.args
        )
        if "--help" in rest:
            return
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("path", PATHS)
def test_an_error_has_the_same_usage(
    path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line above an error in the arguments is the first of --help."""
    with pytest.raises(SystemExit) as ended:
        app([*path.split(), "--no-such-option"], prog_name="chatredirect")
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()[0]
    assert said == help_of(path, 80, monkeypatch).splitlines()[0]


def test_no_example_without_its_command() -> None:
    assert set(EXAMPLES) == {path for path in PATHS if path}


def valued(path: str) -> Iterator[tuple[str, str]]:
    """Each option of a command that takes one of some words, with such a word misspelt."""
    for name, command in ROOT.each():
        if name == f"chatredirect {path}":
            for option in command.options:
                if option.choices:
                    yield option.names[0], option.choices[-1]


@pytest.mark.parametrize(
    ("path", "option", "word"), [(path, *each) for path in PATHS for each in valued(path)]
)
def test_a_misspelt_value(
    path: str, option: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is near is named, and no library's kind of error is."""
    with pytest.raises(SystemExit) as ended:
        app([*path.split(), option, f"{word[:-1]}x{word[-1]}"], prog_name="chatredirect")
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert f"Invalid value for '{option}': must be " in error
    assert f'(did you mean "{word}"?)' in error
    assert "Value error" not in error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("resolve", "x", "--port", "99999"), "--port': must be a whole number from 1 to 65535"),
        (("resolve", "x", "--port", "1.5"), "--port': must be a whole number from 1 to 65535"),
        (("trace", "--from", "a", "--for", "5x"), "--for: '5x' is no length of time"),
    ],
)
def test_a_wrong_number(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app(list(arguments), prog_name="chatredirect")
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
