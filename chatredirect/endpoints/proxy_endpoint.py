"""The mode `proxy`: what one endpoint is made of, and the Request-URIs that it sends on."""

from dataclasses import dataclass

from chatredirect.config.endpoint import EndpointSettings
from chatredirect.pools.pool import Pool
from chatredirect.sip.client_request import hostport
from chatredirect.sip.uri import SipUri

#: URI parameters that belong to the old host, and mean nothing with another one.
_OF_HOST = (b"transport", b"maddr", b"ttl")


@dataclass(slots=True)
class ProxyEndpoint:
    """A contact object in the mode `proxy`.

    Attributes:
        address: its SIP address, for people.
        uri: the same, for a Request-URI.
        pool: the pool that its requests go to.
        serve: whether targets that are all down are tried all the same.
        pool_host: host and port for the Request-URI; None to leave it as it is.
    """

    address: str
    uri: bytes
    pool: Pool
    serve: bool
    pool_host: bytes | None

    @classmethod
    def of(cls, settings: EndpointSettings, pool: Pool) -> "ProxyEndpoint":
        """Read an endpoint's settings."""
        address = str(settings.sip_address)
        host = hostport(settings.pool_fqdn, settings.port)
        return cls(
            address=address,
            uri=address.encode(),
            pool=pool,
            serve=settings.on_all_down == "serve",
            pool_host=host if settings.rewrite == "pool" else None,
        )

    def rewritten(self, uri: SipUri) -> bytes | None:
        """The Request-URI to send on for a received one; None for the same (RFC 3261 §16.6 step 2).

        The user part and the other parameters stay: the pool may need them to know the endpoint.
        """
        if self.pool_host is None:
            return None
        user = b"" if uri.user is None else uri.user
        if uri.password is not None:
            user += b":" + uri.password
        at = b"" if uri.user is None else b"@"
        params = b"".join(
            b";" + param
            for param in uri.params.split(b";")[1:]
            if param.partition(b"=")[0].lower() not in _OF_HOST
        )
        return b"%b:%b%b%b%b%b" % (uri.scheme, user, at, self.pool_host, params, uri.headers)
