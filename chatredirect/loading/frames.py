"""What goes from the reading process to the daemon: a header, then a pickle.

Both ends are this program, started by this user from these files, and the pipe has no other end:
nobody else's octets are unpickled. The pieces are small, for each is unpickled in one go.
"""

import pickle
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias, TypeVar

from chatredirect.config import ConfigError, EndpointSettings, Fault, Settings

ENDPOINTS = 100
"""Endpoints in a piece: about a millisecond."""
FAULTS = 1000
"""Faults, or warnings, that are handed over; the number of all is told."""
MAX_FRAME = 64 * 1024 * 1024
"""Octets of one frame: settings with a large `dns.hosts`, for instance."""
MAX_ALL = 1024 * 1024 * 1024
"""Octets of all frames."""

HEADER = struct.Struct(">BI")  # kind, octets


class FrameKind(IntEnum):
    """What a frame is."""

    SETTINGS = 1
    ENDPOINTS = 2
    END = 3
    FAULTS = 4


@dataclass(frozen=True, slots=True)
class Head:
    """The configuration without its endpoints.

    Attributes:
        settings: as validated.
        endpoints: how many there are.
        doubts: warnings, as many as are handed over.
        more_doubts: how many aren't.
    """

    settings: Settings
    endpoints: int
    doubts: tuple[Fault, ...]
    more_doubts: int


@dataclass(frozen=True, slots=True)
class Faults:
    """Why the configuration can't be used.

    Attributes:
        faults: as many as are handed over.
        more: how many aren't.
    """

    faults: tuple[Fault, ...]
    more: int

    def error(self) -> ConfigError:
        """The same as an exception."""
        faults = list(self.faults)
        if self.more:
            faults.append(Fault(faults[0].file, 0, 0, f"and {self.more:,} more faults"))
        return ConfigError(faults)


Payload: TypeAlias = "Head | Sequence[EndpointSettings] | Faults | None"
_T = TypeVar("_T")


def frame(kind: FrameKind, payload: Payload) -> bytes:
    """One frame."""
    data = pickle.dumps(payload, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(kind, len(data)) + data


def payload(data: bytes, expected: type[_T]) -> _T:
    """What is in a frame.

    Raises:
        TypeError: something else.
    """
    made: object = pickle.loads(data)  # noqa: S301  # our own process wrote it, see above
    if not isinstance(made, expected):
        raise TypeError(f"{type(made).__name__} where {expected.__name__} belongs")
    return made
