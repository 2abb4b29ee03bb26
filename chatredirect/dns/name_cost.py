"""Limits the names of a DNS message before dnspython reads them.

dnspython makes an object of each label of each name, and a pointer (RFC 1035 §4.1.4) lets two
octets stand for a hundred labels. So a message of a kilobyte may ask for a tenth of a second. Here
labels are only counted, each place of the message once.
"""

import struct

import dns.rdatatype

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


class CostlyNamesError(Exception):
    """The names of a message have too many labels."""


def check_names(data: bytes, questions: int, records: int) -> None:
    """Count the labels of a message's names.

    Args:
        data: the message.
        questions: how many there are; their names come first.
        records: how many records follow them.

    Raises:
        CostlyNamesError: there are more than anybody needs.
        IndexError, struct.error: the message ends too soon, or points to where nothing is.
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
