"""Connects structlog, the standard library's `logging` and the event loop to one sink."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import MutableMapping
from functools import partial
from types import TracebackType

import structlog

from chatredirect.log.sink import LogSink
from chatredirect.runtime.rate_limiter import RepeatLimiter

_MAX_FRAMES = 16
_LEVELS = {
    "critical": "error",
    "fatal": "error",
    "exception": "error",
    "err": "error",
    "warn": "warning",
    "notset": "debug",
}
REPEAT_INTERVAL = 10.0
"""Seconds in which the same fault is logged once."""
LEVEL_NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def connect(sink: LogSink, level: str) -> None:
    """Send events of every logger in this process to `sink`, from `level` up."""
    number = LEVEL_NUMBERS[level]
    structlog.configure(
        processors=[partial(_to_sink, sink)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.ReturnLoggerFactory(),
        # a reload may change the level of a module's logger
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_BridgeHandler(sink)]
    # what libraries log at info is of no use to operators
    root.setLevel(number if level == "debug" else max(number, logging.WARNING))
    _unhandled.forget()
    sys.unraisablehook = _unraisable
    threading.excepthook = _in_thread


def unfiltered(sink: LogSink) -> structlog.typing.FilteringBoundLogger:
    """A logger whose events get to `sink` whatever the level is."""
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        None,
        processors=[partial(_to_sink, sink)],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    return logger


def silence() -> None:
    """Log nothing: for commands that print what the parts they use would log."""
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    logging.getLogger().handlers[:] = [logging.NullHandler()]


def _drop(_logger: object, _method: str, _event_dict: MutableMapping[str, object]) -> str:
    raise structlog.DropEvent


def _to_sink(
    sink: LogSink, _logger: object, method: str, event_dict: MutableMapping[str, object]
) -> str:
    """The only structlog processor."""
    exc_info = event_dict.pop("exc_info", None)
    if exc_info:
        event_dict.update(_exception_fields(exc_info))
    event = str(event_dict.pop("event", ""))
    sink.emit(_LEVELS.get(method, method), event, event_dict)
    raise structlog.DropEvent


class _BridgeHandler(logging.Handler):
    """Logs the standard library's records, repeated ones once in a while: `library_log`."""

    def __init__(self, sink: LogSink) -> None:
        super().__init__()
        self._sink = sink
        self._repeats = RepeatLimiter(REPEAT_INTERVAL, time.monotonic)

    def emit(self, record: logging.LogRecord) -> None:
        suppressed = self._repeats.hit((record.name, record.levelno, str(record.msg)))
        if suppressed is None:
            return
        fields: dict[str, object] = {"logger": record.name, "message": _message(record)}
        if record.exc_info:
            fields |= _exception_fields(record.exc_info)
        if suppressed:
            fields["suppressed"] = suppressed
        level = record.levelname.lower()
        self._sink.emit(_LEVELS.get(level, level), "library_log", fields)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that don't fit the format
        return f"{record.msg} {record.args}"


def log_loop_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """For `loop.set_exception_handler`: an exception that nothing caught."""
    fields: dict[str, object] = {"message": context.get("message", "")}
    for key in ("task", "future", "handle", "protocol", "transport"):
        if context.get(key) is not None:
            fields[key] = repr(context[key])
    _log_unhandled(context.get("exception"), fields)


def _unraisable(hook: "sys.UnraisableHookArgs") -> None:
    """For `sys.unraisablehook`: an exception in a destructor or a callback of C code."""
    _log_unhandled(hook.exc_value, {"message": hook.err_msg or "", "object": repr(hook.object)})


def _in_thread(hook: threading.ExceptHookArgs) -> None:
    """For `threading.excepthook`: an exception that ended a thread."""
    name = hook.thread.name if hook.thread is not None else ""
    _log_unhandled(hook.exc_value, {"message": "a thread ended", "thread": name})


_unhandled = RepeatLimiter(REPEAT_INTERVAL, time.monotonic)


def _log_unhandled(error: object, fields: dict[str, object]) -> None:
    if isinstance(error, BaseException):
        fields |= _exception_fields(error)
    suppressed = _unhandled.hit((type(error), str(fields.get("traceback", fields["message"]))))
    if suppressed is None:
        return
    if suppressed:
        fields["suppressed"] = suppressed
    structlog.get_logger().error("unhandled_exception", **fields)


def _exception_fields(exc_info: object) -> dict[str, object]:
    """`error` and `traceback` (innermost frame last) of any form of `exc_info`."""
    error = exc_info
    if exc_info is True:
        error = sys.exc_info()[1]
    elif isinstance(exc_info, tuple):
        error = exc_info[1]
    if not isinstance(error, BaseException):
        return {}
    return {"error": error, "traceback": _frames(error.__traceback__)}


def _frames(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-_MAX_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
