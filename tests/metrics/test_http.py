"""HTTP beside SIP: three pages, and limits that hold against whoever asks badly."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from chatredirect.config import HostPort
from chatredirect.http.http_server import CONNECTIONS, HttpBounds
from chatredirect.http.listener import HttpListener
from chatredirect.http.pages import HttpCounters, Page
from chatredirect.http.plain_pages import plain_application
from chatredirect.transport.binding import BindError

BIG = b"x" * 30_000_000


async def fine() -> Page:
    return Page.text(200, "fine")


async def big() -> Page:
    return Page(200, BIG)


async def faulty() -> Page:
    raise RuntimeError("a fault of ours")


PLAIN = HttpBounds()
PAGES = {"/fine": fine, "/big": big, "/faulty": faulty}


def listener_of(bounds: HttpBounds = PLAIN) -> HttpListener:
    loop = asyncio.get_running_loop()
    return HttpListener(lambda: (plain_application(PAGES), bounds), HttpCounters(), loop)


@asynccontextmanager
async def listening(bounds: HttpBounds = PLAIN) -> AsyncIterator[tuple[HttpListener, int]]:
    """A listener and its port."""
    listener = listener_of(bounds)
    plan = listener.plan(HostPort("127.0.0.1", 0))
    assert plan.fresh is not None
    port = plan.fresh.getsockname()[1]
    await listener.carry_out(plan)
    yield listener, port
    await listener.close()


async def said(port: int, sent: bytes, *, end: bool = False) -> bytes:
    """All that comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        if end:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def fetched(port: int, target: str, method: str = "GET") -> tuple[str, bytes]:
    """Status line and body."""
    answer = await said(port, f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().split("\r\n")[0], body


async def test_a_page_and_nothing_else() -> None:
    async with listening() as (listener, port):
        assert await fetched(port, "/fine") == ("HTTP/1.1 200 OK", b"fine\n")
        assert await fetched(port, "/fine?x=1") == ("HTTP/1.1 200 OK", b"fine\n")
        assert await fetched(port, "/fine", "HEAD") == ("HTTP/1.1 200 OK", b"")
        status, body = await fetched(port, "/other/../fine2")
        assert status == "HTTP/1.1 404 Not Found"
        assert body == b"not found; there is /fine, /big, /faulty\n"
        assert listener.counters.requests[("other", 404)] == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
async def test_other_methods(method: str) -> None:
    async with listening() as (_, port):
        answer = await said(port, f"{method} /fine HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nAllow: GET, HEAD\r\n" in answer


async def test_one_request_a_connection() -> None:
    async with listening() as (_, port):
        ask = b"GET /fine HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = await said(port, ask + ask)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in answer


async def test_no_versions_are_told() -> None:
    async with listening() as (_, port):
        answer = await said(port, b"GET /fine HTTP/1.0\r\n\r\n")
        assert b"\r\nServer: chatredirect\r\n" in answer
        assert b"aiohttp" not in answer


async def test_who_says_no_more_still_gets_the_answer() -> None:
    async with listening() as (_, port):
        answer = await said(port, b"GET /fine HTTP/1.0\r\n\r\n", end=True)
        assert answer.endswith(b"fine\n")


async def test_who_hangs_up_in_the_middle_takes_no_place() -> None:
    """At once, not when its time is over."""
    async with listening() as (_, port):
        for _ in range(3 * CONNECTIONS):
            assert await said(port, b"GET /fine HTTP/1.1\r\nHost: a\r\n", end=True) == b""
        for part in (b"GET /fine HTTP/1.0\r\n\r", b"GET /fine HTTP/1.0"):
            assert await said(port, part, end=True) == b""
        assert await fetched(port, "/fine") == ("HTTP/1.1 200 OK", b"fine\n")


async def test_a_request_in_pieces() -> None:
    async with listening() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for octet in b"GET /fine HTTP/1.0\r\n\r\n":
            writer.write(bytes((octet,)))
            await asyncio.sleep(0.001)
        writer.write_eof()
        assert (await reader.read()).endswith(b"fine\n")
        writer.close()


async def test_a_fault_of_ours_is_told_in_the_log_alone() -> None:
    async with listening() as (listener, port):
        status, body = await fetched(port, "/faulty")
        assert status == "HTTP/1.1 500 Internal Server Error"
        assert b"RuntimeError" not in body
        assert await fetched(port, "/fine") == ("HTTP/1.1 200 OK", b"fine\n")
        assert listener.counters.requests[("/faulty", 500)] == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300,
        b"INVITE sip:ocschat@contoso.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1\r\n\r\n",
        b"\r\n\r\n\x00\xff\xfe\r\n\r\n",
        b"GET /fine HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /fine HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET " + b"/" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /fine HTTP/1.1\r\nX: " + b"y" * 10_000 + b"\r\n\r\n",
        b"GET /fine HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    ],
    ids=["tls", "sip", "octets", "version", "lengths", "line", "field", "fields"],
)
async def test_garbage_is_refused(garbage: bytes) -> None:
    """It gets no page and learns no version, and whoever comes next is served."""
    async with listening() as (listener, port):
        answer = await said(port, garbage, end=True)
        assert b"200 OK" not in answer
        assert b"aiohttp" not in answer
        assert b"Python" not in answer
        if answer:
            assert answer.startswith(b"HTTP/1.0 400 ")
            assert listener.counters.requests == {("other", 400): 1}
        assert await fetched(port, "/fine") == ("HTTP/1.1 200 OK", b"fine\n")


async def test_a_body_is_not_waited_for() -> None:
    async with listening() as (_, port):
        head = b"POST /fine HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
        assert (await said(port, head)).startswith(b"HTTP/1.1 405 ")


async def test_who_is_slow_is_cut_off() -> None:
    """Neither half a request nor an answer that isn't read keeps a connection."""
    async with listening(HttpBounds(seconds=0.5)) as (listener, port):
        assert await said(port, b"") == b""
        assert await said(port, b"GET /fine HT") == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(1)
        received = 0
        with suppress(ConnectionError):
            while some := await reader.read(65536):
                received += len(some)
        assert received < len(BIG)
        assert listener.counters.slow == 3
        writer.close()


async def test_one_more_than_there_may_be_is_turned_away() -> None:
    async with listening(HttpBounds(seconds=2.0)) as (listener, port):
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
        assert await said(port, b"GET /fine HTTP/1.0\r\n\r\n") == b""
        assert listener.counters.busy == 1
        for _, writer in waiting:
            writer.close()
        for _ in range(100):  # their places are free again
            answer = await said(port, b"GET /fine HTTP/1.0\r\n\r\n")
            if answer:
                break
            await asyncio.sleep(0.02)
        assert answer.endswith(b"fine\n")


async def test_a_port_that_is_taken() -> None:
    """The sentence names the key that is to be changed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = listener_of()
        with pytest.raises(BindError) as raised:
            listener.plan(HostPort("127.0.0.1", taken.getsockname()[1]))
        assert "change `http.listen`" in str(raised.value)


async def test_elsewhere_and_nowhere() -> None:
    async with listening() as (listener, port):
        assert listener.plan(HostPort("127.0.0.1", 0)).fresh is None, "the same stays as it is"
        plan = listener.plan(HostPort("127.0.0.2", port))
        await listener.carry_out(plan)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)
        await listener.carry_out(listener.plan(None))
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.2", port)


async def test_a_plan_that_is_given_up_leaves_nothing() -> None:
    listener = listener_of()
    plan = listener.plan(HostPort("127.0.0.1", 0))
    assert plan.fresh is not None
    port = plan.fresh.getsockname()[1]
    plan.give_up()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)


def test_it_costs_nothing_while_it_is_off() -> None:
    """None of these libraries is imported by a daemon without metrics and page."""
    code = (
        "import sys, chatredirect.daemon.main\n"
        "slow = ('aiohttp', 'jinja2', 'prometheus_client', 'sqlalchemy')\n"
        "print([name for name in slow if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
