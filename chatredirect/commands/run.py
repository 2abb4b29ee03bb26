"""`chatredirect run`: the daemon, in the foreground."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption
from chatredirect.commands.output import complain

if TYPE_CHECKING:
    import asyncio

    from chatredirect.config import Settings
    from chatredirect.log import LogSink
    from chatredirect.service import Service

_SHOWN = 20  # faults that the log names
_REMEDY = "the old configuration serves on; `chatredirect check` shows all faults"
EX_UNAVAILABLE = 69  # sysexits(3): an address to listen on can't be had


def run(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Run the daemon in the foreground, with its log on standard error.

    SIGTERM and SIGINT (Ctrl-C) stop it after what it has received is answered. SIGHUP reads the
    configuration again; one with faults is refused and the old one serves on.

    Exit status: 0 after a signal, 69 if an address can't be listened on, 78 if the
    configuration, or a certificate or key that it names, can't be used.
    """
    import asyncio
    import signal
    import sys

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the file is about to be read

    from chatredirect.commands.report import config_error_text
    from chatredirect.config import EX_CONFIG, ConfigError, load
    from chatredirect.event_loop import loop_factory
    from chatredirect.log import configure
    from chatredirect.transport.binding import BindError
    from chatredirect.transport.tls import TlsError

    try:
        settings = load(config)
    except ConfigError as error:
        complain(config_error_text(error), prefix="")
        raise typer.Exit(error.exit_status) from None
    sink = configure(settings.log, sys.stderr)
    fault, status = None, 0
    try:
        with asyncio.Runner(loop_factory=loop_factory(settings.loop)) as runner:
            runner.run(_serve(config, settings, sink))
    except BindError as error:
        fault, status = str(error), EX_UNAVAILABLE
    except TlsError as error:
        fault, status = str(error), EX_CONFIG
    finally:
        sink.close()
    if fault is not None:
        complain(fault)
        raise typer.Exit(status)


def _leave(number: int, frame: object) -> None:
    """A signal that comes before anything is served: there is nothing to end."""
    raise SystemExit(0)


async def _serve(config: Path, settings: "Settings", sink: "LogSink") -> None:
    """Serve until SIGTERM or SIGINT."""
    import asyncio
    import signal

    stopping, reloading = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):  # first: importing the rest takes its time
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, reloading.set)

    import structlog

    from chatredirect.log import log_loop_exception
    from chatredirect.service import Service

    log = structlog.get_logger()
    loop.set_exception_handler(log_loop_exception)
    service = Service()
    _tell_doubts(settings)
    await service.apply(settings, log_requests=sink.requests)
    reloader = asyncio.create_task(_reload_when_asked(reloading, config, service, sink))
    await stopping.wait()
    log.info("stopping")
    reloader.cancel()
    await service.stop()


async def _reload_when_asked(
    asked: "asyncio.Event", config: Path, service: "Service", sink: "LogSink"
) -> None:
    """Read the configuration again on each SIGHUP; several at once are one."""
    while True:
        await asked.wait()
        asked.clear()
        await _reload(config, service, sink)


async def _reload(config: Path, service: "Service", sink: "LogSink") -> None:
    """Put the file's configuration in force, or refuse it as a whole."""
    import structlog

    from chatredirect.config import ConfigError, load
    from chatredirect.log import apply, wants_requests
    from chatredirect.transport.binding import BindError
    from chatredirect.transport.tls import TlsError

    log = structlog.get_logger()
    try:
        settings = load(config)
        await service.apply(settings, log_requests=wants_requests(settings.log))
    except ConfigError as error:
        for fault in error.faults[:_SHOWN]:
            log.error("configuration_fault", where=fault.place, why=fault.message)
        log.error("reload_refused", faults=len(error.faults), remedy=_REMEDY)
    except (BindError, TlsError) as error:
        log.error("reload_refused", why=str(error), remedy=_REMEDY)
    except Exception:  # a fault of ours must not take the next reload away as well
        log.exception("reload_failed")
    else:
        apply(sink, settings.log)
        _tell_doubts(settings)


def _tell_doubts(settings: "Settings") -> None:
    import structlog

    from chatredirect.config import warnings

    for doubt in warnings(settings):
        structlog.get_logger().warning(
            "configuration_doubtful", where=doubt.place, why=doubt.message
        )
