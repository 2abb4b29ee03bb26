"""Which endpoint is meant: `-Identity` is its SIP address in any spelling, or its display name."""

from chatredirect.config import EndpointSettings, Settings, parse_sip_address
from chatredirect.config.faults import quoted


class NoSuchEndpointError(LookupError):
    """There is no endpoint with this identity."""


def identified(settings: Settings, identity: str) -> EndpointSettings:
    """The endpoint that an identity means.

    Raises:
        NoSuchEndpointError: there is none.
        LookupError: that can't be told; with what to write instead.
    """
    if identity.upper().startswith("CN="):
        raise LookupError(
            f"{quoted(identity)} is a name in Active Directory, where nothing is kept: "
            "give the SIP address"
        )
    try:
        key = parse_sip_address(identity).key
    except ValueError as error:
        unread = str(error)
    else:
        for each in settings.endpoints:
            if each.sip_address.key == key:
                return each
        unread = ""
    name = identity.casefold()
    named = [each for each in settings.endpoints if (each.display_name or "").casefold() == name]
    if len(named) == 1:
        return named[0]
    if named:
        addresses = ", ".join(str(each.sip_address) for each in named[:5])
        raise LookupError(f"several endpoints are called {quoted(identity)}: {addresses}")
    if unread and "@" in identity:
        raise LookupError(unread)
    raise NoSuchEndpointError(
        f"there is no endpoint {quoted(identity)}: chatredirect endpoint get lists all"
    )
