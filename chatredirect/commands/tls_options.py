"""What `probe` shows and believes over TLS: the keys of the section `tls` that a client needs."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from chatredirect.client.wire import Connect
    from chatredirect.config import TlsSettings

_PANEL = "TLS (without these: tls in the configuration)"


class TlsVersionName(StrEnum):
    """What `--minimum-version` may be."""

    TLS_1_0 = "TLSv1"
    TLS_1_1 = "TLSv1.1"
    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"


def _file(what: str) -> object:
    return typer.Option(metavar="FILE", help=what, rich_help_panel=_PANEL, show_default=False)


def _switch(what: str) -> object:
    return typer.Option(help=what, rich_help_panel=_PANEL, show_default=False)


TlsNameOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Whom the certificate has to name, instead of the host that it goes to.",
        rich_help_panel=_PANEL,
    ),
]
CertificateOption: TypeAlias = Annotated[
    str | None, _file("Our certificate, PEM, with its intermediates.")
]
PrivateKeyOption: TypeAlias = Annotated[
    str | None, _file("Its key, PEM, if it isn't in the same file.")
]
NoCertificateOption: TypeAlias = Annotated[
    bool,
    typer.Option("--no-certificate", help="Show none.", rich_help_panel=_PANEL, show_default=False),
]
AuthoritiesOption: TypeAlias = Annotated[
    str | None, _file("The authorities that count, PEM, instead of the system's.")
]
MinimumVersionOption: TypeAlias = Annotated[
    TlsVersionName | None,
    typer.Option(
        case_sensitive=False,
        help="The oldest version that is spoken.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
CiphersOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="OpenSSL's cipher list for versions up to 1.2.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
CommonNameOption: TypeAlias = Annotated[
    bool | None, _switch("Take the common name of a certificate that has no other names.")
]
WildcardsOption: TypeAlias = Annotated[
    bool | None, _switch("Take wildcards in a certificate for one label.")
]
SrvNamesOption: TypeAlias = Annotated[
    bool | None, _switch("Take the name that an SRV record gave.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """The options as they were given; None where they weren't."""

    certificate: str | None
    private_key: str | None
    no_certificate: bool
    ca: str | None
    minimum_version: TlsVersionName | None
    ciphers: str | None
    common_name: bool | None
    wildcards: bool | None
    srv_names: bool | None

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return any(getattr(self, each.name) not in (None, False) for each in fields(self))

    def fault(self) -> str:
        """What is wrong with the options themselves; empty if nothing is."""
        for each in ("certificate", "private_key", "ca", "ciphers"):
            if getattr(self, each) == "":
                return f"--{each.replace('_', '-')}: is empty"
        if self.no_certificate and (self.certificate or self.private_key):
            return "--no-certificate: leave it out, or --certificate and --private-key"
        return ""

    def over(self, configured: "TlsSettings") -> "TlsSettings":
        """The configuration's settings, with these instead; files are relative to where we are.

        Raises:
            ValueError: there is no certificate for the key.
        """
        certificate, private_key = configured.certificate, configured.private_key
        if self.no_certificate:
            certificate = private_key = None
        elif self.certificate is not None:  # with a key of its own, or with the key in it
            certificate, private_key = self.certificate, self.private_key
        elif self.private_key is not None:
            private_key = self.private_key
            if certificate is None:
                raise ValueError(
                    "--private-key: there is no certificate that goes with it: "
                    "give --certificate FILE"
                )
        version = self.minimum_version
        return replace(
            configured,
            certificate=certificate,
            private_key=private_key,
            ca=configured.ca if self.ca is None else self.ca,
            minimum_version=configured.minimum_version if version is None else version.value,
            ciphers=configured.ciphers if self.ciphers is None else self.ciphers,
            common_name=_instead(self.common_name, configured.common_name),
            wildcards=_instead(self.wildcards, configured.wildcards),
            srv_names=_instead(self.srv_names, configured.srv_names),
        )


def _instead(given: bool | None, configured: bool) -> bool:
    return configured if given is None else given


def connect_over_tls(settings: "TlsSettings") -> "Connect":
    """Connects to targets over TLS; the files are read for the first one."""
    from chatredirect.client.tls import NotSecureError, Remedy
    from chatredirect.client.wire import tls_connect
    from chatredirect.transport.peer_identity import Security
    from chatredirect.transport.tls_contexts import TlsError, client_context

    @cache
    def security() -> Security:
        try:
            return Security(settings, client_context(settings))
        except TlsError as error:
            raise NotSecureError(str(error), Remedy.FILES) from None

    return tls_connect(security)
