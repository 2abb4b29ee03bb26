"""The control socket's command `status`.

A summary of everything, with the endpoints and pools that have a trouble and some of the others; or
with all of them, in slices, if that is asked for.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from chatredirect.control.control_server import Conversation, Handler
from chatredirect.control.protocol import ControlRefusal, Json
from chatredirect.endpoints.directory import Endpoint
from chatredirect.log.level import LogLevel
from chatredirect.metrics.view import View
from chatredirect.pools.pool import Pool
from chatredirect.pools.refresh import Pools
from chatredirect.runtime.slicing import Slicer
from chatredirect.service.read_model import ReadModel
from chatredirect.status.overview import dns, endpoint_line, overview, pool_line, trouble, troubled
from chatredirect.status.traffic_overview import traffic

SCHEMA = 1
"""Grows when a name in the answer gets another meaning or goes; new names don't make it grow."""
LISTED = 40
"""Endpoints, and pools, that are in the summary."""
_SLICE = 200  # in one line, if all are asked for
_LOOK = 64  # endpoints or pools between two looks at the time

_T = TypeVar("_T")


def status_command(
    view: View,
    level: LogLevel,
    clock: Callable[[], float] = time.time,
    ticking: Callable[[], float] = time.monotonic,
) -> Handler:
    """`status`: argument `all`, to have every endpoint and pool in events before the result.

    Args:
        view: the daemon.
        level: how much it logs.
        clock: seconds since the epoch.
        ticking: the clock that is never set; pools go by it.
    """

    async def status(request: Mapping[str, Json], conversation: Conversation) -> dict[str, Json]:
        everything = request.get("all", False)
        if not isinstance(everything, bool):
            raise ControlRefusal("all is to be true or false", status=2)
        pace = Slicer()
        now, ticks = clock(), ticking()
        model = view.model
        shown = overview(view, model, level, now, ticks)
        result = {"schema": SCHEMA} | shown | traffic(view, model)
        result["dns"] = dns(model.pools)
        result["endpoints"] = await _endpoints(model, pace)
        result["pools"] = await _pools(model.pools, ticking(), pace)
        if everything:
            await _all(model, conversation, ticking(), pace)
        return result

    return status


async def _endpoints(model: ReadModel, pace: Slicer) -> Json:
    directory, counters = list(model.directory), model.counters
    modes: Counter[str] = Counter()
    states: Counter[str] = Counter()
    bad: list[Endpoint] = []
    good: list[Endpoint] = []
    number = 0
    for some in _slices(directory):
        for each in some:
            modes[each.settings.mode] += 1
            states[each.state] += 1
            wrong = trouble(each)
            number += bool(wrong)
            listed = bad if wrong else good
            if len(listed) < LISTED:
                listed.append(each)
        await pace.checkpoint()
    lines = [endpoint_line(each, counters) for each in (bad + good)[:LISTED]]
    return {
        "count": len(directory),
        "by_mode": dict(modes),
        "by_state": dict(states),
        "troubled": number,
        "listed": lines,
    }


async def _pools(pools: Pools | None, now: float, pace: Slicer) -> Json:
    if pools is None:
        return None
    every = list(pools)
    bad: list[Pool] = []
    good: list[Pool] = []
    usable = number = 0
    for some in _slices(every):
        for each in some:
            usable += each.usable
            wrong = troubled(each)
            number += wrong
            listed = bad if wrong else good
            if len(listed) < LISTED:
                listed.append(each)
        await pace.checkpoint()
    lines = [pool_line(pools, each, now) for each in (bad + good)[:LISTED]]
    return {"count": len(every), "usable": usable, "troubled": number, "listed": lines}


async def _all(
    model: ReadModel, conversation: Conversation, pools_now: float, pace: Slicer
) -> None:
    """Every endpoint and every pool, some in a line.

    Raises:
        Gone: nobody reads it any more.
    """
    for some in _slices(list(model.directory), _SLICE):
        lines: list[Json] = []
        for each in some:
            lines.append(endpoint_line(each, model.counters))
            await pace.checkpoint()
        await conversation.event({"endpoints": lines})
    pools = model.pools
    if pools is None:
        return
    for several in _slices(list(pools), _SLICE):
        lines = []
        for pool in several:
            lines.append(pool_line(pools, pool, pools_now))
            await pace.checkpoint()
        await conversation.event({"pools": lines})


def _slices(items: Iterable[_T], size: int = _LOOK) -> Iterator[list[_T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
