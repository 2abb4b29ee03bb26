"""The proxy's part of a configuration."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from chatredirect.endpoints.directory import Directory
from chatredirect.net.addresses import HostPort
from chatredirect.net.own_names import OwnNames
from chatredirect.net.target import PoolAddress, Target
from chatredirect.proxy.record_route import LoopDetector, RecordRouteCodec
from chatredirect.sip.response import TagMaker


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What a configuration says to the proxy; new settings are for the requests that come later.

    Attributes:
        advertise: the host that we call ourselves in Via; None: the address in use.
        record_route_host: the host in Record-Route; None: the address in use.
        loops: makes the mark that a request is known by should it come back.
        is_target: whether an address is one of any pool's targets.
        follows: whether a request may go to a target that a Route names.
        pools: those that are proxied for, by their FQDN.
        left: those that were proxied for until now, and are no more.
        agent: our name in Warning header fields.
        retry_after: seconds, for Retry-After.
        attempt_timeout: seconds that a target has for its first response.
        target_penalty: seconds for which a target that failed is tried last.
        timer_c: seconds that an INVITE may go on without a provisional response.
        target_grace: seconds for which the dialogs of a pool go on that has left.
        dialog_age: seconds for which a dialog may go on at most; None for ever.
        proxy_require: option tags that are passed on, in lower case.
        transactions: how many requests may be open.
        transactions_per_peer: how many of one peer.
    """

    directory: Directory
    names: OwnNames
    advertise: HostPort | None
    tags: TagMaker
    record_route: RecordRouteCodec
    loops: LoopDetector
    is_target: Callable[[bytes], bool]
    follows: Callable[[Target], bool]
    pools: Mapping[str, Set[PoolAddress]] = field(default_factory=dict)
    left: Set[PoolAddress] = frozenset()
    agent: bytes = b"chatredirect"
    retry_after: int = 30
    attempt_timeout: float = 4.0
    target_penalty: float = 30.0
    timer_c: float = 180.0
    target_grace: float = 3600.0
    dialog_age: float | None = 30 * 86400.0
    proxy_require: frozenset[bytes] = frozenset((b"ms-benotify",))
    record_route_host: HostPort | None = None
    transactions: int = 20_000
    transactions_per_peer: int = 5_000
