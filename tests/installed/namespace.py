"""A network namespace of a test's own: only a loopback interface, and every port is free.

For what must use fixed ports, as the README's commands do. It lives as long as the process that
holds it. That ends with the test's process, since its standard input is closed then, and kills
first whatever runs in the namespace: Kamailio's children outlive their parent. So nothing is left
behind, and many tests may do this at once. Needs root.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

_HOLD = r"""
ip link set lo up && echo up && cat >/dev/null
own=$(readlink /proc/self/ns/net | tr -dc 0-9)
here=$(find /proc/[0-9]*/ns/net -maxdepth 0 -lname "net:?$own?" 2>/dev/null)
for each in $here; do
    pid=${each#/proc/}
    [ "${pid%%/*}" = $$ ] || kill -KILL "${pid%%/*}" 2>/dev/null
done
"""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, kept by the process `pid`; `kinds` has its options of unshare and nsenter."""

    pid: int
    kinds: tuple[str, ...]

    def prefix(self) -> list[str]:
        """What to put before a command to run it inside."""
        return ["nsenter", "--target", str(self.pid), *self.kinds, "--"]


@contextmanager
def network_namespace(*, mounts: bool = False) -> Iterator[Namespace]:
    """Make one, with `mounts` one that has mounts of its own too; skip the test where none can be.

    Whatever still runs inside at the end is killed.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root, for a network namespace in which port 5060 is free")
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} not found")
    kinds = ("--net", "--mount") if mounts else ("--net",)
    holder = subprocess.Popen(
        ["unshare", *kinds, "sh", "-c", _HOLD],
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
            pytest.skip(f"unshare {' '.join(kinds)}: {holder.stderr.read().strip()}")
        yield Namespace(holder.pid, kinds)
    finally:
        holder.stdin.close()
        holder.wait(10)
        holder.stdout.close()
        holder.stderr.close()
