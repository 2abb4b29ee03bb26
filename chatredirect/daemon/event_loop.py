"""Which event loop runs: uvloop where it is installed, asyncio's own where it isn't.

uvloop halves the cost of a message on a stream and takes a tenth of the memory for an idle
TLS connection; nothing but that depends on it.
"""

import asyncio
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from chatredirect.config.models import Loop


def loop_factory(wanted: Loop) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the event loop.

    Args:
        wanted: `auto` takes uvloop if it is installed.

    Raises:
        ImportError: uvloop is wanted by name and isn't installed.
    """
    if wanted == "uvloop" or (wanted == "auto" and find_spec("uvloop") is not None):
        factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
        return factory
    return asyncio.new_event_loop
