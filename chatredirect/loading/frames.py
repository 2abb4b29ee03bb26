"""The frames from the reading process to the daemon: a header, then a pickle.

Both ends of the pipe are this program, started by this user from these files, so no other octets
are unpickled. Frames are small, since each is unpickled in one go.
"""

import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias, TypeVar

from chatredirect.config import EndpointSettings, Fault, Settings

ENDPOINTS = 100  # in a frame: about a millisecond
FAULTS = 1000  # faults, or warnings, that are sent; of the others only the number
MAX_FRAME = 64 * 1024 * 1024  # octets: settings with a large `dns.hosts`, for instance
MAX_ALL = 1024 * 1024 * 1024  # octets of all frames

HEADER = struct.Struct(">BI")  # kind, octets


class FrameKind(IntEnum):
    """The type of a frame."""

    SETTINGS = 1
    ENDPOINTS = 2
    END = 3  # with the number of endpoints
    FAULTS = 4  # instead of all others


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """A configuration that another process has read.

    Attributes:
        settings: without endpoints in its frame.
        warnings: the first ones.
        more_warnings: how many more there are.
    """

    settings: Settings
    warnings: tuple[Fault, ...]
    more_warnings: int


Payload: TypeAlias = "LoadedSettings | Sequence[EndpointSettings] | Sequence[Fault] | int"
_T = TypeVar("_T")


def frame(kind: FrameKind, payload: Payload) -> bytes:
    """The payload with its header."""
    data = pickle.dumps(payload, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(kind, len(data)) + data


def payload(data: bytes, expected: type[_T]) -> _T:
    """The payload of a frame; raises TypeError if it isn't of the expected type."""
    made: object = pickle.loads(data)  # noqa: S301  # our own process wrote it, see above
    if not isinstance(made, expected):
        raise TypeError(f"{type(made).__name__} where {expected.__name__} belongs")
    return made
