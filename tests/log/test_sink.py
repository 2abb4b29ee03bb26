"""The queue and its writer: order, stalls, drops, and the end."""

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable

import pytest

from chatredirect.config import LogSettings
from chatredirect.log import LogSink, apply, configure
from chatredirect.log.render import render_json
from chatredirect.log.sink import stream_writer


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "didn't happen in time"
        time.sleep(0.005)


def fill(descriptor: int) -> None:
    """Fill a pipe with empty lines until it takes no more."""
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"\n" * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"\n")
    os.set_blocking(descriptor, True)


def test_order_and_flush() -> None:
    """Closing writes what waits; lines come in the order of the events."""
    out = io.StringIO()
    sink = LogSink(render_json, stream_writer(out), clock=lambda: 0.0)
    for number in range(1000):
        sink.emit("info", "e", {"n": number})
    assert sink.close()
    assert [json.loads(line)["n"] for line in out.getvalue().splitlines()] == list(range(1000))
    sink.emit("info", "late", {})
    assert sink.close(), "closing twice is no fault"


def test_stalled_reader() -> None:
    """A full pipe never holds up who logs; drops are counted, and told when writing goes on."""
    reader, writer = os.pipe()
    fill(writer)
    with os.fdopen(reader, "rb") as incoming, os.fdopen(writer, "w") as outgoing:
        sink = LogSink(render_json, stream_writer(outgoing), max_lines=100)
        sent = 20_000
        for number in range(sent):  # nobody reads: whoever waited for room would wait for ever
            sink.emit("info", "e", {"n": number, "text": "x" * 200})
        assert sink.close(timeout=0.05) is False, "the pipe is full, and the wait is bounded"

        lines: list[dict[str, object]] = []

        def read() -> None:
            lines.extend(json.loads(line) for line in incoming if line.strip())

        thread = threading.Thread(target=read)
        thread.start()
        assert sink.close(timeout=10)
        outgoing.close()
        thread.join(10)
    told = [line for line in lines if line["event"] == "log_dropped"]
    written = [line for line in lines if line["event"] == "e"]
    assert told
    assert sum(int(str(line["count"])) for line in told) + len(written) == sent
    assert sink.dropped == sent - len(written)
    assert [line["n"] for line in written] == sorted(int(str(line["n"])) for line in written)
    assert told[0]["level"] == "warning"


def test_drops_are_told_as_soon_as_writing_goes_on() -> None:
    """Not only at the end: the log_dropped line follows what was waiting."""
    gate = threading.Event()
    out: list[str] = []

    class Stalled:
        def write(self, text: str) -> None:
            gate.wait(10)
            out.append(text)

        def flush(self) -> None:
            pass

    sink = LogSink(render_json, stream_writer(Stalled()), max_lines=10)
    for number in range(50):
        sink.emit("info", "e", {"n": number})
    gate.set()
    wait_for(lambda: "log_dropped" in "".join(out))
    sink.emit("info", "afterwards", {})
    sink.close()
    events = [json.loads(line)["event"] for line in "".join(out).splitlines()]
    assert events[-1] == "afterwards"
    assert events.count("log_dropped") == 1


def test_reader_that_went_away() -> None:
    """EPIPE is no fault of ours and ends nothing; what was lost counts as dropped."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as outgoing:
        sink = LogSink(render_json, stream_writer(outgoing))
        sink.emit("info", "e", {})
        assert sink.close()
        assert sink.dropped == 1


def test_non_blocking_descriptor() -> None:
    """Someone who shares the descriptor made it non-blocking: nothing is lost."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(reader, "rb") as incoming, os.fdopen(writer, "w") as outgoing:
        sink = LogSink(render_json, stream_writer(outgoing))
        for number in range(3000):
            sink.emit("info", "e", {"n": number, "text": "x" * 100})
        thread = threading.Thread(target=sink.close, args=(10,))
        thread.start()
        numbers = [json.loads(incoming.readline())["n"] for _ in range(3000)]
        thread.join(10)
    assert numbers == list(range(3000))


@pytest.mark.parametrize(
    ("settings", "requests"),
    [
        (LogSettings(), True),
        (LogSettings(requests=False), False),
        (LogSettings(level="warning"), False),
        (LogSettings(level="debug"), True),
    ],
)
def test_requests_is_one_attribute(settings: LogSettings, requests: bool) -> None:
    """`log.requests`, and a level above info, cost a request one attribute."""
    sink = configure(settings, io.StringIO())
    assert sink.requests is requests
    apply(sink, LogSettings(level="error"))
    assert sink.requests is False
    sink.close()


def test_exit_with_a_stalled_reader() -> None:
    """A process whose log nobody reads ends all the same, and soon."""
    program = textwrap.dedent("""
        import sys
        import structlog
        from chatredirect.config import LogSettings
        from chatredirect.log import configure
        sink = configure(LogSettings(), sys.stderr)
        for _ in range(5000):
            structlog.get_logger().info("e", text="x" * 500)
        print("done", sink.close(0.2), flush=True)
    """)
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline() == "done False\n"
    assert child.wait(20) == 0  # stderr was never read
    child.stdout.close()
    child.stderr.close()


def at_a_terminal(settings: LogSettings, environ: dict[str, str]) -> bytes:
    """What an event looks like there."""
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "rb", buffering=0) as screen, os.fdopen(terminal, "w") as stream:
        sink = configure(settings, stream, environ)
        sink.emit("info", "hello", {"n": 1})
        sink.close()
        return bytes(screen.read(1000))


COLOURED = pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)


@COLOURED
def test_auto_is_for_people_on_a_terminal(environ: dict[str, str], coloured: bool) -> None:
    """`log.format: auto` is the console's form there, and JSON elsewhere."""
    shown = at_a_terminal(LogSettings(), environ)
    assert b"hello" in shown
    assert b'"event"' not in shown
    assert (b"\x1b[" in shown) is coloured
    out = io.StringIO()
    sink = configure(LogSettings(), out, environ)
    sink.emit("info", "hello", {"n": 1})
    sink.close()
    assert json.loads(out.getvalue())["event"] == "hello"


@COLOURED
def test_colours_only_on_a_terminal(environ: dict[str, str], coloured: bool) -> None:
    """no-color.org: set and not empty switches colours off."""
    assert (b"\x1b[" in at_a_terminal(LogSettings(format="console"), environ)) is coloured
    out = io.StringIO()
    sink = configure(LogSettings(format="console"), out, {})
    sink.emit("info", "hello", {})
    sink.close()
    assert "\x1b" not in out.getvalue()
