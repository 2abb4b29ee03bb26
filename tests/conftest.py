"""How the tests are spread over several processes, and what each of those needs.

A file's tests stay together in one process, as they share daemons and servers that are slow to
start. `pytest.mark.xdist_group("name")` puts files together instead: of a group only one test runs
at a time, which is for those that need much of the machine, such as a booted container.
"""

import signal
import threading

import pytest

#: What takes longest on its own begins first, or the others end early and the machine waits for it.
FIRST = ("tests/house/", "tests/dns/test_faults_under_load.py", "tests/transport/test_stream.py")


def pytest_configure() -> None:
    """Ctrl-C works in the programs under test, even where `make test &` began by ignoring it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in this hook of its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each file is a group of its own if it's in none; the longest are moved to the front."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.location[0]))
    items.sort(key=lambda item: not item.location[0].startswith(FIRST))
