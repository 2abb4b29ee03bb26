"""A configuration written to a file and read back: its settings, or its faults as (line, text)."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from chatredirect.config import ConfigError, Settings, load


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file under the test's own directory; the text may be indented."""

    def write_file(text: str, name: str = "main.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(dedent(text).lstrip("\n"))
        return path

    return write_file


@pytest.fixture
def settings(write: Callable[..., Path]) -> Callable[[str], Settings]:
    return lambda text: load(write(text))


@pytest.fixture
def with_http(settings: Callable[[str], Settings]) -> Callable[..., Settings]:
    """The settings of a configuration with this section `http`."""

    both = "[udp://127.0.0.1:5060, tcp://127.0.0.1:5060]"

    def read(http: str, more: str = "", listen: str = both) -> Settings:
        return settings(f"listen: {listen}\nhttp: {http}\n{more}")

    return read


@pytest.fixture
def faults(write: Callable[..., Path]) -> Callable[[str], list[tuple[int, str]]]:
    """The line and message of every fault of a text; fails if it has none."""

    def faults_of(text: str) -> list[tuple[int, str]]:
        with pytest.raises(ConfigError) as caught:
            load(write(text))
        return [(fault.line, fault.message) for fault in caught.value.faults]

    return faults_of
