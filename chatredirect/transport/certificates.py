"""The TLS contexts in use, which are renewed when files change.

A renewal tool replaces files or links, in one step or in two. So the files are checked by name
every few seconds, which detects every way of replacing them. Files that can't be used are logged
once, and the old certificate stays in use until the files change again.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import structlog

from chatredirect.config import ListenUrl, Settings, TlsSettings
from chatredirect.config.secret_files import read_secret
from chatredirect.net.addresses import is_address
from chatredirect.runtime.regular_file import FileFingerprint, fingerprint, in_thread
from chatredirect.runtime.wording import counted
from chatredirect.transport.peer_identity import Security, matches
from chatredirect.transport.tls_contexts import (
    TlsError,
    certificate_names,
    client_context,
    expiry,
    exposed_keys,
    server_context,
)

log = structlog.get_logger()

#: Seconds between two checks of the files.
INTERVAL = 5.0
#: Seconds before a certificate expires from which on that is logged, once a day.
EXPIRY_WARNING = 30 * 86_400.0
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """TLS for a configuration, made from its files and not yet in use.

    Attributes:
        outgoing: for connections to pools.
        states: the fingerprints of the files of each profile.
        expiries: when each certificate file expires, in seconds since the epoch.
    """

    listeners: dict[ListenUrl, Security]
    outgoing: Security
    states: dict[TlsSettings, list[FileFingerprint | None]]
    expiries: dict[str, float]


@dataclass(slots=True)
class Certificates:
    """The contexts in use.

    Attributes:
        clock: seconds since the epoch, for expiry.
        renewed: how often changed files were put into use.
        refused: how often changed files could not be used.
    """

    clock: Callable[[], float]
    renewed: int = 0
    refused: int = 0
    _in_use: Prepared | None = None
    _warned_at: dict[str, float] = field(default_factory=dict)

    def outgoing(self) -> Security:
        """TLS of connections to pools.

        Raises:
            LookupError: no configuration is in use yet.
        """
        if self._in_use is None:
            raise LookupError("no certificates are in use yet")
        return self._in_use.outgoing

    @property
    def expiries(self) -> Mapping[str, float]:
        """When each certificate file in use expires, in seconds since the epoch."""
        return {} if self._in_use is None else self._in_use.expiries

    def prepare(
        self, listeners: Mapping[ListenUrl, TlsSettings], outgoing: TlsSettings
    ) -> Prepared:
        """Make the contexts of a configuration; `take` puts them into use.

        Raises:
            TlsError: a file can't be used.
        """
        served = set(listeners.values())
        profiles = {*served, outgoing}
        # before the files are read: the next check sees what changes meanwhile
        states = {profile: _fingerprints(profile) for profile in profiles}
        contexts = {profile: server_context(profile) for profile in served}
        return Prepared(
            {url: Security(profile, contexts[profile]) for url, profile in listeners.items()},
            Security(outgoing, client_context(outgoing)),
            states,
            {
                profile.certificate: expiry(profile.certificate)
                for profile in profiles
                if profile.certificate is not None
            },
        )

    def take(self, prepared: Prepared) -> None:
        """Use these from now on, and log warnings about the files."""
        self._in_use = prepared
        self._warned_at = {}
        for profile in prepared.states:
            _log_exposed(profile)
        self._log_expiries(prepared)

    async def keep_looking(self) -> None:
        """Use files that are renewed, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.look()
            except Exception:  # a fault of ours must not take later renewals away as well
                log.exception("certificates_not_looked_at")

    async def look(self) -> None:
        """Use files that have changed, or refuse them and keep the old contexts."""
        prepared = self._in_use
        if prepared is None:
            return
        for profile, before in tuple(prepared.states.items()):
            now = await in_thread(partial(_fingerprints, profile))
            if now != before:
                prepared.states[profile] = now
                await self._renew(prepared, profile)
        if prepared is self._in_use:  # unless there was a reload meanwhile
            self._log_expiries(prepared)

    async def _renew(self, prepared: Prepared, profile: TlsSettings) -> None:
        users = [each for each in prepared.listeners.values() if each.profile == profile]
        certificate = profile.certificate
        outgoing = prepared.outgoing.profile == profile
        try:
            server, client, until = await in_thread(
                lambda: (
                    server_context(profile) if users else None,
                    client_context(profile) if outgoing else None,
                    None if certificate is None else expiry(certificate),
                )
            )
        except TlsError as error:
            self.refused += 1
            log.error("certificate_refused", why=str(error), remedy="the old one stays in use")
            return
        for each in users:
            if server is not None:
                each.context = server
        if client is not None:
            prepared.outgoing.context = client
        if certificate is not None and until is not None:
            prepared.expiries[certificate] = until
            self._warned_at.pop(certificate, None)
        self.renewed += 1
        expires = None if until is None else _date(until)
        log.info("certificate_renewed", files=profile.files, expires=expires)
        _log_exposed(profile)

    def _log_expiries(self, prepared: Prepared) -> None:
        now = self.clock()
        for file, until in prepared.expiries.items():
            warned = self._warned_at.get(file)
            if until - now < EXPIRY_WARNING and (warned is None or now - warned >= _DAY):
                self._warned_at[file] = now
                log.warning("certificate_expires", file=file, why=_expiry_warning(until, now))


def file_warnings(profile: TlsSettings, now: float) -> Iterator[tuple[str, str]]:
    """Warnings about the files of a profile at a time since the epoch: each file and why.

    The profile is one whose key could be loaded.

    Raises:
        TlsError: a file can't be read.
    """
    for file in exposed_keys(profile):
        what = "the private key"
        if file == profile.private_key_password_file:
            what += "'s password"
        yield file, f"{what} can be read or written by every user: chmod o= {file}"
    if profile.private_key_password_file is not None:
        try:
            read_secret(profile.private_key_password_file)
        except ValueError as error:
            yield (
                profile.private_key_password_file,
                f"tls.private_key_password_file: {error}; the key needs none today, since it isn't "
                "encrypted, but a renewed one may",
            )
    if profile.certificate is not None:
        until = expiry(profile.certificate)
        if until - now < EXPIRY_WARNING:
            yield profile.certificate, _expiry_warning(until, now)


def missing_names(settings: Settings) -> Iterator[tuple[str, str]]:
    """Warnings about names of this server that a listener's certificate lacks: file and why.

    Who connects to a name checks the certificate for it: the pool's servers for requests within a
    proxied dialog (Record-Route), front ends for those of a lookup (Contact), and both for
    responses whose connection is gone (Via). A redirect names the pool alone.
    """
    modes = {each.mode for each in settings.endpoints}
    named: dict[str, str] = {}  # with the key of each
    if settings.advertise is not None and modes & {"lookup", "proxy"}:
        named[settings.advertise.host.lower()] = "advertise"
    if settings.proxy.record_route_host is not None and "proxy" in modes:
        named.setdefault(settings.proxy.record_route_host.host.lower(), "proxy.record_route_host")
    for file in dict.fromkeys(each.certificate for each in settings.secure_listeners.values()):
        carried = None if file is None else certificate_names(file)
        if file is None or carried is None:
            continue
        for name, key in named.items():
            if not is_address(name) and not matches(carried, name, wildcards=True):
                has = ", ".join(dict.fromkeys(carried)) or "no name"
                yield (
                    file,
                    f"the certificate has no name {name}, which {key} gives to those who connect "
                    f"here (it has {has}): they refuse it; issue it with this name as well",
                )


def _expiry_warning(until: float, now: float) -> str:
    if until <= now:
        return f"the certificate expired on {_date(until)}: peers refuse it; renew it"
    days = int((until - now) // _DAY)
    left = f"in {counted(days, 'day')}" if days else "today"
    return f"the certificate expires {left}, on {_date(until)}: renew it"


def _fingerprints(profile: TlsSettings) -> list[FileFingerprint | None]:
    return [fingerprint(file) for file in profile.files]


def _log_exposed(profile: TlsSettings) -> None:
    for file in exposed_keys(profile):
        log.warning("private_key_exposed", file=file, remedy=f"chmod o= {file}")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
