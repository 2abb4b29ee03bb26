"""A resolution as lines for people: every name asked, who answered what, and what came of it."""

from collections.abc import Iterator, Mapping

from chatredirect.commands.pinging import Pinged
from chatredirect.commands.resolving import Resolution
from chatredirect.dns.target import Target
from chatredirect.dns.trace import Step
from chatredirect.log.escape import escape


def resolution_lines(
    resolution: Resolution, health: Mapping[Target, Pinged] | None = None
) -> Iterator[str]:
    """The way and its end; without control characters, for names in DNS hold any octet.

    Args:
        resolution: what was found.
        health: what pings of its targets said, if there were any.
    """
    return map(escape, _lines(resolution, health or {}))


def target_text(target: Target) -> str:
    """A target with the name that its address belongs to."""
    named = f"  {target.host}" if target.host != target.address else ""
    return escape(f"{target}{named}")


def _lines(resolution: Resolution, health: Mapping[Target, Pinged]) -> Iterator[str]:
    located = resolution.located
    yield str(resolution.way)
    for step in resolution.trace.steps:
        yield from _step(step)
    for note in located.notes:
        yield f"  note: {note}"
    for target in located.targets:
        srv = f", priority {target.priority}, weight {target.weight}"
        yield f"  → {target_text(target)}{srv}{_health(health.get(target))}"
    if not located.targets:
        yield f"  no targets: {located.reason}"


def _health(pinged: Pinged | None) -> str:
    if pinged is None:
        return ""
    return f", {'works' if pinged.works else 'FAILS'}: {pinged.detail}"


def _step(step: Step) -> Iterator[str]:
    ttl = f", TTL {step.ttl:g} s" if step.ttl is not None else ""
    yield f"  {step.type:<5} {step.name}: {step.outcome} ({step.source}{ttl})"
    for record in step.records:
        yield f"          {record}"
    for attempt in step.attempts:
        spent = f"{attempt.seconds * 1000:.0f} ms"
        yield f"          {attempt.server} over {attempt.transport}: {attempt.outcome}, {spent}"
