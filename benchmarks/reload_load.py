"""A steady load that notes how long each answer takes: the process beside `benchmarks.reload`.

    python -m benchmarks.reload_load SERVER_PORT REFERENCE_PORT RATE

Sends requests by turns to the server and to a program that only echoes, until its standard input
ends, and then prints one line of JSON for each: when it was sent (seconds since the epoch), how
many seconds its answer took or null, and which of the two it was for. Arrivals have the kernel's
time, so how busy this process is makes no answer late.
"""

import json
import select
import socket
import struct
import sys
import time

from benchmarks.messages import redirect_exchange

_STAMP = struct.Struct("qq")  # struct timespec
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h
_PATIENCE = 2.0  # seconds for the last answers
_NUMBER = b"CSeq: "


def main() -> None:
    """Run until standard input ends."""
    ports, rate = [int(port) for port in sys.argv[1:3]], float(sys.argv[3])
    sockets = [_connected(port) for port in ports]
    own = sockets[0].getsockname()[1]
    template = redirect_exchange("udp", f"127.0.0.1:{own}").request
    sent: dict[int, float] = {}
    took: dict[int, float] = {}
    began, number, ending = time.time(), 0, 0.0
    while not ending or (time.time() < ending and len(took) < len(sent)):
        now = time.time()
        due = began + number / rate
        if not ending and now >= due:
            number += 1
            data = template.replace(b"@@@@@@@@", b"%08d" % number).replace(b"######", b"000000")
            sent[number] = time.time()
            sockets[number % 2].send(data)
            continue
        wait = max(0.0, min(due - now, 0.1)) if not ending else 0.1
        watched = sockets if ending else [*sockets, sys.stdin]
        for ready in select.select(watched, [], [], wait)[0]:
            if isinstance(ready, socket.socket):
                _take(ready, sent, took)
            else:
                ending = time.time() + _PATIENCE
    for each, at in sent.items():
        print(json.dumps([at, took.get(each), "server" if each % 2 == 0 else "reference"]))


def _connected(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


def _take(sock: socket.socket, sent: dict[int, float], took: dict[int, float]) -> None:
    while True:
        try:
            data, ancillary, _, _ = sock.recvmsg(4096, 64)
        except BlockingIOError:
            return
        seconds, nanoseconds = _STAMP.unpack(ancillary[0][2][: _STAMP.size])
        at = data.index(_NUMBER) + len(_NUMBER)
        number = int(data[at : at + 8])
        if number in sent and (number % 2 or data.startswith(b"SIP/2.0 302 ")):
            took[number] = seconds + nanoseconds / 1e9 - sent[number]


if __name__ == "__main__":
    main()
