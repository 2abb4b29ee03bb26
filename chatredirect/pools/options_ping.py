"""Sends one OPTIONS to one target, to see whether it works (RFC 3261 §11).

Over UDP it is retransmitted (RFC 3261 §17.1.2.2), so one lost datagram is no lost ping.
"""

import asyncio

from chatredirect import __version__
from chatredirect.client.own_requests import Resending, new_branch, new_call_id, new_tag
from chatredirect.client.wire import Connect, Wire
from chatredirect.net.target import Target
from chatredirect.pools.health import PingOutcome
from chatredirect.runtime.wording import error_text
from chatredirect.sip.client_request import ClientRequest, answers, hostport, via
from chatredirect.sip.message import Response

RETRY_ELSEWHERE = 503
"""Service Unavailable: the one response after which a target counts as down (RFC 3261 §21.5.4)."""


async def ping(target: Target, connect: Connect, seconds: float) -> tuple[PingOutcome, str]:
    """Ping a target; the outcome, also as text. Raises nothing for what the target does.

    Args:
        target: the target.
        connect: makes a wire to it.
        seconds: the time limit.
    """
    try:
        async with asyncio.timeout(seconds):
            wire = await connect(target)
            try:
                response = await _transaction(wire, options(target, wire.local))
            finally:
                wire.close()
    except TimeoutError:
        return PingOutcome.LOST, f"no response within {seconds:.3g} s"
    except OSError as error:
        return PingOutcome.LOST, error_text(error)
    reason = response.reason.decode("ascii", "replace")
    text = f"{response.status} {reason}"[:80].strip()
    outcome = PingOutcome.LOST if response.status == RETRY_ELSEWHERE else PingOutcome.ANSWERED
    return outcome, "".join(c if c.isprintable() else "?" for c in text)


async def _transaction(wire: Wire, request: ClientRequest) -> Response:
    """A non-INVITE client transaction (RFC 3261 §17.1.2), as far as a ping needs one."""
    data = request.write()
    wire.send(data)
    resending = None if wire.reliable else asyncio.create_task(_resend(wire, data))
    try:
        while True:
            message = await wire.receive()
            # a provisional response doesn't say yet whether the target works
            if not isinstance(message, Response) or message.status < 200:
                continue
            if answers(message, request):
                return message
    finally:
        if resending is not None:
            resending.cancel()


async def _resend(wire: Wire, data: bytes) -> None:
    timer = Resending(invite=False, reliable=wire.reliable)
    while True:
        await asyncio.sleep(timer.pause)
        try:
            wire.send(data)
        except OSError:
            return  # `receive` raises it as well
        timer.sent()


def options(target: Target, local: tuple[str, int]) -> ClientRequest:
    """The OPTIONS request (RFC 3261 §11.1); `local` is its source address and port."""
    transport = target.transport.encode("ascii")
    parameter = b"" if transport == b"udp" else b";transport=" + transport
    uri = b"sip:%b%b" % (hostport(target.host, target.port), parameter)
    own = hostport(local[0], None)
    return ClientRequest(
        b"OPTIONS",
        uri,
        via(target.transport, hostport(*local), new_branch()),
        b"<sip:chatredirect@%b>;tag=%b" % (own, new_tag()),
        b"<%b>" % uri,
        new_call_id(),
        1,
        fields=(
            (b"User-Agent", b"chatredirect/" + __version__.encode("ascii")),
            (b"Accept", b"application/sdp"),
        ),
    )
