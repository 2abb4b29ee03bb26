"""A fault under load: what was lost, how long the longest wait was, which dialogs went on.

`python -m benchmarks.several` makes a table of them, tests/several/test_front_ends.py has a short
one of each front end.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.several.accounts import TIMER_B, Accounts, Dialog
from tests.several.deployment import (
    VIRTUAL,
    Deployment,
    FrontEnd,
    FrontEndEnded,
    Transport,
    deployment,
)
from tests.several.instance import ROOT

Fault = Literal["none", "kill", "kill two", "drain", "cut", "upgrade", "versions", "split", "join"]
"""`kill two`: of three. `versions`: all are older ones, the first is upgraded, and goes back.
`split`: two machines have keepalived's address for some seconds, and are asked in turns. `join`:
one instance serves, a second one is added to the dispatcher's."""
_GRACEFUL: tuple[Fault, ...] = ("drain", "upgrade", "versions", "join")
"""An instance that is stopped finishes what it has begun; one that is added takes nothing away."""
BETWEEN = 6.0
"""Seconds between the upgrades of two instances, in which a front end finds the first one again."""


@dataclass(frozen=True, slots=True)
class Result:
    """A case that has been run.

    Attributes:
        at: when the fault began, on the accounts' clock.
        done: when the last that was done for it was done.
        told: what `check --live` said meanwhile of the other instances, if it was asked.
    """

    front_end: FrontEnd
    transport: Transport
    fault: Fault
    at: float
    done: float
    accounts: Accounts
    told: tuple[str, ...] = ()

    def lost_redirects(self) -> int:
        """Those that got no 302 while their client waited."""
        return len(self.accounts.lost("redirect"))

    def lookups_again(self) -> int:
        """Clients that needed more than one INVITE until they had their channel service."""
        return sum(each.invites > 1 for each in self.accounts.searches)

    def lookups_missed(self) -> int:
        """Clients that were told none at all."""
        return sum(not each.found for each in self.accounts.searches)

    def calls_refused(self) -> int:
        """INVITEs of the mode proxy without a 200."""
        return len(self.accounts.lost("call INVITE"))

    def open_at_the_fault(self) -> list[Dialog]:
        """The calls that were open then; an upgrade takes a while, so all of its time counts."""
        if self.fault in ("upgrade", "versions"):
            return [each for each in self.accounts.dialogs if each.kind == "call"]
        return self.accounts.over(self.at)

    def dialogs(self) -> tuple[int, int]:
        """Those that were open at the fault: how many went on to their BYE, of how many."""
        open_then = self.open_at_the_fault()
        return sum(not each.failed for each in open_then), len(open_then)

    def longest(self) -> float:
        """Seconds of the longest wait for an answer, or for a channel service."""
        searches = [each.ended - each.began for each in self.accounts.searches if each.found]
        return max([self.accounts.longest(), *searches])

    def both_ways(self) -> bool:
        """Whether both sides' INFOs and BYEs were answered after the fault."""
        after = {
            kind
            for dialog in self.accounts.over(self.at)
            for kind, began in dialog.after
            if began > self.at
        }
        return after >= {"client INFO", "pool INFO", "client BYE", "pool BYE"}


def run(
    folder: Path,
    front_end: FrontEnd,
    transport: Transport,
    fault: Fault,
    before: float = 3.0,
    after: float = 5.0,
    older: Path = ROOT,
    **plan: float,
) -> Result:
    """Put a load on instances, and let the fault happen to the first after `before` seconds.

    If Kamailio ends by itself, the case is run once more.

    Args:
        folder: where all files go.
        front_end: what is in front of the instances.
        transport: the instances'.
        fault: what happens; there are three instances for `kill two`, else two.
        before: seconds of load before the fault.
        after: seconds of load from it on; an upgrade has more.
        older: the source tree that `versions` begins with.
        plan: more of the load's plan.
    """
    if fault in ("upgrade", "versions"):
        after += BETWEEN
    plan |= {"seconds": before + after}
    try:
        return _run(folder, front_end, transport, fault, before, older, plan)
    except FrontEndEnded:
        again = folder / "again"
        again.mkdir()
        return _run(again, front_end, transport, fault, before, older, plan)


def _run(
    folder: Path,
    front_end: FrontEnd,
    transport: Transport,
    fault: Fault,
    before: float,
    older: Path,
    plan: dict[str, float],
) -> Result:
    count = 3 if fault == "kill two" else 2
    tree = older if fault == "versions" else ROOT
    running = 1 if fault == "join" else None
    with deployment(folder, front_end, transport, count, tree=tree, running=running) as made:
        warm_up(made)
        load = made.load(**plan)
        time.sleep(before)
        at = time.monotonic()
        told = _FAULTS[fault](made)
        done = time.monotonic()
        accounts = load.accounts()
        made.check_front_end()
        return Result(front_end, transport, fault, at, done, accounts, tuple(told))


def warm_up(made: Deployment) -> None:
    """One request after the other until all answers are good: the front end has found them all."""
    for _ in range(20):
        tried = made.load(seconds=0.5, redirects=10.0, lookups=4.0, calls=4.0, duration=0.2)
        accounts = tried.accounts()
        if not accounts.lost():
            return
        made.check_front_end()
    raise AssertionError(accounts.told())


def _nothing(made: Deployment) -> list[str]:
    del made
    return []


def _kill(made: Deployment) -> list[str]:
    made.instances[0].kill()
    return []


def _kill_two(made: Deployment) -> list[str]:
    for each in made.instances[:2]:
        each.kill()
    return []


def _drain(made: Deployment) -> list[str]:
    made.instances[0].drain()
    return []


def _cut(made: Deployment) -> list[str]:
    made.instances[0].cut()
    return []


def _upgrade(made: Deployment) -> list[str]:
    for each in made.instances:
        each.upgrade()
        time.sleep(BETWEEN)
    return []


def _versions(made: Deployment) -> list[str]:
    first, older = made.instances[0], made.instances[0].tree
    first.upgrade(ROOT)
    told = first.compared()
    time.sleep(BETWEEN)
    first.upgrade(older)
    return told


def _split(made: Deployment) -> list[str]:
    machines = [each.machine for each in made.instances[:2]]
    second = machines[1]
    second.run("ip", "address", "add", f"{VIRTUAL}/24", "dev", "eth0")
    for turn in range(12):
        for neighbour in (made.front_end, made.outside):
            neighbour.knows(VIRTUAL, machines[turn % 2])
        time.sleep(0.25)
    second.run("ip", "address", "del", f"{VIRTUAL}/24", "dev", "eth0")
    for neighbour in (made.front_end, made.outside):
        neighbour.knows(VIRTUAL, machines[0])
    return []


def _join(made: Deployment) -> list[str]:
    made.instances[1].start()
    made.write_dispatcher_list(made.instances)
    made.reload_dispatcher()
    return []


_FAULTS: dict[Fault, Callable[[Deployment], list[str]]] = {
    "none": _nothing,
    "kill": _kill,
    "kill two": _kill_two,
    "drain": _drain,
    "cut": _cut,
    "upgrade": _upgrade,
    "versions": _versions,
    "split": _split,
    "join": _join,
}


def broken(result: Result) -> list[str]:
    """Which promises of docs/two-machines.md a case has broken."""
    found = []
    late = [
        each for each in result.accounts.of(["redirect"]) if each.ended - each.began > TIMER_B + 1
    ]
    if late:
        found.append(f"{len(late)} redirects took longer than a client waits")
    if result.lookups_missed():
        found.append(f"{result.lookups_missed()} clients never had their channel service")
    more = sum(each.invites > 2 for each in result.accounts.searches)
    if more:
        found.append(f"{more} clients were not served at their next INVITE")
    if result.lost_redirects():
        found.append(f"{result.lost_redirects()} redirects were not answered")
    if result.fault == "versions" and result.told != ("cr2.contoso.com: another version",):
        found.append(f"check --live doesn't tell the versions apart: {', '.join(result.told)}")
    refused = result.accounts.lost("call INVITE")
    if result.fault not in _GRACEFUL:  # what it has answered with 100 dies with an instance
        refused = [each for each in refused if each.began > result.done]
    if refused:
        found.append(f"{len(refused)} calls that did not die with an instance were refused")
    all_of_them = result.dialogs()[1]
    if not all_of_them:
        found.append("no dialog was open at the fault: nothing was shown")
    ended = [each.failed for each in result.open_at_the_fault() if each.failed]
    if _lives_with_its_connection(result):
        ended = [each for each in ended if each not in ("pool INFO 430", "pool BYE 430")]
    if ended:
        found.append(f"{len(ended)} of {all_of_them} dialogs did not go on: {Counter(ended)}")
    return found


def _lives_with_its_connection(result: Result) -> bool:
    """Whether the way back to a client is its own connection to the instance."""
    return result.front_end == "direct" and result.transport != "udp"
