"""Looks up one name and type: from the cache, or from one server after the other.

Lookups of the same name and type at the same time share one question. A question ends with an
answer or after `lifetime`. If no server answers, the last good answer serves (RFC 8767).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import dns.exception
import dns.message
import dns.rdatatype

from chatredirect.dns.answer import Alias, Answer, AnswerError, AnswerKind, read_answer
from chatredirect.dns.cache import Entry, Key, RecordCache
from chatredirect.dns.resolution import DnsCounters, QueryAttempt, ResolutionStep, Source, Trace
from chatredirect.dns.servers import DnsServer, ServerList
from chatredirect.runtime.wording import error_text

MAX_ALIASES = 8
"""Aliases that are followed from answer to answer; within one answer dnspython follows 16."""


class Asker(Protocol):
    """Sends questions to name servers: `DnsExchange`, or a test's fake."""

    async def ask(
        self, server: DnsServer, name: str, rdtype: dns.rdatatype.RdataType
    ) -> tuple[dns.message.Message, bool]:
        """See `DnsExchange.ask`."""

    async def glance(self, server: DnsServer, name: str, rdtype: dns.rdatatype.RdataType) -> bool:
        """See `DnsExchange.glance`."""


class Patience(Protocol):
    """The part of `DnsSettings` that lookups use, in seconds."""

    @property
    def timeout(self) -> float:
        """How long one server gets for one try."""

    @property
    def lifetime(self) -> float:
        """How long the whole lookup may take."""


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """No server answered, and no old answer may serve any more.

    Attributes:
        reason: a few words for people.
        retry_at: when to ask again.
    """

    reason: str
    retry_at: float


@dataclass(slots=True)
class RecordsFound:
    """An answer, and whether it is outdated.

    Attributes:
        answer: records or a clear no.
        refresh_at: when it is to be asked again.
        stale: why it is outdated; None if it isn't.
    """

    answer: Answer
    refresh_at: float
    stale: str | None


class DnsLookup:
    """Answers from the cache or the servers."""

    __slots__ = ("_asker", "_cache", "_clock", "_counters", "_in_flight", "_servers", "patience")

    def __init__(
        self,
        asker: Asker,
        cache: RecordCache,
        servers: ServerList,
        patience: Patience,
        *,
        clock: Callable[[], float],
        counters: DnsCounters,
    ) -> None:
        """`clock` gives seconds of a monotonic clock: the event loop's, but for tests."""
        self._asker = asker
        self._cache = cache
        self._servers = servers
        self.patience = patience
        self._clock = clock
        self._counters = counters
        self._in_flight: dict[Key, asyncio.Future[None]] = {}

    def known(self, key: Key, trace: Trace | None = None) -> RecordsFound | LookupFailed | None:
        """The cache's answer or failure, without waiting; None if the name has to be looked up."""
        now = self._clock()
        entry = self._cache.current(key, now)
        if entry is None:
            return None
        self._counters.cache_hits += 1
        return self._result(key, entry, now, trace, source="cache")

    async def find(
        self, key: Key, fraction: float, trace: Trace | None = None
    ) -> RecordsFound | LookupFailed:
        """Ask the servers. Call `known` first: this doesn't look into the cache.

        Args:
            key: name and type.
            fraction: of the TTL, after which a refresh is due.
            trace: records the step.
        """
        while flight := self._in_flight.get(key):
            self._counters.joined += 1
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

    async def glance(self, name: str, rdtype: dns.rdatatype.RdataType) -> bool:
        """Whether a name certainly has records of a type, by one question to one server.

        Nothing is learned from it but a yes. It takes a fifth of the time of an answer that is
        read, which counts when thousands of names are asked for at once.
        """
        server = self._servers.pick(self._clock(), (), self.patience.timeout)
        if server is None:
            return False
        try:
            async with asyncio.timeout(self.patience.timeout):
                there = await self._asker.glance(server, name, rdtype)
        except TimeoutError:
            self._counters.timeouts += 1
            self._servers.silent(server, self._clock())
            return False
        except OSError:
            self._counters.unreachable += 1
            self._servers.silent(server, self._clock(), gone=True)
            return False
        except dns.exception.DNSException:
            return False
        self._servers.answered(server)
        return there

    async def _fetch(
        self, key: Key, fraction: float, trace: Trace | None
    ) -> RecordsFound | LookupFailed:
        attempts: list[QueryAttempt] = []
        began = self._clock()
        try:
            answer = await self._ask_around(key, attempts)
        except AnswerError as fault:
            self._counters.failures += 1
            now = self._clock()
            entry = self._cache.failed(key, str(fault), began, now, fraction)
        else:
            if answer.kind is AnswerKind.RECORDS:
                self._counters.answers += 1
            else:
                self._counters.negatives += 1
            now = self._clock()
            entry = self._cache.answered(key, answer, now, fraction)
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
        if entry.answer is None or not self._cache.usable(entry, now):
            result = LookupFailed(entry.failure or "no answer", entry.refresh_at)
        else:
            stale = entry.failure if entry.is_stale(now) else None
            if stale is not None:
                self._counters.stale += 1
                source = "stale"
            result = RecordsFound(entry.answer, entry.refresh_at, stale)
        if trace is not None:
            trace.steps.append(_step(key, entry, result, source, attempts))
        return result

    async def _ask_around(self, key: Key, attempts: list[QueryAttempt]) -> Answer:
        """Ask until a server answers; follow aliases."""
        name, rdtype = key
        ends = self._clock() + self.patience.lifetime
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
                self._counters.malformed += 1
                raise AnswerError("CNAME loop", about_name=True)
            seen.add(name)

    async def _ask_servers(
        self, name: str, rdtype: dns.rdatatype.RdataType, ends: float, attempts: list[QueryAttempt]
    ) -> Answer | Alias:
        """Rounds of all servers until one answers, all have refused, or the time is over."""
        refused: list[DnsServer] = []
        last: dict[str, str] = {}
        while True:
            tried = list(refused)
            while server := self._servers.pick(self._clock(), tried, self.patience.timeout):
                timeout = min(self.patience.timeout, ends - self._clock())
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
        """One server's answer; after a fault that isn't about the name the next server is tried."""
        began = self._clock()
        over_tcp = False
        result: Answer | Alias | AnswerError
        try:
            # the loop's clock, not dnspython's, which is the wall clock and steps
            async with asyncio.timeout(seconds):
                message, over_tcp = await self._asker.ask(server, name, rdtype)
            self._servers.answered(server)
            result = read_answer(message, name, rdtype)
            outcome = result.kind.value if isinstance(result, Answer) else "CNAME"
        except TimeoutError:
            self._counters.timeouts += 1
            self._servers.silent(server, self._clock())
            result = AnswerError(f"no answer within {seconds:.2g} s", about_name=False)
        except OSError as error:
            self._counters.unreachable += 1
            self._servers.silent(server, self._clock(), gone=True)
            result = AnswerError(error_text(error), about_name=False)
        except AnswerError as fault:
            # a server that sent garbage would send it again
            self._counters.refusals += 1
            self._servers.answered(server)
            result = AnswerError(str(fault), about_name=True)
        except dns.exception.DNSException as error:
            result = AnswerError(f"can't be asked for ({error})", about_name=True)
        if isinstance(result, AnswerError):
            outcome = str(result)
        elapsed = self._clock() - began
        attempts.append(QueryAttempt(str(server), "tcp" if over_tcp else "udp", outcome, elapsed))
        return result

    def _nobody(self, last: dict[str, str]) -> AnswerError:
        """All that was said, or who is known not to say anything."""
        if not len(self._servers):
            return AnswerError("there is no name server to ask", about_name=False)
        if not last:
            names = ", ".join(map(str, self._servers))
            return AnswerError(f"no name server answers ({names})", about_name=False)
        return AnswerError(
            ", ".join(f"{server}: {outcome}" for server, outcome in last.items()), about_name=False
        )


def _step(
    key: Key,
    entry: Entry,
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
