"""A server without a socket for each test."""

import pytest

from tests.sip.in_memory_server import Served, serve


@pytest.fixture
def served() -> Served:
    return serve()
