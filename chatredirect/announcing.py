"""The lines of the log that say what is served."""

import asyncio
import platform
from collections.abc import Sequence

import structlog

import chatredirect
from chatredirect.changes import SHOWN, Changes, describe
from chatredirect.config import ListenUrl, Settings

log = structlog.get_logger()


def tell_started(
    loop: asyncio.AbstractEventLoop, listening: Sequence[ListenUrl], settings: Settings
) -> None:
    """Serving has begun."""
    endpoints = settings.endpoints
    log.info(
        "started",
        version=chatredirect.__version__,
        listen=[str(url) for url in listening],
        endpoints=len(endpoints),
        serving=[describe(each) for each in endpoints[:SHOWN]],
        loop=type(loop).__module__.partition(".")[0],
        python=platform.python_version(),
    )
    if settings.secure_listeners and isinstance(loop, asyncio.BaseEventLoop):
        log.warning(
            "no_uvloop",
            why="with asyncio's own event loop an idle TLS connection takes some 300 KB, with "
            "uvloop 30",
            remedy="pip install uvloop, and loop: auto",
        )


def tell_changed(changes: Changes) -> None:
    """A new configuration is in force: what is different."""
    if not changes:
        log.info("configuration_unchanged")  # whoever asked for a reload waits for a word
        return
    log.info(
        "configuration_changed",
        added=changes.added.named,
        removed=changes.removed.named,
        changed=changes.changed.named,
        counts=changes.counts,
        settings=changes.sections,
    )
