"""Calls of every compiled function: as the daemon makes them, and such as are refused."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from chatredirect.codec import compiled
from chatredirect.sip.codec import answer, lay_out, read_datagram, read_stream
from chatredirect.sip.headers import MandatoryHeaders, Via
from chatredirect.sip.limits import DEFAULT, Limits
from chatredirect.sip.message import Request, Response
from tests.fuzz.twins import TAGS, usual

Call = Callable[[], object]
LINE, CONTACT = b"SIP/2.0 302 Moved Temporarily", b"Contact: <sip:a@b>\r\n"


@contextmanager
def calls() -> Iterator[dict[str, Call]]:
    """By name. All of one function begin with its name."""
    assert compiled is not None
    assert read_datagram is not None
    assert read_stream is not None
    assert answer is not None
    assert lay_out is not None
    request, two_vias, _, response, _, several = usual()
    unusual = request.replace(b"\r\nFrom: ", b"\r\nFrom:\r\n ")
    read, with_two = read_datagram(request, DEFAULT), read_datagram(two_vias, DEFAULT)
    assert isinstance(read, Request)
    assert isinstance(with_two, Request)
    bare = read_datagram(request, DEFAULT)
    assert isinstance(bare, Request)
    bare.mandatory_headers = None
    head = request.partition(b"\r\n\r\n")[0]
    routes = b"\r\nRoute: <sip:a;lr>\r\nl: 1\r\nProxy-Require: a\r\nRecord-Route: <sip:b>\r\nv: c"
    tight = Limits(headers=3)
    host = b"192.0.2.9"
    receive, send = compiled.receive, compiled.send
    with ExitStack() as stack:
        ours, peer = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
        for each in (ours, peer):
            each.bind(("0.0.0.0", 0))
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
        port = ours.getsockname()[1]
        name = socket.AF_INET.to_bytes(2, "little") + port.to_bytes(2, "big")
        name += socket.inet_aton("127.0.0.1") + bytes(8)
        batch = [(request, name, b""), (b"", name, b"")]

        def to_and_fro() -> object:
            sent = send(peer.fileno(), batch, 0)
            received = receive(ours.fileno(), 32)
            assert sent == 2
            assert isinstance(received, list)
            return [data for data, _, _ in received]

        yield {
            "bind": lambda: compiled.bind(Request, Response, MandatoryHeaders, Via, Limits),
            "read_datagram, a request": lambda: read_datagram(request, DEFAULT),
            "read_datagram, two Vias": lambda: read_datagram(two_vias, DEFAULT),
            "read_datagram, a response": lambda: read_datagram(response, DEFAULT),
            "read_datagram, unusual": lambda: read_datagram(unusual, DEFAULT),
            "read_datagram, other limits": lambda: (
                read_datagram(request, tight),
                read_datagram(request, Limits()),
            ),
            "read_stream, a request": lambda: read_stream(several, len(request), DEFAULT),
            "read_stream, a response": lambda: read_stream(response, 0, DEFAULT),
            "read_stream, half": lambda: read_stream(several, len(several) - 30, DEFAULT),
            "answer, tagged": lambda: answer(read, host, 5060, LINE, CONTACT, TAGS.key),
            "answer, two Vias": lambda: answer(with_two, host, 5060, LINE, b"", None),
            "answer, not read": lambda: answer(bare, host, 5060, LINE, b"", None),
            "lay_out, a request": lambda: lay_out(head),
            "lay_out, all kinds": lambda: lay_out(head + routes),
            "lay_out, folded": lambda: lay_out(head + b"\r\n more"),
            "lay_out, half": lambda: lay_out(b"BYE sip:a SIP/2.0"),
            "receive, nothing": lambda: receive(peer.fileno(), 32),
            "receive, no socket": lambda: receive(-1, 32),
            "send, no socket": lambda: send(-1, batch, 0),
            "send, nothing": lambda: send(peer.fileno(), batch, 2),
            "send, receive": to_and_fro,
        }


def refused() -> dict[str, Call]:
    """Calls that raise TypeError, ValueError or OverflowError, by what is wrong with them."""
    assert compiled is not None
    request = usual()[0]
    read = compiled.read_datagram(request, DEFAULT)
    assert isinstance(read, Request)
    bind, datagram, stream = compiled.bind, compiled.read_datagram, compiled.read_stream
    reply, receive, send = compiled.answer, compiled.receive, compiled.send
    layout = compiled.lay_out
    wrong: dict[str, tuple[Callable[..., object], tuple[object, ...]]] = {
        "bind: nothing": (bind, ()),
        "bind: no class": (bind, (1, 2, 3, 4, 5)),
        "bind: other fields": (bind, (Response, Request, MandatoryHeaders, Via, Limits)),
        "read_datagram: text": (datagram, ("a", DEFAULT)),
        "read_datagram: no limits": (datagram, (request, (1, 2, 3, 4, 5))),
        "read_datagram: a limit below 0": (datagram, (request, Limits(message=-1))),
        "read_stream: a large limit": (stream, (request, 0, Limits(uri=2**70))),
        "read_datagram: no arguments": (datagram, ()),
        "read_stream: before the beginning": (stream, (request, -1, DEFAULT)),
        "read_stream: behind the end": (stream, (request, len(request) + 1, DEFAULT)),
        "read_stream: no number": (stream, (request, None, DEFAULT)),
        "read_stream: a large number": (stream, (request, 2**70, DEFAULT)),
        "answer: no request": (reply, (None, b"", 1, b"", b"", None)),
        "answer: port below 0": (reply, (read, b"", -1, b"", b"", None)),
        "answer: port": (reply, (read, b"", 65536, b"", b"", None)),
        "answer: large port": (reply, (read, b"", 2**70, b"", b"", None)),
        "answer: text": (reply, (read, "", 1, b"", b"", None)),
        "answer: long key": (reply, (read, b"", 1, b"", b"", bytes(65))),
        "lay_out: text": (layout, ("a",)),
        "lay_out: no arguments": (layout, ()),
        "receive: none": (receive, (0, 0)),
        "receive: too many": (receive, (0, 1025)),
        "receive: large": (receive, (2**70, 1)),
        "send: no list": (send, (0, (), 0)),
        "send: behind the end": (send, (0, [], 1)),
        "send: no tuple": (send, (0, [b""], 0)),
        "send: two of three": (send, (0, [(b"", b"")], 0)),
        "send: text": (send, (0, [(b"", "", b"")], 0)),
        "send: long name": (send, (0, [(b"", bytes(129), b"")], 0)),
    }
    return {
        name: lambda function=function, arguments=arguments: function(*arguments)  # type: ignore[misc]
        for name, (function, arguments) in wrong.items()
    }
