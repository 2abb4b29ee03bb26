"""The probe as a person runs it: a process, its output and its exit status."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from chatredirect.cli import app
from tests.service.fixtures import run_daemon, run_shared_daemon

__all__ = ["run_daemon", "run_shared_daemon"]

#: No name server: what isn't in the hosts table fails at once.
CONFIG = """\
listen: [udp://127.0.0.1:0]
dns:
  nameservers: ["127.0.0.1:1"]
  hosts: {pcpool.contoso.com: [192.0.2.20], both.contoso.com: [127.0.0.2, 127.0.0.1]}
"""


@dataclass
class Probed:
    """What a probe printed, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, read as JSON."""
        return json.loads(self.out)

    @property
    def arrows(self) -> list[str]:
        """`all_arrows` without what was sent again, as over UDP to who is held up for 0.5 s."""
        return [each for each in self.all_arrows if not each.endswith(" (again)")]

    @property
    def all_arrows(self) -> list[str]:
        """The ladder: each arrow as `> INVITE` or `< 302 Moved Temporarily`."""
        arrows = []
        for line in self.out.splitlines():
            if line[11:14] == " |<":
                arrows.append("< " + line[14:-1].strip("- "))
            elif line[11:13] == " |" and line.endswith(">|"):
                arrows.append("> " + line[13:-2].strip("- "))
        return arrows


Probe = Callable[..., Probed]


@pytest.fixture
def in_process() -> None:
    """Makes `probe` run in the tests' own process, where many have to run in a short time."""


@pytest.fixture
def probe(
    request: pytest.FixtureRequest, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Probe]:
    """Run `chatredirect probe ARGUMENTS` with `CONFIG` unless `config=None`; variables by name."""

    def run(*arguments: object, config: str | None = CONFIG, **environ: str) -> Probed:
        line = ["probe", *map(str, arguments)]
        if config is not None:
            (tmp_path / "probe.yaml").write_text(config)
            line += ["--config", str(tmp_path / "probe.yaml")]
        if "in_process" in request.fixturenames:
            status, out, err = _run_here(line, capsysbinary)
        else:
            status, out, err = _run(line, tmp_path, environ)
        probed = Probed(status, out.decode(errors="surrogateescape"), err.decode())
        assert "Traceback" not in probed.out + probed.err, probed.err
        assert all(c == "\n" or c.isprintable() for c in probed.out + probed.err)
        return probed

    handlers = logging.getLogger().handlers[:]
    yield run
    logging.getLogger().handlers[:] = handlers  # the command silences the process it runs in
    structlog.reset_defaults()


def _run(line: list[str], folder: Path, environ: dict[str, str]) -> tuple[int, bytes, bytes]:
    clean = {k: v for k, v in os.environ.items() if k != "CHATREDIRECT_CONFIG"}
    done = subprocess.run(
        [sys.executable, "-m", "chatredirect", *line],
        env={**clean, "NO_COLOR": "1", **environ},
        cwd=folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def _run_here(
    line: list[str], capsysbinary: pytest.CaptureFixture[bytes]
) -> tuple[int, bytes, bytes]:
    with pytest.raises(SystemExit) as ended:
        app(line)
    assert isinstance(ended.value.code, int)
    return ended.value.code, *capsysbinary.readouterr()
