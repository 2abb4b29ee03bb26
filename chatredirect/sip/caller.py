"""Who sent a request, and with which client: From's URI, and User-Agent (RFC 3261 §20.41)."""

from chatredirect.sip import abnf
from chatredirect.sip.codec import caller_and_client as compiled
from chatredirect.sip.headers import read_from_to
from chatredirect.sip.message import Request

_MAX_CLIENT = 256
_FIELD = b"\r\nUser-Agent: "  # as nearly all write it
_BRACKET = ord("<")


def caller_and_client(request: Request, from_: bytes) -> bytes:
    """From's URI, a line feed, and what `user_agent` returns: one key for one kind of client.

    Args:
        request: the request.
        from_: its From, which has been read without a fault; so its URI has no line feed.
    """
    octets = None if compiled is None else compiled(from_, request.head)
    if octets is not None:
        return octets
    # the common form; a display name takes ten times as long
    uri = from_[1 : from_.find(b">")] if from_[0] == _BRACKET else read_from_to(from_, "From").uri
    return uri + b"\n" + user_agent(request)


def probe_proof(head: bytes) -> bytes:
    """The field, after a CRLF, by which our own probe is known; empty without one.

    Of that field alone it gives the same.
    """
    match = abnf.PROBE_PROOF.search(head)
    return b"" if match is None else match[0]


def user_agent(request: Request) -> bytes:
    """The first User-Agent that is written so, else the first in another case.

    At most 256 octets of its first line; empty if there is none. For one field, a search costs a
    tenth of the index that `sip.message.values` makes.
    """
    head = request.head
    start = head.find(_FIELD)
    if start < 0:
        match = abnf.USER_AGENT.search(head)
        return b"" if match is None else match[1].strip()
    start += len(_FIELD)
    end = head.find(b"\r\n", start)
    value = head[start:] if end < 0 else head[start:end]
    return value.lstrip(b" \t")[:_MAX_CLIENT].strip()
