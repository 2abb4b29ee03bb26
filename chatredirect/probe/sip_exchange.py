"""Client transactions on one wire; each message is reported as a step.

A client transaction (RFC 3261 §17.1) as far as a probe needs it: send the request, retransmit it
while there is no response, end with the first final response, and acknowledge an INVITE's. Other
messages are answered or ignored, and always reported.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from chatredirect.client.own_requests import Resending, new_branch
from chatredirect.client.wire import Wire
from chatredirect.net.target import Target
from chatredirect.sip.client_request import ClientRequest, ack, answers, hostport, via
from chatredirect.sip.errors import SipError
from chatredirect.sip.message import HEAD_END, Message, Request, Response, read_topmost_via
from chatredirect.sip.response import Peer, respond, stamp, status_line

MAX_INFORMED = 16
"""INFO bodies that are kept."""

_UNDERSTOOD = frozenset((b"NOTIFY", b"BYE", b"OPTIONS", b"INFO", b"MESSAGE"))
_NEVER_ANSWERED = frozenset((b"ACK", b"BENOTIFY"))
_NOT_IMPLEMENTED = status_line(501, "Not Implemented")


@dataclass(frozen=True, slots=True)
class ExchangeStep:
    """One message of an exchange.

    Attributes:
        seconds: since the exchange began.
        summary: method, or status code and reason phrase, as in the message.
        remark: for people, `again` for instance; mostly empty.
        message: the whole message; empty if it was no SIP message.
    """

    seconds: float
    sent: bool
    peer: Target
    summary: bytes
    remark: str
    message: bytes


@dataclass(slots=True, eq=False)
class NoAnswerError(Exception):
    """No final response came in time; `provisional` tells whether a provisional one did."""

    sent: int
    provisional: bool


class SipExchange:
    """Requests and responses on one wire.

    Attributes:
        target: the other end of the wire.
        local: our own address and port, for Via and Contact.
        secured: the TLS session; None without TLS.
        notified: whether the target has sent a NOTIFY.
        informed: the bodies of the INFOs that the target has sent, the first few.
    """

    def __init__(
        self, wire: Wire, target: Target, report: Callable[[ExchangeStep], None], begun: float
    ) -> None:
        """Begin; `begun` is the start by the event loop's clock, and `close` closes the wire."""
        self._wire = wire
        self.target = target
        self.local = hostport(*wire.local)
        self.secured = wire.secured
        self._report = report
        self._begun = begun
        self._now = asyncio.get_running_loop().time
        self._requests: dict[ClientRequest, bool] = {}  # sent -> whether it has a final response
        self._acks: dict[ClientRequest, Callable[[], None]] = {}
        self.notified = False
        self.informed: list[bytes] = []

    def new_via(self) -> bytes:
        """A Via value for a new transaction on this wire."""
        return via(self.target.transport, self.local, new_branch())

    def close(self) -> None:
        """Close the wire."""
        self._wire.close()

    def send(self, request: ClientRequest, remark: str = "") -> None:
        """Send a request once. Raises OSError."""
        if request.method != b"ACK":  # which nothing answers
            self._requests.setdefault(request, False)
        self._send(request.write(), request.method, remark)

    async def transact(self, request: ClientRequest, until: float) -> Response:
        """Send a request and wait for its final response; an INVITE's other than 2xx gets an ACK.

        Args:
            request: the request.
            until: by the event loop's clock.

        Raises:
            NoAnswerError: none came in time.
            OSError: the wire is broken.
        """
        self.send(request)
        resending = Resending(invite=request.method == b"INVITE", reliable=self._wire.reliable)
        return await self.final(request, until, resending)

    async def final(
        self, request: ClientRequest, until: float, resending: Resending | None = None
    ) -> Response:
        """Wait for the final response to a request that was sent before; see `transact`."""
        none = NoAnswerError(1, False)
        resending = resending or Resending(invite=False, reliable=True)
        sent_at = self._now()
        while self._now() < until:
            received = await self._receive(min(sent_at + resending.pause, until))
            if received is not None:
                response = self._take(received, request)
                if response is not None and response.status >= 200:
                    return response
                if response is not None:
                    none.provisional = True
                    resending.provisional()
            elif self._now() < until:
                none.sent += 1
                self.send(request, "again")
                sent_at = self._now()
                resending.sent()
        raise none

    async def listen(self, until: float, enough: Callable[[], bool]) -> None:
        """Receive messages until a time, or until `enough` returns True."""
        while self._now() < until and not enough():
            received = await self._receive(until)
            if received is not None:
                self._take(received, None)

    def confirm(self, invite: ClientRequest, send_ack: Callable[[], None]) -> None:
        """Send the ACK of a 2xx, now and whenever the 2xx comes again (RFC 3261 §13.2.2.4)."""
        self._acks[invite] = send_ack
        send_ack()

    async def _receive(self, until: float) -> Message | SipError | None:
        try:
            async with asyncio.timeout_at(until) as timeout:
                return await self._wire.receive()
        except TimeoutError:
            if timeout.expired():
                return None
            raise  # the connection's own: it is an OSError

    def _take(self, received: Message | SipError, awaited: ClientRequest | None) -> Response | None:
        """Report a message and react to it; return it if it is the awaited response."""
        if isinstance(received, SipError):
            self._step(False, b"", f"no SIP: {received}", b"")
            return None
        if isinstance(received, Request):
            self._received(received, received.method, "")
            self._answer(received)
            return None
        summary = b"%d %b" % (received.status, received.reason)
        request = next((each for each in self._requests if answers(received, each)), None)
        if request is None:
            self._received(received, summary, "answers something else")
            return None
        remark = "again" if self._requests[request] else ""
        if received.fault is not None:
            remark = str(received.fault)
        self._received(received, summary, remark)
        if received.status >= 200:
            self._requests[request] = True
        if request.method == b"INVITE" and received.status >= 300:
            self.send(ack(request, received))
        elif 200 <= received.status < 300 and request in self._acks:
            self._acks[request]()
        return received if request == awaited else None

    def _answer(self, request: Request) -> None:
        self.notified |= request.method == b"NOTIFY"
        if request.method == b"INFO" and len(self.informed) < MAX_INFORMED:
            self.informed.append(request.body)
        topmost = read_topmost_via(request)
        if request.method in _NEVER_ANSWERED or topmost is None:
            return
        source = Peer(self.target.address.encode("ascii"), self.target.port)
        line = status_line(200) if request.method in _UNDERSTOOD else _NOT_IMPLEMENTED
        stamped = stamp(request.vias[0], topmost, source)
        self._send(respond(request, line, stamped, b""), line.removeprefix(b"SIP/2.0 "), "")

    def _received(self, message: Message, summary: bytes, remark: str) -> None:
        self._step(False, summary, remark, message.head + HEAD_END + message.body)

    def _send(self, data: bytes, summary: bytes, remark: str) -> None:
        self._wire.send(data)
        self._step(True, summary, remark, data)

    def _step(self, sent: bool, summary: bytes, remark: str, message: bytes) -> None:
        seconds = self._now() - self._begun
        self._report(ExchangeStep(seconds, sent, self.target, summary, remark, message))
