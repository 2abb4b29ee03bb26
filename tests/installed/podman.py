"""Podman with a storage of its own in a folder, and the image of this tree in it.

Nothing of it is seen by the machine's podman, several can be used at once, and all of it goes with
the folder. Needs root.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.installed.clone import WHEELS
from tests.installed.readme import ROOT
from tests.service.daemon import eventually

IMAGE = "localhost/chatredirect:test"

# crun, Debian's default, doesn't start where version 1 and 2 of cgroups are mounted together.
# podman 4.3 of Debian 12 would take CNI, which podman 5 no longer has; netavark serves both.
_CONTAINERS = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{folder}/tmp"
volume_path = "{folder}/volumes"

[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"

[containers]
default_ulimits = ["nofile=4096:4096", "nproc=1000:1000"]
log_driver = "k8s-file"
"""
_STORAGE = """\
[storage]
driver = "{driver}"
graphroot = "{folder}/images"
runroot = "{folder}/run"
"""


@dataclass(frozen=True, slots=True)
class Podman:
    """A storage and its settings."""

    folder: Path
    prefix: Sequence[str] = ()
    """What every command begins with, for instance to run it in a network namespace."""

    @classmethod
    def in_folder(cls, folder: Path) -> "Podman":
        """Write the settings into an empty folder."""
        overlay = _can_mount_overlays(folder)
        driver = "overlay" if overlay else "vfs"
        (folder / "containers.conf").write_text(_CONTAINERS.format(folder=folder))
        (folder / "storage.conf").write_text(_STORAGE.format(folder=folder, driver=driver))
        return cls(folder)

    def environment(self) -> dict[str, str]:
        """The variables of a process that uses the storage."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",  # podman 5: among what it prints
            "NETAVARK_FW": "iptables",  # Debian 13's would take nftables, Debian 12's can't
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }

    def run(
        self, *command: str | Path, timeout: float = 600.0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that uses the storage."""
        return subprocess.run(
            [*self.prefix, *map(str, command)],
            cwd=ROOT,
            env=self.environment() | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def check(self, *arguments: str | Path, **variables: str) -> str:
        """Run a command of podman's that must succeed; its standard output."""
        done = self.run("podman", *arguments, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def inspect(self, name: str) -> dict[str, Any]:
        """What `podman inspect` says of a container or an image."""
        (found,) = json.loads(self.check("inspect", name))
        return dict(found)

    def remove_all(self) -> None:
        """End and remove every pod and every container."""
        self.run("podman", "pod", "rm", "--all", "--force", "--time", "0")
        self.run("podman", "rm", "--all", "--force", "--time", "0", "--volumes")


def _can_mount_overlays(folder: Path) -> bool:
    """Whether the kernel mounts one there: it doesn't where the folder is on an overlay itself."""
    layers = [folder / name for name in ("lower", "upper", "work", "merged")]
    for each in layers:
        each.mkdir()
    lower, upper, work, merged = layers
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mounted = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "overlay", "-o", options, "overlay", merged],
        capture_output=True,
        check=False,
    )
    for each in layers:
        shutil.rmtree(each)
    return mounted.returncode == 0


@contextmanager
def podman_with_image(shared: Path) -> Iterator[Podman]:
    """A podman whose storage has `IMAGE`, built of this tree by `deploy/image`.

    Processes that run tests at the same time use one, named in `shared`: the first builds it, the
    last removes it. So a test removes what it has made, and only that.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root, for a container's root file system")
    for tool in ("podman", "buildah", "runc"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} not found")
    if not (WHEELS / ".complete").exists():
        pytest.skip("no wheels in .cache/wheels: tests/setup/wheels")
    name = shared / "podman"
    with _users(shared) as before:
        if not before:
            # Not in `shared`: a Unix socket's path has 107 characters at most.
            folder = Path(tempfile.mkdtemp(prefix="podman-"))
            name.write_text(str(folder))
            built = Podman.in_folder(folder).run("deploy/image", IMAGE, WHEELS=str(WHEELS))
            (folder / "built").write_text(built.stdout + built.stderr)
            assert built.returncode == 0, built.stdout + built.stderr
    podman = Podman(Path(name.read_text()))
    try:
        yield podman
    finally:
        with _users(shared, leaving=True) as left:
            if not left:
                podman.remove_all()
                podman.run("podman", "rmi", "--all", "--force")
                shutil.rmtree(podman.folder)


@contextmanager
def _users(shared: Path, *, leaving: bool = False) -> Iterator[int]:
    """How many others use the storage. One at a time enters or leaves."""
    with (shared / "podman.users").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        others = int(file.read() or 0) - leaving
        yield others
        file.truncate(0)
        file.write(str(others if leaving else others + 1))


@dataclass(frozen=True, slots=True)
class Contained:
    """A container in which chatredirect runs."""

    podman: Podman
    name: str

    def log(self) -> Sequence[dict[str, Any]]:
        """What it has logged: lines of JSON on standard error, and nothing on standard output."""
        done = self.podman.run("podman", "logs", self.name)
        assert done.stdout == ""
        return [json.loads(line) for line in done.stderr.splitlines()]

    def events(self, event: str) -> Sequence[dict[str, Any]]:
        """Its log events of one name."""
        return [each for each in self.log() if each["event"] == event]

    def event(self, event: str, number: int = 1) -> dict[str, Any]:
        """Wait for the log event of that name and number."""
        found = eventually(
            lambda: self.events(event)[number - 1 : number], f"{event} in the container's log"
        )
        return dict(found[0])

    def address(self, transport: str = "udp") -> tuple[str, int]:
        """Where it listens."""
        for url in self.event("started")["listen"]:
            scheme, _, place = url.partition("://")
            if scheme == transport:
                host, _, port = place.rpartition(":")
                return host, int(port)
        raise AssertionError(f"it doesn't listen over {transport}")

    def signal(self, name: str) -> None:
        """Send its first process a signal."""
        self.podman.check("kill", "--signal", name, self.name)

    def python(self, code: str) -> str:
        """What a statement of Python's prints in it: there is no shell."""
        return self.podman.check("exec", self.name, "python3", "-c", code)
