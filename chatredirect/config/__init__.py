"""The configuration: YAML files become validated, frozen settings, or a list of every fault.

    document   YAML text → plain values that know their line
    addresses, sipaddress   the values' own grammar
    fields, endpoint, models   the settings and what each value may be
    checks     what values mean together
    loader     puts them together: `load`

`load` is all that most callers need. Settings can also be made in code: `Settings(listen=(...,))`.
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
