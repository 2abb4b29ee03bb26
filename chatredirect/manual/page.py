"""The manual page, chatredirect(8): roff with the macros of man(7)."""

import re
from collections.abc import Iterator

from chatredirect.commands.description import CommandDescription, Parameter
from chatredirect.commands.examples import EXAMPLES

#: The beginning of a name, an option or a file: a word with a sign in it.
_NAME = re.compile(r"(?:(?<=^)|(?<=\s))(?=\S*(?:[./_:=@]\w|-)|`)")
_WHOLE = "\0"  # before such a word; becomes roff's sign for it after escaping

_FILES = (
    ("/etc/chatredirect/chatredirect.yaml", "The configuration, if no other is named."),
    ("/etc/chatredirect/endpoints.d/", "Endpoints made by `endpoint new`, one a file."),
    ("/run/chatredirect/control", "The socket by which commands talk to the running daemon."),
)
_ENVIRONMENT = (
    ("CHATREDIRECT_CONFIG", "The configuration file, if none is named on the command line."),
    ("CHATREDIRECT_ADVERTISE", "This server's own name, if the configuration has no `advertise`."),
    ("NO_COLOR", "If set and not empty, nothing is coloured."),
)
_EXIT_STATUS = (
    ("0", "Done."),
    ("1", "The command ran; what it reports is negative: not ready, refused, or not found."),
    ("2", "The command line isn't understood."),
    ("64 and above", "As in `sysexits.h`; 78 is a configuration that can't be used."),
)


def page(root: CommandDescription, version: str, date: str) -> str:
    """The page of a program; `date` is written as 2026-11-22."""
    lines = [
        '.\\" Written by: python -m chatredirect.manual page',
        f'.TH {root.name.upper()} 8 "{date}" "{root.name} {version}" "System Administration"',
        ".ad l",
        ".SH NAME",
        f"{root.name} \\- {_summary(root.help)}",
        ".SH SYNOPSIS",
        *_synopses(root),
        ".SH DESCRIPTION",
        *_paragraphs(root.help),
        ".SH COMMANDS",
    ]
    for path, command in root.each():
        if not command.commands:
            lines += _section(path.partition(" ")[2], path, command)
    lines += [".SH EXIT STATUS", *_terms(_EXIT_STATUS)]
    lines += [".SH FILES", *_terms(_FILES)]
    lines += [".SH ENVIRONMENT", *_terms(_ENVIRONMENT)]
    lines += [".SH SEE ALSO", ".BR systemctl (1),", ".BR journalctl (1)"]
    return "\n".join(lines) + "\n"


def _summary(text: str) -> str:
    """The first sentence, as `whatis` shows it: without a capital and a full stop."""
    first = _roff(" ".join(text.partition("\n\n")[0].split()).rstrip("."))
    return first[:1].lower() + first[1:]


def _synopses(root: CommandDescription) -> Iterator[str]:
    for path, command in root.each():
        if not command.commands:
            yield from (".SY " + _roff(path).replace(" ", "\\ "), *_usage(command), ".YS")


def _usage(command: CommandDescription) -> Iterator[str]:
    """Required options, and arguments."""
    for option in command.options:
        if option.required:
            yield f".BI {_roff(option.names[0])} \\~{_roff(option.metavar)}"
    yield "[options]"
    for argument in command.arguments:
        text = _roff(argument.metavar) + (" \\&..." if argument.repeated else "")
        yield f"\\fI{text}\\fR" if argument.required else f"[\\fI{text}\\fR]"


def _section(name: str, path: str, command: CommandDescription) -> Iterator[str]:
    yield f'.SS "{_roff(name or path)}"'
    yield from _paragraphs(command.help)
    for argument in command.arguments:
        if argument.help:
            yield from (".TP", f".I {_roff(argument.metavar)}", *_text(_sentences(argument)))
    for option in command.options:
        names = ", ".join(f"\\fB{_roff(name)}\\fR" for name in option.names)
        value = "" if option.is_flag else f" \\fI{_roff(option.metavar)}\\fR"
        yield from (".TP", names + value, *_text(_sentences(option)))
    if name in EXAMPLES:
        yield from (".PP", "Examples:", ".PP", ".nf", *map(_roff, EXAMPLES[name]), ".fi")


def _sentences(parameter: Parameter) -> str:
    more = " May be given more than once." if parameter.repeated and parameter.names else ""
    return (parameter.help or "See above.") + more


def _terms(terms: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for term, text in terms:
        yield from (".TP", f".B {_roff(term)}", *_text(text))


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs, which an empty line separates; lines with dashes are a list."""
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        for item in re.split(r"\n(?=\s*[-*] )", paragraph.strip("\n")):
            bullet = re.match(r"\s*[-*] ", item)
            if bullet:
                yield ".IP \\(bu 2"
            yield from _text(item[bullet.end() :] if bullet else item)


def _text(text: str) -> Iterator[str]:
    """A line for each sentence, as man(7) wants it.

    Names and options aren't hyphenated, so that they can be searched for and copied.
    """
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(text.split())):
        if sentence:
            yield _roff(_NAME.sub(_WHOLE, sentence))


def _roff(text: str) -> str:
    """A text with roff's own signs escaped, and `code` in bold."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    escaped = re.sub(r"`([^`]*)`|\*\*([^*]+)\*\*", r"\\fB\1\2\\fR", escaped)
    escaped = escaped.replace('"', "\\(dq").replace("~", "\\(ti").replace("^", "\\(ha")
    escaped = escaped.replace(_WHOLE, "\\%")
    return f"\\&{escaped}" if escaped[:1] in {".", ""} else escaped
