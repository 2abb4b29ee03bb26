"""A booted Debian in a container: the host's own /usr, read-only, under a root of the test's own.

systemd-nspawn boots it in seconds, with nothing downloaded: the packages that the tests use are in
/usr already, and /etc is as bare as on a new machine, so no service of the host's comes with it. It
has a network of its own with only a loopback interface. Needs root.
"""

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

BOOT_TIMEOUT = 60.0  # seconds; it takes 3
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PASSWD = """\
root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = "root:x:0:\nnogroup:x:65534:\n"


@dataclass(frozen=True, slots=True)
class Container:
    """A running container."""

    root: Path
    leader: int
    """Process id of its init."""

    def run(
        self, command: str, *, cwd: str = "/", timeout: float = 300.0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command inside, as root."""
        settings = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb", **environment}
        return subprocess.run(
            [
                *("nsenter", f"--target={self.leader}"),
                *("--mount", "--root", "--wd", "--uts", "--ipc", "--net", "--pid", "--"),
                *("/usr/bin/env", "-i", *(f"{name}={value}" for name, value in settings.items())),
                *("/bin/sh", "-c", f"cd {cwd} && {command}"),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def check(
        self, command: str, *, cwd: str = "/", timeout: float = 300.0, **environment: str
    ) -> str:
        """Run a command that must succeed; its standard output."""
        done = self.run(command, cwd=cwd, timeout=timeout, **environment)
        if done.returncode != 0:
            journal = self.run("journalctl -n 40 --no-pager").stdout
            pytest.fail(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}\n{journal}")
        return done.stdout


def _furnish(root: Path) -> None:
    """The few files that a bare Debian needs beside /usr."""
    for directory in (
        "dev",
        "opt",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "usr",
        "var/log",
        "var/tmp",
    ):
        (root / directory).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    etc = root / "etc"
    (etc / "systemd/system").mkdir(parents=True)
    (etc / "passwd").write_text(_PASSWD)
    (etc / "group").write_text(_GROUP)
    (etc / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    # Without a machine id it is a first boot, and systemd enables every service found in /usr.
    (etc / "machine-id").write_text(uuid.uuid4().hex + "\n")
    for name in ("os-release", "nsswitch.conf", "ld.so.cache"):
        shutil.copy(Path("/etc") / name, etc / name)
    shutil.copytree("/etc/alternatives", etc / "alternatives", symlinks=True)
    # Debian's pip depends on these; since Debian 13 it doesn't even start without.
    authorities = Path("/etc/ssl/certs/ca-certificates.crt")
    if authorities.exists():
        (etc / "ssl/certs").mkdir(parents=True)
        shutil.copy(authorities, etc / "ssl/certs")


def _overlays(root: Path) -> tuple[str, ...]:
    """The host's packages, with a layer of the container's own above them."""
    options = []
    for number, path in enumerate(("/usr", "/var/lib/dpkg")):
        layer = root.with_name(f"{root.name}.layer{number}")
        layer.mkdir()
        (root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        options.append(f"--overlay={path}:{layer}:{path}")
    # It names users of the host's, and dpkg wants to know them.
    (layer / "statoverride").touch()
    # On a host that is a container itself, packages may start nothing; in this one they may.
    policy = root.with_name(f"{root.name}.layer0") / "sbin/policy-rc.d"
    policy.parent.mkdir()
    policy.write_text("#!/bin/sh\nexit 0\n")
    policy.chmod(0o755)
    return tuple(options)


def _leader(nspawn: subprocess.Popen[bytes]) -> int | None:
    """The container's init, once systemd-nspawn has started it."""
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()
    return int(children[-1]) if children else None


@contextmanager
def booted(root: Path, *, writable: bool = False) -> Iterator[Container]:
    """Boot a container with the root ``root``, an empty or missing directory.

    Where it is ``writable``, packages can be installed in it, and the host knows nothing of it. A
    ``root`` with a Debian of its own (usr is there) is booted as it is. Skips the test where that
    can't be done.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root, to boot a container")
    for tool in ("systemd-nspawn", "nsenter", "unshare"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} not found")
    if not Path("/bin").is_symlink():
        pytest.skip("needs a merged /usr")
    if subprocess.run(["unshare", "--user", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no user namespaces, which the unit's PrivateUsers= needs")
    usr: tuple[str, ...] = ()
    if not (root / "usr").is_dir():
        _furnish(root)
        usr = _overlays(root) if writable else ("--bind-ro=/usr",)
    name = f"chatredirect-{uuid.uuid4().hex[:8]}"
    log = root.with_name(root.name + ".log")
    with log.open("wb") as out:
        nspawn = subprocess.Popen(
            [
                *(
                    "systemd-nspawn",
                    "--quiet",
                    f"--directory={root}",
                    f"--machine={name}",
                    "--boot",
                ),
                # No machined, no scope unit: works where the host runs no systemd.
                *("--register=no", "--keep-unit", "--settings=no"),
                *("--private-network", "--resolv-conf=off", "--timezone=off"),
                # What the host's administrator has put there is none of the container's business.
                *(*usr, "--tmpfs=/usr/local:mode=755"),
                *("--console=read-only", "systemd.unit=multi-user.target"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _wait_until_running(nspawn, root, log)
    finally:
        # A first SIGTERM asks the container to shut down.
        nspawn.terminate()
        try:
            nspawn.wait(30)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait()
        # nspawn 252 leaves it where /run is no tmpfs.
        with suppress(OSError):
            Path("/run/systemd/nspawn/propagate", name).rmdir()
        shutil.rmtree(root, ignore_errors=True)


def _wait_until_running(nspawn: subprocess.Popen[bytes], root: Path, log: Path) -> Container:
    deadline = time.monotonic() + BOOT_TIMEOUT
    state = "not started"
    while time.monotonic() < deadline:
        if nspawn.poll() is not None:
            pytest.skip(f"systemd-nspawn can't boot here: {log.read_text(errors='replace')[-300:]}")
        leader = _leader(nspawn)
        if leader is not None:
            container = Container(root, leader)
            state = container.run("systemctl is-system-running").stdout.strip()
            # Degraded: a unit of the host's /usr doesn't like it here. That is not our business.
            if state in {"running", "degraded"}:
                return container
        time.sleep(0.2)
    said = log.read_text(errors="replace")[-2000:]
    pytest.fail(f"the container is {state} after {BOOT_TIMEOUT:g} s\n{said}")
