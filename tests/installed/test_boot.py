"""The service on a booted Debian, under a steady load, through all that happens to a service.

In a container, installed from its built wheel without a network, with systemd's sockets. Requests
come all the time, over UDP, TCP and TLS; the last test has each of them accounted for. The tests
run in their order.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.installed.clone import CLONE, clone_to, wheels_in
from tests.installed.container import booted
from tests.installed.loaded_service import (
    CONFIG,
    SETTINGS,
    LoadedService,
    configure,
    kernel_drops,
    under_load,
    wait_until,
    write_drop_in,
    write_settings,
)
from tests.tls.authority import Authority

# What is behind the proxy: it accepts a call for the same contact object.
BEHIND = """listen: ["tcp://127.0.0.1:5080"]
control: {socket: off}
endpoints:
  - {sip_address: "sip:proxied@contoso.com", pool_fqdn: pcpool.contoso.com, mode: lookup}
"""
PROBES = {
    "redirect": ("sip:ocschat@contoso.com", "sip:ocschat@pcpool.contoso.com"),
    "lookup": ("sip:lookup@contoso.com --lookup", "pcpool.contoso.com"),
    "proxy": ("sip:proxied@contoso.com", "200 OK"),
}
"""What `chatredirect probe` is asked in each mode, and what it must show."""
# A wrapper whose event loop can be brought to a halt from outside.
BLOCKER = """\
import signal, sys, time

def stuck_for_ever(number, frame):
    while True:
        time.sleep(60)

signal.signal(signal.SIGUSR2, stuck_for_ever)
from chatredirect.cli import main
main()
"""


def test_drops_are_read() -> None:
    """The kernel's table, as proc(5) has it: the last column, of our port."""
    table = (
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid"
        "  timeout inode ref pointer drops\n"
        "  812: 00000000:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0"
        "        0 8841 2 0000000000000000 17\n"
        "  813: 0100007F:13C5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0"
        "        0 8842 2 0000000000000000 4\n"
    )
    assert kernel_drops(table) == 17


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedService]:
    """The service, installed and started, and a load on it."""
    folder = tmp_path_factory.mktemp("boot")
    authority = Authority(folder / "ca")
    with booted(folder / "root") as container:
        clone_to(container)
        wheels_in(container)
        container.check("make install", cwd=CLONE, WHEELS="/opt/wheels")
        configure(container, authority)
        container.check("systemctl enable chatredirect.socket chatredirect")
        container.check("systemctl start chatredirect")
        (container.root / "opt/behind.yaml").write_text(BEHIND)
        behind = "/opt/chatredirect/bin/chatredirect run --config /opt/behind.yaml"
        container.check(f"systemd-run --unit=behind --service-type=notify {behind}")
        with under_load(container, authority) as loaded:
            yield loaded


@pytest.fixture(autouse=True)
def load_goes_on(request: pytest.FixtureRequest) -> None:
    """None of it means anything without the load."""
    if "site" in request.fixturenames:
        assert request.getfixturevalue("site").load.poll() is None


@pytest.mark.parametrize("mode", PROBES)
def test_every_mode_in_the_sandbox(site: LoadedService, mode: str) -> None:
    """A client is served in each mode by what runs in the sandbox on systemd's sockets."""
    asked, shown = PROBES[mode]
    for via in ("udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"):
        assert shown in site.container.check(f"chatredirect probe {asked} --via {via}")


def test_systemd_knows_how_it_is(site: LoadedService) -> None:
    """A status line, and the sockets are systemd's."""
    assert re.match(r"serving 3 endpoints, \d+ answers", site.show("StatusText"))
    assert site.show("NotifyAccess") == "main"
    listening = site.container.check("ss -Hlnptu sport = :5060 or sport = :443")
    assert len(listening.splitlines()) == 3
    assert all('"systemd",pid=1' in line for line in listening.splitlines())


def test_the_journal_has_fields(site: LoadedService) -> None:
    """A Call-ID finds its request in the journal, with a priority and fields of its own."""
    entries: list[dict[str, str]] = []

    def found() -> bool:
        lines = site.journal("-o json", "CALL_ID=udp-1@load").splitlines()
        entries[:] = [json.loads(line) for line in lines]
        return bool(entries)

    wait_until(found, "the request in the journal")
    assert len(entries) == 1
    assert entries[0]["PRIORITY"] == "6"
    assert entries[0]["EVENT"] == "request"
    assert entries[0]["SYSLOG_IDENTIFIER"] == "chatredirect"
    assert entries[0]["_SYSTEMD_UNIT"] == "chatredirect.service"


def test_reload(site: LoadedService) -> None:
    """A changed file is in force when `systemctl reload` returns, in the same process."""
    before = site.show("MainPID")
    new = '  - {sip_address: "sip:new@contoso.com", pool_fqdn: pcpool.contoso.com}\n'
    write_settings(site, SETTINGS + new)
    assert site.reload()
    site.container.check("chatredirect probe sip:new@contoso.com --via tcp://127.0.0.1:5060")
    assert site.show("MainPID") == before
    assert re.search(r"reloaded at \d\d:\d\d:\d\d", site.show("StatusText"))


def test_a_faulty_reload_is_refused(site: LoadedService) -> None:
    """`systemctl reload` fails, tells where the fault is, and nothing changes."""
    before = site.show("MainPID")
    write_settings(site, SETTINGS + "listen_to: everything\n")
    assert not site.reload()
    assert "listen_to" in site.journal("-n 1000", "-p err")
    assert site.show("ActiveState") == "active"
    assert site.show("MainPID") == before
    assert "refused" in site.show("StatusText")


def test_hang_up(site: LoadedService) -> None:
    """SIGHUP does the same, also if all processes get it; the status line has the verdict."""
    write_settings(site, SETTINGS)
    site.container.check("systemctl kill --signal=HUP chatredirect")
    wait_until(lambda: "; reloaded at" in site.show("StatusText"), "verdict")
    wait_until(lambda: site.show("SubState") == "running", "end of the reload")


def test_sockets_and_entries_must_agree(site: LoadedService) -> None:
    """An entry without a socket is refused at a reload, and told with its remedy."""
    write_settings(site, SETTINGS.replace('"udp://', '"udp://127.0.0.1:5070", "udp://', 1))
    assert not site.reload()
    assert "add ListenDatagram=127.0.0.1:5070 to the unit" in site.journal("-n 1000", "-p err")
    write_settings(site, SETTINGS)
    assert site.reload()


def test_the_journal_stalls(site: LoadedService) -> None:
    """Nobody waits for a journal that doesn't read; when it does again, it gets what it can."""
    before = site.show("MainPID")
    journald = site.show("MainPID", "systemd-journald")
    site.container.check(f"kill -STOP {journald}")
    try:
        for _ in range(6):  # longer than the watchdog waits
            time.sleep(0.5)
            assert site.answers()
    finally:
        site.container.check(f"kill -CONT {journald}")
    assert site.show("MainPID") == before
    assert site.show("SubState") == "running"
    wait_until(lambda: "request" in site.journal("--since -1s", "-o cat"), "lines in the journal")


def test_killed(site: LoadedService) -> None:
    """SIGKILL: another process serves."""
    before = site.show("MainPID")
    site.container.check("systemctl kill --signal=KILL chatredirect")
    site.wait_for_another(before)


def test_stopped(site: LoadedService) -> None:
    """SIGSTOP: the watchdog notices that nothing happens any more, and another process serves."""
    before = site.show("MainPID")
    site.container.check("systemctl kill --signal=STOP chatredirect")
    site.wait_for_another(before)
    assert "Watchdog timeout" in site.journal("-n 5000 -g Watchdog")


def test_loop_blocked(site: LoadedService) -> None:
    """A stuck event loop: the watchdog ends it, and the journal has where it was stuck."""
    container = site.container
    (container.root / "opt/blocker.py").write_text(BLOCKER)
    run = f"/opt/chatredirect/bin/python /opt/blocker.py run --config {CONFIG}"
    write_drop_in(container, f"[Service]\nWatchdogSec=2\nExecStart=\nExecStart={run}\n")
    site.restart_on_purpose("systemctl restart chatredirect")
    before = site.show("MainPID")
    container.check("systemctl kill --signal=USR2 --kill-who=main chatredirect")
    write_drop_in(container, "[Service]\nWatchdogSec=2\n")
    site.wait_for_another(before)
    said = site.journal(f"_PID={before}", "_TRANSPORT=stdout", "-o cat")
    assert "Fatal Python error: Aborted" in said
    assert re.search(r'File "/opt/blocker.py", line \d+ in stuck_for_ever', said)
    assert re.search(r'File "/opt/chatredirect/.*/commands/run_command.py", line \d+ in run', said)


def test_upgrade(site: LoadedService) -> None:
    """Another build takes over; the sockets stay, and what has been read is answered first."""
    container = site.container
    sockets = container.check("ss -Hlntue sport = :5060 or sport = :443 | grep -o 'ino:[0-9]*'")
    version = container.root / CLONE.lstrip("/") / "chatredirect/__init__.py"
    version.write_text(re.sub(r'(__version__ = "[^"]*)"', r'\1+second"', version.read_text()))
    container.check("make install", cwd=CLONE, WHEELS="/opt/wheels")
    site.restart_on_purpose("systemctl restart chatredirect")
    assert site.answers()
    assert '+second"' in site.journal("-o json", "EVENT=started", "-n 1")
    after = container.check("ss -Hlntue sport = :5060 or sport = :443 | grep -o 'ino:[0-9]*'")
    assert sorted(after.split()) == sorted(sockets.split())


def test_faulty_and_mended(site: LoadedService) -> None:
    """A faulty file: exit status 78, no restart, whatever comes in. A plain start when mended."""
    write_settings(site, SETTINGS + "listen_to: everything\n")
    began = time.monotonic()
    assert site.container.run("systemctl restart chatredirect").returncode != 0
    site.planned.append((began, time.monotonic()))
    time.sleep(2)  # under load: had it been started again, it would have failed again
    assert site.show("ExecMainStatus") == "78"
    assert site.show("ActiveState") == "failed"
    assert site.show("NRestarts") == "0"
    ends = site.journal("-o cat", "-n 5000", "-g", "'Main process exited.*status=78'").strip()
    assert len(ends.splitlines()) == 1
    assert site.show("ActiveState", "chatredirect.socket") == "active"
    write_settings(site, SETTINGS)
    site.container.check("systemctl start chatredirect")
    assert site.answers()


def test_each_request_is_accounted_for(
    site: LoadedService, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every transaction was answered within 32 s, nothing was dropped, nobody was turned away."""
    account = site.settle()
    seconds = account["ended"] - account["began"]
    total = sum(account["sent"].values())
    with capsys.disabled():
        print(
            f"\n{total} requests in {seconds:.0f} s ({total / seconds:.0f}/s: {account['sent']}), "
            f"{account['retransmitted']} retransmitted, {account['repeated']} repeated, "
            f"{len(account['closings'])} connections ended by the server, slowest answer "
            f"{max((took for _, took in account['late']), default=0):.1f} s"
        )
    assert site.drops() == 0
    assert len(account["closings"]) > 0
    disturbed = [
        closing
        for closing in account["closings"]
        if any(began <= closing["at"] <= ended for began, ended in site.quiet)
    ]
    assert disturbed == [], "closed by a reload"
    planned = [
        closing
        for closing in account["closings"]
        if any(began <= closing["at"] <= ended for began, ended in site.planned)
    ]
    assert planned
    assert [closing for closing in planned if not closing["clean"]] == [], "reset, not closed"
    # What is read is answered, and logged, at once. So what was repeated on another connection, and
    # is there twice, had been read, and its answer never arrived.
    left = {call_id for closing in planned for call_id in closing["unanswered"]}
    lines = site.journal("EVENT=request", "-o json", "--output-fields=CALL_ID").splitlines()
    read = Counter(json.loads(line)["CALL_ID"] for line in lines)
    assert sum(read.values()) > total / 2
    assert [call_id for call_id in left if read[call_id] > 1] == []
