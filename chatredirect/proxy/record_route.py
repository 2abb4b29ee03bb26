"""The token in our Record-Route, by which the dialog's two ends are found again (RFC 5626 §5.2).

A dialog costs no memory: each of its requests carries its state in Route. A token holds the name of
the flow that the caller's request came in on, the next hop on the way back to the caller, the
target that the request was sent to, the time, and a keyed hash of it all with the dialog's Call-ID
and the caller's tag. So nobody can make up a Route, or take one from another dialog. Which of a
request's two tags fits shows whether the caller or the called side sent it.
"""

import re
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest

from chatredirect.net.addresses import Transport
from chatredirect.net.target import Target

# sizes in octets
_MAC = 10
_LOOP = 6
_HOP = 6
_TIME = 4
_FLOW_AT = _TIME + _HOP
_LAST_SECOND = (1 << 8 * _TIME) - 1  # of 2106
_TRANSPORTS: dict[bytes, Transport] = {b"u": "udp", b"t": "tcp", b"s": "tls"}
_LETTERS = {transport: letter.decode() for letter, transport in _TRANSPORTS.items()}
_ALPHABET = re.compile(rb"[A-Za-z0-9_-]+")  # what a URI parameter may hold (RFC 3261 §25.1)
_TO_URI = bytes.maketrans(b"+/", b"-_")
_FROM_URI = bytes.maketrans(b"-_", b"+/")
_MAX_KNOWN = 1024  # targets that are remembered; then all are forgotten
MAX_TOKEN = 1024
"""Octets; ours are shorter, with two names of 253 octets as well."""


@dataclass(slots=True)
class DialogToken:
    """What a token says of a dialog.

    Attributes:
        flow: the name of the caller's flow.
        target: where the called side is.
        downstream: whether the request with the token goes to the called side.
        made: when the dialog's first request came, in seconds since the epoch.
        hop: a keyed hash of the next hop on the way to the caller: see `leads_to`.
    """

    flow: bytes
    target: Target
    downstream: bool
    token: bytes
    made: int
    hop: bytes


class LoopDetector:
    """Makes the mark by which a request is known that comes back unchanged (§16.6 step 8)."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        """Prepare the hash; `key` may have any length."""
        self._keyed = blake2b(key=blake2b(key, person=b"loop").digest(), digest_size=_LOOP)

    def __call__(self, parts: bytes) -> bytes:
        """A mark of twelve characters, which nobody else can make of these octets."""
        keyed = self._keyed.copy()
        keyed.update(parts)
        return keyed.hexdigest().encode()


class RecordRouteCodec:
    """Writes and reads tokens with one key."""

    __slots__ = ("_hops", "_keyed", "_targets")

    def __init__(self, key: bytes) -> None:
        """Prepare the hashes; `key` may have any length."""
        self._keyed = blake2b(key=blake2b(key, person=b"record-route 2").digest(), digest_size=_MAC)
        self._hops = blake2b(key=blake2b(key, person=b"next hop").digest(), digest_size=_HOP)
        self._targets: dict[bytes, Target] = {}  # few, and all of our own writing

    def write(
        self, flow: bytes, target: Target, behind: bytes, made: int, call_id: bytes, tag: bytes
    ) -> bytes:
        """Make the token of a request with this Call-ID and From tag.

        Args:
            flow: the name of the caller's flow, at most 255 octets.
            behind: the next hop on the way to the caller in canonical form; `b""` if there is none.
            made: when the request came, in seconds since the epoch.
        """
        letter, names = _LETTERS[target.transport], target.domain
        if target.transport == "tls" and target.host != names:
            names += "/" + target.host  # which its certificate may carry instead (`srv_names`)
        where = f"{letter}{target.port:04x}{target.address}/{names}".encode()
        time = min(max(made, 0), _LAST_SECOND).to_bytes(_TIME, "big")
        said = b"%b%b%c%b%b" % (time, self._hop(behind), len(flow), flow, where)
        return _text(said + self._mac(said, call_id, tag))

    def read(
        self, token: bytes, call_id: bytes, from_tag: bytes, to_tag: bytes
    ) -> DialogToken | None:
        """Read a token in a request of these values; None if it isn't ours for this dialog."""
        if len(token) > MAX_TOKEN or _ALPHABET.fullmatch(token) is None:
            return None
        try:
            octets = a2b_base64(token.translate(_FROM_URI) + b"==")
            if _text(octets) != token:  # one text for one token: no spare bits, nothing skipped
                return None
            said, mac = octets[:-_MAC], octets[-_MAC:]
            downstream = compare_digest(mac, self._mac(said, call_id, from_tag))
            if not downstream and not compare_digest(mac, self._mac(said, call_id, to_tag)):
                return None
            flow_end = _FLOW_AT + 1 + said[_FLOW_AT]
            return DialogToken(
                flow=said[_FLOW_AT + 1 : flow_end],
                target=self._target(said[flow_end:]),
                downstream=downstream,
                token=token,
                made=int.from_bytes(said[:_TIME], "big"),
                hop=said[_TIME:_FLOW_AT],
            )
        except (ValueError, IndexError, KeyError):  # base64's and UTF-8's errors are ValueErrors
            return None

    def leads_to(self, dialog: DialogToken, behind: bytes) -> bool:
        """Whether this next hop, in canonical form, is the one that a dialog began with."""
        return compare_digest(dialog.hop, self._hop(behind))

    def _target(self, where: bytes) -> Target:
        """Raises ValueError or KeyError if these octets name none."""
        target = self._targets.get(where)
        if target is None:
            if len(self._targets) >= _MAX_KNOWN:
                self._targets.clear()
            address, domain, *host = where[5:].decode().split("/")
            transport = _TRANSPORTS[where[:1]]
            name = host[0] if host else domain
            target = Target(transport, address, int(where[1:5], 16), name, domain=domain)
            self._targets[where] = target
        return target

    def _hop(self, behind: bytes) -> bytes:
        keyed = self._hops.copy()
        keyed.update(behind)
        return keyed.digest()

    def _mac(self, said: bytes, call_id: bytes, tag: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(signed(said, call_id, tag))
        return keyed.digest()


def signed(said: bytes, call_id: bytes, tag: bytes) -> bytes:
    """The octets to hash: they differ wherever one of the three differs, whatever is in them."""
    sizes = len(said).to_bytes(8, "big") + len(call_id).to_bytes(8, "big")
    return b"%b%b%b%b" % (sizes, said, call_id, tag)


def _text(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False).rstrip(b"=").translate(_TO_URI)
