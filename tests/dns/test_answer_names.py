"""What names cost is found out before they are read."""

import struct

import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from chatredirect.dns.answer import LONGEST_NAME, MOST_LABELS, CostlyNamesError, check_names

NAME = "_sips._tcp.pcpool.contoso.com."


def checked(message: bytes) -> None:
    _, _, questions, *sections = struct.unpack_from("!6H", message)
    check_names(message, questions, sum(sections))


def answer(kind: str, texts: list[str]) -> bytes:
    query = dns.message.make_query(NAME, kind)
    response = dns.message.make_response(query)
    response.answer.append(dns.rrset.from_text_list(query.question[0].name, 60, "IN", kind, texts))
    wire: bytes = response.to_wire(max_size=65_535)
    return wire


def hostile(records: int, labels: int) -> bytes:
    """SRV records whose owners and targets point to one name of so many labels."""
    question = b"\x01a" * labels + b"\0" + struct.pack("!HH", dns.rdatatype.SRV, 1)
    record = (
        b"\xc0\x0c" + struct.pack("!HHIH", dns.rdatatype.SRV, 1, 60, 8) + bytes(6) + b"\xc0\x0c"
    )
    return struct.pack("!6H", 1, 0x8180, 1, records, 0, 0) + question + record * records


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("SRV", [f"0 0 5061 pc{n}.contoso.com." for n in range(500)]),
        ("A", [f"192.0.2.{n}" for n in range(250)]),
        ("NAPTR", ['10 50 "s" "SIPS+D2T" "" _sips._tcp.contoso.com.'] * 3),
        ("CNAME", ["other.contoso.com."]),
        ("SOA", ["ns.contoso.com. root.contoso.com. 1 3600 600 86400 30"]),
    ],
)
def test_what_anybody_needs_is_read(kind: str, texts: list[str]) -> None:
    checked(answer(kind, texts))


def test_a_name_that_is_too_long() -> None:
    """127 labels are allowed (RFC 1035 §3.1), and no host has so many."""
    checked(hostile(1, LONGEST_NAME))
    with pytest.raises(CostlyNamesError):
        checked(hostile(1, LONGEST_NAME + 1))


def test_too_many_labels_by_pointers() -> None:
    """A pointer of two octets stands for all the labels that it leads to (RFC 1035 §4.1.4)."""
    few = MOST_LABELS // (2 * LONGEST_NAME) - 1
    checked(hostile(few, LONGEST_NAME))
    with pytest.raises(CostlyNamesError):
        checked(hostile(few + 3, LONGEST_NAME))


@pytest.mark.parametrize("cut", range(12, 90, 7))
def test_a_message_that_ends_too_soon(cut: int) -> None:
    message = answer("SRV", ["0 0 5061 a.contoso.com.", "0 0 5061 b.contoso.com."])[:cut]
    with pytest.raises((IndexError, struct.error)):
        checked(message)


def test_a_pointer_that_leads_to_itself() -> None:
    message = bytearray(hostile(1, 1))
    message[15 + 4 : 15 + 6] = b"\xc0\x13"
    with pytest.raises((IndexError, struct.error)):
        checked(bytes(message))
