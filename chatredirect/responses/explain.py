"""Why a request got what it got, in words: what a trace shows beside the messages.

The words may hold the peer's octets, so whoever shows them escapes them.
"""

import re

from chatredirect.responses.planned import PlannedResponse, reason

_CONTACT = re.compile(rb"^Contact: (.+)\r$", re.MULTILINE)

_REASONS = {
    403: "the peer isn't trusted: its address isn't in trusted_peers, and it showed no certificate "
    "with a name in tls.allowed_peers",
    404: "no endpoint has this URI",
    405: "the method isn't one of the endpoint's",
    481: "it is in a dialog, or about a request, that isn't known here",
}


def explain(verdict: PlannedResponse) -> str:
    """What the table of answers decided, and why."""
    address = None if verdict.endpoint is None else verdict.endpoint.address
    if verdict.fault is not None:
        return explain_status(verdict.status, address, f"malformed: {verdict.fault}")
    return explain_status(verdict.status, address, "", verdict.fields)


def explain_status(status: int, endpoint: str | None, why: str, fields: bytes = b"") -> str:
    """What an answer with this status means.

    Args:
        status: its status code.
        endpoint: the endpoint's address, if it was for one.
        why: the reason, where it is known already.
        fields: the answer's further header fields, each with its CRLF, which often have it.
    """
    whose = "" if endpoint is None else f"endpoint {endpoint}: "
    if not why and 300 <= status < 400:
        contacts = b", ".join(_CONTACT.findall(fields))
        return f"{whose}{status} to {contacts.decode('utf-8', 'backslashreplace')}"
    if not why:
        why = reason(fields)
    if status == 404 and endpoint is not None:
        why = "it is disabled"
    return f"{whose}{status}, {why or _REASONS.get(status, 'answered here')}"
