"""How the compiled codec is built, chosen and done without."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.codec.building import ROOT, SOURCE, build, compiler

needs_compiler = pytest.mark.skipif(compiler() is None, reason="needs gcc and python3-dev")
NAME = "from chatredirect import codec; print(codec.NAME)"


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | environment,
    )


@needs_compiler
def test_no_warning(tmp_path: Path) -> None:
    build(tmp_path, "-O2", "-Wconversion", "-Wno-sign-conversion", "-Wno-error=conversion")
    build(tmp_path, "-O0")


@needs_compiler
def test_it_was_built_here() -> None:
    """The environment of the tests has it where it can have it."""
    assert python("-c", NAME, CHATREDIRECT_CODEC="").stdout == "compiled\n"


def test_a_variable_forces_python() -> None:
    assert python("-c", NAME, CHATREDIRECT_CODEC="python").stdout == "python\n"


def test_without_it_python_is_used() -> None:
    missing = "import sys; sys.modules['chatredirect.codec._codec'] = None; " + NAME
    assert python("-c", missing, CHATREDIRECT_CODEC="").stdout == "python\n"


@needs_compiler
def test_sanitizers() -> None:
    """For some seconds; `make sanitize` takes a minute."""
    done = python("-m", "tests.codec.sanitize", "--seconds", "3", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing found" in done.stdout


MISTAKES = {
    "an answer's buffer is too small": ("AROUND = 160,", "AROUND = 40,"),
    "a message's end isn't looked at": ("data + size, &limits", "data + size + 64, &limits"),
    "a datagram's octets are counted wrongly": ("incoming.headers[i].msg_len}", "1 << 23}"),
}


@needs_compiler
@pytest.mark.parametrize("mistake", MISTAKES)
def test_sanitizers_find_a_mistake(tmp_path: Path, mistake: str) -> None:
    """Such as nobody would notice otherwise."""
    right, wrong = MISTAKES[mistake]
    text = SOURCE.read_text(encoding="utf-8")
    assert text.count(right) == 1
    source = tmp_path / "wrong.c"
    source.write_text(text.replace(right, wrong), encoding="utf-8")
    done = python("-m", "tests.codec.sanitize", "--seconds", "5", "--source", str(source))
    assert done.returncode == 1
    assert "Sanitizer" in done.stderr


@pytest.mark.parametrize("cc", [pytest.param("cc", marks=needs_compiler), "/nonexistent/cc"])
def test_a_wheel_is_tagged_for_what_is_in_it(tmp_path: Path, cc: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "chatredirect", tree / "chatredirect")
    line = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w"]
    done = python(*line, str(tmp_path), str(tree), CC=cc)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if cc == "cc":
        assert "-cp311-abi3-linux_" in wheel.name
        assert "_codec.abi3.so" in names
    else:
        assert wheel.name.endswith("-py3-none-any.whl")
        assert ".so" not in names
    assert "_codec.c" not in names


def test_one_binary_serves_every_python() -> None:
    """Python 3.12's headers make of these macros code that takes no reference.

    Built with them, the codec would end Python 3.11 once None had been given away too often.
    """
    macros = [line for line in SOURCE.read_text().splitlines() if "    Py_RETURN_" in line]
    assert not macros
