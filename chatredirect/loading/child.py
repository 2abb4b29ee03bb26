"""The process that reads a configuration and writes what it finds to its standard output."""

import contextlib
import gc
import os
import resource
import sys
from typing import BinaryIO

from chatredirect.config import ConfigError, load, warnings
from chatredirect.loading.frames import ENDPOINTS, FAULTS, Faults, FrameKind, Head, frame

_NICE = 5
_MEMORY = 4 * 1024 * 1024 * 1024  # octets of address space


def main() -> None:
    """Read the file that is named on the command line.

    Exit status: 0, also if it is faulty; the parent takes any other for a crash.
    """
    _be_modest()
    gc.disable()  # everything that is made here is needed to the end
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what a library prints doesn't belong among the frames
        try:
            _read(sys.argv[1], out)
        except BrokenPipeError:  # the daemon has something else to do
            os._exit(1)  # without a try to write the rest


def _read(config: str, out: BinaryIO) -> None:
    try:
        settings = load(config)
    except ConfigError as error:
        faults = error.faults
        out.write(frame(FrameKind.FAULTS, Faults(faults[:FAULTS], max(0, len(faults) - FAULTS))))
        return
    doubts = warnings(settings)
    endpoints = settings.endpoints
    # Read-only for everybody else; it goes in pieces of its own.
    object.__setattr__(settings, "endpoints", ())
    more = max(0, len(doubts) - FAULTS)
    out.write(frame(FrameKind.SETTINGS, Head(settings, len(endpoints), doubts[:FAULTS], more)))
    for first in range(0, len(endpoints), ENDPOINTS):
        out.write(frame(FrameKind.ENDPOINTS, endpoints[first : first + ENDPOINTS]))
    out.write(frame(FrameKind.END, None))


def _be_modest() -> None:
    """Come after the daemon, for the processor and for memory, as far as it is permitted."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
