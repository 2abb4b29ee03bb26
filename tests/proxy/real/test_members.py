"""Pool members that are killed and started again under load.

RFC 3263 §4.3 and RFC 3261 §16.7: a call that a dead member has not answered goes to another one, so
every INVITE is answered. A dialog whose member died is over, and its caller hears of that; all
other dialogs go on. Every call is accounted for by its Call-ID, here and in the members' notes.
"""

import asyncio
import contextlib
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.proxy.real.callers import Call, Line, call
from tests.proxy.real.dialog import POOL, hosts, proxied
from tests.service.daemon import Daemon, eventually
from tests.service.fixtures import Run
from tests.tls.authority import Authority, Leaf

MEMBERS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
PROGRAM = Path(__file__).with_name("member.py")
RATE = 60  # calls a second
HOLD = 0.3  # seconds that a call takes
SECONDS = 6


class Members:
    """The members as processes."""

    def __init__(self, folder: Path, files: tuple[str, ...]) -> None:
        self.port = free_port()
        self._folder = folder
        self._files = files
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for host in MEMBERS:
            self.start(host)

    def notes(self, host: str) -> list[str]:
        """What a member has written down."""
        file = self._folder / host
        return file.read_text().splitlines() if file.exists() else []

    def start(self, host: str) -> None:
        """Start one; it is there when this is over."""
        before = self.notes(host).count("ready")
        arguments = (PROGRAM, host, str(self.port), self._folder / host, *self._files)
        self._running[host] = subprocess.Popen([sys.executable, *map(str, arguments)])
        eventually(lambda: self.notes(host).count("ready") > before, f"{host} to listen")

    def kill(self, host: str) -> None:
        """End one without a word."""
        process = self._running.pop(host)
        process.kill()
        process.wait()

    def close(self) -> None:
        """End all."""
        for host in list(self._running):
            self.kill(host)


@contextlib.contextmanager
def members(folder: Path, *files: object) -> Iterator[Members]:
    made = Members(folder, tuple(map(str, files)))
    try:
        yield made
    finally:
        made.close()


async def load(line: Line, pool: Members) -> tuple[list[Call], list[tuple[str, float, float]]]:
    """Calls at a steady rate while two members, one after the other, die and come back.

    Returns:
        The calls, and who was dead from when to when.
    """
    loop = asyncio.get_running_loop()
    begun, calls, deaths = loop.time(), [], []

    async def trouble() -> None:
        for host in MEMBERS[:2]:
            await asyncio.sleep(1.2)
            died = loop.time()
            pool.kill(host)
            await asyncio.sleep(1.2)
            await asyncio.to_thread(pool.start, host)
            deaths.append((host, died, loop.time()))

    troubled = asyncio.create_task(trouble())
    for number in range(RATE * SECONDS):
        await asyncio.sleep(max(0.0, begun + number / RATE - loop.time()))
        calls.append(asyncio.create_task(call(line, f"c{number}", HOLD, "INFO")))
    await troubled
    return list(await asyncio.gather(*calls)), deaths


def account(calls: list[Call], pool: Members, deaths: list[tuple[str, float, float]]) -> None:
    """Where each call has been, and that none is lost which need not be."""
    answered = Counter(each.statuses["INVITE"] for each in calls)
    assert set(answered) == {200}, answered
    notes = {host: pool.notes(host) for host in MEMBERS}
    invited = {
        call_id: [host for host in MEMBERS if f"INVITE {call_id}" in notes[host]]
        for call_id in (each.call_id for each in calls)
    }
    assert all(invited.values())
    for made in calls:
        others = {made.statuses["INFO"], made.statuses["BYE"]}
        assert 0 not in others, f"{made}: no final response"
        met_a_death = any(
            host in invited[made.call_id] and made.began <= back and made.ended >= died
            for host, died, back in deaths
        )
        assert others == {200} or met_a_death, (made, invited[made.call_id])
    assert len({host for hosts in invited.values() for host in hosts}) == len(MEMBERS)
    lost = [made for made in calls if {made.statuses["INFO"], made.statuses["BYE"]} != {200}]
    assert len(lost) < len(calls) / 4


def pool_settings(pool: Members, transport: str, **keys: Any) -> dict[str, Any]:
    return {
        "endpoints": [proxied(pool.port, transport)],
        "dns": hosts(*MEMBERS),
        "proxy": {"attempt_timeout": 0.5, "target_penalty": 2.0},
        "log": {"requests": False},
    } | keys


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_killed_and_started_again(run_daemon: Run, tmp_path: Path, transport: str) -> None:
    with members(tmp_path) as pool:
        daemon = run_daemon(**pool_settings(pool, transport))
        line = await Line.open(transport, daemon.address(transport))
        calls, deaths = await load(line, pool)
        await line.close()
        account(calls, pool, deaths)
        failed(daemon, transport, pool.port)


async def test_over_mutual_tls(
    run_daemon: Run,
    tls: Callable[..., dict[str, Any]],
    authority: Authority,
    context: ssl.SSLContext,
    tmp_path: Path,
) -> None:
    """The front end and each member prove who they are, and so do we to both."""
    leaf: Leaf = authority.issue(POOL, file="member")
    with members(tmp_path, leaf.certificate, leaf.private_key, authority.file) as pool:
        listen = ["tls://127.0.0.1:0"]
        daemon = run_daemon(
            **pool_settings(pool, "tls", listen=listen, tls=tls(), trusted_peers=[])
        )
        line = await Line.open("tls", daemon.address("tls"), context)
        calls, deaths = await load(line, pool)
        await line.close()
        account(calls, pool, deaths)
        failed(daemon, "tls", pool.port)


def failed(daemon: Daemon, transport: str, port: int) -> None:
    """The log says who was dead."""
    dead = {each["target"] for each in daemon.events("target_failed")}
    assert {f"{transport}://{host}:{port}" for host in MEMBERS[:2]} <= dead
    assert f"{transport}://{MEMBERS[2]}:{port}" not in dead
