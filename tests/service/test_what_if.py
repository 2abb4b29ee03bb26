"""What a reload would change, and where files differ from what is in force: on a running daemon."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from chatredirect.control.client import ask
from tests.trace.trace_process import control_socket

from .daemon import Daemon, configuration, endpoint, run_command
from .fixtures import Run

OTHER = "sip:other@contoso.com"


def run(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200"}
    return run_command(*arguments, "--config", daemon.config, env=environment)


def written(daemon: Daemon, settings: dict[str, Any]) -> None:
    daemon.config.write_text(yaml.safe_dump(settings))


def test_what_a_reload_would_change(run_daemon: Run) -> None:
    """Endpoints, pools, settings, what needs a restart; nothing changes, and a reload agrees."""
    with control_socket() as socket:
        settings = configuration(
            control={"socket": socket}, endpoints=[endpoint(), endpoint(OTHER)]
        )
        daemon = run_daemon(settings)
        before = ask(socket, "status")["configuration"]
        assert run(daemon, "reload", "--what-if").stdout == (
            "What if: a reload would change nothing.\n"
        )
        changed = endpoint(port=5062, mode="proxy")
        new = endpoint("sip:new@contoso.com", pool_fqdn="pool2.contoso.com")
        written(daemon, settings | {"endpoints": [changed, new], "drain": 3.0, "loop": "asyncio"})
        done = run(daemon, "reload", "--what-if")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "What if: a reload would change this.",
            "1 endpoint added:",
            "  sip:new@contoso.com -> pool2.contoso.com",
            "1 endpoint removed:",
            f"  {OTHER} -> pcpool.contoso.com",
            "1 endpoint changed:",
            "  sip:ocschat@contoso.com -> pcpool.contoso.com",
            "2 pools added:",
            "  pcpool.contoso.com:5062 over tls",
            "  pool2.contoso.com:5061 over tls",
            "1 pool removed:",
            "  pcpool.contoso.com:5061 over tls",
            "settings changed: drain, loop",
            "only at a restart: loop",
        ]
        after = ask(socket, "status")["configuration"]
        assert after == before, "not even a reload has been counted"
        found = json.loads(run(daemon, "reload", "--json").stdout)
        assert [found["endpoints"][kind]["count"] for kind in ("added", "removed", "changed")] == [
            1, 1, 1,
        ]  # fmt: skip


def test_faults_are_told_and_nothing_is_refused(run_daemon: Run) -> None:
    with control_socket() as socket:
        settings = configuration(control={"socket": socket})
        daemon = run_daemon(settings)
        written(daemon, settings | {"listne": []})
        done = run(daemon, "reload", "--what-if", "--socket", socket)
        assert done.returncode == 78
        assert 'unknown key "listne"' in done.stderr
        assert ask(socket, "status")["configuration"]["reloads"]["refused"] == 0  # type: ignore[call-overload, index]


def test_where_a_file_differs_from_what_is_in_force(run_daemon: Run, tmp_path: Path) -> None:
    """`endpoint get` says which key, `status` that the files do; after a reload neither does."""
    with control_socket() as socket:
        folder = tmp_path / "endpoints.d"
        folder.mkdir()
        own = folder / "own.yaml"
        own.write_text("sip_address: a@contoso.com\npool_fqdn: pcpool.contoso.com\n")
        settings = configuration(control={"socket": socket}, include=f"{folder}/*.yaml")
        daemon = run_daemon(settings)

        def in_force() -> str:
            shown = run(daemon, "endpoint", "get", "a@contoso.com").stdout.splitlines()
            return next(line.partition(" : ")[2] for line in shown if line.startswith("InForce"))

        def differ() -> object:
            return json.loads(run(daemon, "status", "--json").stdout)["configuration"][
                "files_differ"
            ]

        assert (in_force(), differ()) == ("yes", False)
        assert "say something else" not in run(daemon, "status").stdout
        own.write_text("sip_address: a@contoso.com\npool_fqdn: pcpool.contoso.com\nport: 5070\n")
        assert in_force() == "no: port is not set in force: chatredirect reload"
        assert differ() is True
        assert "the files say something else now" in run(daemon, "status").stdout
        found = json.loads(run(daemon, "endpoint", "get", "--json").stdout)["endpoints"]
        assert [(each["in_force"], each["differs"]) for each in found] == [
            (True, []),
            (False, ["port"]),
        ]
        done = run(daemon, "endpoint", "get")
        assert (
            "1 of these endpoints differs from what the service has: chatredirect reload --what-if"
            in done.stderr
        )
        own.rename(folder / "b.yaml")
        (folder / "b.yaml").write_text("sip_address: b@contoso.com\npool_fqdn: p.contoso.com\n")
        shown = run(daemon, "endpoint", "get", "b@contoso.com").stdout
        assert "InForce                : no: the service doesn't have this endpoint" in shown
        assert run(daemon, "reload").returncode == 0
        assert (
            "InForce                : yes" in run(daemon, "endpoint", "get", "b@contoso.com").stdout
        )
        assert differ() is False
        daemon.stop()
        shown = run(daemon, "endpoint", "get", "b@contoso.com").stdout
        assert "InForce                : unknown: the daemon isn't running" in shown
