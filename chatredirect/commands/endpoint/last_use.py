"""Before an endpoint is turned off: who used it last, and whether that was lately.

Where no ledger is kept, nothing is known and nothing is asked.
"""

import os
import sys
import time
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from chatredirect.commands.endpoint.endpoint_options import confirmed
from chatredirect.commands.endpoint.proposal import NO, identified
from chatredirect.commands.options import loaded
from chatredirect.commands.output import complain, failure
from chatredirect.config.usage_section import QUIET_FOR
from chatredirect.runtime.wording import is_terminal

if TYPE_CHECKING:
    from chatredirect.config import EndpointSettings, Settings
    from chatredirect.usage.verdicts import Verdict


def ask_if_used(config: Path, identity: str, verb: str, *, only_tell: bool) -> None:
    """Print an endpoint's last user; if one came lately, ask on a terminal.

    Args:
        verb: what is about to be done, as in `Remove`.
        only_tell: whether to ask nothing, since nothing is going to be done.

    Raises:
        typer.Exit: the answer is no, or there is no terminal to ask on; it has been said.
    """
    settings = loaded(config)
    endpoint = identified(settings, identity)
    verdict = _verdict(settings, endpoint)
    if verdict is None:
        return
    # what to do next comes last, and is being done
    known = takewhile(lambda line: not line.startswith("  next:"), verdict.sentences())
    complain("\n".join(known), prefix="")
    if only_tell or verdict.last is None or not _lately(verdict.last.last):
        return
    if not is_terminal(sys.stdin):
        raise failure(
            f"{endpoint.sip_address} was used in the last {QUIET_FOR} days, and there is no "
            "terminal to ask on: nothing has been changed",
            NO,
            where=str(endpoint.sip_address),
            remedy="--ignore-usage does it anyway",
        )
    if not confirmed(f"{verb} {endpoint.sip_address} anyway?"):
        where = str(endpoint.sip_address)
        raise failure("nothing has been changed", NO, where=where, why="the answer was no")


def _lately(last: float) -> bool:
    return time.time() - last < QUIET_FOR * 86400


def _verdict(settings: "Settings", endpoint: "EndpointSettings") -> "Verdict | None":
    """What the ledger says; None if there is none, or if it can't be read, which is printed."""
    from chatredirect.config.usage_section import STATE_DIRECTORY

    address = settings.usage.address(STATE_DIRECTORY)
    if address is None or (address.kind == "sqlite" and not os.path.exists(address.path)):
        return None

    from chatredirect.usage.reader import Ledgers
    from chatredirect.usage.store_faults import StoreFault
    from chatredirect.usage.verdicts import changed_at, verdicts_on

    trusted_only = endpoint.peers == "trusted" or endpoint.mode != "redirect"
    wanted = {str(endpoint.sip_address): trusted_only}
    ledgers, changed = Ledgers((address,)), changed_at([endpoint])
    try:
        (verdict,) = verdicts_on(wanted, ledgers, time.time(), QUIET_FOR, changed)
    except StoreFault as fault:
        complain(f"who used it last isn't known: {fault}")
        return None
    return verdict
