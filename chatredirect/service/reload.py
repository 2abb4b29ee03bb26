"""Reloads: a new configuration in force as a whole, or refused with every reason.

Each call, by a command, SIGHUP or a changed file, is answered by a reload that began after it. One
reload runs at a time; all who call meanwhile share the next one. So the last change wins, and a
hundred calls are two reloads.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import structlog

from chatredirect.config import ConfigError, Fault, Settings
from chatredirect.http.token_file import TokenFault
from chatredirect.loading.parent import LoadingError, load_elsewhere
from chatredirect.log.level import LogLevel
from chatredirect.runtime.slicing import Slicer, long_lived
from chatredirect.service.changes import ChangeKind, Changes, compared
from chatredirect.service.service import Service
from chatredirect.systemd.inherited import InheritError
from chatredirect.transport.binding import BindError
from chatredirect.transport.tls_contexts import TlsError

log = structlog.get_logger()

HISTORY = 20
"""Reloads that are remembered."""
_SHOWN = 20  # faults that the log names
_REMEDY = "the old configuration serves on; `chatredirect check` shows all faults"
_STATUS: dict[type[Exception], int] = {BindError: os.EX_UNAVAILABLE, LoadingError: os.EX_OSERR}


class ReloadRefused(Exception):
    """The new configuration isn't in force; the old one serves on.

    Attributes:
        status: exit status for a command, from sysexits(3).
        faults: the files' faults, if they are the reason.
    """

    def __init__(self, why: str, *, status: int, faults: Sequence[Fault] = ()) -> None:
        """Keep the reasons."""
        super().__init__(why)
        self.status = status
        self.faults = faults


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """The new configuration is in force.

    Attributes:
        was, now: the fingerprints of the configuration before and after; `was` may be empty.
        restart: changed settings that take effect at a restart only.
        warnings: what is allowed and probably not meant.
    """

    changes: Changes
    was: str
    now: str
    restart: tuple[str, ...] = ()
    warnings: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class PossibleOutcome:
    """What a reload would do, and the pools that it would begin and cease to resolve."""

    outcome: ReloadOutcome
    pools_added: ChangeKind = field(default_factory=ChangeKind)
    pools_removed: ChangeKind = field(default_factory=ChangeKind)


@dataclass(frozen=True, slots=True)
class ReloadVerdict:
    """How a reload went: `what` for people, `at` in seconds since the epoch."""

    what: str
    at: float


_Task: TypeAlias = asyncio.Task[ReloadOutcome | ReloadRefused]


@dataclass(slots=True)
class Reloader:
    """Reads the configuration again and has it served.

    Attributes:
        config: the main file.
        done: successful reloads since the start.
        refused: failed ones.
        history: how the last ones went, the newest last.
        begins, ends: called before and after each.
    """

    config: Path
    service: Service
    level: LogLevel
    done: int = 0
    refused: int = 0
    history: deque[ReloadVerdict] = field(default_factory=lambda: deque(maxlen=HISTORY))
    begins: Callable[[], None] = lambda: None
    ends: Callable[[], None] = lambda: None
    _running: _Task | None = None
    _following: _Task | None = None
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def verdict(self) -> ReloadVerdict | None:
        """How the last one went; None if there was none."""
        return self.history[-1] if self.history else None

    async def reload(self) -> ReloadOutcome:
        """Put in force what the files say now. Cancelling stops only the waiting.

        Raises:
            ReloadRefused: it can't be; nothing has changed.
        """
        if self._following is None:
            self._following = asyncio.create_task(self._follow(self._running))
        outcome = await asyncio.shield(self._following)
        if isinstance(outcome, ReloadRefused):
            raise outcome
        return outcome

    async def what_if(self) -> PossibleOutcome:
        """What a reload would change now, addresses and certificates untried; nothing changes.

        One at a time: each reads the files in a process of its own.

        Raises:
            ReloadRefused: the files have faults, or there is nothing to compare them with.
        """
        async with self._looking:
            running = self.service.running
            if running is None:
                raise ReloadRefused("nothing is in force yet", status=os.EX_TEMPFAIL)
            slicer = Slicer()
            try:
                loaded = await load_elsewhere(self.config, slicer)
            except ConfigError as error:
                raise _unusable(error) from None
            except LoadingError as error:
                raise ReloadRefused(str(error), status=os.EX_OSERR) from None
            before, settings = running.in_force.settings, loaded.settings
            directory = running.in_force.directory
            changes, old, new = await compared(directory, settings, slicer)
        changes.compare(before, settings)
        added, removed = ChangeKind(), ChangeKind()
        for kind, pools in ((added, new - old), (removed, old - new)):
            for pool in sorted(pools, key=str):
                kind.add(pool)
        restart = _for_a_restart(before, settings)
        was, now = before.fingerprint, settings.fingerprint
        outcome = ReloadOutcome(changes, was, now, restart, loaded.warnings)
        return PossibleOutcome(outcome, added, removed)

    async def close(self) -> None:
        """Cancel running reloads; nothing of them stays."""
        tasks = [task for task in (self._running, self._following) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, before: _Task | None) -> ReloadOutcome | ReloadRefused:
        """Reload after `before`. A refusal is returned, since perhaps nobody waits for it."""
        if before is not None:
            await asyncio.wait([before])
        self._running, self._following = self._following, None
        self.begins()
        try:
            outcome = await self._reload()
        except ReloadRefused as refused:
            self.refused += 1
            self._note(f"a reload was refused ({refused}) at")
            return refused
        else:
            self.done += 1
            self._note("reloaded at")
            return outcome
        finally:
            self._running = None
            self.ends()

    def _note(self, what: str) -> None:
        self.history.append(ReloadVerdict(what, time.time()))

    async def _reload(self) -> ReloadOutcome:
        slicer = Slicer()
        running = self.service.running
        before = None if running is None else running.in_force.settings
        try:
            loaded = await load_elsewhere(self.config, slicer)
            settings = loaded.settings
            with long_lived():
                changes = await self.service.apply(
                    settings, log_requests=self.level.wants_requests(settings.log), slicer=slicer
                )
        except ConfigError as error:
            _log_faults(error.faults)
            raise _unusable(error) from None
        except (BindError, InheritError, LoadingError, TlsError, TokenFault) as error:
            log.error("reload_refused", why=str(error), remedy=_REMEDY)
            raise ReloadRefused(str(error), status=_STATUS.get(type(error), os.EX_CONFIG)) from None
        except Exception as error:  # a fault of ours must not take the next reload away as well
            log.exception("reload_failed")
            why = f"the daemon failed to do it: {type(error).__name__}; its log says more"
            raise ReloadRefused(why, status=os.EX_SOFTWARE) from None
        self.level.configure(settings.log)
        restart = () if before is None else _for_a_restart(before, settings)
        if restart:
            log.warning("restart_needed", settings=restart, why="they can't change in place")
        log_warnings(loaded.warnings, loaded.more_warnings)
        was = "" if before is None else before.fingerprint
        return ReloadOutcome(changes, was, settings.fingerprint, restart, loaded.warnings)


def _unusable(error: ConfigError) -> ReloadRefused:
    why = "the configuration can't be used"
    return ReloadRefused(why, status=os.EX_CONFIG, faults=error.faults)


def log_warnings(warnings: Sequence[Fault], more: int = 0) -> None:
    """Log what is allowed and probably not meant; `more`: warnings that aren't in the sequence."""
    for warning in warnings[:_SHOWN]:
        log.warning("configuration_doubtful", where=warning.location, why=warning.message)
    more += max(0, len(warnings) - _SHOWN)
    if more:
        log.warning("configuration_doubtful", more=more, remedy="`chatredirect check` shows all")


def _log_faults(faults: Sequence[Fault]) -> None:
    for fault in faults[:_SHOWN]:
        log.error("configuration_fault", where=fault.location, why=fault.message)
    log.error("reload_refused", faults=len(faults), remedy=_REMEDY)


def _for_a_restart(before: Settings, after: Settings) -> tuple[str, ...]:
    differ = {
        "control": before.control != after.control,
        "loop": before.loop != after.loop,
        "log.format": before.log.format != after.log.format,
    }
    return tuple(name for name, different in differ.items() if different)
