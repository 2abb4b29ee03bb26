"""The settings: a configuration file, read and validated.

Attributes are the YAML's keys. Everything is frozen: a reload makes new settings. Single values are
checked here, with pydantic; rules across values are in `checks`. Slotted dataclasses, not
BaseModels: a hundred thousand endpoints take a third of the memory.
"""

import os
from dataclasses import field
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    SecretStr,
    Strict,
    StrictBool,
    StrictInt,
    StrictStr,
)
from pydantic.dataclasses import dataclass

from chatredirect.config.address_syntax import parse_network
from chatredirect.config.endpoint import EndpointSettings
from chatredirect.config.faults import quoted
from chatredirect.config.fields import (
    STRICT,
    TOKEN,
    Addresses,
    Advertise,
    Family,
    FileName,
    HostName,
    Listen,
    NameServer,
    Network,
    PeerName,
    Seconds,
    invalid,
    not_empty,
    or_off,
)
from chatredirect.config.http_section import HttpSettings, page_url
from chatredirect.config.usage_section import UsageSettings
from chatredirect.net.addresses import HostPort, IPNetwork, ListenUrl

_LONGEST = 31_536_000  # a year, as for other times


def _option_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    for tag in tags:
        if not TOKEN.fullmatch(tag):
            raise invalid(f"{quoted(tag)} is no option tag: write it as in ms-benotify")
    return tags


def _age(value: object) -> float:
    if isinstance(value, int | float) and value is not True and 1 <= value <= _LONGEST:
        return float(value)
    raise ValueError(f"must be a number of seconds from 1 to {_LONGEST}, or off")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ProxySection:
    """The mode `proxy`. Times in seconds; `transactions` are requests without a final response.

    `dialog_age` is None where dialogs have no greatest age. `record_route_host` is the name that
    several instances have in common, for Record-Route.
    """

    record_route_host: Advertise | None = None
    attempt_timeout: Annotated[float, Strict(), Field(ge=0.1, le=32, allow_inf_nan=False)] = 4.0
    target_penalty: Seconds = 30.0
    timer_c: Seconds = 180.0
    target_grace: Seconds = 3600.0
    dialog_age: Annotated[float | None, or_off(_age)] = 30 * 86400.0
    proxy_require: Annotated[tuple[StrictStr, ...], AfterValidator(_option_tags)] = ("ms-benotify",)
    transactions: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 20_000
    transactions_per_peer: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 5_000


LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["auto", "json", "console", "journal"]
VerifyPeer: TypeAlias = Literal["required", "optional", "none"]
TlsVersion: TypeAlias = Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
Loop: TypeAlias = Literal["auto", "uvloop", "asyncio"]

#: Versions that OpenSSL 3 supports only at security level 0, since their signatures use SHA-1.
OLD_TLS_VERSIONS = ("TLSv1", "TLSv1.1")
DEFAULT_SOCKET = "/run/chatredirect/control"  # systemd makes the folder for the service
_MIN_SECRET = 16  # characters; a key that is shorter can be guessed
_MAX_SOCKET = 107  # unix(7): sun_path, with its final NUL


def _secret(value: object) -> SecretStr:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise invalid("must be text: put it in quotes")  # without the value: it may be the secret
    try:
        return secret_of(value)
    except ValueError as error:
        raise invalid(str(error)) from None


def secret_of(text: str) -> SecretStr:
    """A secret that nobody can guess.

    Raises:
        ValueError: it is too short; the message says nothing of it.
    """
    if len(text) < _MIN_SECRET:
        raise ValueError(f"is shorter than {_MIN_SECRET} characters: a longer one can't be guessed")
    return SecretStr(text)


def _socket(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a path, or off")
    octets = len(os.fsencode(value))
    if not value or octets > _MAX_SOCKET or "\0" in value:
        raise ValueError(_unfit(octets))
    return value


def _unfit(octets: int) -> str:
    return f"a socket's path has at least 1 and at most {_MAX_SOCKET} octets, this one {octets}"


def placed_socket(path: str, file: str | os.PathLike[str]) -> str:
    """The absolute path of a control socket; a relative one is relative to the main file's folder.

    Raises:
        ValueError: it is too long for a socket (unix(7)).
    """
    if path.startswith("/"):
        return path
    whole = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(file)), path))
    octets = len(os.fsencode(whole))
    if octets > _MAX_SOCKET:
        raise ValueError(f"{quoted(whole)}: {_unfit(octets)}; write a shorter, absolute one")
    return whole


LOOPBACK: tuple[IPNetwork, ...] = (parse_network("127.0.0.0/8"), parse_network("::1"))


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class TlsSettings:
    """TLS of a listener, or of all outgoing connections.

    `certificate`, `private_key` and `ca` are PEM files; without `private_key` the key is in the
    certificate's file, without `ca` the system's authorities count. `private_key_password_file`
    has the password of an encrypted key. `allowed_peers` are names one of which a client's
    certificate must carry; none allows all. `ciphers` is OpenSSL's list. `common_name`, `wildcards`
    and `srv_names` widen what RFC 5922 takes for a name; `any_purpose` lets clients show
    certificates that were issued for servers.
    """

    certificate: FileName | None = None
    private_key: FileName | None = None
    private_key_password_file: FileName | None = None
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
        """The files that are named."""
        named = (self.certificate, self.private_key, self.private_key_password_file, self.ca)
        return tuple(file for file in named if file is not None)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class HealthSettings:
    """Pings of the pools' targets. Times in seconds, jitter as a fraction of the interval."""

    interval: Annotated[float, Strict(), Field(ge=0.1, le=86_400, allow_inf_nan=False)] = 30.0
    timeout: Annotated[float, Strict(), Field(gt=0, le=60, allow_inf_nan=False)] = 4.0
    losses: Annotated[StrictInt, Field(ge=1, le=100)] = 3
    successes: Annotated[StrictInt, Field(ge=1, le=100)] = 2
    jitter: Annotated[float, Strict(), Field(ge=0, le=0.5, allow_inf_nan=False)] = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class LogSettings:
    """What is logged and how. `requests` is whether each request gets a line."""

    level: LogLevel = "info"
    format: LogFormat = "auto"
    requests: StrictBool = True


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ControlSettings:
    """Where commands reach the daemon. `socket` is None if it has been switched off."""

    socket: Annotated[str | None, or_off(_socket)] = DEFAULT_SOCKET


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class LimitSettings:
    """Limits of a peer's messages and connections: octets, counts, and seconds."""

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
    useless_messages: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 100
    pings: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 10
    dialogs: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 20_000
    receive_buffer: Annotated[StrictInt, Field(ge=4096, le=1_073_741_824)] = 4_194_304


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Settings:
    """A whole configuration. `files` are the files that it was read from, the main one first, and
    `fingerprint` is the SHA-256 of their contents one after the other, in hexadecimal.

    `tls` is for outgoing connections, and for the listeners that aren't in `tls_listeners`.
    """

    listen: Annotated[
        tuple[Listen, ...], not_empty("write at least one, as in udp://127.0.0.1:5060")
    ]
    advertise: Advertise | None = None
    endpoints: tuple[EndpointSettings, ...] = ()
    include: Annotated[StrictStr, Field(min_length=1)] | None = None
    trusted_peers: tuple[Network, ...] = LOOPBACK
    registrars: dict[HostName, Advertise] = Field(default_factory=dict)
    dns: DnsSettings = Field(default_factory=DnsSettings)
    tls: TlsSettings = Field(default_factory=TlsSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    control: ControlSettings = Field(default_factory=ControlSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    proxy: ProxySection = Field(default_factory=ProxySection)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    health: HealthSettings | None = None
    usage: UsageSettings = Field(default_factory=UsageSettings)
    retry_after: Annotated[StrictInt, Field(ge=1, le=86_400)] = 30
    drain: Annotated[float, Strict(), Field(ge=0, le=3600, allow_inf_nan=False)] = 10.0
    watch: StrictBool = False
    free_bind: StrictBool = False
    secret: Annotated[SecretStr | None, PlainValidator(_secret)] = None
    secret_file: FileName | None = None
    instances: tuple[Advertise, ...] = ()
    loop: Loop = "auto"
    files: tuple[str, ...] = field(default=(), init=False)
    fingerprint: str = field(default="", init=False)
    tls_listeners: dict[ListenUrl, TlsSettings] = field(default_factory=dict, init=False)

    @property
    def record_route_host(self) -> HostPort | None:
        """What Record-Route names; None for the address in use."""
        return self.proxy.record_route_host or self.advertise

    @property
    def names(self) -> tuple[HostPort, ...]:
        """The names that are configured for this server, each once."""
        both = (self.advertise, self.proxy.record_route_host)
        return tuple(dict.fromkeys(each for each in both if each is not None))

    @property
    def secure_listeners(self) -> dict[ListenUrl, TlsSettings]:
        """The TLS listeners, each with its settings."""
        secure = (url for url in self.listen if url.transport == "tls")
        return {url: self.tls_listeners.get(url, self.tls) for url in secure}

    @property
    def tls_profiles(self) -> dict[ListenUrl, TlsSettings]:
        """All that speaks TLS to whoever connects: the TLS listeners, and the page."""
        page = self.http.page_listen
        if page is None or not page.tls:
            return self.secure_listeners
        return {**self.secure_listeners, page_url(page): _for_browsers(self.tls)}


def _for_browsers(tls: TlsSettings) -> TlsSettings:
    """The section's certificate; nothing of what it wants of SIP peers, old versions included."""
    newest = tls.minimum_version == "TLSv1.3"
    return TlsSettings(
        certificate=tls.certificate,
        private_key=tls.private_key,
        verify_peer="none",
        minimum_version="TLSv1.3" if newest else "TLSv1.2",
    )
