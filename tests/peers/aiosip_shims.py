"""aiosip 0.2.0 on a Python that it was not written for.

It asks `collections` for what moved to `collections.abc` in Python 3.3 and left in 3.10, and
`asyncio` for a decorator that left in 3.11. Both are put back for as long as it is imported.
"""

import asyncio
import collections
import collections.abc
import sys
import types
import warnings
from types import ModuleType


def import_aiosip() -> ModuleType:
    """Give the package."""
    if "aiosip" not in sys.modules:
        collections.MutableMapping = collections.abc.MutableMapping  # type: ignore[attr-defined]
        asyncio.coroutine = types.coroutine  # type: ignore[attr-defined]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its patterns are no raw strings
                import aiosip
        finally:
            del collections.MutableMapping  # type: ignore[attr-defined]
            del asyncio.coroutine  # type: ignore[attr-defined]
        return aiosip
    return sys.modules["aiosip"]
