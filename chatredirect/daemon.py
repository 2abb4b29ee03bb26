"""The daemon around the service: signals, the control socket, reloads.

`service` knows how to serve a configuration; this decides when, and who may say so.
"""

import asyncio
import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from chatredirect.commanding import reload_command
from chatredirect.config import Settings, warnings
from chatredirect.config.models import DEFAULT_SOCKET
from chatredirect.control.place import PlaceError
from chatredirect.control.server import ControlServer
from chatredirect.http.counters import HttpCounters
from chatredirect.log import LogSink, log_loop_exception
from chatredirect.log_command import log_level_command
from chatredirect.log_level import LogLevel
from chatredirect.metrics.lag import Lag
from chatredirect.metrics.serving import http_listener
from chatredirect.metrics.view import View
from chatredirect.pace import Pace, long_lived
from chatredirect.reloading import Refused, Reloader, tell_doubts
from chatredirect.service import Service
from chatredirect.status.command import status_command
from chatredirect.status_line import status_line
from chatredirect.stopping import Stopping
from chatredirect.systemd.inherited import Inherited
from chatredirect.systemd.notify import Notifier
from chatredirect.systemd.watchdog import Watchdog, interval
from chatredirect.trace.command import trace_command
from chatredirect.trace.traces import Traces
from chatredirect.watching import Watching

log = structlog.get_logger()


async def serve(
    config: Path,
    settings: Settings,
    sink: LogSink,
    stopping: Stopping,
    inherited: Inherited,
) -> None:
    """Serve until told to stop.

    Args:
        config: the main file, for reloads.
        settings: what it said.
        sink: the log.
        stopping: says when to stop.
        inherited: sockets that systemd has bound.

    Raises:
        BindError: an address can't be listened on.
        InheritError: systemd's sockets and `listen` differ.
        PlaceError: the control socket can't be opened.
        TlsError: a certificate, key or CA file can't be used.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_exception)
    service = Service(inherited=inherited)
    level = LogLevel(settings.log, sink, service.log_requests)
    reloader = Reloader(config, service, level)
    # Commands: a name and its handler, made of what it needs.
    control = ControlServer(
        {
            "reload": reload_command(reloader),
            "trace": trace_command(Traces(service.tapping)),
        }
    )
    hung_up = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    watchdog = Watchdog(loop, Notifier(), partial(status_line, service, reloader), interval())
    watching = Watching(os.fspath(config), partial(_reload, reloader))

    def reloaded() -> None:
        watchdog.ready()
        if service.settings is not None:
            watching.serve(service.settings)

    reloader.begins, reloader.ends = watchdog.reloading, reloaded
    lag = Lag(loop)
    view = View(service, reloader, sink, control.counters, lag, time.time(), HttpCounters())
    service.http = http_listener(view, loop)
    control.offer({"status": status_command(view, level), "log-level": log_level_command(level)})
    tell_doubts(warnings(settings))
    try:
        await _open(control, settings.control.socket)
        with long_lived():
            await service.apply(settings, log_requests=sink.requests, pace=Pace(rest=0))
        watchdog.start()
        watching.serve(settings)
        listening = loop.create_task(_reload_when_asked(hung_up, reloader))
        await stopping.asked.wait()
        log.info("stopping")
        watchdog.stopping()
        listening.cancel()
        watching.close()
        await _end(reloader, service, stopping)
    finally:
        await control.close()
        watchdog.stop()
        lag.close()


async def _reload_when_asked(asked: asyncio.Event, reloader: Reloader) -> None:
    """Reload on each SIGHUP, until cancelled."""
    while True:
        await asked.wait()
        asked.clear()
        await _reload(reloader)


async def _reload(reloader: Reloader) -> None:
    with suppress(Refused):  # the log has it
        await reloader.reload()


async def _end(reloader: Reloader, service: Service, stopping: Stopping) -> None:
    """Stop as politely as there is time for."""

    async def politely() -> None:
        await reloader.close()
        await service.stop()

    ending = asyncio.create_task(politely())
    hurried = asyncio.create_task(stopping.at_once.wait())
    await asyncio.wait((ending, hurried), return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if ending.done():
        await ending
    else:
        log.warning("stopped_at_once", why="a second signal: what was open has not been finished")
        ending.cancel()


async def _open(control: ControlServer, path: str | None) -> None:
    """Open the control socket; at its default place it may be missing.

    Raises:
        PlaceError: it is wanted elsewhere, and can't be opened.
    """
    if path is None:
        return
    try:
        await control.open(path)
    except PlaceError as error:
        if path != DEFAULT_SOCKET:
            raise
        remedy = "commands can't reach this daemon; set control.socket, or switch it off"
        log.warning("no_control_socket", why=str(error), remedy=remedy)
