"""What a lookup endpoint is made of, and how others reach it within a dialog."""

from collections.abc import Callable
from dataclasses import dataclass

from chatredirect.config.endpoint import EndpointSettings
from chatredirect.endpoints.channels import Channel, Channels
from chatredirect.net.addresses import HostPort, PoolAddress, default_port
from chatredirect.pools.pool import Pool
from chatredirect.sip.client_request import hostport
from chatredirect.sip.flow import Flow


@dataclass(slots=True)
class LookupEndpoint:
    """A contact object in the mode `lookup`.

    Attributes:
        address: its SIP address, for people.
        user: the user part of its address, for our Contact.
        domain: its SIP domain.
        channels: where its callers are sent.
        contact_uri: our Contact's URI, where a front end needs one of its own (a GRUU).
        advertise: the host that our Contact and Via name; None: the address that was sent to.
    """

    address: str
    user: bytes
    domain: str
    channels: Channels
    contact_uri: bytes | None
    advertise: HostPort | None

    @classmethod
    def of(
        cls,
        settings: EndpointSettings,
        pool_of: Callable[[PoolAddress], Pool],
        advertise: HostPort | None,
    ) -> "LookupEndpoint":
        """Make it ready."""
        sip = settings.sip_address
        contact = settings.contact_uri
        serve = settings.on_all_down == "serve"
        channels = (
            Channel(str(uri), pool_of(settings.channel_pool(uri)), serve)
            for uri in settings.channels
        )
        return cls(
            address=str(sip),
            user=sip.user.encode(),
            domain=sip.host,
            channels=Channels(tuple(channels)),
            contact_uri=None if contact is None else contact.encode(),
            advertise=advertise,
        )

    def sent_by(self, flow: Flow) -> bytes:
        """Our host and port in a Via (RFC 3261 §18.1.1)."""
        if self.advertise is None:
            return hostport(flow.host, flow.port)
        return hostport(self.advertise.host, self.advertise.port or flow.port)

    def contact(self, flow: Flow, sips: bool) -> bytes:
        """Our Contact's value: where requests within the dialog come to (RFC 3261 §12.1.1).

        Args:
            flow: what the INVITE came over.
            sips: whether its Request-URI was a SIPS URI, so that the Contact must be one.
        """
        if self.contact_uri is not None:
            return b"<%b>" % self.contact_uri
        port: int | None = flow.port
        host = flow.host
        if self.advertise is not None:
            host, port = self.advertise.host, self.advertise.port or port
        if port == default_port(flow.transport):
            port = None
        if sips:  # RFC 3261 §26.2.2: without transport=tls
            return b"<sips:%b@%b>" % (self.user, hostport(host, port))
        transport = b"" if flow.transport == "udp" else b";transport=" + flow.transport.encode()
        return b"<sip:%b@%b%b>" % (self.user, hostport(host, port), transport)
