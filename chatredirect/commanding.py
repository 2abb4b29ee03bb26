"""What the control socket's commands do in the daemon."""

import asyncio
from collections.abc import Mapping

from chatredirect.config import Fault
from chatredirect.control.protocol import Conversation, Gone, Handler, Json, Refusal
from chatredirect.reloading import Outcome, Refused, Reloader

_BEAT = 2.0  # seconds between two signs of life to whoever waits
_MAX_FAULTS = 1000  # told to whoever asked; `chatredirect check` has more


def reload_command(reloader: Reloader) -> Handler:
    """`reload`: the verdict on the files as they are now."""

    async def reload(_request: Mapping[str, Json], conversation: Conversation) -> dict[str, Json]:
        reloading = asyncio.create_task(reloader.reload())
        try:
            while not (await asyncio.wait([reloading], timeout=_BEAT))[0]:
                try:
                    await conversation.event({"stage": "working"})
                except Gone:
                    break  # the reload goes on, and the log has the verdict
            return _told(await reloading)
        except Refused as refused:
            raise Refusal(
                str(refused),
                status=refused.status,
                faults=[_placed(fault) for fault in refused.faults[:_MAX_FAULTS]],
            ) from None
        finally:
            reloading.cancel()

    return reload


def _told(outcome: Outcome) -> dict[str, Json]:
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
        "warnings": [_placed(doubt) for doubt in outcome.doubts[:_MAX_FAULTS]],
    }


def _placed(fault: Fault) -> dict[str, Json]:
    return {
        "file": fault.file,
        "line": fault.line,
        "column": fault.column,
        "message": fault.message,
    }
