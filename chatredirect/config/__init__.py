"""The configuration: YAML files become validated, frozen settings, or a list of every fault.

Settings can also be made in code: `Settings(listen=(...,))`.
"""

from chatredirect.config.address_syntax import parse_listen, parse_pool_fqdn
from chatredirect.config.endpoint import EndpointSettings
from chatredirect.config.faults import ConfigError, Fault
from chatredirect.config.loader import load
from chatredirect.config.models import (
    DnsSettings,
    HealthSettings,
    LimitSettings,
    LogSettings,
    Settings,
    TlsSettings,
)
from chatredirect.config.sip_addresses import parse_sip_address
from chatredirect.config.warnings import warnings
from chatredirect.net.addresses import HostPort, ListenUrl, Transport

__all__ = [
    "ConfigError",
    "DnsSettings",
    "EndpointSettings",
    "Fault",
    "HealthSettings",
    "HostPort",
    "LimitSettings",
    "ListenUrl",
    "LogSettings",
    "Settings",
    "TlsSettings",
    "Transport",
    "load",
    "parse_listen",
    "parse_pool_fqdn",
    "parse_sip_address",
    "warnings",
]
