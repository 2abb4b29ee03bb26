"""Addresses and SIP addresses: what is understood, and what to write instead of the rest."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from chatredirect.config import (
    ConfigError,
    HostPort,
    ListenUrl,
    load,
    parse_listen,
    parse_pool_fqdn,
)
from chatredirect.config.address_syntax import parse_advertise, parse_nameserver, parse_network
from chatredirect.config.sip_addresses import parse_sip_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("udp://127.0.0.1:5060", ListenUrl("udp", "127.0.0.1", 5060)),
        ("UDP://127.0.0.1", ListenUrl("udp", "127.0.0.1", 5060)),
        ("tcp://[::1]:5070", ListenUrl("tcp", "::1", 5070)),
        ("tcp://[0:0::1]", ListenUrl("tcp", "::1", 5060)),
        ("tls://0.0.0.0", ListenUrl("tls", "0.0.0.0", 5061)),
        ("udp://[::ffff:192.0.2.1]:0", ListenUrl("udp", "192.0.2.1", 0)),
        ("udp://192.0.2.1:5060/", ListenUrl("udp", "192.0.2.1", 5060)),
        ("udp://[fe80::1%25eth0]:5060", ListenUrl("udp", "fe80::1%eth0", 5060)),
    ],
)
def test_listen(text: str, expected: ListenUrl) -> None:
    assert parse_listen(text) == expected
    assert parse_listen(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("127.0.0.1:5060", "no URL: write udp://"),
        ("localhost", "no URL"),
        ("", "no URL"),
        ("udp:127.0.0.1:5060", "write udp://127.0.0.1:5060"),
        ("sip://127.0.0.1", "write udp, tcp or tls"),
        ("udp://localhost:5060", "not a name"),
        ("udp://", "0.0.0.0"),
        ("udp://*:5060", "0.0.0.0"),
        ("udp://:5060", "0.0.0.0"),
        ("tcp://::1:5060", 'write "tcp://[ADDRESS]:PORT" for IPv6'),
        ("tcp://[::1", 'write "tcp://[ADDRESS]:PORT"'),
        ("tcp://[127.0.0.1]:5060", "only those stand in brackets"),
        ("udp://127.0.0.1:sip", '"sip" is no port'),
        ("udp://127.0.0.1:65536", "is no port"),
        ("udp://127.0.0.1:٣", "is no port"),
        ("udp://127.0.0.1:", "is no port"),
        ("udp://user@127.0.0.1", "says too much"),
        ("udp://127.0.0.1;transport=udp", "says too much"),
        ("udp://127.1", "no IP address"),
        ("udp://127.0.0.1:5060\x1b[31m", '"5060\\x1b[31m" is no port'),
    ],
)
def test_listen_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_listen(text)


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (parse_nameserver, "192.0.2.53", HostPort("192.0.2.53", 53)),
        (parse_nameserver, "127.0.0.1:5353", HostPort("127.0.0.1", 5353)),
        (parse_nameserver, "2001:db8::53", HostPort("2001:db8::53", 53)),
        (parse_nameserver, "[2001:db8::53]:5353", HostPort("2001:db8::53", 5353)),
        (parse_advertise, "chat.contoso.com", HostPort("chat.contoso.com")),
        (parse_advertise, "chat.contoso.com:5070", HostPort("chat.contoso.com", 5070)),
        (parse_advertise, "[2001:db8::1]:5070", HostPort("2001:db8::1", 5070)),
    ],
)
def test_host_port(parse: Callable[[str], HostPort], text: str, expected: HostPort) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (parse_nameserver, "dns.contoso.com", "can't be given by name"),
        (parse_nameserver, "192.0.2.53:0", "from 1 to 65535"),
        (parse_nameserver, "udp://192.0.2.53", "write the IP address alone"),
        (parse_nameserver, "::1:99999", "for IPv6"),
        (parse_advertise, "sip:chat.contoso.com", "is a URL"),
        (parse_advertise, "https://chat.contoso.com/", "is a URL"),
        (parse_advertise, "0.0.0.0:5060", "no address that others could send to"),
        (parse_network, "10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        (parse_network, "fe01.contoso.com", "is no network"),
        (parse_network, "10.0.0.0/33", "is no network"),
    ],
)
def test_host_port_refused(parse: Callable[[str], object], text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pcpool.contoso.com", "pcpool.contoso.com"),
        ("PCPool.Contoso.com.", "pcpool.contoso.com"),
        ("192.0.2.20", "192.0.2.20"),
        ("[2001:DB8:0::20]", "2001:db8::20"),
        ("2001:db8::20", "2001:db8::20"),
        ("pcpool", "pcpool"),
        ("1st.contoso.com", "1st.contoso.com"),
        ("xn--mnchen-3ya.contoso.com", "xn--mnchen-3ya.contoso.com"),
    ],
)
def test_pool_fqdn(text: str, expected: str) -> None:
    assert parse_pool_fqdn(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sip:pcpool.contoso.com", "write pcpool.contoso.com"),
        ("sip:chat@pcpool.contoso.com:5061;transport=tls", "write pcpool.contoso.com"),
        ("https://pcpool.contoso.com/", "write pcpool.contoso.com"),
        ("pcpool.contoso.com:5061", "write pool_fqdn: pcpool.contoso.com and port: 5061"),
        ("192.0.2.20:5061", "write pool_fqdn: 192.0.2.20 and port: 5061"),
        ("[2001:db8::20]:5061", "port: 5061"),
        ("chat@pcpool.contoso.com", "write the host name alone"),
        ("*.contoso.com", "wildcard"),
        ("_sip._tcp.contoso.com", "looks like an SRV record's name"),
        ("münchen.contoso.com", "write xn--mnchen-3ya.contoso.com"),
        ("\x1f\xa0", "isn't ASCII"),
        ("pc pool.contoso.com", "no host name"),
        ("-pc.contoso.com", "no host name"),
        ("pc..contoso.com", "no host name"),
        ("", "empty"),
        ("0.0.0.0", "no address"),
        ("224.0.0.1", "no address"),
        ("192.0.2.300", "no host name and no IPv4 address"),
        (f"{'a' * 64}.contoso.com", "no host name"),
        (".".join(["abcdefgh"] * 29), "253"),
    ],
)
def test_pool_fqdn_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_pool_fqdn(text)


@pytest.mark.parametrize(
    ("text", "full", "user", "host", "port"),
    [
        ("sip:ocschat@contoso.com", "sip:ocschat@contoso.com", "ocschat", "contoso.com", None),
        ("ocschat@contoso.com", "sip:ocschat@contoso.com", "ocschat", "contoso.com", None),
        ("SIP:Chat@Contoso.com:5070", "SIP:Chat@Contoso.com:5070", "Chat", "Contoso.com", 5070),
        ("chat@contoso.com:5070", "sip:chat@contoso.com:5070", "chat", "contoso.com", 5070),
        ("sips:a%20b@[::1]", "sips:a%20b@[::1]", "a%20b", "[::1]", None),
        ("sip:+123@192.0.2.1", "sip:+123@192.0.2.1", "+123", "192.0.2.1", None),
        ("sip:%2A5@contoso.com", "sip:%2A5@contoso.com", "%2A5", "contoso.com", None),
    ],
)
def test_sip_address(text: str, full: str, user: str, host: str, port: int | None) -> None:
    """The scheme may be left out; text and parts stay as written."""
    address = parse_sip_address(text)
    assert (str(address), address.text) == (full, text)
    assert (address.user, address.host, address.port) == (user, host, port)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ocschat", "no domain: write sip:ocschat@DOMAIN"),
        ("sip:ocschat", "no domain: write sip:ocschat@DOMAIN"),
        ("contoso.com:5060", "no user: write sip:USER@contoso.com"),
        ("sip:contoso.com", "no user: write sip:USER@contoso.com"),
        ("", "no domain"),
        ("sip:ocschat@", "no domain after the @"),
        ("sip:@contoso.com", "no SIP URI"),
        ("tel:+15550100", "telephone number"),
        ("TEL:15550100", "telephone number"),
        ("mailto:a@contoso.com", "the scheme mailto"),
        ("sip://a@contoso.com", "write sip:a@contoso.com"),
        ('"Chat" <sip:a@contoso.com>', "write sip:a@contoso.com, and the name in display_name"),
        ("sip:a@contoso.com;transport=tls", "write sip:a@contoso.com"),
        ("sip:a@contoso.com?Subject=x", "has parameters"),
        ("sip:a:secret@contoso.com", "password"),
        ("sip:*@*.contoso.com", "wildcard"),
        ("sip:*@contoso.com", "wildcard: each endpoint is one URI; write sip:%2A@contoso.com"),
        ("chat*@contoso.com", "write chat%2A@contoso.com"),
        ("sip:a@contoso..com", "a dot too many"),
        ("sip:a@.contoso.com", "a dot too many"),
        ("sip:a b@contoso.com", "no SIP URI"),
        ("sip:a@contoso.com:99999", "no SIP URI"),
        ("sip:a@contoso.com\r\nX: y", "no SIP URI"),
    ],
)
def test_sip_address_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        parse_sip_address(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("::ffff:192.0.2.2", "192.0.2.2/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_v4_mapped_networks(text: str, network: str) -> None:
    """A peer of such an address appears as IPv4, so its network is one of IPv4."""
    assert str(parse_network(text)) == network


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("log: {level: warn}", '(did you mean "warning"?)'),
        ("log: {level: INFO}", '(did you mean "info"?)'),
        ("log: {format: jsn}", '(did you mean "json"?)'),
        ("tls: {minimum_version: TLS1.2}", '(did you mean "TLSv1.2"?)'),
        ("loop: uvlop", '(did you mean "uvloop"?)'),
        ("usage: {callers: pseudonym}", '(did you mean "pseudonyms"?)'),
        ("watch: yess", '(did you mean "yes"?)'),
        ('watch: "on"', "write on without quotes"),
        ("log: {requests: 1}", "must be true or false, not the number 1"),
        (f"loop: {'u' * 1000}", "must be auto, uvloop or asyncio"),
    ],
)
def test_what_a_wrong_value_may_mean(tmp_path: Path, text: str, told: str) -> None:
    """As for keys: words, whatever their case, and booleans."""
    file = tmp_path / "chatredirect.yaml"
    file.write_text(f"listen: [udp://127.0.0.1:5060]\n{text}\n")
    with pytest.raises(ConfigError) as raised:
        load(file)
    assert told in str(raised.value)


@pytest.mark.parametrize(("scheme", "meant"), [("utp", "udp"), ("tsl", "tls")])
def test_what_a_wrong_transport_may_mean(tmp_path: Path, scheme: str, meant: str) -> None:
    file = tmp_path / "chatredirect.yaml"
    file.write_text(f"listen: [{scheme}://127.0.0.1:5060]\n")
    with pytest.raises(ConfigError, match=rf'unknown \(did you mean "{meant}"\?\): write udp'):
        load(file)
