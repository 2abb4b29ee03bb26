"""The section `proxy`: how patient the mode `proxy` is, and how much it takes on."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, Strict, StrictInt, StrictStr
from pydantic.dataclasses import dataclass

from chatredirect.config.faults import quoted
from chatredirect.config.fields import STRICT, TOKEN, Seconds, told

_LONGEST = 31_536_000  # a year, as for other times


def _option_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    for tag in tags:
        if not TOKEN.fullmatch(tag):
            raise told(f"{quoted(tag)} is no option tag: write it as in ms-benotify")
    return tags


def _age(value: object) -> float | None:
    """Seconds, or None where dialogs may grow as old as they like."""
    if value is None or value is False or value == "off":  # YAML reads a plain off as false
        return None
    if isinstance(value, int | float) and value is not True and 1 <= value <= _LONGEST:
        return float(value)
    raise told(f"must be a number of seconds from 1 to {_LONGEST}, or off")


DialogAge: TypeAlias = Annotated[float | None, PlainValidator(_age)]


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ProxySettings:
    """The mode `proxy`. Times in seconds; `transactions` are requests without a final response."""

    attempt_timeout: Annotated[float, Strict(), Field(ge=0.1, le=32, allow_inf_nan=False)] = 4.0
    target_penalty: Seconds = 30.0
    timer_c: Seconds = 180.0
    target_grace: Seconds = 3600.0
    dialog_age: DialogAge = 30 * 86400.0
    proxy_require: Annotated[tuple[StrictStr, ...], AfterValidator(_option_tags)] = ("ms-benotify",)
    transactions: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 20_000
    transactions_per_peer: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 5_000
