"""Prints a command's output and errors, and handles output that can't be written.

If standard output can't be written, the exit status is EX_IOERR and the error is printed on
standard error; no error is printed for a closed pipe, as with `head`.

With --json standard output has JSON objects only, each with its `schema`, and a failure is one of
them (docs/json.md). What else is printed, such as warnings and questions, goes to standard error.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from chatredirect.runtime.wording import counted, error_text, sentence

if TYPE_CHECKING:
    from chatredirect.config import ConfigError, Fault

_MAX_FAULTS = 200
"""Faults printed as text; a generated file may have a hundred thousand. JSON has them all."""
_VERSION = 1
"""Of every schema, until one of them changes in a way that scripts can notice."""

_json_wanted: ContextVar[bool] = ContextVar("json_wanted", default=False)


def answer_in_json(arguments: Sequence[str]) -> None:
    """Take note whether --json is among a command's arguments: its failures are JSON then.

    It is known before the arguments are read, since one that can't be read is a failure too.
    """
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    _json_wanted.set("--json" in options)


def json_wanted() -> bool:
    """Whether the command was given --json."""
    return _json_wanted.get()


def schema(kind: str) -> str:
    """The value of `schema` of an object of this kind, as in `chatredirect/check/1`."""
    return f"chatredirect/{kind}/{_VERSION}"


def show_object(kind: str, body: Mapping[str, object]) -> None:
    """Print the one object that a command prints with --json, with its schema.

    Raises:
        typer.Exit: it can't be written.
    """
    show(json.dumps({"schema": schema(kind), **body}, indent=2))


def show_line(kind: str, body: Mapping[str, object]) -> None:
    """Print one object of a stream as a line, with its schema.

    Raises:
        typer.Exit: it can't be written.
    """
    show(json.dumps({"schema": schema(kind), **body}))


def show(text: str) -> None:
    """Print a text and a newline to standard output.

    Raises:
        typer.Exit: it can't be written.
    """
    show_drawn(_harmless(text))


def show_drawn(text: str) -> None:
    """Print a text whose values have been escaped, with the colours that were put around them.

    Raises:
        typer.Exit: it can't be written.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:  # names from files and peers may not fit the terminal's encoding
        reconfigure(errors="backslashreplace")
    try:
        typer.echo(text)
    except OSError as error:
        _report_lost(error)
        raise typer.Exit(os.EX_IOERR) from None


def painted(text: str, style: str) -> str:
    """A text, escaped, in a colour; `style` are the numbers of ECMA-48's SGR, as in `1;31`."""
    return f"\x1b[{style}m{_harmless(text)}\x1b[0m" if style else _harmless(text)


def complain(text: str, *, prefix: str = "chatredirect: ") -> None:
    """Print a text and a newline to standard error. Errors of writing are ignored."""
    try:
        typer.echo(f"{prefix}{_harmless(text)}", err=True)
    except OSError:
        _discard(sys.stderr.fileno())


def failure(
    what: str,
    status: int,
    *,
    where: str = "",
    why: str = "",
    remedy: str = "",
    faults: "Sequence[Fault]" = (),
) -> typer.Exit:
    """Print why a command fails, with --json as an object on standard output.

    Args:
        what: what can't be done; perhaps the whole sentence.
        status: the exit status.
        where: the file, socket, option or endpoint; the sentence that is printed names it too.
        remedy: what to do about it.
        faults: faults of files, printed before.

    Returns:
        The exception to raise.
    """
    if json_wanted():
        parts = {"what": what, "where": where, "why": why, "remedy": remedy}
        error: dict[str, object] = {name: part or None for name, part in parts.items()}
        error |= {"exit_status": status, "faults": [asdict(each) for each in faults]}
        show_line("error", {"error": error})
    else:
        if faults:
            complain(fault_text(faults, "error"), prefix="")
        complain(sentence(what, why=why, remedy=remedy))
    return typer.Exit(status)


def config_failure(error: "ConfigError") -> typer.Exit:
    """Print the faults of a configuration; the exception to raise."""
    if json_wanted():
        what, remedy = "the configuration can't be used", "mend the faults that are listed"
        return failure(what, error.exit_status, remedy=remedy, faults=error.faults)
    complain(config_error_text(error), prefix="")
    return typer.Exit(error.exit_status)


def config_error_text(error: "ConfigError") -> str:
    """The faults of a configuration, and a line with their number."""
    files = len({fault.file for fault in error.faults})
    summary = f"{counted(len(error.faults), 'error')} in {counted(files, 'file')}"
    return f"{fault_text(error.faults, 'error')}\n{summary}; not usable"


def fault_text(faults: "Sequence[Fault]", kind: str) -> str:
    """Lines `file:line:column: kind: message`, as compilers and editors know them.

    Args:
        faults: only the first 200 are written.
        kind: `error` or `warning`.
    """
    lines = [
        f"{fault.location}: {kind}: {fault.message}" if fault.file else f"{kind}: {fault.message}"
        for fault in faults[:_MAX_FAULTS]
    ]
    if len(faults) > _MAX_FAULTS:
        lines.append(f"… and {len(faults) - _MAX_FAULTS:,} more")
    return "\n".join(lines)


def is_lost() -> bool:
    """Whether text that typer printed can't be written; if so, print the error."""
    try:
        sys.stdout.write("\n")  # flushes the rest of the text that failed
        sys.stdout.flush()
    except OSError as error:
        _report_lost(error)
        return True
    return False


def _harmless(text: str) -> str:
    """Escape what could control the terminal, as in JSON, so that JSON stays JSON."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _report_lost(error: OSError) -> None:
    _discard(sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        complain(f"standard output: {error_text(error)}")


def _discard(file: int) -> None:
    """Discard what is still buffered, so that flushing it at exit doesn't fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, file)
    os.close(null)
