"""The line that `systemctl status` shows: whether all is well, at a glance."""

import time

from chatredirect.reloading import Reloader
from chatredirect.service import Service


def status_line(service: Service, reloader: Reloader) -> str:
    """What is served, what has been done so far, and what is wrong.

    Args:
        service: the running daemon.
        reloader: knows how the last reload went.
    """
    endpoints = 0 if service.settings is None else len(service.settings.endpoints)
    parts = [f"serving {_count(endpoints, 'endpoint')}"]
    if service.pools is not None:
        unusable = sum(not pool.usable for pool in service.pools)
        if unusable:
            parts.append(f"{unusable} of {_count(len(service.pools), 'pool')} unusable")
    answers = sum(service.counters.answers.values())
    parts.append(_count(answers, "answer"))
    drops = sum(service.counters.drops.values())
    if drops:
        parts.append(f"{drops} dropped")
    line = ", ".join(parts)
    verdict = reloader.verdict
    if verdict is not None:
        line += f"; {verdict.what} {time.strftime('%H:%M:%S UTC', time.gmtime(verdict.at))}"
    return line


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
