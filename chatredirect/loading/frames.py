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

from chatredirect.config import ConfigError, EndpointSettings, Fault, Settings

ENDPOINTS = 100
"""Endpoints in a frame: about a millisecond."""
FAULTS = 1000
"""Faults, or warnings, that are sent; of the others only the number."""
MAX_FRAME = 64 * 1024 * 1024
"""Octets of one frame: settings with a large `dns.hosts`, for instance."""
MAX_ALL = 1024 * 1024 * 1024
"""Octets of all frames."""

HEADER = struct.Struct(">BI")  # kind, octets


class FrameKind(IntEnum):
    """The type of a frame."""

    SETTINGS = 1
    ENDPOINTS = 2
    END = 3
    FAULTS = 4


@dataclass(frozen=True, slots=True)
class Head:
    """The configuration without its endpoints.

    Attributes:
        settings: the validated settings.
        endpoints: the number of endpoints.
        doubts: the first warnings.
        more_doubts: the number of further ones.
    """

    settings: Settings
    endpoints: int
    doubts: tuple[Fault, ...]
    more_doubts: int


@dataclass(frozen=True, slots=True)
class Faults:
    """Why the configuration can't be used.

    Attributes:
        faults: the first faults.
        more: the number of further ones.
    """

    faults: tuple[Fault, ...]
    more: int

    def error(self) -> ConfigError:
        """The faults as an exception."""
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
    """The payload of a frame.

    Raises:
        TypeError: it has another type.
    """
    made: object = pickle.loads(data)  # noqa: S301  # our own process wrote it, see above
    if not isinstance(made, expected):
        raise TypeError(f"{type(made).__name__} where {expected.__name__} belongs")
    return made
