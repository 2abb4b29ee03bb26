"""Starting and stopping: signals, exit statuses, and what a person is told when it can't be."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.ports import free_port
from tests.service.client import Tcp, ask, request, talk
from tests.service.daemon import (
    PATIENCE,
    ROOT,
    Daemon,
    command,
    configuration,
    eventually,
    run_command,
)
from tests.service.fixtures import Run


@pytest.mark.parametrize(
    ("number", "loop"), [(signal.SIGTERM, "uvloop"), (signal.SIGINT, "asyncio")]
)
def test_a_signal_stops_it_with_status_0(
    run_daemon: Run, loop: str, number: signal.Signals
) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop isn't installed")
    daemon = run_daemon(loop=loop)
    with talk("tcp", daemon.address("tcp")) as idle:
        idle.send(request())
        assert idle.receive().status == 302
        assert daemon.stop(number) == 0
        assert idle.rest() == b""
    assert daemon.event("stopped")["answers"] == {"302": 1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_it_serves(tmp_path: Path, number: signal.Signals) -> None:
    """While it reads its configuration, which is so large that it can't be done too soon."""
    large = tmp_path / "large.yaml"
    lines = (
        f"  - {{sip_address: 'sip:a{n}@contoso.com', pool_fqdn: p.q}}\n" for n in range(200_000)
    )
    large.write_text(f"listen: [udp://127.0.0.1:0]\nendpoints:\n{''.join(lines)}")
    process = subprocess.Popen(
        command("run", "--config", large),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    stat = Path(f"/proc/{process.pid}/stat")
    ticks = os.sysconf("SC_CLK_TCK")  # after a second of CPU time it reads
    with process:
        eventually(lambda: int(stat.read_text().split()[13]) > ticks, "it to read")
        process.send_signal(number)
        _, text = process.communicate(timeout=PATIENCE)
    assert (process.returncode, text) == (0, b"")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_what_has_come_before_the_signal_is_answered(run_daemon: Run, loop: str) -> None:
    """Requests that wait in the sockets when the signal comes; a stopped process lets them wait."""
    daemon = run_daemon(loop=loop)
    with (
        talk("udp", daemon.address()) as udp,
        talk("tcp", daemon.address("tcp")) as tcp,
    ):
        tcp.send(request())
        assert tcp.receive().status == 302
        daemon.send_signal(signal.SIGSTOP)
        with talk("tcp", daemon.address("tcp")) as just_connected:
            for client in (udp, tcp, just_connected):
                for _ in range(40):
                    client.send(request())
            daemon.send_signal(signal.SIGTERM)
            daemon.send_signal(signal.SIGCONT)
            for client in (udp, tcp, just_connected):
                for _ in range(40):
                    assert client.receive().status == 302
    assert daemon.process.wait(PATIENCE) == 0


def test_a_peer_that_does_not_read_does_not_hold_it_up(run_daemon: Run) -> None:
    daemon = run_daemon(limits={"write_timeout": 1.0}, log={"requests": False})
    with contextlib.closing(Tcp(daemon.address("tcp"), receive_buffer=4096)) as client:
        client.socket.settimeout(0.3)
        with pytest.raises((TimeoutError, ConnectionError)):
            client.send(request() * 500_000)  # more than all buffers between them hold
        assert daemon.stop() == 0


def test_several_signals_at_once(run_daemon: Run) -> None:
    daemon = run_daemon()
    daemon.send_signal(signal.SIGTERM)
    daemon.send_signal(signal.SIGTERM)
    daemon.send_signal(signal.SIGINT)
    assert daemon.process.wait(PATIENCE) == 0


@pytest.fixture(scope="module")
def first(run_shared_daemon: Run) -> Daemon:
    return run_shared_daemon()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_second_daemon_on_an_address(
    run_daemon: Run, first: Daemon, transport: str, host: str
) -> None:
    """It fails with a message that names the address, and the first goes on."""
    _, number = first.address(transport)
    url = f"{transport}://{host}:{number}"
    second = run_daemon(listen=["udp://127.0.0.1:0", url], wait=False)
    assert second.process.wait(PATIENCE) == os.EX_UNAVAILABLE
    last = second.log_text.splitlines()[-1]
    assert url in last
    assert "in use" in last
    assert not second.events("started")
    with talk(transport, first.address(transport)) as client:
        answer = ask(client, request())
    assert answer is not None
    assert answer.status == 302


def test_a_daemon_can_follow_another_at_once(run_daemon: Run) -> None:
    """Connections that are still closing don't keep the address."""
    urls = [f"{transport}://127.0.0.1:{free_port()}" for transport in ("udp", "tcp")]
    first = run_daemon(listen=urls)
    with talk("tcp", first.address("tcp")) as client:
        client.send(request())
        client.receive()
        assert first.stop() == 0
    second = run_daemon(listen=urls)
    assert second.listening == first.listening


def test_an_address_that_is_not_here(run_daemon: Run) -> None:
    daemon = run_daemon(listen=["udp://192.0.2.1:5060"], wait=False)
    assert daemon.process.wait(PATIENCE) == os.EX_UNAVAILABLE
    last = daemon.log_text.splitlines()[-1]
    assert "udp://192.0.2.1:5060" in last
    assert "no such address" in last


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root's rights")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv isn't installed")
def test_a_port_that_is_not_allowed(tmp_path: Path) -> None:
    """In a network namespace of its own, where the system's default for low ports holds."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare isn't installed")
    config = tmp_path / "low.yaml"
    config.write_text(yaml.safe_dump(configuration(listen=["tcp://127.0.0.1:80"])))
    done = subprocess.run(
        [
            *("unshare", "--net", "sh", "-c"),
            'ip link set lo up && exec setpriv --bounding-set=-all --inh-caps=-all "$@"',
            "sh",
            *command("run", "--config", config),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if "unshare failed" in done.stderr or "setpriv:" in done.stderr:
        pytest.skip(f"unshare isn't allowed here: {done.stderr.strip()}")
    assert done.returncode == os.EX_UNAVAILABLE, done.stderr
    assert "tcp://127.0.0.1:80" in done.stderr
    assert "CAP_NET_BIND_SERVICE" in done.stderr


def test_faults_of_a_configuration(tmp_path: Path) -> None:
    """All at once, each with file and line; nothing listens; status 78; no traceback."""
    config = tmp_path / "faulty.yaml"
    config.write_text(
        "listen: [udp://127.0.0.1:0]\n"
        "colour: blue\n"
        "endpoints:\n"
        "  - sip_address: sip:ocschat@contoso.com\n"
        "    pool_fqdn: pcpool.contoso.com\n"
        "    redirect_status: 303\n"
        "  - sip_address: sip:ocschat@contoso.com\n"
        "    pool_fqdn: pcpool.contoso.com\n"
    )
    done = run_command("run", "--config", config)
    assert done.returncode == os.EX_CONFIG
    told = done.stdout + done.stderr
    for line in (2, 6, 7):
        assert f"{config}:{line}:" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_configuration_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    done = run_command("run", "--config", tmp_path / name)
    assert done.returncode == os.EX_CONFIG
    assert str(tmp_path / name) in done.stderr
    assert "Traceback" not in done.stderr


def test_make_runs_configuration(run_daemon: Run, tmp_path: Path) -> None:
    """config/chatredirect.yaml as it is, but for the ports, which another test might have."""
    text = (ROOT / "config" / "chatredirect.yaml").read_text(encoding="utf-8")
    settings = yaml.safe_load(text)
    assert settings["listen"] == ["udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"]
    config = tmp_path / "chatredirect.yaml"
    config.write_text(text.replace(":5060", ":0"), encoding="utf-8")
    daemon = run_daemon(config, wait=False)
    eventually(lambda: "started" in daemon.log_text, "the start")
    listening = re.findall(r"(udp|tcp)://127\.0\.0\.1:(\d+)", daemon.log_text)
    assert [transport for transport, _ in listening] == ["udp", "tcp"]
    for transport, number in listening:
        with talk(transport, ("127.0.0.1", int(number))) as client:
            for name in ("persistentchat",):
                answer = ask(client, request(uri=f"sip:{name}@contoso.com"))
                assert answer is not None
                assert answer.status == 302
                assert answer["Contact"] == f"<sip:{name}@pcpool.contoso.com:5061;transport=tls>"
    assert daemon.stop() == 0


def test_a_hundred_thousand_endpoints(run_daemon: Run, tmp_path: Path) -> None:
    """20,000 of them, to be quick: the start works, and the last is found like the first."""
    many = 20_000
    config = tmp_path / "many.yaml"
    with config.open("w") as file:
        file.write(yaml.safe_dump(configuration(endpoints=None)) + "endpoints:\n")
        for i in range(many):
            file.write(
                f"- {{sip_address: sip:room{i}@contoso.com, pool_fqdn: pcpool.contoso.com}}\n"
            )
    daemon = run_daemon(config)
    started = daemon.event("started")
    assert started["endpoints"] == many
    assert len(str(started)) < 4096
    with talk("udp", daemon.address()) as client:
        for i in (0, 12_345, many - 1):
            answer = ask(client, request(uri=f"sip:room{i}@contoso.com"))
            assert answer is not None
            assert answer["Contact"].startswith(f"<sip:room{i}@pcpool.contoso.com")
        answer = ask(client, request(uri=f"sip:room{many}@contoso.com"))
        assert answer is not None
        assert answer.status == 404


def test_free_ports_are_what_started_tells(run_daemon: Run) -> None:
    daemon = run_daemon()
    for transport, host, number in daemon.listening:
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as taken, pytest.raises(OSError, match="in use"):
            taken.bind((host, number))
