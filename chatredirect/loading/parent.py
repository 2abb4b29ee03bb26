"""The daemon's side: starts the reading process and receives the configuration."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from chatredirect.config import ConfigError, EndpointSettings
from chatredirect.loading.frames import (
    HEADER,
    MAX_ALL,
    MAX_FRAME,
    FrameKind,
    LoadedSettings,
    payload,
)
from chatredirect.runtime.slicing import Slicer, long_lived

_SECONDS = 120.0  # that reading may take; 100,000 endpoints take about ten
_GRACE = 5.0  # seconds for a killed process to end
_LOOK = 0.005  # seconds between two checks for that
_MAX_TEXT = 4096  # octets of its standard error


class LoadingError(Exception):
    """The reading process failed, not because of faults; one sentence for people."""


async def load_elsewhere(config: Path, slicer: Slicer) -> LoadedSettings:
    """Read a configuration in another process; cancelling kills it.

    The slicer lets requests be handled between two frames.

    Raises:
        ConfigError: the configuration has faults.
        LoadingError: it couldn't be read.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            async with _reading(config) as (process, reader, complaints):
                try:
                    return await _take(reader, slicer)
                except asyncio.IncompleteReadError:
                    raise await _died(process, complaints) from None
    except TimeoutError:
        raise LoadingError(
            f"reading the configuration took more than {_SECONDS:g} s and was given up"
        ) from None


@asynccontextmanager
async def _reading(
    config: Path,
) -> AsyncIterator[tuple[subprocess.Popen[bytes], asyncio.StreamReader, asyncio.StreamReader]]:
    """The running process, its standard output and standard error."""
    # the same modules as here, and none from the working directory (-P)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", "chatredirect.loading", os.fspath(config)]
    # "systemctl kill --signal=HUP" signals every process of the service: the child, which inherits
    # the mask, must survive that
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        # subprocess uses vfork, which doesn't copy our page tables; asyncio would also start a
        # thread that waits for the end
        process = subprocess.Popen(  # noqa: ASYNC220, S603  # a millisecond; no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the daemon
        )
    except OSError as error:
        raise LoadingError(
            f"no process could be started to read the configuration: {error.strerror}"
        ) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        with process.stdout, process.stderr, ExitStack() as transports:
            readers = []
            for pipe in (process.stdout, process.stderr):
                transport, reader = await _connect(pipe.fileno())
                transports.callback(transport.close)
                readers.append(reader)
            yield process, readers[0], readers[1]
    finally:
        process.kill()
        await _reap(process)


async def _connect(descriptor: int) -> tuple[asyncio.ReadTransport, asyncio.StreamReader]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader),
        os.fdopen(os.dup(descriptor), "rb", 0),  # the transport closes its file
    )
    return transport, reader


async def _take(reader: asyncio.StreamReader, slicer: Slicer) -> LoadedSettings:
    """Assemble the frames; raises IncompleteReadError if they end too early."""
    kind, data = await _frame(reader)
    if kind is FrameKind.FAULTS:
        raise ConfigError(payload(data, tuple))
    endpoints: list[EndpointSettings] = []
    octets = 0
    with long_lived():
        loaded = payload(data, LoadedSettings)
        while True:
            kind, data = await _frame(reader)
            octets += len(data)
            if octets > MAX_ALL:
                raise LoadingError("the configuration is too large")
            if kind is FrameKind.END:
                break
            endpoints += payload(data, tuple)
            await slicer.checkpoint()
    if len(endpoints) != payload(data, int):
        raise LoadingError("the reading process has left something out")
    # frozen, but complete only now
    object.__setattr__(loaded.settings, "endpoints", tuple(endpoints))
    return loaded


async def _frame(reader: asyncio.StreamReader) -> tuple[FrameKind, bytes]:
    kind, length = HEADER.unpack(await reader.readexactly(HEADER.size))
    if length > MAX_FRAME:
        raise LoadingError("the configuration is too large")
    return FrameKind(kind), await reader.readexactly(length)


async def _died(process: subprocess.Popen[bytes], complaints: asyncio.StreamReader) -> LoadingError:
    try:
        text = (await complaints.read(_MAX_TEXT)).decode("utf-8", "replace").strip()
    except OSError:
        text = ""
    await _reap(process)
    status = process.poll()
    last = text.splitlines()[-1] if text else "it printed nothing"
    if status is not None and status < 0:
        why = f"was killed by signal {-status}"
        if status == -signal.SIGKILL:
            why += " (the machine may be out of memory)"
    else:
        why = f"ended with status {status}"
    return LoadingError(f"the process that reads the configuration {why}: {last}")


async def _reap(process: subprocess.Popen[bytes]) -> None:
    """Wait until a killed process has ended."""
    for _ in range(int(_GRACE / _LOOK)):
        if process.poll() is not None:
            return
        await asyncio.sleep(_LOOK)
