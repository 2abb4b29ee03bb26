"""A server without a socket for each test."""

import pytest

from tests.sip.served import Served, serve


@pytest.fixture
def served() -> Served:
    return serve()
