"""What a trace shows: a message, a decision or an event of a connection, and its line of JSON.

A line on the control socket is one JSON object. The octets of a message are in base64. The daemon
masks secrets unless the request says otherwise.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from chatredirect.control.protocol import Json
from chatredirect.trace.masking import mask


class SightingKind(Enum):
    """The type of a sighting; the values are those in JSON."""

    RECEIVED = "received"
    SENT = "sent"
    DECIDED = "decided"
    UNREADABLE = "unreadable"
    CONNECTION = "connection"


@dataclass(slots=True)
class Ends:
    """Our own end and the peer's, each an IP address and a port."""

    transport: str
    own: tuple[str, int]
    peer: tuple[str, int]


@dataclass(slots=True)
class Sighting:
    """A message, a decision, or an event of a connection.

    Attributes:
        kind: its type.
        at: seconds since the epoch.
        call_id: the Call-ID of the message, or of the one that was decided about.
        ends: both ends; None for a decision.
        data: the message's octets.
        what: for people; it may contain a peer's octets.
    """

    kind: SightingKind
    at: float
    call_id: bytes | None = None
    ends: Ends | None = None
    data: bytes = b""
    what: str = ""


class BadSighting(ValueError):
    """A line isn't a sighting; another version may have sent it."""


def to_json(sighting: Sighting, *, masked: bool) -> dict[str, Json]:
    """The fields of a sighting's line; `masked` masks secrets."""
    line: dict[str, Json] = {"kind": sighting.kind.value, "at": round(sighting.at, 6)}
    if sighting.call_id is not None:
        line["call_id"] = text_of(sighting.call_id)
    ends = sighting.ends
    if ends is not None:
        line |= {"transport": ends.transport, "own": list(ends.own), "peer": list(ends.peer)}
    if sighting.what:
        line["what"] = sighting.what
    if sighting.data:
        data = mask(sighting.data) if masked else sighting.data
        line["octets"] = base64.b64encode(data).decode("ascii")
    return line


def from_json(line: Mapping[str, Json]) -> Sighting:
    """The sighting of a line that `to_json` made.

    Raises:
        BadSighting: the line is invalid.
    """
    try:
        octets, call_id = line.get("octets"), line.get("call_id")
        ends = None
        if "peer" in line:
            ends = Ends(str(line["transport"]), _end(line["own"]), _end(line["peer"]))
        return Sighting(
            SightingKind(line["kind"]),
            float(str(line["at"])),
            call_id.encode("utf-8", "replace") if isinstance(call_id, str) else None,
            ends,
            base64.b64decode(octets, validate=True) if isinstance(octets, str) else b"",
            str(line.get("what", "")),
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise BadSighting(f"{type(error).__name__}: {error}") from None


def text_of(octets: bytes) -> str:
    """A peer's octets as text; invalid UTF-8 as backslash escapes."""
    return octets.decode("utf-8", "backslashreplace")


def _end(value: Json) -> tuple[str, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise BadSighting("an end that is none")
    host, port = value
    return str(host), int(port)


def for_people(sighting: Sighting) -> dict[str, Json]:
    """A sighting for `--json`: unmasked, with the message as text."""
    line = to_json(sighting, masked=False)
    if line.pop("octets", None) is not None:
        line["message"] = text_of(sighting.data)
    return line
