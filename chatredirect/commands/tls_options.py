"""The TLS options of `probe`: the keys of the section `tls` that a client needs."""

from dataclasses import dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, TypeVar, get_args

import typer

from chatredirect.commands.options import one_of

if TYPE_CHECKING:
    from chatredirect.client.wire import Connect
    from chatredirect.config import TlsSettings

_PANEL = "TLS (without these: tls in the configuration)"
_T = TypeVar("_T")


TlsVersionName: TypeAlias = Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]


def _option(help_text: str, *names: str, metavar: str | None = None) -> object:
    return typer.Option(
        *names,
        metavar=metavar,
        case_sensitive=False,
        help=help_text,
        rich_help_panel=_PANEL,
        show_default=False,
    )


TlsNameOption: TypeAlias = Annotated[
    str | None,
    _option(
        "The name that the server's certificate must have, instead of the host's.", metavar="NAME"
    ),
]
CertificateOption: TypeAlias = Annotated[
    str | None, _option("Our certificate, PEM, with its intermediates.", metavar="FILE")
]
PrivateKeyOption: TypeAlias = Annotated[
    str | None, _option("Its key, PEM, if it isn't in the same file.", metavar="FILE")
]
NoCertificateOption: TypeAlias = Annotated[
    bool, _option("Show the server no certificate.", "--no-certificate")
]
AuthoritiesOption: TypeAlias = Annotated[
    str | None, _option("The trusted authorities, PEM, instead of the system's.", metavar="FILE")
]
MinimumVersionOption: TypeAlias = Annotated[
    TlsVersionName | None,
    typer.Option(
        help="The oldest version that is spoken.",
        rich_help_panel=_PANEL,
        show_default=False,
        **one_of(*get_args(TlsVersionName)),
    ),
]
CiphersOption: TypeAlias = Annotated[
    str | None, _option("OpenSSL's cipher list for versions up to 1.2.", metavar="LIST")
]
CommonNameOption: TypeAlias = Annotated[
    bool | None, _option("Take the common name of a certificate that has no other names.")
]
WildcardsOption: TypeAlias = Annotated[
    bool | None, _option("Take wildcards in a certificate for one label.")
]
SrvNamesOption: TypeAlias = Annotated[
    bool | None, _option("Take the name that an SRV record gave.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """The options; None where an option isn't given."""

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
        """Whether any option is given."""
        return any(getattr(self, each.name) not in (None, False) for each in fields(self))

    def over(self, configured: "TlsSettings") -> "TlsSettings":
        """The configuration's settings with these options; paths are relative to where we run.

        Raises:
            ValueError: the options contradict each other, or there is no certificate for the key.
        """
        for name in ("certificate", "private_key", "ca", "ciphers"):
            if getattr(self, name) == "":
                raise ValueError(f"--{name.replace('_', '-')}: is empty")
        if self.no_certificate and (self.certificate or self.private_key):
            raise ValueError("--no-certificate: leave it out, or --certificate and --private-key")
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
        return replace(
            configured,
            certificate=certificate,
            private_key=private_key,
            ca=_given(self.ca, configured.ca),
            minimum_version=_given(self.minimum_version, configured.minimum_version),
            ciphers=_given(self.ciphers, configured.ciphers),
            common_name=_given(self.common_name, configured.common_name),
            wildcards=_given(self.wildcards, configured.wildcards),
            srv_names=_given(self.srv_names, configured.srv_names),
        )


def _given(option: _T | None, configured: _T) -> _T:
    return configured if option is None else option


def connect_over_tls(settings: "TlsSettings") -> "Connect":
    """A function that connects to targets over TLS; the first call reads the files."""
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
