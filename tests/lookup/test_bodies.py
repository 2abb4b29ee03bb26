"""Bodies of an INVITE: what is understood of them, and what may be ignored (RFC 3261 §8.2.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.sip.body import MAX_PARTS, BadMultipart, Body, find
from tests.lookup.in_memory_lookups import SDP, Client, InMemoryLookups

NO_MESSAGE = "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=x\r\nt=0 0\r\nm=audio 1 RTP/AVP 0\r\n"
LINE = "----=_NextPart_000_0014_01CAE9A0.2A9B6C50"
TYPE = f'multipart/alternative;boundary="{LINE}"'
FALLBACK = "session; handling=optional; ms-proxy-2007fallback"


def part(
    body: str = SDP, kind: str | None = "application/sdp", disposition: str = "", more: str = ""
) -> str:
    """A part with the delimiter before it."""
    head = f"Content-Type: {kind}\r\n" if kind else ""
    head += f"Content-Disposition: {disposition}\r\n" if disposition else ""
    return f"\r\n--{LINE}\r\n{head}{more}\r\n{body}"


def multipart(*parts: str) -> str:
    """A body of these parts."""
    return "".join((*parts, f"\r\n--{LINE}--\r\n"))


NESTED = multipart(part()).replace(LINE, "y")


def status(body: str, content_type: str, more: str = "") -> str:
    """The first line of the answer to an INVITE with a body."""
    return (
        Client(InMemoryLookups()).invite(body=body, content_type=content_type, more=more).start[8:]
    )


# -- bodies that may be ignored ---------------------------------------------------------------


@pytest.mark.parametrize("body", ["hello", SDP])
@pytest.mark.parametrize(
    "disposition",
    [
        "render;handling=optional",
        'icon ; handling = "optional"',
        "by-reference;x=y;HANDLING=Optional",
    ],
)
def test_what_may_be_ignored_is(disposition: str, body: str) -> None:
    """§8.2.3, §20.11: as if it weren't there, so that the offer is ours (§13.3.1.4)."""
    more = f"Content-Disposition: {disposition}\r\n"
    for content_type in ("text/plain", "image/gif", "application/pidf+xml", "multipart/related"):
        client = Client(InMemoryLookups())
        answer = client.invite(body=body, content_type=content_type, more=more)
        assert answer.status == 200
        assert "m=message" in answer.body
        client.ack()
        client.look_up()
    gzip = more + "Content-Encoding: gzip\r\n"
    assert status(body, "application/sdp", gzip) == "200 OK"


@pytest.mark.parametrize(
    "disposition", ["", "render;handling=required", "render", "x;handling=", "handling=optional"]
)
def test_what_must_not_be_ignored(disposition: str) -> None:
    """§20.11: what says nothing of it is required; the first word is no parameter."""
    more = f"Content-Disposition: {disposition}\r\n" if disposition else ""
    answer = Client(InMemoryLookups()).invite(body="hello", content_type="text/plain", more=more)
    assert answer.status == 415
    assert answer["Accept"] == "application/sdp, multipart/alternative, multipart/mixed"
    assert status(SDP, "application/sdp", more + "Content-Encoding: gzip\r\n")[:3] == "415"


def test_an_offer_that_may_be_ignored_is_taken_all_the_same() -> None:
    """Whoever understands a body needn't ignore it."""
    assert (
        status(NO_MESSAGE, "application/sdp", f"Content-Disposition: {FALLBACK}\r\n")[:3] == "488"
    )


# -- multipart --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # as Office Communicator's clients send it, for front ends of two versions
        ((part(NO_MESSAGE, disposition=FALLBACK), part()), "200 OK"),
        ((part(disposition=FALLBACK), part(NO_MESSAGE)), "488 Not Acceptable Here"),
        ((part(), part("x", "application/unheard-of")), "200 OK"),
        ((part("x", None), part(more="Content-Transfer-Encoding: 7bit\r\n")), "200 OK"),
        ((part(), part(NO_MESSAGE, more="Content-Encoding: gzip\r\n")), "200 OK"),
        ((part("nonsense"),), "400 Bad Session Description"),
        ((part("x", "text/plain"),), "415 Unsupported Media Type"),
        ((part(NESTED, TYPE.replace(LINE, "y")),), "415 Unsupported Media Type"),
        ((part(),) * MAX_PARTS, "200 OK"),
        ((part(),) * (MAX_PARTS + 1), "400 Bad Multipart Body"),
        ((), "400 Bad Multipart Body"),
        (("preamble",), "400 Bad Multipart Body"),
        ((part(more=f"X: {'y' * 3000}\r\n"),), "400 Bad Multipart Body"),
        ((f"\r\n--{LINE}x\r\n\r\n{SDP}",), "400 Bad Multipart Body"),
        ((f"\r\n--{LINE}",), "400 Bad Multipart Body"),
    ],
)
def test_alternatives(parts: tuple[str, ...], expected: str) -> None:
    """RFC 2046 §5.1.4: the last that is understood; what isn't understood is passed over."""
    assert status(multipart(*parts), TYPE) == expected
    assert status("preamble" + multipart(*parts) + "epilogue", TYPE) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((part(), part("x", "application/x", "y;handling=optional")), "200 OK"),
        ((part("x", "application/x", "y;handling=optional"), part()), "200 OK"),
        ((part(), part("x", "application/x")), "415 Unsupported Media Type"),
        ((part(),), "200 OK"),
    ],
)
def test_mixtures(parts: tuple[str, ...], expected: str) -> None:
    """§8.2.3: a part that isn't understood is ignored only if it says that it may be."""
    assert status(multipart(*parts), TYPE.replace("alternative", "mixed")) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (f'Multipart/Alternative ; Boundary = "{LINE}"', "200 OK"),
        ("multipart/alternative", "400 Bad Multipart Body"),
        ('multipart/alternative;boundary=""', "400 Bad Multipart Body"),
        (f"multipart/alternative;boundary={'b' * 71}", "400 Bad Multipart Body"),
        ("multipart/alternative;boundary=other", "400 Bad Multipart Body"),
        (f'multipart/related;boundary="{LINE}"', "415 Unsupported Media Type"),
    ],
)
def test_content_types(content_type: str, expected: str) -> None:
    """RFC 2046 §5.1.1: names count no case, a boundary may be in quotes and has 70 characters."""
    assert status(multipart(part()), content_type) == expected


def test_within_a_dialog() -> None:
    """§14.2: a re-INVITE and an UPDATE are read the same way."""
    client = Client(InMemoryLookups()).begin()
    for method in ("INVITE", "UPDATE"):
        answer = client.ask(method, body=multipart(part(NO_MESSAGE), part()), content_type=TYPE)[0]
        assert answer.status == 200
        if method == "INVITE":
            client.ack()


@given(st.binary(max_size=300), st.sampled_from((b"alternative", b"mixed")))
def test_whatever_comes_is_taken_apart_or_refused(octets: bytes, kind: bytes) -> None:
    body = Body(
        b"multipart/" + kind, b";boundary=a", False, False, octets.replace(b"\x01", b"\r\n--a")
    )
    try:
        found = find(body, b"text/plain")
    except BadMultipart:
        return
    assert found is None or found.octets in body.octets
