"""What the control socket's commands do in the daemon."""

import asyncio
from collections.abc import Mapping
from typing import get_args

from chatredirect.config import Fault
from chatredirect.config.models import LogLevel as Level
from chatredirect.control.control_server import Conversation, Handler
from chatredirect.control.protocol import USAGE_ERROR, ControlRefusal, ConversationGone, Json
from chatredirect.log.level import LogLevel
from chatredirect.service.reload import Reloader, ReloadOutcome, ReloadRefused

_BEAT = 2.0  # seconds between two signs of life to whoever waits
_MAX_FAULTS = 1000  # told to whoever asked; `chatredirect check` has more

DEFAULT_SECONDS = 600.0
MAX_SECONDS = 86_400.0
CONFIGURED = "configured"
"""Asks for the configuration's level again."""
_LEVELS: Mapping[str, Level] = {name: name for name in get_args(Level)}


def reload_command(reloader: Reloader) -> Handler:
    """`reload`: the verdict on the files as they are now."""

    async def reload(_request: Mapping[str, Json], conversation: Conversation) -> dict[str, Json]:
        reloading = asyncio.create_task(reloader.reload())
        try:
            while not (await asyncio.wait([reloading], timeout=_BEAT))[0]:
                try:
                    await conversation.event({"stage": "working"})
                except ConversationGone:
                    break  # the reload goes on, and the log has the verdict
            return _told(await reloading)
        except ReloadRefused as refused:
            raise ControlRefusal(
                str(refused),
                status=refused.status,
                faults=[_placed(fault) for fault in refused.faults[:_MAX_FAULTS]],
            ) from None
        finally:
            reloading.cancel()

    return reload


def _told(outcome: ReloadOutcome) -> dict[str, Json]:
    changes = outcome.changes
    return {
        "changed": bool(changes),
        "endpoints": {
            name: {"count": kind.count, "named": kind.named}
            for name, kind in (
                ("added", changes.added),
                ("removed", changes.removed),
                ("changed", changes.changed),
            )
        },
        "settings": changes.sections,
        "restart": outcome.restart,
        "warnings": [_placed(warning) for warning in outcome.warnings[:_MAX_FAULTS]],
    }


def _placed(fault: Fault) -> dict[str, Json]:
    return {
        "file": fault.file,
        "line": fault.line,
        "column": fault.column,
        "message": fault.message,
    }


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
                raise ControlRefusal(
                    f"there is no such level; there are {known}", status=USAGE_ERROR
                )
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
        raise ControlRefusal(
            f"a level lasts more than 0 and at most {MAX_SECONDS:g} seconds", status=USAGE_ERROR
        )
    return float(value)
