"""What commands send to a terminal: colours there alone, and no escape sequence as text."""

import re

import pytest

from tests.commands.at_a_terminal import at_a_terminal
from tests.service.client import ask, request, talk
from tests.service.fixtures import Run
from tests.trace.trace_process import asked


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_status_and_trace(run_daemon: Run, control: str, environ: dict[str, str]) -> None:
    """Coloured, unless NO_COLOR (no-color.org) or the terminal says no; nothing in a pipe."""
    daemon = run_daemon(control={"socket": control})

    def call() -> None:
        with talk("udp", daemon.address()) as client:
            ask(client, request(call_id="coloured"))

    shown = at_a_terminal(
        *("trace", "--socket", control, "--call-id", "coloured", "--for", "2s"),
        environ=environ,
        until="tracing",
        then=call,
    )
    status = at_a_terminal("status", "--socket", control, environ=environ)
    assert "302 Moved Temporarily" in shown
    assert "configuration" in status
    assert "\\u001b" not in shown + status
    if environ:
        assert "\x1b[3" not in shown + status
    else:
        assert "\x1b[36m#1" in shown  # the request
        assert "\x1b[33m" in shown  # the decision
        assert "\x1b[32m#1" in shown  # the redirection
        assert "\x1b[1m" in status
    assert "\x1b" not in asked("status", "--socket", control)


def test_times_have_their_zone(run_daemon: Run, control: str) -> None:
    """By this machine's clock, with its UTC offset."""
    run_daemon(control={"socket": control})
    environ = {"TZ": "Asia/Kathmandu", "NO_COLOR": "1"}
    status = at_a_terminal("status", "--socket", control, environ=environ)
    since = re.sub(r"\x1b\[[0-9;]*m|\s", "", status).partition("inforcesince")[2]
    assert re.match(r"[-0-9]{10}[:0-9]{8}\+05:45", since)
    level = at_a_terminal("log-level", "debug", "--socket", control, environ=environ)
    assert "+05:45, then info." in level
