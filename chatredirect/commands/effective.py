"""A configuration as it counts: with all defaults, and secrets masked."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from pydantic import SecretStr

from chatredirect.config import EndpointSettings, Settings
from chatredirect.config.usage_section import StoreAddress
from chatredirect.net.addresses import HostPort, ListenUrl, PageAddress

_WRITTEN = (ListenUrl, HostPort, PageAddress, type)
MASKED = "********"
"""In place of a secret; as long as a configuration's secret isn't."""
_NOT_KEYS = ("endpoints", "files", "fingerprint", "include", "tls_listeners")
_OFF = ("control.socket", "http.listen", "http.page_listen", "usage.store", "proxy.dialog_age")
"""Keys that are written `off` where they have no value."""


def effective(settings: Settings) -> dict[str, object]:
    """Every key with the value that counts, as YAML has it; a key without a value is None.

    The endpoints of included files are among `endpoints`, so there is no `include`.
    """
    found = {
        each.name: _plain(getattr(settings, each.name), each.name)
        for each in fields(settings)
        if each.name not in _NOT_KEYS
    }
    if settings.secret_file is not None:
        found["secret"] = None  # it is the file's content
    if settings.tls_listeners:
        listeners = {str(url): _plain(own, "") for url, own in settings.tls_listeners.items()}
        tls = found["tls"]
        found["tls"] = {**tls, "listeners": listeners} if isinstance(tls, dict) else tls
    return {**found, "endpoints": [each.values() for each in settings.endpoints]}


def as_yaml(settings: Settings) -> str:
    """The same as YAML that can be read as a configuration, secrets apart."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    files = f" and {len(settings.files) - 1:,} more" if len(settings.files) > 1 else ""
    lines = [f"# {settings.files[0]}{files}, with all defaults; secrets are masked"]
    if settings.include is not None:
        lines.append(f"# include: {settings.include}, whose endpoints are among those below")
    text = yaml.dump(effective(settings), Dumper=dumper, sort_keys=False, allow_unicode=True)
    return "\n".join([*lines, text.rstrip("\n")])


def _plain(value: object, key: str) -> object:
    if value is None:
        return "off" if key in _OFF else None
    if isinstance(value, SecretStr):
        return MASKED
    if isinstance(value, StoreAddress):
        return _store(value)
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, EndpointSettings):
        return value.values()
    if is_dataclass(value) and not isinstance(value, _WRITTEN):
        inner = ((each.name, getattr(value, each.name)) for each in fields(value))
        return {name: _plain(part, f"{key}.{name}" if key else name) for name, part in inner}
    if isinstance(value, Mapping):
        return {str(name): _plain(part, "") for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part, "") for part in value]
    return str(value)


def _store(address: StoreAddress) -> str:
    """The ledger's address with the password masked, wherever PostgreSQL may be told it."""
    from urllib.parse import parse_qsl, urlencode, urlsplit

    if not address.url:
        return str(address)
    parts = urlsplit(address.url)
    login, at, place = parts.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    query = [
        (name, MASKED if "password" in name.lower() else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    netloc = f"{user}{colon}{MASKED if colon else ''}{at}{place}"
    return parts._replace(netloc=netloc, query=urlencode(query, safe="*/")).geturl()
