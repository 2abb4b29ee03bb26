"""A network namespace of a test's own: only a loopback interface, and every port is free.

For what must use fixed ports, as the README's commands do. Needs root.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, kept by a sleeping process."""

    pid: int

    def prefix(self) -> list[str]:
        """What to put before a command to run it inside."""
        return ["nsenter", "--target", str(self.pid), "--net", "--"]


@contextmanager
def network_namespace() -> Iterator[Namespace]:
    """Make one; skip the test where that can't be done."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a network namespace in which port 5060 is free")
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} not found")
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    try:
        if holder.stdout.readline() != "up\n":
            pytest.skip(f"unshare --net: {holder.stderr.read().strip()}")
        yield Namespace(holder.pid)
    finally:
        holder.stdin.close()
        holder.wait(10)
        holder.stdout.close()
        holder.stderr.close()
