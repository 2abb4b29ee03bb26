"""Watches the configuration's files, so that a change reloads them: `watch: true`.

Editors and deployment tools write a new file and rename it, change where a link leads, or put a
whole folder in another's place. So folders are watched, and after each report the files' current
fingerprints are compared with the last ones. A folder that goes away, or that can't be watched, is
checked every few seconds.
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

_LOOK = 5.0  # seconds between two checks while nothing is reported
_QUIET = 0.3  # seconds without another change before a change counts as complete
_PATIENCE = 3.0  # seconds after which it counts as complete anyway


@dataclass(frozen=True, slots=True)
class WatchedFiles:
    """The main file of a configuration, the pattern of those that it includes, and its secret's."""

    main: str
    include: str | None
    secret: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Those that have a name of their own."""
        return (self.main,) if self.secret is None else (self.main, self.secret)

    @property
    def folders(self) -> frozenset[str]:
        """The existing folders that they are in."""
        named = {os.path.dirname(each) or "." for each in self.named}
        if self.include is not None:
            pattern = os.path.dirname(self.include) or "."
            named.update(glob.glob(pattern) if glob.has_magic(pattern) else [pattern])
        return frozenset(folder for folder in named if os.path.isdir(folder))

    def fingerprints(self) -> dict[str, FileFingerprint]:
        """The fingerprints of the files that are there now."""
        found = [*self.named, *(() if self.include is None else glob.glob(self.include))]
        marks = ((file, fingerprint(file)) for file in found)
        return {file: mark for file, mark in marks if mark is not None}


class ConfigWatcher:
    """Calls back when files have changed, while the configuration in force has `watch`."""

    __slots__ = ("_changed", "_files", "_main", "_task")

    def __init__(self, main: str, changed: Callable[[], Awaitable[None]]) -> None:
        """Watch nothing yet; `changed` is awaited after each change, and must not raise."""
        self._main = main
        self._changed = changed
        self._files: WatchedFiles | None = None
        self._task: asyncio.Task[None] | None = None

    def watch(self, settings: Settings) -> None:
        """Watch the files of a configuration from now on, if it wants that."""
        include = settings.include
        if include is not None:
            include = os.path.join(os.path.dirname(self._main), include)
        files = WatchedFiles(self._main, include, settings.secret_file) if settings.watch else None
        if files == self._files:
            return
        self._files = files
        self.close()
        if files is not None:
            self._task = asyncio.get_running_loop().create_task(self._watch(files))

    def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self, files: WatchedFiles) -> None:
        seen = await in_thread(files.fingerprints)
        log.info("watching", folders=sorted(files.folders))
        settled, hampered, gone = False, False, False
        while True:
            try:
                await self._until_reported(files, settled)
            except Exception as error:  # whatever it is: the files are checked now and then instead
                if not hampered:
                    log.warning(
                        "watching_hampered",
                        why=str(error),
                        remedy=f"files are looked at every {_LOOK:g} s instead; "
                        "fs.inotify.max_user_watches and max_user_instances may be too small",
                    )
                hampered = True
                await asyncio.sleep(_LOOK)
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

    async def _until_reported(self, files: WatchedFiles, settled: bool) -> None:
        """Wait for a change in the folders; return soon anyway unless the files were `settled`."""
        from watchfiles import awatch  # noqa: PLC0415  # for those who watch

        folders = files.folders
        before = _identities({*folders, *files.named})
        if not folders:
            await asyncio.sleep(_LOOK)
            return
        async for changes in awatch(
            *folders,
            watch_filter=None,
            debounce=int(_PATIENCE * 1000),
            step=int(_QUIET * 1000),
            rust_timeout=int(_LOOK * 1000),
            yield_on_timeout=True,
            recursive=False,
        ):
            # a replaced folder isn't the watched one, and a link leads to another folder
            if changes or not settled or _identities({*files.folders, *files.named}) != before:
                return


def _identities(paths: Set[str]) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in paths:
        with suppress(OSError):
            status = os.stat(path)
            changed = 0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns
            found[path] = (status.st_dev, status.st_ino, changed)
    return found
