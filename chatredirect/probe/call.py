"""One request to one target, and the requests that must follow its response.

The probe ends an accepted call with BYE (RFC 3261 §15.1.1), cancels one that only rings (§9.1), and
waits for a subscription's last NOTIFY (RFC 6665 §4.4.1), so that it leaves no state at the target.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from chatredirect import __version__
from chatredirect.client.own_requests import new_call_id, new_tag
from chatredirect.client.tls import NotSecureError, Secured, hint
from chatredirect.client.wire import Connect
from chatredirect.config.fields import Family
from chatredirect.net.addresses import Transport
from chatredirect.net.target import PoolAddress, Target
from chatredirect.probe.sip_exchange import ExchangeStep, NoAnswerError, SipExchange
from chatredirect.runtime.wording import error_text
from chatredirect.sip import xccos
from chatredirect.sip.client_request import ClientRequest, cancel
from chatredirect.sip.dialog import ClientDialog
from chatredirect.sip.message import Response
from chatredirect.sip.uri import parse_uri
from chatredirect.sip.xccos import ChannelReply
from chatredirect.usage.probe_proof import FIELD, PRODUCT, proof_of

_FIELDS: dict[bytes, tuple[tuple[bytes, bytes], ...]] = {
    b"INVITE": (
        (b"Allow", b"INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY"),
        (b"Content-Type", b"application/sdp"),
    ),
    # Expires 0 asks once and leaves no subscription behind (RFC 6665 §4.4.3)
    b"SUBSCRIBE": (
        (b"Event", b"presence"),
        (b"Accept", b"application/pidf+xml"),
        (b"Expires", b"0"),
    ),
    b"OPTIONS": ((b"Accept", b"application/sdp"),),
}

MAX_STEPS = 200
"""Messages of one attempt that are reported; a target may send any number."""
AFTERWARDS = 1.0
"""Seconds to wait for a NOTIFY, or for the final response after CANCEL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """What to send, and where.

    Attributes:
        method: `INVITE`, `SUBSCRIBE` or `OPTIONS`.
        via: where to send it; None to let the URI decide.
        tls_name: the name that the certificate must have; None for the host's name.
        from_uri: the From URI; None for one with our own address.
        seconds: time limit for each target's final response, and for the resolution of each name.
        follow: whether to go on to the Contacts of a 3xx.
        lookup: whether to ask for a channel service once the INVITE is accepted.
        prefer: the address family that is tried first.
        nonce: the daemon's, so that its ledger doesn't count the probe as a user; may be empty.
    """

    method: bytes
    uri: bytes
    via: PoolAddress | None = None
    tls_name: str | None = None
    from_uri: bytes | None = None
    seconds: float = 5.0
    follow: bool = False
    lookup: bool = False
    prefer: Family = "ipv4"
    nonce: str = ""


@dataclass(slots=True)
class Caller:
    """The caller of a plan: the same From, To and Call-ID in every request (RFC 3261 §8.1.3.4)."""

    plan: ProbePlan
    _tag: bytes = field(default_factory=new_tag)
    _call_id: bytes = field(default_factory=new_call_id)
    _number: int = 0
    _from_uri: bytes | None = None

    def request(self, uri: bytes, exchange: SipExchange) -> ClientRequest:
        """The next request, with this Request-URI, for this exchange's wire."""
        self._number += 1
        local = exchange.local
        host = local.rpartition(b":")[0]
        if self._from_uri is None:
            self._from_uri = self.plan.from_uri or b"sip:probe@" + host
        transport = exchange.target.transport.encode("ascii")
        contact = b"<sip:probe@%b;transport=%b>" % (local, transport)
        if parse_uri(uri).scheme == b"sips":  # so must be our Contact (RFC 3261 §8.1.1.8)
            contact = b"<sips:probe@%b>" % local
        return ClientRequest(
            self.plan.method,
            uri.removesuffix(parse_uri(uri).headers),  # header fields never go along (§19.1.1)
            exchange.new_via(),
            b"<%b>;tag=%b" % (self._from_uri, self._tag),
            b"<%b>" % _address(self.plan.uri),
            self._call_id,
            self._number,
            fields=(
                (b"Contact", contact),
                (b"User-Agent", f"{PRODUCT}/{__version__}".encode("ascii")),
                *_FIELDS[self.plan.method],
                *self._proof(),
            ),
            body=_session(host) if self.plan.method == b"INVITE" else b"",
        )

    def _proof(self) -> tuple[tuple[bytes, bytes], ...]:
        if not self.plan.nonce:
            return ()
        return ((FIELD, proof_of(self.plan.nonce, self._call_id)),)


@dataclass(slots=True)
class CallAttempt:
    """One request to one target, and its result.

    Attributes:
        local: our own address and port; empty if there was no connection.
        secured: the TLS session; None without TLS.
        more: how many messages were left out of `steps`.
        response: the final response; None if none came.
        error: why there is no final response, for people; empty if there is one.
        hint: what a person may check; may be empty.
        notes: what else went wrong.
        found: the result of a lookup; None without one.
    """

    uri: bytes
    target: Target
    local: str = ""
    secured: Secured | None = None
    steps: list[ExchangeStep] = field(default_factory=list)
    more: int = 0
    response: Response | None = None
    error: str = ""
    hint: str = ""
    notes: list[str] = field(default_factory=list)
    found: ChannelReply | None = None


#: The target of a URI; None if it can't be found.
Locate: TypeAlias = Callable[[bytes], Awaitable[Target | None]]


@dataclass(slots=True)
class Call:
    """Makes one `CallAttempt`.

    Attributes:
        attempt: filled in by `make`.
        locate: finds the target of requests within a dialog.
        connected: called when `attempt.local` is known.
        report: called with each step that is kept.
    """

    plan: ProbePlan
    caller: Caller
    attempt: CallAttempt
    connects: Mapping[Transport, Connect]
    locate: Locate
    connected: Callable[[], None]
    report: Callable[[ExchangeStep], None]
    _now: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)

    async def make(self) -> None:
        """Make the call. Raises nothing for what the target does."""
        attempt = self.attempt
        until = self._now() + self.plan.seconds
        exchange = None
        try:
            exchange = await self._connect(attempt.target, until)
            attempt.local = exchange.local.decode("ascii")
            attempt.secured = exchange.secured
            self.connected()
            request = self.caller.request(attempt.uri, exchange)
            await self._exchange(exchange, request, until)
        except NotSecureError as failure:
            attempt.error, attempt.hint = failure.why, hint(failure, attempt.target)
        except OSError as error:
            attempt.error = error_text(error)
            if isinstance(error, ConnectionRefusedError):
                attempt.hint = "Nothing listens there: is the daemon running?"
        finally:
            if exchange is not None:
                exchange.close()

    async def _connect(self, target: Target, until: float) -> SipExchange:
        begun = self._now()
        try:
            async with asyncio.timeout_at(until) as timeout:
                wire = await self.connects[target.transport](target)
        except TimeoutError:
            if not timeout.expired():
                raise  # the system's own, which came earlier
            raise TimeoutError(f"no connection within {self.plan.seconds:g} s") from None
        return SipExchange(wire, target, self._step, begun)

    async def _exchange(self, exchange: SipExchange, request: ClientRequest, until: float) -> None:
        attempt = self.attempt
        try:
            response = await exchange.transact(request, until)
        except NoAnswerError as none:
            self._report_silence(none)
            if none.provisional and request.method == b"INVITE":
                await self._cancel(exchange, request)
            return
        attempt.response = response
        if not 200 <= response.status < 300:
            return
        if request.method == b"INVITE":
            await self._hang_up(exchange, request, response)
        elif request.method == b"SUBSCRIBE":
            with suppress(OSError):  # the response is there: a failure after it doesn't matter
                await exchange.listen(self._now() + AFTERWARDS, lambda: exchange.notified)

    def _report_silence(self, none: NoAnswerError) -> None:
        attempt = self.attempt
        within = f"within {self.plan.seconds:g} s"
        if none.provisional:
            attempt.error = f"no final answer {within}"
            return
        times = f", asked {none.sent} times" if none.sent > 1 else ""
        attempt.error = f"no answer {within}{times}"
        if not all(step.sent for step in attempt.steps):
            attempt.hint = "What came answers something else, or is no SIP."
        elif attempt.target.transport == "udp":
            attempt.hint = "Is the daemon running there, and does every firewall let UDP through?"
        else:
            attempt.hint = "Something listens there, but is it a SIP server?"

    async def _cancel(self, exchange: SipExchange, invite: ClientRequest) -> None:
        try:
            exchange.send(cancel(invite))
            response = await exchange.final(invite, self._now() + AFTERWARDS)
        except (NoAnswerError, OSError):
            self.attempt.notes.append("nothing ended it after CANCEL: it may still be ringing")
            return
        if response.status < 300:  # it was accepted just then
            await self._hang_up(exchange, invite, response)

    async def _hang_up(
        self, exchange: SipExchange, invite: ClientRequest, response: Response
    ) -> None:
        """Send ACK and BYE by the dialog's route set (RFC 3261 §12.2.1.1)."""
        dialog = ClientDialog.of(invite, response)
        within = await self._within(exchange, dialog)
        acknowledgement = dialog.request(b"ACK", invite.cseq, within.new_via())
        number = invite.cseq + 1
        try:
            exchange.confirm(invite, lambda: within.send(acknowledgement))
            if self.plan.lookup:
                await self._look_up(within, dialog, number)
                number += 1
            bye = dialog.request(b"BYE", number, within.new_via())
            await within.transact(bye, self._now() + self.plan.seconds)
        except NoAnswerError:
            self.attempt.notes.append(f"BYE: no answer within {self.plan.seconds:g} s")
        except OSError as error:
            self.attempt.notes.append(f"BYE: {error_text(error)}")
        finally:
            if within is not exchange:
                within.close()

    async def _look_up(self, within: SipExchange, dialog: ClientDialog, number: int) -> None:
        """INFO with the command, then the target's INFO with its reply (MS-XCCOSIP)."""
        info = replace(
            dialog.request(b"INFO", number, within.new_via()),
            fields=((b"Content-Type", xccos.CONTENT_TYPE),),
            body=xccos.write_command(number),
        )
        attempt, until = self.attempt, self._now() + self.plan.seconds
        try:
            response = await within.transact(info, until)
        except NoAnswerError:
            attempt.found = ChannelReply("", f"INFO: no answer within {self.plan.seconds:g} s")
            return
        if response.status >= 300:
            reason = response.reason.decode("utf-8", "backslashreplace")
            attempt.found = ChannelReply("", f"INFO: {response.status} {reason}")
            return

        def read() -> ChannelReply | None:
            replies = (xccos.read_reply(body, number) for body in within.informed)
            return next((reply for reply in replies if reply is not None), None)

        await within.listen(until, lambda: read() is not None)
        attempt.found = read() or ChannelReply("", f"no reply within {self.plan.seconds:g} s")

    async def _within(self, exchange: SipExchange, dialog: ClientDialog) -> SipExchange:
        """The exchange for a dialog's requests: a new one if they go to another target."""
        target = await self.locate(dialog.next_hop)
        if target is None or exchange.target.key[:3] == target.key[:3]:  # whatever its TLS name
            return exchange
        try:
            return await self._connect(target, self._now() + self.plan.seconds)
        except OSError as error:
            why = error_text(error)
            self.attempt.notes.append(f"{target}, where ACK and BYE should go: {why}")
        return exchange

    def _step(self, step: ExchangeStep) -> None:
        attempt = self.attempt
        if len(attempt.steps) >= MAX_STEPS:
            attempt.more += 1
            return
        attempt.steps.append(step)
        self.report(step)


def _address(uri: bytes) -> bytes:
    """A URI for a To header field: without port and parameters (RFC 3261 §19.1.1, table 1)."""
    parts = parse_uri(uri)
    user = b"" if parts.user is None else parts.user + b"@"
    return b"%b:%b%b" % (parts.scheme, user, parts.host)


def _session(host: bytes) -> bytes:
    """The session that Office Communicator's clients offer: text messages over SIP."""
    address = host.strip(b"[]")
    family = b"IP6" if b":" in address else b"IP4"
    return (
        b"v=0\r\no=- 0 0 IN %b %b\r\ns=session\r\nc=IN %b %b\r\nt=0 0\r\n"
        b"m=message 5060 sip null\r\na=accept-types:text/plain\r\n"
    ) % (family, address, family, address)
