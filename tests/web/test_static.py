"""Style, scripts and pictures come from the package, and to everybody: they say nothing."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.web.site import Site

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "chatredirect"
STATIC = sorted(each.name for each in (PACKAGE / "page" / "static").iterdir() if each.is_file())
TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


@pytest.mark.parametrize("name", STATIC)
def test_a_file_of_the_package(site: Site, name: str) -> None:
    """As it is, with a type that browsers take, and not again for who has it."""
    reply = site.ask(f"/static/{name}", token=None)
    assert reply.status == 200
    assert reply.body == (PACKAGE / "page" / "static" / name).read_bytes()
    assert reply.fields["content-type"].partition(";")[0] == TYPES[Path(name).suffix]
    again = site.ask(f"/static/{name}", token=None, If_None_Match=reply.fields["etag"])
    assert (again.status, again.body) == (304, b"")


def test_what_isnt_there(site: Site) -> None:
    assert site.ask("/static/nothing.css", token=None).status == 404


@pytest.mark.parametrize("room", ["page", "web"])
def test_the_wheel_has_every_file(room: str) -> None:
    """What isn't Python is named in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"][f"chatredirect.{room}"]
    folder = PACKAGE / room
    for each in folder.rglob("*"):
        path = each.relative_to(folder).as_posix()
        if each.is_file() and each.suffix not in (".py", ".pyc"):
            assert any(fnmatch(path, pattern) for pattern in patterns), path
