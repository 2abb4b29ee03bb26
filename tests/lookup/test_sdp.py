"""Offer and answer (RFC 3264), as far as a session without media needs them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatredirect.sip import sdp
from tests.lookup.in_memory_lookups import SDP, Client, InMemoryLookups

HEAD = "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nt=5 7\r\n"


def answer(*media: str) -> list[str]:
    """The answer to an offer with these media lines: its lines from the first m= on."""
    made = sdp.answer((HEAD + "\r\n".join(media) + "\r\n").encode(), "192.0.2.9", 0)
    assert made is not None
    head, m, rest = made.decode().partition("m=")
    assert head == (
        "v=0\r\no=- 0 0 IN IP4 192.0.2.9\r\ns=session\r\nc=IN IP4 192.0.2.9\r\nt=5 7\r\n"
    )
    return (m + rest).splitlines()


def test_every_line_is_answered_in_order() -> None:
    """§6: as many m= lines, the others rejected with port 0."""
    assert answer("m=audio 1 RTP/AVP 0 8", "a=sendrecv", "m=x-ms-message 5060 sip null") == [
        *("m=audio 0 RTP/AVP 0 8", "m=x-ms-message 5060 sip null", "a=accept-types:text/plain")
    ]


def test_directions() -> None:
    """§6.1: who is sent to receives."""
    for theirs, ours in (("sendonly", "recvonly"), ("inactive", "inactive")):
        assert answer("m=message 1 sip null", f"a={theirs}")[-1] == f"a={ours}"


def test_ipv6() -> None:
    assert b"c=IN IP6 2001:db8::1\r\n" in sdp.offer("2001:db8::1", 0)


@pytest.mark.parametrize("media", ["m=audio 1 RTP/AVP 0\r\n", "m=message 0 sip null\r\n", ""])
def test_nothing_acceptable(media: str) -> None:
    """488 with a Warning that says why (RFC 3261 §21.4.26, §20.43), and no dialog."""
    lookups = InMemoryLookups()
    client = Client(lookups)
    answer = client.invite(body=HEAD + media)
    assert answer.status == 488
    assert answer["Warning"] == '304 redirect "no m=message, no m=x-ms-message"'
    assert not lookups.core.dialogs


@pytest.mark.parametrize(
    ("body", "content_type", "start"),
    [
        ("nonsense", "application/sdp", "400 Bad Session Description"),
        (SDP.replace("5080", "port"), "application/sdp", "400 Bad Session Description"),
        (SDP + "m=a 1 b c\r\n" * 40, "application/sdp", "400 Bad Session Description"),
        (SDP + "a=x\r\n" * 1000, "application/sdp", "400 Bad Session Description"),
        (SDP + "\n" * 1000, "application/sdp", "400 Bad Session Description"),
        (SDP + "\r" * 1001, "application/sdp", "400 Bad Session Description"),
        (SDP + f"m=a 1 b {'c' * 4096}\r\n", "application/sdp", "400 Bad Session Description"),
        (SDP, "text/plain", "415 Unsupported Media Type"),
    ],
)
def test_bad_offers(body: str, content_type: str, start: str) -> None:
    answer = Client(InMemoryLookups()).invite(body=body, content_type=content_type)
    assert answer.start == f"SIP/2.0 {start}"


def test_lines_that_end_with_lf() -> None:
    """RFC 4566 §5: parsers should take them."""
    assert Client(InMemoryLookups()).invite(body=SDP.replace("\r\n", "\n")).status == 200


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda rest: b"v=0\r\n" + rest))
def test_whatever_comes_is_answered_or_refused(offer: bytes) -> None:
    try:
        made = sdp.answer(offer, "192.0.2.9", 0)
    except sdp.BadSession:
        return
    if made is not None:
        assert sdp.answer(made, "192.0.2.9", 0) is not None


def whole(before: str, times: str, media: str, after: str) -> str:
    """A description in the form that is read at once, or nearly in it."""
    return f"v=0\r\n{before}t={times}\r\nm={media}\r\n{after}"


LINES = st.lists(
    st.sampled_from(
        ["o=- 0 0 IN IP4 192.0.2.1", "s=x", "a=sendonly", "a=sendonlyx", "a=x", "m=a 1 b c",
         " s=x ", "a=accept-types:text/plain", "t=1 2", "t= ", "x", "", "a=\xe9", "b=a\0b", "A=b"]
    ),
    max_size=3,
).map(lambda lines: "".join(f"{line}\r\n" for line in lines))  # fmt: skip
WORDS = st.sampled_from(["message 1 sip null", "message 000 sip null", "X-MS-Message 5/2 a b",
    "audio 12345 RTP/AVP 0  8", "audio 123456 a b", "message 1 sip", "message 1  sip a", "a 1 b\t",
    "a 1 b ", "message 1 sip \xe9"])  # fmt: skip


@example("v=0\r\nt=0 0\r\nm=a 1 b \r\n")
@example("v=0\r\nt=0 0\r\nm=a 1 b\r\na=x")
@example("v=0\r\ns=x")
@given(st.builds(whole, LINES, st.sampled_from(["0 0", "00 1", "0", "0  0", "a 0"]), WORDS, LINES))
def test_what_is_read_at_once_is_read_the_same(description: str) -> None:
    """A description that `read_plain` reads has the same times and media for `read_any`."""
    octets = description.encode("latin-1")
    found = sdp.read_plain(octets)
    assert found is None or found == sdp.read_any(octets)


def test_the_clients_offer_is_read_at_once() -> None:
    assert sdp.read_plain(SDP.encode()) is not None
