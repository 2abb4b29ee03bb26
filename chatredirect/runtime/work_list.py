"""Work lists: what messages and time have led to, carried out item by item.

A list is emptied before the work begins, so that no item is ever worked on twice, whatever is put
there meanwhile. A fault with one item is logged and keeps nobody else waiting.
"""

from collections.abc import Callable
from typing import TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

AT_ONCE = 25
"""Items that are due by time, or by a lost connection, and are dealt with in one turn.

A lost request that goes to the next target takes a fifth of a millisecond, so a turn takes five.
"""


def carry_out(
    items: list[T], do: Callable[[T], bool | None], failed: Callable[[T], None], what: str
) -> None:
    """Take all items out of a list, and do each.

    Args:
        items: the list; what is put there meanwhile stays.
        do: does one; False says that it couldn't be done.
        failed: is told of each that couldn't be done, or where `do` raised.
        what: what is done, for the log.
    """
    taken = items[:]
    items.clear()
    for item in taken:
        try:
            done = do(item)
        except Exception:  # whoever comes after this item isn't to suffer for it
            log.exception("work_failed", what=what)
            done = False
        if done is False:
            try:
                failed(item)
            except Exception:  # nothing more can be done for it, and the next one waits
                log.exception("work_failed", what=what)


def forget(item: object) -> None:
    """Nobody waits for what became of an item."""
