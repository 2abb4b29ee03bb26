"""The fuzzer for a few seconds, and what it has found: `make fuzz` runs it for longer."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import blind, guided
from tests.fuzz.coverage import reached
from tests.fuzz.promises import TARGETS
from tests.fuzz.seeds import CORPUS, corpus

_SECONDS = 3


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.stem)
def test_corpus(target: str, path: Path) -> None:
    """No message of the corpus breaks a promise."""
    TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_blind(target: str) -> None:
    """Some seconds of mutations, the same ones every time as far as they get."""
    result = blind.run(TARGETS[target], _SECONDS, seed=1)
    if result.broken is not None:
        data, error = result.broken
        raise AssertionError(f"broken by {data!r}") from error
    assert len(result.outcomes) > 10


def test_guided(tmp_path: Path) -> None:
    """atheris runs, sees coverage, and breaks nothing."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    found = guided.run("datagram", _SECONDS, seed=1, grown=tmp_path)
    assert found.broken == ""
    assert found.executions > 100
    assert found.edges > 100
    assert found.grown > 0


def test_the_corpus_reaches_nearly_every_line() -> None:
    """Of the modules that a message from outside goes through."""
    table = reached(TARGETS.values(), corpus())
    for module in (
        "caller",
        "errors",
        "framing",
        "headers",
        "message",
        "parser",
        "uri",
    ):
        ran, lines = table[f"sip/{module}.py"]
        assert ran / lines > 0.85, module


def test_a_broken_promise_is_found() -> None:
    """A fuzzer that can't fail tells nothing."""

    def fragile(data: bytes) -> int:
        if b"\x00\x00" in data:
            raise ValueError("two of them")
        return len(data) % 50

    result = blind.run(fragile, seconds=30, seed=1)
    assert result.broken is not None
    assert b"\x00\x00" in result.broken[0]


def test_command(tmp_path: Path) -> None:
    """`python -m tests.fuzz` as `make fuzz` calls it."""
    done = subprocess.run(
        [*(sys.executable, "-m", "tests.fuzz", "--seconds", "3"),
         *("--engine", "blind", "--report", "--grown", str(tmp_path))],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "executions in all; no promise broken" in done.stdout
    assert "sip/message.py" in done.stdout
