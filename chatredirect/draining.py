"""The end of what has state: what is open may finish, and little that is new is begun.

A redirect has no state, and is answered until the sockets close. A lookup takes milliseconds and a
proxied request seconds at most, unless somebody waits for a person to answer a call. So lookups are
begun as long as there is time for them: a client whose INVITE is refused gives up.
"""

import asyncio
import time

import structlog

from chatredirect.lookups import Lookups
from chatredirect.proxying import Proxying

log = structlog.get_logger()


async def drain(lookups: Lookups | None, proxying: Proxying | None, seconds: float) -> None:
    """Let lookups and proxied requests finish.

    Args:
        lookups: the daemon's, None if there are none.
        proxying: the same of the mode `proxy`.
        seconds: how long to wait for them.
    """
    parts = [part for part in (lookups, proxying) if part is not None]
    waiting = not all(part.idle for part in parts)
    if waiting:
        log.info("draining", seconds=seconds)
    began = time.monotonic()
    drains = []
    if lookups is not None:
        drains.append(lookups.drain(seconds, lambda: proxying is None or proxying.idle))
    if proxying is not None:
        drains.append(proxying.drain(seconds))
    all_ended = all(await asyncio.gather(*drains))
    if waiting:
        log.info("drained", seconds=round(time.monotonic() - began, 1), all_ended=all_ended)
