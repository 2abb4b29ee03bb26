from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dns.conftest import servers
from tests.pools.real_targets import Kamailio

__all__ = ["servers"]


@pytest.fixture
def kamailio(tmp_path: Path) -> Iterator[Kamailio]:
    target = Kamailio(tmp_path / "kamailio")
    yield target
    target.stop()
