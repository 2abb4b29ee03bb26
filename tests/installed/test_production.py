"""README.md's section "Production", run as it stands on a bare Debian; then the service at work."""

import re
from collections.abc import Iterator

import pytest

from tests.installed.clone import CLONE, clone_to, wheels_in
from tests.installed.container import Container, booted
from tests.installed.loaded_service import wait_until
from tests.installed.pages import File, alike, story
from tests.installed.readme import ROOT, commands

PROBE = "chatredirect probe sip:persistentchat@contoso.com --via"


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A bare Debian with a clone of the project, and with its wheels, as there is no network."""
    # Not below pytest's own folder, which /tmp may keep on a small tmpfs.
    with booted(tmp_path_factory.mktemp("container") / "root") as container:
        clone_to(container)
        wheels_in(container)
        # The DNS of a test: the sandboxed service must be able to read it.
        with (container.root / "etc/hosts").open("a") as hosts:
            hosts.write("192.0.2.20 pcpool.contoso.com\n")
        _install(container)
        yield container


def _install(container: Container) -> None:
    """Every command of the section, in its order."""
    section = [command for command in commands() if command.section == "Production"]
    assert section
    for command in section:
        container.check(command.line, cwd=CLONE, WHEELS="/opt/wheels")


def test_redirects_from_within_the_sandbox(container: Container) -> None:
    """The service answers over UDP and TCP with the pool, as its own user, without capabilities."""
    _wait_for_answer(container)
    for listener in ("udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"):
        assert "pcpool.contoso.com" in container.check(f"{PROBE} {listener}")
    status = container.check(f"cat /proc/{_main_pid(container)}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    user = container.check("id -u chatredirect").strip()
    assert fields["Uid"].split() == [user] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["Seccomp"] == "2"
    # A machine whose root may not raise limits, as in a sandbox, gives what its init has.
    ceiling = min(65536, _file_limit(container, "1"))
    assert _file_limit(container, _main_pid(container)) >= ceiling


def test_secret_is_for_the_service_only(container: Container) -> None:
    """The configuration may hold a secret: nobody but root and the service can read the file."""
    mode = container.check("stat -c '%a %U %G' /etc/chatredirect/chatredirect.yaml")
    assert mode.split() == ["640", "root", "chatredirect"]


def test_killed_is_restarted(container: Container) -> None:
    """Restart=on-failure brings it back."""
    before = _main_pid(container)
    container.check("systemctl kill --signal=KILL chatredirect")
    wait_until(lambda: _main_pid(container) not in {"0", before}, "a restart")
    _wait_for_answer(container)


def test_reload(container: Container) -> None:
    """`systemctl reload` puts a changed file in force without a new process."""
    before = _main_pid(container)
    path = container.root / "etc/chatredirect/chatredirect.yaml"
    good = path.read_text()
    path.write_text(good.replace("sip:persistentchat@", "sip:newname@"))
    probe = f"{PROBE} udp://127.0.0.1:5060".replace("persistentchat", "newname")
    assert container.run(probe).returncode == 1  # 404
    try:
        container.check("systemctl reload chatredirect")
        wait_until(lambda: container.run(probe).returncode == 0, "redirect for the new name")
        assert _main_pid(container) == before
    finally:
        path.write_text(good)
        container.check("systemctl reload chatredirect")
    _wait_for_answer(container)


def test_faulty_reload_is_refused(container: Container) -> None:
    """`systemctl reload` fails when the file is faulty, and the service goes on as it was."""
    before = _main_pid(container)
    path = container.root / "etc/chatredirect/chatredirect.yaml"
    good = path.read_text()
    path.write_text(good + "\nlisten_to: everything\n")
    try:
        assert container.run("systemctl reload chatredirect").returncode != 0
        assert "listen_to" in container.check("journalctl -u chatredirect -n 50 --no-pager")
    finally:
        path.write_text(good)
    assert _show(container, "ActiveState") == "active"
    assert _main_pid(container) == before
    _wait_for_answer(container)


def test_faulty_configuration_is_not_restarted(container: Container) -> None:
    """Exit status 78 ends it for good, and the journal says what is wrong."""
    path = container.root / "etc/chatredirect/chatredirect.yaml"
    good = path.read_text()
    path.write_text(good + "\nlisten_to: everything\n")
    try:
        container.run("systemctl restart chatredirect")
        wait_until(lambda: _show(container, "ActiveState") == "failed", "a failure")
        assert _show(container, "ExecMainStatus") == "78"
        assert _show(container, "NRestarts") == "0"
        assert "listen_to" in container.check("journalctl -u chatredirect -p err -n 9 --no-pager")
    finally:
        path.write_text(good)
        container.check("systemctl reset-failed chatredirect; systemctl restart chatredirect")


def test_stops_cleanly(container: Container) -> None:
    """`systemctl stop` ends it with exit status 0."""
    _wait_for_answer(container)
    container.check("systemctl stop chatredirect")
    assert _show(container, "Result") == "success"
    assert _show(container, "ExecMainStatus") == "0"
    container.check("systemctl start chatredirect")


def test_operations(container: Container) -> None:
    """docs/operations.md from installing to removing, each command as it stands there."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    looks = [
        line
        for block in re.findall(r"(?ms)^```sh\n(.*?)^```$", text)
        for line in block.splitlines()
    ]
    assert len(looks) > 3
    for look in looks:
        container.check(look)
    container.check("systemctl restart chatredirect")
    steps = 0
    for each in story("operations.md"):
        if isinstance(each, File):
            path = container.root / each.path.lstrip("/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(each.text)
            continue
        steps += 1
        done = container.run(
            f"exec 2>&1; {each.line}", cwd=CLONE, PIP_NO_INDEX="1", PIP_FIND_LINKS="/opt/wheels"
        )
        assert done.returncode == each.status, f"{each.line}\n{done.stdout}"
        assert alike(list(each.output), done.stdout.splitlines()), f"{each.line}\n{done.stdout}"
    assert steps > 10
    kept = "-not -path '/root/*'"  # the clone and its wheels
    assert container.check(f"find / /usr/local -xdev -name '*chatredirect*' {kept}") == ""
    assert "chatredirect" not in (container.root / "etc/passwd").read_text()


def _show(container: Container, name: str) -> str:
    return container.check(f"systemctl show --value -p {name} chatredirect").strip()


def _main_pid(container: Container) -> str:
    return _show(container, "MainPID")


def _file_limit(container: Container, pid: str) -> int:
    """The hard limit on open files of a process."""
    limits = container.check(f"cat /proc/{pid}/limits")
    return int(re.findall(r"(?m)^Max open files +\d+ +(\d+)", limits)[0])


def _wait_for_answer(container: Container) -> None:
    """Until it serves: a restart by systemd is not waited for."""
    wait_until(lambda: container.run(f"{PROBE} udp://127.0.0.1:5060").returncode == 0, "answer")
