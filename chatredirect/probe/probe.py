"""A probe: sends a request, and follows its redirection to the Contacts.

Targets of a host are tried in turn until one answers (RFC 3263 §4.3). The Contacts of a 3xx are
followed by RFC 3261 §8.1.3.4: the best first, each URI once, with the same From, To and Call-ID.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from typing import Protocol

from chatredirect.client.next_hop import next_hop
from chatredirect.client.wire import Connect
from chatredirect.dns.order import Order
from chatredirect.dns.resolver import Resolver
from chatredirect.net.addresses import Transport
from chatredirect.net.target import PoolAddress, Target
from chatredirect.probe.call import Call, CallAttempt, Caller, ProbePlan
from chatredirect.probe.sip_exchange import ExchangeStep
from chatredirect.sip.client_request import addresses, by_quality
from chatredirect.sip.errors import SipError
from chatredirect.sip.message import Response
from chatredirect.sip.uri import SipUri, equivalent, parse_uri
from chatredirect.sip.xccos import ChannelReply

MAX_HOPS = 5
"""Redirections, one after the other, that are followed."""
MAX_ATTEMPTS = 16
"""Targets that are tried in all."""
MAX_CONTACTS = 16
"""Contacts of one response that are used."""
_RETRY_ELSEWHERE = 503


class Ending(Enum):
    """How a probe ended."""

    ANSWERED = "answered"  # 2xx, or 3xx without --follow
    REFUSED = "refused"  # another final response, or no Contact leads on
    UNREACHED = "unreached"  # no final response


@dataclass(frozen=True, slots=True)
class Lead:
    """A URI and its targets.

    Attributes:
        uri: as in the Contact, or as the user wrote it.
        hop: the host that was resolved; None if there is none.
        targets: in the order in which they are tried.
        why: why there are no targets; empty if there are.
        notes: what DNS answered that can't be used.
    """

    uri: bytes
    hop: PoolAddress | None
    targets: tuple[Target, ...] = ()
    why: str = ""
    notes: tuple[str, ...] = ()


class Watcher(Protocol):
    """Gets a report of each step while the probe runs."""

    def lost(self, lead: Lead) -> None:
        """A URI has no targets."""

    def connected(self, attempt: CallAttempt) -> None:
        """A connection is established; the request is sent next."""

    def step(self, attempt: CallAttempt, step: ExchangeStep) -> None:
        """A message was sent or received."""

    def ended(self, attempt: CallAttempt) -> None:
        """The attempt is over; it may never have been connected."""

    def leads(self, leads: list[Lead]) -> None:
        """The Contacts of the last response."""

    def found(self, lead: Lead) -> None:
        """A lookup ended: where the channel service is, or why it isn't known."""

    def stopped(self, why: str) -> None:
        """A redirection isn't followed."""


@dataclass(slots=True)
class Probe:
    """One run of a probe; `watcher` gets a report of every step."""

    plan: ProbePlan
    resolver: Resolver
    watcher: Watcher
    connects: Mapping[Transport, Connect]
    _attempts: int = 0
    _reply: ChannelReply | None = None
    _visited: list[SipUri] = field(default_factory=list)

    async def run(self) -> Ending:
        """Run the probe. Raises nothing for what peers do.

        Raises:
            ValueError: the plan's URI leads nowhere.
        """
        uri = parse_uri(self.plan.uri)
        start = self.plan.via or next_hop(uri)
        caller = Caller(self.plan)
        self._visited.append(uri)
        # leads that may be asked, each after so many redirections; the next one is the last
        waiting = [(self._named(await self._resolve(self.plan.uri, start)), 0)]
        ending = Ending.UNREACHED
        while waiting and self._attempts < MAX_ATTEMPTS:
            lead, hops = waiting.pop()
            response = await self._ask(lead, caller)
            if response is None:
                ending = Ending.UNREACHED
                continue
            leads = await self._leads(response)
            if leads:
                self.watcher.leads(leads)
            if response.status < 300:
                return await self._found() if self.plan.lookup else Ending.ANSWERED
            if response.status >= 400:
                ending = Ending.REFUSED
                if response.status >= 600:  # §21.6: nowhere else either
                    return ending
                continue
            if not self.plan.follow:
                if self.plan.lookup:
                    self.watcher.found(Lead(b"", None, why="it redirects: see --follow"))
                    return Ending.REFUSED
                return Ending.ANSWERED
            ending = Ending.REFUSED
            waiting += reversed(self._to_follow(leads, hops + 1))
        return ending

    async def _ask(self, lead: Lead, caller: Caller) -> Response | None:
        """Send the request to a URI's targets in turn, until one answers."""
        if not lead.targets:
            self.watcher.lost(lead)
        response = None
        for target in lead.targets:
            if self._attempts >= MAX_ATTEMPTS:
                self.watcher.stopped(f"{MAX_ATTEMPTS} targets have been tried: that's enough")
                break
            self._attempts += 1
            attempt = CallAttempt(lead.uri, target)
            await Call(
                self.plan,
                caller,
                attempt,
                self.connects,
                self._first_target,
                partial(self.watcher.connected, attempt),
                partial(self.watcher.step, attempt),
            ).make()
            self._reply = attempt.found
            self.watcher.ended(attempt)
            response = attempt.response or response
            if attempt.response is not None and attempt.response.status != _RETRY_ELSEWHERE:
                break
        return response

    async def _found(self) -> Ending:
        """Report the lookup's result and where its URI leads."""
        reply = self._reply or ChannelReply("", "there was no lookup")
        if not reply.uri:
            self.watcher.found(Lead(b"", None, why=reply.why))
            return Ending.REFUSED
        self.watcher.found(await self._lead(reply.uri.encode()))
        return Ending.ANSWERED

    async def _leads(self, response: Response) -> list[Lead]:
        contacts = by_quality(addresses(response, "Contact"))[:MAX_CONTACTS]
        return await asyncio.gather(*(self._lead(contact.uri) for contact in contacts))

    async def _lead(self, text: bytes) -> Lead:
        try:
            hop = next_hop(parse_uri(text))
        except SipError as error:
            return Lead(text, None, why=f"leads nowhere: {error.reason}")
        except ValueError as error:
            return Lead(text, None, why=f"leads nowhere: {error}")
        return await self._resolve(text, hop)

    async def _resolve(self, uri: bytes, hop: PoolAddress) -> Lead:
        try:
            async with asyncio.timeout(self.plan.seconds):
                located = await self.resolver.locate(hop)
        except TimeoutError:
            why = f"{hop} doesn't resolve: no answer from DNS within {self.plan.seconds:g} s"
            return Lead(uri, hop, why=why)
        # the caller decides the order among equals, as it does in the daemon
        targets = Order(located.targets, self.plan.prefer).for_caller(self.plan.from_uri or b"")
        why = "" if targets else f"{hop} doesn't resolve: {located.reason}"
        return Lead(uri, hop, targets, why, located.notes)

    def _named(self, lead: Lead) -> Lead:
        """The first lead, with the name that TLS asks for and verifies."""
        name = self.plan.tls_name
        if name is None:
            return lead
        return replace(lead, targets=tuple(replace(each, domain=name) for each in lead.targets))

    async def _first_target(self, text: bytes) -> Target | None:
        lead = await self._lead(text)
        return lead.targets[0] if lead.targets else None

    def _to_follow(self, leads: list[Lead], hops: int) -> list[tuple[Lead, int]]:
        if hops > MAX_HOPS:
            self.watcher.stopped(f"more than {MAX_HOPS} redirections, one after the other")
            return []
        waiting = []
        for lead in leads:
            if lead.hop is None:
                continue  # the report of the Contact says why
            uri = parse_uri(lead.uri)
            if any(equivalent(uri, other) for other in self._visited):
                text = lead.uri.decode("utf-8", "backslashreplace")
                self.watcher.stopped(f"{text} has been asked already: a loop")
                continue
            self._visited.append(uri)
            waiting.append((lead, hops))
        if not leads:
            self.watcher.stopped("a redirection without a Contact")
        return waiting
