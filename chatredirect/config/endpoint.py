"""An endpoint: one entry of the section `endpoints`."""

import re
from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, PlainValidator, StrictStr
from pydantic.dataclasses import dataclass

from chatredirect.config.address_syntax import parse_pool_fqdn
from chatredirect.config.faults import quoted
from chatredirect.config.fields import STRICT, TOKEN, Port, from_text, invalid, parsed
from chatredirect.config.sip_addresses import (
    ChannelUri,
    SipAddress,
    parse_channel_uri,
    parse_contact_uri,
    parse_sip_address,
)
from chatredirect.net.addresses import Transport, bracketed
from chatredirect.net.target import PoolAddress
from chatredirect.sip.uri import Wanted

Mode: TypeAlias = Literal["redirect", "proxy", "lookup"]
RedirectStatus: TypeAlias = Literal[300, 301, 302, 305]
ContactForm: TypeAlias = Literal["fqdn", "targets", "addresses"]
OnAllDown: TypeAlias = Literal["unavailable", "serve"]
Peers: TypeAlias = Literal["anyone", "trusted"]
Rewrite: TypeAlias = Literal["keep", "pool"]
State: TypeAlias = Literal["active", "maintenance", "disabled"]
EndpointValue: TypeAlias = str | int | list[str] | None

_NEVER_REDIRECTED = ("ACK", "BENOTIFY", "CANCEL")
_MAX_METHODS = 300  # octets, with their commas: so that a 405 fits into a UDP response
_MOMENT_EXAMPLE = "2026-11-23T06:00:00+01:00"
# ISO 8601 as YAML has it too: a space may stand for the T, and before the offset
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt]|\s{1,4})(\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)"
    r"\s{0,4}([Zz]|[+-]\d\d(?::?\d\d)?)?"
)
_YEARS = (1971, 9998)  # in every offset a time that the system's clock can have
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _display_name(text: str) -> str:
    if _UNPRINTABLE.search(text):
        raise invalid(f"{quoted(text)} has control characters in it")
    if len(text) > 256:
        raise invalid("is longer than 256 characters")
    return text


def _method(text: str) -> str:
    if not TOKEN.fullmatch(text):
        raise invalid(f"{quoted(text)} is no method name: write it as in INVITE")
    if text != text.upper():
        raise invalid(f"{quoted(text)}: methods are told apart by case; write {text.upper()}")
    if text in _NEVER_REDIRECTED:
        raise invalid(f"{text} is never redirected, so it can't be on the list")
    return text


def _some_methods(methods: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if methods is not None and not methods:
        raise invalid("the list is empty: leave the key out to redirect every method")
    octets = len(", ".join(methods or ()))
    if octets > _MAX_METHODS:
        raise invalid(
            f"the list takes {octets} octets in an Allow header field; at most {_MAX_METHODS} fit "
            "into an answer over UDP"
        )
    return methods


def _some_channels(uris: tuple[ChannelUri, ...]) -> tuple[ChannelUri, ...]:
    seen: set[bytes] = set()
    for uri in uris:
        if uri.key in seen:
            raise invalid(f"{quoted(uri.text)} is there twice")
        seen.add(uri.key)
    return uris


def parse_moment(text: str) -> datetime:
    """Read `2026-11-23T06:00:00+01:00`; raises ValueError with what to write instead.

    A time without an offset is refused: it would be a different moment in every place, and two in
    the night when clocks are put back.
    """
    bare = text.strip()
    found = _MOMENT.fullmatch(bare)
    if found is None:
        what = "has no time of day" if _DATE.fullmatch(bare) else "is no point in time"
        raise ValueError(f"{quoted(text)} {what}: write it as in {_MOMENT_EXAMPLE}")
    date, time, offset = found.groups()
    if offset is None:
        raise ValueError(
            f"{quoted(text)} has no UTC offset, so it is another moment in every place: write "
            f"{date}T{time}+01:00 with the offset of your clock then, or {date}T{time}Z for UTC"
        )
    try:
        moment = datetime.fromisoformat(f"{date}T{time}{offset.upper()}")
    except ValueError:
        raise ValueError(f"{quoted(text)}: there is no such moment in the calendar") from None
    if not _YEARS[0] <= moment.year <= _YEARS[1]:
        raise ValueError(f"{quoted(text)}: a year from {_YEARS[0]} to {_YEARS[1]} belongs here")
    return moment


def written(moment: datetime) -> str:
    """A moment as it is written in a file."""
    text = moment.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _moment(value: object) -> object:
    if isinstance(value, str):
        return parsed(parse_moment, value)
    if not isinstance(value, datetime):
        raise invalid(f"must be a point in time: write it as in {_MOMENT_EXAMPLE}")
    if value.utcoffset() is None:
        raise invalid(f"{quoted(value)} has no UTC offset: give it a tzinfo")
    return value


Channel: TypeAlias = Annotated[ChannelUri, from_text(parse_channel_uri, ChannelUri)]


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class EndpointSettings:
    """One contact object and its pool. `source` is the `file:line` that defines it."""

    sip_address: Annotated[SipAddress, from_text(parse_sip_address, SipAddress)]
    pool_fqdn: Annotated[str, from_text(parse_pool_fqdn)]
    display_name: Annotated[StrictStr, AfterValidator(_display_name)] | None = None
    mode: Mode = "redirect"
    port: Port | None = None
    transport: Transport | None = None
    redirect_status: RedirectStatus = 302
    methods: Annotated[
        tuple[Annotated[StrictStr, AfterValidator(_method)], ...] | None,
        AfterValidator(_some_methods),
    ] = None
    contact: ContactForm = "fqdn"
    on_all_down: OnAllDown = "unavailable"
    peers: Peers = "anyone"
    channel_uris: Annotated[tuple[Channel, ...], AfterValidator(_some_channels)] = ()
    contact_uri: Annotated[str, from_text(parse_contact_uri)] | None = None
    rewrite: Rewrite = "keep"
    state: State = "active"
    active_from: Annotated[datetime, PlainValidator(_moment)] | None = None
    source: str = field(default="", init=False)

    def values(self) -> dict[str, EndpointValue]:
        """The keys as in a file, with defaults; lists for keys with several values."""
        return {
            "sip_address": str(self.sip_address),
            "pool_fqdn": self.pool_fqdn,
            "display_name": self.display_name,
            "mode": self.mode,
            "port": self.port,
            "transport": self.transport,
            "redirect_status": self.redirect_status,
            "methods": None if self.methods is None else list(self.methods),
            "contact": self.contact,
            "on_all_down": self.on_all_down,
            "peers": self.peers,
            "channel_uris": [str(uri) for uri in self.channel_uris],
            "contact_uri": self.contact_uri,
            "rewrite": self.rewrite,
            "state": self.state,
            "active_from": None if self.active_from is None else written(self.active_from),
        }

    def state_at(self, now: float) -> State:
        """The state in force at a time, in seconds since the epoch.

        From `active_from` on the endpoint is active, whatever `state` says; before that it isn't.
        """
        if self.active_from is None:
            return self.state
        if now >= self.active_from.timestamp():
            return "active"
        return "maintenance" if self.state == "active" else self.state

    @property
    def pool_transport(self) -> Wanted | None:
        """The transport to resolve the pool for; secure for a sips: address (RFC 3263 §4.1)."""
        if self.sip_address.scheme == "sips":
            return "sips" if self.transport is None else "tls"
        return self.transport

    @property
    def trusted_only(self) -> bool:
        """Whether it serves trusted peers alone, so strangers' calls say nothing of its use."""
        return self.peers == "trusted" or self.mode != "redirect"

    @property
    def channels(self) -> tuple[ChannelUri, ...]:
        """Where the mode lookup sends callers: `channel_uris`, or else the pool."""
        if self.channel_uris:
            return self.channel_uris
        sip = self.sip_address
        return (parse_channel_uri(f"{sip.scheme}:{sip.user}@{bracketed(self.pool_fqdn)}"),)

    @property
    def pool(self) -> PoolAddress:
        """The pool's name, port and transport."""
        return PoolAddress(self.pool_fqdn, self.port, self.pool_transport)

    def channel_pool(self, uri: ChannelUri) -> PoolAddress:
        """The pool of a channel service's URI.

        A URI in the endpoint's own domain is routed by the front end to the endpoint's pool. Where
        a URI has neither port nor transport, the endpoint's count.
        """
        own = (self.pool_fqdn, self.sip_address.host.lower())
        if uri.port is None and uri.transport in (None, self.pool_transport):
            return self.pool if uri.host in own else self.pool._replace(fqdn=uri.host)
        return PoolAddress(uri.host, uri.port, uri.transport)

    @property
    def pools(self) -> tuple[PoolAddress, ...]:
        """All pools that the endpoint may lead to, each once."""
        if self.mode != "lookup":
            return (self.pool,)
        channels = (self.channel_pool(uri) for uri in self.channels)
        return tuple(dict.fromkeys((self.pool, *channels)))
