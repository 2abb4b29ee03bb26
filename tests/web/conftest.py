"""Daemons with a page."""

from tests.service.fixtures import run_daemon, run_shared_daemon
from tests.tls.conftest import authority, loop, server

__all__ = ["authority", "loop", "run_daemon", "run_shared_daemon", "server"]
