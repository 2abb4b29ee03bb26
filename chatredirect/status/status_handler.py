"""The control socket's command `status`.

A summary of everything, with the endpoints and pools that have a trouble and some of the others.
With the argument `all`, events before the summary have every endpoint and pool; with `most` as well
not more than so many of each, with `sip_address` that endpoint alone.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from chatredirect.control.conversation import Conversation, Handler
from chatredirect.control.protocol import ControlRefusal, Json
from chatredirect.endpoints.directory import Endpoint
from chatredirect.log.level import LogLevel
from chatredirect.metrics.view import View
from chatredirect.pools.pool import Pool
from chatredirect.pools.refresh import Pools
from chatredirect.runtime.slicing import Slicer
from chatredirect.service.read_model import ReadModel
from chatredirect.status.overview import (
    dns,
    endpoint_line,
    overview,
    pool_line,
    traffic,
    trouble,
    troubled,
)
from chatredirect.status.refused import refused

_LISTED = 40  # endpoints, and pools, in the summary
_SLICE = 200  # in one event, if all are asked for
_LOOK = 64  # endpoints or pools between two looks at the time

_T = TypeVar("_T")


def status_command(view: View, level: LogLevel) -> Handler:
    """The handler of the command."""

    async def status(request: Mapping[str, Json], conversation: Conversation) -> dict[str, Json]:
        everything = request.get("all", False)
        if not isinstance(everything, bool):
            raise ControlRefusal("all is to be true or false", status=2)
        slicer = Slicer()
        model = view.model
        shown = overview(view, model, level)
        result = shown | traffic(view, model)
        result["refused"] = refused(model)
        result["dns"] = dns(model.pools)
        result["endpoints"] = await _endpoints(model, slicer)
        result["pools"] = await _pools(model.pools, slicer)
        if everything:
            await _send_all(model, conversation, slicer, request)
        return result

    return status


async def _endpoints(model: ReadModel, slicer: Slicer) -> Json:
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
            if len(listed) < _LISTED:
                listed.append(each)
        await slicer.checkpoint()
    lines = [endpoint_line(each, counters) for each in (bad + good)[:_LISTED]]
    return {
        "count": len(directory),
        "by_mode": dict(modes),
        "by_state": dict(states),
        "troubled": number,
        "listed": lines,
    }


async def _pools(pools: Pools | None, slicer: Slicer) -> Json:
    if pools is None:
        return None
    every, now = list(pools), time.monotonic()
    bad: list[Pool] = []
    good: list[Pool] = []
    usable = number = 0
    for some in _slices(every):
        for each in some:
            usable += each.usable
            wrong = troubled(each)
            number += wrong
            listed = bad if wrong else good
            if len(listed) < _LISTED:
                listed.append(each)
        await slicer.checkpoint()
    lines = [pool_line(pools, each, now) for each in (bad + good)[:_LISTED]]
    return {"count": len(every), "usable": usable, "troubled": number, "listed": lines}


async def _send_all(
    model: ReadModel,
    conversation: Conversation,
    slicer: Slicer,
    wanted: Mapping[str, Json],
) -> None:
    """Raises ConversationGone: the client doesn't read any more."""
    most, only = wanted.get("most"), wanted.get("sip_address")
    stop = most if isinstance(most, int) else None

    async def send(name: str, items: Iterable[_T], line_of: Callable[[_T], Json]) -> None:
        for some in _slices(items, _SLICE):
            lines: list[Json] = []
            for each in some:
                lines.append(line_of(each))
                await slicer.checkpoint()
            await conversation.event({name: lines})

    pools, now = model.pools, time.monotonic()
    counters = model.counters
    if isinstance(only, str):
        found = model.directory.spelled_as(only.encode("utf-8", "replace"))
        endpoints = [] if found is None else [found]
    else:
        endpoints = list(islice(model.directory, stop))
    await send("endpoints", endpoints, lambda each: endpoint_line(each, counters))
    if pools is not None:
        await send("pools", list(islice(pools, stop)), lambda each: pool_line(pools, each, now))


def _slices(items: Iterable[_T], size: int = _LOOK) -> Iterator[list[_T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
