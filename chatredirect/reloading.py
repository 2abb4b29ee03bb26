"""Reloads: a new configuration in force as a whole, or refused with every reason.

Whoever asks, a command, SIGHUP or a changed file, gets the verdict on a reading that began after
the question. One reload runs at a time; all who ask meanwhile share the one that follows. So the
last change wins, and a hundred questions are two reloads.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from chatredirect.config import EX_CONFIG, ConfigError, Fault, Settings, load, warnings
from chatredirect.log import LogSink, apply, wants_requests
from chatredirect.service import Service
from chatredirect.systemd.inherited import InheritError
from chatredirect.transport.binding import BindError
from chatredirect.transport.tls import TlsError

log = structlog.get_logger()

EX_UNAVAILABLE = 69  # sysexits(3): an address to listen on can't be had
EX_SOFTWARE = 70

_SHOWN = 20  # faults that the log names
_REMEDY = "the old configuration serves on; `chatredirect check` shows all faults"


class Refused(Exception):
    """The new configuration isn't in force; the old one serves on.

    Attributes:
        status: exit status for a command, from sysexits(3).
        faults: what is wrong with the files, if it is that.
    """

    def __init__(self, why: str, *, status: int, faults: Sequence[Fault] = ()) -> None:
        """Keep the reasons."""
        super().__init__(why)
        self.status = status
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a reload went: `what` for people, `at` in seconds since the epoch."""

    what: str
    at: float


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Reloader:
    """Reads the configuration again and has it served.

    Attributes:
        config: the main file.
        service: serves it.
        sink: takes over level and what is logged of requests.
        done: reloads since the start.
        refused: of these, how many were refused.
        verdict: how the last one went.
        begins, ends: called around each, for whoever must know that one is under way.
    """

    config: Path
    service: Service
    sink: LogSink
    done: int = 0
    refused: int = 0
    verdict: Verdict | None = None
    begins: Callable[[], None] = _nothing
    ends: Callable[[], None] = _nothing
    _running: asyncio.Task[None] | None = None
    _following: asyncio.Task[None] | None = None

    async def reload(self) -> None:
        """Put what the files say now in force.

        To be cancelled here is to give up waiting: the reload itself goes on.

        Raises:
            Refused: it can't be; nothing has changed.
        """
        if self._following is None:
            self._following = asyncio.create_task(self._follow(self._running))
        await asyncio.shield(self._following)

    async def close(self) -> None:
        """Give up what is under way; nothing of it stays."""
        tasks = [task for task in (self._running, self._following) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._following = self._following, None
        self.begins()
        try:
            await self._reload()
        except Refused as refused:
            self._tell(f"a reload was refused ({refused}) at")
            raise
        else:
            self._tell("reloaded at")
        finally:
            self._running = None
            self.ends()

    def _tell(self, what: str) -> None:
        self.verdict = Verdict(what, time.time())

    async def _reload(self) -> None:
        self.done += 1
        try:
            settings = load(self.config)
            await self.service.apply(settings, log_requests=wants_requests(settings.log))
        except ConfigError as error:
            for fault in error.faults[:_SHOWN]:
                log.error("configuration_fault", where=fault.place, why=fault.message)
            log.error("reload_refused", faults=len(error.faults), remedy=_REMEDY)
            self.refused += 1
            raise Refused(
                "the configuration can't be used", status=EX_CONFIG, faults=error.faults
            ) from None
        except (BindError, InheritError, TlsError) as error:
            log.error("reload_refused", why=str(error), remedy=_REMEDY)
            self.refused += 1
            status = EX_UNAVAILABLE if isinstance(error, BindError) else EX_CONFIG
            raise Refused(str(error), status=status) from None
        except Exception as error:  # a fault of ours must not take the next reload away as well
            log.exception("reload_failed")
            self.refused += 1
            raise Refused(
                f"the daemon failed to do it: {type(error).__name__}; its log says more",
                status=EX_SOFTWARE,
            ) from None
        apply(self.sink, settings.log)
        tell_doubts(settings)


def tell_doubts(settings: Settings) -> None:
    """What is allowed and probably not meant, into the log."""
    for doubt in warnings(settings):
        log.warning("configuration_doubtful", where=doubt.place, why=doubt.message)
