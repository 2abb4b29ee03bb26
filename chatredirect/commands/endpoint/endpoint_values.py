"""An endpoint's values: by option, by YAML key, as text, and as JSON."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TypeAlias

import typer
from pydantic import TypeAdapter, ValidationError

from chatredirect.config.document import Document
from chatredirect.config.endpoint import EndpointSettings, written
from chatredirect.config.endpoint_file import KeyValue
from chatredirect.config.messages import faults_of
from chatredirect.runtime.wording import counted

OPTIONS = {
    "sip_address": "--sip-address",
    "pool_fqdn": "--persistent-chat-pool-fqdn",
    "display_name": "--display-name",
    "mode": "--mode",
    "port": "--port",
    "transport": "--transport",
    "redirect_status": "--redirect-status",
    "methods": "--methods",
    "contact": "--contact",
    "on_all_down": "--on-all-down",
    "peers": "--peers",
    "channel_uris": "--channel-uris",
    "contact_uri": "--contact-uri",
    "rewrite": "--rewrite",
    "state": "--state",
    "active_from": "--active-from",
}
"""The option for each YAML key that `new` and `set` write, in the order of an endpoint's file."""

Keys: TypeAlias = dict[str, KeyValue]
"""Values by YAML key."""

# PowerShell takes them in any case
_KEYWORDS = ("mode", "transport", "state", "contact", "on_all_down", "peers", "rewrite")
_NUMBERS = ("port", "redirect_status")
_LISTS = {
    "methods": re.compile(r"[,\s]+"),
    # a user part may have a comma in it (RFC 3261 §25.1, user-unreserved)
    "channel_uris": re.compile(r"\s*,\s*(?=sips?:)|\s+", re.IGNORECASE),
}
"""What separates the values of a list."""
_DEFAULTS = {each.name: each.default for each in fields(EndpointSettings)}
_COLUMNS = ("SipAddress", "PersistentChatPoolFqdn", "Mode", "State", "DisplayName")
_ENDPOINT = TypeAdapter(EndpointSettings)
# The YAML keys in a fault. A key without an underscore is also a plain word ("has a port in it"),
# so it counts only before a colon. Text in quotes is the user's own and is skipped.
_KEY = re.compile(
    rf"\"[^\"]*\"|(?<![\w.:;@/-])(?:({'|'.join(OPTIONS)}):"
    rf"|({'|'.join(name for name in OPTIONS if '_' in name)})\b)"
)


def typed(given: Mapping[str, str]) -> Keys:
    """Text from a user as values: numbers, lists, keywords in lower case."""
    keys: Keys = {name: given[name].strip() for name in OPTIONS if name in given}
    for name in _KEYWORDS:
        if name in keys:
            keys[name] = str(keys[name]).lower()
    for name in _NUMBERS:
        digits = str(keys.get(name, ""))
        if digits.isascii() and digits.isdigit() and len(digits) < 10:
            keys[name] = int(digits)
    for name, separator in _LISTS.items():
        if name in keys:
            keys[name] = [each for each in separator.split(str(keys[name]).strip(", ")) if each]
    return keys


def endpoint_of(keys: Mapping[str, KeyValue]) -> EndpointSettings:
    """The endpoint with these values.

    Raises:
        ValidationError: a value is missing or faulty; `faults` puts it in words.
    """
    return _ENDPOINT.validate_python(dict(keys))


def keys_of(endpoint: EndpointSettings) -> Keys:
    """An endpoint's values as in its file, without those that are defaults."""
    return {
        name: value
        for name, value in endpoint.values().items()
        if value is not None and value != [] and value != _DEFAULTS.get(name)
    }


def faults(error: ValidationError) -> Iterator[str]:
    """The faults of values, each after its key."""
    for fault in faults_of(error, Document(""), (), EndpointSettings):
        yield fault.message


def refuse_values(error: ValidationError) -> typer.BadParameter:
    """The exception that reports the faults of values that were given as options."""
    found = list(faults(error))
    option = OPTIONS.get(found[0].partition(":")[0])
    if option is not None:
        found[0] = found[0].partition(": ")[2]
    return typer.BadParameter("; ".join(map(for_options, found)), param_hint=option)


def for_options(message: str) -> str:
    """A fault with option names instead of YAML keys."""

    def option(found: re.Match[str]) -> str:
        key = found[1] or found[2]
        if key is None:
            return found[0]
        colon = ":" if found[1] and not found.start() else ""  # "--port: must be …"
        return f"{OPTIONS[key]}{colon}"

    return _KEY.sub(option, message)


def state_text(endpoint: EndpointSettings, now: float) -> str:
    """The state in force at `now` (seconds since the epoch), and when it becomes active."""
    state = endpoint.state_at(now)
    if endpoint.active_from is None or state == "active":
        return state
    return f"{state} until {written(endpoint.active_from)}"


def pool_text(endpoint: EndpointSettings) -> str:
    """The pool, with the port and transport that are given."""
    return str(endpoint.pool._replace(transport=endpoint.transport))


def described(endpoint: EndpointSettings, now: float) -> str:
    """An endpoint, its mode and pool, and its state if that isn't active."""
    state = state_text(endpoint, now)
    also = "" if state == "active" else f", {state}"
    return f"{endpoint.sip_address} ({endpoint.mode} to {pool_text(endpoint)}{also})"


def named(endpoints: Sequence[EndpointSettings]) -> str:
    """One endpoint by its address, several by their number."""
    if len(endpoints) == 1:
        return f"{endpoints[0].sip_address}, which leads to {pool_text(endpoints[0])}"
    return counted(len(endpoints), "endpoint")


def table(endpoints: Sequence[EndpointSettings], now: float) -> str:
    """A line for each endpoint, below a line with the columns' names."""
    rows = [_COLUMNS]
    for each in endpoints:
        name = each.display_name or ""
        state = state_text(each, now)
        rows.append((str(each.sip_address), pool_text(each), each.mode, state, name))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def sheet(endpoint: EndpointSettings, now: float, in_force: str | None = None) -> str:
    """Everything about one endpoint, a line for each value; `in_force`: see `FileInForce`."""
    values = {
        "SipAddress": str(endpoint.sip_address),
        "PersistentChatPoolFqdn": endpoint.pool_fqdn,
        "DisplayName": endpoint.display_name or "",
        "Mode": endpoint.mode,
        "Port": str(endpoint.port or ""),
        "Transport": endpoint.transport or "",
        "RedirectStatus": str(endpoint.redirect_status),
        "Methods": ", ".join(endpoint.methods or ()),
        "Contact": endpoint.contact,
        "OnAllDown": endpoint.on_all_down,
        "Peers": endpoint.peers,
        "ChannelUris": ", ".join(map(str, endpoint.channel_uris)),
        "ContactUri": endpoint.contact_uri or "",
        "Rewrite": endpoint.rewrite,
        "State": state_text(endpoint, now),
        "Source": endpoint.source,
    }
    if in_force is not None:
        values["InForce"] = in_force
    width = max(map(len, values))
    return "\n".join(f"{name:<{width}} : {value}".rstrip() for name, value in values.items())


def as_json(endpoints: Sequence[EndpointSettings], now: float) -> list[dict[str, object]]:
    """Everything about each endpoint, for scripts."""
    return [
        {**each.values(), "state_now": each.state_at(now), "source": each.source}
        for each in endpoints
    ]
