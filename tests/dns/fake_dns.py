"""A fake DNS for tests: records in a dictionary, and name servers that answer or fail as told."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from chatredirect.config import DnsSettings, HostPort
from chatredirect.dns.servers import DnsServer

SERVERS = (HostPort("192.0.2.53", 53), HostPort("192.0.2.54", 53))


def dns_settings(**changes: object) -> DnsSettings:
    """Settings without a hosts file that ask the fake servers."""
    return DnsSettings(**{"nameservers": SERVERS, "hosts_file": "", **changes})


@dataclass(slots=True)
class FakeDns:
    """Answers questions to fake servers, as an `Asker`.

    Attributes:
        records: TTL and text of records by name and type.
        negative_ttl: the SOA minimum of negative answers; None leaves the SOA out.
        behaviour: what each server does, by address: `up`, `silent`, `gone`, or a response code.
        latency: seconds until an answer.
        asked: all questions in order, as (time, server, name, type).
    """

    records: dict[tuple[str, str], tuple[int, list[str]]] = field(default_factory=dict)
    negative_ttl: int | None = 30
    behaviour: dict[str, str] = field(default_factory=dict)
    latency: float = 0.001
    asked: list[tuple[float, str, str, str]] = field(default_factory=list)
    _names_of: int = 0
    _names: set[str] = field(default_factory=set)
    _made: dict[object, tuple[object, dns.message.Message]] = field(default_factory=dict)

    async def ask(
        self, server: DnsServer, name: str, rdtype: dns.rdatatype.RdataType
    ) -> tuple[dns.message.Message, bool]:
        self.asked.append((asyncio.get_running_loop().time(), server.address, name, rdtype.name))
        behaviour = self.behaviour.get(server.address, "up")
        if behaviour == "silent":
            await asyncio.Event().wait()
        if behaviour == "gone":
            raise ConnectionRefusedError(111, "Connection refused")
        await asyncio.sleep(self.latency)
        known = (name, rdtype, behaviour, self.negative_ttl)
        relevant = [self.records.get((name, kind)) for kind in (rdtype.name, "CNAME")]
        if known in self._made and self._made[known][0] == relevant and relevant[1] is None:
            return self._made[known][1], False
        query = dns.message.make_query(name, rdtype)
        response = dns.message.make_response(query)
        if behaviour != "up":
            response.set_rcode(dns.rcode.from_text(behaviour))
        else:
            self._answer(response, name, rdtype)
        response = dns.message.from_wire(response.to_wire(max_size=65535))
        self._made[known] = (relevant, response)
        return response, False

    async def peek(self, server: DnsServer, name: str, rdtype: dns.rdatatype.RdataType) -> bool:
        message, _ = await self.ask(server, name, rdtype)
        return bool(message.answer) and message.answer[0].rdtype == rdtype

    def _answer(
        self, response: dns.message.Message, name: str, rdtype: dns.rdatatype.RdataType
    ) -> None:
        for _ in range(20):
            ttl, texts = self.records.get((name, rdtype.name), (0, []))
            if texts:
                response.answer.append(_rrset(name, ttl, rdtype.name, texts))
                return
            ttl, texts = self.records.get((name, "CNAME"), (0, []))
            if not texts:
                break
            response.answer.append(_rrset(name, ttl, "CNAME", texts))
            name = texts[0].rstrip(".").lower()
        if self._names_of != len(self.records):
            self._names_of = len(self.records)
            self._names = {
                ".".join(known.split(".")[level:])
                for known, _ in self.records
                for level in range(known.count(".") + 1)
            }
        if name not in self._names:
            response.set_rcode(dns.rcode.NXDOMAIN)
        if self.negative_ttl is not None:
            zone = ".".join(name.split(".")[-2:])
            soa = f"ns.{zone}. root.{zone}. 1 3600 600 86400 {self.negative_ttl}"
            response.authority.append(_rrset(zone, 3600, "SOA", [soa]))

    @property
    def names_asked(self) -> Counter[tuple[str, str]]:
        """How often each name and type was asked for."""
        return Counter((name, kind) for _, _, name, kind in self.asked)


def _rrset(name: str, ttl: int, kind: str, texts: list[str]) -> dns.rrset.RRset:
    absolute = dns.name.from_text(name)
    return dns.rrset.from_text_list(absolute, ttl, "IN", kind, texts)
