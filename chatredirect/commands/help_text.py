"""What `--help` prints: nothing is cut off, whatever the terminal's width.

typer's own tables cut long option names and defaults, and what it prints of types and brackets
differs from version to version. So does the class that its contexts derive from: `get_help` can't
name the type of its argument.
"""

import re
import shutil
import textwrap
from collections.abc import Iterator

import typer
from typer.core import TyperCommand, TyperGroup

from chatredirect.commands.description import Parameter, parameters_of
from chatredirect.commands.examples import EXAMPLES

_MAX_WIDTH = 100
_COLUMN = 28  # where the texts of options begin


class Command(TyperCommand):
    """A command whose help is ours."""

    def get_usage(self, ctx: typer.Context) -> str:  # type: ignore[override]  # see above
        """The line that is printed above an error in its arguments."""
        return _usage(ctx, self)

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]  # see above
        """What `--help` prints."""
        return "\n".join(_lines(ctx, self, {}))


class Group(TyperGroup):
    """A group of commands whose help is ours."""

    def get_usage(self, ctx: typer.Context) -> str:  # type: ignore[override]  # see above
        """The line that is printed above an error in its arguments."""
        return _usage(ctx, self)

    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]  # see above
        """What `--help` prints."""
        below = {name: self.commands[name].help or "" for name in self.list_commands(ctx)}
        return "\n".join(_lines(ctx, self, below))


def _lines(
    ctx: typer.Context, command: TyperCommand | TyperGroup, below: dict[str, str]
) -> Iterator[str]:
    width = min(shutil.get_terminal_size((80, 24)).columns, _MAX_WIDTH) - 1
    options, arguments = parameters_of(command.callback)
    path = _path(ctx)
    yield _usage(ctx, command)
    for paragraph in (command.help or "").split("\n\n"):
        yield ""
        yield from textwrap.wrap(_plain(paragraph), width, break_on_hyphens=False)
    if path in EXAMPLES:
        yield from ("", "Examples:")
        for example in EXAMPLES[path]:
            yield from _example(example, width)
    if below:
        yield from ("", "Commands:")
        for name, text in below.items():
            yield from _term(name, _plain(text.partition("\n\n")[0]), width)
    if any(each.help for each in arguments):
        yield from ("", "Arguments:")
        for each in arguments:
            yield from _term(each.metavar, _sentences(each), width)
    for group in dict.fromkeys(each.group for each in options):
        yield from ("", f"{group or 'Options'}:")
        for each in options:
            if each.group == group:
                names = ", ".join(each.names)
                yield from _term(f"{names} {each.metavar}".rstrip(), _sentences(each), width)


def _path(ctx: typer.Context) -> str:
    """The words of the command; none of chatredirect itself."""
    return ctx.command_path.partition(" ")[2] if ctx.parent is not None else ""


def _usage(ctx: typer.Context, command: TyperCommand | TyperGroup) -> str:
    words = [f"chatredirect {_path(ctx)}".rstrip(), "[OPTIONS]"]
    if isinstance(command, TyperGroup):
        words.append("[COMMAND ...]" if command.invoke_without_command else "COMMAND ...")
    _, arguments = parameters_of(command.callback)
    words += (each.metavar if each.required else f"[{each.metavar}]" for each in arguments)
    return f"Usage: {' '.join(words)}"


def _sentences(parameter: Parameter) -> str:
    more = []
    if parameter.environment:
        more.append(f"environment: {parameter.environment}")
    if parameter.default:
        more.append(f"default: {parameter.default}")
    text = _plain(parameter.help)
    return f"{text} [{'; '.join(more)}]" if more else text


def _term(term: str, text: str, width: int) -> Iterator[str]:
    indent = " " * _COLUMN
    first = f"  {term}"
    if len(first) > _COLUMN - 2:
        yield first
        first = ""
    yield from textwrap.wrap(
        text,
        width,
        initial_indent=first.ljust(_COLUMN),
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    ) or [first]


def _example(line: str, width: int) -> Iterator[str]:
    """A command line; where it is too long, it goes on after a backslash, to be pasted so.

    An option stays beside its value.
    """
    first, *options = re.split(r" (?=--?[A-Za-z])", line)
    lines = [first]
    for option in options:
        if len(lines[-1]) + len(option) < width - 8:
            lines[-1] += f" {option}"
        else:
            lines.append(option)
    for number, part in enumerate(lines):
        end = " \\" if number < len(lines) - 1 else ""
        yield f"{'  ' if number == 0 else '      '}{part}{end}"


def _plain(text: str) -> str:
    """A text on one line, without Markdown's signs for code."""
    return re.sub(r"`([^`]*)`", r"\1", " ".join(text.split()))
