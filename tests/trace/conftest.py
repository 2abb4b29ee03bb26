from collections.abc import Iterator

import pytest

from tests.service.fixtures import run_daemon, run_shared_daemon
from tests.tls.conftest import authority, context, front_end, server, stranger, tls
from tests.trace.trace_process import control_socket

__all__ = [
    "authority",
    "context",
    "front_end",
    "run_daemon",
    "run_shared_daemon",
    "server",
    "stranger",
    "tls",
]


@pytest.fixture
def control() -> Iterator[str]:
    """A path for a daemon's control socket."""
    with control_socket() as path:
        yield path


@pytest.fixture(scope="module")
def shared_control() -> Iterator[str]:
    """The same for a whole module."""
    with control_socket() as path:
        yield path
