"""What the page and the API show: the answers of the daemon's commands, and the ledger's rows.

Each is made when it is asked for, and then once for all who ask within a second or, of the ledger,
a minute. The ledger is read in a thread.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

from chatredirect.config import EndpointSettings
from chatredirect.config.loader import fingerprint_of_files
from chatredirect.config.usage_section import StoreAddress
from chatredirect.control.conversation import Handler
from chatredirect.control.protocol import Json
from chatredirect.log.audit import Origin
from chatredirect.runtime.cached import Cached
from chatredirect.runtime.regular_file import in_thread
from chatredirect.runtime.slicing import Slicer, short_turns
from chatredirect.usage.page_usage import (
    MOST_ENDPOINTS,
    UsageOverview,
    no_days,
    read_callers,
    read_days,
    read_overview,
)
from chatredirect.usage.store_faults import StoreFault

FRESH = 1.0
"""Seconds for which a status is given out again."""
FRESH_USAGE = 60.0
"""Seconds for which what the ledger says is given out again."""
MOST = MOST_ENDPOINTS
"""Endpoints, and pools, that are listed."""
FRESH_FILES = 10.0
"""Seconds for which what the files say is given out again."""
NO_LEDGER = "no ledger is kept: usage.store is off, or the daemon has no state directory"

_T = TypeVar("_T")
JsonObject = dict[str, Json]
#: Reads something of a ledger, at a time in seconds since 1970; blocks, and raises StoreFault.
LedgerQuery = Callable[[StoreAddress, float], dict[str, object]]


@dataclass(slots=True)
class Everything:
    """One status, and the lines of all endpoints and pools."""

    status: JsonObject = field(default_factory=dict)
    endpoints: list[JsonObject] = field(default_factory=list)
    pools: list[JsonObject] = field(default_factory=list)


class Sources:
    """The daemon's side of the page."""

    def __init__(
        self,
        commands: Mapping[str, Handler],
        ledger: Callable[[], tuple[StoreAddress | None, Sequence[EndpointSettings]]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read nothing yet.

        Args:
            commands: those of the control socket; `status` and `trace` are used.
            ledger: gives where the ledger is, if one is kept, and the endpoints in force.
            clock: seconds since 1970.
        """
        self.commands = commands
        self._ledger = ledger
        self._clock = clock
        self._everything = Cached(self._ask, FRESH)
        self._usage = Cached(self._read_overview, FRESH_USAGE)
        self._files: tuple[str, str | None] = "", None
        self._fingerprint = Cached(self._read_files, FRESH_FILES)

    async def everything(self) -> Everything:
        """The status with all endpoints and pools."""
        return await self._everything.get()

    async def usage(self) -> UsageOverview:
        """What the ledger says of the last year."""
        return await self._usage.get()

    async def endpoints(self) -> list[JsonObject]:
        """All endpoints with their uses and verdicts."""
        found, usage = await self.everything(), await self.usage()
        slicer, lines = Slicer(), list[JsonObject]()
        for each in found.endpoints:
            lines.append(_with_usage(each, usage))
            await slicer.checkpoint()
        return lines

    async def endpoint(self, sip_address: str) -> JsonObject | None:
        """One endpoint with its uses and verdict; None if there is none of this address."""
        found = Everything()
        wanted: JsonObject = {"all": True, "sip_address": sip_address, "most": 0}
        await self.commands["status"](wanted, _Collecting(found))
        usage = await self.usage()
        return _with_usage(found.endpoints[0], usage) if found.endpoints else None

    async def usage_by_day(self) -> JsonObject:
        """The uses of all endpoints by day and client."""
        usage = await self.usage()
        return cast(JsonObject, {"fault": usage.fault or None, **usage.days})

    async def callers(self, endpoint: str | None, text: str | None) -> JsonObject:
        """The callers of an endpoint, or with a text in their address, or both.

        With an endpoint its uses by day, too.
        """

        def query(address: StoreAddress, now: float) -> dict[str, object]:
            days = no_days(now) if endpoint is None else read_days(address, now, endpoint)
            return {**days, **read_callers(address, endpoint=endpoint, text=text)}

        found = await self._read(query)
        return found if text is None else {**found, "caller": text}

    async def _ask(self) -> Everything:
        found = Everything()
        answer = await self.commands["status"]({"all": True, "most": MOST}, _Collecting(found))
        found.status = dict(answer)
        found.status["configuration"] = await self._compared(found.status.get("configuration"))
        for name in ("endpoints", "pools"):  # their lines are all in the lists
            section = found.status.get(name)
            if isinstance(section, Mapping):
                found.status[name] = {k: v for k, v in section.items() if k != "listed"}
        return found

    async def _compared(self, configuration: Json) -> Json:
        """The configuration's section with `files_differ`, as the command adds it."""
        if not isinstance(configuration, Mapping):
            return configuration
        file, include = configuration.get("file"), configuration.get("include")
        self._files = str(file), None if include is None else str(include)
        now = await self._fingerprint.get()
        differ = None if now is None else now != configuration.get("fingerprint")
        return {**configuration, "files_differ": differ}

    async def _read_files(self) -> str | None:
        try:
            return await _beside(partial(fingerprint_of_files, *self._files))
        except (OSError, ValueError):
            return None

    async def _read_overview(self) -> UsageOverview:
        address, endpoints = self._ledger()
        now = self._clock()
        if address is None:
            return UsageOverview(no_days(now), fault=NO_LEDGER)
        try:
            return await _beside(partial(read_overview, address, endpoints, now))
        except StoreFault as fault:
            return UsageOverview(no_days(now), fault=_sentence(fault))

    async def _read(self, query: LedgerQuery) -> JsonObject:
        address, _ = self._ledger()
        now = self._clock()
        fault: str | None = NO_LEDGER
        found = dict[str, object]()
        if address is not None:
            try:
                found, fault = await _beside(partial(query, address, now)), None
            except StoreFault as error:
                fault = _sentence(error)
        nothing = {**no_days(now), "callers": [], "more": False}
        return cast(JsonObject, {**nothing, "fault": fault, **found})


async def _beside(work: Callable[[], _T]) -> _T:
    """Run something in a thread, and leave the interpreter to SIP meanwhile."""

    def run() -> _T:
        with short_turns:
            return work()

    return await in_thread(run)


def _with_usage(line: JsonObject, usage: UsageOverview) -> JsonObject:
    name = str(line["sip_address"])
    of_ledger = {"usage": usage.uses.get(name), "verdict": usage.verdicts.get(name)}
    return line | cast(JsonObject, of_ledger)


def _sentence(fault: StoreFault) -> str:
    return f"the ledger {fault.address} can't be read: {fault.why}; {fault.remedy}"


class _Collecting:
    """The conversation of a command whose events are kept."""

    __slots__ = ("_found", "closed", "origin")

    def __init__(self, found: Everything) -> None:
        self.closed = asyncio.Event()
        self.origin = Origin("page")
        self._found = found

    async def event(self, fields: Mapping[str, Json]) -> None:
        """Keep the lines of an event."""
        for name, kept in (("endpoints", self._found.endpoints), ("pools", self._found.pools)):
            lines = fields.get(name)
            if isinstance(lines, list):
                kept.extend(lines)
