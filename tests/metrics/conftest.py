"""Daemons, certificates, DNS servers, and both event loops for tests that run in one."""

from tests.service.fixtures import run_daemon, run_shared_daemon
from tests.tls.conftest import authority, context, front_end, server, stranger, tls
from tests.transport.conftest import pytest_asyncio_loop_factories

__all__ = [
    "authority",
    "context",
    "front_end",
    "pytest_asyncio_loop_factories",
    "run_daemon",
    "run_shared_daemon",
    "server",
    "stranger",
    "tls",
]
