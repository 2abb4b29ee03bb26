"""An endpoint's values by option or by YAML key."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TypeAlias

import typer
from pydantic import TypeAdapter, ValidationError

from chatredirect.config.document import Document
from chatredirect.config.endpoint import EndpointSettings, written
from chatredirect.config.endpoint_file import Scalar
from chatredirect.config.messages import faults_of

OPTIONS = {
    "sip_address": "--sip-address",
    "pool_fqdn": "--persistent-chat-pool-fqdn",
    "display_name": "--display-name",
    "mode": "--mode",
    "port": "--port",
    "transport": "--transport",
    "state": "--state",
    "active_from": "--active-from",
}
"""What can be given to `new` and `set`, in the order of an endpoint's file."""

Keys: TypeAlias = dict[str, Scalar]
"""Values by YAML key."""

_ENDPOINT = TypeAdapter(EndpointSettings)
# A key, but no plain word that a key is called like ("has a port in it"), and nothing in quotes:
# that is the user's own.
_KEY = re.compile(
    rf"\"[^\"]*\"|(?<![\w.:;@/-])(?:({'|'.join(OPTIONS)}):"
    rf"|({'|'.join(name for name in OPTIONS if '_' in name)})\b)"
)


def endpoint_of(keys: Mapping[str, Scalar]) -> EndpointSettings:
    """The endpoint with these values.

    Raises:
        ValidationError: they make none; `faults` puts it in words.
    """
    return _ENDPOINT.validate_python(dict(keys))


def faults(error: ValidationError) -> Iterator[str]:
    """The faults of values, each after its key."""
    for fault in faults_of(error, Document(""), (), EndpointSettings):
        yield fault.message


def refuse_values(error: ValidationError) -> typer.BadParameter:
    """The faults of values that were given as options."""
    found = list(faults(error))
    named = OPTIONS.get(found[0].partition(":")[0])
    if named is not None:
        found[0] = found[0].partition(": ")[2]
    return typer.BadParameter("; ".join(map(for_options, found)), param_hint=named)


def for_options(message: str) -> str:
    """A fault with option names instead of YAML keys."""

    def option(found: re.Match[str]) -> str:
        key = found[1] or found[2]
        return found[0] if key is None else OPTIONS[key]

    return _KEY.sub(option, message)


def keys_of(endpoint: EndpointSettings) -> Keys:
    """An endpoint's values as in its file, without those that are defaults."""
    values: dict[str, object] = {name: getattr(endpoint, name) for name in OPTIONS}
    keys: Keys = {}
    for name, value in values.items():
        if isinstance(value, datetime):
            keys[name] = written(value)
        elif name in ("sip_address", "pool_fqdn"):
            keys[name] = str(value)
        elif isinstance(value, str | int) and value != _DEFAULTS.get(name):
            keys[name] = value
    return keys


_DEFAULTS: Mapping[str, object] = {"mode": "redirect", "state": "active"}
