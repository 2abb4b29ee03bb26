"""SIP and SIPS URIs: RFC 3261 §19.1.1 (grammar), §19.1.4 (comparison), and the directory's rule."""

import pytest

from chatredirect.sip.errors import BadRequestUri, UnsupportedUriScheme
from chatredirect.sip.uri import SipUri, canonical_host, equivalent, parse_uri

# -- grammar ----------------------------------------------------------------------------------


def test_all_parts() -> None:
    """§19.1.1: sip:user:password@host:port;uri-parameters?headers, each as it stood there."""
    uri = parse_uri(b"SIPS:al%69ce:s$cret@Contoso.COM:5070;Transport=tcp;lr?Subject=a%20b&x=")
    assert uri == SipUri(
        b"sips",
        b"al%69ce",
        b"s$cret",
        b"Contoso.COM",
        5070,
        b";Transport=tcp;lr",
        b"?Subject=a%20b&x=",
    )
    assert uri.param(b"transport") == b"tcp"
    assert uri.param(b"lr") == b""
    assert uri.param(b"maddr") is None


def test_quotes_around_a_parameter_value() -> None:
    """docs/leniency.md: deployed clients send them, with what base64 is made of between them."""
    uri = parse_uri(b'sip:127.0.0.1:443;transport="wss";thinfo="VG8+PoIUY/sWA=="?a=b')
    assert (uri.host, uri.port, uri.headers) == (b"127.0.0.1", 443, b"?a=b")
    assert uri.param(b"transport") == b"wss"
    assert uri.param(b"thinfo") == b"VG8+PoIUY/sWA=="
    for bad in (b'"', b'"a', b'a"', b'"a"b', b'"a;b"', b'"a b"', b'"a?b"', b'"a"b"', b'"<"'):
        with pytest.raises(BadRequestUri):
            parse_uri(b"sip:a@host;x=" + bad)


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        (b"sip:contoso.com", None, b"contoso.com", None),
        (b"sip:a@b", b"a", b"b", None),
        (b"sip:a@192.0.2.1:5060", b"a", b"192.0.2.1", 5060),
        (b"sip:+1-201-555-0123;phone-context=x@contoso.com;user=phone",
        b"+1-201-555-0123;phone-context=x",
         b"contoso.com", None),
        (b"sip:a/b?c@contoso.com", b"a/b?c", b"contoso.com", None),
        (b"sip:\xc3\xa9\xff@contoso.com", b"\xc3\xa9\xff", b"contoso.com", None),
        (b"sip:a@my_host.contoso.com.", b"a", b"my_host.contoso.com.", None),
        (b"sip:a@[2001:DB8::1]:0", b"a", b"[2001:DB8::1]", 0),
        (b"sip:a@b:65535", b"a", b"b", 65535),
        (b"sip:a@b:00080", b"a", b"b", 80),
    ],
)  # fmt: skip
def test_valid(text: bytes, user: bytes | None, host: bytes, port: int | None) -> None:
    uri = parse_uri(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"sip", b"sip:", b"sip:@b", b"sip:a@", b"sip::pw@b", b"sip:a@b@c", b"a@b",
        # a group that fails half-way must not be skipped (CPython issue 106052)
        b"sip:a%@host", b"sip:a%4@host", b"sip:a%4g@host", b"sip:%@host", b"sip:a%@",
        b"sip:a:p%@host",
        b"sip:a@host;", b"sip:a@host;;x", b"sip:a@host;=x", b"sip:a@host;x;", b"sip:a@host;x=%",
        b"sip:a@host;x%4", b"sip:a@host?", b"sip:a@host?x", b"sip:a@host?=x", b"sip:a@host?a=b&",
        b"sip:a@host?a=b&c", b"sip:a@host?a=%zz", b"sip:a@host;x?y",
        b"sip:a@b:", b"sip:a@b:x", b"sip:a@b:65536", b"sip:a@b:123456", b"sip:a@b:-1",
        b"sip:a@b:+5",
        b"sip:a@2001:db8::1", b"sip:a@[2001:db8::1", b"sip:a@[]", b"sip:a@[::1%25eth0]",
        b"sip:a@[g::1]",
        b"sip:a b@c", b" sip:a@b", b"sip:a@b ", b"sip:a@b\r\n", b"sip:a@b\n", b"sip:a\x00@b",
        b"sip:a@b\x7f",
        b"sip:a<b@c", b'sip:"a"@b', b"sip:a@-b", b"sip:a@.b", b"sip:a@b,c", b"sip:a@b/c",
        b"sip:a#b@c",
        b"sip:a@b;x=<y>", b"sips:", b"sip://", b"1sip:a@b", b"-:x", b"tel:", b"tel: 1", b"tel:\x00",
    ],
)  # fmt: skip
def test_refused(text: bytes) -> None:
    with pytest.raises(BadRequestUri) as caught:
        parse_uri(text)
    assert caught.value.offending == text


@pytest.mark.parametrize(
    "text", [b"tel:+1201;x=y", b"im:alice@contoso.com", b"urn:service:sos", b"x:%41", b"sipx:a"]
)
def test_other_schemes(text: bytes) -> None:
    """§8.2.2.1: well-formed, but not ours."""
    with pytest.raises(UnsupportedUriScheme):
        parse_uri(text)


def test_the_first_of_a_repeated_parameter_counts() -> None:
    """§19.1.1 allows none to be repeated; somebody's second `maddr` must not change the first."""
    assert parse_uri(b"sip:a@b;x=1;X=2").param(b"x") == b"1"


@pytest.mark.parametrize(
    ("text", "port"),
    [
        (b"sip:a@b", 5060), (b"sips:a@b", 5061), (b"sip:a@b;transport=udp", 5060),
        (b"sip:a@b;transport=TLS", 5061), (b"sips:a@b;transport=tcp", 5061),
    ],
)  # fmt: skip
def test_default_port(text: bytes, port: int) -> None:
    """§19.1.2."""
    assert parse_uri(text).default_port() == port


# -- comparison, §19.1.4 ----------------------------------------------------------------------

SAME = [  # the RFC's own pairs
    (b"sip:%61lice@atlanta.com;transport=TCP", b"sip:alice@AtLanTa.CoM;Transport=tcp"),
    (b"sip:carol@chicago.com", b"sip:carol@chicago.com;newparam=5"),
    (b"sip:carol@chicago.com", b"sip:carol@chicago.com;security=on"),
    (b"sip:carol@chicago.com;newparam=5", b"sip:carol@chicago.com;security=on"),
    (b"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
     b"sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"),
    (b"sip:alice@atlanta.com?subject=project%20x&priority=urgent",
     b"sip:alice@atlanta.com?priority=urgent&subject=project%20x"),
    # and some of ours
    (b"SIP:a@b", b"sip:a@B"),
    (b"sip:a@[2001:DB8:0::1]", b"sip:a@[2001:db8::1]"),
    (b"sip:%2d@b", b"sip:-@b"),
    (b"sip:a%2fb@c", b"sip:a%2Fb@c"),
    (b"sip:a@b;x=%41", b"sip:a@b;X=a"),
]  # fmt: skip
DIFFERENT = [  # the RFC's own pairs
    (b"SIP:ALICE@AtLanTa.CoM;Transport=udp", b"sip:alice@AtLanTa.CoM;Transport=UDP"),
    (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com:5060"),
    (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com;transport=udp"),
    (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com:6000;transport=tcp"),
    (b"sip:carol@chicago.com", b"sip:carol@chicago.com?Subject=next%20meeting"),
    (b"sip:bob@phone21.boxesbybob.com", b"sip:bob@192.0.2.4"),
    (b"sip:carol@chicago.com;security=on", b"sip:carol@chicago.com;security=off"),
    # and some of ours: a reserved character isn't its escape
    (b"sip:a%2fb@c", b"sip:a/b@c"),
    (b"sip:a%3bb@c", b"sip:a;b@c"),
    (b"sip:a%25b@c", b"sip:a%2525b@c"),
    (b"sip:a@b", b"sips:a@b"),
    (b"sip:a:p@b", b"sip:a@b"),
    (b"sip:a:p@b", b"sip:a:P@b"),
    (b"sip:a@b", b"sip:b"),
    (b"sip:a@b;user=phone", b"sip:a@b"),
    (b"sip:a@b;ttl=1", b"sip:a@b"),
    (b"sip:a@b;method=INVITE", b"sip:a@b"),
    (b"sip:a@b;maddr=192.0.2.1", b"sip:a@b"),
    (b"sip:a@b?x=1", b"sip:a@b?x=2"),
    (b"sip:a@b?x=1", b"sip:a@b?y=1"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equivalent(one: bytes, other: bytes) -> None:
    assert equivalent(parse_uri(one), parse_uri(other))
    assert equivalent(parse_uri(other), parse_uri(one))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_not_equivalent(one: bytes, other: bytes) -> None:
    assert not equivalent(parse_uri(one), parse_uri(other))
    assert not equivalent(parse_uri(other), parse_uri(one))


# -- the directory's rule ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        b"sip:OCSChat@CONTOSO.com", b"sips:ocschat@contoso.com", b"sip:%6Fcs%63hat@contoso.com",
        b"sip:ocschat@contoso.com:5060", b"sips:ocschat@contoso.com:5061",
        b"sip:ocschat@contoso.com.",
        b"sip:ocschat@contoso.com;transport=tcp;maddr=192.0.2.1;user=phone;unknown",
        b"sip:ocschat@contoso.com:5061;transport=TLS", b"sip:ocschat@contoso.com?Subject=x",
    ],
)  # fmt: skip
def test_one_endpoint_in_many_spellings(text: bytes) -> None:
    """User and host without case, escapes resolved, parameters and a default port ignored."""
    assert parse_uri(text).canonical_key() == b"ocschat@contoso.com"


@pytest.mark.parametrize(
    "text",
    [
        b"sip:ocschat@contoso.com:5061", b"sips:ocschat@contoso.com:5060", b"sip:contoso.com",
        b"sip:ocschat@sub.contoso.com", b"sip:ocschat%00@contoso.com", b"sip:ocschat:x@contoso.com",
        b"sip:ocschat%40contoso.com@contoso.com", b"sip:ocschat@contoso.com:0",
    ],
)  # fmt: skip
def test_other_endpoints(text: bytes) -> None:
    assert parse_uri(text).canonical_key() != b"ocschat@contoso.com"


def test_escaped_separators_stay_escaped() -> None:
    """An escaped `@` or `:` resolved would be another URI's key."""
    keys = {
        parse_uri(text).canonical_key()
        for text in (b"sip:a%40b@c", b"sip:a%3ab@c", b"sip:a:b@c", b"sip:a@c")
    }
    assert len(keys) == 4
    assert parse_uri(b"sip:a%2540b@c").canonical_key() != parse_uri(b"sip:a%40b@c").canonical_key()


def test_case_beyond_ascii() -> None:
    """UTF-8 user parts are compared without case, escaped or not; other octets as they are."""
    key = parse_uri("sip:Büro@contoso.com".encode()).canonical_key()
    assert key == parse_uri(b"sip:B%C3%9CRO@contoso.com").canonical_key()
    assert (
        parse_uri(b"sip:\xff\xfe@b").canonical_key() == parse_uri(b"sip:%ff%FE@b").canonical_key()
    )
    assert parse_uri(b"sip:\xff@b").canonical_key() != parse_uri(b"sip:\xfe@b").canonical_key()


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        (b"Contoso.COM.", b"contoso.com"), (b"192.0.2.1", b"192.0.2.1"),
        (b"[2001:DB8:0:0::0001]", b"[2001:db8::1]"), (b"[::ffff:192.0.2.1]", b"192.0.2.1"),
        (b"[::FFFF:c000:201]", b"192.0.2.1"), (b"[Zz]", b"[zz]"),
    ],
)  # fmt: skip
def test_canonical_host(host: bytes, canonical: bytes) -> None:
    assert canonical_host(host) == canonical
