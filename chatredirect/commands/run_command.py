"""`chatredirect run`: the daemon, in the foreground."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chatredirect.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, one_of
from chatredirect.commands.output import (
    complain,
    config_error_text,
    config_failure,
    failure,
    json_wanted,
)

if TYPE_CHECKING:
    from chatredirect.config import Settings
    from chatredirect.log import LogSink
    from chatredirect.systemd.inherited import Inherited


def run(
    config: ConfigOption = DEFAULT_CONFIG,
    log_format: Annotated[
        Literal["auto", "json", "console", "journal"] | None,
        typer.Option(
            help="What the log looks like, instead of log.format; auto is console on a "
            "terminal, journal in systemd's journal, else json.",
            **one_of("auto", "json", "console", "journal"),
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the daemon in the foreground, with its log on standard error.

    With --json the log is JSON, unless --log-format says otherwise, and so is why the daemon can't
    start, on standard output.

    SIGTERM and SIGINT (Ctrl-C) stop it after what it has received is answered and what is open
    has ended, for which it has `drain` seconds; a second one stops it at once. SIGHUP reads the
    configuration again; one with faults is refused and the old one serves on.

    Exit status: 0 after a signal, 69 if an address or the control socket can't be listened on,
    78 if the configuration, or a certificate or key that it names, can't be used, or if systemd
    has passed on other sockets than it names.
    """
    import signal

    # Before any other import, in which a KeyboardInterrupt could get lost: see __main__.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the file is about to be read

    import asyncio
    import dataclasses
    import faulthandler
    import sys

    # systemd's watchdog ends a stuck process with SIGABRT; this logs where it was stuck
    faulthandler.enable()

    from chatredirect.config import ConfigError, load
    from chatredirect.control.socket_file import ControlSocketError
    from chatredirect.daemon.event_loop import loop_factory
    from chatredirect.http.token_file import TokenFault
    from chatredirect.log import configure
    from chatredirect.runtime.slicing import long_lived
    from chatredirect.systemd.inherited import InheritError, inherit
    from chatredirect.transport.binding import BindError
    from chatredirect.transport.tls_contexts import TlsError

    try:
        inherited = inherit()  # before anything opens a file, or starts a process
        with long_lived():
            settings = load(config)
    except InheritError as error:
        raise _failure(str(error), os.EX_CONFIG) from None
    except ConfigError as error:
        if json_wanted():
            raise config_failure(error) from None
        _report(config_error_text(error), prefix="")
        raise typer.Exit(error.exit_status) from None
    log_format = log_format or ("json" if as_json else settings.log.format)
    log = dataclasses.replace(settings.log, format=log_format)
    sink = configure(log, sys.stderr)
    fault, status = None, 0
    try:
        with asyncio.Runner(loop_factory=loop_factory(settings.loop)) as runner:
            runner.run(_serve(config, settings, sink, inherited))
    except (BindError, ControlSocketError) as error:
        fault, status = str(error), os.EX_UNAVAILABLE
    except (InheritError, TlsError, TokenFault) as error:
        fault, status = str(error), os.EX_CONFIG
    finally:
        sink.close()
    if fault is not None:
        raise _failure(fault, status)


def _failure(fault: str, status: int) -> typer.Exit:
    if json_wanted():
        return failure(fault, status)
    _report(fault)
    return typer.Exit(status)


def _report(fault: str, prefix: str = "chatredirect: ") -> None:
    """Print why the daemon ends, with the level "error" if the journal reads it (sd-daemon(3))."""
    import sys

    from chatredirect.log.journal import reads_stderr

    text = prefix + fault
    if reads_stderr(sys.stderr, os.environ):
        text = "\n".join(f"<3>{line}" for line in text.splitlines())
    complain(text, prefix="")


def _leave(number: int, frame: object) -> None:
    """Handle a signal that comes before anything is served: end at once, nothing is open yet."""
    # An exception would be raised wherever Python is just then: within pydantic's compiled core it
    # becomes a panic, with a traceback.
    os._exit(0)


async def _serve(
    config: Path, settings: "Settings", sink: "LogSink", inherited: "Inherited"
) -> None:
    import asyncio
    import signal

    from chatredirect.daemon.event_loop import StopSignals

    stopping = StopSignals()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):  # first, since importing the rest takes time
        loop.add_signal_handler(number, stopping.signalled)

    from chatredirect.daemon.main import serve

    await serve(config, settings, sink, stopping, inherited)
