"""A peer that sends as fast as it can, in a process of its own: `benchmarks.fairness` starts it.

    python -m benchmarks.fairness_load KIND HOST PORT CONNECTIONS SECONDS [CERTIFICATE KEY CA]

What is answered is read and thrown away. A connection that the server closes is opened again.
"""

import contextlib
import selectors
import socket
import ssl
import sys
import time
from collections.abc import Callable

_FIELDS = (
    "Via: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bKflood\r\n"
    "From: <sip:a@contoso.com>;tag=1\r\nTo: <sip:nobody@contoso.com>\r\n"
    "Call-ID: flood\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n"
)
_CHUNK = 65536  # octets that are handed over at a time


def message(kind: str, transport: str) -> bytes:
    """One message of a flood.

    Raises:
        KeyError: there is no such flood.
    """
    fields = _FIELDS.format(transport=transport, method="{method}")
    ack = "ACK sip:nobody@contoso.com SIP/2.0\r\n" + fields.format(method="ACK")
    options = "OPTIONS sip:nobody@contoso.com SIP/2.0\r\n" + fields.format(method="OPTIONS")
    return {
        "response": b"SIP/2.0 100 x\r\nl:0\r\n\r\n",
        "keep-alive": b"\r\n\r\n",
        "ack": ack.encode() + b"\r\n",
        "long ack": (ack + "".join(f"X-{n}: y\r\n" for n in range(120)) + "\r\n").encode(),
        "request": options.encode() + b"\r\n",
        "http": b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        "control": b'{"command": "status"}\n',
    }[kind]


def flood_datagrams(kind: str, to: tuple[str, int], until: float) -> None:
    """Send datagrams to one address, and read what comes back."""
    data = message(kind, "UDP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(to)
        sock.setblocking(False)
        while time.monotonic() < until:
            for _ in range(64):
                with contextlib.suppress(OSError):
                    sock.send(data)
            with contextlib.suppress(OSError):
                while True:
                    sock.recv(65536)


def flood_connections(
    connect: Callable[[], socket.socket], data: bytes, connections: int, until: float
) -> None:
    """Send over so many connections, in turns, and read what comes back."""
    chunk = data * max(1, _CHUNK // len(data))
    with selectors.DefaultSelector() as ready:

        def begin() -> None:
            with contextlib.suppress(OSError):
                sock = connect()
                sock.setblocking(False)
                ready.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, [0])

        for _ in range(connections):
            begin()
        while time.monotonic() < until:
            if not ready.get_map():
                begin()
                time.sleep(0.01)
            for key, events in ready.select(0.1):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                try:
                    if events & selectors.EVENT_READ and not sock.recv(_CHUNK):
                        raise ConnectionResetError
                    if events & selectors.EVENT_WRITE:
                        at = key.data
                        at[0] = (at[0] + sock.send(chunk[at[0] :])) % len(chunk)
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    continue
                except OSError:
                    ready.unregister(sock)
                    sock.close()
                    begin()


def main(arguments: list[str]) -> None:
    """Flood a server as the command line says."""
    kind, host, port, connections, seconds, *files = arguments
    until = time.monotonic() + float(seconds)
    transport, _, what = kind.rpartition("/")
    if transport == "udp":
        flood_datagrams(what, (host, int(port)), until)
        return
    context = None
    if transport == "tls":
        context = ssl.create_default_context(cafile=files[2])
        context.load_cert_chain(files[0], files[1])

    def connect() -> socket.socket:
        if transport == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(host)
            return sock
        sock = socket.create_connection((host, int(port)), 5)
        return sock if context is None else context.wrap_socket(sock, server_hostname="contoso.com")

    flood_connections(connect, message(what, transport.upper()), int(connections), until)


if __name__ == "__main__":
    main(sys.argv[1:])
