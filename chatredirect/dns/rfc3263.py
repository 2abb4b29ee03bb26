"""Finds the targets of a pool in DNS: RFC 3263 §4.

An IP address needs no DNS. A name in the hosts file has only addresses; so does a name with an
explicit port. With an explicit transport, that transport's SRV records are asked for. Otherwise
NAPTR records name the transports; without them the SRV records of every transport are asked for.
Without SRV records the name's own addresses are used, with the default port.

The result has the targets of one service: the first that leads to a target, since an RFC 3263
client doesn't change from TLS to TCP because a server is down. Unusable records are left out, with
a note.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import dns.rdatatype

from chatredirect.dns.answer import AnswerKind, Naptr, Srv
from chatredirect.dns.cache import Key
from chatredirect.dns.hosts import Hosts, plain, unfit
from chatredirect.dns.lookup import DnsLookup, LookupFailed, RecordsFound
from chatredirect.dns.resolution import Located, LocatedState, Question, ResolutionStep, Source
from chatredirect.net.addresses import Transport, default_port, is_address
from chatredirect.net.target import Target
from chatredirect.sip.uri import Wanted

A = dns.rdatatype.A
AAAA = dns.rdatatype.AAAA
SRV = dns.rdatatype.SRV
NAPTR = dns.rdatatype.NAPTR

MAX_ADDRESSES = 16
"""Addresses of one host that are used."""
MAX_TARGETS = 128
"""Targets of one pool."""
MAX_NAME = 253
"""Characters of a domain name as text: 255 octets on the wire (RFC 1035 §2.3.4)."""

#: SRV owner name prefixes by transport, the most wanted first. `_sips._tcp` is RFC 3263's; Lync
#: publishes `_sipinternaltls._tcp` for clients inside and `_sip._tls` for those outside.
SERVICES: dict[Transport, tuple[str, ...]] = {
    "tls": ("_sips._tcp", "_sipinternaltls._tcp", "_sip._tls"),
    "tcp": ("_sip._tcp",),
    "udp": ("_sip._udp",),
}
NAPTR_SERVICES: dict[str, Transport] = {"SIPS+D2T": "tls", "SIP+D2T": "tcp", "SIP+D2U": "udp"}


@dataclass(frozen=True, slots=True)
class _SrvHost:
    """A host to look up, with its SRV record's port, priority and weight."""

    name: str
    port: int
    priority: int = 0
    weight: int = 0


Results: TypeAlias = dict[Key, RecordsFound | LookupFailed]


@dataclass(slots=True)
class TargetSearch:
    """One resolution. Its methods never raise for anything that DNS says or doesn't say."""

    question: Question
    lookup: DnsLookup
    hosts: Hosts
    _refresh_at: float = float("inf")
    _negative: str = ""
    _stale: str | None = None
    _notes: list[str] = field(default_factory=list)
    _failures: list[str] = field(default_factory=list)

    async def run(self) -> Located:
        """The targets of the pool, or why there are none."""
        question = self.question
        fixed = self.fixed()
        if fixed is not None:
            return fixed
        if question.pool.port is None:
            if question.pool.transport in (None, "sips"):
                failed: Located | None = None
                for naptr_service in await self._naptr_services():
                    located = await self._through_srv([naptr_service])
                    if located is not None and located.state is not LocatedState.FAILED:
                        return located
                    failed = failed or located  # a failed service doesn't hide the next one
                if failed is not None:
                    return failed
            located = await self._through_srv(self._srv_services())
            if located is not None:
                return located
        return self._own_targets(await self._addresses([question.pool.fqdn]))

    def fixed(self) -> Located | None:
        """The result if the name needs no DNS, without waiting; else None."""
        fqdn = self.question.pool.fqdn
        addresses = (fqdn,) if is_address(fqdn) else self.hosts.get(fqdn)
        if addresses is None:
            return None
        self._skip(fqdn, "A/AAAA", "NOERROR", addresses)
        return self._own_targets({fqdn: addresses})

    def _own_targets(self, addresses: dict[str, tuple[str, ...]]) -> Located:
        """The name's own addresses, with the port that goes with the transport (§4.2)."""
        pool = self.question.pool
        # RFC 3263 §4.1: where neither the caller nor DNS names a transport, sip means UDP
        transport: Transport = "udp" if pool.transport is None else _transports(pool.transport)[0]
        host = _SrvHost(pool.fqdn, pool.port or default_port(transport))
        return self._ended(self._targets(transport, [host], addresses))

    async def _naptr_services(self) -> list[tuple[Transport, str]]:
        """Transports and SRV names by the NAPTR records, in their order (RFC 3263 §4.1)."""
        key = (self.question.pool.fqdn, NAPTR)
        found = (await self._find([key]))[key]
        if isinstance(found, LookupFailed):
            # Some servers can't do NAPTR at all; the SRV records say the rest, or fail as well.
            self._notes.append(f"NAPTR of {key[0]}: {found.reason}")
            return []
        services = []
        for record in found.answer.records:
            if not isinstance(record, Naptr):
                continue
            transport = NAPTR_SERVICES.get(record.service)
            if record.flags != "S" or transport is None or not record.replacement:
                self._notes.append(f"NAPTR {record}: not a SIP service over UDP, TCP or TLS")
            elif transport in _transports(self.question.pool.transport):
                services.append((transport, record.replacement))
        return list(dict.fromkeys(services))

    def _srv_services(self) -> list[tuple[Transport, str]]:
        services: list[tuple[Transport, str]] = []
        for transport in _transports(self.question.pool.transport):
            for prefix in SERVICES[transport]:
                name = f"{prefix}.{self.question.pool.fqdn}"
                if len(name) > MAX_NAME:
                    self._skip(name, "SRV", "longer than a domain name can be")
                else:
                    services.append((transport, name))
        return services

    async def _through_srv(self, services: list[tuple[Transport, str]]) -> Located | None:
        """The targets of the first service that leads to any; None if no SRV record is there."""
        results = await self._find([(name, SRV) for _, name in services])
        there = False
        why = ""
        failure = ""
        for transport, name in services:
            found = results[(name, SRV)]
            if isinstance(found, LookupFailed):
                failure = failure or f"SRV of {name}: {found.reason}"
                continue
            records = [record for record in found.answer.records if isinstance(record, Srv)]
            if not records:
                continue
            there = True
            if found.answer.left_out:
                self._notes.append(
                    f"{name} has {len(records) + found.answer.left_out} SRV records: "
                    f"the first {len(records)} are used"
                )
            if all(not record.target for record in records):
                # RFC 2782: a target of "." says that the service is decidedly not available
                why = why or f'SRV of {name} says that there is no service (target ".")'
                continue
            srv_hosts = [host for host in map(self._srv_host, records) if host is not None]
            addresses = await self._addresses(dict.fromkeys(host.name for host in srv_hosts))
            targets = self._targets(transport, srv_hosts, addresses)
            if targets:
                return self._ended(targets)
            last = f" ({self._notes[-1]})" if self._notes else ""
            why = why or f"no target of the SRV records of {name} can be used{last}"
        if failure:
            # There may be SRV records: an address with the default port would be a guess.
            self._failures.append(failure)
            return self._ended(())
        return self._ended((), why) if there else None

    def _srv_host(self, record: Srv) -> _SrvHost | None:
        why = None
        if not record.target:
            why = 'target "." beside others'
        elif record.port == 0:
            why = "port 0"
        elif is_address(record.target):
            why = "the target is an IP address, not a name (RFC 2782)"
        elif not record.target.isascii() or not set(record.target) <= _HOST_CHARACTERS:
            why = "the target is no host name"
        if why is not None:
            self._notes.append(f"SRV {record}: {why}")
            return None
        return _SrvHost(record.target, record.port, record.priority, record.weight)

    async def _addresses(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The addresses of each name, of both families, the preferred one first."""
        families: tuple[dns.rdatatype.RdataType, ...] = (A, AAAA)
        if self.question.prefer == "ipv6":
            families = (AAAA, A)
        addresses: dict[str, tuple[str, ...]] = {}
        to_ask = []
        for name in names:
            fixed = self.hosts.get(name)
            if fixed is None:
                to_ask.append(name)
            else:
                addresses[name] = fixed
                self._skip(name, "A/AAAA", "NOERROR", fixed)
        wanted = [(name, family) for name in to_ask for family in families]
        results = await self._find(wanted)
        for name in to_ask:
            each = [results[(name, family)] for family in families]
            addresses[name] = tuple(
                str(record)
                for found in each
                if isinstance(found, RecordsFound)
                for record in found.answer.records
            )
            failed = [found for found in each if isinstance(found, LookupFailed)]
            if failed and not addresses[name]:
                self._failures.append(f"addresses of {name}: {failed[0].reason}")
            elif not addresses[name] and name == self.question.pool.fqdn:
                self._negative = _negative_reason(each)
            elif not addresses[name]:
                self._notes.append(f"{name}: {_negative_reason(each)}")
        return addresses

    async def _find(self, keys: list[Key]) -> Results:
        """The answers to several queries; what the cache doesn't have is asked in parallel."""
        question = self.question
        results: Results = {}
        to_ask = []
        for key in keys:
            known = self.lookup.known(key, question.trace)
            if known is None:
                to_ask.append(key)
            else:
                results[key] = known
        if len(to_ask) == 1:  # no task for a single question
            results[to_ask[0]] = await self.lookup.find(
                to_ask[0], question.fraction, question.trace
            )
        elif to_ask:
            found = await asyncio.gather(
                *(self.lookup.find(key, question.fraction, question.trace) for key in to_ask)
            )
            results.update(zip(to_ask, found, strict=True))
        for key, result in results.items():
            if isinstance(result, LookupFailed):
                self._refresh_at = min(self._refresh_at, result.retry_at)
            else:
                self._refresh_at = min(self._refresh_at, result.refresh_at)
                if result.stale is not None:
                    self._stale = self._stale or f"{key[1].name} of {key[0]}: {result.stale}"
        return results

    def _targets(
        self, transport: Transport, hosts: list[_SrvHost], addresses: dict[str, tuple[str, ...]]
    ) -> tuple[Target, ...]:
        """The usable targets, in the order of the hosts."""
        targets: dict[tuple[str, int], Target] = {}
        for host in hosts:
            usable = [plain(text) for text in addresses.get(host.name, ())]
            if len(usable) > MAX_ADDRESSES:
                self._notes.append(
                    f"{host.name} has {len(usable)} addresses: the first {MAX_ADDRESSES} are used"
                )
            for address in usable[:MAX_ADDRESSES]:
                target = Target(
                    transport,
                    address,
                    host.port,
                    host.name,
                    host.priority,
                    host.weight,
                    self.question.pool.fqdn,
                )
                why = unfit(address)
                if why is None and self.question.is_own(target):
                    why = "that is this daemon's own listener: a redirect to it would never end"
                if why is not None:
                    self._notes.append(f"{target} ({host.name}): {why}")
                elif len(targets) < MAX_TARGETS:
                    targets.setdefault((address, host.port), target)
        return tuple(targets.values())

    def _ended(self, targets: tuple[Target, ...], why: str = "") -> Located:
        if targets:
            state, reason = LocatedState.FOUND, ""
        elif self._failures:
            state, reason = LocatedState.FAILED, self._failures[0]
        else:
            state = LocatedState.NONE
            reason = why or self._negative or [*self._notes, "no addresses"][0]
        notes = tuple(dict.fromkeys(self._notes))
        return Located(state, targets, reason, self._refresh_at, self._stale, notes)

    def _skip(self, name: str, kind: str, outcome: str, records: tuple[str, ...] = ()) -> None:
        if self.question.trace is not None:
            source: Source = "hosts" if records else "skipped"
            self.question.trace.append(ResolutionStep(name, kind, source, outcome, None, records))


def _transports(wanted: Wanted | None) -> tuple[Transport, ...]:
    """The permitted transports, the most wanted first; a SIPS URI needs TLS (§4.1)."""
    if wanted is None:
        return tuple(SERVICES)
    return ("tls",) if wanted == "sips" else (wanted,)


_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._")


def _negative_reason(each: Iterable[RecordsFound | LookupFailed]) -> str:
    """Which negative answer: the name doesn't exist, or has no addresses."""
    for found in each:
        if isinstance(found, RecordsFound) and found.answer.kind is AnswerKind.NXDOMAIN:
            return AnswerKind.NXDOMAIN.value
    return "no addresses (NODATA)"
