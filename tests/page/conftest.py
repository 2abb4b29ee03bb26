"""Daemons with a page, and a certificate."""

import os

import pytest

from tests.service.fixtures import run_shared_daemon
from tests.tls.conftest import authority, server

__all__ = ["authority", "run_shared_daemon", "server"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without BROWSER only the short case stays: nothing is skipped, as nothing is missing."""
    if "BROWSER" in os.environ:
        return
    left_out = [each for each in items if each.get_closest_marker("whole_browser")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [each for each in items if each not in left_out]
