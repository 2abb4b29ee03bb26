"""What we write into a Record-Route to find the dialog's two ends again (RFC 5626 §5.2).

A dialog costs no memory: its state stands in the Route of each of its requests. There is the name
of the flow that the caller's request came in on, the target that it was sent to, and a keyed hash
of both with the dialog's Call-ID and the caller's tag. So nobody can make up a Route, or take one
from another dialog; and which of a request's two tags fits says who sent it, the caller or the
called.
"""

from binascii import Error, a2b_base64, b2a_base64
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest

from chatredirect.config.addresses import Transport
from chatredirect.dns.target import Target

_MAC = 10  # octets
_LOOP = 6
_TRANSPORTS: dict[bytes, Transport] = {b"u": "udp", b"t": "tcp", b"s": "tls"}
_LETTERS = {transport: letter.decode() for letter, transport in _TRANSPORTS.items()}
_TO_URI = bytes.maketrans(b"+/", b"-_")  # what a URI parameter may hold (RFC 3261 §25.1)
_FROM_URI = bytes.maketrans(b"-_", b"+/")
_KNOWN = 1024  # targets that are remembered; then anew
MAX_TOKEN = 600
"""Octets; ours are much shorter."""


@dataclass(slots=True)
class Dialog:
    """What a token says.

    Attributes:
        flow: the name of the caller's flow.
        target: where the called side is.
        downstream: whether the request with it goes to the called side.
        token: the token itself.
    """

    flow: bytes
    target: Target
    downstream: bool
    token: bytes


class Loops:
    """Makes what a request is known by should it come back unchanged (RFC 3261 §16.6 step 8)."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        """Prepare the hash; `key` may have any length."""
        self._keyed = blake2b(key=blake2b(key, person=b"loop").digest(), digest_size=_LOOP)

    def __call__(self, parts: bytes) -> bytes:
        """Twelve characters that nobody else can make of these octets."""
        keyed = self._keyed.copy()
        keyed.update(parts)
        return keyed.hexdigest().encode()


class Tokens:
    """Writes and reads tokens with one key."""

    __slots__ = ("_keyed", "_targets")

    def __init__(self, key: bytes) -> None:
        """Prepare the hash; `key` may have any length."""
        self._keyed = blake2b(key=blake2b(key, person=b"record-route").digest(), digest_size=_MAC)
        self._targets: dict[bytes, Target] = {}  # few, and all of our own writing

    def write(self, flow: bytes, target: Target, call_id: bytes, tag: bytes) -> bytes:
        """Make a token.

        Args:
            flow: the name of the caller's flow.
            target: where the request goes to.
            call_id: the request's.
            tag: its From tag.
        """
        letter, names = _LETTERS[target.transport], target.domain
        if target.transport == "tls" and target.host != names:
            names += "/" + target.host  # which its certificate may carry instead (`srv_names`)
        where = f"{letter}{target.port:04x}{target.address}/{names}".encode()
        said = b"%c%b%b" % (len(flow), flow, where)
        text = b2a_base64(said + self._mac(said, call_id, tag), newline=False)
        return text.rstrip(b"=").translate(_TO_URI)

    def read(self, token: bytes, call_id: bytes, from_tag: bytes, to_tag: bytes) -> Dialog | None:
        """Read a token in a request of these values; None if it isn't ours for this dialog."""
        if len(token) > MAX_TOKEN:
            return None
        try:
            octets = a2b_base64(token.translate(_FROM_URI) + b"==")
        except Error:
            return None
        said, mac = octets[:-_MAC], octets[-_MAC:]
        downstream = compare_digest(mac, self._mac(said, call_id, from_tag))
        if not downstream and not compare_digest(mac, self._mac(said, call_id, to_tag)):
            return None
        size = said[0]
        where = said[1 + size :]
        target = self._targets.get(where)
        if target is None:
            if len(self._targets) >= _KNOWN:
                self._targets.clear()
            address, domain, *host = where[5:].decode().split("/")
            transport = _TRANSPORTS[where[:1]]
            name = host[0] if host else domain
            target = Target(transport, address, int(where[1:5], 16), name, domain=domain)
            self._targets[where] = target
        return Dialog(said[1 : 1 + size], target, downstream, token)

    def _mac(self, said: bytes, call_id: bytes, tag: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(b"%c%b%b\n%b" % (len(said) & 0xFF, said, call_id, tag))
        return keyed.digest()
