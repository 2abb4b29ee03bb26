"""The settings: what a configuration file means once it has been read and found right.

Attributes are the YAML's keys. Everything is frozen: a reload makes new settings. Single values are
checked here, with pydantic; what two values mean together is in `checks`. Slotted dataclasses, not
BaseModels: a hundred thousand endpoints take a third of the memory.
"""

import re
from collections.abc import Callable
from dataclasses import field
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    Strict,
    StrictBool,
    StrictInt,
    StrictStr,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from chatredirect.config.addresses import (
    HostPort,
    IPAddress,
    IPNetwork,
    ListenUrl,
    Transport,
    Wanted,
    parse_address,
    parse_advertise,
    parse_host_name,
    parse_listen,
    parse_nameserver,
    parse_network,
    parse_peer_name,
    parse_pool_fqdn,
)
from chatredirect.config.channeluri import ChannelUri, parse_channel_uri, parse_contact_uri
from chatredirect.config.faults import quoted
from chatredirect.config.sipaddress import SipAddress, parse_sip_address

Mode: TypeAlias = Literal["redirect", "proxy", "lookup"]
RedirectStatus: TypeAlias = Literal[300, 301, 302, 305]
ContactForm: TypeAlias = Literal["fqdn", "targets", "addresses"]
OnAllDown: TypeAlias = Literal["unavailable", "serve"]
Peers: TypeAlias = Literal["anyone", "trusted"]
Family: TypeAlias = Literal["ipv4", "ipv6"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["json", "console"]
VerifyPeer: TypeAlias = Literal["required", "optional", "none"]
TlsVersion: TypeAlias = Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
Loop: TypeAlias = Literal["auto", "uvloop", "asyncio"]

MIN_SECRET = 16
"""Characters; a key that is shorter can be guessed."""

_NEVER_REDIRECTED = ("ACK", "BENOTIFY", "CANCEL")
# octets, with their commas; longer, and a 405 might be larger than a UDP answer may be
_MAX_METHODS = 300
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")  # RFC 3261 §25.1
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_STRICT = ConfigDict(extra="forbid")


def told(message: str) -> PydanticCustomError:
    """A validation error whose message is ready for people."""
    return PydanticCustomError("told", "{message}", {"message": message})


def _from_text(parse: Callable[[str], object], *made: type[object]) -> PlainValidator:
    """A validator that hands text to `parse` and lets ready-made values through."""

    def validate(value: object) -> object:
        if isinstance(value, str):
            try:
                return parse(value)
            except ValueError as error:
                raise told(str(error)) from None
        if isinstance(value, made):
            return value
        raise PydanticCustomError("string_type", "must be text")

    return PlainValidator(validate)


def _display_name(text: str) -> str:
    if _UNPRINTABLE.search(text):
        raise told(f"{quoted(text)} has control characters in it")
    if len(text) > 256:
        raise told("is longer than 256 characters")
    return text


def _method(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise told(f"{quoted(text)} is no method name: write it as in INVITE")
    if text != text.upper():
        raise told(f"{quoted(text)}: methods are told apart by case; write {text.upper()}")
    if text in _NEVER_REDIRECTED:
        raise told(f"{text} is never redirected, so it can't be on the list")
    return text


def _some_methods(methods: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if methods is not None and not methods:
        raise told("the list is empty: leave the key out to redirect every method")
    octets = len(", ".join(methods or ()))
    if octets > _MAX_METHODS:
        raise told(
            f"the list takes {octets} octets in an Allow header field; at most {_MAX_METHODS} fit "
            "into an answer over UDP"
        )
    return methods


def _some_channels(uris: tuple[ChannelUri, ...]) -> tuple[ChannelUri, ...]:
    seen: set[bytes] = set()
    for uri in uris:
        if uri.key in seen:
            raise told(f"{quoted(uri.text)} is there twice")
        seen.add(uri.key)
    return uris


def _some_addresses(addresses: tuple[IPAddress, ...]) -> tuple[IPAddress, ...]:
    if not addresses:
        raise told("the list is empty: give the name at least one IP address")
    return addresses


def _some_listeners(listen: tuple[ListenUrl, ...]) -> tuple[ListenUrl, ...]:
    if not listen:
        raise told("the list is empty: write at least one, as in udp://127.0.0.1:5060")
    return listen


def _secret(value: object) -> SecretStr:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise told("must be text: put it in quotes")  # without the value: it may be the secret
    if len(value) < MIN_SECRET:
        raise told(f"is shorter than {MIN_SECRET} characters: a longer one can't be guessed")
    return SecretStr(value)


Seconds: TypeAlias = Annotated[float, Strict(), Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Port: TypeAlias = Annotated[int, Strict(), Field(ge=1, le=65535)]
Listen: TypeAlias = Annotated[ListenUrl, _from_text(parse_listen, ListenUrl)]
NameServer: TypeAlias = Annotated[HostPort, _from_text(parse_nameserver, HostPort)]
Advertise: TypeAlias = Annotated[HostPort, _from_text(parse_advertise, HostPort)]
Address: TypeAlias = Annotated[IPAddress, _from_text(parse_address, *get_args(IPAddress))]
Network: TypeAlias = Annotated[IPNetwork, _from_text(parse_network, *get_args(IPNetwork))]
HostName: TypeAlias = Annotated[str, _from_text(parse_host_name)]
PeerName: TypeAlias = Annotated[str, _from_text(parse_peer_name)]
Channel: TypeAlias = Annotated[ChannelUri, _from_text(parse_channel_uri, ChannelUri)]
PoolName: TypeAlias = tuple[str, int | None, Wanted | None]
"""Host name, port and transport, None where DNS decides."""
FileName: TypeAlias = Annotated[StrictStr, Field(min_length=1)]
Addresses: TypeAlias = Annotated[tuple[Address, ...], AfterValidator(_some_addresses)]

LOOPBACK: tuple[IPNetwork, ...] = (parse_network("127.0.0.0/8"), parse_network("::1"))


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class EndpointSettings:
    """One contact object and its pool. `source` is the `file:line` that defines it."""

    sip_address: Annotated[SipAddress, _from_text(parse_sip_address, SipAddress)]
    pool_fqdn: Annotated[str, _from_text(parse_pool_fqdn)]
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
    contact_uri: Annotated[str, _from_text(parse_contact_uri)] | None = None
    source: str = field(default="", init=False)

    @property
    def pool_transport(self) -> Wanted | None:
        """What to look for the pool with: something secure for a sips: address (RFC 3263 §4.1)."""
        if self.sip_address.scheme == "sips":
            return "sips" if self.transport is None else "tls"
        return self.transport

    @property
    def channels(self) -> tuple[ChannelUri, ...]:
        """Where callers are sent in the mode lookup: the pool, unless the file says otherwise."""
        if self.channel_uris:
            return self.channel_uris
        sip = self.sip_address
        host = f"[{self.pool_fqdn}]" if ":" in self.pool_fqdn else self.pool_fqdn
        return (parse_channel_uri(f"{sip.scheme}:{sip.user}@{host}"),)

    @property
    def pool(self) -> PoolName:
        """The pool's name, port and transport."""
        return (self.pool_fqdn, self.port, self.pool_transport)

    def channel_pool(self, uri: ChannelUri) -> PoolName:
        """The pool behind a channel service's URI: that of its host.

        One in the endpoint's own domain is routed by the front end, and leads to the endpoint's
        pool. Where the URI has neither port nor transport, the endpoint's count.
        """
        own = (self.pool_fqdn, self.sip_address.host.lower())
        if uri.port is None and uri.transport in (None, self.pool_transport):
            return self.pool if uri.host in own else (uri.host, self.port, self.pool_transport)
        return (uri.host, uri.port, uri.transport)

    @property
    def pools(self) -> tuple[PoolName, ...]:
        """All pools that it may lead to, each once."""
        if self.mode != "lookup":
            return (self.pool,)
        channels = (self.channel_pool(uri) for uri in self.channels)
        return tuple(dict.fromkeys((self.pool, *channels)))


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class DnsSettings:
    """How pools are resolved. Times in seconds. No name servers: the system's resolv.conf."""

    nameservers: tuple[NameServer, ...] = ()
    hosts: dict[HostName, Addresses] = Field(default_factory=dict)
    hosts_file: StrictStr = "/etc/hosts"
    timeout: Seconds = 2.0
    lifetime: Seconds = 6.0
    ttl_floor: Annotated[float, Strict(), Field(ge=0, le=86_400, allow_inf_nan=False)] = 1.0
    ttl_ceiling: Seconds = 3600.0
    stale: Annotated[float, Strict(), Field(ge=0, le=31_536_000, allow_inf_nan=False)] = 86_400.0
    retry: Seconds = 10.0
    prefer: Family = "ipv4"


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class TlsSettings:
    """What a listener, or all outgoing connections, speak and whom they believe.

    `certificate`, `private_key` and `ca` are PEM files; without `private_key` the key is in the
    certificate's file, without `ca` the system's authorities count. `allowed_peers` are names one
    of which a client's certificate must carry; none allows all. `ciphers` is OpenSSL's list.
    `common_name`, `wildcards` and `srv_names` widen what RFC 5922 takes for a name; `any_purpose`
    lets clients show certificates that were issued for servers.
    """

    certificate: FileName | None = None
    private_key: FileName | None = None
    ca: FileName | None = None
    verify_peer: VerifyPeer = "required"
    allowed_peers: tuple[PeerName, ...] = ()
    minimum_version: TlsVersion = "TLSv1.2"
    ciphers: Annotated[StrictStr, Field(min_length=1)] | None = None
    common_name: StrictBool = False
    wildcards: StrictBool = False
    any_purpose: StrictBool = False
    srv_names: StrictBool = False

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it is made of."""
        named = (self.certificate, self.private_key, self.ca)
        return tuple(file for file in named if file is not None)


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class HealthSettings:
    """Pings of the pools' targets. Times in seconds, jitter as a fraction of the interval."""

    interval: Annotated[float, Strict(), Field(ge=0.1, le=86_400, allow_inf_nan=False)] = 30.0
    timeout: Annotated[float, Strict(), Field(gt=0, le=60, allow_inf_nan=False)] = 4.0
    losses: Annotated[StrictInt, Field(ge=1, le=100)] = 3
    successes: Annotated[StrictInt, Field(ge=1, le=100)] = 2
    jitter: Annotated[float, Strict(), Field(ge=0, le=0.5, allow_inf_nan=False)] = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class LogSettings:
    """What is logged and how. `requests` is whether each request gets a line."""

    level: LogLevel = "info"
    format: LogFormat = "json"
    requests: StrictBool = True


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class LimitSettings:
    """How much a peer may ask of us. Octets, counts, and seconds for the timeouts."""

    message: Annotated[StrictInt, Field(ge=1024, le=16_777_216)] = 65_535
    header_line: Annotated[StrictInt, Field(ge=256, le=1_048_576)] = 8192
    headers: Annotated[StrictInt, Field(ge=8, le=10_000)] = 128
    via_values: Annotated[StrictInt, Field(ge=1, le=1000)] = 70
    uri: Annotated[StrictInt, Field(ge=64, le=65_535)] = 2048
    connections: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 10_000
    connections_per_peer: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 1000
    idle_timeout: Seconds = 3600.0
    message_timeout: Seconds = 30.0
    write_timeout: Seconds = 30.0
    handshake_timeout: Seconds = 10.0
    handshakes: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 500
    handshakes_per_peer: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 50
    keepalive: Seconds | None = None
    dialogs: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 20_000
    receive_buffer: Annotated[StrictInt, Field(ge=4096, le=1_073_741_824)] = 4_194_304


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Settings:
    """A whole configuration. `files` are the files that it was read from, the main one first.

    `tls` is for outgoing connections, and for the listeners that have nothing of their own in
    `tls_listeners`; `tls_of` knows which.
    """

    listen: Annotated[tuple[Listen, ...], AfterValidator(_some_listeners)]
    advertise: Advertise | None = None
    endpoints: tuple[EndpointSettings, ...] = ()
    include: Annotated[StrictStr, Field(min_length=1)] | None = None
    trusted_peers: tuple[Network, ...] = LOOPBACK
    registrars: dict[HostName, Advertise] = Field(default_factory=dict)
    dns: DnsSettings = Field(default_factory=DnsSettings)
    tls: TlsSettings = Field(default_factory=TlsSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    health: HealthSettings | None = None
    retry_after: Annotated[StrictInt, Field(ge=1, le=86_400)] = 30
    secret: Annotated[SecretStr | None, PlainValidator(_secret)] = None
    loop: Loop = "auto"
    files: tuple[str, ...] = field(default=(), init=False)
    tls_listeners: dict[ListenUrl, TlsSettings] = field(default_factory=dict, init=False)

    def tls_of(self, url: ListenUrl) -> TlsSettings:
        """What a TLS listener speaks and whom it believes."""
        return self.tls_listeners.get(url, self.tls)

    @property
    def secure_listeners(self) -> dict[ListenUrl, TlsSettings]:
        """The TLS listeners, each with its settings."""
        return {url: self.tls_of(url) for url in self.listen if url.transport == "tls"}
