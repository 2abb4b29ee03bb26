"""Prints a command's output, and handles output that can't be written.

A full disk or a closed pipe gets its own exit status (EX_IOERR), and one line on standard error; a
reader that has closed the pipe, as `head` does, gets no line.
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
        sys.stdout.write("\n")  # ends what is left of the text that failed
        sys.stdout.flush()
    except OSError as error:
        _report_lost(error)
        return True
    return False


def _harmless(text: str) -> str:
    """Escape what could control the terminal: bidirectional marks, for instance.

    Escapes are JSON's, so JSON stays JSON.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _report_lost(error: OSError) -> None:
    from chatredirect.runtime.wording import error_text

    _discard(sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        complain(f"standard output: {error_text(error)}")


def _discard(file: int) -> None:
    """Discard what is still buffered, so that flushing it at exit can't fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, file)
    os.close(null)


def _escape_what_does_not_fit() -> None:
    """File names and texts of peers may not fit the terminal's encoding."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
