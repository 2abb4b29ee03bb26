"""Logs: events with fields, as JSON lines or for people, without blocking the event loop.

Modules use `log = structlog.get_logger()` and `log.info("pool_resolved", pool=…)`; `configure`
sets once where events are written. Code that handles requests checks `sink.requests` first.

    escape   escapes what a peer sent: it can't break a line or control a terminal
    render   an event as a line
    journal  an event as fields of systemd's journal
    sink     the bounded queue and the thread that writes
    bridge   structlog, `logging` and the event loop log to the sink
    level    the level, and its change at run time
    audit    who has changed what: events that no level filters
"""

import os
from collections.abc import Mapping

from chatredirect.config.models import LogSettings
from chatredirect.log.bridge import LEVEL_NUMBERS, connect, log_loop_exception, silence
from chatredirect.log.journal import journal_writer, reads_stderr, render_for_journal
from chatredirect.log.render import console_renderer, render_json
from chatredirect.log.sink import LogSink, Stream, stream_writer
from chatredirect.runtime.wording import is_terminal, wants_colours

__all__ = [
    "LEVEL_NUMBERS",
    "LogSink",
    "apply",
    "configure",
    "log_loop_exception",
    "silence",
    "wants_requests",
]


def configure(
    settings: LogSettings, stream: Stream, environ: Mapping[str, str] = os.environ
) -> LogSink:
    """Write all logs of this process to `stream` or the journal; called once at the start.

    Args:
        stream: usually `sys.stderr`.
        environ: `JOURNAL_STREAM` says whether `stream` is connected to the journal; `NO_COLOR` (any
            value) and `TERM=dumb` disable colours.

    Returns:
        The sink; `close` it at the end.
    """
    form = settings.format
    if form == "auto":
        form = "console" if is_terminal(stream) else "json"
        if reads_stderr(stream, environ):
            form = "journal"
    if form == "journal":
        sink = LogSink(render_for_journal, journal_writer())
    elif form == "console":
        sink = LogSink(
            console_renderer(colours=wants_colours(stream, environ)), stream_writer(stream)
        )
    else:
        sink = LogSink(render_json, stream_writer(stream))
    apply(sink, settings)
    return sink


def apply(sink: LogSink, settings: LogSettings) -> None:
    """Apply the level and `requests` of new settings; the format stays until a restart."""
    sink.requests = wants_requests(settings)
    connect(sink, settings.level)


def wants_requests(settings: LogSettings) -> bool:
    """Whether requests are logged, which needs the level info."""
    return settings.requests and LEVEL_NUMBERS[settings.level] <= LEVEL_NUMBERS["info"]
