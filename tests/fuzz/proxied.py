"""What must hold for whatever octets come to the mode proxy, from a front end or from the pool."""

from collections.abc import Hashable
from zlib import crc32

from chatredirect.sip.errors import SipError
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Request, Response
from tests.fuzz.broken import WIDE, Broken
from tests.proxy.in_memory_proxy import FRONT_END, Caller, InMemoryProxy, targets


def proxied(data: bytes) -> Hashable:
    """A request goes on with everything but what a proxy changes, or is answered, or dropped.

    Whatever comes, nothing of it is left when the timers have run.
    """
    proxy = InMemoryProxy(*targets(2), settings={"rewrite": "pool"} if crc32(data) % 2 else {})
    if data[:4].upper() == b"SIP/":
        return _response(proxy, data)
    proxy.deliver(data, proxy.client, FRONT_END)
    sent = [raw for number in (0, 1) for raw in proxy.target(number).raw]
    answers = list(proxy.client.raw)
    try:
        asked = parse_datagram(data, Limits())
    except SipError:
        asked = None
    for raw in sent:
        if not isinstance(asked, Request):
            raise Broken(f"{raw!r} was made of nothing")
        _compare(asked, raw)
    statuses = [_status(raw) for raw in answers]
    if data.lstrip(b"\r\n").startswith((b"ACK ", b"BENOTIFY ")) and answers:
        raise Broken("answered what gets no answer")
    _expire(proxy)
    return (bool(sent), *statuses)


def _response(proxy: InMemoryProxy, data: bytes) -> Hashable:
    """A response without a request of ours is nothing; with its Via it may be one to our INVITE."""
    invite = Caller(proxy).invite()
    proxy.deliver(data, proxy.target())
    if proxy.client.raw:
        raise Broken("passed back what nobody waits for")
    head, end, rest = data.partition(b"\r\n")
    via = f"Via: {invite.all('Via')[0]}\r\nCSeq: 1 INVITE\r\n".encode()
    proxy.deliver(head + end + via + rest, proxy.target())
    statuses = [_status(raw) for raw in proxy.client.raw]
    _expire(proxy)
    return tuple(statuses)


def _status(raw: bytes) -> int:
    answer = parse_datagram(raw.replace(b"\0", b"?"), WIDE)  # see promises
    if not isinstance(answer, Response) or answer.fault is not None:
        raise Broken(f"no good answer: {raw!r}")
    return answer.status


def _compare(asked: Request, raw: bytes) -> None:
    read = parse_datagram(raw, WIDE)
    if not isinstance(read, Request) or read.fault is not None:
        raise Broken(f"no good request: {raw!r}")
    for name in ("method", "from_", "to", "call_id", "cseq", "body"):
        if getattr(read, name) != getattr(asked, name):
            raise Broken(f"another {name} in {raw!r}")
    if read.vias[2:] != asked.vias[1:] or not read.vias[0].startswith(b"SIP/2.0/UDP 127.0.0.1"):
        raise Broken(f"other Vias in {raw!r}")


def _expire(proxy: InMemoryProxy) -> None:
    flows = (proxy.client, proxy.target(0), proxy.target(1))
    while (due := proxy.core.next_timer()) is not None:
        proxy.now = max(proxy.now, due)
        proxy.driver.handle_timers()
        for flow in flows:
            flow.raw.clear()
    if not proxy.empty:
        raise Broken("something is left")
