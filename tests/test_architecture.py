"""docs/architecture.md, as far as a test can hold it: the rooms, their order, who imports whom.

Imports within functions and those for type checkers alone count like all others.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "chatredirect"

DECISIONS = [each.relative_to(ROOT / "docs") for each in sorted(ROOT.glob("docs/decisions/*.md"))]

#: File stems that rooms have on purpose in the same way.
PARTS_OF_A_MODE = {"core", "driver", "events", "settings"}

#: Modules of under 40 lines, and why each is one.
SMALL = {
    "__main__": "what `python -m` runs",
    "http.pages": "read by what must not import aiohttp",
    "manual.__main__": "what `python -m` runs",
    "runtime.cached": "metrics, readiness and the page are each made once for all who ask",
    "runtime.histogram": "whoever measures durations counts with it",
    "sip.codec": "tells the compiled codec the classes, before the two that read and write use it",
    "sip.limits": "parsers and transports are bounded by it",
}

#: Modules of over 350 lines, and why each is one.
LARGE = {
    "proxy.core": "one table of open requests, its timers and sends",
    "proxy.response_context": "RFC 3261 §16.7 in one class",
    "transport.connection": "one protocol class: reading, writing, timers",
}

#: Folders of tests that aren't a room's, and what they are about.
TESTS_OF_MORE_THAN_A_ROOM = {
    "attack": "attacks on the whole daemon, as docs/security.md has them",
    "benchmarks": "the benchmarks themselves",
    "docs": "the documentation site",
    "fuzz": "mutated messages for the whole SIP layer",
    "installed": "the service installed, its unit, and the pages that are run",
    "peers": "other SIP programs",
    "several": "several instances on machines of their own, behind front ends",
    "tls": "TLS over all of transport, client and control",
}

#: The way of a redirect, between the sockets: none of it may wait for anything.
SYNCHRONOUS = (
    *("sip", "net", "endpoints/directory.py", "endpoints/redirection.py", "responses", "proxy"),
    *("answering", "pools/pool.py", "dns/order.py"),
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


def modules(where: str = ".") -> Iterator[Path]:
    path = PACKAGE / where
    assert path.exists(), f"{path} is gone"
    yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """A file's module name without the package's: `sip.uri`, `sip` for the folder's own."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room_of(module: str) -> str:
    return module.partition(".")[0]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, by its dotted name, wherever in the file it does so."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert node.level == 0, f"{path}: a relative import"
            # `from package import module` imports the module as well
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def known() -> frozenset[str]:
    return frozenset(name_of(each) for each in modules())


@cache
def ours(path: Path) -> frozenset[str]:
    """The modules of this package that a file imports, without the package's name."""
    names = (name.partition(".") for name in imports(path))
    dotted = (module for package, _, module in names if package == "chatredirect")
    # the last part may be a name in a module
    return frozenset(
        each if each in known() else each.rpartition(".")[0] or "__init__" for each in dotted
    ) - {name_of(path)}


@cache
def rooms() -> dict[str, set[str]]:
    """The table of rooms in docs/architecture.md, from the ground up: what each imports."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for line in page.splitlines():
        row = re.fullmatch(r"\| `(\w+)(?:/|\.py)` \|.*\|([^|]*)\|", line)
        if row is not None:
            assert row[1] not in found, line
            found[row[1]] = set(re.findall(r"`(\w+)`", row[2]))
    return found


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_the_page_names_every_room() -> None:
    """A room that nobody has explained is a room that nobody finds."""
    assert set(rooms()) == {room_of(name_of(path)) for path in modules()} - {"__init__"}


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_what_the_page_says(room: str) -> None:
    """No more, and no less: an entry that allows what no longer happens hides the next one."""
    paths = [path for path in modules() if room_of(name_of(path)) == room]
    found = {room_of(module) for path in paths for module in ours(path)} - {room, "__init__"}
    assert found == rooms()[room]


def test_imports_point_to_rooms_further_up() -> None:
    """The page lists the rooms from the ground up."""
    order = list(rooms())
    for room, others in rooms().items():
        above = others - set(order[: order.index(room)])
        assert not above, f"{room} imports {above}"


@pytest.mark.parametrize("page", ["architecture.md", *map(str, DECISIONS)])
def test_modules_that_a_page_names_are_there(page: str) -> None:
    """`room/module`, in text and in pictures."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    folders = "|".join(room for room in rooms() if (PACKAGE / room).is_dir())
    for room, module in re.findall(rf"(?<![\w/.-])({folders})/(\w+)(?![\w/-])", text):
        path = PACKAGE / room / module
        assert path.is_dir() or path.with_suffix(".py").exists(), f"{page}: {room}/{module}"


def test_no_circle_of_modules() -> None:
    try:
        TopologicalSorter({name_of(path): ours(path) for path in modules()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_module_lies_in_a_room() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "__main__", "cli"}


def test_every_module_is_imported() -> None:
    """A merge may bring back a module that another one has replaced."""
    used = {module for path in modules() for module in ours(path)}
    entries = {"__init__", "__main__"}  # of a package and of `python -m`: Python imports them
    assert not {name_of(path) for path in modules() if path.stem not in entries} - used


def test_a_class_name_occurs_once() -> None:
    """Whoever searches for a class finds that one."""
    where = defaultdict(list)
    for path in modules():
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef):
                where[node.name].append(name_of(path))
    assert not {name: places for name, places in where.items() if len(places) > 1}


def test_a_file_name_occurs_once() -> None:
    where = defaultdict(list)
    for path in modules():
        if path.stem not in {"__init__", "__main__"} | PARTS_OF_A_MODE:
            where[path.stem].append(name_of(path))
    assert not {name: places for name, places in where.items() if len(places) > 1}


def test_a_module_is_one_idea() -> None:
    """80 to 350 lines, mostly; which modules have fewer or more, and why, stands above."""
    sizes = {name_of(path): lines_of(path) for path in modules() if path.name != "__init__.py"}
    assert {name for name, lines in sizes.items() if lines < 40} == set(SMALL)
    assert {name for name, lines in sizes.items() if lines > 350} == set(LARGE)


def test_no_group_is_possessive() -> None:
    """Python 3.11.2 continues at the wrong position when one fails (CPython issue 106052)."""
    possessive = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")
    assert possessive.search("(?: a)*+")
    for path in modules():
        texts = [n.value for n in ast.walk(parsed(path)) if isinstance(n, ast.Constant)]
        found = [each for each in texts if isinstance(each, str | bytes)]
        read = [each.decode("latin-1") if isinstance(each, bytes) else each for each in found]
        assert not [each for each in read if possessive.search(each)], path.relative_to(PACKAGE)


def test_no_room_of_odds_and_ends() -> None:
    odd = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "tools"}
    assert not {path for path in modules() if odd & set(path.with_suffix("").parts)}


def test_the_tests_lie_as_the_package_lies() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders - set(rooms()) == set(TESTS_OF_MORE_THAN_A_ROOM)


@pytest.mark.parametrize("where", SYNCHRONOUS)
def test_the_way_of_a_redirect_waits_for_nothing(where: str) -> None:
    for path in modules(where):
        tops = {name.partition(".")[0] for name in imports(path)}
        assert not tops & WAITS, f"{path.relative_to(PACKAGE)} imports {tops & WAITS}"
        waiting = [
            node
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
        ]
        assert not waiting, f"{path.relative_to(PACKAGE)}, line {waiting[0].lineno}"
