"""Which lines of the SIP layer, as far as the targets use it, a set of inputs reaches."""

import sys
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from types import CodeType, FrameType

import chatredirect
from tests.fuzz.twins import in_python

_HOME = Path(chatredirect.__file__).parent
_MEASURED = ("sip", "proxy", "trace")
Trace = Callable[[FrameType, str, object], "Trace | None"]


def reached(
    targets: Iterable[Callable[[bytes], Hashable]], inputs: Iterable[bytes]
) -> dict[str, tuple[int, int]]:
    """Lines of functions that ran, and all of them, by module."""
    ran: dict[str, set[int]] = {}

    def line(frame: FrameType, event: str, arg: object) -> Trace:
        if event == "line":
            ran[frame.f_code.co_filename].add(frame.f_lineno)
        return line

    def call(frame: FrameType, event: str, arg: object) -> Trace | None:
        file = frame.f_code.co_filename
        if not file.startswith(str(_HOME)):
            return None
        ran.setdefault(file, set())
        return line

    targets = list(targets)
    sys.settrace(call)
    try:
        for data in inputs:
            for target in targets:
                with in_python():  # what the compiled codec does has no lines
                    target(data)
    finally:
        sys.settrace(None)
    table = {}
    for folder in _MEASURED:
        for path in sorted((_HOME / folder).glob("*.py")):
            if f"chatredirect.{folder}.{path.stem}" not in sys.modules:
                continue  # nothing that the targets call
            lines = _lines_of_functions(compile(path.read_text(), str(path), "exec"))
            if lines:
                name = f"{folder}/{path.name}"
                table[name] = (len(lines & ran.get(str(path), set())), len(lines))
    return table


def _lines_of_functions(module: CodeType) -> set[int]:
    """Lines that run when a function is called, not when the module is imported."""
    lines: set[int] = set()
    for constant in module.co_consts:
        # comprehensions outside of functions run at the import too
        if isinstance(constant, CodeType) and not constant.co_name.startswith("<"):
            if constant.co_flags & 0x2:  # CO_NEWLOCALS: a function, not a class body
                own = {number for _, _, number in constant.co_lines() if number is not None}
                lines |= own - {constant.co_firstlineno}
            lines |= _lines_of_functions(constant)
    return lines
