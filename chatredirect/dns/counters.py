"""What DNS did, as plain integers that somebody may read."""

from dataclasses import dataclass


@dataclass(slots=True)
class DnsCounters:
    """Counts since the start.

    Attributes:
        queries: questions sent to a server, over either transport.
        tcp_queries: those of them sent over TCP, after a truncated answer.
        answers: positive answers.
        negatives: NXDOMAIN and NODATA.
        timeouts: questions that no answer came to in time.
        unreachable: questions that couldn't be sent, and ICMP errors.
        refusals: answers with another response code, SERVFAIL and REFUSED for instance.
        malformed: answers that can't be read or make no sense, CNAME loops for instance.
        ignored: datagrams that answer no question of ours.
        cache_hits: questions that the cache answered.
        joined: questions that waited for the same question already asked.
        failures: lookups that no server answered.
        stale: lookups that an outdated answer served (RFC 8767).
        refreshes: resolutions of a pool.
        crashes: resolutions that ended in a fault of this program.
        refused_targets: targets that were left out, because they lead back here for instance.
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
    crashes: int = 0
    refused_targets: int = 0
