"""The page that users read, and the samples that they copy, say what the code does."""

import re
from dataclasses import MISSING, fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from pydantic.fields import FieldInfo

from chatredirect.config import (
    DnsSettings,
    EndpointSettings,
    HealthSettings,
    LimitSettings,
    LogSettings,
    Settings,
    TlsSettings,
    load,
    warnings,
)
from chatredirect.config.http_section import HttpSettings
from chatredirect.config.models import ControlSettings, ProxySection
from chatredirect.config.usage_section import UsageSettings
from chatredirect.config.warnings import sample_values

ROOT = Path(__file__).parents[2]
SECTIONS = {
    "Top level": Settings,
    "Endpoints": EndpointSettings,
    "DNS": DnsSettings,
    "TLS": TlsSettings,
    "Health": HealthSettings,
    "Logs": LogSettings,
    "Control": ControlSettings,
    "HTTP": HttpSettings,
    "Proxy": ProxySection,
    "Usage": UsageSettings,
    "Limits": LimitSettings,
}


def rows(section: str) -> dict[str, list[str]]:
    """Key → the other cells of its row, from one section of docs/configuration.md."""
    text = (ROOT / "docs/configuration.md").read_text()
    part = re.split(r"^## ", text, flags=re.MULTILINE)
    (body,) = (each for each in part if each.startswith(f"{section}\n"))
    lines = re.findall(r"^\| `(\w+)` \| (.*) \|$", body, flags=re.MULTILINE)
    return {key: rest.split(" | ") for key, rest in lines}


def default_of(field: object) -> object:
    default = getattr(field, "default", MISSING)
    return default.default if isinstance(default, FieldInfo) else default


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_described(section: str) -> None:
    """Every key has a row, in the order of the code, and no row is about a key that isn't there."""
    keys = [field.name for field in fields(SECTIONS[section]) if field.init]
    assert list(rows(section)) == keys


@pytest.mark.parametrize("section", SECTIONS)
def test_defaults_are_the_codes(section: str) -> None:
    described = rows(section)
    for field in fields(SECTIONS[section]):
        if not field.init:
            continue
        default, cell = default_of(field), described[field.name][1]
        if isinstance(default, bool):
            assert cell == f"`{str(default).lower()}`"
        elif isinstance(default, int | float):
            assert cell == f"{default:.10g}"
        elif isinstance(default, str) and default:
            assert cell == f"`{default}`"
        elif isinstance(default, tuple) and default:
            shown = [str(each).removesuffix("/128") for each in default]
            assert cell == ", ".join(f"`{each}`" for each in shown)


@pytest.mark.parametrize("section", SECTIONS)
def test_allowed_values_are_the_codes(section: str) -> None:
    """Where a key has a closed list of values, its row has the same."""
    model = SECTIONS[section]
    for name, hint in get_type_hints(model).items():
        literals = [each for each in (hint, *get_args(hint)) if "Literal" in repr(each)[:20]]
        if literals:
            allowed = [str(value) for value in get_args(literals[0])]
            assert rows(section)[name][0].replace("`", "").split(", ") == allowed


@pytest.mark.parametrize("name", ["chatredirect.yaml", "production.yaml"])
def test_samples(name: str) -> None:
    """Both samples are right and give no reason for a warning."""
    settings = load(ROOT / "config" / name)
    assert {str(endpoint.sip_address) for endpoint in settings.endpoints} == {
        *("sip:ocschat@contoso.com", "sip:persistentchat@contoso.com")
    }
    found = [fault.message for fault in warnings(settings)]
    if name == "production.yaml":  # nobody knows the front ends beforehand
        assert found.pop().startswith(
            "the mode lookup serves trusted peers only, and only this machine is one: name the"
        )
    assert not found


@pytest.mark.parametrize("name", ["chatredirect.yaml", "production.yaml"])
def test_samples_serve_the_clients_that_they_name(name: str) -> None:
    """Group Chat clients follow no 302, so the URI that they have is the mode lookup's."""
    text = (ROOT / "config" / name).read_text()
    assert text.index("Group Chat") < text.index("sip:ocschat@contoso.com")
    modes = {str(each.sip_address): each.mode for each in load(ROOT / "config" / name).endpoints}
    assert modes["sip:ocschat@contoso.com"] == "lookup"


def test_what_is_left_of_a_sample_is_said(tmp_path: Path) -> None:
    """Each value of the samples' domain, until it is replaced; a demonstration on loopback may."""
    text = (ROOT / "config/production.yaml").read_text()
    file = tmp_path / "chatredirect.yaml"
    file.write_text(text)
    endpoint, pool, name = (fault.message for fault in sample_values(load(file)))
    assert endpoint.startswith("sip:ocschat@contoso.com and 1 more: contoso.com is the samples'")
    assert pool.startswith("pcpool.contoso.com is the samples' pool")
    assert name.startswith("advertise: chatredirect.contoso.com is the samples' name")
    file.write_text(text.replace("contoso.com", "fabrikam.example"))
    assert not list(sample_values(load(file)))
    assert not list(sample_values(load(ROOT / "config/chatredirect.yaml")))


@pytest.mark.parametrize("sample", ["config/production.yaml", "docs/two-machines.md"])
def test_a_secret_that_everybody_can_read_here_is_said(tmp_path: Path, sample: str) -> None:
    """Every secret of a sample that is long enough to be taken."""
    secrets = re.findall(r'(?m)^(?:# )?secret: "(.{16,})"', (ROOT / sample).read_text())
    assert secrets
    file = tmp_path / "chatredirect.yaml"
    for secret in secrets:
        file.write_text(f'listen: [udp://0.0.0.0:5060]\nendpoints: []\nsecret: "{secret}"\n')
        (fault,) = sample_values(load(file))
        assert fault.message.startswith("secret: it is the samples', which everybody knows")


def test_sample_for_loopback_needs_no_dns() -> None:
    settings = load(ROOT / "config/chatredirect.yaml")
    assert all(url.host == "127.0.0.1" for url in settings.listen)
    assert {endpoint.pool_fqdn for endpoint in settings.endpoints} <= set(settings.dns.hosts)


def test_sample_for_production_sets_port_and_transport() -> None:
    """Without them a pool without SRV records means UDP, which Lync doesn't speak."""
    settings = load(ROOT / "config/production.yaml")
    assert {(each.port, each.transport) for each in settings.endpoints} == {(5061, "tls")}


def test_what_is_commented_out_in_the_sample_works(tmp_path: Path) -> None:
    """A line that only needs its comment sign taken away must be right as well."""
    text = (ROOT / "config/production.yaml").read_text()
    text = re.sub(r"^( *)# (\w+:(?: .*)?|- tls://.*)$", r"\1\2", text, flags=re.MULTILINE)
    (tmp_path / "production.yaml").write_text(text)
    settings = load(tmp_path / "production.yaml")
    assert settings.secret is not None
    assert settings.dns.nameservers
    (listener,) = settings.secure_listeners.values()
    assert listener.allowed_peers == ("fe01.contoso.com",)
    assert listener.certificate == f"{tmp_path}/tls/chatredirect.pem"
    assert not warnings_about_tls(settings)


def warnings_about_tls(settings: Settings) -> list[str]:
    return [each.message for each in warnings(settings) if "tls" in each.message]


def test_trusted_peers_default() -> None:
    default = Settings(listen=("udp://127.0.0.1:0",)).trusted_peers
    assert default == (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
