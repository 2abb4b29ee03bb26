"""The daemon's side: whatever a client does, it is answered or counted, and the next is served."""

import asyncio
import json
import os
import resource
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chatredirect.control.client import ControlError, ask
from chatredirect.control.control_server import ControlServer
from chatredirect.control.conversation import Bounds, Conversation
from chatredirect.control.protocol import ControlRefusal, ConversationGone, Json
from tests.service.daemon import eventually
from tests.service.fixtures import Run, run_daemon

__all__ = ["run_daemon"]

PATIENCE = 20.0
DEFAULT = Bounds()


async def echo(request: Mapping[str, Json], _: Conversation) -> Mapping[str, Json]:
    return {"said": request.get("say")}


async def refuse(_: Mapping[str, Json], __: Conversation) -> Mapping[str, Json]:
    raise ControlRefusal("no", status=78, faults=[{"message": "why"}])


async def break_down(_: Mapping[str, Json], __: Conversation) -> Mapping[str, Json]:
    raise ZeroDivisionError


async def count(request: Mapping[str, Json], conversation: Conversation) -> Mapping[str, Json]:
    number = request["to"]
    assert isinstance(number, int)
    for i in range(number):
        await conversation.event({"number": i, "padding": "x" * 1000})
    return {}


class Waiting:
    """A command that takes its time, and sees its client go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.gone = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(
        self, _: Mapping[str, Json], conversation: Conversation
    ) -> Mapping[str, Json]:
        self.begun.set()
        watching = asyncio.create_task(self._watch(conversation))
        await self.may_end.wait()
        watching.cancel()
        return {}

    async def _watch(self, conversation: Conversation) -> None:
        await conversation.closed.wait()
        self.gone.set()


@asynccontextmanager
async def served(
    folder: Path, bounds: Bounds = DEFAULT, **more: Any
) -> AsyncIterator[ControlServer]:
    commands = {"echo": echo, "refuse": refuse, "break": break_down, "count": count} | more
    server = ControlServer(commands, bounds=bounds)
    await server.open(str(folder / "control"))
    try:
        async with asyncio.timeout(PATIENCE):
            yield server
    finally:
        await server.close()


async def asked(server: ControlServer, command: str, **arguments: Json) -> Mapping[str, Json]:
    assert server.path is not None
    return await asyncio.to_thread(ask, server.path, command, arguments, timeout=PATIENCE)


async def raw(server: ControlServer, data: bytes, *, end: bool = False) -> dict[str, Any]:
    """Send octets; the last line that comes back."""
    assert server.path is not None
    reader, writer = await asyncio.open_unix_connection(server.path, limit=2**20)
    writer.write(data)
    if end:
        writer.write_eof()
    lines = (await reader.read()).splitlines()
    writer.close()
    return json.loads(lines[-1]) if lines else {}


async def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # a test may look
        await asyncio.sleep(0.01)


async def test_a_command_and_its_answer(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        assert await asked(server, "echo", say="hear") == {"said": "hear"}
        assert server.counters.requests == {"echo": 1}


async def test_events_come_before_the_answer(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        seen: list[Json] = []
        path = server.path
        assert path is not None
        await asyncio.to_thread(
            lambda: ask(path, "count", {"to": 3}, on_event=lambda e: seen.append(e["number"]))
        )
        assert seen == [0, 1, 2]


async def test_a_no_is_told_with_its_status_and_faults(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        with pytest.raises(ControlError, match=r"^no$") as raised:
            await asked(server, "refuse")
        assert raised.value.status == 78
        assert raised.value.faults == [{"message": "why"}]
        assert server.counters.refused == 1


async def test_a_fault_of_ours_takes_nothing_else_away(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        with pytest.raises(ControlError, match="its log says more") as raised:
            await asked(server, "break")
        assert raised.value.status == 70
        assert server.counters.failed == 1
        assert await asked(server, "echo")


@pytest.mark.parametrize(
    "garbage",
    [
        *(b"\n", b"reload\n", b"[]\n", b"{\n", b"\xff\xfe\n", b"[" * 60_000 + b"\n"),
        *(b"x" * 70_000 + b"\n", b"GET / HTTP/1.1\r\n\r\n", b"{}"),
    ],
)
async def test_garbage(tmp_path: Path, garbage: bytes) -> None:
    """Answered, counted, and the next client is served."""
    async with served(tmp_path) as server:
        answer = await raw(server, garbage, end=True)
        assert answer["ok"] is False
        assert answer["status"] == 76
        assert server.counters.garbage + server.counters.unknown == 1
        assert await asked(server, "echo", say=1) == {"said": 1}


@pytest.mark.parametrize("name", [b'"nothing"', b"7", b"null", b"[]", b"{}"])
async def test_a_command_that_there_is_not(tmp_path: Path, name: bytes) -> None:
    async with served(tmp_path) as server:
        answer = await raw(server, b'{"command": ' + name + b"}\n")
        assert "there is no such command" in answer["error"]
        assert "echo" in answer["error"]
        assert server.counters.unknown == 1
        assert not server.counters.requests


async def test_who_says_nothing_and_goes(tmp_path: Path) -> None:
    """As a connect test does."""
    async with served(tmp_path) as server:
        assert await raw(server, b"", end=True) == {}
        assert server.counters.garbage == 0


async def test_a_request_that_does_not_arrive(tmp_path: Path) -> None:
    async with served(tmp_path, Bounds(request_seconds=0.2)) as server:
        answer = await raw(server, b'{"command"')
        assert "no request came within 0.2 s" in answer["error"]
        assert server.counters.slow == 1


async def test_one_client_too_many(tmp_path: Path) -> None:
    """Is told so, and those before it aren't disturbed."""
    waiting = Waiting()
    async with served(tmp_path, Bounds(connections=3), wait=waiting) as server:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(asked(server, "wait"))
            await wait_until(lambda: server.counters.requests.get("wait") == 3)
            with pytest.raises(ControlError, match="too many commands") as raised:
                await asked(server, "echo")
            assert raised.value.status == 75
            waiting.may_end.set()
        assert server.counters.busy == 1
        assert await asked(server, "echo")


async def test_a_client_that_does_not_read(tmp_path: Path) -> None:
    """It is waited for within bounds, and then dropped; its command is told."""
    bounds = Bounds(unread=4096, unread_seconds=0.3)
    async with served(tmp_path, bounds) as server:
        assert server.path is not None
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            client.connect(server.path)
            client.send(b'{"command": "count", "to": 1000000}\n')
            await wait_until(lambda: server.counters.unread == 1)
        assert await asked(server, "echo")


async def test_a_client_that_goes_is_noticed(tmp_path: Path) -> None:
    """By its command, which may go on or not."""
    waiting = Waiting()
    async with served(tmp_path, wait=waiting) as server:
        assert server.path is not None
        _, writer = await asyncio.open_unix_connection(server.path)
        writer.write(b'{"command": "wait"}\n')
        await waiting.begun.wait()
        writer.close()
        await waiting.gone.wait()
        waiting.may_end.set()


async def test_events_for_one_that_is_gone(tmp_path: Path) -> None:
    """Raise `ConversationGone`, so that a command ends that has nobody to talk to."""
    ended = asyncio.Event()

    async def talk(_: Mapping[str, Json], conversation: Conversation) -> Mapping[str, Json]:
        try:
            while True:
                await conversation.event({})
                await asyncio.sleep(0)
        except ConversationGone:
            ended.set()
            raise

    async with served(tmp_path, talk=talk) as server:
        assert server.path is not None
        _, writer = await asyncio.open_unix_connection(server.path)
        writer.write(b'{"command": "talk"}\n')
        await asyncio.sleep(0.05)
        writer.close()
        await ended.wait()


async def test_the_end_of_the_daemon_is_told(tmp_path: Path) -> None:
    waiting = Waiting()
    async with served(tmp_path, wait=waiting) as server:
        asking = asyncio.create_task(asked(server, "wait"))
        await waiting.begun.wait()
        await server.close()
        with pytest.raises(ControlError, match="the daemon is stopping"):
            await asking
        assert not os.listdir(tmp_path)


async def test_who_asked_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SO_PEERCRED: process, user and group."""
    logged: dict[str, object] = {}
    log = SimpleNamespace(info=lambda event, **fields: logged.update(fields, event=event))
    monkeypatch.setattr("chatredirect.control.control_server.log", log)
    async with served(tmp_path) as server:
        await asked(server, "echo")
    assert (logged["event"], logged["command"]) == ("control_request", "echo")
    assert (logged["pid"], logged["uid"], logged["gid"]) == (
        os.getpid(),
        os.geteuid(),
        os.getegid(),
    )


def test_no_file_descriptor_left(run_daemon: Run, tmp_path: Path) -> None:
    """Who asks then is told so, and not that the daemon isn't running; later all is well again."""
    path = str(tmp_path / "control")
    daemon = run_daemon(control={"socket": path})
    assert ask(path, "status")
    limit = len(os.listdir(f"/proc/{daemon.process.pid}/fd")) + 10
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (limit, limit))

    def refusal() -> str:
        try:
            ask(path, "status")
        except ControlError as error:
            return str(error)
        return ""

    clients = [socket.create_connection(daemon.address("tcp")) for _ in range(30)]
    try:
        daemon.event("no_file_descriptors")
        # what was open for a moment (the ledger, DNS) may have left one, until a client has it
        told = eventually(refusal, "the refusal")
        assert "no file descriptor left: raise LimitNOFILE" in told
    finally:
        for client in clients:
            client.close()
    eventually(lambda: not refusal(), "the control socket to answer again")
