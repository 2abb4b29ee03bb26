"""Attacks: each has a figure, and all figures are shown as a table at the end."""

import pytest

from tests.service.fixtures import run_daemon
from tests.tls.conftest import authority

__all__ = ["authority", "run_daemon"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table, for comparing two versions."""
    rows = [
        (report.nodeid.rpartition("tests/attack/")[2], name, value)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in report.user_properties
        if name.startswith("figure ")
    ]
    if rows:
        terminalreporter.section("figures of attacks")
        for attack, name, value in sorted(rows):
            terminalreporter.write_line(f"| {attack} | {name.removeprefix('figure ')} | {value} |")
