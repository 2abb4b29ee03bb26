"""A TLS client for benchmarks, run as a process of its own: `python -m benchmarks.tls_load`.

What it is to do comes as JSON on standard input, one object a line; each gets its account as JSON
on standard output. Answers are checked one by one; a wrong one, or one that doesn't come, is
counted and never hides. Its own cost isn't measured, so it may be Python.
"""

import json
import re
import selectors
import socket
import ssl
import sys
from dataclasses import asdict, dataclass, field

from benchmarks.messages import numbered, redirect_exchange

_PATIENCE = 10.0  # seconds without any answer after which the rest counts as lost
_ANSWER = re.compile(
    rb"SIP/2\.0 302 (?=.*\r\nVia: SIP/2\.0/TLS 127\.0\.0\.1:5061;branch=z9hG4bK(?P<branch>\d{8});)"
    rb"(?=.*\r\nCall-ID: (?P<call>\d{8})-1f4e2b@127\.0\.0\.1\r\n)"
    rb"(?=.*\r\nCSeq: (?P<cseq>\d{8}) INVITE\r\n)"
    rb"(?=.*\r\nTo: <sip:room000000@contoso\.com>;tag=)"
    rb"(?=.*\r\nContact: <sip:room000000@pcpool\.contoso\.com>\r\n).*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Task:
    """What to do.

    Attributes:
        what: `requests` over long-lived connections, `handshakes` one after the other, or `hold`
            many idle connections until the next line comes.
        port: where, on 127.0.0.1.
        count: how many requests, handshakes or connections.
        connections: that carry the requests.
        depth: requests sent in one go on a connection.
        certificate, private_key, ca: PEM files.
        version: `TLSv1_2` or `TLSv1_3`, nothing else is spoken.
        ciphers: for TLS 1.2.
    """

    what: str
    port: int
    count: int
    certificate: str
    private_key: str
    ca: str
    connections: int = 16
    depth: int = 1
    version: str = "TLSv1_2"
    ciphers: str = ""


@dataclass(slots=True)
class Account:
    """What came of it."""

    count: int
    answered: int = 0
    wrong: int = 0
    cipher: str = ""
    complaint: str = ""


@dataclass(slots=True)
class _Connection:
    sock: ssl.SSLSocket
    waiting: set[int] = field(default_factory=set)
    buffer: bytes = b""


def main() -> None:
    """Do what standard input says until it ends."""
    for line in sys.stdin:
        task = Task(**json.loads(line))
        account = Account(task.count)
        _TASKS[task.what](task, account)
        print(json.dumps(asdict(account)), flush=True)


def _context(task: Task) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(task.ca)
    context.load_cert_chain(task.certificate, task.private_key)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[task.version]
    if task.ciphers:
        context.set_ciphers(task.ciphers)
    return context


def _connect(task: Task, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", task.port), _PATIENCE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain)


_REQUEST = redirect_exchange("tls", "127.0.0.1:5061").request


def _requests(task: Task, account: Account) -> None:
    context = _context(task)
    selector = selectors.DefaultSelector()
    sent = 0
    connections = [_Connection(_connect(task, context)) for _ in range(task.connections)]
    for each in connections:
        each.sock.setblocking(False)
        selector.register(each.sock, selectors.EVENT_READ, each)
        sent = _send(each, task, sent)
    account.cipher = str(connections[0].sock.cipher())
    while account.answered + account.wrong < task.count:
        ready = selector.select(_PATIENCE)
        if not ready:
            break  # what has not been answered by now is lost
        for key, _ in ready:
            connection: _Connection = key.data
            _read(connection, account)
            if not connection.waiting and sent < task.count:
                sent = _send(connection, task, sent)
    for each in connections:
        each.sock.close()


def _send(connection: _Connection, task: Task, sent: int) -> int:
    numbers = range(sent, min(sent + task.depth, task.count))
    connection.sock.setblocking(True)
    connection.sock.sendall(b"".join(numbered(_REQUEST, number) for number in numbers))
    connection.sock.setblocking(False)
    connection.waiting.update(numbers)
    return numbers.stop


def _read(connection: _Connection, account: Account) -> None:
    while True:
        try:
            data = connection.sock.recv(65536)
        except ssl.SSLWantReadError:
            return
        if not data:
            raise SystemExit("the server closed a connection")
        *answers, connection.buffer = (connection.buffer + data).split(b"\r\n\r\n")
        for answer in answers:
            _judge(answer, connection, account)


def _judge(answer: bytes, connection: _Connection, account: Account) -> None:
    match = _ANSWER.match(answer + b"\r\n")
    number = int(match["branch"]) - 10_000_000 if match is not None else -1
    whole = match is not None and match["branch"] == match["call"] == match["cseq"]
    if whole and number in connection.waiting:
        connection.waiting.discard(number)
        account.answered += 1
        return
    account.wrong += 1
    if connection.waiting:
        connection.waiting.pop()
    account.complaint = account.complaint or repr(answer)


def _ask(sock: ssl.SSLSocket, number: int, account: Account) -> None:
    connection = _Connection(sock, {number})
    sock.sendall(numbered(_REQUEST, number))
    while connection.waiting:
        data = sock.recv(65536)
        if not data:
            raise SystemExit("the server closed a connection")
        *answers, connection.buffer = (connection.buffer + data).split(b"\r\n\r\n")
        for answer in answers:
            _judge(answer, connection, account)


def _handshakes(task: Task, account: Account) -> None:
    """Whole handshakes, mutual, none resumed; each connection proves that it is served."""
    context = _context(task)
    for number in range(task.count):
        with _connect(task, context) as sock:
            _ask(sock, number, account)
            account.cipher = str(sock.cipher())


def _hold(task: Task, account: Account) -> None:
    """Open connections, use each once, and hold them until told to go on."""
    context = _context(task)
    held = []
    for number in range(task.count):
        sock = _connect(task, context)
        _ask(sock, number, account)
        held.append(sock)
    print(json.dumps({"held": len(held)}), flush=True)
    sys.stdin.readline()
    for sock in held:
        sock.close()


_TASKS = {"requests": _requests, "handshakes": _handshakes, "hold": _hold}

if __name__ == "__main__":
    main()
