"""What the running daemon logs, and that no log reader can hold it up."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from tests.service.client import Udp, ask, request, talk
from tests.service.daemon import PATIENCE, ROOT, command, configuration, endpoint, eventually
from tests.service.fixtures import Run


def test_one_line_for_a_request(run_daemon: Run) -> None:
    daemon = run_daemon()
    with talk("tcp", daemon.address("tcp")) as client:
        ask(client, request(call_id="a1"))
        ask(client, request(cseq="1 BYE", call_id="a2"))
        line = daemon.event("request", call_id="a1")
        assert line["level"] == "info"
        assert line["status"] == 302
        assert line["method"] == "INVITE"
        assert line["uri"] == line["endpoint"] == "sip:ocschat@contoso.com"
        assert line["peer"] == f"tcp://127.0.0.1:{client.port}"
        assert "CSeq" in daemon.event("request", call_id="a2")["fault"]


@pytest.mark.parametrize("level", ["debug", "info"])
def test_what_gets_no_answer(run_daemon: Run, level: str) -> None:
    """It is told with its sender at level debug; else anybody could fill the log with it."""
    daemon = run_daemon(log={"level": level})
    with talk("udp", daemon.address()) as client:
        client.send(b"no SIP at all\r\n\r\n")
        client.send(request(call_id="lost").replace(b"Via:", b"Viola:"))
        ask(client, request(call_id="after"))
        daemon.event("request", call_id="after")
        told = daemon.events("dropped")
        if level == "info":
            assert not told
            return
        assert {each["peer"] for each in told} == {f"udp://127.0.0.1:{client.port}"}
        assert [(each["why"], each.get("call_id")) for each in told][1] == ("no_via", "lost")
        assert len(told) == 2


def test_requests_can_be_left_out(run_daemon: Run) -> None:
    daemon = run_daemon(log={"requests": False})
    with talk("udp", daemon.address()) as client:
        ask(client, request())
    assert daemon.stop() == 0
    assert daemon.event("stopped")["answers"]["302"] == 1
    assert not daemon.events("request")


def test_no_octet_of_a_peer_breaks_a_line(run_daemon: Run) -> None:
    daemon = run_daemon()
    evil = bytes(octet for octet in range(1, 256) if octet not in b'\r\n"\\<>')
    with talk("udp", daemon.address()) as client:
        data = request(from_='"EVIL" <sip:user1@contoso.com>;tag=1', call_id="evil")
        client.send(data.replace(b"EVIL", evil))
        client.send(request(call_id="after"))
        daemon.event("request", call_id="after")
    lines = daemon.log_text.split("\n")[:-1]
    assert [json.loads(line)["event"] for line in lines].count("request") == 2
    assert all(line.isprintable() for line in lines)


@contextmanager
def logging_into_a_pipe(
    folder: Path, **keys: Any
) -> Iterator[tuple["subprocess.Popen[bytes]", IO[bytes], Udp]]:
    """A daemon, the pipe that its log goes to, read as far as its start, and a client."""
    config = folder / "piped.yaml"
    config.write_text(yaml.safe_dump(configuration(**keys)))
    process = subprocess.Popen(
        command("run", "--config", config),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        line = b""
        while b'"started"' not in line:
            line = process.stderr.readline()
            assert line
        host, _, port = json.loads(line)["listen"][0].removeprefix("udp://").rpartition(":")
        with talk("udp", (host, int(port))) as client:
            yield process, process.stderr, client
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_log_reader_that_stalls(tmp_path: Path, loop: str) -> None:
    """A pipe that nobody reads: every request is answered, and what is lost is counted."""
    with logging_into_a_pipe(tmp_path, loop=loop) as (process, log, client):
        _many(client, 10_000)
        # from here on somebody reads again
        lines: list[bytes] = []
        while not any(b"log_dropped" in line for line in lines):
            lines.append(log.readline())
        process.terminate()
        lines += log.readlines()
        dropped = sum(e["count"] for e in map(json.loads, lines) if e["event"] == "log_dropped")
        logged = sum(b'"event":"request"' in line for line in lines)
        assert dropped > 100
        assert dropped + logged == 10_000
        assert process.wait(PATIENCE) == 0


def test_stops_although_nobody_reads_the_log(tmp_path: Path) -> None:
    with logging_into_a_pipe(tmp_path) as (process, _, client):
        _many(client, 1000)
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_a_log_reader_that_goes_away(tmp_path: Path) -> None:
    """A closed pipe (EPIPE) is no reason to stop serving."""
    with logging_into_a_pipe(tmp_path) as (process, log, client):
        log.close()
        _many(client, 500)
        process.terminate()
        assert process.wait(PATIENCE) == 0


def _many(client: Udp, count: int) -> None:
    """Send requests, some at a time, and take an answer for each."""
    at_once = 50
    data = request()
    for _ in range(count // at_once):
        for _ in range(at_once):
            client.send(data)
        for _ in range(at_once):
            assert client.receive().status == 302


def test_console_form(run_daemon: Run) -> None:
    daemon = run_daemon(log={"format": "console"}, wait=False)
    eventually(lambda: "started" in daemon.log_text, "the start")
    assert daemon.stop() == 0
    assert not any(line.startswith("{") for line in daemon.log_text.splitlines())
    assert "\x1b" not in daemon.log_text  # no colours: it isn't a terminal


def test_format_of_the_command_line(tmp_path: Path) -> None:
    """`run --log-format console` is for people, whatever the configuration says."""
    config = tmp_path / "chatredirect.yaml"
    config.write_text(yaml.safe_dump(configuration(log={"format": "json"})))
    process = subprocess.Popen(
        command("run", "--config", config, "--log-format", "console"),
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stderr is not None
    with process, process.stderr:
        line = next(line for line in process.stderr if " started " in line)
        process.terminate()
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z info +started version=", line)


def test_why_a_pool_cannot_be_had(run_daemon: Run) -> None:
    """The line of a 480 has its reason: whoever greps for a call needn't look for the pool."""
    dns = {"hosts": {"pcpool.contoso.com": ["192.0.2.20"]}, "nameservers": ["127.0.0.1:1"]}
    daemon = run_daemon(dns=dns, endpoints=[endpoint(pool_fqdn="nowhere.contoso.com")])
    with talk("udp", daemon.address()) as client:
        answer = ask(client, request(call_id="a1"))
        assert answer is not None
        assert answer.status == 480
    assert "nowhere.contoso.com" in daemon.event("request", call_id="a1")["why"]
