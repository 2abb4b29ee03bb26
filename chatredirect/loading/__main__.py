"""The process that reads a configuration and writes it to standard output."""

import contextlib
import gc
import os
import resource
import sys
from typing import BinaryIO

from chatredirect.config import ConfigError, Fault, load, warnings
from chatredirect.loading.frames import ENDPOINTS, FAULTS, FrameKind, LoadedSettings, frame

_MEMORY = 4 * 1024 * 1024 * 1024  # octets of address space


def main() -> None:
    """Read the file that is named on the command line.

    The exit status is 0 even if it is faulty; the parent treats any other as a crash.
    """
    _lower_priority()
    gc.disable()  # everything that is made here is needed until the end
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # so that no library prints among the frames
        try:
            _read(sys.argv[1], out)
        except BrokenPipeError:  # the daemon has given up
            os._exit(1)  # without flushing the rest


def _read(config: str, out: BinaryIO) -> None:
    try:
        settings = load(config)
    except ConfigError as error:
        faults = error.faults
        more = len(faults) - FAULTS
        if more > 0:
            rest = Fault(faults[0].file, 0, 0, f"and {more:,} more faults")
            faults = (*faults[:FAULTS], rest)
        out.write(frame(FrameKind.FAULTS, faults))
        return
    found = warnings(settings)
    endpoints = settings.endpoints
    # frozen, but the endpoints are sent in frames of their own
    object.__setattr__(settings, "endpoints", ())
    loaded = LoadedSettings(settings, found[:FAULTS], max(0, len(found) - FAULTS))
    out.write(frame(FrameKind.SETTINGS, loaded))
    for first in range(0, len(endpoints), ENDPOINTS):
        out.write(frame(FrameKind.ENDPOINTS, endpoints[first : first + ENDPOINTS]))
    out.write(frame(FrameKind.END, len(endpoints)))


def _lower_priority() -> None:
    """Limit memory, run at low priority, and be the OOM killer's first choice, if permitted."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with contextlib.suppress(OSError):
        os.nice(5)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


if __name__ == "__main__":
    main()
