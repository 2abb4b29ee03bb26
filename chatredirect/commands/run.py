"""`chatredirect run`: the daemon, in the foreground."""

from typing import TYPE_CHECKING

import typer

from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption

if TYPE_CHECKING:
    from chatredirect.config import Settings

EX_UNAVAILABLE = 69  # sysexits(3): an address to listen on can't be had


def run(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Run the daemon in the foreground, with its log on standard error.

    SIGTERM and SIGINT (Ctrl-C) stop it after what it has received is answered.

    Exit status: 0 after a signal, 69 if an address can't be listened on, 78 if the
    configuration can't be used.
    """
    import sys

    from chatredirect.commands.report import config_error_text
    from chatredirect.config import ConfigError, load, warnings
    from chatredirect.log import configure

    try:
        settings = load(config)
    except ConfigError as error:
        typer.echo(config_error_text(error), err=True)
        raise typer.Exit(error.exit_status) from None
    sink = configure(settings.log, sys.stderr)
    try:
        fault = _serve(
            settings, log_requests=sink.requests, doubts=list(map(str, warnings(settings)))
        )
    finally:
        sink.close()
    if fault is not None:
        typer.echo(f"chatredirect: {fault}", err=True)
        raise typer.Exit(EX_UNAVAILABLE)


def _serve(settings: "Settings", *, log_requests: bool, doubts: list[str]) -> str | None:
    """Serve until a signal comes; what prevents it from serving, if anything does."""
    import asyncio

    from chatredirect.event_loop import loop_factory
    from chatredirect.transport.binding import BindError

    with asyncio.Runner(loop_factory=loop_factory(settings.loop)) as runner:
        try:
            runner.run(_until_signal(settings, log_requests=log_requests, doubts=doubts))
        except BindError as error:
            return str(error)
    return None


async def _until_signal(settings: "Settings", *, log_requests: bool, doubts: list[str]) -> None:
    import asyncio
    import signal

    import structlog

    from chatredirect.log import log_loop_exception
    from chatredirect.service import Service

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_exception)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    log = structlog.get_logger()
    for doubt in doubts:
        log.warning("configuration_doubtful", about=doubt)
    service = Service(settings, log_requests)
    await service.start()
    await stopping.wait()
    log.info("stopping")
    await service.stop()
