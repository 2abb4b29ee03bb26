"""A DNS answer that is big: it is refused before anybody reads it (docs/security.md)."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.attack.beside import NO_STALL, RATIO, peak, waits
from tests.attack.extent import extent
from tests.ports import free_port
from tests.service.daemon import configuration, endpoint
from tests.service.fixtures import Run

RECORDS = 3000
TRUNCATED = 0x0200
GROWTH = 1.5


def reply(query: bytes, records: int, flags: int = 0) -> bytes:
    """An answer to a query of one question, with so many addresses (RFC 1035 §4)."""
    end = query.index(b"\0", 12) + 5  # the name's end, type, class
    record = b"\xc0\x0c" + query[end - 4 : end] + struct.pack("!IH", 60, 4)
    addresses = (record + struct.pack("!I", 0xC6120000 + n) for n in range(records))
    head = struct.pack("!2s5H", query[:2], 0x8180 | flags, 1, records, 0, 0)
    return head + query[12:end] + b"".join(addresses)


@contextmanager
def name_server(transport: str) -> Iterator[int]:
    """A name server that answers with 48 KB: at once, or over TCP when it is asked there."""
    port = free_port()
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", port))
    streams = socket.create_server(("127.0.0.1", port))

    def answer_datagrams() -> None:
        while True:
            query, source = datagrams.recvfrom(65536)
            if not query:
                return
            many = reply(query, RECORDS) if transport == "udp" else reply(query, 0, TRUNCATED)
            datagrams.sendto(many, source)

    def answer_streams() -> None:
        while True:
            try:
                sock, _ = streams.accept()
            except OSError:
                return  # it has been closed
            with sock:
                query = sock.recv(65536)[2:]
                if query:
                    data = reply(query, RECORDS)
                    sock.sendall(len(data).to_bytes(2, "big") + data)

    threads = [threading.Thread(target=each) for each in (answer_datagrams, answer_streams)]
    for thread in threads:
        thread.start()
    try:
        yield port
    finally:
        with socket.socket(type=socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", port))
        streams.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        datagrams.close()
        streams.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_answer_of_48_kilobytes(
    run_daemon: Run, record_property: Callable[[str, object], None], transport: str
) -> None:
    """An honest client waits for no answer of 3,000 records, and none of them is used."""
    pools = [f"pool{n}.contoso.com" for n in range(extent(10, 100))]
    with name_server(transport) as port:
        attacked = [
            endpoint(f"sip:attacked{n}@contoso.com", pool_fqdn=pool) for n, pool in enumerate(pools)
        ]
        settings = configuration(
            endpoints=[endpoint(), *attacked],
            dns={
                "nameservers": [f"127.0.0.1:{port}"],
                "hosts": {"pcpool.contoso.com": ["192.0.2.20"]},
                "hosts_file": "/dev/null",
                "retry": 0.5,
            },
        )
        quiet = run_daemon(settings | {"endpoints": [endpoint()]})
        undisturbed, before = waits(quiet, 40), peak(quiet)
        assert quiet.stop() == 0
        daemon = run_daemon(settings)
        seconds = waits(daemon, extent(150, 1000))
        growth = peak(daemon) / before
        assert not daemon.events("pool_resolved") or all(
            event["pool"] not in pools for event in daemon.events("pool_resolved")
        )
        assert daemon.stop() == 0
    record_property("figure longest wait", f"{seconds[-1] * 1000:.0f} ms")
    record_property("figure memory", f"{growth:.2f} times")
    assert seconds[-1] < max(NO_STALL[100][1], RATIO * undisturbed[-1])
    assert growth < GROWTH
