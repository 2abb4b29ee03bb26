"""Why a request got what it got, in words: what a trace shows beside the messages."""

import re

from chatredirect.roles.verdict import Verdict

_CONTACT = re.compile(rb"^Contact: (.+)\r$", re.MULTILINE)
#: RFC 3261 §20.43: code, agent, and the text in quotes.
_WARNING = re.compile(rb'^Warning: \d{3} \S+ "(.*)"\r$', re.MULTILINE)

_REASONS = {
    403: "the peer isn't trusted: its address isn't in trusted_peers, and no certificate of its has "
    "a name in tls.allowed_peers",
    404: "no endpoint has this URI",
    405: "the method isn't one of the endpoint's",
    481: "it is in a dialog, or about a request, that isn't known here",
}


def explain(verdict: Verdict) -> str:
    """What was decided, and why; it may hold the peer's octets, so whoever shows it escapes it."""
    parts = [] if verdict.endpoint is None else [f"endpoint {verdict.endpoint.address}"]
    parts.append(_what(verdict))
    return ": ".join(parts)


def _what(verdict: Verdict) -> str:
    status = verdict.status
    if verdict.fault is not None:
        return f"{status}, malformed: {verdict.fault}"
    if 300 <= status < 400:
        contacts = b", ".join(_CONTACT.findall(verdict.fields))
        return f"{status} to {contacts.decode('utf-8', 'backslashreplace')}"
    warning = _WARNING.search(verdict.fields)
    if warning is not None:
        return f"{status}, {warning[1].decode('utf-8', 'backslashreplace')}"
    reason = _REASONS.get(status)
    return f"{status}, answered here" if reason is None else f"{status}, {reason}"
