"""The section `limits` in the words of those who keep to it."""

from chatredirect.config import LimitSettings
from chatredirect.sip.limits import Limits
from chatredirect.transport.admission import ConnectionLimits
from chatredirect.transport.connection_settings import StreamLimits


def message_limits(settings: LimitSettings) -> Limits:
    """What a message may be."""
    return Limits(
        message=settings.message,
        header_line=settings.header_line,
        headers=settings.headers,
        via_values=settings.via_values,
        uri=settings.uri,
    )


def stream_limits(settings: LimitSettings) -> StreamLimits:
    """How long the peer of a stream may take, and how much of no use it may send."""
    return StreamLimits(
        idle=settings.idle_timeout,
        message=settings.message_timeout,
        write=settings.write_timeout,
        handshake=settings.handshake_timeout,
        keepalive=settings.keepalive,
        useless=settings.useless_messages,
        pings=settings.pings,
    )


def connection_limits(settings: LimitSettings) -> ConnectionLimits:
    """How many connections there may be."""
    return ConnectionLimits(
        connections=settings.connections,
        connections_per_peer=settings.connections_per_peer,
        handshakes=settings.handshakes,
        handshakes_per_peer=settings.handshakes_per_peer,
    )
