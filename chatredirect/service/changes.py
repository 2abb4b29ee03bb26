"""What a new configuration changes, for the log and for whoever asked for it.

Taken down endpoint by endpoint while the new directory is built, so that it costs no pass of its
own over a hundred thousand of them.
"""

import asyncio
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import structlog

import chatredirect
from chatredirect import codec
from chatredirect.config import EndpointSettings, ListenUrl, Settings

SHOWN = 20
"""Endpoints that are named, of each kind."""

_COMPARED = tuple(each.name for each in fields(EndpointSettings) if each.name != "source")
_ELSEWHERE = ("endpoints", "files", "fingerprint")
_SECTIONS = tuple(each.name for each in fields(Settings) if each.name not in _ELSEWHERE)


log = structlog.get_logger()


@dataclass(slots=True)
class ChangeKind:
    """Endpoints to which the same happened: how many, and the first by name."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, endpoint: EndpointSettings) -> None:
        """Count one."""
        self.count += 1
        if len(self.named) < SHOWN:
            self.named.append(describe(endpoint))


@dataclass(slots=True)
class Changes:
    """What is different.

    Attributes:
        added: endpoints that there weren't.
        removed: endpoints that there aren't any more.
        changed: endpoints that do something else.
        sections: keys at the top level whose value is another.
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
        """Take down what has become of an endpoint, or that it is new."""
        if before is None:
            self.added.add(after)
        elif _differs(before, after):
            self.changed.add(after)

    def compare(self, before: Settings, after: Settings) -> None:
        """Take down which settings are different, endpoints apart."""
        self.sections = tuple(
            name for name in _SECTIONS if getattr(before, name) != getattr(after, name)
        )


def describe(endpoint: EndpointSettings) -> str:
    """An endpoint in a line of the log."""
    return f"{endpoint.sip_address} -> {endpoint.pool_fqdn}"


def _differs(before: EndpointSettings, after: EndpointSettings) -> bool:
    """Whether an endpoint does something else; where it is defined doesn't matter."""
    return any(getattr(before, name) != getattr(after, name) for name in _COMPARED)


def log_started(
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
