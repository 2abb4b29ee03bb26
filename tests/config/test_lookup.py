"""The keys of the mode lookup: what is refused, what is warned of, what it means."""

from collections.abc import Callable

import pytest

from chatredirect.config import HostPort, Settings, warnings

LISTEN = "listen: [udp://127.0.0.1:5060]\n"
ENDPOINT = (
    "endpoints:\n  - sip_address: sip:ocschat@contoso.com\n    pool_fqdn: pcpool.contoso.com\n"
)
LOOKUP = LISTEN + ENDPOINT + "    mode: lookup\n    port: 5061\n    transport: tls\n"

Load = Callable[[str], Settings]
Faults = Callable[[str], list[tuple[int, str]]]


def only(found: list[tuple[int, str]]) -> str:
    ((_, message),) = found
    return message


def test_the_smallest(settings: Load) -> None:
    """Without channel_uris callers are sent to the pool, with the contact object's user."""
    (endpoint,) = settings(LOOKUP).endpoints
    assert [str(uri) for uri in endpoint.channels] == ["sip:ocschat@pcpool.contoso.com"]
    assert endpoint.pools == (("pcpool.contoso.com", 5061, "tls"),)


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("pcpool.contoso.com", "is no SIP URI"),
        ("sip:pcpool.contoso.com", "has no user"),
        ("sip:a@pcpool.contoso.com?Subject=x", "has header fields"),
        ("sip:a@pcpool.contoso.com;transport=sctp", "is none of udp, tcp and tls"),
        ("sip:a@pcpool.contoso.com:0", "a port is from 1 to 65535"),
        ("<sip:a@pcpool.contoso.com>", "has something else than a URI in it"),
        ("sip:ocschat@CONTOSO.com", "is the contact object itself"),
        ("sip:a@b.com, sip:A@b.com", "is there twice"),
    ],
)
def test_wrong_channel_uris(faults: Faults, uri: str, fault: str) -> None:
    quoted = ", ".join(f'"{each}"' for each in uri.split(", "))
    assert fault in only(faults(LOOKUP + f"    channel_uris: [{quoted}]\n"))


def test_contact_uri_is_kept_as_it_is(settings: Load, faults: Faults) -> None:
    uri = "sip:ocschat@contoso.com;gruu;opaque=srvr:x"
    (endpoint,) = settings(LOOKUP + f'    contact_uri: "{uri}"\n').endpoints
    assert endpoint.contact_uri == uri
    assert "is no SIP URI" in only(faults(LOOKUP + "    contact_uri: tel:5\n"))


@pytest.mark.parametrize("key", ["channel_uris: [sip:a@b.com]", "contact_uri: sip:a@b.com"])
def test_keys_of_another_mode(faults: Faults, key: str) -> None:
    assert "only the mode lookup uses it" in only(faults(f"{LISTEN}{ENDPOINT}    {key}\n"))


@pytest.mark.parametrize("url", ["udp://0.0.0.0:5060", '"tcp://[::]:5060"'])
def test_a_wildcard_is_no_contact(settings: Load, faults: Faults, url: str) -> None:
    """Nobody could send to it: advertise or contact_uri must be given."""
    text = LOOKUP.replace("udp://127.0.0.1:5060", url)
    assert "set advertise (or CHATREDIRECT_ADVERTISE" in only(faults(text))
    settings(text + "advertise: cr.contoso.com\n")
    settings(text + "    contact_uri: sip:ocschat@cr.contoso.com\n")


def test_a_lookup_that_leads_to_itself(faults: Faults) -> None:
    text = LOOKUP.replace("pcpool.contoso.com", "contoso.com")
    assert "would lead from sip:ocschat@contoso.com to itself" in only(faults(text))


def test_uris_outside_the_domain_are_warned_of(settings: Load) -> None:
    """A front end may not route them; those in the domain give no reason."""
    (warning,) = warnings(settings(LOOKUP))
    assert "sip:ocschat@pcpool.contoso.com isn't in the SIP domain contoso.com" in str(warning)
    assert not warnings(settings(LOOKUP + "    channel_uris: [sip:gc-channel@Contoso.com]\n"))


def test_a_lookup_that_serves_nobody_is_warned_of(settings: Load) -> None:
    channel = "    channel_uris: [sip:gc-channel@contoso.com]\n"
    (warning,) = warnings(settings(f"{LOOKUP}{channel}trusted_peers: []\n"))
    assert "serves trusted peers only, and there are none" in str(warning)


def test_registrars(settings: Load, faults: Faults) -> None:
    text = LISTEN + ENDPOINT + "registrars: {Contoso.com: fe.contoso.com, b.com: '[::1]:5061'}\n"
    assert settings(text).registrars == {
        "contoso.com": HostPort("fe.contoso.com"),
        "b.com": HostPort("::1", 5061),
    }
    text = LISTEN + ENDPOINT + "registrars: {contoso.com: 'sip:fe.contoso.com'}\n"
    assert "write host or host:port" in only(faults(text))
