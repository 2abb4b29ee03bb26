"""Reads a DNS message: limits its names, then turns what dnspython parsed into records or an error.

Names are text here, in lower case, without the final dot.

dnspython makes an object of each label of each name, and a pointer (RFC 1035 §4.1.4) lets two
octets stand for a hundred labels. So parsing a message of a kilobyte may take a tenth of a second.
`check_names` counts the labels first, each place of the message once.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

MOST_LABELS = 8192
"""Labels of all names of an answer: 512 SRV records with names of ordinary length have 5,000."""
LONGEST_NAME = 32
"""Labels of one name. A name of DNS may have 127; no host that anybody serves has so many."""

_FIXED = struct.Struct("!HHIH")  # RFC 1035 §4.1.3: type, class, TTL, length of the data
_POINTER = 0xC0
# Where names stand in a record's data: octets before the first, and how many there are.
_NAMES = {
    dns.rdatatype.CNAME: (0, 1),
    dns.rdatatype.DNAME: (0, 1),
    dns.rdatatype.NS: (0, 1),
    dns.rdatatype.PTR: (0, 1),
    dns.rdatatype.MX: (2, 1),
    dns.rdatatype.SOA: (0, 2),
    dns.rdatatype.SRV: (6, 1),
}
_NAPTR_FIXED = 4  # octets before its three texts, behind which the name stands (RFC 3403 §4.1)

#: Records of one answer that are used. More are left out, those of the last priorities first.
MAX_RECORDS = 64
#: Seconds that a negative answer without a SOA is cached (RFC 2308 §5 permits none).
NEGATIVE_TTL_WITHOUT_SOA = 5.0


class AnswerKind(StrEnum):
    """What an answer says; the values are for people."""

    RECORDS = "NOERROR"
    NODATA = "NODATA"
    NXDOMAIN = "NXDOMAIN"


@dataclass(frozen=True, slots=True, order=True)
class Srv:
    """An SRV record (RFC 2782); `target` is empty for `.`, which says that there is no service."""

    priority: int
    weight: int
    port: int
    target: str

    def __str__(self) -> str:
        """As in a zone file."""
        return f"{self.priority} {self.weight} {self.port} {self.target}."


@dataclass(frozen=True, slots=True, order=True)
class Naptr:
    """A NAPTR record (RFC 3403 §4), without the regular expression, which SIP doesn't use."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str

    def __str__(self) -> str:
        """As in a zone file."""
        return (
            f'{self.order} {self.preference} "{self.flags}" "{self.service}" "" {self.replacement}.'
        )


Record: TypeAlias = str | Srv | Naptr


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for one name and type.

    Attributes:
        records: addresses as text, `Srv` or `Naptr`; empty for a negative answer.
        ttl: seconds, the least of the records and aliases; of negative ones the SOA's (RFC 2308).
        name: the end of the chain of aliases, where the records are.
        left_out: number of records over `MAX_RECORDS`.
    """

    kind: AnswerKind
    records: tuple[Record, ...]
    ttl: float
    name: str
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Alias:
    """The name is an alias, and the answer ends there: ask for `name`."""

    name: str
    ttl: float


class AnswerError(Exception):
    """No answer: an error code, or a message that makes no sense.

    Attributes:
        about_name: whether the server works, but doesn't answer this question.
    """

    def __init__(self, reason: str, *, about_name: bool) -> None:
        """`reason` is a few words for people."""
        self.about_name = about_name
        super().__init__(reason)


def read_answer(
    message: dns.message.Message, name: str, rdtype: dns.rdatatype.RdataType
) -> Answer | Alias:
    """Read `message`, a response to a question for `name` and `rdtype`.

    Raises:
        AnswerError: it is no answer.
    """
    rcode = message.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise AnswerError(dns.rcode.to_text(rcode), about_name=True)
    if not isinstance(message, dns.message.QueryMessage) or len(message.question) != 1:
        raise AnswerError("not an answer to a question", about_name=False)
    nxdomain = rcode == dns.rcode.NXDOMAIN
    negative = AnswerKind.NXDOMAIN if nxdomain else AnswerKind.NODATA
    if not message.answer:  # most answers are negative, without a chain of aliases
        soa = _soa_ttl(message, message.question[0].name)
        if soa is None and not nxdomain and _is_referral(message):
            raise AnswerError("referral to other servers", about_name=True)
        ttl = NEGATIVE_TTL_WITHOUT_SOA if soa is None else soa
        return Answer(negative, (), ttl, name)
    first = message.answer[0]
    alone = len(message.answer) == 1 and first.rdtype == rdtype and not nxdomain
    if alone and first.name == message.question[0].name:  # no chain to be followed
        return _positive(first, rdtype, first.ttl, name)
    try:
        chain = message.resolve_chaining()
    except dns.message.ChainTooLong:
        raise AnswerError("CNAME loop", about_name=True) from None
    except dns.exception.DNSException as error:
        raise AnswerError(f"contradicts itself ({error})", about_name=True) from None
    if chain.cnames:
        name = text_of(chain.canonical_name)
    if chain.answer is not None:
        return _positive(chain.answer, rdtype, chain.minimum_ttl, name)
    soa = _soa_ttl(message, chain.canonical_name)
    aliases_ttl = float(min((cname.ttl for cname in chain.cnames), default=0))
    if chain.cnames and soa is None and not nxdomain:
        return Alias(name, aliases_ttl)
    ttl = NEGATIVE_TTL_WITHOUT_SOA if soa is None else soa
    return Answer(negative, (), min(ttl, aliases_ttl) if chain.cnames else ttl, name)


def _positive(
    rrset: dns.rrset.RRset, rdtype: dns.rdatatype.RdataType, ttl: float, name: str
) -> Answer:
    records = _records(rrset, rdtype)
    left_out = max(0, len(records) - MAX_RECORDS)
    return Answer(AnswerKind.RECORDS, records[:MAX_RECORDS], float(ttl), name, left_out)


def text_of(name: dns.name.Name) -> str:
    """A name as text, lower case, without the final dot; the root is empty."""
    return name.to_text(omit_final_dot=True).lower() if len(name) > 1 else ""


def _records(rrset: dns.rrset.RRset, rdtype: dns.rdatatype.RdataType) -> tuple[Record, ...]:
    """The records sorted, so that the same records make equal answers."""
    addresses: list[str] = []
    services: list[Srv] = []
    pointers: list[Naptr] = []
    for rdata in rrset:
        if isinstance(rdata, A | AAAA):
            addresses.append(rdata.address)
        elif isinstance(rdata, SRV):
            services.append(Srv(rdata.priority, rdata.weight, rdata.port, text_of(rdata.target)))
        elif isinstance(rdata, NAPTR):
            flags = rdata.flags.decode("ascii", "replace").upper()
            service = rdata.service.decode("ascii", "replace").upper()
            replacement = text_of(rdata.replacement)
            pointers.append(Naptr(rdata.order, rdata.preference, flags, service, replacement))
        else:
            raise AnswerError(f"records are not {rdtype.name}", about_name=True)
    # the first are kept if there are too many, so the most wanted come first
    services.sort(key=lambda record: (record.priority, -record.weight, record.target, record.port))
    return (*sorted(addresses), *services, *sorted(pointers))


def _is_referral(message: dns.message.Message) -> bool:
    """Whether the server names others instead of answering (RFC 2308 §2.2).

    An authoritative server that names itself without a SOA means NODATA (type 3 there).
    """
    named = any(rrset.rdtype == dns.rdatatype.NS for rrset in message.authority)
    return named and not message.flags & dns.flags.AA


def _soa_ttl(message: dns.message.Message, name: dns.name.Name) -> float | None:
    """Seconds to cache a negative answer: the SOA's TTL or minimum (RFC 2308 §5)."""
    for rrset in message.authority:
        if rrset.rdtype == dns.rdatatype.SOA and name.is_subdomain(rrset.name):
            for rdata in rrset:
                if isinstance(rdata, SOA):
                    return float(min(rrset.ttl, rdata.minimum))
    return None


class CostlyNamesError(Exception):
    """The names of a message have too many labels."""


def check_names(data: bytes, questions: int, records: int) -> None:
    """Count the labels of a message's names; its `questions` come first, then its `records`.

    Raises:
        CostlyNamesError: there are too many.
        IndexError, struct.error: the message ends too soon, or a pointer leads out of it.
    """
    counted: dict[int, int] = {}
    total = 0
    at = 12
    for number in range(questions + records):
        labels, at = _labels(data, at, counted)
        total += labels
        if number < questions:
            at += 4
            continue
        rdtype, _, _, size = _FIXED.unpack_from(data, at)
        at += _FIXED.size
        begin, at = at, at + size
        skipped, names = _NAMES.get(rdtype, (0, 0))
        if rdtype == dns.rdatatype.NAPTR:
            skipped, names = _NAPTR_FIXED, 1
            for _ in range(3):
                skipped += 1 + data[begin + skipped]
        inside = begin + skipped
        for _ in range(names):
            labels, inside = _labels(data, inside, counted)
            total += labels
        if total > MOST_LABELS:
            raise CostlyNamesError(f"names of more than {MOST_LABELS} labels in all")


def _labels(data: bytes, at: int, counted: dict[int, int]) -> tuple[int, int]:
    """The number of a name's labels, and where it ends; those of each place are counted once."""
    begin, labels, end = at, 0, 0
    while True:
        size = data[at]
        if size >= _POINTER:
            end = end or at + 2
            target = (size & ~_POINTER) << 8 | data[at + 1]
            if target >= at:
                raise IndexError("a pointer that leads forward")
            known = counted.get(target)
            if known is not None:
                labels += known
                break
            at = target
        elif size == 0:
            end = end or at + 1
            break
        else:
            labels += 1
            at += 1 + size
        if labels > LONGEST_NAME:
            break
    if labels > LONGEST_NAME:
        raise CostlyNamesError(f"a name of more than {LONGEST_NAME} labels")
    counted[begin] = labels
    return labels, end
