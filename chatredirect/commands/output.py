"""What every command prints with, and what happens when nobody takes it.

A full disk or a reader that has gone is neither a fault of this program nor an answer to what was
asked: one line says so, unless the reader has simply had enough, and the exit status is its own.
"""

import os
import sys

import typer


def show(text: str) -> None:
    """Print to standard output, with a line's end.

    Raises:
        typer.Exit: it can't be written.
    """
    _escape_what_does_not_fit()
    try:
        typer.echo(_harmless(text))
    except OSError as error:
        _report_lost(error)
        raise typer.Exit(os.EX_IOERR) from None


def complain(text: str, *, prefix: str = "chatredirect: ") -> None:
    """Print to standard error, with a line's end. A failure is ignored."""
    try:
        typer.echo(f"{prefix}{_harmless(text)}", err=True)
    except OSError:
        _discard(sys.stderr.fileno())


def is_lost() -> bool:
    """Whether text that typer printed can't be written; the reason is then on standard error."""
    try:
        sys.stdout.write("\n")  # nothing may be left of the text that failed
        sys.stdout.flush()
    except OSError as error:
        _report_lost(error)
        return True
    return False


def _harmless(text: str) -> str:
    """What others have written must not steer the terminal: bidirectional marks, for instance.

    They are shown as JSON writes them, so JSON stays JSON.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _report_lost(error: OSError) -> None:
    from chatredirect.runtime.os_errors import words

    _discard(sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        complain(f"standard output: {words(error)}")


def _discard(file: int) -> None:
    """Let what is still buffered go nowhere, so that the end of the process can't fail on it."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, file)
    os.close(null)


def _escape_what_does_not_fit() -> None:
    """Names of files and what peers send may not fit the terminal's code."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
