"""Where a URI leads (RFC 3263 §4), and what of it is gone once it has led here (RFC 3261 §16.4)."""

import pytest

from chatredirect.net.addresses import HostPort, ListenUrl
from chatredirect.net.own_names import own_names
from chatredirect.sip.uri import destination, parse_uri, without_maddr


@pytest.mark.parametrize(
    ("uri", "host", "wanted"),
    [
        (b"sip:a@Contoso.com.", b"contoso.com", None),
        (b"sip:contoso.com;transport=TCP", b"contoso.com", "tcp"),
        (b"sip:contoso.com;maddr=192.0.2.1", b"192.0.2.1", None),
        (b"sip:contoso.com;MADDR=[2001:DB8::0:1]", b"[2001:db8::1]", None),
        (b"sip:contoso.com;maddr=FE.contoso.com.", b"fe.contoso.com", None),
        (b"sip:contoso.com;maddr=", b"contoso.com", None),
        (b"sip:contoso.com;m%61ddr=192.0.2.1", b"192.0.2.1", None),
        (b"sips:contoso.com", b"contoso.com", "sips"),
        (b"sips:contoso.com;transport=tcp", b"contoso.com", "tls"),
        (b"sips:contoso.com;transport=udp", b"contoso.com", "tls"),
        (b"sip:contoso.com;maddr=[\xff", b"[\xff", None),
    ],
)
def test_where_a_uri_leads(uri: bytes, host: bytes, wanted: str | None) -> None:
    """maddr before the host; a SIPS URI over TLS, whatever it says besides (§26.2.2)."""
    leads = destination(parse_uri(uri))
    assert (leads.looked_up, leads.wanted()) == (host, wanted)


@pytest.mark.parametrize("uri", [b"sip:contoso.com:0", b"sip:contoso.com;transport=sctp"])
def test_a_uri_that_leads_nowhere(uri: bytes) -> None:
    """It says why."""
    with pytest.raises(ValueError, match=r"its (port|transport)"):
        destination(parse_uri(uri)).wanted()


def test_canonical() -> None:
    """Scheme, host, port, transport and maddr, without case; nothing else."""
    uris = [
        b"sip:a", b"sips:a", b"sip:b", b"sip:a:5060", b"sip:a;transport=tcp", b"sip:a;maddr=b",
        b"sip:a;maddr=c", b"sip:a:506;transport=0",
    ]  # fmt: skip
    forms = [destination(parse_uri(uri)).canonical for uri in uris]
    assert len(set(forms)) == len(uris)
    same = [b"SIP:x@A.:5060;lr;transport=Tcp;x=y?Subject=z", b"sip:a:5060;transport=TCP"]
    assert len({destination(parse_uri(uri)).canonical for uri in same}) == 1


@pytest.mark.parametrize(
    ("uri", "left"),
    [
        (b"sip:a:p@b:5070;x=y;maddr=c;transport=tcp;lr?d=e", b"sip:a:p@b;x=y;lr?d=e"),
        (b"sip:b:5060;maddr=c", b"sip:b:5060"),
        (b"sips:b:5061;MADDR=c;Transport=tls", b"sips:b:5061"),
    ],
)
def test_without_maddr(uri: bytes, left: bytes) -> None:
    """§16.4: a port that isn't the default one, and the transport, go with it."""
    assert without_maddr(parse_uri(uri)) == left


@pytest.mark.parametrize(
    ("uri", "ours"),
    [
        (b"sip:elsewhere.org:5060;maddr=192.0.2.1", True),
        (b"sip:elsewhere.org;maddr=CR.contoso.com", True),
        (b"sip:elsewhere.org:5061;maddr=192.0.2.1", False),
        (b"sip:192.0.2.1;maddr=192.0.2.9", False),
        (b"sip:elsewhere.org", False),
    ],
)
def test_whether_it_is_us(uri: bytes, ours: bool) -> None:
    """Who asks for our own names asks the same question."""
    listen = [ListenUrl("udp", "192.0.2.1", 5060)]
    names = own_names(listen, [HostPort("cr.contoso.com", None)], [])
    assert names.names(parse_uri(uri)) is ours
    assert (names.freed(parse_uri(uri)) is not None) is ours
    assert names.freed(parse_uri(b"sip:192.0.2.1;x=maddr")) is None
