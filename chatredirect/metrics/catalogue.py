"""Every metric: one table, which docs/metrics.md repeats for people.

No label's value comes from a peer: values are names of ours, or come from the configuration.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Attributes:
        name: as Prometheus has it; a counter's ends in `_total`.
        help: what it means, a sentence without its dot.
        labels: the labels' names.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


CATALOGUE: dict[str, Family] = {}
"""All of them by name."""


def _family(kind: Kind, name: str, meaning: str, *labels: str) -> Family:
    suffix = "_total" if kind == "counter" else ""
    family = Family(f"chatredirect_{name}{suffix}", kind, meaning, labels)
    assert family.name not in CATALOGUE
    CATALOGUE[family.name] = family
    return family


_counter = partial(_family, "counter")
_gauge = partial(_family, "gauge")
_histogram = partial(_family, "histogram")

# -- the daemon ---------------------------------------------------------------------------------

BUILD = _gauge(
    "build_info", "Always 1; the labels say what runs", "version", "python", "loop", "codec"
)
STARTED = _gauge("start_time_seconds", "When it started, in seconds since the epoch")
READY = _gauge("ready", "Whether /readyz says yes: 1 or 0")
DRAINING = _gauge("draining", "Whether it is about to stop: 1 or 0")
RELOADS = _counter("reloads", "Reloads by result, done or refused", "result")
CONFIGURED = _gauge(
    "configuration_time_seconds",
    "Since when the configuration that is in force is, in seconds since the epoch",
)
ENDPOINTS = _gauge("endpoints", "Endpoints that are served, by mode and state", "mode", "state")
LAG = _histogram("event_loop_lag_seconds", "How late the event loop is, looked at twice a second")
LOG_DROPPED = _counter("log_lines_dropped", "Log lines that found no room, or no reader")
USAGE_FAILING = _gauge(
    "usage_store_failing", "Whether the usage ledger can't be written, where it is kept: 1 or 0"
)
USAGE_WAITING = _gauge("usage_rows_waiting", "Rows of the usage ledger that wait to be written")
USAGE_WRITTEN = _gauge(
    "usage_written_time_seconds",
    "When the usage ledger was written last, in seconds since the epoch",
)
USAGE_LAST = _gauge(
    "usage_last_use_time_seconds",
    "When an endpoint was used last by somebody who counts, in seconds since the epoch, from the "
    "ledger; absent if never, and for all with more endpoints than http.endpoints",
    "endpoint",
)
USAGE_CALLERS = _gauge(
    "usage_callers",
    "Different callers in so many days, from the ledger, by peers: trusted or stranger",
    *("days", "peers"),
)
USAGE_FAMILIES = _gauge(
    "usage_client_uses",
    "Uses in 30 days by client family, from the ledger, by peers: trusted or stranger",
    *("family", "peers"),
)

# -- requests -----------------------------------------------------------------------------------

REQUESTS = _counter(
    "requests",
    "Requests that were answered; what a lookup or the proxy has had before is not counted again",
    *("endpoint", "method", "transport", "status"),
)
DROPPED = _counter("dropped", "Messages that got no answer, by reason", "reason")
MALFORMED = _counter("malformed", "Malformed messages by fault, answered or not", "fault")
LATENCY = _histogram(
    "answer_seconds",
    "From when a message was read until its answer was sent; for what is answered at once",
    "listener",
)
FAILURES = _counter(
    "failures", "Messages that a fault of chatredirect kept from being answered", "listener"
)
UNSENT = _counter("unsent", "Datagrams that the kernel didn't take", "listener")
OVERFLOWS = _counter(
    "receive_buffer_drops",
    "Datagrams that the kernel dropped because the receive buffer was full",
    "listener",
)

REFUSALS = _counter(
    "refusals",
    "Refused peers, messages and connections by reason; a reason with a dot is a limit's key",
    "reason",
)

# -- connections --------------------------------------------------------------------------------

CONNECTIONS = _gauge("connections", "Open connections", "listener")
CONNECTIONS_MOST = _gauge("connections_limit", "How many connections there may be")
BEGUN = _counter("connections_begun", "Connections that have begun", "listener")
CLOSED = _counter(
    "connections_closed", "Connections that were ended from here, by reason", "listener", "reason"
)
REFUSED = _counter("connections_refused", "Connections that were turned away, by reason", "reason")
EXPIRY = _gauge(
    "certificate_expiry_time_seconds",
    "When a certificate ceases to be valid, in seconds since the epoch",
    "file",
)
RENEWALS = _counter(
    "certificate_renewals", "Changed certificate files by result, done or refused", "result"
)

# -- lookups ------------------------------------------------------------------------------------

LOOKUPS = _gauge("lookups", "Lookups that are under way")
LOOKUPS_MOST = _gauge("lookups_limit", "How many lookups there may be")
LOOKUPS_BEGUN = _counter("lookups_begun", "Lookups that have begun")
LOOKUP_ANSWERS = _counter(
    "lookup_answers",
    "Clients' commands by result: found, not_found (none works, or closed), unknown",
    "result",
)
LOOKUPS_ENDED = _counter("lookups_ended", "Lookups that are over, by reason", "reason")

# -- the proxy ----------------------------------------------------------------------------------

OUTGOING = _gauge("outgoing_connections", "Open connections to targets")
OUTGOING_WAITING = _gauge("outgoing_waiting", "Messages that wait for a connection to a target")
OUTGOING_BEGUN = _counter("outgoing_connections_begun", "Connections to targets that have begun")
OUTGOING_FAILED = _counter(
    "outgoing_failures", "Ways to targets that could not be opened, by reason", "reason"
)
OUTGOING_CLOSED = _counter(
    "outgoing_connections_closed",
    "Connections to targets that were ended from here, by reason",
    "reason",
)
PROXY_OPEN = _gauge("proxy_open_requests", "Requests that wait for their final response")
PROXY_MOST = _gauge("proxy_open_requests_limit", "How many may wait")
PROXIED = _counter(
    "proxied",
    "Requests that were sent on: new ones, those within a dialog, and stateless (ACK, BENOTIFY)",
    "kind",
)
PROXY_TOOK = _histogram(
    "proxy_seconds",
    "From a request that went on to a target until its final response; ringing counts",
)
PROXY_RESPONSES = _counter("proxy_responses", "Responses that were passed back")
PROXY_LATE = _counter("proxy_late_responses", "2xx that came after another final response")
PROXY_CANCELLED = _counter("proxy_cancelled", "Requests that were cancelled")
PROXY_FAILOVERS = _counter("proxy_failovers", "Requests that went on to another target")
PROXY_FAILURES = _counter("proxy_failures", "Attempts at a target that failed, by reason", "reason")
PROXY_REFUSED = _counter("proxy_refused", "Requests that the proxy refused, by reason", "reason")

# -- transactions -------------------------------------------------------------------------------

TRANSACTIONS = _gauge("transactions", "SIP transactions that are remembered, by role", "role")
RETRANSMISSIONS = _counter(
    "retransmissions", "Repeated messages by role and direction, in or out", "role", "direction"
)

# -- DNS and pools ------------------------------------------------------------------------------

DNS_QUERIES = _counter("dns_queries", "Questions sent to name servers", "transport")
DNS_ANSWERS = _counter(
    "dns_answers",
    "What came of them: positive, negative (NXDOMAIN and NODATA), timeout, unreachable, refusal, "
    "malformed",
    "result",
)
DNS_IGNORED = _counter("dns_ignored", "Datagrams that answer no question of ours")
DNS_CACHE_HITS = _counter("dns_cache_hits", "Questions that the cache answered")
DNS_JOINED = _counter("dns_joined", "Questions that waited for the same one already asked")
DNS_FAILURES = _counter("dns_failures", "Lookups that no name server answered")
DNS_STALE = _counter("dns_stale", "Lookups that an outdated answer served")
RESOLUTIONS = _counter("pool_resolutions", "Times that a pool was resolved")
REFUSED_TARGETS = _counter(
    "pool_refused_targets", "Targets that were left out, since they lead back here for instance"
)
POOLS = _gauge(
    "pools",
    "Pools by state: usable, stale (DNS fails, the last good answer serves), down (no target "
    "works), failed (DNS gives no target), waiting (not resolved yet)",
    "state",
)
POOLS_AGE = _gauge(
    "pools_oldest_answer_seconds", "The greatest age of a pool's targets since DNS confirmed them"
)
POOL_USABLE = _gauge("pool_usable", "Whether a target of the pool works: 1 or 0", "pool")
POOL_STALE = _gauge("pool_stale", "Whether the pool's targets are outdated: 1 or 0", "pool")
POOL_TARGETS = _gauge("pool_targets", "The pool's targets", "pool")
POOL_LIVE = _gauge("pool_live_targets", "Those of them that work, as far as is known", "pool")
POOL_AGE = _gauge(
    "pool_answer_age_seconds", "Seconds since DNS confirmed the pool's targets", "pool"
)
TARGETS = _gauge("targets", "Targets that are pinged, by state: up, down, unknown", "state")
TARGET_UP = _gauge("target_up", "Whether a target answers pings: 1 or 0", "target")
PINGS = _counter("pings", "Pings that were sent")
PINGS_LOST = _counter("pings_lost", "Pings that weren't answered")
TARGET_CHANGES = _counter("target_changes", "How often a target went up or down", "to")

# -- control socket and HTTP ---------------------------------------------------------------------

CONTROL = _counter("control_requests", "Commands over the control socket", "command")
CONTROL_FAULTS = _counter(
    "control_faults", "Requests over the control socket that came to nothing, by reason", "reason"
)
HTTP = _counter("http_requests", "HTTP requests by page and status", "page", "status")
HTTP_REFUSED = _counter(
    "http_refused",
    "HTTP connections that were turned away (busy) or cut off (slow)",
    "reason",
)
