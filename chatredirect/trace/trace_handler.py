"""The control socket's command `trace`: sends the sightings of a trace, line by line.

A trace ends after its time, when its reader disconnects or doesn't read, or with the daemon.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import TypeAlias

from chatredirect.control.conversation import Conversation, Handler
from chatredirect.control.protocol import USAGE_ERROR, ControlRefusal, Json, seconds_of
from chatredirect.log.audit import AuditedChange, AuditLog
from chatredirect.net.addresses import is_address
from chatredirect.sip.errors import SipError
from chatredirect.sip.uri import parse_uri
from chatredirect.trace.filter import Filter
from chatredirect.trace.sighting import to_json
from chatredirect.trace.traces import MAX_TRACES, TooMany, Traces, TraceSession

#: Returns the IP addresses that DNS gives for a host name; none if it gives none. Raises nothing.
AddressesOf: TypeAlias = Callable[[str], Awaitable[frozenset[str]]]
#: A last label of digits alone is a mistyped IPv4 address (RFC 1123 §2.1).
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)(?!(?:.*\.)?[0-9]+\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\Z"
)
_MAX_TEXT = 1024  # characters of one part of a filter
_AT_ONCE = 32  # lines in a row before the event loop's other work gets its turn
_BEAT = 5.0  # seconds of silence after which a line says that the trace is alive


def trace_command(traces: Traces, addresses_of: AddressesOf, audit: AuditLog) -> Handler:
    """The command `trace`: `call_id`, `from`, `endpoint`, `peer`, `seconds` and `unmask`."""

    async def trace(request: Mapping[str, Json], conversation: Conversation) -> dict[str, Json]:
        wanted = read_filter(request)
        if wanted.peer is not None and not is_address(wanted.peer):
            wanted = replace(wanted, addresses=await addresses_of(wanted.peer))
        seconds = seconds_of(request, "trace")
        masked = request.get("unmask") is not True
        ready = asyncio.Event()
        try:
            session = traces.begin(wanted, ready.set)
        except TooMany:
            raise ControlRefusal(
                f"{MAX_TRACES} traces are running already: end one of them first",
                status=os.EX_TEMPFAIL,
            ) from None
        origin, subject = conversation.origin, _about(request)
        now = {"masked": masked}
        audit.record(
            origin, AuditedChange("trace_begin", subject=subject, now=now, seconds=seconds)
        )
        loop = asyncio.get_running_loop()
        gone = loop.create_task(_wait(conversation, ready.set))
        try:
            addresses = sorted(wanted.addresses)
            await conversation.event({"kind": "begun", "seconds": seconds, "addresses": addresses})
            await _pass_on(session, conversation, ready, loop.time() + seconds, masked)
        finally:
            traces.end(session)
            gone.cancel()
            counts = {"seen": session.seen, "calls": session.begun}
            audit.record(origin, AuditedChange("trace_end", subject=subject, now=counts))
        return {"seen": session.seen, "calls": session.begun, "left_out": session.left_out}

    return trace


def _about(request: Mapping[str, Json]) -> dict[str, Json]:
    """The filter as it was asked for."""
    wanted = {name: request.get(name) for name in ("call_id", "from", "endpoint", "peer")}
    return {name: value for name, value in wanted.items() if value is not None}


async def _wait(conversation: Conversation, then: Callable[[], None]) -> None:
    await conversation.closed.wait()
    then()


async def _pass_on(
    session: TraceSession,
    conversation: Conversation,
    ready: asyncio.Event,
    end: float,
    masked: bool,
) -> None:
    """Send sightings until the time is over.

    Raises ConversationGone without a reader, ControlRefusal if the trace has failed.
    """
    loop = asyncio.get_running_loop()
    reported = 0
    while not conversation.closed.is_set():
        ready.clear()
        for _ in range(_AT_ONCE):
            sighting = session.take()
            if sighting is None:
                break
            await conversation.event(to_json(sighting, masked=masked))
        else:
            await asyncio.sleep(0)
            ready.set()
        if session.left_out != reported:
            reported = session.left_out
            await conversation.event({"kind": "left_out", "number": reported})
        if session.failed:
            raise ControlRefusal(
                "the trace failed: the daemon's log says more", status=os.EX_SOFTWARE
            )
        left = end - loop.time()
        if left <= 0:
            return
        try:
            async with asyncio.timeout(min(left, _BEAT)):
                await ready.wait()
        except TimeoutError:
            await conversation.event({"kind": "alive"})


def read_filter(request: Mapping[str, Json]) -> Filter:
    """The filter of a request.

    Raises:
        ControlRefusal: the request has no filter, or an invalid one.
    """
    call_id, caller = _text(request, "call_id"), _text(request, "from")
    endpoint, peer = _text(request, "endpoint"), _text(request, "peer")
    if (call_id, caller, endpoint, peer) == (None,) * 4:
        raise _refusal(
            "whose messages? Name a caller (from), a Call-ID (call_id), an endpoint or a peer"
        )
    return Filter(
        call_id=None if call_id is None else call_id.encode(),
        caller=None if caller is None else caller.encode().lower(),
        endpoint=None if endpoint is None else _endpoint(endpoint),
        peer=None if peer is None else _peer(peer),
    )


def _endpoint(text: str) -> bytes:
    """`:user@host` in lower case."""
    scheme = "" if text.lower().startswith(("sip:", "sips:")) else "sip:"
    with contextlib.suppress(SipError):
        uri = parse_uri((scheme + text).encode())
        if uri.user is not None:
            return b":%b@%b" % (uri.user.lower(), uri.host.lower())
    raise _refusal(f"{text!r} is no endpoint's SIP address: sip:USER@HOST")


def _peer(text: str) -> str:
    """An IP address in its usual spelling, or a host name in lower case."""
    if is_address(text):
        return str(ip_address(text))
    name = text.lower().removesuffix(".")
    if _HOST_NAME.match(name):
        return name
    raise _refusal(f"{text!r} is neither an IP address nor a host name")


def _text(request: Mapping[str, Json], name: str) -> str | None:
    value = request.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        raise _refusal(f"{name} is to be a text of 1 to {_MAX_TEXT} characters")
    if not value.isprintable():  # no call has such characters, nor lone surrogates
        raise _refusal(f"{name} has characters in it that can't be printed")
    return value


def _refusal(why: str) -> ControlRefusal:
    return ControlRefusal(why, status=USAGE_ERROR)
