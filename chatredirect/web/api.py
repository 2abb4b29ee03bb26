"""The HTTP API, read-only: what `status --json`, `usage --json` and `trace --json` say."""

from importlib.resources import files

from aiohttp import web

from chatredirect.control.protocol import ControlRefusal
from chatredirect.log.audit import Origin
from chatredirect.page import views
from chatredirect.web.access import Access
from chatredirect.web.event_stream import EventStream
from chatredirect.web.live import LiveValues
from chatredirect.web.responses import json_response
from chatredirect.web.sources import Sources
from chatredirect.web.trace_stream import stream_trace, trace_request

_LONGEST = 300  # characters of an argument


class Api:
    """The handlers below /api/v1/."""

    def __init__(self, sources: Sources, access: Access) -> None:
        """Answer from `sources`; `access` tells who asks."""
        self._sources = sources
        self._access = access
        self._live = LiveValues(self._values)
        self._openapi = files("chatredirect.web").joinpath("openapi.json").read_bytes()

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        for name, handler in (
            ("status", self._status),
            ("endpoints", self._endpoints),
            ("usage", self._usage),
            ("pools", self._pools),
            ("trace", self._trace),
            ("live", self._live_values),
            ("openapi.json", self._description),
        ):
            # the head alone of a stream would take a stream's place
            router.add_get(f"/api/v1/{name}", handler, allow_head=name not in ("trace", "live"))

    async def _status(self, _request: web.Request) -> web.StreamResponse:
        return await json_response((await self._sources.everything()).status)

    async def _endpoints(self, _request: web.Request) -> web.StreamResponse:
        return await json_response({"endpoints": await self._sources.endpoints()})

    async def _pools(self, _request: web.Request) -> web.StreamResponse:
        return await json_response({"pools": (await self._sources.everything()).pools})

    async def _usage(self, request: web.Request) -> web.StreamResponse:
        """By day and client; with `endpoint` or `caller`, or both, the callers."""
        endpoint, caller = _text(request, "endpoint"), _text(request, "caller")
        if endpoint is None and caller is None:
            return await json_response(await self._sources.usage_by_day())
        return await json_response(await self._sources.callers(endpoint, caller))

    async def _live_values(self, request: web.Request) -> web.StreamResponse:
        stream = await EventStream.begin(request, self._origin(request))
        await self._live.serve(stream)
        return await stream.end()

    async def _trace(self, request: web.Request) -> web.StreamResponse:
        wanted = trace_request(request.query)  # what can't be understood is a 400, and no stream
        stream = await EventStream.begin(request, self._origin(request))
        pcap = request.query.get("pcap") == "1"
        await stream_trace(self._sources.commands["trace"], wanted, stream, pcap=pcap)
        return await stream.end()

    async def _description(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=self._openapi, content_type="application/json")

    async def _values(self) -> dict[str, str]:
        found = await self._sources.everything()
        return views.live_values(found.status, found.endpoints, found.pools)

    def _origin(self, request: web.Request) -> Origin:
        return Origin("page", client=self._access.client_of(request))


def _text(request: web.Request, name: str) -> str | None:
    value = request.query.get(name)
    if value is not None and not 0 < len(value) <= _LONGEST:
        raise ControlRefusal(f"{name} is to be a text of 1 to {_LONGEST} characters")
    return value
