"""Work lists: what messages and timers have led to, carried out item by item.

A list is emptied before the work begins, so that no item is done twice, whatever is appended
meanwhile. A fault with one item is logged and doesn't stop the others.
"""

from collections.abc import Callable
from typing import TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

AT_ONCE = 25
"""Items of timers, or of a lost connection, that are handled in one turn of the event loop.

A lost request that goes to the next target takes a fifth of a millisecond, so a turn takes five.
"""


def carry_out(
    items: list[T], do: Callable[[T], bool | None], failed: Callable[[T], None], what: str
) -> None:
    """Take all items out of a list and carry out each.

    Args:
        items: the list; what is appended meanwhile stays.
        do: carries out one; False if it couldn't.
        failed: called for each item for which `do` returned False or raised.
        what: the kind of work, for the log.
    """
    taken = items[:]
    items.clear()
    for item in taken:
        try:
            done = do(item)
        except Exception:  # the items after this one must be done
            log.exception("work_failed", what=what)
            done = False
        if done is False:
            try:
                failed(item)
            except Exception:  # likewise
                log.exception("work_failed", what=what)


def forget(item: object) -> None:
    """A `failed` that ignores the item."""
