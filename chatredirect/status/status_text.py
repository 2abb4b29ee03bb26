"""A status in words, as far as the terminal and the page say the same: counts, pools, targets.

It is read from the JSON, which a daemon of another version may have sent: what is missing isn't
said. Nothing in it can change how a terminal shows it.
"""

from collections.abc import Mapping
from typing import TypeAlias

from chatredirect.control.protocol import Json, number_in
from chatredirect.log.escape import escape
from chatredirect.runtime.wording import span

JsonObject: TypeAlias = Mapping[str, Json]


def printed(value: Json) -> str:
    """A value; nothing for one that isn't there."""
    return "" if value is None else escape(str(value))


def object_in(of: JsonObject, name: str) -> JsonObject:
    """An object in an object; an empty one if it isn't there."""
    value = of.get(name)
    return value if isinstance(value, Mapping) else {}


def objects_in(of: JsonObject, name: str) -> list[JsonObject]:
    """The objects of a list in an object; none if it isn't there."""
    value = of.get(name)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def counts_text(found: Json, joint: str = " ") -> str:
    """`302 12, 404 3`, the largest first, with `joint` between a name and its number."""
    if not isinstance(found, Mapping):
        return ""
    numbers = [(name, number) for name, number in found.items() if isinstance(number, int)]
    numbers.sort(key=lambda each: -each[1])
    return ", ".join(f"{printed(name)}{joint}{number:,}" for name, number in numbers if number)


def duration(seconds: Json) -> str:
    """`2 d 3 h`; a dash if it isn't known."""
    return span(seconds) if isinstance(seconds, int | float) else "–"


def pool_name(pool: JsonObject) -> str:
    """The name with what else tells pools apart."""
    port, transport = pool.get("port"), pool.get("transport")
    named = f"{printed(pool.get('pool_fqdn'))}{f':{port}' if port else ''}"
    return f"{named} {printed(transport)}" if transport else named


def why_unusable(pool: JsonObject) -> str:
    """Why requesters aren't led to a pool, without its name; nothing if that isn't told."""
    return printed(pool.get("why")).removeprefix(f"{printed(pool.get('pool_fqdn'))}: ")


def target_lines(pool: JsonObject) -> list[tuple[str, bool]]:
    """A line for each target: where, its state, and why it is down; and whether it is down."""
    lines = []
    for each in objects_in(pool, "targets"):
        down = each.get("state") == "down"
        why = f" ({printed(each.get('last_ping'))})" if down else ""
        lines.append((f"{printed(each.get('target'))} {printed(each.get('state'))}{why}", down))
    if more := number_in(pool, "more_targets"):
        lines.append((f"and {more:,} more", False))
    return lines


def pool_dns(pool: JsonObject) -> str:
    """The age of what DNS said, when it is asked again, and whether it is too old."""
    age, due, stale = pool.get("dns_age"), pool.get("next_refresh"), pool.get("stale")
    parts = [] if age is None else [f"{duration(age)} old"]
    if due is not None:
        parts.append(f"next in {duration(due)}")
    if stale is not None:
        parts.append(f"STALE: {printed(stale)}")
    return ", ".join(parts)
