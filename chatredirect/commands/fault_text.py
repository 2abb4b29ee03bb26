"""Faults and warnings as lines for a terminal, in the form that compilers and editors know."""

from collections.abc import Sequence
from typing import TypeAlias

from chatredirect.config import ConfigError, Fault
from chatredirect.runtime.wording import counted

MAX_LINES = 200
"""Faults printed as text; a generated file may have a hundred thousand. JSON has them all."""

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"


def fault_lines(faults: Sequence[Fault], kind: str) -> list[str]:
    """`file:line:column: kind: message` for each, `kind` being "error" or "warning"."""
    lines = [f"{fault.location}: {kind}: {fault.message}" for fault in faults[:MAX_LINES]]
    if len(faults) > MAX_LINES:
        lines.append(f"… and {len(faults) - MAX_LINES:,} more")
    return lines


def config_error_text(error: ConfigError) -> str:
    """All faults and a line that sums them up."""
    files = len({fault.file for fault in error.faults})
    summary = f"{counted(len(error.faults), 'error')} in {counted(files, 'file')}"
    return "\n".join([*fault_lines(error.faults, "error"), f"{summary}; not usable"])


def fault_json(fault: Fault) -> Json:
    """A fault for scripts; line and column are 0 where there is none."""
    return {
        "file": fault.file,
        "line": fault.line,
        "column": fault.column,
        "message": fault.message,
    }
