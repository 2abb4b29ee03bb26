"""The names for bash's completion: endpoints and pools, in a file beside the control socket.

The completion is a script in bash that starts no Python, so the daemon writes the names for it at
its start and after each reload. One line is a kind and a name: `endpoint sip:ocschat@contoso.com`.
The file is a convenience: where it can't be written, nothing else is affected.
"""

import asyncio
import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress

from chatredirect.config import Settings

SUFFIX = ".names"
"""Of the file's name, after the socket's."""
MAX_NAMES = 10_000
"""Of each kind: bash reads them at every press of the Tab key."""
# what a shell takes as it stands: a completed word isn't quoted
_PLAIN = re.compile(r"[A-Za-z0-9@.:_+%~-]{1,255}")


class CompletionNames:
    """The file with the names, while the daemon runs."""

    def __init__(self, socket: str) -> None:
        """Name it after the control socket."""
        self._path = socket + SUFFIX
        self._writing: asyncio.Task[None] | None = None

    def update(self, settings: Settings) -> None:
        """Begin to write what a configuration has; in a thread, since a file can block."""
        before = self._writing
        self._writing = asyncio.create_task(self._update(settings, before))

    async def _update(self, settings: Settings, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await before
        with suppress(OSError):
            await asyncio.to_thread(_write, self._path, settings)

    async def close(self) -> None:
        """Remove the file: nothing is served any more."""
        if self._writing is not None:
            await self._writing
        with suppress(OSError):
            os.unlink(self._path)


def lines(settings: Settings) -> Iterable[str]:
    """The file's lines, sorted; names that a shell wouldn't take as they stand are left out."""
    endpoints = {str(each.sip_address) for each in settings.endpoints}
    pools = {each.pool_fqdn for each in settings.endpoints}
    for kind, names in (("endpoint", endpoints), ("pool", pools)):
        plain = sorted(name for name in names if _PLAIN.fullmatch(name))
        yield from (f"{kind} {name}" for name in plain[:MAX_NAMES])


def _write(path: str, settings: Settings) -> None:
    folder, name = os.path.split(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}", dir=folder)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.writelines(f"{line}\n" for line in lines(settings))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
