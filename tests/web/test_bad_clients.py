"""Clients that ask badly: refused or dropped, and SIP is answered meanwhile."""

import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from threading import Event, Thread

import pytest

from chatredirect.http.http_server import LINE
from chatredirect.trace.traces import MAX_TRACES
from chatredirect.web.application import CONNECTIONS, OCTETS, SECONDS
from chatredirect.web.event_stream import STREAMS
from tests.service import client as sip
from tests.service.client import request, talk
from tests.service.daemon import eventually
from tests.web.site import Site, events


@contextmanager
def calls_beside(site: Site) -> Iterator[None]:
    """Make calls one after the other meanwhile; each is redirected."""
    over, answers = Event(), Counter[int]()

    def call() -> None:
        number = 0
        with talk("udp", site.daemon.address()) as client:
            while not over.is_set() or not answers:
                number += 1
                data = request(call_id=f"beside-{number}")
                for _ in range(5):  # a datagram may be lost on a busy machine
                    answer = sip.ask(client, data)
                    if answer is not None:
                        break
                answers[0 if answer is None else answer.status] += 1
                time.sleep(0.01)

    thread = Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert set(answers) == {302}


def closed(sock: socket.socket) -> bool:
    """Whether the server has closed a connection, within the time that it may last."""
    sock.settimeout(2 * SECONDS)
    with suppress(ConnectionError):
        while sock.recv(65536):
            pass
    return True


def test_slow_and_half_open_clients_are_cut_off(site: Site) -> None:
    """A head that never ends, one octet at a time, a connection that says nothing, half a form."""
    starts = (
        b"",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        site.head("/api/v1/status")[:-2],
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken=",
    )
    with calls_beside(site), ExitStack() as stack:
        socks = [stack.enter_context(site.connect()) for _ in starts]
        for sock, start in zip(socks, starts, strict=True):
            sock.sendall(start)
        dripping = stack.enter_context(site.connect())
        end = time.monotonic() + 3 * SECONDS
        with suppress(ConnectionError):
            while time.monotonic() < end:
                dripping.sendall(b"X")
                time.sleep(0.05)
        assert time.monotonic() < end, "it was never cut off"
        assert all(closed(sock) for sock in socks)
    assert site.ask("/api/v1/status").status == 200


def test_a_client_that_vanishes_in_the_middle(site: Site) -> None:
    """A reset, before and after the request; a close of the sending side alone."""
    linger = struct.pack("ii", 1, 0)
    with calls_beside(site):
        for data in (b"", b"GET / HT", site.head("/"), site.head("/api/v1/live")):
            for _ in range(20):
                with site.connect() as sock:
                    sock.sendall(data)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with site.connect() as sock:
            sock.sendall(site.head("/api/v1/pools"))
            sock.shutdown(socket.SHUT_WR)
            assert events(sock).status == 200
    eventually(lambda: live(site), "the streams' places to be free again")


def live(site: Site) -> bool:
    """Whether there is a place for another stream of values."""
    with suppress(OSError, IndexError), site.connect() as sock:
        sock.sendall(site.head("/api/v1/live"))
        return events(sock).status == 200
    return False


def test_a_thousand_event_streams(site: Site) -> None:
    """As many as there may be are served; the others are told why not, or aren't let in."""
    head, found = site.head("/api/v1/live"), Counter[str]()
    with calls_beside(site), ExitStack() as stack, ThreadPoolExecutor(50) as pool:

        def ask(_: int) -> str:
            sock = stack.enter_context(site.connect())
            try:
                sock.sendall(head)
                reader = events(sock)
            except (OSError, IndexError):
                return "closed"
            if reader.status == 200:
                assert reader.next()[0] == "values"
                return "served"
            assert reader.status == 503
            assert int(reader.fields["retry-after"]) > 0
            assert b"close one of them" in reader.rest()
            return "told"

        found.update(pool.map(ask, range(1000)))
        assert found["served"] == STREAMS
        assert found["told"] > 0
        assert site.ask("/api/v1/status").status == 200, "the page is served beside them"

    eventually(lambda: live(site), "a stream after the others have ended")


def traced(site: Site, **subject: str) -> list[str]:
    """What the audit trail has of traces of one subject."""
    trail = site.daemon.events("audit")
    return [str(each["action"]) for each in trail if each.get("subject") == subject]


def test_more_traces_than_there_may_be(site: Site) -> None:
    with ExitStack() as stack:
        readers = []
        for _ in range(MAX_TRACES + 1):
            sock = stack.enter_context(site.connect())
            sock.sendall(site.head("/api/v1/trace?from=ann"))
            readers.append(stack.enter_context(closing(events(sock))))
        assert [each.next()[0] for each in readers] == ["begun"] * MAX_TRACES + ["refused"]
    ended = ["trace_end"] * MAX_TRACES  # before another test begins one
    eventually(lambda: traced(site, **{"from": "ann"})[MAX_TRACES:] == ended, "their ends")


def test_a_reader_of_events_who_doesnt_read_is_dropped(site: Site) -> None:
    """His trace ends with him, and no memory grows meanwhile."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((site.host, site.port))
        sock.sendall(site.head("/api/v1/trace?endpoint=sip:ocschat@contoso.com&pcap=1"))

        def audited() -> list[str]:
            return traced(site, endpoint="sip:ocschat@contoso.com")

        eventually(audited, "the trace to begin")
        big = request(more="X: " + "y" * 7000 + "\r\n")
        with talk("udp", site.daemon.address()) as client:
            end = time.monotonic() + 60
            while len(audited()) < 2 and time.monotonic() < end:
                sip.ask(client, big)
        assert audited() == ["trace_begin", "trace_end"]


def test_connections_beyond_the_limit_are_closed(site: Site) -> None:
    with calls_beside(site), ExitStack() as stack:
        idle = [stack.enter_context(site.connect()) for _ in range(CONNECTIONS)]
        assert idle
        with site.connect() as sock, suppress(ConnectionError):
            sock.sendall(site.head("/api/v1/status"))
            assert sock.recv(4096) == b""

    def is_served() -> bool:
        with suppress(ConnectionError):
            return site.ask("/api/v1/status").status == 200
        return False

    eventually(is_served, "their places to be free")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../views.py",
        "/static/..%2f..%2fweb/access.py",
        "/static/%2e%2e/__init__.py",
        "/static//etc/passwd",
        "/static/%2Fetc%2Fpasswd",
        "/static/..\\..\\x",
        "/static/",
        "/static/.hidden",
        "/static/x%00.css",
        "/../../../../etc/passwd",
        "//etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static/" + "a" * 1000,
    ],
)
def test_no_path_leads_to_a_file(site: Site, path: str) -> None:
    with site.connect() as sock:
        sock.sendall(site.head(path))
        reader = events(sock)
        assert reader.status in (400, 404)
        body = reader.rest()
    assert b"root:" not in body
    assert b"import" not in body


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * (LINE + 1) + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + b"a" * (LINE + 1) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * OCTETS + b"\r\n",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n"
        + b"a" * 100_000,
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"10000\r\n"
        + b"a" * 0x10000
        + b"\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300,
        b"INVITE sip:ocschat@contoso.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ],
    ids=["line", "cookie", "fields", "form", "chunks", "tls", "sip", "hosts", "absolute"],
)
def test_oversized_and_mangled_requests(site: Site, sent: bytes) -> None:
    answer = b""
    with site.connect() as sock, suppress(ConnectionError):
        with suppress(ConnectionError):
            sock.sendall(sent)
        while some := sock.recv(65536):
            answer += some
    assert not answer or 400 <= int(answer.split(b" ", 2)[1]) < 500, answer[:200]
    assert b"aiohttp" not in answer
    site.redirects()


def test_forms_that_are_none(site: Site) -> None:
    for kind, body in (
        ("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=token"),
        ("multipart/form-data", "token=a"),
        ("application/json", "{}"),
        ("application/x-www-form-urlencoded", "token=%ff%fe&token=b&next=%00"),
        ("application/x-www-form-urlencoded", "a=b&" * 100),
    ):
        reply = site.ask("/login", "POST", token=None, body=body, Content_Type=kind)
        assert reply.status in (400, 403, 415, 429), kind
    for coding in ("Transfer-Encoding: chunked", "Content-Encoding: gzip\r\nContent-Length: 9"):
        with site.connect() as sock:
            sock.sendall(
                b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\n" + coding.encode() + b"\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\n\r\nzzzz\r\nzz\r\n"
            )
            assert events(sock).status == 400, coding


def test_what_is_asked_for_reaches_no_page_unescaped(site: Site) -> None:
    evil = "%3Cscript%3Ealert(1)%3C/script%3E"
    for path in (
        f"/search?caller={evil}",
        f"/endpoint?sip_address={evil}",
        f"/trace?from={evil}&call_id={evil}&{evil}={evil}",
        f"/login?next=/{evil}",
        f"/{evil}",
    ):
        reply = site.ask(path)
        assert b"<script>alert" not in reply.body, path
        assert b"<script>alert" not in site.ask(path, token=None).body, path
