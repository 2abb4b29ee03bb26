"""Processes under measurement: the CPU and memory they use, and the cores they may use.

CPU time is that of the server's processes with all their threads, user and system together: the
kernel's clock of a process, which counts nanoseconds, while utime and stime in /proc/PID/stat (the
same sum) count hundredths of a second.
"""

import ctypes
import os
import time
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


def process_tree(pid: int) -> list[int]:
    """`pid` and all its living descendants."""
    pids = [pid]
    for parent in pids:  # grows while it is walked
        for task in Path(f"/proc/{parent}/task").iterdir():
            pids.extend(int(child) for child in (task / "children").read_text().split())
    return pids


def cpu_seconds(pids: list[int]) -> float:
    """User and system CPU seconds that these processes have used so far, all threads together."""
    return sum(_process_clock(pid) for pid in pids)


def _process_clock(pid: int) -> float:
    clock = ctypes.c_int()
    error = _libc.clock_getcpuclockid(ctypes.c_int(pid), ctypes.byref(clock))
    if error:
        raise ProcessLookupError(error, os.strerror(error), str(pid))
    return time.clock_gettime(clock.value)


def proportional_octets(pids: list[int]) -> float:
    """Proportional set size of processes, in octets: pages that several share count once."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: the load and the servers on a core each, so that neither takes the other's.

    None means the kernel chooses.
    """

    load: int | None
    server: int | None

    def __str__(self) -> str:
        """As the benchmarks print it."""
        if self.server is None:
            return "not pinned"
        return f"server on core {self.server}, load on core {self.load}"


def choose_cores(pin: bool) -> Cores:
    """The first and the last of the cores that this process may use; none when there is but one."""
    allowed = sorted(os.sched_getaffinity(0))
    if not pin or len(allowed) < 2:
        return Cores(None, None)
    return Cores(load=allowed[0], server=allowed[-1])


def on_core(core: int | None, command: list[str]) -> list[str]:
    """`command`, started so that it and all its children run on `core`."""
    return command if core is None else ["taskset", "-c", str(core), *command]
