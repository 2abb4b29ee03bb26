"""Daemons with a page."""

import pytest

from tests.service.fixtures import Run, run_daemon, run_shared_daemon
from tests.tls.conftest import authority, loop, server
from tests.web.site import Site, serve

__all__ = ["authority", "loop", "run_daemon", "run_shared_daemon", "server"]


@pytest.fixture(scope="module")
def site(run_shared_daemon: Run, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A daemon with a page and no traffic yet."""
    return serve(run_shared_daemon, tmp_path_factory.mktemp("site"))
