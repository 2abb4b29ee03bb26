"""What the control socket's commands do in the daemon."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import get_args

from chatredirect.config.models import LogLevel as Level
from chatredirect.control.control_server import Conversation, Handler
from chatredirect.control.protocol import (
    USAGE_ERROR,
    ControlRefusal,
    ConversationGone,
    Json,
    seconds_of,
)
from chatredirect.log.level import LogLevel
from chatredirect.service.reload import Reloader, ReloadOutcome, ReloadRefused

_BEAT = 2.0  # seconds between two events while a reload is under way
_MAX_FAULTS = 1000  # in an answer; `chatredirect check` has more
_CONFIGURED = "configured"  # asks for the configuration's level again
_LEVELS: Mapping[str, Level] = {name: name for name in get_args(Level)}


def reload_command(reloader: Reloader) -> Handler:
    """`reload`: reads the files as they are now, and answers how that went."""

    async def reload(_request: Mapping[str, Json], conversation: Conversation) -> dict[str, Json]:
        reloading = asyncio.create_task(reloader.reload())
        try:
            while not (await asyncio.wait([reloading], timeout=_BEAT))[0]:
                try:
                    await conversation.event({"stage": "working"})
                except ConversationGone:
                    break  # the reload goes on, and the log has its outcome
            return _outcome(await reloading)
        except ReloadRefused as refused:
            raise ControlRefusal(
                str(refused),
                status=refused.status,
                faults=[asdict(fault) for fault in refused.faults[:_MAX_FAULTS]],
            ) from None
        finally:
            reloading.cancel()

    return reload


def _outcome(outcome: ReloadOutcome) -> dict[str, Json]:
    changes = outcome.changes
    kinds = {"added": changes.added, "removed": changes.removed, "changed": changes.changed}
    return {
        "changed": bool(changes),
        "endpoints": {
            name: {"count": kind.count, "named": kind.named} for name, kind in kinds.items()
        },
        "settings": changes.sections,
        "restart": outcome.restart,
        "warnings": [asdict(warning) for warning in outcome.warnings[:_MAX_FAULTS]],
    }


def log_level_command(level: LogLevel) -> Handler:
    """`log-level`: arguments `level` and `seconds`; without a level nothing changes."""

    async def log_level(request: Mapping[str, Json], _: Conversation) -> dict[str, Json]:
        wanted = request.get("level")
        if wanted == _CONFIGURED:
            level.fall_back()
        elif wanted is not None:
            name = _LEVELS.get(wanted) if isinstance(wanted, str) else None
            if name is None:
                error = f"there is no such level; there are {', '.join((*_LEVELS, _CONFIGURED))}"
                raise ControlRefusal(error, status=USAGE_ERROR)
            level.change(name, seconds_of(request, "level"))
        return {
            "level": level.level,
            "configured": level.configured.level,
            "until": level.until,
            "requests": level.sink.requests,
        }

    return log_level
