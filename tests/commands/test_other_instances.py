"""`check --live` compares instances: two machines with the same file, in network namespaces."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from tests.daemon.jumping_clock import Clock
from tests.installed.namespace import Namespace, network_namespace
from tests.service.daemon import command, configuration, eventually, run_command

ADDRESSES = {"cr1.contoso.com": "192.0.2.1", "cr2.contoso.com": "192.0.2.2"}
SHARED = {
    "listen": ["udp://0.0.0.0:5060", "tcp://0.0.0.0:5060"],
    "instances": list(ADDRESSES),
    "dns": {"hosts": {name: [address] for name, address in ADDRESSES.items()}
            | {"pcpool.contoso.com": ["192.0.2.20"]}},
    "trusted_peers": ["127.0.0.0/8", "192.0.2.0/24"],
    "control": {"socket": "off"},
    "health": {"timeout": 5.0},
}  # fmt: skip


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[Namespace, Namespace]]:
    """Two machines on one link."""
    with network_namespace() as one, network_namespace() as two:
        ip(one, "link", "add", "lan", "type", "veth", "peer", "lan", "netns", str(two.pid))
        for machine, address in zip((one, two), ADDRESSES.values(), strict=True):
            ip(machine, "address", "add", f"{address}/24", "dev", "lan")
            ip(machine, "link", "set", "lan", "up")
        yield one, two


def ip(machine: Namespace, *arguments: str) -> None:
    done = subprocess.run(
        [*machine.prefix(), "ip", *arguments], capture_output=True, text=True, check=False
    )
    if "Unknown device type" in done.stderr:
        pytest.skip("this kernel has no veth")
    assert done.returncode == 0, done.stderr


def write(file: Path, **keys: object) -> Path:
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(configuration(**(SHARED | keys))))
    return file


def on(machine: Namespace, name: str, *program: str | Path, **environment: str) -> list[str]:
    """A program's command line on a machine, which has its name from the environment."""
    variables = {"CHATREDIRECT_ADVERTISE": name} | environment
    pairs = [f"{key}={value}" for key, value in variables.items()]
    return [*machine.prefix(), "env", *pairs, *map(str, program)]


def checked_live(machine: Namespace, name: str, file: Path) -> "subprocess.CompletedProcess[str]":
    """`check --live` of an instance with this name."""
    return subprocess.run(
        on(machine, name, *command("check", file, "--live", "--json")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def compared(machine: Namespace, file: Path) -> list[str]:
    """What it says of the other instance, on the first machine."""
    done = checked_live(machine, "cr1.contoso.com", file)
    (other,) = json.loads(done.stdout)["instances"]
    assert other["instance"] == "cr2.contoso.com"
    assert other["same"] is not bool(other["problems"])
    if other["problems"]:
        assert done.returncode == 1
    found: list[str] = other["problems"]
    return found


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, []),
        ({"secret": "another secret of sixteen characters"}, ["another secret"]),
        ({"retry_after": 31}, ["another configuration"]),
        ({"secret": None, "instances": []}, ["udp://192.0.2.2:5060 answers 200 and says nothing"]),
        # who isn't trusted gets no hashes: by them a weak secret could be guessed
        ({"trusted_peers": []}, ["udp://192.0.2.2:5060 answers 200 and says nothing"]),
    ],
)
def test_another_instance(
    machines: tuple[Namespace, Namespace],
    tmp_path: Path,
    keys: dict[str, object],
    says: list[str],
) -> None:
    """The file is the same but for what the test changes; only the environment differs."""
    one, two = machines
    ours, theirs = write(tmp_path / "ours.yaml"), write(tmp_path / "theirs.yaml", **keys)
    with started(on(two, "cr2.contoso.com", *command("run", "--config", theirs)), tmp_path / "log"):
        found = compared(one, ours)
    assert [
        each.replace("tcp:", "udp:")[: len(what)] for each, what in zip(found, says, strict=True)
    ] == says


@contextmanager
def started(line: list[str], log: Path) -> Iterator[None]:
    """A daemon that serves, by its command line."""
    with ExitStack() as stack:
        output = stack.enter_context(log.open("wb"))
        daemon = stack.enter_context(subprocess.Popen(line, stderr=output))
        stack.callback(daemon.terminate)
        eventually(lambda: b'"started"' in log.read_bytes() or daemon.poll(), "its start")
        assert daemon.poll() is None, log.read_text()
        yield


def test_another_version(machines: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    """While instances are upgraded one by one."""
    one, two = machines
    file = write(tmp_path / "chatredirect.yaml")
    old = f"""
import sys, chatredirect
chatredirect.__version__ = "0.0.1"
sys.argv = ["chatredirect", "run", "--config", {str(file)!r}]
from chatredirect.__main__ import main
main()
"""
    with started(on(two, "cr2.contoso.com", sys.executable, "-c", old), tmp_path / "log"):
        assert compared(one, file) == ["another version"]


@pytest.mark.parametrize(("hours", "said"), [(1, "ahead"), (-1, "behind")])
def test_clocks_apart_by_an_hour(
    machines: tuple[Namespace, Namespace], tmp_path: Path, hours: int, said: str
) -> None:
    one, two = machines
    file, clock = write(tmp_path / "chatredirect.yaml"), Clock(tmp_path)
    clock.jump(hours * 3600)
    line = on(two, "cr2.contoso.com", *command("run", "--config", file), **clock.environment)
    with started(line, tmp_path / "log"):
        (problem,) = compared(one, file)
    assert re.fullmatch(rf"its clock is 3,[56]\d\d s {said}", problem)


def test_one_that_doesnt_answer(machines: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    (problem,) = compared(machines[0], write(tmp_path / "ours.yaml"))
    assert "192.0.2.2:5060" in problem


@pytest.mark.parametrize("name", ["CR1.contoso.com", "cr3.contoso.com"])
def test_a_machine_with_a_wrong_name(
    machines: tuple[Namespace, Namespace], tmp_path: Path, name: str
) -> None:
    """A drop-in that was copied from the first machine, or mistyped: it would answer for it."""
    file = write(tmp_path / "ours.yaml")
    done = checked_live(machines[1], name, file)
    assert done.returncode == 1
    problems = {each["instance"]: each["problems"] for each in json.loads(done.stdout)["instances"]}
    assert problems["cr2.contoso.com"] == [
        f"tcp://192.0.2.2:5060 is this machine, whose advertise is {name}: set "
        "CHATREDIRECT_ADVERTISE=cr2.contoso.com in the unit of the service, or correct the address "
        "of cr2.contoso.com"
    ]
    assert ("cr1.contoso.com" in problems) == (name == "cr3.contoso.com")


def test_another_instance_on_this_machine(
    machines: tuple[Namespace, Namespace], tmp_path: Path
) -> None:
    """It has the same name, or none, and another port (docs/operations.md)."""
    both = {"instances": ["cr2.contoso.com:5070", "cr2.contoso.com:5071"]}
    first, second = (
        write(tmp_path / f"{port}.yaml", listen=[f"tcp://0.0.0.0:{port}"], **both, **keys)
        for port, keys in ((5070, {}), (5071, {"retry_after": 31}))
    )
    two = machines[1]
    with started(
        on(two, "cr2.contoso.com:5071", *command("run", "--config", second)), tmp_path / "log"
    ):
        for name in ("cr2.contoso.com:5070", ""):
            done = checked_live(two, name, first)
            (other,) = json.loads(done.stdout)["instances"]
            assert other["instance"] == "cr2.contoso.com:5071"
            assert other["problems"] == ["another configuration: compare the files"]


def test_instances_need_a_secret(tmp_path: Path) -> None:
    """Without one each makes its own, and no two are the same."""
    file = write(tmp_path / "ours.yaml", secret=None)
    done = run_command("check", file)
    assert done.returncode == 78
    assert "instances: they need a secret that they share" in done.stdout
