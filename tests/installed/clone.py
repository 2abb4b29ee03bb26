"""A clone of the project, and the wheels that it needs, in a container without a network."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.installed.container import Container
from tests.installed.readme import ROOT

CLONE = "/root/chatredirect"
WHEELS = ROOT / ".cache/wheels"


def clone_to(container: Container) -> None:
    """What a clone of this tree would hold, changes not yet committed included."""
    directory = container.root / CLONE.lstrip("/")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, directory / name)


def wheels_in(container: Container) -> None:
    """Put the wheels into the container's /opt/wheels; skip the test if there are none."""
    stamp = WHEELS / ".complete"
    locks = [ROOT / name for name in ("requirements.lock", "requirements-postgresql.lock")]
    if not stamp.exists() or stamp.read_bytes() != b"".join(map(Path.read_bytes, locks)):
        pytest.skip("no wheels in .cache/wheels for the lock files: tests/setup/wheels")
    shutil.copytree(WHEELS, container.root / "opt/wheels")
