"""How the tests are spread over several processes, and what each of those needs.

A file's tests stay together in one process, as they share daemons and servers that are slow to
start. (pytest-xdist's own `loadfile` would do that, and its `xdist_group` the groups, but its 3.8.0
doesn't see that mark under pytest 9.2.)
"""

import signal
import threading
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

# A machine that is busy with other tests is no reason to fail; nor is a fresh one, where hypothesis
# first makes its tables of characters.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

#: Beginnings of files' names -> a group: of each only one test runs at a time. These need much of
#: the machine.
GROUPS = {
    "tests/installed/test_boot": "containers",
    "tests/installed/test_production": "containers",
    "tests/lookup/test_kamailio": "calls",
    "tests/peers/test_sipp": "calls",
    "tests/proxy/real/": "calls",
    "tests/tls/test_kamailio": "calls",
    "tests/tls/test_stunnel": "calls",
    "tests/benchmarks/": "benchmarks",
}

#: What takes longest on its own begins first, or the others end early and the machine waits for it.
FIRST = (
    "tests/installed/",
    "tests/proxy/real/",
    "tests/pools/test_faults_under_load.py",
    "tests/transport/test_stream.py",
)


def pytest_configure() -> None:
    """Ctrl-C works in the programs under test, even where `make test &` began by ignoring it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest are moved to the front."""
    items.sort(key=lambda item: not item.location[0].startswith(FIRST))


def group(node_id: str) -> str:
    """What a test belongs to: its file, or that file's group."""
    file = node_id.partition("::")[0]
    return next((name for start, name in GROUPS.items() if file.startswith(start)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: "Producer"
) -> "LoadScopeScheduling | None":
    """With `--dist loadscope`: whole groups."""
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return Groups(config, log)


@pytest.fixture(autouse=True)
def _logs_as_by_default() -> None:
    """What one test has said to structlog in this process is nothing to the next one's events."""
    structlog.reset_defaults()
