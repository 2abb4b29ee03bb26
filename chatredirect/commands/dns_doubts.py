"""What only DNS can tell of a configuration: are pools that leave all to it in there?"""

from chatredirect.commands.resolving import Resolution, Way, resolve_all
from chatredirect.config import EndpointSettings, Fault, Settings
from chatredirect.config.warnings import at_endpoint, needs_srv, udp_warning
from chatredirect.dns.rfc3263 import State

MAX_POOLS = 100
"""Pools that are asked for; a check should not be a load test of a name server."""


def dns_doubts(settings: Settings) -> tuple[Fault, ...]:
    """A warning for each pool without port and transport whose name has no SRV records.

    Takes as long as DNS does, at most `dns.lifetime` for each step of RFC 3263.
    """
    first: dict[Way, EndpointSettings] = {}
    for endpoint in settings.endpoints:
        if len(first) < MAX_POOLS and needs_srv(endpoint, settings.dns):
            first.setdefault(Way.of(endpoint), endpoint)
    if not first:
        return ()
    found = resolve_all(first, settings)
    doubts = (_doubt(first[resolution.way], resolution) for resolution in found)
    return tuple(doubt for doubt in doubts if doubt is not None)


def _doubt(endpoint: EndpointSettings, resolution: Resolution) -> Fault | None:
    located = resolution.located
    if located.state is not State.FOUND:
        where = endpoint.pool_fqdn
        return at_endpoint(endpoint, f"{where} has no targets just now: {located.reason}")
    has_srv = any(step.type == "SRV" and step.records for step in resolution.trace.steps)
    if has_srv or resolution.way.transport is not None:
        return None
    return udp_warning(endpoint, "with neither port nor transport nor SRV records")
