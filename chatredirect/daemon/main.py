"""The daemon around the service: signals, the control socket, reloads.

The service serves a configuration; this room decides when to load one, and to stop.
"""

import asyncio
import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from chatredirect.config import Settings, warnings
from chatredirect.config.models import DEFAULT_SOCKET
from chatredirect.control.control_server import ControlServer
from chatredirect.control.socket_file import ControlSocketError
from chatredirect.daemon.completion_names import CompletionNames
from chatredirect.daemon.config_watch import ConfigWatcher
from chatredirect.daemon.control_commands import (
    audited_reload,
    endpoints_command,
    log_level_command,
    probe_nonce_command,
    reload_command,
    what_if_command,
)
from chatredirect.daemon.event_loop import StopSignals
from chatredirect.daemon.page_server import page_listener
from chatredirect.http.listener import HttpListeners
from chatredirect.http.pages import HttpCounters
from chatredirect.log import LogSink, log_loop_exception
from chatredirect.log.audit import AuditedChange, AuditLog, Origin
from chatredirect.log.level import LogLevel
from chatredirect.metrics.daemon_pages import http_listener
from chatredirect.metrics.view import Lag, View
from chatredirect.runtime.collector import IdleCollector, make_full_collections_rare
from chatredirect.runtime.slicing import Slicer, long_lived
from chatredirect.runtime.wording import counted
from chatredirect.service.read_model import ReadModel, read
from chatredirect.service.reload import Reloader, ReloadRefused, log_warnings
from chatredirect.service.service import Service
from chatredirect.status.status_handler import status_command
from chatredirect.systemd.inherited import Inherited
from chatredirect.systemd.notify import Notifier, Watchdog, watchdog_interval
from chatredirect.trace.trace_handler import trace_command
from chatredirect.trace.traces import Traces

log = structlog.get_logger()


def status_line(model: ReadModel, reloader: Reloader) -> str:
    """What is served, what has been done so far, and what is wrong, for systemd's status."""
    endpoints = 0 if model.settings is None else len(model.settings.endpoints)
    parts = [f"serving {counted(endpoints, 'endpoint', grouped=False)}"]
    if model.pools is not None:
        unusable = sum(not pool.usable for pool in model.pools)
        if unusable:
            parts.append(
                f"{unusable} of {counted(len(model.pools), 'pool', grouped=False)} unusable"
            )
    parts.append(counted(sum(model.counters.answers.values()), "answer", grouped=False))
    drops = sum(model.counters.drops.values())
    if drops:
        parts.append(f"{drops} dropped")
    line = ", ".join(parts)
    verdict = reloader.verdict
    if verdict is not None:
        line += f"; {verdict.what} {time.strftime('%H:%M:%S UTC', time.gmtime(verdict.at))}"
    return line


async def serve(
    config: Path, settings: Settings, sink: LogSink, stopping: StopSignals, inherited: Inherited
) -> None:
    """Serve until `stopping` is signalled; reloads read the main file `config` again.

    Raises:
        BindError: an address can't be listened on.
        InheritError: systemd's sockets and `listen` differ.
        ControlSocketError: the control socket can't be opened.
        TlsError: a certificate, key or CA file can't be used.
        TokenFault: the page's token can't be used.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_exception)
    service = Service(inherited=inherited)
    level = LogLevel(settings.log, sink, service.log_requests)
    reloader = Reloader(config, service, level)
    traces, audit = Traces(service.observing), AuditLog(sink)

    async def addresses_of(host: str) -> frozenset[str]:
        running = service.running
        return frozenset() if running is None else await running.parts.pools.addresses_of(host)

    trace = trace_command(traces, addresses_of, audit)
    control = ControlServer(
        {
            "reload": reload_command(reloader, audit),
            "trace": trace,
            "log-level": log_level_command(level, audit),
            "reload-what-if": what_if_command(reloader),
            "endpoints": endpoints_command(reloader),
        }
    )
    hung_up = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    watchdog = Watchdog(
        loop, Notifier(), lambda: status_line(read(service), reloader), watchdog_interval()
    )
    watcher = ConfigWatcher(os.fspath(config), partial(_reload, reloader, audit, "watch"))

    names: CompletionNames | None = None

    def reloaded() -> None:
        watchdog.ready()
        if service.running is not None:
            watcher.watch(service.running.in_force.settings)
            if names is not None:
                names.update(service.running.in_force.settings)

    reloader.begins, reloader.ends = watchdog.reloading, reloaded
    lag = Lag(loop)
    make_full_collections_rare()
    collector = IdleCollector(loop, lambda: _count_open(service))
    view = View(service, reloader, sink, control.counters, lag, time.time(), HttpCounters())
    status = status_command(view, level)
    page = page_listener(service, {"status": status, "trace": trace}, view.http, loop)
    service.http = HttpListeners(http_listener(view, loop), page)
    control.offer(
        {
            "status": status,
            "probe-nonce": probe_nonce_command(service.usage.recorder.probes),
        }
    )
    log_warnings(warnings(settings))
    try:
        socket = settings.control.socket
        if socket is not None and await _open(control, socket):
            names = CompletionNames(socket)
        with long_lived():
            await service.apply(settings, log_requests=sink.requests, slicer=Slicer(rest=0))
        watchdog.start()
        watcher.watch(settings)
        if names is not None:
            names.update(settings)
        audit.record(Origin("start"), AuditedChange("start", now=settings.fingerprint))
        listening = loop.create_task(_reload_on_hang_up(hung_up, reloader, audit))
        await stopping.asked.wait()
        log.info("stopping")
        audit.record(Origin("signal"), AuditedChange("stop"))
        watchdog.stopping()
        listening.cancel()
        watcher.close()
        await _end(reloader, service, stopping)
    finally:
        await control.close()
        if names is not None:
            await names.close()
        watchdog.stop()
        lag.close()
        collector.close()


def _count_open(service: Service) -> int:
    model = read(service)
    return sum(each.open + each.transactions for each in (model.lookups, model.proxy) if each)


async def _reload_on_hang_up(hung_up: asyncio.Event, reloader: Reloader, audit: AuditLog) -> None:
    while True:
        await hung_up.wait()
        hung_up.clear()
        await _reload(reloader, audit, "signal")


async def _reload(reloader: Reloader, audit: AuditLog, by: str) -> None:
    with suppress(ReloadRefused):  # the log has it
        await audited_reload(reloader, audit, Origin(by))


async def _end(reloader: Reloader, service: Service, stopping: StopSignals) -> None:
    """Let what is open end; a second signal cuts that short."""

    async def stop() -> None:
        await reloader.close()
        await service.stop()

    ending = asyncio.create_task(stop())
    hurried = asyncio.create_task(stopping.at_once.wait())
    await asyncio.wait((ending, hurried), return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if ending.done():
        await ending
    else:
        log.warning("stopped_at_once", why="a second signal: what was open has not been finished")
        ending.cancel()


async def _open(control: ControlServer, path: str) -> bool:
    """Open the control socket; only one that isn't the default is required. Whether it is open."""
    try:
        await control.open(path)
    except ControlSocketError as error:
        if path != DEFAULT_SOCKET:
            raise
        remedy = "commands can't reach this daemon; set control.socket, or switch it off"
        log.warning("no_control_socket", why=str(error), remedy=remedy)
        return False
    return True
