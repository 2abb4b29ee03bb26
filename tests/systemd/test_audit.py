"""docs/audit.md on a real journald: each change leaves a record that the page's commands find."""

import json
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatredirect.log.audit import AuditedChange, Origin, audit_fields
from tests.service.daemon import ROOT, configuration, endpoint, eventually, start
from tests.service.daemon import command as chatredirect
from tests.systemd.journald import Journald, journald
from tests.trace.trace_process import control_socket

PAGE = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
URI = "sip:new@contoso.com"


@pytest.fixture(scope="module")
def journal() -> Iterator[Journald]:
    with journald() as running:
        yield running


def records(journal: Journald, *match: str) -> list[dict[str, Any]]:
    found = journal.run("journalctl", "-o", "json", "-t", "chatredirect", "EVENT=audit", *match)
    return [json.loads(line) for line in found.splitlines()]


def record(journal: Journald, *match: str) -> dict[str, Any]:
    """The last record that matches, as soon as there is one."""

    def look() -> dict[str, Any] | None:
        found = records(journal, *match)
        return found[-1] if found else None

    return dict(eventually(look, f"a record with {match}"))


@pytest.fixture(scope="module")
def story(journal: Journald, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A daemon that starts, is changed in every way, and stops; its configuration."""
    folder = tmp_path_factory.mktemp("audit")
    config = folder / "main.yaml"
    with control_socket() as socket, pytest.MonkeyPatch.context() as patch:
        main = {"control": {"socket": socket}, "log": {"format": "journal", "level": "error"}}
        settings = configuration(endpoints=[endpoint()], include="endpoints.d/*.yaml", **main)
        config.write_text(yaml.safe_dump(settings))
        config.chmod(0o600)
        plain = chatredirect
        patch.setattr(
            "tests.service.daemon.command", lambda *args: [*journal.prefix, *plain(*args)]
        )
        daemon = start(folder, config, wait=False)
        try:
            record(journal, "ACTION=start")

            def run(*arguments: str) -> None:
                command = plain(*arguments, "--config", str(config))
                journal.run("setpriv", "--reuid=0", *command, SUDO_USER="alice")

            run(
                *("endpoint", "new", "--sip-address", URI, "--persistent-chat-pool-fqdn"),
                *("pcpool.contoso.com", "--port", "5061", "--transport", "tls", "--reload"),
            )
            run("endpoint", "set", URI, "--state", "maintenance")
            run("endpoint", "remove", URI)
            run("log-level", "debug", "--for", "5m")
            run("trace", "--from", "bob@contoso.com", "--for", "1s")
            before = config.read_text()
            config.write_text(before + "nonsense: 1\n")
            daemon.send_signal(signal.SIGHUP)
            record(journal, "ACTION=reload", "OUTCOME=refused")
            config.write_text(before)
            daemon.stop()
            record(journal, "ACTION=stop")
            yield config
        finally:
            daemon.process.kill()
            daemon.process.wait()


@pytest.mark.usefixtures("story")
def test_an_endpoint_from_its_making_to_its_removal(journal: Journald) -> None:
    """The command's own records: what was, what is, and what the journal proves."""
    made, changed, gone = records(journal, f"SUBJECT={URI}")
    assert [each["ACTION"] for each in (made, changed, gone)] == [
        "endpoint_new",
        "endpoint_set",
        "endpoint_remove",
    ]
    assert "pool_fqdn: pcpool.contoso.com" in made["NOW"]
    assert "WAS" not in made
    assert (changed["WAS"], changed["NOW"]) == ("{state: active}", "{state: maintenance}")
    assert "pool_fqdn: pcpool.contoso.com" in gone["WAS"]
    assert "NOW" not in gone
    for each in (made, changed, gone):
        assert (each["BY"], each["OUTCOME"], each["SAID_SUDO_USER"]) == ("command", "done", "alice")
        assert (each["_UID"], each["SAID_UID"]) == ("0", "0")
        assert each["_PID"] != record(journal, "ACTION=start")["_PID"]


@pytest.mark.usefixtures("story")
def test_requests_to_the_daemon(journal: Journald) -> None:
    """The kernel proves who asks, at whatever level the log is; the fingerprints are a chain."""
    begun = record(journal, "ACTION=start")
    reloaded = records(journal, "ACTION=reload", "BY=control_socket")[0]
    assert (reloaded["WAS"], reloaded["OUTCOME"]) == (begun["NOW"], "done")
    assert reloaded["NOW"] != begun["NOW"]
    assert f'added: ["{URI} -> pcpool.contoso.com"]' in reloaded["SUBJECT"]
    level = record(journal, "ACTION=log_level")
    assert (level["WAS"], level["NOW"], level["SECONDS"]) == ("error", "debug", "300.0")
    first, last = record(journal, "ACTION=trace_begin"), record(journal, "ACTION=trace_end")
    assert first["SUBJECT"] == last["SUBJECT"] == "{from: bob@contoso.com}"
    assert first["NOW"] == "{masked: yes}"
    for each in (reloaded, level, first, last):
        assert (each["PROVED_UID"], each["PROVED_GID"]) == ("0", "0")
        assert int(each["PROVED_PID"]) > 1
        assert each["SAID_SUDO_USER"] == "alice"
        assert each["_PID"] == begun["_PID"]


@pytest.mark.usefixtures("story")
def test_signals(journal: Journald) -> None:
    """Nobody knows who sent one; what came of it is written down all the same."""
    refused = record(journal, "ACTION=reload", "OUTCOME=refused")
    assert (refused["BY"], refused["WHY"]) == ("signal", "the configuration can't be used")
    assert record(journal, "ACTION=stop")["BY"] == "signal"
    assert "PROVED_UID" not in refused


def test_the_journal_proves_who_has_logged_in(journal: Journald, tmp_path: Path) -> None:
    """What the command says of its login user, the journal has from the kernel."""
    config = tmp_path / "main.yaml"
    config.write_text(yaml.safe_dump(configuration(include="endpoints.d/*.yaml")))
    line = chatredirect(
        *("endpoint", "new", "--sip-address", "sip:login@contoso.com", "--config", str(config)),
        *("--persistent-chat-pool-fqdn", "pcpool.contoso.com"),
    )
    log_in = "echo 4242 >/proc/self/loginuid || exit 0; exec"  # it can be set once
    journal.run("sh", "-c", f"{log_in} {shlex.join(line)}")
    made = records(journal, "SUBJECT=sip:login@contoso.com")
    if not made:
        pytest.skip("the login user can't be set here")
    assert made[0]["SAID_LOGINUID"] == "4242"
    if "_AUDIT_LOGINUID" not in made[0]:
        pytest.skip("in a container this journald doesn't say who has logged in")
    assert made[0]["_AUDIT_LOGINUID"] == "4242"


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize("line", re.findall(r"^journalctl .*$", PAGE, re.MULTILINE))
def test_the_pages_commands_find_something(journal: Journald, line: str) -> None:
    """With this story's endpoint, and its user's number, who is root."""
    line = line.replace("sip:ocschat@contoso.com", URI).replace("UID=1000", "UID=0")
    found = journal.run("sh", "-c", line)
    assert ("audit action=" in found) or ('"ACTION"' in found), line


def test_the_page_has_every_field_and_every_action() -> None:
    """Nothing is written that the page doesn't explain."""
    origin = Origin("x", 1, 1, 1, 1, "x", "x", "x")
    change = AuditedChange("x", "x", "x", "x", "x", "x", 1.0)
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert set(audit_fields(origin, change)) <= named
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "chatredirect").rglob("*.py")
    )
    actions = set(re.findall(r'AuditedChange\(\s*"([a-z_]+)"', source))
    assert len(actions) == 10
    assert actions <= named
