"""The source of an older version, to run beside this one's."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.several.instance import ROOT

FIRST = "965626e"
"""Before the first release: a commit whose instances compare themselves."""
_VERSION = re.compile(r'(?m)^(__version__ = )"[^"]*"$')


def last_release() -> str:
    """The last tag, or the commit that stands for it."""
    described = _git("describe", "--tags", "--abbrev=0")
    return described.stdout.decode().strip() or FIRST


def of_commit(folder: Path, commit: str) -> Path | None:
    """Unpack the package as it was at a commit; None if the history doesn't have it."""
    packed = _git("archive", commit, "chatredirect")
    if packed.returncode:
        return None
    tree = folder / "older"
    tree.mkdir()
    subprocess.run(["tar", "-x", "-C", tree], input=packed.stdout, check=True)
    return _renumbered(tree)


def of_this(folder: Path) -> Path:
    """This source under an older number: what differs by the number alone."""
    tree = folder / "older"
    shutil.copytree(
        ROOT / "chatredirect",
        tree / "chatredirect",
        ignore=shutil.ignore_patterns("__pycache__", "*.so"),
    )
    return _renumbered(tree)


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)


def _renumbered(tree: Path) -> Path:
    """An older number: between two releases all commits have the same one."""
    file = tree / "chatredirect/__init__.py"
    text, count = _VERSION.subn(r'\1"0.0.1"', file.read_text())
    assert count == 1, file
    file.write_text(text)
    return tree
