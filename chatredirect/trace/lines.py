"""The lines on the control socket: one JSON object for each sighting.

The octets of a message are in base64. Secrets are masked in the daemon unless requested.
"""

import base64
import binascii
from collections.abc import Mapping

from chatredirect.control.protocol import Json
from chatredirect.trace.masking import mask
from chatredirect.trace.trace_session import Ends, Sighting, SightingKind


class BadSighting(ValueError):
    """A line isn't a sighting; another version may have sent it."""


def to_json(sighting: Sighting, *, masked: bool) -> dict[str, Json]:
    """The fields of a sighting's line.

    Args:
        sighting: the sighting.
        masked: whether to mask secrets.
    """
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
        return Sighting(
            SightingKind(line["kind"]),
            float(str(line["at"])),
            call_id.encode("utf-8", "replace") if isinstance(call_id, str) else None,
            _ends(line) if "peer" in line else None,
            base64.b64decode(octets, validate=True) if isinstance(octets, str) else b"",
            str(line.get("what", "")),
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise BadSighting(f"{type(error).__name__}: {error}") from None


def text_of(octets: bytes) -> str:
    """A peer's octets as text; invalid UTF-8 as backslash escapes."""
    return octets.decode("utf-8", "backslashreplace")


def _ends(line: Mapping[str, Json]) -> Ends:
    return Ends(str(line["transport"]), _end(line["own"]), _end(line["peer"]))


def _end(value: Json) -> tuple[str, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise BadSighting("an end that is none")
    host, port = value
    return str(host), int(port)


def for_people(sighting: Sighting) -> dict[str, Json]:
    """A sighting for `--json`: as it was received, with the message as text."""
    line = to_json(sighting, masked=False)
    if line.pop("octets", None) is not None:
        line["message"] = text_of(sighting.data)
    return line
