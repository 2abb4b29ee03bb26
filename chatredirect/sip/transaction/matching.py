"""Which transaction a message belongs to.

An RFC 3261 client gives each transaction its own branch. An RFC 2543 client gives none, or an
unusable one; its requests are matched by all the header fields that identify them. Both kinds are
common: Office Communicator's INVITE, ACK, INFO and BYE have no branch.

Branches and tags are tokens, which are compared without case (RFC 3261 §7.3.1). Keys made of a
peer's values are hashes, so that they are short however long the values are.
"""

from hashlib import blake2b

from chatredirect.sip import abnf, codec
from chatredirect.sip.errors import SipError
from chatredirect.sip.headers import MandatoryHeaders, param, read_cseq, read_from_to, read_via
from chatredirect.sip.message import Request, Response
from chatredirect.sip.uri import DEFAULT_PORT

# `b'"' in value` takes ten times as long: bytes try everything as a number first
_QUOTE, _COMMA = 0x22, 0x2C
_DIGITS = 10  # with fewer, a CSeq number is below 2**31
_COOKIE = b"z9hg4bk"  # RFC 3261 §8.1.1.7, compared without case


def server_key(request: Request, headers: MandatoryHeaders) -> bytes:
    """The key of the server transaction that a request belongs to (RFC 3261 §17.2.3).

    An ACK of a response that isn't 2xx gets its INVITE's key. By the RFC 2543 rule its To tag must
    be the response's as well: the caller, who knows the response, compares it.
    """
    method = b"INVITE" if request.method == b"ACK" else request.method
    return _key(request, headers, method)


def cancelled_key(request: Request, headers: MandatoryHeaders) -> bytes:
    """The key of the INVITE transaction that a CANCEL is for (RFC 3261 §9.2)."""
    return _key(request, headers, b"INVITE")


def _key(request: Request, headers: MandatoryHeaders, method: bytes) -> bytes:
    if codec.transaction_key is not None:
        key = codec.transaction_key(request, headers, method)
        if key is not None:
            return key
    via = headers.via
    branch = param(via.params, b"branch") if via.params else None
    if branch is not None and branch[:7].lower() == _COOKIE and len(branch) > len(_COOKIE):
        # All messages of a transaction share Call-ID and CSeq number, so these only matter when a
        # client uses a branch twice: then its requests are still two.
        sent_by = b"%b:%d" % (via.host.lower(), via.port or DEFAULT_PORT)
        number = b"%d" % headers.number
        parts = (method, branch.lower(), sent_by, request.call_id or b"", number)
        return _short(b" ".join(parts))
    # The RFC 2543 rule: Request-URI, To tag, From tag, Call-ID, CSeq and topmost Via. The To tag of
    # an INVITE's key is left out, since its ACK has the response's.
    to_tag = b"" if method == b"INVITE" else tag_of(headers.to, "To")
    start = b"%b %d %b" % (method, headers.number, request.uri)
    from_tag = tag_of(headers.from_, "From")
    parts = (start, request.call_id or b"", from_tag, to_tag, request.vias[0])
    return _short(b"\n".join(parts))


def merged_key(request: Request, headers: MandatoryHeaders) -> bytes:
    """What copies of one request that came on several paths share (RFC 3261 §8.2.2.2)."""
    from_tag = tag_of(headers.from_, "From")
    parts = (request.call_id or b"", from_tag, b"%d %b" % (headers.number, request.method))
    return _short(b"\n".join(parts))


def tag_of(value: bytes, name: str) -> bytes:
    """The tag of a well-formed From or To value, in lower case; `b""` if it has none."""
    if codec.tag_of is not None:
        found = codec.tag_of(value)
        if found is not None:
            return found
    _, bracket, params = value.rpartition(b">")
    if not bracket or _QUOTE in params:  # the bracket may stand in a quoted parameter
        params = read_from_to(value, name).params
    elif params.startswith(b";tag="):
        tag = params[5:].partition(b";")[0]
        if tag.isalnum():  # the usual case
            return tag.lower()
    return (param(params, b"tag") or b"").lower() if params else b""


def _short(key: bytes) -> bytes:
    return blake2b(key, digest_size=16).digest()


def client_key(branch: bytes, method: bytes) -> bytes:
    """The key of a client transaction (RFC 3261 §17.1.3)."""
    return method + b" " + branch.lower()


def branch_key(response: Response) -> bytes | None:
    """The key of a proxy's client transaction: topmost branch and CSeq's method (§17.1.3).

    Further Vias are those of the upstream elements.
    """
    if codec.branch_key is not None:
        key = codec.branch_key(response)
        if key is not None:
            return key
    if response.cseq is None or not response.vias:
        return None
    cseq = response.cseq.split(None, 2)
    if len(cseq) != 2 or not cseq[0].isdigit():
        return None
    # our own Via comes back as we wrote it
    branch = response.vias[0].partition(b";branch=")[2].partition(b";")[0].rstrip()
    if not branch or _COMMA in branch:
        try:
            branch = param(read_via(response.vias[0]).params, b"branch") or b""
        except SipError:
            return None
    return client_key(branch, cseq[1])


def response_key(response: Response) -> bytes | None:
    """The key of a UAC's client transaction that a response belongs to; None if there is none."""
    if len(response.vias) != 1 or response.cseq is None:
        return None  # §8.1.3.3: of more than one Via the topmost isn't ours
    plain = abnf.PLAIN_RETURNED_VIA.match(response.vias[0])
    if plain is not None:
        number, _, method = response.cseq.partition(b" ")
        if method.isalpha() and number.isdigit() and len(number) < _DIGITS:
            return client_key(plain[1], method)
    try:
        branch = param(read_via(response.vias[0]).params, b"branch")
        method = read_cseq(response.cseq)[1]
    except SipError:
        return None
    return None if branch is None else client_key(branch, method)
