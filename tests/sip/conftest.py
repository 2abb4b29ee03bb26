"""A server without a socket for each test."""

import pytest
from hypothesis import HealthCheck, settings

from tests.sip.in_memory_server import Served, serve

# a busy machine makes no message wrong
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture
def served() -> Served:
    return serve()
