"""How the daemon is told to stop: politely once, and then at once."""

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stopping:
    """What SIGTERM and SIGINT lead to.

    Attributes:
        asked: set by the first: what is open may finish, within `drain` seconds.
        at_once: set by the second: whoever sends it has waited long enough.
    """

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)

    def signalled(self) -> None:
        """Take a signal."""
        if self.asked.is_set():
            self.at_once.set()
        self.asked.set()
