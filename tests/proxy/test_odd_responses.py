"""RFC 3261 §16.7 and §8.2: of a pool's response only what is needed is judged."""

import pytest

from tests.proxy.in_memory_proxy import Caller, InMemoryProxy, response, targets

GOOD = b"X-Kept: yes\r\n"


def passed_on(extra: bytes, transport: str = "udp") -> tuple[InMemoryProxy, list[bytes]]:
    """What the caller gets of a 200 with these further lines."""
    proxy = InMemoryProxy(*targets(transport=transport))
    invite = Caller(proxy).invite()
    data = response(invite, 200).replace(b"Content-Length:", extra + b"Content-Length:", 1)
    proxy.deliver(data, proxy.target())
    raw = list(proxy.client.raw)
    return proxy, raw


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(b"X-Token: " + b"A" * 20_000 + b"\r\n", id="a long field"),
        pytest.param(b"X-A: 1\r\n" * 500, id="many fields"),
        pytest.param(b"X-A: 1\r\n folded\r\n\tagain\r\n", id="folds"),
        pytest.param(b"X-A: a\nb\r\n", id="a bare LF in a field that nobody needs"),
        pytest.param(b"Contact: not, an <address\r\n", id="a Contact that can't be read"),
    ],
)
def test_what_is_not_needed_is_not_judged(extra: bytes, transport: str) -> None:
    """It goes on octet for octet."""
    _, raw = passed_on(extra + GOOD, transport)
    (data,) = raw
    assert data.startswith(b"SIP/2.0 200 ")
    assert extra + GOOD in data


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    "line", [b"Powered by SBC", b"X My Header: 1", b": nothing", b"X-\xc3\xa4: 1", b"X\r\n : y"]
)
def test_a_line_that_is_no_field_is_left_out(line: bytes, transport: str) -> None:
    """And counted; the rest of the response goes on."""
    proxy, raw = passed_on(line + b"\r\n" + GOOD, transport)
    (data,) = raw
    assert GOOD in data
    assert line not in data
    assert proxy.counters.faults == {"bad_header_line": 1}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\nFrom:", b"\r\nX-From:"),
        (b"\r\nTo:", b"\r\nTo: <sip:x@y>\r\nTo:"),
        (b"\r\nCall-ID:", b"\r\nCall-ID: x\r\nCall-ID:"),
        (b"\r\nCSeq: 1", b"\r\nCSeq: 1 INVITE\r\nCSeq: 1"),
        (b"\r\nTo: ", b"\r\nTo: \0"),
        (b"\r\nTo: ", b"\r\nTo: a\nb"),
        (b"\r\nFrom: ", b"\r\nFrom: " + b" " * 9000),
        (b"\r\nContent-Length: 0", b"\r\nContent-Length:\r\n 0"),
        (b"\r\nContent-Length: 0", b"\r\nContent-Length: 0\r\nl: 0"),
        (b"\r\nContent-Length: 0", b"\r\nContent-Length: none"),
        (b"\r\nContent-Length: 0", b"\r\nX: y" + b"\n" * 9000 + b"\r\nContent-Length: 0"),
        (b"\r\nContent-Length: 0", b"\r\na:" * 520 + b"\r\nContent-Length: 0"),
        (b"\r\nContent-Length: 0", b"\r\nX: y" + b"\r\n\t" * 520 + b"\r\nContent-Length: 0"),
    ],
)
def test_what_is_needed_must_be_there(old: bytes, new: bytes) -> None:
    """Dropped, with a reason of its own; the next response is the caller's."""
    proxy = InMemoryProxy()
    invite = Caller(proxy).invite()
    good = response(invite, 200)
    assert old in good
    proxy.deliver(good.replace(old, new, 1), proxy.target())
    assert not proxy.client.take()
    assert proxy.counters.drops == {"response_malformed": 1}
    assert [sent.status for sent in proxy.answer(0, invite, 200)] == [200]


SPELLINGS = [
    b"P-Asserted-Identity: <sip:boss@contoso.com>",
    b"p-asserted-identity \t: <sip:boss@contoso.com>",
    b"P-ASSERTED-IDENTITY:\r\n <sip:boss@contoso.com>",
    b"X: y\r\n P-Asserted-Identity: <sip:boss@contoso.com>",
    b"X: y\nP-Asserted-Identity: <sip:boss@contoso.com>",
    b"X: y\rRemote-Party-ID: <sip:boss@contoso.com>",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_identities_in_every_spelling(spelling: bytes) -> None:
    """RFC 3325 §5: of a caller that isn't trusted none reaches the pool, however it is written."""
    proxy = InMemoryProxy()
    called = Caller(proxy).begin()
    proxy.deliver(called.write("INFO"), proxy.target())
    asked = proxy.client.one()
    data = response(asked, 200).replace(b"Content-Length:", spelling + b"\r\nContent-Length:", 1)
    proxy.deliver(data, proxy.client)  # from its own peer, who isn't trusted
    (answer,) = proxy.target().raw
    assert answer.startswith(b"SIP/2.0 200 ")
    assert b"boss" not in answer
