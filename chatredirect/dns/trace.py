"""The steps of a resolution, for people who ask why."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Source: TypeAlias = Literal["hosts", "cache", "stale", "dns", "skipped"]


@dataclass(frozen=True, slots=True)
class QueryAttempt:
    """One question to one server: its outcome, and the seconds that it took."""

    server: str
    transport: Literal["udp", "tcp"]
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ResolutionStep:
    """One name and type.

    Attributes:
        name: asked for, without the final dot.
        type: `NAPTR`, `SRV`, `A` or `AAAA`.
        source: where the answer came from.
        outcome: `NOERROR`, `NODATA`, `NXDOMAIN`, or why there is no answer.
        ttl: seconds, None where there is none.
        records: as in a zone file, aliases included.
        attempts: in the order of asking.
    """

    name: str
    type: str
    source: Source
    outcome: str
    ttl: float | None = None
    records: tuple[str, ...] = ()
    attempts: tuple[QueryAttempt, ...] = ()


@dataclass(slots=True)
class Trace:
    """Steps in the order in which they ended."""

    steps: list[ResolutionStep] = field(default_factory=list)
