"""What a new configuration changes, for the log and for whoever asked for it.

Taken down endpoint by endpoint while the new directory is built, so that it costs no pass of its
own over a hundred thousand of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from chatredirect.config import EndpointSettings, Settings

SHOWN = 20
"""Endpoints that are named, of each kind."""

_COMPARED = tuple(each.name for each in fields(EndpointSettings) if each.name != "source")
_ELSEWHERE = ("endpoints", "files", "fingerprint")
_SECTIONS = tuple(each.name for each in fields(Settings) if each.name not in _ELSEWHERE)


@dataclass(slots=True)
class Kind:
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

    added: Kind = field(default_factory=Kind)
    removed: Kind = field(default_factory=Kind)
    changed: Kind = field(default_factory=Kind)
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
