"""What a new configuration changes, for the log and for whoever asked for it.

The changes are noted endpoint by endpoint while the new directory is built, which saves another
pass over a hundred thousand of them.
"""

import asyncio
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import structlog

import chatredirect
from chatredirect import codec
from chatredirect.config import EndpointSettings, ListenUrl, Settings
from chatredirect.endpoints.directory import Directory, DirectoryBuilder
from chatredirect.net.target import PoolAddress
from chatredirect.runtime.slicing import Slicer

SHOWN = 20
"""Endpoints that are named, of each kind of change."""

_COMPARED = tuple(each.name for each in fields(EndpointSettings) if each.name != "source")
_ELSEWHERE = ("endpoints", "files", "fingerprint")
_SECTIONS = tuple(each.name for each in fields(Settings) if each.name not in _ELSEWHERE)

log = structlog.get_logger()


@dataclass(slots=True)
class ChangeKind:
    """Endpoints, or pools, with the same kind of change: how many, and the names of the first."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, one: EndpointSettings | PoolAddress) -> None:
        """Count one."""
        self.count += 1
        if len(self.named) < SHOWN:
            self.named.append(_describe(one) if isinstance(one, EndpointSettings) else str(one))


@dataclass(slots=True)
class Changes:
    """What is different.

    Attributes:
        changed: endpoints with other settings.
        sections: keys at the top level with another value.
    """

    added: ChangeKind = field(default_factory=ChangeKind)
    removed: ChangeKind = field(default_factory=ChangeKind)
    changed: ChangeKind = field(default_factory=ChangeKind)
    sections: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is different."""
        return bool(self.counts or self.sections)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many endpoints of each kind, if any are different."""
        counts = {
            "added": self.added.count,
            "removed": self.removed.count,
            "changed": self.changed.count,
        }
        return counts if any(counts.values()) else {}

    def see(self, before: EndpointSettings | None, after: EndpointSettings) -> None:
        """Note whether an endpoint is new, or has other settings."""
        if before is None:
            self.added.add(after)
        elif _differs(before, after):
            self.changed.add(after)

    def compare(self, before: Settings, after: Settings) -> None:
        """Note which settings are different, endpoints apart."""
        self.sections = tuple(
            name for name in _SECTIONS if getattr(before, name) != getattr(after, name)
        )


async def build_directory(
    old: Directory, builder: DirectoryBuilder, settings: Settings, slicer: Slicer
) -> tuple[Changes, set[PoolAddress]]:
    """Make the new directory. Returns what it changes, and the pools that it needs."""
    changes, keys = Changes(), set[PoolAddress]()
    for each in settings.endpoints:
        known = old.get(each.sip_address.key)
        changes.see(None if known is None else known.settings, each)
        builder.add(each)
        keys.update(each.pools)
        await slicer.checkpoint()
    new = builder.directory
    for endpoint in old:
        if new.get(endpoint.settings.sip_address.key) is None:
            changes.removed.add(endpoint.settings)
        builder.succeed(endpoint)
        await slicer.checkpoint()
    return changes, keys


async def compared(
    old: Directory, settings: Settings, slicer: Slicer
) -> tuple[Changes, set[PoolAddress], set[PoolAddress]]:
    """What settings would change of endpoints, and the pools before and after. Nothing is made."""
    changes, served = Changes(), set[bytes]()
    before, after = set[PoolAddress](), set[PoolAddress]()
    for each in settings.endpoints:
        key = each.sip_address.key
        known = old.get(key)
        changes.see(None if known is None else known.settings, each)
        served.add(key)
        after.update(each.pools)
        await slicer.checkpoint()
    for endpoint in old:
        before.update(endpoint.settings.pools)
        if endpoint.settings.sip_address.key not in served:
            changes.removed.add(endpoint.settings)
        await slicer.checkpoint()
    return changes, before, after


def _differs(before: EndpointSettings, after: EndpointSettings) -> bool:
    # where it is defined doesn't matter
    return any(getattr(before, name) != getattr(after, name) for name in _COMPARED)


def _describe(endpoint: EndpointSettings) -> str:
    return f"{endpoint.sip_address} -> {endpoint.pool_fqdn}"


def log_started(
    loop: asyncio.AbstractEventLoop, listening: Sequence[ListenUrl], settings: Settings
) -> None:
    """Log that the first configuration is in force."""
    endpoints = settings.endpoints
    log.info(
        "started",
        version=chatredirect.__version__,
        listen=[str(url) for url in listening],
        endpoints=len(endpoints),
        serving=[_describe(each) for each in endpoints[:SHOWN]],
        loop=type(loop).__module__.partition(".")[0],
        python=platform.python_version(),
        codec=codec.NAME,
    )
    if settings.secure_listeners and isinstance(loop, asyncio.BaseEventLoop):
        log.warning(
            "no_uvloop",
            why="with asyncio's own event loop an idle TLS connection takes some 300 KB, with "
            "uvloop 30",
            remedy="pip install uvloop, and loop: auto",
        )


def log_changed(changes: Changes) -> None:
    """Log what is different with a new configuration."""
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
