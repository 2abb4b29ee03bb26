"""Responses that aren't taken: why, and how people hear of it."""

import structlog

from chatredirect.sip.flow import peer_text
from chatredirect.sip.message import Response
from chatredirect.sip.response import Peer
from chatredirect.sip.transaction.layer import Transaction, U

log = structlog.get_logger()

NO_REQUEST = "response"
"""It is to no request of ours; over UDP it may simply be late."""
ELSEWHERE = "response_elsewhere"
"""It is to a request of ours, and didn't come from where that was sent to (RFC 3261 §18.2.2)."""
MALFORMED = "response_malformed"
"""It is to a request of ours, and what a proxy needs of it can't be read (§16.7)."""
TOO_LATE = "response_too_late"
"""Its request has had its final response, and it doesn't say for whom it is."""


def unwanted(
    transaction: Transaction[U], why: str, response: Response, source: Peer, transport: str
) -> str:
    """Tell people that a response to a request of ours isn't taken, once for each request.

    Returns:
        `why`: one of the constants above, under which it is counted.
    """
    if not transaction.complained:
        transaction.complained = True
        log.info(
            "response_dropped",
            why=why,
            status=response.status,
            call_id=response.call_id,
            peer=peer_text(transport, source.host.decode("ascii"), source.port),
        )
    return why
