"""The commands about endpoints, run within the test's process, and a configuration."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chatredirect.cli import main

MAIN = """\
listen: [udp://127.0.0.1:5060]
include: endpoints.d/*.yaml
"""


@dataclass(frozen=True)
class Done:
    """What a command has come to."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration without endpoints, which new ones can be added to."""
    path = tmp_path / "main.yaml"
    path.write_text(MAIN)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where new endpoints go."""
    return tmp_path / "endpoints.d"


@pytest.fixture
def endpoint(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run `chatredirect endpoint ARGUMENTS`, or another command."""
    monkeypatch.setenv("CHATREDIRECT_CONFIG", str(config))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.delenv("SUDO_USER", raising=False)

    def run(*arguments: object, command: str = "endpoint") -> Done:
        monkeypatch.setattr(sys, "argv", ["chatredirect", command, *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        printed = capsys.readouterr()
        return Done(status, printed.out, printed.err)

    return run


@pytest.fixture
def new(endpoint: Command) -> Command:
    """Make an endpoint."""

    def make(address: str = "sip:ocschat@contoso.com", *arguments: object) -> Done:
        pool = ("--persistent-chat-pool-fqdn", "pcpool.contoso.com")
        return endpoint("new", "--sip-address", address, *pool, *arguments)

    return make


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, hidden files included, by name."""
    if not folder.exists():
        return {}
    return {path.name: path.read_bytes() for path in folder.iterdir()}
