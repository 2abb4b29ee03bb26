"""`chatredirect status`: what docs/commands.md promises of it, on a running daemon."""

import hashlib
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatredirect.control.client import ControlError
from chatredirect.control.client import ask as ask_daemon
from tests.service.client import ask, request, talk
from tests.service.daemon import ROOT, command, endpoint, eventually, run_command
from tests.service.fixtures import Run
from tests.tls.client import talk_tls
from tests.trace.trace_process import asked

DOCS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def status(path: str) -> dict[str, Any]:
    return dict(ask_daemon(path, "status"))


def test_every_name_is_documented(run_daemon: Run, control: str) -> None:
    """docs/commands.md has a row for each name of the answer, and for the names within."""
    run_daemon(
        control={"socket": control},
        endpoints=[
            endpoint(),
            endpoint("sip:l@contoso.com", mode="lookup"),
            endpoint("sip:p@contoso.com", mode="proxy"),
        ],
    )
    found = json.loads(asked("status", "--socket", control, "--json"))
    section = DOCS.partition("\n## status\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", section))
    missing = set(found) - named
    for name in ("configuration", "log", "connections", "endpoints", "pools"):
        missing |= set(found[name]) - named
    missing |= set(found["endpoints"]["listed"][0]) - named
    missing |= set(found["pools"]["listed"][0]) - named
    missing |= set(found["pools"]["listed"][0]["targets"][0]) - named
    assert not missing
    assert found["schema"] == "chatredirect/status/1"
    assert found["lookups"]["dialogs"] == 0
    assert found["proxy"]["open"] == 0


def test_counts_connections_and_certificates(
    run_daemon: Run,
    control: str,
    tls: Callable[..., dict[str, Any]],
    context: ssl.SSLContext,
) -> None:
    daemon = run_daemon(
        control={"socket": control},
        listen=["udp://127.0.0.1:0", "tls://127.0.0.1:0"],
        tls=tls(),
        endpoints=[endpoint(), endpoint("sip:hq@contoso.com", state="maintenance")],
    )
    with talk("udp", daemon.address()) as client, talk_tls(daemon.address("tls"), context) as peer:
        for _ in range(3):
            ask(client, request())
        ask(client, request(uri="sip:hq@contoso.com"))
        ask(client, request("ACK"))
        ask(peer, request())
        found = status(control)
        text = asked("status", "--socket", control)
    assert found["answers"]["302"] == 4
    assert found["answers"]["480"] == 1
    assert found["drops"] == {"ack": 1}
    assert found["connections"]["open"] == 1
    assert found["connections"]["by_peer"] == [{"peer": "127.0.0.1", "connections": 1}]
    first, second = found["endpoints"]["listed"]
    assert first["sip_address"] == "sip:hq@contoso.com", "troubles first"
    assert (first["state"], first["trouble"]) == ("maintenance", "maintenance")
    assert (first["requests"], second["requests"]) == (1, 4)
    assert second["answers"] == {"302": 4}
    assert second["trouble"] == ""
    (certificate,) = found["certificates"]
    assert certificate["expires"] > time.time()
    (pool,) = found["pools"]["listed"]
    assert pool["targets"][0]["target"] == "tls://192.0.2.20:5061"
    assert 0 <= pool["dns_age"] < 60
    assert pool["next_refresh"] > 0
    for each in ("302 4", "sip:hq@contoso.com", "maintenance", "tls://192.0.2.20:5061 not"):
        assert each in re.sub(r"\s+", " ", text)
    assert not [line for line in text.split("\n") if line.startswith(" ")], "a row is a line"
    (row,) = (line for line in text.split("\n") if line.startswith("sip:hq@contoso.com"))
    assert row.endswith("pcpool.contoso.com, maintenance")
    assert "\x1b" not in text, "no colours where there is no terminal"


def test_the_fingerprint_is_that_of_the_files(
    run_daemon: Run, control: str, tmp_path: Path
) -> None:
    """`cat FILES | sha256sum`, the main one first; it changes with a reload and not before."""
    folder = tmp_path / "endpoints.d"
    folder.mkdir()
    (folder / "a.yaml").write_text(
        "sip_address: sip:a@contoso.com\npool_fqdn: pcpool.contoso.com\n"
    )
    daemon = run_daemon(control={"socket": control}, include="endpoints.d/*.yaml")
    content = daemon.config.read_bytes() + (folder / "a.yaml").read_bytes()
    before = status(control)["configuration"]
    assert before["fingerprint"] == hashlib.sha256(content).hexdigest()
    assert before["files"] == 2
    assert before["last_reload"] is None
    with daemon.config.open("a") as file:
        file.write("# another\n")
    assert status(control)["configuration"]["fingerprint"] == before["fingerprint"]
    asked("reload", "--socket", control)
    after = status(control)["configuration"]
    assert after["fingerprint"] != before["fingerprint"]
    assert after["reloads"] == {"done": 1, "refused": 0, "history": [after["last_reload"]]}
    daemon.config.write_text("listen: nowhere\n")
    asked("reload", "--socket", control, status=78)
    refused = status(control)["configuration"]
    assert refused["fingerprint"] == after["fingerprint"]
    assert "refused" in refused["last_reload"]["what"]
    assert refused["reloads"]["history"] == [refused["last_reload"], after["last_reload"]]
    assert "refused" in asked("status", "--socket", control)


def test_many_endpoints_are_bounded_and_stall_nobody(
    run_daemon: Run, control: str, tmp_path: Path
) -> None:
    """Of 8,000 endpoints 40 are in the summary; all come in slices, while requests are served."""
    count = 8_000
    folder = tmp_path / "endpoints.d"
    folder.mkdir()
    lines = [
        f"- {{sip_address: 'sip:u{n}@contoso.com', pool_fqdn: pcpool.contoso.com}}"
        for n in range(count)
    ]
    lines[-1] = lines[-1].replace("}", ", state: disabled}")
    (folder / "all.yaml").write_text("\n".join(lines))
    daemon = run_daemon(control={"socket": control}, include="endpoints.d/*.yaml")
    took: list[float] = []
    stop = threading.Event()

    def call() -> None:
        with talk("udp", daemon.address()) as client:
            while not stop.is_set():
                began = time.monotonic()
                client.send(request())
                client.receive()
                took.append(time.monotonic() - began)

    thread = threading.Thread(target=call)
    thread.start()
    began = time.monotonic()
    try:
        everything = asked("status", "--socket", control, "--all", "--json")
        whole = time.monotonic() - began
    finally:
        stop.set()
        thread.join()
    *lines, last = map(json.loads, everything.splitlines())
    listed = [each for each in lines if each["schema"] == "chatredirect/status-endpoint/1"]
    assert len(listed) == count + 1
    assert last["endpoints"]["count"] == count + 1
    assert last["endpoints"]["troubled"] == 1
    assert len(last["endpoints"]["listed"]) == 40
    assert last["endpoints"]["listed"][0]["sip_address"] == f"sip:u{count - 1}@contoso.com"
    assert len(took) > 50
    # a generous bound: the answer as a whole takes many times as long
    assert sorted(took)[int(0.95 * len(took))] < whole / 4
    text = asked("status", "--socket", control)
    assert "… and 7,961 more: --all shows them" in text


def test_watch_goes_on_until_it_is_told(run_daemon: Run, control: str) -> None:
    daemon = run_daemon(control={"socket": control})
    process = subprocess.Popen(
        command("status", "--socket", control, "--watch", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        shown = [json.loads(process.stdout.readline())["now"] for _ in range(2)]
        assert shown[1] - shown[0] > 1
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert daemon.process.poll() is None


def test_a_daemon_that_hangs_is_told_in_time(run_daemon: Run, control: str) -> None:
    """The exit status is 75 after --timeout: what a health check needs."""
    daemon = run_daemon(control={"socket": control})
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        # 50 s: less than it waits unless told
        done = run_command("status", "--socket", control, "--timeout", "0.2", timeout=50)
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert done.returncode == 75, done.stderr
    assert "hasn't answered for 0.2 s" in done.stderr
    assert asked("status", "--socket", control, "--timeout", "50")


def test_log_level_for_a_while(run_daemon: Run, control: str) -> None:
    """It falls back by itself; a reload doesn't end it and says what it falls back to."""
    daemon = run_daemon(control={"socket": control}, log={"level": "warning"}, wait=False)

    def listening() -> Any:
        with suppress(ControlError):  # nobody listens yet
            return status(control)["listeners"]
        return None

    listeners = eventually(listening, "listeners")
    url = listeners[0]["url"]
    host, _, port = url.removeprefix("udp://").rpartition(":")
    with talk("udp", (host, int(port))) as client:
        ask(client, request(call_id="unseen"))
        assert "The level is info until" in asked(
            "log-level", "info", "--for", "1h", "--socket", control
        )
        ask(client, request(call_id="seen"))
        daemon.event("request", call_id="seen")
        assert not daemon.events("started")  # above the level then
        log = status(control)["log"]
        assert (log["level"], log["configured"]) == ("info", "warning")
        assert log["until"] > time.time() + 3000

        settings = yaml.safe_load(daemon.config.read_text())
        settings["log"]["level"] = "error"
        daemon.config.write_text(yaml.safe_dump(settings))
        asked("reload", "--socket", control)
        log = status(control)["log"]
        assert (log["level"], log["configured"]) == ("info", "error")
        ask(client, request(call_id="still seen"))
        daemon.event("request", call_id="still seen")

        asked("log-level", "debug", "--for", "1s", "--socket", control)
        eventually(lambda: status(control)["log"]["level"] == "error", "the level to fall back")
        assert status(control)["log"]["until"] is None
        ask(client, request(call_id="not seen"))
        assert "The level is error." in asked("log-level", "--socket", control)
        asked("log-level", "info", "--socket", control)
        asked("log-level", "configured", "--socket", control)
        assert status(control)["log"]["level"] == "error"
    assert {each["call_id"] for each in daemon.events("request")} >= {"seen", "still seen"}
    assert not {"unseen", "not seen"} & {each["call_id"] for each in daemon.events("request")}
    wrong = asked("log-level", "warn", "--socket", control, status=2)
    assert 'not "warn" (did you mean "warning"?)' in wrong
    with pytest.raises(ControlError, match=r'no level "warn" .did you mean "warning"'):
        ask_daemon(control, "log-level", {"level": "warn"})


def test_what_debug_adds_to_the_log(run_daemon: Run, control: str) -> None:
    """Pings, resolutions and connections that change nothing: nobody hears of them otherwise."""
    with socket.create_server(("127.0.0.1", 0)) as pool:
        daemon = run_daemon(
            control={"socket": control},
            endpoints=[endpoint(port=pool.getsockname()[1], transport="tcp")],
            dns={"hosts": {"pcpool.contoso.com": ["127.0.0.1"]}},
            health={"interval": 1, "timeout": 0.2, "losses": 5},
        )
        with talk("tcp", daemon.address("tcp")) as client:
            ask(client, request())
        assert not daemon.events("ping")
        assert not daemon.events("connection_begun")
        asked("log-level", "debug", "--socket", control)
        daemon.event("ping", outcome="lost", host="pcpool.contoso.com")
        with talk("tcp", daemon.address("tcp")) as client:
            ask(client, request())
        begun = daemon.event("connection_begun", level="debug")
        daemon.event("connection_over", peer=begun["peer"], ended_here=False)
        settings = yaml.safe_load(daemon.config.read_text())
        settings["dns"]["hosts"]["other.contoso.com"] = ["127.0.0.1"]
        daemon.config.write_text(yaml.safe_dump(settings))
        asked("reload", "--socket", control)
        daemon.event("pool_looked_up", pool="pcpool.contoso.com", level="debug")


def test_a_configuration_that_is_not_there_is_not_taken_for_a_daemon_that_is_not_there(
    tmp_path: Path,
) -> None:
    """A typing error after --config."""
    told = asked("status", "--config", str(tmp_path / "chatredirct.yaml"), status=78)
    assert "there is no such file" in told
