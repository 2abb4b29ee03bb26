"""The configuration: YAML files become validated, frozen settings, or a list of every fault.

    document, yaml_syntax          YAML text to plain values that know their line
    address_syntax, sip_addresses  the grammar of single values
    fields, endpoint, models       the settings, and the rules for each value
    checks, warnings               what values mean together
    loader                         reads a file and what it includes: `load`

Most callers need only `load`. Settings can also be made in code: `Settings(listen=(...,))`.
"""

from chatredirect.config.address_syntax import parse_listen, parse_nameserver, parse_pool_fqdn
from chatredirect.config.endpoint import EndpointSettings
from chatredirect.config.faults import ConfigError, Fault
from chatredirect.config.http_section import HttpSettings
from chatredirect.config.loader import load
from chatredirect.config.models import (
    ControlSettings,
    DnsSettings,
    HealthSettings,
    LimitSettings,
    LogSettings,
    ProxySection,
    Settings,
    TlsSettings,
)
from chatredirect.config.sip_addresses import SipAddress, parse_sip_address
from chatredirect.config.warnings import warnings
from chatredirect.net.addresses import (
    HostPort,
    IPAddress,
    IPNetwork,
    ListenUrl,
    Transport,
    default_port,
)

__all__ = [
    "ConfigError",
    "ControlSettings",
    "DnsSettings",
    "EndpointSettings",
    "Fault",
    "HealthSettings",
    "HostPort",
    "HttpSettings",
    "IPAddress",
    "IPNetwork",
    "LimitSettings",
    "ListenUrl",
    "LogSettings",
    "ProxySection",
    "Settings",
    "SipAddress",
    "TlsSettings",
    "Transport",
    "default_port",
    "load",
    "parse_listen",
    "parse_nameserver",
    "parse_pool_fqdn",
    "parse_sip_address",
    "warnings",
]
