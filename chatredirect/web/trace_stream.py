"""`chatredirect trace` in the browser: the same command, its sightings as events with a ladder."""

import base64
from collections.abc import Mapping

from chatredirect.control.conversation import Handler
from chatredirect.control.protocol import ControlRefusal, ConversationGone, Json, seconds_of
from chatredirect.log.audit import Origin
from chatredirect.trace.call_ladder import Ladder, tone_of
from chatredirect.trace.pcap import PcapWriter
from chatredirect.trace.sighting import BadSighting, Sighting, for_people, from_json
from chatredirect.trace.trace_handler import read_filter
from chatredirect.web.event_stream import EventStream

FILTERS = ("call_id", "from", "endpoint", "peer")
"""What a trace may look for, as in the command; secrets are always masked."""


def trace_request(asked: Mapping[str, str]) -> dict[str, Json]:
    """What the command is asked for, by `FILTERS` and `seconds`; what is empty isn't asked for.

    Raises:
        ControlRefusal: it can't be understood.
    """
    request: dict[str, Json] = {name: asked[name] for name in FILTERS if asked.get(name)}
    if asked.get("seconds"):
        request["seconds"] = _number(asked["seconds"])
    read_filter(request)
    seconds_of(request, "trace")
    return request


async def stream_trace(
    trace: Handler, request: Mapping[str, Json], stream: EventStream, *, pcap: bool
) -> None:
    """Run the command for a stream until it ends, or its reader goes.

    `pcap` is whether the events carry the octets of a capture file.
    """
    try:
        conversation = _TraceConversation(stream, pcap=pcap)
        await stream.send("end", await trace(request, conversation))
    except ControlRefusal as refusal:
        await stream.send("refused", {"error": str(refusal)})
    except ConversationGone:
        pass


class _TraceConversation:
    """Turns the command's lines into events."""

    def __init__(self, stream: EventStream, *, pcap: bool) -> None:
        self.closed = stream.closed
        self.origin: Origin = stream.origin
        self._stream = stream
        self._ladder = Ladder()
        self._pieces: list[bytes] = []
        self._pcap = PcapWriter(self._pieces.append) if pcap else None

    async def event(self, fields: Mapping[str, Json]) -> None:
        """Send one line. Raises ConversationGone."""
        kind = fields.get("kind")
        if kind in ("left_out", "alive"):
            await self._stream.send(str(kind), fields)
        elif kind == "begun":
            begun = {**fields, "heading": self._ladder.heading(), **self._captured()}
            await self._stream.send("begun", begun)
        else:
            try:
                sighting = from_json(fields)
            except BadSighting:  # the daemon's own lines: another version can't have sent it
                return
            await self._stream.send("sighting", self._shown(sighting))

    def _shown(self, sighting: Sighting) -> dict[str, Json]:
        if self._pcap is not None:
            self._pcap.add(sighting)
        return {
            **for_people(sighting),
            "lines": self._ladder.lines(sighting),
            "class": tone_of(sighting),
            **self._captured(),
        }

    def _captured(self) -> dict[str, Json]:
        octets = b"".join(self._pieces)
        self._pieces.clear()
        return {"pcap": base64.b64encode(octets).decode()} if octets else {}


def _number(text: str) -> Json:
    """A number, or the text itself, which the command refuses."""
    try:
        return float(text)
    except ValueError:
        return text
