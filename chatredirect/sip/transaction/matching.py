"""What tells one transaction from another.

A client of RFC 3261 gives each transaction a branch of its own. Older ones give none, or one that
is no better than none, and are told apart by the whole of what identifies their request. Both
kinds are common: Office Communicator's INVITE, ACK, INFO and BYE have no branch.

Branches and tags are tokens, which are compared without case (RFC 3261 §7.3.1).

What comes from a peer is kept as a hash, so that a key is short however long its parts are.
"""

from hashlib import blake2b

from chatredirect.sip import headers
from chatredirect.sip.errors import SipError
from chatredirect.sip.headers import MandatoryHeaders
from chatredirect.sip.message import Request, Response
from chatredirect.sip.uri import DEFAULT_PORT

_COOKIE = b"z9hg4bk"  # RFC 3261 §8.1.1.7, compared without case


def server_key(request: Request, envelope: MandatoryHeaders) -> bytes:
    """The key of the server transaction that a request belongs to (RFC 3261 §17.2.3).

    An ACK gets the key of the INVITE that it confirms, if it does that within its transaction. By
    the older rule its To tag must be the answer's as well: that is for who knows the answer.
    """
    method = b"INVITE" if request.method == b"ACK" else request.method
    return _key(request, envelope, method)


def cancelled_key(request: Request, envelope: MandatoryHeaders) -> bytes:
    """The key of the INVITE that a CANCEL is about (RFC 3261 §9.2)."""
    return _key(request, envelope, b"INVITE")


def _key(request: Request, envelope: MandatoryHeaders, method: bytes) -> bytes:
    via = envelope.via
    branch = headers.param(via.params, b"branch") if via.params else None
    if branch is not None and branch[:7].lower() == _COOKIE and len(branch) > len(_COOKIE):
        # Call-ID and CSeq number are the same in whatever belongs to a transaction, so they change
        # nothing, unless a client uses a branch twice: then its requests are two all the same.
        sent_by = b"%b:%d" % (via.host.lower(), via.port or DEFAULT_PORT)
        parts = (method, branch.lower(), sent_by, request.call_id or b"", b"%d" % envelope.number)
        return _short(b" ".join(parts))
    # The older rule: Request-URI, To tag, From tag, Call-ID, CSeq and topmost Via. An INVITE is
    # told apart without its To tag, which its ACK has from the answer.
    to_tag = b"" if method == b"INVITE" else tag_of(envelope.to, "To")
    return _short(
        b"\n".join(
            (
                b"%b %d %b" % (method, envelope.number, request.uri),
                request.call_id or b"",
                tag_of(envelope.from_, "From"),
                to_tag,
                request.vias[0],
            )
        )
    )


def merged_key(request: Request, envelope: MandatoryHeaders) -> bytes:
    """What two copies of one request have in common that came by two ways (RFC 3261 §8.2.2.2)."""
    from_tag = tag_of(envelope.from_, "From")
    parts = (request.call_id or b"", from_tag, b"%d %b" % (envelope.number, request.method))
    return _short(b"\n".join(parts))


def tag_of(value: bytes, name: str) -> bytes:
    """The tag of a good From or To value, in lower case; `b""` if it has none."""
    _, bracket, params = value.rpartition(b">")
    if not bracket or b'"' in params:  # the bracket may stand in a quoted parameter
        params = headers.read_from_to(value, name).params
    return (headers.param(params, b"tag") or b"").lower() if params else b""


def _short(key: bytes) -> bytes:
    return blake2b(key, digest_size=16).digest()


def client_key(branch: bytes, method: bytes) -> bytes:
    """The key of a client transaction (RFC 3261 §17.1.3)."""
    return b"%b %b" % (method, branch.lower())


def branch_key(response: Response) -> bytes | None:
    """The key of the client transaction of a proxy: topmost branch and CSeq's method (§17.1.3).

    Further Vias are those of whom the response is for.
    """
    if response.cseq is None or not response.vias:
        return None
    cseq = response.cseq.split(None, 2)
    if len(cseq) != 2 or not cseq[0].isdigit():
        return None
    # our own Via comes back as we wrote it
    branch = response.vias[0].partition(b";branch=")[2].partition(b";")[0].rstrip()
    if not branch or b"," in branch:
        try:
            branch = headers.param(headers.read_via(response.vias[0]).params, b"branch") or b""
        except SipError:
            return None
    return client_key(branch, cseq[1])


def response_key(response: Response) -> bytes | None:
    """The key of the client transaction that a response belongs to, None if there can be none."""
    if len(response.vias) != 1 or response.cseq is None:
        return None  # §8.1.3.3: of more than one Via the topmost isn't ours
    try:
        branch = headers.param(headers.read_via(response.vias[0]).params, b"branch")
        method = headers.read_cseq(response.cseq)[1]
    except SipError:
        return None
    return None if branch is None else client_key(branch, method)
