"""One OPTIONS to one target, and whether its answer says that it works (RFC 3261 §11).

How bytes get there is a `Connect`, one for each transport (`chatredirect.client.wire`). A ping over
UDP is sent again as RFC 3261 §17.1.2.2 says, so one lost datagram is no lost ping.
"""

import asyncio
import secrets
from dataclasses import dataclass

from chatredirect import __version__
from chatredirect.client.wire import Connect, Wire
from chatredirect.dns.target import Target
from chatredirect.health import Outcome
from chatredirect.oserror import words
from chatredirect.sip import headers
from chatredirect.sip.errors import SipError
from chatredirect.sip.message import Response

T1 = 0.5
T2 = 4.0
"""Seconds: the first and the longest pause between retransmissions (RFC 3261 §17.1.2.2)."""
RETRY_ELSEWHERE = 503
"""Service Unavailable: the one answer that says that the target doesn't work (RFC 3261 §21.5.4)."""


@dataclass(frozen=True, slots=True)
class PingId:
    """What tells one ping's answer from everything else: 64 random bits and more."""

    branch: str
    call_id: str
    tag: str

    @classmethod
    def new(cls) -> "PingId":
        """One that nobody has had before (RFC 3261 §8.1.1.7, §8.1.1.4, §19.3)."""
        return cls("z9hG4bK" + secrets.token_hex(8), secrets.token_hex(12), secrets.token_hex(6))


async def ping(
    target: Target, connect: Connect, seconds: float, ping_id: PingId | None = None
) -> tuple[Outcome, str]:
    """Ping a target; what came of it, also in words. Never raises for what the target does.

    Args:
        target: whom.
        connect: how to get there.
        seconds: for all of it.
        ping_id: a new one unless given.
    """
    try:
        async with asyncio.timeout(seconds):
            wire = await connect(target)
            try:
                response = await _transaction(wire, target, ping_id or PingId.new())
            finally:
                wire.close()
    except TimeoutError:
        return Outcome.LOST, f"no response within {seconds:.3g} s"
    except OSError as error:
        return Outcome.LOST, words(error)
    reason = response.reason.decode("ascii", "replace")
    told = f"{response.status} {reason}"[:80].strip()
    outcome = Outcome.LOST if response.status == RETRY_ELSEWHERE else Outcome.ANSWERED
    return outcome, "".join(c if c.isprintable() else "?" for c in told)


async def _transaction(wire: Wire, target: Target, ping_id: PingId) -> Response:
    """A non-INVITE client transaction (RFC 3261 §17.1.2), as far as a ping needs one."""
    request = options(target, wire.local, ping_id)
    wire.send(request)
    resending = None if wire.reliable else asyncio.create_task(_resend(wire, request))
    try:
        while True:
            message = await wire.receive()
            # a provisional response says that somebody is there, not yet whether he works
            if not isinstance(message, Response) or message.status < 200:
                continue
            if _answers(message, ping_id):
                return message
    finally:
        if resending is not None:
            resending.cancel()


async def _resend(wire: Wire, request: bytes) -> None:
    pause = T1
    while True:
        await asyncio.sleep(pause)
        try:
            wire.send(request)
        except OSError:
            return  # who waits for the answer hears of it
        pause = min(2 * pause, T2)


def options(target: Target, local: tuple[str, int], ping_id: PingId) -> bytes:
    """The request (RFC 3261 §11.1). `local` is the address and port that it is sent from."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    parameter = "" if target.transport == "udp" else f";transport={target.transport}"
    uri = f"sip:{host}:{target.port}{parameter}"
    own = f"[{local[0]}]" if ":" in local[0] else local[0]
    return (
        f"OPTIONS {uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/{target.transport.upper()} {own}:{local[1]}"
        f";branch={ping_id.branch};rport\r\n"
        "Max-Forwards: 70\r\n"
        f"From: <sip:chatredirect@{own}>;tag={ping_id.tag}\r\n"
        f"To: <{uri}>\r\n"
        f"Call-ID: {ping_id.call_id}\r\n"
        "CSeq: 1 OPTIONS\r\n"
        f"User-Agent: chatredirect/{__version__}\r\n"
        "Accept: application/sdp\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode("ascii")


def _answers(response: Response, ping_id: PingId) -> bool:
    """Whether a response is the ping's: branch and CSeq method (RFC 3261 §17.1.3), and Call-ID."""
    if response.call_id != ping_id.call_id.encode() or not response.vias or response.cseq is None:
        return False
    try:
        branch = headers.param(headers.read_via(response.vias[0]).params, b"branch")
        return branch == ping_id.branch.encode() and headers.read_cseq(response.cseq) == (
            1,
            b"OPTIONS",
        )
    except SipError:
        return False
