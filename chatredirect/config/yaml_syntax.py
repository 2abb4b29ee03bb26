"""Text that isn't YAML: what the parser says of it becomes a fault with a place and a remedy."""

import re

import yaml

from chatredirect.config.faults import Fault


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of the character at `index`."""
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


def syntax_fault(error: yaml.MarkedYAMLError, text: str, file: str) -> Fault:
    """Text that isn't YAML."""
    mark = error.problem_mark or error.context_mark
    what = ", ".join(part for part in (error.context, error.problem) if part) or "not YAML"
    if mark is None:
        return Fault(file, 0, 0, f"not valid YAML: {what}")
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    return Fault(file, mark.line + 1, mark.column + 1, f"not valid YAML: {what}{_hint(line)}")


def _hint(line: str) -> str:
    if line[: len(line) - len(line.lstrip())].count("\t"):
        return "; indent with spaces, not with tabs"
    if "::" in line or re.search(r"\[[^\]\s]*\]:\d", line):
        return '; quote what has an IPv6 address in it: "tls://[::1]:5061"'
    if line.count(": ") > 1:
        return "; quote a value that has a colon and a space in it"
    if re.search(r"[:-]\s+[@%`*&!|>]", line):
        return "; quote a value that begins with a special character"
    return ""


def reader_fault(error: yaml.reader.ReaderError, text: str, file: str) -> Fault:
    """Characters that no YAML text may have."""
    for index, char in enumerate(text):  # libyaml counts octets, PyYAML characters: look ourselves
        if (char < " " and char not in "\t\r\n") or "\x7f" <= char < "\xa0" or char >= "\ufffe":
            line, column = line_and_column(text, index)
            return Fault(file, line, column, f"not valid YAML: control character U+{ord(char):04X}")
    return Fault(file, 0, 0, f"not valid YAML: {error.reason}")
