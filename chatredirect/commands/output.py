"""Prints a command's output and errors, and handles output that can't be written.

If standard output can't be written, the exit status is EX_IOERR and the error is printed on
standard error; no error is printed for a closed pipe, as with `head`.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from chatredirect.runtime.wording import counted, error_text

if TYPE_CHECKING:
    from chatredirect.config import ConfigError, Fault

_MAX_FAULTS = 200
"""Faults printed as text; a generated file may have a hundred thousand. JSON has them all."""


def show(text: str) -> None:
    """Print a text and a newline to standard output.

    Raises:
        typer.Exit: it can't be written.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:  # names from files and peers may not fit the terminal's encoding
        reconfigure(errors="backslashreplace")
    try:
        typer.echo(_harmless(text))
    except OSError as error:
        _report_lost(error)
        raise typer.Exit(os.EX_IOERR) from None


def complain(text: str, *, prefix: str = "chatredirect: ") -> None:
    """Print a text and a newline to standard error. Errors of writing are ignored."""
    try:
        typer.echo(f"{prefix}{_harmless(text)}", err=True)
    except OSError:
        _discard(sys.stderr.fileno())


def failure(text: str, status: int) -> typer.Exit:
    """Print why a command fails; the exception to raise."""
    complain(text)
    return typer.Exit(status)


def config_failure(error: "ConfigError") -> typer.Exit:
    """Print the faults of a configuration; the exception to raise."""
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
    lines = [f"{fault.location}: {kind}: {fault.message}" for fault in faults[:_MAX_FAULTS]]
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
