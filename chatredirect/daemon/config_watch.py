"""Watching the configuration's files, for who wants a change to be a reload by itself.

Editors and deployment tools write a new file and rename it, or change where a link leads, or put a
whole folder in another's place. So folders are watched, and what they report is only a reason to
look: whether the files, found by name, are others than before. A folder that goes away, or that
can't be watched, is looked at every few seconds.
"""

import asyncio
import glob
import os
import stat
from collections.abc import Awaitable, Callable, Set
from contextlib import suppress
from dataclasses import dataclass

import structlog

from chatredirect.config import Settings
from chatredirect.runtime.regular_file import FileFingerprint, fingerprint, in_thread

log = structlog.get_logger()

LOOK = 5.0
"""Seconds between two looks while nothing is reported."""
QUIET = 0.3
"""Seconds without another change, before a change counts as complete."""
PATIENCE = 3.0
"""Seconds after which it counts as complete anyway."""


@dataclass(frozen=True, slots=True)
class Files:
    """What a configuration is read from.

    Attributes:
        main: the main file.
        include: pattern of further files, None for none.
    """

    main: str
    include: str | None

    @classmethod
    def of(cls, main: str, settings: Settings) -> "Files":
        """Of a configuration in force."""
        folder = os.path.dirname(main)
        include = settings.include
        return cls(main, None if include is None else os.path.join(folder, include))

    @property
    def folders(self) -> frozenset[str]:
        """The folders that they are in, those that there are."""
        named = {os.path.dirname(self.main) or "."}
        if self.include is not None:
            pattern = os.path.dirname(self.include) or "."
            named.update(glob.glob(pattern) if glob.has_magic(pattern) else [pattern])
        return frozenset(folder for folder in named if os.path.isdir(folder))

    def fingerprints(self) -> dict[str, FileFingerprint]:
        """The fingerprints of the files that are there now."""
        found = [self.main, *(() if self.include is None else glob.glob(self.include))]
        marks = ((file, fingerprint(file)) for file in found)
        return {file: mark for file, mark in marks if mark is not None}


class Watching:
    """Calls for a reload when files have changed, while the configuration says so."""

    __slots__ = ("_changed", "_files", "_main", "_task")

    def __init__(self, main: str, changed: Callable[[], Awaitable[None]]) -> None:
        """Watch nothing yet.

        Args:
            main: the configuration's main file.
            changed: awaited after each change; must not raise.
        """
        self._main = main
        self._changed = changed
        self._files: Files | None = None
        self._task: asyncio.Task[None] | None = None

    def serve(self, settings: Settings) -> None:
        """Go by a configuration from now on."""
        files = Files.of(self._main, settings) if settings.watch else None
        if files == self._files:
            return
        self._files = files
        self.close()
        if files is not None:
            self._task = asyncio.get_running_loop().create_task(self._watch(files))

    def close(self) -> None:
        """Watch nothing any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self, files: Files) -> None:
        """Watch until cancelled."""
        seen = await in_thread(files.fingerprints)
        log.info("watching", folders=sorted(files.folders))
        settled, hampered, gone = False, False, False
        while True:
            try:
                await self._until_reported(files, settled)
            except Exception as error:  # whatever it is, looking now and then does as well
                if not hampered:
                    _tell_trouble(error)
                hampered = True
                await asyncio.sleep(LOOK)
            now = await in_thread(files.fingerprints)
            settled = now == seen
            if settled:
                continue
            seen = now
            if files.main in now:
                log.info("files_changed")
                # a reload may end this task, when other files are to be watched from then on
                await asyncio.shield(asyncio.ensure_future(self._changed()))
            elif not gone:
                log.warning("configuration_gone", file=files.main, remedy="put it back")
            gone = files.main not in now

    async def _until_reported(self, files: Files, settled: bool) -> None:
        """Until something in the folders has changed, and then nothing for a while.

        Args:
            files: what is watched.
            settled: whether nothing can have changed since the last look; else the next one comes
                soon in any case.
        """
        from watchfiles import awatch  # noqa: PLC0415  # for those who watch

        folders = files.folders
        before = _identities({*folders, files.main})
        if not folders:
            await asyncio.sleep(LOOK)
            return
        async for changes in awatch(
            *folders,
            watch_filter=None,
            debounce=int(PATIENCE * 1000),
            step=int(QUIET * 1000),
            rust_timeout=int(LOOK * 1000),
            yield_on_timeout=True,
            recursive=False,
        ):
            # A folder that has been replaced is not the one that is watched, and what a link leads
            # to is in another.
            if changes or not settled or _identities({*files.folders, files.main}) != before:
                return


def _tell_trouble(error: Exception) -> None:
    log.warning(
        "watching_hampered",
        why=str(error),
        remedy=f"files are looked at every {LOOK:g} s instead; "
        "fs.inotify.max_user_watches and max_user_instances may be too small",
    )


def _identities(paths: Set[str]) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in paths:
        with suppress(OSError):
            status = os.stat(path)
            changed = 0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns
            found[path] = (status.st_dev, status.st_ino, changed)
    return found
