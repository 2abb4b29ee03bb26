"""Calls of every compiled function: as the daemon makes them, and such as are refused."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from chatredirect.codec import compiled
from chatredirect.sip.codec import answer, caller_and_client, read_datagram, read_stream
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
    assert caller_and_client is not None
    request, two_vias, _, response, provisional, several = usual()
    unusual = request.replace(b"\r\nFrom: ", b"\r\nFrom:\r\n ")
    read, with_two = read_datagram(request, DEFAULT), read_datagram(two_vias, DEFAULT)
    assert isinstance(read, Request)
    assert isinstance(with_two, Request)
    bare = read_datagram(request, DEFAULT)
    assert isinstance(bare, Request)
    bare_headers, bare.mandatory_headers = bare.mandatory_headers, None
    assert bare_headers is not None
    bare_headers.via.params = b";branch=1"
    ringing = read_datagram(provisional, DEFAULT)
    strange = read_datagram(response, DEFAULT)
    assert isinstance(ringing, Response)
    assert isinstance(strange, Response)
    strange.cseq = b"a"
    head = request.partition(b"\r\n\r\n")[0]
    routes = (
        head + b"\r\nRoute: <sip:a;lr>\r\nroute:<sip:b>\r\nl: 1\r\nRecord-Route: <sip:b>\r\nv: c"
    )
    answered = read_datagram(response, DEFAULT)
    assert isinstance(answered, Response)
    nameless = read_datagram(request, DEFAULT)
    assert isinstance(nameless, Request)
    nameless.call_id = None
    unreadable = MandatoryHeaders(
        Via(b"a", None, b";rport;received=b", len(bare.vias[0])), b"", b"", 1, in_dialog=False
    )
    key, tagged = TAGS.key, b"<sip:a@b>;x;tag=ABC;y=z"
    headers = read.mandatory_headers
    assert headers is not None
    text = compiled.sign(key, 10, head[:50], b"a call", b"a tag")
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
            "index, a request": lambda: compiled.index(head),
            "index, all kinds": lambda: compiled.index(head + routes + b"\r\nX: 1\r\nX: 2\r\nx"),
            "index, folded": lambda: compiled.index(head + b"\r\n more"),
            "index, half": lambda: compiled.index(b"BYE sip:a SIP/2.0"),
            "transaction_key": lambda: compiled.transaction_key(read, headers, b"INVITE"),
            "transaction_key, unusual": lambda: compiled.transaction_key(
                read, bare_headers, b"INVITE"
            ),
            "branch_key": lambda: compiled.branch_key(answered),
            "branch_key, unusual": lambda: compiled.branch_key(strange),
            "tag_of": lambda: compiled.tag_of(tagged),
            "tag_of, nothing": lambda: compiled.tag_of(b"<sip:a@b>"),
            "stamped, rport": lambda: compiled.stamped(read, headers, host, 5060),
            "stamped, two Vias": lambda: compiled.stamped(with_two, headers, host, 5060),
            "stamped, unusual": lambda: compiled.stamped(bare, unreadable, host, 5060),
            "loop_mark": lambda: compiled.loop_mark(key, 6, read, [b"<sip:a>", b"<sip:b>"]),
            "loop_mark, unusual": lambda: compiled.loop_mark(key, 6, nameless, []),
            "tag_of, unusual": lambda: compiled.tag_of(b"sip:a@b;tag=a"),
            "keyed_hash": lambda: (
                compiled.keyed_hash(key, 6, head),
                compiled.keyed_hash(b"another", 64, b""),
            ),
            "sign": lambda: compiled.sign(key, 10, head, b"a call", b"a tag"),
            "unsign": lambda: compiled.unsign(key, 10, text, b"a call", b"another", b"a tag"),
            "unsign, unusual": lambda: compiled.unsign(key, 10, text + b"=", b"a call", b"", b""),
            "read_forwarded, nothing more": lambda: compiled.read_forwarded(head),
            "read_forwarded, Routes": lambda: compiled.read_forwarded(routes),
            "read_forwarded, unusual": lambda: compiled.read_forwarded(head + b"\r\n more"),
            "write_forwarded, a request": lambda: compiled.write_forwarded(
                head, b"a Via", 70, 0, b"a body"
            ),
            "write_forwarded, Routes": lambda: compiled.write_forwarded(
                routes, b"a Via", 70, 1, b""
            ),
            "write_forwarded, unusual": lambda: compiled.write_forwarded(
                routes, b"a Via", 70, 3, b""
            ),
            "caller_and_client, both": lambda: caller_and_client(b"<sip:a@b>;tag=1", head),
            "caller_and_client, no client": lambda: caller_and_client(b'"a" <sip:a@b>', b"a"),
            "caller_and_client, unusual": lambda: caller_and_client(b"sip:a@b", head),
            "returned": lambda: compiled.returned(ringing),
            "returned, unusual": lambda: compiled.returned(answered),
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
    key_of, hashed, sign, unsign = (
        compiled.transaction_key, compiled.keyed_hash, compiled.sign, compiled.unsign,
    )  # fmt: skip
    head, headers = compiled.read_forwarded, read.mandatory_headers
    write = compiled.write_forwarded
    caller = compiled.caller_and_client
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
        "index: text": (compiled.index, ("a",)),
        "index: no arguments": (compiled.index, ()),
        "stamped: no request": (compiled.stamped, (None, headers, b"", 1)),
        "stamped: no headers": (compiled.stamped, (read, None, b"", 1)),
        "stamped: text": (compiled.stamped, (read, headers, "", 1)),
        "stamped: port": (compiled.stamped, (read, headers, b"", 65536)),
        "stamped: large port": (compiled.stamped, (read, headers, b"", 2**70)),
        "loop_mark: no request": (compiled.loop_mark, (b"a", 6, None, [])),
        "loop_mark: no key": (compiled.loop_mark, (b"", 6, read, [])),
        "loop_mark: no list": (compiled.loop_mark, (b"a", 6, read, ())),
        "loop_mark: text": (compiled.loop_mark, (b"a", 6, read, [""])),
        "transaction_key: no request": (key_of, (None, headers, b"")),
        "transaction_key: no headers": (key_of, (read, None, b"")),
        "transaction_key: text": (key_of, (read, headers, "")),
        "branch_key: no response": (compiled.branch_key, (read,)),
        "returned: no response": (compiled.returned, (read,)),
        "tag_of: text": (compiled.tag_of, ("a",)),
        "keyed_hash: no key": (hashed, (b"", 6, b"")),
        "keyed_hash: long key": (hashed, (bytes(65), 6, b"")),
        "keyed_hash: no size": (hashed, (b"a", 0, b"")),
        "keyed_hash: large size": (hashed, (b"a", 65, b"")),
        "keyed_hash: huge size": (hashed, (b"a", 2**70, b"")),
        "keyed_hash: text": (hashed, (b"a", 6, "")),
        "sign: text": (sign, (b"a", 6, b"", b"", "")),
        "sign: no arguments": (sign, ()),
        "unsign: text": (unsign, (b"a", 6, "", b"", b"", b"")),
        "unsign: long key": (unsign, (bytes(65), 6, b"", b"", b"", b"")),
        "read_forwarded: text": (head, ("a",)),
        "read_forwarded: no arguments": (head, ()),
        "write_forwarded: text": (write, (b"", "", 1, 0, b"")),
        "write_forwarded: no hop left": (write, (b"", b"", 0, 0, b"")),
        "write_forwarded: left out below 0": (write, (b"", b"", 1, -1, b"")),
        "write_forwarded: many hops": (write, (b"", b"", 2**70, 0, b"")),
        "caller_and_client: text": (caller, ("<sip:a@b>", b"")),
        "caller_and_client: one": (caller, (b"<sip:a@b>",)),
        "receive: none": (receive, (0, 0)),
        "receive: too many": (receive, (0, 1025)),
        "receive: large": (receive, (2**70, 1)),
        "send: no list": (send, (0, (), 0)),
        "send: behind the end": (send, (0, [], 1)),
        "send: far before the beginning": (send, (0, [], -(2**63))),
        "send: no tuple": (send, (0, [b""], 0)),
        "send: two of three": (send, (0, [(b"", b"")], 0)),
        "send: text": (send, (0, [(b"", "", b"")], 0)),
        "send: long name": (send, (0, [(b"", bytes(129), b"")], 0)),
    }
    return {
        name: lambda function=function, arguments=arguments: function(*arguments)  # type: ignore[misc]
        for name, (function, arguments) in wrong.items()
    }
