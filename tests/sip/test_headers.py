"""The values that somebody looks into: Via, From, To, Call-ID, CSeq (RFC 3261 §20, §25)."""

import pytest

from chatredirect.sip import headers
from chatredirect.sip.errors import BadHeaderValue
from chatredirect.sip.limits import DEFAULT
from chatredirect.sip.parser import read_plain

# -- Via, §20.42 ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "host", "port", "params"),
    [
        (b"SIP/2.0/UDP a", b"a", None, b""),
        (b"SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1", b"192.0.2.1", 5070, b";branch=z9hG4bK1"),
        (b"sip / 2.0 / x-y  [2001:db8::1] : 5060 ;\t rport", b"[2001:db8::1]", 5060, b" ;\t rport"),
        (b"SIP\r\n /2.0/UDP\r\n\ta\r\n ;x\r\n =\r\n y", b"a", None, b"\r\n ;x\r\n =\r\n y"),
        (b"SIP/2.0/TCP a;maddr=239.1.1.1;ttl=16;received=192.0.2.9", b"a", None,
         b";maddr=239.1.1.1;ttl=16;received=192.0.2.9"),
        (b'SIP/2.0/TLS my_pc;q="a, \\"b\\";c"', b"my_pc", None, b';q="a, \\"b\\";c"'),
        (b"SIP/2.0/UDP a;rport=;x", b"a", None, b";rport=;x"),
        (b"SIP/2.0/UDP a;received=2001:db8::1", b"a", None, b";received=2001:db8::1"),
    ],
)  # fmt: skip
def test_via(value: bytes, host: bytes, port: int | None, params: bytes) -> None:
    via = headers.read_via(value)
    assert (via.host, via.port, via.params, via.end) == (host, port, params, len(value))
    assert via.readable


def test_the_first_of_several_vias() -> None:
    """§7.3.1: a list; a comma in a quoted string ends nothing."""
    value = b'SIP/2.0/UDP a;x="1,2" , SIP/2.0/TCP b;y'
    via = headers.read_via(value)
    assert via.host == b"a"
    assert value[via.end :] == b", SIP/2.0/TCP b;y"


@pytest.mark.parametrize(
    "value",
    [
        b"SIP/2.0/UDP a;", b"SIP/2.0/UDP a;;x", b"SIP/2.0/UDP a;x=1;", b"SIP/2.0/UDP a;x=,",
        b'SIP/2.0/UDP a;x="1', b"SIP/2.0/UDP a;x y", b"SIP/2.0/UDP a b", b"SIP/2.0/UDP a;=1",
        b"SIP/2.0/UDP a;x=<y>", b'SIP/2.0/UDP a;x="y"z',
    ],
)  # fmt: skip
def test_via_of_which_only_sent_by_can_be_read(value: bytes) -> None:
    """Enough to answer 400; a final `;` among them (CPython issue 106052)."""
    if value.endswith(b"x=,"):
        assert headers.read_via(value).params == b";x="
        return
    via = headers.read_via(value)
    assert (via.host, via.port, via.params, via.readable) == (b"a", None, b"", False)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"SIP/2.0/UDP", b"SIP/2.0/UDP ", b"SIP/2.0 a", b"SIP/3/UDP a", b"HTTP/1.1/TCP a",
        b"UDP a",
        b"SIP/2.0/UDPa", b"SIP/2.0/UDP 2001:db8::1", b"SIP/2.0/UDP a:123456",
        b"SIP/2.0/UDP a:65536",
        b"SIP/2.0/UDP a:65536;;", b"SIP/2.0/UDP a:506099;;", b"SIP/2.0/UDP a:x", b"SIP/2.0/UDP -a",
        b"SIP/2.0/UDP <a>", b"SIP/2.0/UDP a@b", b"SIP/2.0/UDP [::1",
    ],
)  # fmt: skip
def test_via_that_nobody_can_answer(value: bytes) -> None:
    with pytest.raises(BadHeaderValue):
        headers.read_via(value)


# -- parameters -------------------------------------------------------------------------------


def test_params() -> None:
    """Names count no case; no value, an empty one and a quoted one can be told apart."""
    params = b';a;B = 1 ; c = "x;d=\\"2\\"" ;E=;a=late'
    assert list(headers.param_pairs(params)) == [
        (b"a", b""), (b"B", b"1"), (b"c", b'"x;d=\\"2\\""'), (b"E", b""), (b"a", b"late"),
    ]  # fmt: skip
    assert headers.param(params, b"b") == b"1"
    assert headers.param(params, b"a") == b""
    assert headers.param(params, b"d") is None
    assert headers.param(params, b"x") is None
    assert headers.param(b"", b"x") is None


# -- From and To, §20.20 and §20.39 -----------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "uri", "tag"),
    [
        (b"<sip:a@b>", b"sip:a@b", None),
        (b"sip:a@b", b"sip:a@b", None),
        (b"sip:a@b;tag=1", b"sip:a@b", b"1"),
        (b"sip:a@b ; x ; TAG = 1", b"sip:a@b", b"1"),
        (b"<sip:a@b;x=1?y=2>;tag=1", b"sip:a@b;x=1?y=2", b"1"),
        (b"<sip:a@b;tag=inner>", b"sip:a@b;tag=inner", None),
        (b'"A. Liddell" <sip:a@b>;tag=1', b"sip:a@b", b"1"),
        (b'"\\"<sip:evil@x>\\"" <sip:a@b>', b"sip:a@b", None),
        (b'"a;tag=1" <sip:a@b>', b"sip:a@b", None),
        (b'""<sip:a@b>', b"sip:a@b", None),
        (b"Alice Liddell<sip:a@b>", b"sip:a@b", None),
        ('"Алиса" <sip:a@b>'.encode(), b"sip:a@b", None),
        ("Алиса <sip:a@b>".encode(), b"sip:a@b", None),
        (b'"\xff\xfe" <sip:a@b>', b"sip:a@b", None),
        (b'"a\r\n b"\r\n\t<sip:a@b>\r\n ;tag=1', b"sip:a@b", b"1"),
        (b"<tel:+1201>;tag=1", b"tel:+1201", b"1"),
        (b"http://www.contoso.com", b"http://www.contoso.com", None),
        (b'<sip:a@b>;epid=0a;x="y, z";tag=1', b"sip:a@b", b"1"),
        (b"<sip:a@b>;x-tag=1", b"sip:a@b", None),
    ],
)  # fmt: skip
def test_from_to(value: bytes, uri: bytes, tag: bytes | None) -> None:
    address = headers.read_from_to(value, "From")
    assert (address.uri, headers.read_tag(value, "From")) == (uri, tag)


@pytest.mark.parametrize(
    "value",
    [
        b"<sip:a@b>;tag",
        b"<sip:a@b>;tag=",
        b'<sip:a@b>;tag=""',
        b"<sip:a@b>;TAG= ;x=1",
        b"sip:a@b;tag=",
        b"<sip:a@b>;tag=1;tag=2",
        b"<sip:a@b>;tag=1;Tag=1",
        b"<sip:a@b>;tag;tag=1",
    ],
)
def test_no_tag_that_could_be_another(value: bytes) -> None:
    """RFC 3261 §19.3, §25.1: a tag is a token, and there is one; others say which dialog is meant.

    The short way of reading leaves such a value to the long one.
    """
    with pytest.raises(BadHeaderValue):
        headers.read_tag(value, "To")
    for pair in ((b"<sip:a@b>", value), (value, b"<sip:a@b>")):
        head = (
            b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: %b\r\nTo: %b\r\nCall-ID: 1\r\n"
            b"CSeq: 1 INVITE\r\nContent-Length: 0" % pair
        )
        assert read_plain(head, DEFAULT) is None


@pytest.mark.parametrize(
    "value",
    [
        b"", b"Alice", b"<>", b"<a@b>", b"<sip:>", b"<sip:a@b", b"sip:a@b>", b"<<sip:a@b>>",
        b"<sip:a@b>x",
        # a final `;` (CPython issue 106052)
        b"<sip:a@b>;", b"<sip:a@b>;tag=1;", b"sip:a@b;", b"<sip:a@b>;;tag=1", b"<sip:a@b>;=1",
        b"<sip:a@b>, <sip:c@d>", b"sip:a@b, sip:c@d", b"sip:a@b?x=y", b'"a <sip:a@b>',
        b'a" <sip:a@b>',
        b'"a"b" <sip:a@b>', b'"a\\" <sip:a@b>', b"a:b <sip:a@b>", b"a;b <sip:a@b>", b"<sip:a b@c>",
        b"<sip:a\x00@b>", b"a\x00 <sip:a@b>", b"<sip:a@b>;tag=1 2", b'<sip:a@b>;x="1',
        b"<sip:a@b>?x=y",
        b"<sip:a@b> <sip:c@d>",
    ],
)  # fmt: skip
def test_no_from_or_to(value: bytes) -> None:
    with pytest.raises(BadHeaderValue) as caught:
        headers.read_from_to(value, "From")
    assert caught.value.reason == "Bad From"


# -- CSeq and Call-ID, §20.16 and §20.8 -------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "number", "method"),
    [
        (b"1 INVITE", 1, b"INVITE"), (b"0 x", 0, b"x"), (b"0001\r\n \tACK", 1, b"ACK"),
        (b"2147483647 A", 2**31 - 1, b"A"), (b"%b7 A" % (5000 * b"0"), 7, b"A"),
    ],
)  # fmt: skip
def test_cseq(value: bytes, number: int, method: bytes) -> None:
    assert headers.read_cseq(value) == (number, method)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"1", b"INVITE", b"1INVITE", b"-1 INVITE", b"+1 INVITE", b"1.0 INVITE",
        b"1 INVITE x", b"1 IN@VITE",
        b"2147483648 A", b"9" * 5000 + b" A", b"0x1 A", "\N{ARABIC-INDIC DIGIT ONE} A".encode(),
        b"1 A\x00",
    ],
)  # fmt: skip
def test_no_cseq(value: bytes) -> None:
    with pytest.raises(BadHeaderValue):
        headers.read_cseq(value)


@pytest.mark.parametrize("value", [b"a", b"a@b", b"<>@[]", b"a@b@c", b"\xff", b"x" * 5000])
def test_call_id(value: bytes) -> None:
    headers.check_call_id(value)


@pytest.mark.parametrize("value", [b"", b"a b", b"a\tb", b"a\r\n b", b"a\x00", b"a\x7f"])
def test_no_call_id(value: bytes) -> None:
    with pytest.raises(BadHeaderValue):
        headers.check_call_id(value)


# -- lists: Contact, Route, Record-Route, §20.10, §20.34, §20.30 ------------------------------


def test_addresses() -> None:
    value = b'"Li, A" <sip:a@b;x>;q=0.1 , sip:c@d;expires=5,<sip:e@f,g>'
    found = headers.read_addresses(value, "Contact")
    assert [(each.uri, each.params) for each in found] == [
        (b"sip:a@b;x", b";q=0.1"), (b"sip:c@d", b";expires=5"), (b"sip:e@f,g", b""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value", [b"", b"*", b"<sip:a@b>,", b",<sip:a@b>", b"<sip:a@b>,,<sip:c@d>", b"Li, A <sip:a@b>"]
)
def test_no_addresses(value: bytes) -> None:
    with pytest.raises(BadHeaderValue):
        headers.read_addresses(value, "Contact")
