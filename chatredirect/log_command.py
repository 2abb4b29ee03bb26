"""The control socket's command `log-level`: look, change for a while, fall back."""

from collections.abc import Mapping
from typing import get_args

from chatredirect.config.models import LogLevel as Level
from chatredirect.control.protocol import Conversation, Handler, Json, Refusal
from chatredirect.log_level import LogLevel

DEFAULT_SECONDS = 600.0
MAX_SECONDS = 86_400.0
CONFIGURED = "configured"
"""Asks for the configuration's level again."""
_EX_USAGE = 2
_LEVELS: Mapping[str, Level] = {name: name for name in get_args(Level)}


def log_level_command(level: LogLevel) -> Handler:
    """`log-level`: arguments `level` and `seconds`; without a level nothing changes."""

    async def log_level(request: Mapping[str, Json], _: Conversation) -> dict[str, Json]:
        wanted, seconds = request.get("level"), request.get("seconds", DEFAULT_SECONDS)
        if wanted == CONFIGURED:
            level.fall_back()
        elif wanted is not None:
            name = _LEVELS.get(wanted) if isinstance(wanted, str) else None
            if name is None:
                known = ", ".join((*_LEVELS, CONFIGURED))
                raise Refusal(f"there is no such level; there are {known}", status=_EX_USAGE)
            level.change(name, _seconds(seconds))
        return {
            "level": level.level,
            "configured": level.configured.level,
            "until": level.until,
            "requests": level.sink.requests,
        }

    return log_level


def _seconds(value: Json) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value <= MAX_SECONDS
    ):
        raise Refusal(
            f"a level lasts more than 0 and at most {MAX_SECONDS:g} seconds", status=_EX_USAGE
        )
    return float(value)
