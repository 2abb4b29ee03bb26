"""Counters of the resolver."""

from dataclasses import dataclass


@dataclass(slots=True)
class DnsCounters:
    """Counts since the start.

    Attributes:
        queries: questions sent to a server, over either transport.
        tcp_queries: those of them sent over TCP, after a truncated answer.
        answers: positive answers.
        negatives: NXDOMAIN and NODATA.
        timeouts: questions without an answer in time.
        unreachable: questions that couldn't be sent, and ICMP errors.
        refusals: answers with another response code, SERVFAIL and REFUSED for instance.
        malformed: answers that can't be read or make no sense, CNAME loops for instance.
        ignored: datagrams that answer no question of ours.
        cache_hits: questions that the cache answered.
        joined: questions that waited for the same question already asked.
        failures: lookups that no server answered.
        stale: lookups that an outdated answer served (RFC 8767).
        refreshes: resolutions of a pool.
        refused_targets: targets that can't be used: our own listeners, for instance.
    """

    queries: int = 0
    tcp_queries: int = 0
    answers: int = 0
    negatives: int = 0
    timeouts: int = 0
    unreachable: int = 0
    refusals: int = 0
    malformed: int = 0
    ignored: int = 0
    cache_hits: int = 0
    joined: int = 0
    failures: int = 0
    stale: int = 0
    refreshes: int = 0
    refused_targets: int = 0
