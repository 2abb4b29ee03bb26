"""The short ways of reading a request and single values: what the general way gives, or nothing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.messages import numbered, redirect_exchange
from chatredirect.sip import abnf
from chatredirect.sip.errors import SipError
from chatredirect.sip.headers import param, read_addresses, read_cseq, read_via
from chatredirect.sip.limits import DEFAULT, Limits
from chatredirect.sip.message import HEAD_END, Request, Response, read_mandatory_headers
from chatredirect.sip.parser import parse_head, read_plain
from chatredirect.sip.transaction.matching import client_key, response_key
from chatredirect.sip.uri import parse_uri

CAPTURES = Path(__file__).parent.parent / "captures"


def head_of(message: bytes) -> bytes:
    return message.partition(HEAD_END)[0]


def capture(name: str) -> bytes:
    return head_of((CAPTURES / f"{name}.sip").read_bytes())


BENCHMARK = head_of(numbered(redirect_exchange("udp", "127.0.0.1:40000").request))
USUAL = {
    "benchmark": BENCHMARK,
    "group chat client's INVITE": capture("lookup-1-invite"),
    "group chat client's SUBSCRIBE": capture("subscribe-provisioning"),
    "with a name": BENCHMARK.replace(b"From: <", b'From: "Alice L\xc3\xb6w" <'),
    "with a name without quotes": BENCHMARK.replace(b"From: <", b"From: Alice <"),
    "over IPv6": BENCHMARK.replace(b"127.0.0.1:40000", b"[2001:db8::1]"),
    "sips": BENCHMARK.replace(b"INVITE sip:", b"INVITE sips:"),
}


def general(head: bytes, limits: Limits) -> Request | None:
    """What the general way gives: the request with its envelope, None if anything is wrong."""
    try:
        request = parse_head(head, limits)
        if not isinstance(request, Request):
            return None
        return replace(
            request, mandatory_headers=read_mandatory_headers(request, read_via(request.vias[0]))
        )
    except (SipError, IndexError):
        return None


@pytest.mark.parametrize("head", USUAL.values(), ids=USUAL.keys())
def test_usual_requests_go_the_short_way(head: bytes) -> None:
    """Else the short way is no use, and the comparison below compares nothing."""
    request = read_plain(head, DEFAULT)
    assert request is not None
    assert request == general(head, DEFAULT)


# What is put into usual heads: separators, breaks, and header fields that are there already.
PIECES = [
    *(bytes([octet]) for octet in b' \t\r\n;:,<>"=@%\\.[]/0aZ\x00\x7f\xff'),
    *(b"\r\n", b"\r\n ", b"\r\n\t", b"\n\r", b"  ", b";tag=x", b";rport", b";received=1.2.3.4"),
    *(b";branch", b"%41", b'"a', b'""', b"[::1]", b":99999", b":0", b"SIP/2.0", b"sip/2.0"),
    *(
        b"9" * 9,
        b"9" * 10,
        b"429496729",
        b"4294967296",
        b"ACK",
        b"CANCEL",
        b"INVITE",
        b"invite",
        b"<sip:a@b>",
    ),
    *(b"\r\nVia: SIP/2.0/UDP a;branch=b", b"\r\nv: SIP/2.0/UDP a", b"\r\nvia: x", b"\r\nVIA : x"),
    *(b"\r\nFrom: <sip:a@b>", b"\r\nf: <sip:a@b>", b"\r\nTo: <sip:a@b>;tag=1", b"\r\nt:<sip:a@b>"),
    *(b"\r\nCall-ID: x", b"\r\ni: x", b"\r\ncall-id: x", b"\r\nCSeq: 1 INVITE", b"\r\ncseq: 1 A"),
    *(b"\r\nContent-Length: 1", b"\r\nl: 1", b"\r\nContent-Length: 99999999999", b"\r\nl : 2"),
    *(
        b"\r\nXy: z",
        b"\r\nX : y",
        b"\r\nX",
        b"\r\n: y",
        b"\r\nX y: z",
        b"\r\nContact: *",
        b"\r\nc: d",
    ),
    b"\r\nXy: z" * 60,
    b"\r\nXy: " + b"z" * 9000,
]
place = st.integers(0, 1000)
mutation = st.one_of(
    st.tuples(place, st.just(0), st.sampled_from(PIECES)),  # put in
    st.tuples(place, st.sampled_from([1, 1, 1, 2, 5, 20]), st.just(b"")),  # take out
    st.tuples(place, st.sampled_from([1, 1, 1, 4]), st.sampled_from(PIECES)),  # put in its place
)
LIMITS = [DEFAULT, Limits(headers=8), Limits(header_line=256), Limits(uri=20), Limits(headers=70)]


EVERYTHING = (
    b"INVITE sip:ocschat@contoso.com SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::1];branch=z9hG4bKa1\r\n"
    b'From: "Alice L\xc3\xb6w" <sip:alice@contoso.com>;tag=a1\r\n'
    b"To: ocs chat <sip:a@contoso.com>\r\n"
    b"Call-ID: a84b4c76e66710\r\nCSeq: 1 INVITE\r\nSubject: x\r\nContact: <sip:a@b>\r\n"
    b"Content-Length: 0"
)


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("head", [EVERYTHING, USUAL["over IPv6"]], ids=["everything", "benchmark"])
def test_a_piece_anywhere_is_read_alike(head: bytes, piece: bytes) -> None:
    """Every piece, put in at every place of a request: whatever both ways give is the same."""
    assert read_plain(head, DEFAULT) == general(head, DEFAULT) is not None
    for place in range(len(head) + 1):
        mutant = head[:place] + piece + head[place:]
        request = read_plain(mutant, DEFAULT)
        assert request is None or request == general(mutant, DEFAULT)


@given(
    head=st.sampled_from([EVERYTHING, *USUAL.values()]),
    mutations=st.lists(mutation, min_size=1, max_size=4),
    limits=st.sampled_from(LIMITS),
)
@settings(max_examples=1000)
def test_a_mutated_request_is_read_alike(
    head: bytes, mutations: list[tuple[int, int, bytes]], limits: Limits
) -> None:
    """Several pieces at once, pieces taken out, and narrower limits."""
    for where, length, piece in mutations:
        start = where % (len(head) + 1)
        head = head[:start] + piece + head[start + length :]
    request = read_plain(head, limits)
    assert request is None or request == general(head, limits)


# Since Python 3.13 `(?!)` is an opcode that hypothesis doesn't know; `(?!x*)` never matches either.
PLAIN_HEAD = re.compile(abnf.PLAIN_HEAD.pattern.replace(b"(?!)", b"(?!x*)"))


@given(head=st.from_regex(PLAIN_HEAD))
@example(head=BENCHMARK)
@settings(max_examples=300)
def test_whatever_the_expression_matches_is_read_alike(head: bytes) -> None:
    """Heads that nobody would write, but that are plain by the expression's own word."""
    request = read_plain(head, DEFAULT)
    assert request is None or request == general(head, DEFAULT)


def matched_by(pattern: "re.Pattern[bytes]") -> st.SearchStrategy[bytes]:
    """Octets that a pattern matches from the first one on."""
    return st.from_regex(re.compile(rb"\A" + pattern.pattern))


@given(value=matched_by(abnf.PLAIN_CONTACT))
@example(value=b"<sip:user@127.0.0.1:59999;transport=udp;opaque=user:epid:x;gruu>;proxy=replace")
def test_a_plain_contact_is_one_address_with_a_sip_uri(value: bytes) -> None:
    """The URI that the general way finds, and one that it can read."""
    match = abnf.PLAIN_CONTACT.match(value)
    assert match is not None
    assert [each.uri for each in read_addresses(value, "Contact")] == [match[1]]
    parse_uri(match[1])


@given(via=matched_by(abnf.PLAIN_RETURNED_VIA), cseq=st.from_regex(rb"\A[0-9]{1,11} [A-Z1]{1,3}\Z"))
@example(via=b"SIP/2.0/UDP h:5060;branch=z9hG4bKa;rport=9;received=::1", cseq=b"999999999 INFO")
@example(via=b"SIP/2.0/UDP h:5060;branch=z9hG4bKA;rport", cseq=b"2147483648 INFO")
def test_a_plain_via_gives_the_same_key(via: bytes, cseq: bytes) -> None:
    """The key is that of the branch and the method, or there is none."""
    response = Response(200, b"", b"", [via], None, None, None, cseq, None, b"", None)
    branch = param(read_via(via).params, b"branch")
    assert branch is not None
    try:
        key = client_key(branch, read_cseq(cseq)[1])
    except SipError:
        key = None
    assert response_key(response) == key
