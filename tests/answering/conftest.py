from collections.abc import Iterator

import pytest

from tests.service.client import Client, talk
from tests.service.daemon import Daemon
from tests.service.fixtures import run_daemon, run_shared_daemon

__all__ = ["run_daemon", "run_shared_daemon"]


@pytest.fixture(params=["udp", "tcp"])
def client(request: pytest.FixtureRequest, daemon: Daemon) -> Iterator[Client]:
    with talk(request.param, daemon.address(request.param)) as client:
        yield client
