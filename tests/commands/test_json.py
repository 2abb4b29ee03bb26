"""docs/json.md: with --json each command prints what the page says, and so is each failure."""

import json
import re
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from chatredirect.cli import app
from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.store import UsageStore
from chatredirect.usage.tally import DAY
from tests.service.client import ask, request, talk
from tests.service.daemon import ROOT, endpoint
from tests.service.fixtures import Run
from tests.trace.trace_process import looking
from tests.usage.uses import batch, use

from .conftest import Command

Write = Callable[..., Path]
TODAY = int(time.time() // DAY)
PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
TYPES = {str: "text", bool: "boolean", int: "number", float: "number", type(None): "null"}
ELSEWHERE = ("status", "status-endpoint", "status-pool")
"""Kinds of objects whose names stand in docs/commands.md."""

RARE = ("requests[].tls.", "requests[].channel", "warnings[]")
"""Names that need more peers than this module has."""

printed_paths: dict[str, set[str]] = defaultdict(set)
"""What the commands have printed so far, by kind."""


def documented(kind: str) -> dict[str, str]:
    """The types that the page has for an object of this kind, by path: `errors[].file`."""
    section = PAGE.partition(f"\n## chatredirect/{kind}/1\n")[2].partition("\n## ")[0]
    assert section, f"docs/json.md has no section about chatredirect/{kind}/1"
    rows = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \| ([a-z ]+) \|", section, re.MULTILINE)
    return {path: what for paths, what in rows for path in re.findall(r"`([^`]+)`", paths)}


def within(value: Any, path: str, known: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The paths of a value with the types that are there; what is in a map isn't looked at."""
    if isinstance(value, dict):
        yield path, "map" if known.get(path, "").startswith("map") else "object"
        if not known.get(path, "").startswith("map"):
            for name, each in value.items():
                yield from within(each, f"{path}.{name}" if path else name, known)
    elif isinstance(value, list):
        yield path, "list"
        for each in value:
            if isinstance(each, dict):
                yield from within(each, f"{path}[]", known)
            else:
                assert known.get(path, "").startswith("list of "), path
    else:
        yield path, TYPES[type(value)]


def held(printed: str) -> list[dict[str, Any]]:
    """What was printed, one object or one a line, after each has been held against the page."""
    lines = printed.splitlines()
    whole = [printed] if lines and lines[0] == "{" else lines
    objects = [json.loads(each) for each in whole]
    for each in objects:
        name, kind, version = each["schema"].split("/")
        assert (name, version) == ("chatredirect", "1")
        if kind in ELSEWHERE:
            continue
        known = documented(kind)
        for path, what in within(each, "", known):
            if path in ("", "schema") or (path.endswith("[]") and path not in known):
                continue
            printed_paths[kind].add(path)
            assert path in known, f"{kind}: docs/json.md hasn't {path} ({what})"
            assert what in known[path].replace("list of", "list"), f"{kind}: {path} is {what}"
    return objects


def every_command(group: typer.Typer = app, before: str = "") -> Iterator[tuple[str, Any]]:
    for each in group.registered_commands:
        assert each.callback is not None
        name = each.name or each.callback.__name__.rstrip("_")
        yield f"{before}{name}", each.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from every_command(inner.typer_instance, f"{inner.name} ")


def test_every_command_has_it() -> None:
    """And every kind of object has a section on the page, or is named there."""
    without = [name for name, call in every_command() if "as_json" not in call.__annotations__]
    assert without == []


@pytest.fixture
def main(write: Write, name_server: str) -> Path:
    (write("", "x").parent / "endpoints.d").mkdir()
    file = write(f"""
        listen: [udp://127.0.0.1:0]
        include: endpoints.d/*.yaml
        secret: a secret of sixteen characters
        instances: [nowhere.contoso.com]
        dns: {{nameservers: ["{name_server}"], hosts_file: /dev/null, timeout: 0.2}}
        endpoints:
          - sip_address: ocschat@contoso.com
            pool_fqdn: here.contoso.com
            port: 9
            transport: udp
            active_from: 2026-11-01T06:00:00Z
            state: maintenance
          - {{sip_address: old@contoso.com, pool_fqdn: pcpool.contoso.com, mode: lookup}}
    """)
    file.chmod(0o600)
    return file


def test_configuration_commands(chatredirect: Command, main: Path) -> None:
    pool = ("--persistent-chat-pool-fqdn", "pcpool.contoso.com")
    named = ("--sip-address", "new@contoso.com", *pool)
    for arguments, status, kind in (
        (("check", main), 0, "check"),
        (("check", main, "--live"), 1, "check"),
        (("check", main, "--effective"), 0, "effective"),
        (("resolve", "pcpool.contoso.com", "-c", main, "--ping"), 0, "resolve"),
        (("resolve", "nowhere.contoso.com", "-c", main), 1, "resolve"),
        (("endpoint", "get", "-c", main), 0, "endpoints"),
        (("endpoint", "new", *named, "--what-if", "-c", main), 0, "endpoint-change"),
        (("endpoint", "new", *named, "-c", main), 0, "endpoint-change"),
        (
            ("endpoint", "set", "new@contoso.com", "--port", "5061", "-c", main),
            0,
            "endpoint-change",
        ),
        (("endpoint", "remove", "new@contoso.com", "--what-if", "-c", main), 0, "endpoint-change"),
        (("endpoint", "remove", "new@contoso.com", "-c", main), 0, "endpoint-change"),
        (("endpoint", "remove", "new@contoso.com", "--force", "-c", main), 0, "endpoint-change"),
    ):
        done = chatredirect(*arguments, "--json")
        assert done.returncode == status, (arguments, done.stdout + done.stderr)
        (found,) = held(done.stdout)
        assert found["schema"] == f"chatredirect/{kind}/1", arguments


def test_what_nobody_has_changed(chatredirect: Command, write: Write) -> None:
    """The samples' values, where other machines could send requests."""
    untouched = write("""
        listen: [udp://192.0.2.1:5060]
        endpoints: [{sip_address: ocschat@contoso.com, pool_fqdn: pcpool.contoso.com}]
    """)
    (found,) = held(chatredirect("check", untouched, "--json").stdout)
    assert len(found["samples"]) == 2


def test_usage(chatredirect: Command, main: Path, tmp_path: Path) -> None:
    store = tmp_path / "usage.db"
    lookup = "sip:old@contoso.com"  # which serves trusted peers alone
    stranger = use(TODAY - 1, "sip:eve@fabrikam.com", trusted=False, endpoint=lookup)
    UsageStore(StoreAddress("sqlite", str(store))).write(
        batch(use(TODAY - 1), stranger, at=time.time())
    )
    main.write_text(f"{main.read_text()}usage: {{store: 'sqlite://{store}'}}\n")
    for arguments, status, kind in (
        ((), 0, "usage"),
        *((("--by", by), 0, "usage") for by in ("day", "week", "client", "caller")),
        (("verdict",), 1, "usage-verdict"),
        (("forget", "ann@contoso.com"), 0, "usage-forget"),
        (("forget", "ann@contoso.com"), 1, "error"),
        (("--since", "soon"), 2, "error"),
        (("--store", tmp_path / "gone.db"), 69, "error"),
        (("verdict", "--store", tmp_path / "gone.db"), 69, "error"),
        (("forget", "ann@contoso.com", "--store", tmp_path / "gone.db"), 69, "error"),
        (("forget", "tel:+1"), 2, "error"),
    ):
        done = chatredirect("usage", *arguments, "-c", main, "--json")
        assert done.returncode == status, (arguments, done.stdout + done.stderr)
        (found,) = held(done.stdout)
        assert found["schema"] == f"chatredirect/{kind}/1", arguments
        if kind == "error":
            parts = (found["error"][name] for name in ("where", "why", "remedy"))
            assert any(parts), arguments


def test_failures(chatredirect: Command, main: Path, write: Write) -> None:
    """One object with what, where, why, what to do and the exit status; standard error is free."""
    bad = write("listen: [udp://localhost]\nsecret: 1\n", "bad.yaml")
    gone = ("--socket", bad.parent / "gone")
    rows = write("SipAddress,Port\na@contoso.com,x\n", "rows.csv")
    pool = ("--persistent-chat-pool-fqdn", "pcpool.contoso.com")
    for arguments, status in (
        (("check", bad), 78),
        (("check", "--live", "--offline", main), 2),
        (("check", "--no-such-option"), 2),
        (("no-such-command",), 2),
        (("run", "-c", bad), 78),
        (("reload", *gone), 69),
        (("reload", "-c", bad.parent / "gone.yaml"), 78),
        (("status", *gone), 69),
        (("trace", "--from", "x", *gone), 69),
        (("trace", *gone), 2),
        (("log-level", *gone), 69),
        (("log-level", "debug", "--for", "soon", *gone), 2),
        (("resolve", "-c", bad, "a.contoso.com"), 78),
        (("resolve", "not a name"), 2),
        (("probe", "nobody"), 2),
        (("probe", "sip:a@192.0.2.1", "-c", bad), 78),
        (("endpoint", "get", "-c", bad), 78),
        (("endpoint", "get", "nobody@contoso.com", "-c", main), 1),
        (("endpoint", "get", "--filter", "x", "-c", main), 2),
        (("endpoint", "get", "-NoSuchParameter"), 2),
        (("endpoint", "new", "--sip-address", "ocschat@contoso.com", *pool, "-c", main), 1),
        (("endpoint", "new", "--from-csv", rows, *pool, "-c", main), 65),
        (("endpoint", "new", "--sip-address", "tel:1", *pool, "-c", main), 2),
        (("endpoint", "set", "ocschat@contoso.com", "--port", "1", "-c", main), 1),
        (("endpoint", "set", "ocschat@contoso.com", "-c", main), 2),
        (("endpoint", "remove", "ocschat@contoso.com", "-c", main), 1),
    ):
        done = chatredirect(*arguments, "--json")
        (found,) = held(done.stdout)
        assert found["schema"] == "chatredirect/error/1", arguments
        assert (found["error"]["exit_status"], done.returncode) == (status, status), arguments
        assert found["error"]["what"], arguments
        if arguments[0] != "reload":
            parts = (found["error"][name] for name in ("where", "why", "remedy"))
            assert any(parts), arguments
        assert "Traceback" not in done.stderr


def test_faults_of_a_configuration_have_their_place(chatredirect: Command, write: Write) -> None:
    bad = write("listen: [udp://localhost]\nsecret: 1\n", "bad.yaml")
    for arguments in (("check", bad), ("run", "-c", bad), ("endpoint", "get", "-c", bad)):
        (found,) = held(chatredirect(*arguments, "--json").stdout)
        faults = found["error"]["faults"]
        assert [(each["file"], each["line"]) for each in faults] == [(str(bad), 1), (str(bad), 2)]


def test_without_json_a_failure_is_text(chatredirect: Command, write: Write) -> None:
    """A value that is called --json isn't the option."""
    done = chatredirect("status", "--socket", write("", "x").parent / "gone")
    assert done.stdout == ""
    assert done.stderr.startswith("chatredirect: the daemon isn't running: there is no control")


def test_probe(chatredirect: Command, main: Path) -> None:
    """An answer, and none; with everything that a message can have."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        via = f"udp://127.0.0.1:{silent.getsockname()[1]}"
        options = ("--via", via, "--timeout", "0.2", "-c", main, "--verbose", "--json")
        done = chatredirect("probe", "sip:a@contoso.com", *options)
    assert done.returncode == 69
    (found,) = held(done.stdout)
    assert found["ending"] == "unreached"


def test_the_daemons_commands(chatredirect: Command, run_daemon: Run, control: str) -> None:
    """Streams too: each line is an object with its schema."""
    daemon = run_daemon(control={"socket": control}, endpoints=[endpoint(), endpoint("a@b.test")])
    where = ("--socket", control, "--json")
    for arguments, kinds in (
        (("reload",), ["reload"]),
        (("log-level",), ["log-level"]),
        (("log-level", "debug", "--for", "5m"), ["log-level"]),
        (("status",), ["status"]),
        (("status", "--all"), [*["status-endpoint"] * 2, "status-pool", "status"]),
    ):
        done = chatredirect(*arguments, *where)
        assert done.returncode == 0, done.stderr
        assert [each["schema"].split("/")[1] for each in held(done.stdout)] == kinds
    # another line in the file: an endpoint and a section have changed
    text = daemon.config.read_text().replace("sip:a@b.test", "sip:c@b.test").replace("a@b", "c@b")
    daemon.config.write_text(text + "drain: 3\n")
    (found,) = held(chatredirect("reload", "--what-if", *where).stdout)
    assert found["pools"]["added"]["count"] == 0
    (found,) = held(chatredirect("reload", *where).stdout)
    assert found["endpoints"]["added"]["count"] == 1
    daemon.config.write_text("listen: 5\n")
    (found,) = held(chatredirect("reload", *where).stdout)
    assert found["error"]["faults"], "of the files, as the daemon found them"


def test_a_trace_and_a_probe(
    chatredirect: Command, run_daemon: Run, control: str, tmp_path: Path
) -> None:
    """Messages and notices, one a line."""
    daemon = run_daemon(control={"socket": control})
    with (
        looking(tmp_path, control, "--from", "user1", "--for", "4s", "--json") as trace,
        talk("udp", daemon.address()) as client,
    ):
        ask(client, request())
        via = f"udp://127.0.0.1:{daemon.address()[1]}"
        done = chatredirect(
            "probe", "sip:ocschat@contoso.com", "--via", via, "--json", "-c", daemon.config
        )
        assert held(done.stdout)[0]["ending"] == "answered"
        assert trace.process.wait(30) == 0
        kinds = [(each["schema"].split("/")[1], each["kind"]) for each in held(trace.text)]
    assert kinds[0] == ("trace-notice", "begun")
    assert kinds[-1] == ("trace-notice", "over")
    assert ("trace", "received") in kinds
    assert ("trace", "sent") in kinds


def test_what_the_page_promises_is_printed() -> None:
    """Every name on the page was in something that a command printed in this module's tests."""
    for kind, paths in printed_paths.items():
        unseen = {path for path in documented(kind) if not path.startswith(RARE)} - paths
        assert unseen == set(), kind
