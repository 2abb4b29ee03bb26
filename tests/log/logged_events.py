"""Every event that the package logs, with levels and fields, read from its source.

What is written as a literal is read where it stands. The few names and fields that are computed
are followed one step: a dictionary that a function fills or returns, the keywords of its callers.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import chatredirect
from chatredirect.pools.pool import PoolEvent

PACKAGE = Path(chatredirect.__file__).parent
_LEVELS = frozenset({"debug", "info", "warning", "error", "exception"})
_EXCEPTION = frozenset({"error", "traceback"})
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class LoggedEvent:
    """Where it is logged, and how."""

    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    places: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Source:
    """A module, with the functions around each of its calls."""

    name: str
    tree: ast.Module

    def calls(self) -> Iterator[tuple[ast.Call, Function | None]]:
        yield from _calls(self.tree, None)

    def functions(self, name: str) -> Iterator[Function]:
        for node in ast.walk(self.tree):
            if isinstance(node, Function) and node.name == name:
                yield node


def _calls(node: ast.AST, around: Function | None) -> Iterator[tuple[ast.Call, Function | None]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, around
        yield from _calls(child, child if isinstance(child, Function) else around)


def logged_events() -> dict[str, LoggedEvent]:
    """All events by name."""
    found: dict[str, LoggedEvent] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        source = _Source(str(path.relative_to(PACKAGE)), ast.parse(path.read_text("utf-8")))
        for call, around in source.calls():
            for name, levels in _named(call, around):
                event = found.setdefault(name, LoggedEvent())
                event.levels |= levels
                event.fields |= _fields(call, around, source)
                event.places.append(f"{source.name}:{call.lineno}")
    return found


def _named(call: ast.Call, around: Function | None) -> Iterator[tuple[str, set[str]]]:
    """The events that a call logs, with their levels."""
    if not isinstance(call.func, ast.Attribute) or not call.args:
        return
    called, on = call.func.attr, ast.unparse(call.func.value)
    first = call.args[0]
    if called in _LEVELS and on in {"log", "structlog.get_logger()"}:
        level = "error" if called == "exception" else called
        for name in _names(first):
            if not (isinstance(first, ast.Attribute) and not _fits(name, level)):
                yield name, {level}
    elif called == "report" and isinstance(first, ast.Constant):
        given = call.args[1] if len(call.args) > 1 else None
        yield str(first.value), _levels_of(given, around)
    elif (
        on in {"sink", "self._sink"} and called == "emit" and isinstance(call.args[1], ast.Constant)
    ):
        yield str(call.args[1].value), {"debug", "info", "warning", "error"}
    elif on == "self" and called == "_render" and isinstance(call.args[2], ast.Constant):
        yield str(call.args[2].value), {str(_value(call.args[1]))}


def _names(name: ast.expr) -> list[str]:
    if isinstance(name, ast.Constant):
        return [str(name.value)]
    text = ast.unparse(name)
    if text == "event.value":
        return [event.value for event in PoolEvent]
    if text.endswith("_timer_failed'"):
        return ["lookup_timer_failed", "proxy_timer_failed"]
    if text == "event":  # ConnectionGroup.report: its callers name it
        return []
    raise AssertionError(f"an event whose name this test can't read: {text}")


def _fits(name: str, level: str) -> bool:
    """Of what happens to a pool, only these two are warnings."""
    return (name in {PoolEvent.STALE.value, PoolEvent.FAILED.value}) == (level == "warning")


def _levels_of(given: ast.expr | None, around: Function | None) -> set[str]:
    """The levels that a report's second argument may have; without one it is a warning."""
    if given is None or around is None or ast.unparse(given).startswith("self."):
        return {"warning"}
    assigned = [
        node.value
        for node in ast.walk(around)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == ast.unparse(given)
    ]
    levels = {
        str(each.value)
        for value in assigned
        for each in ast.walk(value)
        if isinstance(each, ast.Constant) and each.value in _LEVELS
    }
    return levels or {"warning"}


def _fields(call: ast.Call, around: Function | None, source: _Source) -> set[str]:
    found: set[str] = set()
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr == "exception":
        found |= _EXCEPTION
    if call.func.attr == "report":
        found |= {"peer", "suppressed"}
    if call.func.attr in {"emit", "_render"}:
        found |= _keys(call.args[-1], around, source)
    for keyword in call.keywords:
        found |= {keyword.arg} if keyword.arg else _keys(keyword.value, around, source)
    return found - {"level"}


def _keys(value: ast.expr, around: Function | None, source: _Source) -> set[str]:
    """The keys that a dictionary may have."""
    found = {
        str(key.value)
        for node in ast.walk(value)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    for node in ast.walk(value):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for function in source.functions(node.func.id):
                found |= _filled(function, None, source)
    if isinstance(value, ast.Name) and around is not None:
        found |= _filled(around, value.id, source)
        if around.args.kwarg is not None and around.args.kwarg.arg == value.id:
            found |= {
                keyword.arg
                for call, _ in source.calls()
                if ast.unparse(call.func).rpartition(".")[2] == around.name
                for keyword in call.keywords
                if keyword.arg
            }
        if value.id in {argument.arg for argument in around.args.args}:
            found |= _given_by_callers(around, value.id, source)
    return found


def _given_by_callers(around: Function, name: str, source: _Source) -> set[str]:
    place = [argument.arg for argument in around.args.args].index(name)
    found: set[str] = set()
    for call, caller in source.calls():
        if ast.unparse(call.func).rpartition(".")[2] == around.name and len(call.args) > place:
            found |= _keys(call.args[place], caller, source)
    return found


def _filled(function: Function, name: str | None, source: _Source) -> set[str]:
    """The keys that a function gives to a dictionary, or to what it returns."""
    found: set[str] = set()
    for node in ast.walk(function):
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Subscript):
                if name is None or ast.unparse(target.value) == name:
                    found |= _constants(target.slice, function)
            elif value is not None and (name is None or ast.unparse(target) == name):
                found |= _keys(value, None, source)
        elif isinstance(node, ast.Return) and name is None and isinstance(value, ast.expr):
            found |= _keys(value, None, source)
    return found


def _constants(key: ast.expr, function: Function) -> set[str]:
    """What a key may be: a literal, one of two, or one of those that a loop goes through."""
    match key:
        case ast.Constant():
            return {str(key.value)}
        case ast.IfExp():
            return _constants(key.body, function) | _constants(key.orelse, function)
        case ast.Name():
            return {
                str(each.value)
                for node in ast.walk(function)
                if isinstance(node, ast.For) and ast.unparse(node.target) == key.id
                for each in ast.walk(node.iter)
                if isinstance(each, ast.Constant)
            }
    return set()


def _value(expression: ast.expr) -> object:
    return expression.value if isinstance(expression, ast.Constant) else None
