"""A pool member that misbehaves on its connection: the call goes to the other one, every time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.proxy.real.callers import Line, call
from tests.proxy.real.dialog import hosts, proxied
from tests.proxy.real.member import Member
from tests.service.fixtures import Run

BAD, GOOD = "127.0.0.2", "127.0.0.3"
HEAD = b"\r\n\r\n"
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """At once."""


async def closes_on_a_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Whatever it is."""
    await reader.readuntil(HEAD)


async def says_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What no framing can be found in."""
    await reader.readuntil(HEAD)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>")
    await reader.read()


async def stops_in_a_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """And closes."""
    head = await reader.readuntil(HEAD)
    via = next(line for line in head.split(b"\r\n") if line.startswith(b"Via:"))
    writer.write(b"SIP/2.0 200 OK\r\n" + via + b"\r\nContent-Length: 500\r\n\r\nv=0")
    await writer.drain()


async def answers_to_nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Well-formed responses that match no transaction, and nothing else."""
    await reader.readuntil(HEAD)
    for number in range(1000):
        writer.write(
            b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKno%d\r\n"
            b"Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
            b"To: <sip:b@c>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            % number
        )
    await reader.read()


async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything and says nothing."""
    await reader.read()


async def is_overloaded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """503 to everything (RFC 3261 §21.5.4): another one may take it."""
    while True:
        head = await reader.readuntil(HEAD)
        if head.startswith(b"ACK "):
            continue
        lines = [
            line
            for line in head.split(b"\r\n")
            if line.partition(b":")[0] in (b"Via", b"From", b"Call-ID", b"CSeq", b"To")
        ]
        fields = b"\r\n".join(lines)
        writer.write(b"SIP/2.0 503 Busy\r\n%b;tag=9\r\nContent-Length: 0\r\n\r\n" % fields)


@contextlib.asynccontextmanager
async def pool(folder: Path, behave: Behaviour) -> AsyncIterator[int]:
    """One member of each kind on a port of its address."""
    port = free_port()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await behave(reader, writer)
        writer.close()

    member = Member(GOOD, port, str(folder / "notes"), "tcp")
    servers = [
        await asyncio.start_server(serve, BAD, port),
        await asyncio.start_server(member.serve, GOOD, port),
    ]
    try:
        yield port
    finally:
        for server in servers:
            server.close()


@pytest.mark.parametrize(
    "behave",
    [
        closes,
        closes_on_a_request,
        says_garbage,
        stops_in_a_message,
        answers_to_nobody,
        is_silent,
        is_overloaded,
    ],
)
async def test_the_other_one_takes_the_call(
    run_daemon: Run, tmp_path: Path, behave: Behaviour
) -> None:
    """Twenty callers, so that for some the bad one comes first; none notices more than a delay."""
    async with pool(tmp_path, behave) as port:
        daemon = run_daemon(
            endpoints=[proxied(port)],
            dns=hosts(BAD, GOOD),
            proxy={"attempt_timeout": 0.3, "target_penalty": 0.5},
        )
        line = await Line.open("tcp", daemon.address("tcp"))
        calls = await asyncio.gather(*(call(line, f"user{n}", 0.0, "INFO") for n in range(20)))
        await line.close()
    assert {status for each in calls for status in each.statuses.values()} == {200}
    failed = daemon.events("target_failed")
    assert {each["target"] for each in failed} == {f"tcp://{BAD}:{port}"}


async def test_the_log_says_why(run_daemon: Run) -> None:
    """An answer's reason has one name in the log, whatever the mode: `why`, and no `fault`."""
    daemon = run_daemon(endpoints=[proxied(free_port())], dns=hosts(BAD))
    line = await Line.open("tcp", daemon.address("tcp"))
    made = await call(line, "alice", 0.0)
    await line.close()
    request = daemon.event("request", call_id="alice")
    assert request["status"] == made.statuses["INVITE"]
    assert "refused" in request["why"]
    assert "fault" not in request


async def test_a_caller_that_sends_no_more_gets_its_answer(run_daemon: Run) -> None:
    """docs/answers.md, "Streams": shutdown(SHUT_WR) after a request; then the connection ends."""
    asked = asyncio.Event()

    async def answers_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(HEAD)).split(b"\r\n")
        await asked.wait()
        copied = [
            line for line in request if line.startswith((b"Via", b"From", b"To", b"Call", b"CSeq"))
        ]
        fields = [b"SIP/2.0 200 OK", *copied, b"Content-Length: 0"]
        writer.write(b"\r\n".join(fields) + HEAD)
        await reader.read()

    # Not "async with": since Python 3.12 that waits for each connection; the daemon keeps this one.
    with contextlib.closing(await asyncio.start_server(answers_later, BAD, 0)) as served:
        port = served.sockets[0].getsockname()[1]
        daemon = run_daemon(endpoints=[proxied(port)], dns=hosts(BAD))
        reader, writer = await asyncio.open_connection(*daemon.address("tcp"))
        writer.write(
            b"MESSAGE sip:ocschat@contoso.com SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKh"
            b"\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:ocschat@contoso.com>\r\n"
            b"Call-ID: half\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
        )
        writer.write_eof()
        await asyncio.sleep(0.3)
        asked.set()
        async with asyncio.timeout(20):
            answer = await reader.read()  # all, until it is closed
        writer.close()
    assert answer.startswith(b"SIP/2.0 200 OK\r\n"), answer
