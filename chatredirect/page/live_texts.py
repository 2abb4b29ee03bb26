"""The values of the overview that refresh by themselves: the same text at first and later.

A template puts `live[ID]` into the element of that id; the browser replaces its text.
"""

from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

from chatredirect.control.protocol import number_in
from chatredirect.status.status_text import (
    JsonObject,
    counts_text,
    duration,
    object_in,
    pool_dns,
    printed,
    target_lines,
    why_unusable,
)

MOST_ROWS = 1000
"""Endpoints, and pools, in the tables of the overview."""
DIFFERS = "The files say something else than what is in force: chatredirect reload --what-if."
DRAINING = "The daemon is about to stop."


def live_values(
    status: JsonObject, endpoints: Sequence[JsonObject], pools: Sequence[JsonObject]
) -> dict[str, str]:
    """Text by the id of its element, for the rows that the overview has."""
    connections = object_in(status, "connections")
    configuration = object_in(status, "configuration")
    of_endpoints, of_pools = object_in(status, "endpoints"), object_in(status, "pools")
    reloads = object_in(configuration, "reloads")
    values = {
        "uptime": duration(status.get("uptime")),
        "draining": DRAINING if status.get("draining") is True else "",
        "files": DIFFERS if configuration.get("files_differ") is True else "",
        "reloads": f"{number_in(reloads, 'done'):,} done, "
        f"{number_in(reloads, 'refused'):,} refused",
        "open": f"{number_in(connections, 'open'):,} of at most {number_in(connections, 'most'):,}",
        "answers": counts_text(status.get("answers"), ": ") or "none yet",
        "drops": counts_text(status.get("drops"), ": ") or "none",
        "malformed": counts_text(status.get("malformed"), ": ") or "none",
        "endpoints-troubled": _troubled(of_endpoints),
        "pools-troubled": _troubled(of_pools),
    }
    for endpoint in endpoints[:MOST_ROWS]:
        key = endpoint_id(str(endpoint.get("sip_address")))
        values[f"{key}-requests"] = f"{number_in(endpoint, 'requests'):,}"
        values[f"{key}-state"] = printed(endpoint.get("state"))
        values[f"{key}-trouble"] = printed(endpoint.get("trouble"))
    for pool in pools[:MOST_ROWS]:
        key = pool_id(pool)
        values[f"{key}-state"] = pool_state(pool)
        values[f"{key}-targets"] = pool_targets(pool)
        values[f"{key}-dns"] = pool_dns(pool)
    return values


@lru_cache(8192)
def endpoint_id(sip_address: str) -> str:
    """The beginning of the ids of an endpoint's elements."""
    return f"e{crc32(sip_address.encode('utf-8', 'replace')):08x}"


def pool_id(pool: JsonObject) -> str:
    """The beginning of the ids of a pool's elements."""
    written = f"{pool.get('pool_fqdn')} {pool.get('port')} {pool.get('transport')}"
    return f"p{crc32(written.encode('utf-8', 'replace')):08x}"


def pool_state(pool: JsonObject) -> str:
    """Whether requesters are led there; else why not."""
    if pool.get("usable") is True:
        return "usable"
    why = why_unusable(pool)
    return f"not usable: {why}" if why else "not usable"


def pool_targets(pool: JsonObject) -> str:
    """A line for each target: where, its state, and why it is down."""
    return "\n".join(line for line, _ in target_lines(pool))


def _troubled(of: JsonObject) -> str:
    number = number_in(of, "troubled")
    return f"{number:,} with a trouble" if number else ""
