"""What the control socket's commands do in the daemon."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import get_args

from chatredirect.config import parse_sip_address
from chatredirect.config.faults import did_you_mean, quoted
from chatredirect.config.models import LogLevel as Level
from chatredirect.control.conversation import Conversation, Handler
from chatredirect.control.protocol import (
    USAGE_ERROR,
    ControlRefusal,
    ConversationGone,
    Json,
    seconds_of,
)
from chatredirect.log.audit import REFUSED, AuditedChange, AuditLog, Origin
from chatredirect.log.level import LogLevel
from chatredirect.service.changes import ChangeKind
from chatredirect.service.reload import Reloader, ReloadOutcome, ReloadRefused
from chatredirect.usage.probe_proof import ProbeNonces

_BEAT = 2.0  # seconds between two events while a reload is under way
_MAX_ENDPOINTS = 50  # that one request may ask for
_MAX_FAULTS = 1000  # in an answer; `chatredirect check` has more
_CONFIGURED = "configured"  # asks for the configuration's level again
_LEVELS: Mapping[str, Level] = {name: name for name in get_args(Level)}


def reload_command(reloader: Reloader, audit: AuditLog) -> Handler:
    """`reload`: reads the files as they are now, and answers how that went."""

    async def reload(_request: Mapping[str, Json], conversation: Conversation) -> dict[str, Json]:
        reloading = asyncio.create_task(audited_reload(reloader, audit, conversation.origin))
        try:
            while not (await asyncio.wait([reloading], timeout=_BEAT))[0]:
                try:
                    await conversation.event({"stage": "working"})
                except ConversationGone:
                    break  # the reload goes on, and the log has its outcome
            return _outcome(await reloading)
        except ReloadRefused as refused:
            raise _refusal(refused) from None
        finally:
            reloading.cancel()

    return reload


async def audited_reload(reloader: Reloader, audit: AuditLog, origin: Origin) -> ReloadOutcome:
    """Reload for somebody, and write it down.

    Raises:
        ReloadRefused: the new configuration can't be used.
    """
    try:
        outcome = await reloader.reload()
    except ReloadRefused as refused:
        change = AuditedChange("reload", outcome=REFUSED, why=str(refused))
        audit.record(origin, change)
        raise
    changes = outcome.changes
    different = {
        "added": changes.added.named,
        "removed": changes.removed.named,
        "changed": changes.changed.named,
        "counts": changes.counts,
        "settings": changes.sections,
    }
    subject = {name: value for name, value in different.items() if value}
    audit.record(origin, AuditedChange("reload", subject=subject, was=outcome.was, now=outcome.now))
    return outcome


def what_if_command(reloader: Reloader) -> Handler:
    """`reload-what-if`: reads the files as they are now, and answers what a reload would change.

    It is no argument of `reload`: an older daemon would take no notice of it and reload.
    """

    async def what_if(_request: Mapping[str, Json], conversation: Conversation) -> dict[str, Json]:
        looking = asyncio.create_task(reloader.what_if())
        try:
            while not (await asyncio.wait([looking], timeout=_BEAT))[0]:
                await conversation.event({"stage": "working"})
            possible = await looking
        except ReloadRefused as refused:
            raise _refusal(refused) from None
        finally:
            looking.cancel()
        pools = {"added": possible.pools_added, "removed": possible.pools_removed}
        return _outcome(possible.outcome) | {
            "pools": {name: _named(kind) for name, kind in pools.items()}
        }

    return what_if


def endpoints_command(reloader: Reloader) -> Handler:
    """`endpoints`: what is in force, and of the endpoints in the argument `sip_addresses`."""
    file = os.path.abspath(reloader.config)

    async def endpoints(request: Mapping[str, Json], _: Conversation) -> dict[str, Json]:
        wanted, running = request.get("sip_addresses", []), reloader.service.running
        if not isinstance(wanted, list) or len(wanted) > _MAX_ENDPOINTS:
            what = f"sip_addresses is to be a list of at most {_MAX_ENDPOINTS}"
            raise ControlRefusal(what, status=USAGE_ERROR)
        if running is None:
            return {"file": file, "fingerprint": None, "endpoints": {}}
        found: dict[str, Json] = {}
        for each in map(str, wanted):
            try:
                served = running.in_force.directory.get(parse_sip_address(each).key)
            except ValueError as error:
                raise ControlRefusal(str(error), status=USAGE_ERROR) from None
            found[each] = None if served is None else dict(served.settings.values())
        fingerprint = running.in_force.settings.fingerprint
        return {"file": file, "fingerprint": fingerprint, "endpoints": found}

    return endpoints


def _refusal(refused: ReloadRefused) -> ControlRefusal:
    faults: list[Json] = [asdict(fault) for fault in refused.faults[:_MAX_FAULTS]]
    return ControlRefusal(str(refused), status=refused.status, faults=faults)


def _named(kind: ChangeKind) -> dict[str, Json]:
    return {"count": kind.count, "named": list(kind.named)}


def _outcome(outcome: ReloadOutcome) -> dict[str, Json]:
    changes = outcome.changes
    kinds = {"added": changes.added, "removed": changes.removed, "changed": changes.changed}
    return {
        "changed": bool(changes),
        "endpoints": {name: _named(kind) for name, kind in kinds.items()},
        "settings": changes.sections,
        "restart": outcome.restart,
        "warnings": [asdict(warning) for warning in outcome.warnings[:_MAX_FAULTS]],
    }


def probe_nonce_command(nonces: ProbeNonces) -> Handler:
    """`probe-nonce`: by which the ledger of uses knows the calls of `chatredirect probe`."""

    async def probe_nonce(_request: Mapping[str, Json], _: Conversation) -> dict[str, Json]:
        return {"nonce": nonces.give()}

    return probe_nonce


def log_level_command(level: LogLevel, audit: AuditLog) -> Handler:
    """`log-level`: arguments `level` and `seconds`; without a level nothing changes."""

    async def log_level(request: Mapping[str, Json], conversation: Conversation) -> dict[str, Json]:
        wanted, was, seconds = request.get("level"), level.level, None
        if wanted == _CONFIGURED:
            level.fall_back()
        elif wanted is not None:
            name = _LEVELS.get(wanted) if isinstance(wanted, str) else None
            if name is None:
                names = (*_LEVELS, _CONFIGURED)
                hint = did_you_mean(str(wanted), names)
                error = f"there is no level {quoted(wanted)}{hint}; there are {', '.join(names)}"
                raise ControlRefusal(error, status=USAGE_ERROR)
            seconds = seconds_of(request, "level")
            level.change(name, seconds)
        if wanted is not None:
            change = AuditedChange("log_level", was=was, now=level.level, seconds=seconds)
            audit.record(conversation.origin, change)
        return {
            "level": level.level,
            "configured": level.configured.level,
            "until": level.until,
            "requests": level.sink.requests,
        }

    return log_level
