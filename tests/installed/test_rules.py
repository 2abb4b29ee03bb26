"""House rules that a test can hold: CONTRIBUTING.md says them, this file notices a breach."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.installed.readme import ROOT

PACKAGE = ROOT / "chatredirect"

# What would give sip/ a socket, a clock, randomness, a log or the machine's state.
IMPURE = {
    *("asyncio", "select", "selectors", "socket", "ssl", "subprocess", "threading"),
    *("os", "pathlib", "shutil", "tempfile"),
    *("datetime", "time", "random", "secrets", "uuid"),
    *("logging", "structlog"),
}


def _imports(path: Path) -> Iterator[str]:
    """The dotted name of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield str(node.module)


def test_sip_is_sans_io() -> None:
    """sip/ imports the standard library only, and of that nothing that knows the outside world."""
    files = list((PACKAGE / "sip").rglob("*.py"))
    assert files
    for path in files:
        for name in _imports(path):
            top = name.partition(".")[0]
            allowed = {"chatredirect", *sys.stdlib_module_names} - IMPURE
            assert top in allowed, f"{path.name} imports {name}"


def test_no_catch_all_modules() -> None:
    """A module is named after its one idea."""
    for path in PACKAGE.rglob("*.py"):
        assert path.stem not in {"utils", "util", "helpers", "common", "manager", "misc"}, path


def test_exceptions_to_the_rules_say_why() -> None:
    """Each `noqa`, `type: ignore` and `except Exception` has a reason beside or above it."""
    mark = re.compile(r"# noqa|# type: ignore|except Exception\b")
    for path in PACKAGE.rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if not mark.search(line):
                continue
            said = re.sub(r"(# noqa(: [A-Z0-9, ]+)?|# type: ignore(\[[^]]*\])?) *$", "", line)
            around = (lines[number - 1], said, *lines[number + 1 : number + 2])
            assert any("#" in text for text in around), f"{path.name}:{number + 1}: {line.strip()}"


def _pinned(lock: str) -> dict[str, str]:
    """The versions that a lock file holds for this interpreter and machine."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    lines = re.findall(r"(?m)^[a-z0-9][^\\\n]*", text)
    return {
        pin.name: next(iter(pin.specifier)).version
        for pin in map(Requirement, lines)
        if _applies(pin)
    }


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _dependencies() -> tuple[list[Requirement], list[Requirement]]:
    """What the daemon needs on this interpreter and machine, and what its tests do."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    daemon = map(Requirement, project["dependencies"])
    tests = map(Requirement, project["optional-dependencies"]["test"])
    return list(filter(_applies, daemon)), list(filter(_applies, tests))


@pytest.mark.parametrize(
    "lock", ["requirements.lock", "tests/requirements.lock", "tests/requirements-lowest.lock"]
)
def test_lock_files_fit_the_project(lock: str) -> None:
    """Every dependency is locked, within its bounds; `make lock` writes the lock files anew."""
    daemon, tests = _dependencies()
    pinned = _pinned(lock)
    for requirement in daemon if lock == "requirements.lock" else [*daemon, *tests]:
        version = pinned.get(_normal(requirement.name))
        assert version is not None, f"{requirement.name} isn't in {lock}: make lock"
        assert requirement.specifier.contains(version), f"{lock}: {requirement} is {version}"


def test_the_extra_is_locked_and_locks_nothing_else() -> None:
    """What `make install EXTRAS=postgresql` adds to requirements.lock, and nothing of that."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = _pinned("requirements-postgresql.lock")
    for requirement in map(Requirement, project["optional-dependencies"]["postgresql"]):
        assert requirement.specifier.contains(pinned[_normal(requirement.name)]), "make lock"
    assert not pinned.keys() & _pinned("requirements.lock").keys()


def test_lowest_versions_are_what_lowest_tests() -> None:
    """`make lowest` tests just the lower bounds that pyproject.toml promises."""
    pinned = _pinned("tests/requirements-lowest.lock")
    for requirement in _dependencies()[0]:
        (bound,) = requirement.specifier
        assert bound.operator == ">=", f"{requirement}: bounded from below, and only so"
        version = pinned[_normal(requirement.name)]
        assert f"{version}.".startswith(f"{bound.version}."), f"{requirement}: {version}"


def test_every_dependency_has_its_reason() -> None:
    """docs/decisions/dependencies.md names each library of the daemon and of the tests."""
    record = (ROOT / "docs/decisions/dependencies.md").read_text(encoding="utf-8")
    daemon, tests = _dependencies()
    for requirement in [*daemon, *tests]:
        assert requirement.name in record, f"{requirement.name}: no reason in the record"


def test_running_and_testing_use_one_set_of_versions() -> None:
    """`make test` tests the versions that `make run` runs."""
    tested = _pinned("tests/requirements.lock")
    for lock in ("requirements.lock", "requirements-postgresql.lock"):
        for name, version in _pinned(lock).items():
            assert tested[name] == version, name
