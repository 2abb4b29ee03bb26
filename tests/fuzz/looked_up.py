"""What must hold for whatever octets come to the mode lookup, before a dialog and within one."""

from collections.abc import Hashable

from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.message import Request, Response
from tests.fuzz.broken import WIDE, Broken
from tests.lookup.in_memory_lookups import FRONT_END, REQURI, Client, InMemoryLookups
from tests.sent_message import SentMessage, read

#: The fields that decide which dialog and which transaction a message belongs to.
_DECIDING = (b"via", b"v", b"from", b"f", b"to", b"t", b"call-id", b"i", b"cseq")


def looked_up(data: bytes) -> Hashable:
    """A message is answered or dropped, as it came and as one of a lookup's dialog.

    Whatever comes, what is sent can be read, and nothing is left when the timers have run.
    """
    lookups = InMemoryLookups(transport="udp")
    alone = _deliver(lookups, data)
    client = Client(lookups)
    lookups.send(client.write("INVITE", contact=client.contact))
    client.to = read(lookups.flow.raw[-1])["To"]
    lookups.send(client.write("ACK", number=1))
    if data[:4].upper() == b"SIP/":
        reply = read(lookups.flow.raw[-1]) if _ask(lookups, client) else None
        within = _deliver(lookups, _within(data, _fields_of(reply))) if reply is not None else ()
    else:
        method = data.lstrip(b"\r\n").partition(b" ")[0]
        ours = client.write("INFO").partition(b"\r\n\r\n")[0].replace(b" INFO", b" " + method)
        within = _deliver(lookups, _within(data, _chosen(ours)))
    _expire(lookups)
    return (alone, within)


def _ask(lookups: InMemoryLookups, client: Client) -> bool:
    lookups.send(client.write("INFO", body=REQURI))
    return lookups.flow.raw[-1].startswith(b"INFO ")


def _fields_of(message: SentMessage) -> list[bytes]:
    named = ("Via", "From", "To", "Call-ID", "CSeq")
    return [f"{name}: {message[name]}".encode() for name in named]


def _chosen(head: bytes) -> list[bytes]:
    return [line for line in head.split(b"\r\n")[1:] if _decides(line)]


def _decides(line: bytes) -> bool:
    return line.partition(b":")[0].rstrip(b" \t").lower() in _DECIDING


def _within(data: bytes, fields: list[bytes]) -> bytes:
    """A message with these deciding fields instead of its own."""
    head, end, body = data.partition(b"\r\n\r\n")
    start_line, *lines = head.split(b"\r\n")
    kept = [line for line in lines if not _decides(line)]
    return b"\r\n".join((start_line, *fields, *kept)) + end + body


def _deliver(lookups: InMemoryLookups, data: bytes) -> Hashable:
    """Deliver a datagram; what was sent for it."""
    flow = lookups.flow
    before = len(flow.raw)
    answered = lookups.server.answer_datagram(data, FRONT_END, flow)
    sent = [*flow.raw[before:], *([] if answered is None else [answered[0]])]
    if data.lstrip(b"\r\n").startswith((b"ACK ", b"BENOTIFY ", b"SIP/")) and any(
        raw.startswith(b"SIP/") for raw in sent
    ):
        raise Broken("answered what gets no answer")
    return tuple(map(_kind, sent))


def _kind(raw: bytes) -> Hashable:
    message = parse_datagram(raw.replace(b"\0", b"?"), WIDE)  # see promises
    if message.fault is not None:
        raise Broken(f"no good message: {raw!r}")
    if isinstance(message, Response):
        return message.status
    if not isinstance(message, Request) or len(message.vias) != 1:
        raise Broken(f"no request of ours: {raw!r}")
    return message.method


def _expire(lookups: InMemoryLookups) -> None:
    while (due := lookups.core.next_timer()) is not None:
        lookups.now = max(lookups.now, due)
        lookups.driver.handle_timers()
        lookups.flow.raw.clear()
    if not lookups.empty or lookups.flow.held:
        raise Broken("something is left")
