"""docs/architecture.md, as far as a test can hold it: what may import what."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "chatredirect"

#: Part of the package -> the parts that it may import, itself apart. Modules that aren't here may
#: import what they need, as long as no circle comes of it.
MAY_IMPORT = {
    "sip": set(),
    "counters": set(),
    "histogram": set(),
    "oserror": set(),
    "regular_file": set(),
    "file_thread": set(),
    "event_loop": {"config"},
    "log": {"config"},
    "systemd": {"config"},
    "control": {"oserror", "transport"},
    "config": {"own_names", "regular_file", "sip"},
    "own_names": {"config", "dns", "sip"},
    "own_secret": {"oserror"},
    "trust": {"sip"},
    "transport": {"config", "dns", "histogram", "log", "oserror", "pace", "regular_file", "sip"},
    "dns": {"config", "oserror", "regular_file"},
    "resolver": {"config", "dns", "file_thread", "oserror", "regular_file"},
    "health": {"config", "dns"},
    "pool": {"config", "dns"},
    "directory": {"config", "pool", "roles", "sip"},
    "states": {"config", "directory", "roles"},
    "http": {"config", "transport"},
    "trace": {"client", "control", "log", "roles", "sip"},
    "roles": {"config", "counters", "directory", "dns", "histogram", "own_names", "pool", "sip"},
}

#: Parts -> the only ones that may import them.
ONLY_FOR = {
    "daemon": {"commands"},
    "commanding": {"daemon"},
    "http": {"daemon", "metrics", "service"},
    "metrics": {"daemon", "status"},
    "reloading": {"commanding", "daemon", "metrics", "status_line"},
    "service": {"daemon", "metrics", "reloading", "status_line"},
    "states": {"service"},
    "status": {"commands", "daemon"},
    "status_line": {"daemon"},
    "listeners": {"service"},
    "pools": {"lookups", "proxying", "service", "status"},
    "lookups": {"draining", "service"},
    "proxying": {"draining", "service"},
    "commands": {"cli"},
    "cli": {"__main__", "manual"},
}

#: The way of a redirect, between the sockets: none of it may wait for anything.
SYNCHRONOUS = (
    *(
        "sip",
        "roles/proxy",
        "roles/attendants.py",
        "roles/server.py",
        "roles/table.py",
        "roles/redirection.py",
        "directory.py",
        "own_names.py",
    ),
    *("pool.py", "counters.py", "dns/order.py", "dns/target.py"),
)
#: What could make it wait, or do something behind the request's back.
WAITS = {
    "asyncio",
    "concurrent",
    "dns",
    "select",
    "selectors",
    "socket",
    "ssl",
    "threading",
    "time",
}


def files(where: str = ".") -> Iterator[Path]:
    path = PACKAGE / where
    yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """A file's module name without the package's: `sip.uri`, `sip` for the folder's own."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(path: Path, *, at_once: bool = False) -> Iterator[str]:
    """Every module that a file imports, by its dotted name.

    With `at_once` only those that are imported with it: neither within a function nor for type
    checkers alone.
    """
    for node in _nodes(parsed(path), at_once):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert node.level == 0, f"{path}: a relative import"
            # `from package import module` imports the module as well
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _nodes(tree: ast.AST, at_once: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if at_once and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if at_once and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _nodes(node, at_once)


@cache
def known() -> frozenset[str]:
    return frozenset(name_of(each) for each in files())


@cache
def ours(path: Path, *, at_once: bool = False) -> frozenset[str]:
    """The imported modules that are this package's, without its name."""
    names = (name.partition(".") for name in imports(path, at_once=at_once))
    modules = (module for package, _, module in names if package == "chatredirect")
    # the last part may be a name in a module
    return frozenset(
        each if each in known() else each.rpartition(".")[0] or "__init__" for each in modules
    )


def part(module: str) -> str:
    return module.partition(".")[0]


def rows() -> Iterator[tuple[set[str], str]]:
    """The rows of the table in docs/architecture.md: parts, and what they may import."""
    page = (PACKAGE.parent / "docs/architecture.md").read_text(encoding="utf-8")
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith("| `"):
            names = re.findall(r"`(\w+)(?:/|\.py)`", cells[1])
            assert names, line
            yield set(names), cells[3]


def test_the_page_names_every_part() -> None:
    """A part that nobody has explained is a part that nobody finds."""
    named = [name for names, _ in rows() for name in names]
    assert len(named) == len(set(named))
    assert {part(name_of(path)) for path in files()} - {"__init__"} <= set(named)


@pytest.mark.parametrize("who", MAY_IMPORT)
def test_the_page_says_what_a_part_may_import(who: str) -> None:
    (row,) = [row for row in rows() if who in row[0]]
    parts, said = row
    if parts <= set(MAY_IMPORT):
        may = set().union(*(MAY_IMPORT[each] for each in parts)) - parts
        assert set(re.findall(r"`(\w+)`", said)) == may


@pytest.mark.parametrize("who", MAY_IMPORT)
def test_imports_point_one_way(who: str) -> None:
    paths = [path for path in files() if part(name_of(path)) == who]
    assert paths
    for path in paths:
        wrong = {part(module) for module in ours(path)} - MAY_IMPORT[who] - {who, "__init__"}
        assert not wrong, f"{path.relative_to(PACKAGE)} imports {wrong}"


@pytest.mark.parametrize("whom", ONLY_FOR)
def test_only_the_top_knows_everything(whom: str) -> None:
    for path in files():
        who = part(name_of(path))
        if who != whom and whom in {part(module) for module in ours(path)}:
            assert who in ONLY_FOR[whom], f"{path.relative_to(PACKAGE)} imports {whom}"


def test_no_circles() -> None:
    graph = {name_of(path): ours(path, at_once=True) - {name_of(path)} for path in files()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("where", SYNCHRONOUS)
def test_the_way_of_a_redirect_waits_for_nothing(where: str) -> None:
    for path in files(where):
        tops = {name.partition(".")[0] for name in imports(path)}
        assert not tops & WAITS, f"{path.relative_to(PACKAGE)} imports {tops & WAITS}"
        waiting = [
            node
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
        ]
        assert not waiting, f"{path.relative_to(PACKAGE)}, line {waiting[0].lineno}"
