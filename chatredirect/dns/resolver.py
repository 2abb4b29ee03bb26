"""RFC 3263 on dnspython: the modules of `chatredirect.dns` combined, for one set of settings.

A resolver knows the fixed names, the name servers and their cached answers, but no pools: callers
of `locate` get targets, and the time of the next refresh.
"""

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

import structlog

from chatredirect.config import DnsSettings, HostPort
from chatredirect.dns.cache import RecordCache
from chatredirect.dns.hosts import Hosts
from chatredirect.dns.lookup import Asker, DnsLookup
from chatredirect.dns.query_exchange import DnsExchange
from chatredirect.dns.resolution import DnsCounters, Located, Question, Trace
from chatredirect.dns.rfc3263 import AAAA, A, TargetSearch
from chatredirect.dns.servers import MOST_OCTETS, PATH, ServerList, read_resolv_conf
from chatredirect.net.target import PoolAddress, Target
from chatredirect.runtime.regular_file import in_thread, read_file
from chatredirect.runtime.wording import error_text

SPARE_RECORDS = 1024
RECORDS_PER_POOL = 16
"""The cache's capacity: so many records for each pool, and some to spare."""

Nameservers: TypeAlias = tuple[tuple[HostPort, ...], tuple[str, ...]]
"""The servers of a resolv.conf, and its faults."""

log = structlog.get_logger()


class Resolver:
    """Finds targets; its settings may change."""

    def __init__(
        self,
        settings: DnsSettings,
        *,
        is_own: Callable[[Target], bool] = lambda target: False,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        asker: Asker | None = None,
        resolv_conf: str = PATH,
    ) -> None:
        """Read the files that the settings name; ask nothing yet.

        Args:
            settings: name servers, fixed names and times.
            is_own: whether a target is a listener of this daemon, and so not usable.
            clock: seconds that never go back.
            rng: spreads refreshes over time.
            asker: sends queries to servers; tests have their own.
            resolv_conf: the file to read if the settings have no name servers.
        """
        self.counters = DnsCounters()
        self.settings = settings
        self._is_own = is_own
        self.rng = rng or random.Random()  # noqa: S311  # spreads load, guards nothing
        self._resolv_conf = resolv_conf
        self._resolv_faults: tuple[str, ...] = ()
        self._looking = False
        self._hosts = Hosts(settings.hosts, settings.hosts_file)
        self._servers = ServerList(self._nameservers())
        self._cache = RecordCache(settings, SPARE_RECORDS)
        self._exchange = DnsExchange(self.counters)
        self._lookup = DnsLookup(
            asker or self._exchange, self._cache, self._servers, settings, clock, self.counters
        )
        self.clock = clock
        self._reported_fault: str | None = None
        self._report_hosts_fault()

    async def locate(
        self, pool: PoolAddress, *, spread: bool = False, trace: Trace | None = None
    ) -> Located:
        """The targets of a pool, and when to ask again; see `rfc3263`. Raises nothing.

        Args:
            pool: its FQDN in lower case, or an IP address.
            spread: refresh at a random time of the TTL, so that very many pools aren't due at once.
            trace: gets each step.
        """
        self.counters.refreshes += 1
        question = self._question(pool)
        question.trace = trace
        if spread:
            question.fraction = self.rng.uniform(0.05, 0.95)
        return await TargetSearch(question, self._lookup, self._hosts).run()

    async def peek(self, fqdn: str) -> bool:
        """Whether a name certainly has addresses: one quick query. False says nothing."""
        return await self._lookup.peek(fqdn, A if self.settings.prefer == "ipv4" else AAAA)

    def fixed(self, pool: PoolAddress) -> Located | None:
        """The targets of a name that needs no DNS, without waiting; None if it needs DNS."""
        return TargetSearch(self._question(pool), self._lookup, self._hosts).fixed()

    def _question(self, pool: PoolAddress) -> Question:
        return Question(pool, self.settings.prefer, self.rng.uniform(0.85, 0.95), self._is_own)

    def expect(self, pools: int) -> None:
        """Make room for the records of this many pools."""
        self._cache.capacity = SPARE_RECORDS + RECORDS_PER_POOL * pools

    def update(
        self, settings: DnsSettings, *, is_own: Callable[[Target], bool] | None = None
    ) -> bool:
        """Use other settings; valid answers stay. Returns whether targets may now differ."""
        before = self.settings
        self.settings = settings
        self._lookup.settings = settings
        self._cache.settings = settings
        if is_own is not None:
            self._is_own = is_own
        hosts_changed = (before.hosts, before.hosts_file) != (settings.hosts, settings.hosts_file)
        if hosts_changed:
            self._hosts = Hosts(settings.hosts, settings.hosts_file)
        else:
            hosts_changed = self._hosts.reread()
        self._report_hosts_fault()
        servers_changed = self._servers.update(self._nameservers())
        if servers_changed:
            self._cache.clear()  # other servers may answer differently: a split DNS, for instance
        return hosts_changed or servers_changed or before.prefer != settings.prefer

    async def reread(self) -> bool:
        """Check the hosts file and resolv.conf; returns whether targets may now differ.

        Only one check runs at a time, so that a file system that hangs blocks no more than one
        thread.
        """
        if self._looking:
            return False
        self._looking = True
        hosts, path = self._hosts, self._resolv_conf
        try:
            look, found = await in_thread(lambda: (hosts.look(), _read_nameservers(path)))
        finally:
            self._looking = False
        if hosts is not self._hosts:  # the settings changed meanwhile, and their files were read
            return False
        changed = hosts.take(look)
        self._report_hosts_fault()
        servers = self.settings.nameservers or self._report_faults(found)
        if self._servers.update(servers):
            self._cache.clear()
            changed = True
        if changed:
            log.info("dns_files_changed", nameservers=tuple(map(str, self._servers)))
        return changed

    def sweep(self) -> Iterator[None]:
        """Drop expired answers that no lookup has used, in short steps."""
        return self._cache.sweep(self.clock())

    async def aclose(self) -> None:
        """Close all sockets."""
        await self._exchange.aclose()

    def _nameservers(self) -> tuple[HostPort, ...]:
        return self.settings.nameservers or self._report_faults(
            _read_nameservers(self._resolv_conf)
        )

    def _report_faults(self, found: Nameservers) -> tuple[HostPort, ...]:
        """The name servers; logs the faults of resolv.conf when they change."""
        servers, faults = found
        if faults != self._resolv_faults:
            self._resolv_faults = faults
            for fault in faults:
                log.warning("resolv_conf_faulty", file=self._resolv_conf, why=fault)
        return servers

    def _report_hosts_fault(self) -> None:
        fault = self._hosts.fault
        if fault is not None and fault != self._reported_fault:
            log.warning("hosts_file_unreadable", file=self.settings.hosts_file, why=fault)
        self._reported_fault = fault


def _read_nameservers(path: str) -> Nameservers:
    try:
        return read_resolv_conf(read_file(path, MOST_OCTETS))
    except OSError as error:
        return (), (f"unreadable: {error_text(error)}",)
