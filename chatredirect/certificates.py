"""The TLS side of a running daemon: contexts for its listeners, renewed when their files change.

A renewal tool replaces files or links, in two steps or in one; nobody tells us. So the files are
looked at every few seconds, by name: that sees every way of replacing them. What can't be used is
refused with a log line, once, and the old certificate stays in use until the files change again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from chatredirect.config import ListenUrl, TlsSettings
from chatredirect.transport.secure import Security
from chatredirect.transport.tls import (
    Fingerprint,
    TlsError,
    client_context,
    expiry,
    exposed_keys,
    fingerprint,
    server_context,
)

log = structlog.get_logger()

#: Seconds between two looks at the files.
INTERVAL = 5.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """TLS for a configuration, made of its files and not yet in use.

    Attributes:
        listeners: what each TLS listener begins its connections with.
        outgoing: what connections to pools begin with.
        states: the files' fingerprints as they were read.
    """

    listeners: dict[ListenUrl, Security]
    outgoing: Security
    states: dict[TlsSettings, Fingerprint]


@dataclass(slots=True)
class Certificates:
    """The contexts that are in use.

    Attributes:
        clock: seconds since the epoch, for dates of expiry.
        renewed: how often new files were taken up.
        refused: how often new files could not be used.
    """

    clock: Callable[[], float]
    renewed: int = 0
    refused: int = 0
    _in_use: Prepared | None = None

    def prepare(self, listeners: Mapping[ListenUrl, TlsSettings], outgoing: TlsSettings) -> Prepared:
        """Make the contexts of a configuration; nothing is in use before `take`.

        Raises:
            TlsError: a file can't be used.
        """
        profiles = {*listeners.values(), outgoing}
        states = {profile: fingerprint(profile.files) for profile in profiles}
        return Prepared(
            {url: Security(profile, server_context(profile)) for url, profile in listeners.items()},
            Security(outgoing, client_context(outgoing)),
            states,
        )

    def take(self, prepared: Prepared) -> None:
        """Use these from now on, and say what there is to worry about."""
        self._in_use = prepared
        for profile in prepared.states:
            for file in exposed_keys(profile):
                log.warning("private_key_exposed", file=file, remedy=f"chmod o= {file}")

    def look(self) -> None:
        """Take up files that have changed, or refuse them and go on with the old."""
        prepared = self._in_use
        if prepared is None:
            return
        for profile, before in prepared.states.items():
            now = fingerprint(profile.files)
            if now != before:
                prepared.states[profile] = now
                self._renew(prepared, profile)

    def _renew(self, prepared: Prepared, profile: TlsSettings) -> None:
        users = [each for each in prepared.listeners.values() if each.profile == profile]
        try:
            server = server_context(profile) if users else None
            client = client_context(profile) if prepared.outgoing.profile == profile else None
        except TlsError as error:
            self.refused += 1
            log.error("certificate_refused", why=str(error), remedy="the old one stays in use")
            return
        for each in users:
            if server is not None:
                each.context = server
        if client is not None:
            prepared.outgoing.context = client
        self.renewed += 1
        log.info("certificate_renewed", files=profile.files, expires=_expires(profile))


def _expires(profile: TlsSettings) -> str | None:
    if profile.certificate is None:
        return None
    return expiry(profile.certificate).isoformat()
