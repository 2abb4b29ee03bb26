"""Daemons, and both event loops for tests that run in one."""

import asyncio
import importlib
from collections.abc import Callable, Mapping

import pytest

from tests.service.fixtures import run_daemon, run_shared_daemon

__all__ = ["run_daemon", "run_shared_daemon"]


@pytest.hookimpl(optionalhook=True)  # older versions of pytest-asyncio don't know it
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every coroutine here is run by asyncio's own loop and by uvloop's, if that is there."""
    factories = {"asyncio": asyncio.new_event_loop}
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return factories
    return factories | {"uvloop": uvloop.new_event_loop}
