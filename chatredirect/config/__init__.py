"""The configuration: YAML files become validated, frozen settings, or a list of every fault.

    document                       YAML text to plain values with their lines
    address_syntax, sip_addresses  the grammar of single values
    fields, endpoint, models       the settings, and the rules for each value
    checks, warnings               rules across values
    loader                         reads a file and what it includes: `load`

Settings can also be made in code: `Settings(listen=(...,))`.
"""

from chatredirect.config.address_syntax import parse_listen, parse_pool_fqdn
from chatredirect.config.endpoint import EndpointSettings
from chatredirect.config.faults import ConfigError, Fault
from chatredirect.config.loader import load
from chatredirect.config.models import (
    ControlSettings,
    DnsSettings,
    HealthSettings,
    HttpSettings,
    LimitSettings,
    LogSettings,
    ProxySection,
    Settings,
    TlsSettings,
)
from chatredirect.config.sip_addresses import parse_sip_address
from chatredirect.config.warnings import warnings
from chatredirect.net.addresses import HostPort, ListenUrl, Transport

__all__ = [
    "ConfigError",
    "ControlSettings",
    "DnsSettings",
    "EndpointSettings",
    "Fault",
    "HealthSettings",
    "HostPort",
    "HttpSettings",
    "LimitSettings",
    "ListenUrl",
    "LogSettings",
    "ProxySection",
    "Settings",
    "TlsSettings",
    "Transport",
    "load",
    "parse_listen",
    "parse_pool_fqdn",
    "parse_sip_address",
    "warnings",
]
