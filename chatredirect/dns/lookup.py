"""Looks up one name and type: from the cache, or from one server after the other.

Simultaneous lookups of the same name and type share one query. A lookup ends with an answer or
after `lifetime`. If no server answers, the last good answer serves (RFC 8767).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import dns.exception
import dns.message
import dns.rdatatype

from chatredirect.config import DnsSettings
from chatredirect.dns.answer import Alias, Answer, AnswerError, AnswerKind, read_answer
from chatredirect.dns.cache import Entry, Key, RecordCache
from chatredirect.dns.resolution import DnsCounters, QueryAttempt, ResolutionStep, Source, Trace
from chatredirect.dns.servers import DnsServer, ServerList
from chatredirect.runtime.wording import error_text

MAX_ALIASES = 8
"""Aliases that are followed from answer to answer; within one answer dnspython follows 16."""


class Asker(Protocol):
    """Sends queries to name servers: `DnsExchange`, or a test's fake."""

    async def ask(
        self, server: DnsServer, name: str, rdtype: dns.rdatatype.RdataType
    ) -> tuple[dns.message.Message, bool]:
        """See `DnsExchange.ask`."""

    async def peek(self, server: DnsServer, name: str, rdtype: dns.rdatatype.RdataType) -> bool:
        """See `DnsExchange.peek`."""


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """No server answered, and no old answer may serve; ask again at `retry_at`."""

    reason: str
    retry_at: float


@dataclass(slots=True)
class RecordsFound:
    """An answer, and whether it is outdated.

    Attributes:
        answer: records, NODATA or NXDOMAIN.
        refresh_at: when to ask again.
        stale: why it is outdated; None if it isn't.
    """

    answer: Answer
    refresh_at: float
    stale: str | None


@dataclass(slots=True)
class DnsLookup:
    """Answers from the cache or the servers; `settings` may be replaced."""

    asker: Asker
    cache: RecordCache
    servers: ServerList
    settings: DnsSettings
    clock: Callable[[], float]
    counters: DnsCounters
    _in_flight: dict[Key, asyncio.Future[None]] = field(default_factory=dict)

    def known(self, key: Key, trace: Trace | None = None) -> RecordsFound | LookupFailed | None:
        """The cached answer or failure, without waiting; None if the servers must be asked."""
        now = self.clock()
        entry = self.cache.current(key, now)
        if entry is None:
            return None
        self.counters.cache_hits += 1
        return self._result(key, entry, now, trace, source="cache")

    async def find(
        self, key: Key, fraction: float, trace: Trace | None = None
    ) -> RecordsFound | LookupFailed:
        """Ask the servers. Call `known` first: this doesn't look into the cache.

        Args:
            key: name and type.
            fraction: the part of the TTL after which a refresh is due.
            trace: gets the step.
        """
        while flight := self._in_flight.get(key):
            self.counters.joined += 1
            # cancelling one of those who wait must not take the answer from the others
            await asyncio.shield(flight)
            found = self.known(key, trace)
            if found is not None:
                return found
        flight = self._in_flight[key] = asyncio.get_running_loop().create_future()
        try:
            return await self._fetch(key, fraction, trace)
        finally:
            del self._in_flight[key]
            flight.set_result(None)

    async def peek(self, name: str, rdtype: dns.rdatatype.RdataType) -> bool:
        """Whether a name certainly has records of a type, by one query to one server.

        False says nothing. It takes a fifth of the time of an answer that is parsed, which matters
        when thousands of names are asked for at once.
        """
        server = self.servers.pick(self.clock(), (), self.settings.timeout)
        if server is None:
            return False
        try:
            async with asyncio.timeout(self.settings.timeout):
                there = await self.asker.peek(server, name, rdtype)
        except TimeoutError:
            self.counters.timeouts += 1
            self.servers.silent(server, self.clock())
            return False
        except OSError:
            self.counters.unreachable += 1
            self.servers.silent(server, self.clock(), gone=True)
            return False
        except dns.exception.DNSException:
            return False
        self.servers.answered(server)
        return there

    async def _fetch(
        self, key: Key, fraction: float, trace: Trace | None
    ) -> RecordsFound | LookupFailed:
        attempts: list[QueryAttempt] = []
        began = self.clock()
        try:
            answer = await self._ask_around(key, attempts)
        except AnswerError as fault:
            self.counters.failures += 1
            now = self.clock()
            entry = self.cache.failed(key, str(fault), began, now, fraction)
        else:
            if answer.kind is AnswerKind.RECORDS:
                self.counters.answers += 1
            else:
                self.counters.negatives += 1
            now = self.clock()
            entry = self.cache.answered(key, answer, now, fraction)
        return self._result(key, entry, now, trace, attempts=tuple(attempts))

    def _result(
        self,
        key: Key,
        entry: Entry,
        now: float,
        trace: Trace | None,
        *,
        attempts: tuple[QueryAttempt, ...] = (),
        source: Source = "dns",
    ) -> RecordsFound | LookupFailed:
        result: RecordsFound | LookupFailed
        if entry.answer is None or not self.cache.usable(entry, now):
            result = LookupFailed(entry.failure or "no answer", entry.refresh_at)
        else:
            stale = entry.failure if entry.is_stale(now) else None
            if stale is not None:
                self.counters.stale += 1
                source = "stale"
            result = RecordsFound(entry.answer, entry.refresh_at, stale)
        if trace is not None:
            trace.append(_step(key, result, source, attempts))
        return result

    async def _ask_around(self, key: Key, attempts: list[QueryAttempt]) -> Answer:
        """Ask until a server answers; follow aliases."""
        name, rdtype = key
        ends = self.clock() + self.settings.lifetime
        seen = {name}
        ttl = float("inf")
        while True:
            answer = await self._ask_servers(name, rdtype, ends, attempts)
            if isinstance(answer, Answer):
                if ttl < answer.ttl:
                    return Answer(answer.kind, answer.records, ttl, answer.name, answer.left_out)
                return answer
            # RFC 1034 §3.6.2: the answer of a server that knows only its own zone stops at the
            # alias
            name = answer.name
            ttl = min(ttl, answer.ttl)
            if name in seen or len(seen) > MAX_ALIASES:
                self.counters.malformed += 1
                raise AnswerError("CNAME loop", about_name=True)
            seen.add(name)

    async def _ask_servers(
        self, name: str, rdtype: dns.rdatatype.RdataType, ends: float, attempts: list[QueryAttempt]
    ) -> Answer | Alias:
        """Ask all servers in rounds until one answers, all have refused, or the time is over."""
        refused: list[DnsServer] = []
        last: dict[str, str] = {}
        while True:
            tried = list(refused)
            while server := self.servers.pick(self.clock(), tried, self.settings.timeout):
                timeout = min(self.settings.timeout, ends - self.clock())
                if timeout <= 0:
                    raise self._nobody(last)
                tried.append(server)
                answer = await self._ask_one(server, name, rdtype, timeout, attempts)
                if not isinstance(answer, AnswerError):
                    return answer
                if answer.about_name:
                    refused.append(server)
                last[str(server)] = str(answer)
            if len(tried) == len(refused):  # no server is left that might answer
                raise self._nobody(last)

    async def _ask_one(
        self,
        server: DnsServer,
        name: str,
        rdtype: dns.rdatatype.RdataType,
        seconds: float,
        attempts: list[QueryAttempt],
    ) -> Answer | Alias | AnswerError:
        """Ask one server; after an error that isn't about the name the caller asks the next one."""
        began = self.clock()
        over_tcp = False
        result: Answer | Alias | AnswerError
        try:
            # the loop's clock, not dnspython's, which is the wall clock and steps
            async with asyncio.timeout(seconds):
                message, over_tcp = await self.asker.ask(server, name, rdtype)
            self.servers.answered(server)
            result = read_answer(message, name, rdtype)
            outcome = result.kind.value if isinstance(result, Answer) else "CNAME"
        except TimeoutError:
            self.counters.timeouts += 1
            self.servers.silent(server, self.clock())
            result = AnswerError(f"no answer within {seconds:.2g} s", about_name=False)
        except OSError as error:
            self.counters.unreachable += 1
            self.servers.silent(server, self.clock(), gone=True)
            result = AnswerError(error_text(error), about_name=False)
        except AnswerError as fault:
            # a server that sent garbage would send it again
            self.counters.refusals += 1
            self.servers.answered(server)
            result = AnswerError(str(fault), about_name=True)
        except dns.exception.DNSException as error:
            result = AnswerError(f"can't be asked for ({error})", about_name=True)
        if isinstance(result, AnswerError):
            outcome = str(result)
        elapsed = self.clock() - began
        attempts.append(QueryAttempt(str(server), "tcp" if over_tcp else "udp", outcome, elapsed))
        return result

    def _nobody(self, last: dict[str, str]) -> AnswerError:
        """Why no server answered: each server's outcome, or that all are known to be down."""
        if not len(self.servers):
            return AnswerError("there is no name server to ask", about_name=False)
        if not last:
            names = ", ".join(map(str, self.servers))
            return AnswerError(f"no name server answers ({names})", about_name=False)
        outcomes = ", ".join(f"{server}: {outcome}" for server, outcome in last.items())
        return AnswerError(outcomes, about_name=False)


def _step(
    key: Key,
    result: RecordsFound | LookupFailed,
    source: Source,
    attempts: tuple[QueryAttempt, ...],
) -> ResolutionStep:
    name, rdtype = key
    if isinstance(result, LookupFailed):
        return ResolutionStep(name, rdtype.name, source, result.reason, attempts=attempts)
    answer = result.answer
    return ResolutionStep(
        name,
        rdtype.name,
        source,
        answer.kind.value if result.stale is None else f"{answer.kind.value}, {result.stale}",
        answer.ttl,
        ((f"CNAME {answer.name}.",) if answer.name != name else ())
        + tuple(str(record) for record in answer.records),
        attempts,
    )
