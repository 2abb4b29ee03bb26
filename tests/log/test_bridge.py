"""structlog, the standard library and the event loop all end in the one sink."""

import asyncio
import io
import json
import logging
import threading

import pytest
import structlog

from chatredirect.config import LogSettings
from chatredirect.log import LogSink, apply, configure, log_loop_exception, silence


class Log:
    """A configured log and what was written to it."""

    def __init__(self, settings: LogSettings) -> None:
        self._out = io.StringIO()
        self.sink: LogSink = configure(settings, self._out)

    def lines(self) -> list[dict[str, object]]:
        self.sink.close()
        return [json.loads(line) for line in self._out.getvalue().splitlines()]


def test_structlog() -> None:
    """Loggers made before and after `configure` say the same."""
    early = structlog.get_logger()
    log = Log(LogSettings())
    early.info("first", pool="pcpool.contoso.com")
    structlog.get_logger().bind(peer="192.0.2.1").warning("second", n=1)
    early.debug("never")
    first, second = log.lines()
    assert (first["event"], first["level"], first["pool"]) == (
        "first",
        "info",
        "pcpool.contoso.com",
    )
    assert (second["peer"], second["n"], second["level"]) == ("192.0.2.1", 1, "warning")
    assert list(first)[:3] == ["timestamp", "level", "event"]


def test_level_follows_a_reload() -> None:
    """A logger that a module made at import follows the new level."""
    module_log = structlog.get_logger()
    log = Log(LogSettings(level="error"))
    module_log.info("unheard")
    apply(log.sink, LogSettings(level="debug"))
    module_log.debug("heard")
    assert [line["event"] for line in log.lines()] == ["heard"]


def test_exceptions() -> None:
    """An exception is fields of one line: what, and where, innermost last."""
    log = Log(LogSettings())
    try:
        raise ValueError("bad\nvalue")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = log.lines()
    assert (line["level"], line["error"]) == ("error", "ValueError: bad\\x0avalue")
    assert "test_bridge.py" in str(line["traceback"])


def test_standard_library() -> None:
    """Records of libraries: warnings and up, at debug all; odd arguments lose nothing."""
    log = Log(LogSettings())
    logging.getLogger("asyncio").info("unheard")
    logging.getLogger("asyncio").warning("slow %s", "thing\n")
    logging.getLogger("x").error("%d", "no number")
    logging.getLogger("x").critical("down")
    slow, odd, down = log.lines()
    assert (slow["event"], slow["logger"], slow["message"]) == (
        *("library_log", "asyncio"),
        "slow thing\\x0a",
    )
    assert (odd["level"], "no number" in str(odd["message"])) == ("error", True)
    assert down["level"] == "error"


async def test_event_loop() -> None:
    """What no task caught is an error event, not a traceback on stderr."""
    log = Log(LogSettings())
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_exception)
    loop.call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)
    loop.set_exception_handler(None)
    (line,) = log.lines()
    assert (line["event"], line["level"]) == ("unhandled_exception", "error")
    assert "ZeroDivisionError" in str(line["error"])


def test_a_library_that_repeats_itself() -> None:
    """A message is told once in a while, with how often it wasn't; others are told meanwhile."""
    log = Log(LogSettings())
    for number in range(1000):
        logging.getLogger("x").warning("socket.send() raised %s", number)
    logging.getLogger("x").warning("another")
    assert [line["message"] for line in log.lines()] == ["socket.send() raised 0", "another"]


def test_exceptions_that_nobody_could_catch() -> None:
    """In a thread, and in a destructor: events, not tracebacks among the lines."""
    log = Log(LogSettings())

    def fail() -> None:
        raise KeyError("thread")

    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()

    class Bad:
        def __del__(self) -> None:
            raise KeyError("destructor")

    Bad()
    in_thread, in_destructor = log.lines()
    assert (in_thread["event"], in_thread["thread"]) == ("unhandled_exception", "worker")
    assert "destructor" in str(in_destructor["error"])


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    """For commands: nothing on stdout or stderr, whoever logs."""
    silence()
    structlog.get_logger().error("e")
    logging.getLogger("x").error("e")
    assert capsys.readouterr() == ("", "")
