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
from chatredirect.sip import codec
from chatredirect.sip.forwarding import Route
from chatredirect.sip.message import Request

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


class KeyedHash:
    """A keyed hash of octets (BLAKE2b, RFC 7693)."""

    __slots__ = ("_begun", "_key", "_size")

    def __init__(self, key: bytes, size: int) -> None:
        """Prepare the hash; the key has 1 to 64 octets, `size` is the digest's."""
        self._key, self._size = key, size
        self._begun = blake2b(key=key, digest_size=size)

    def __call__(self, octets: bytes) -> bytes:
        """The digest of these octets."""
        if codec.keyed_hash is not None:
            return codec.keyed_hash(self._key, self._size, octets)
        keyed = self._begun.copy()
        keyed.update(octets)
        return keyed.digest()


class LoopDetector:
    """Makes the mark by which a request is known that comes back unchanged (§16.6 step 8)."""

    __slots__ = ("_hash", "_key")

    def __init__(self, key: bytes) -> None:
        """Prepare the hash; `key` may have any length."""
        self._key = blake2b(key, person=b"loop").digest()
        self._hash = KeyedHash(self._key, _LOOP)

    def mark(self, request: Request, routes: list[Route]) -> bytes:
        """The mark of a request, twelve characters which nobody else can make.

        Args:
            routes: its Route entries, as they came.
        """
        entries = [route.raw for route in routes]
        if codec.loop_mark is not None:
            mark = codec.loop_mark(self._key, _LOOP, request, entries)
            if mark is not None:
                return mark
        number = (request.cseq or b"").rpartition(b" ")[0]  # without the method of CSeq
        who = (request.uri, request.call_id or b"", request.from_ or b"", request.to or b"")
        return self._hash(b"\n".join((*who, number, *entries))).hex().encode()


class Signature:
    """Signs what a token says, with one key, and reads it again; decides nothing else.

    `said` are the octets to sign, `call_id` and `tag` the dialog that they are signed for.
    """

    __slots__ = ("_hash", "_key")

    def __init__(self, key: bytes) -> None:
        """Prepare the hash; the key has 1 to 64 octets."""
        self._key = key
        self._hash = KeyedHash(key, _MAC)

    def sign(self, said: bytes, call_id: bytes, tag: bytes) -> bytes:
        """What is said and its signature, as text that a URI parameter may hold."""
        if codec.sign is not None:
            return codec.sign(self._key, _MAC, said, call_id, tag)
        return _text(said + self._hash(signed(said, call_id, tag)))

    def read(
        self, text: bytes, call_id: bytes, first: bytes, second: bytes
    ) -> tuple[bytes, bool] | None:
        """What a text says, and whether it is signed for the first of two tags.

        None if it isn't signed for either.
        """
        if codec.unsign is not None:
            return codec.unsign(self._key, _MAC, text, call_id, first, second)
        if _ALPHABET.fullmatch(text) is None:
            return None
        try:
            octets = a2b_base64(text.translate(_FROM_URI) + b"==")
        except ValueError:
            return None
        if _text(octets) != text:  # one text for one token: no spare bits, nothing skipped
            return None
        said, mac = octets[:-_MAC], octets[-_MAC:]
        for tag in (first, second):
            if compare_digest(mac, self._hash(signed(said, call_id, tag))):
                return said, tag is first
        return None


class RecordRouteCodec:
    """Writes and reads tokens with one key."""

    __slots__ = ("_hop", "_no_hop", "_signature", "_targets", "_texts")

    def __init__(self, key: bytes) -> None:
        """Prepare the hashes; `key` may have any length."""
        self._signature = Signature(blake2b(key, person=b"record-route 2").digest())
        self._hop = KeyedHash(blake2b(key, person=b"next hop").digest(), _HOP)
        self._no_hop = self._hop(b"")
        self._targets: dict[bytes, Target] = {}  # few, and all of our own writing
        self._texts: dict[int, tuple[Target, bytes]] = {}  # by the targets' addresses in memory

    def write(
        self, flow: bytes, target: Target, behind: bytes, made: int, call_id: bytes, tag: bytes
    ) -> bytes:
        """Make the token of a request with this Call-ID and From tag.

        Args:
            flow: the name of the caller's flow, at most 255 octets.
            behind: the next hop on the way to the caller in canonical form; `b""` if there is none.
            made: when the request came, in seconds since the epoch.
        """
        known = self._texts.get(id(target))
        where = self._text_of(target) if known is None or known[0] is not target else known[1]
        time = min(max(made, 0), _LAST_SECOND).to_bytes(_TIME, "big")
        hop = self._hop(behind) if behind else self._no_hop
        said = b"%b%b%c%b%b" % (time, hop, len(flow), flow, where)
        return self._signature.sign(said, call_id, tag)

    def _text_of(self, target: Target) -> bytes:
        letter, names = _LETTERS[target.transport], target.domain
        if target.transport == "tls" and target.host != names:
            names += "/" + target.host  # which its certificate may carry instead (`srv_names`)
        where = f"{letter}{target.port:04x}{target.address}/{names}".encode()
        if len(self._texts) >= _MAX_KNOWN:
            self._texts.clear()
        self._texts[id(target)] = target, where
        return where

    def read(
        self, token: bytes, call_id: bytes, from_tag: bytes, to_tag: bytes
    ) -> DialogToken | None:
        """Read a token in a request of these values; None if it isn't ours for this dialog."""
        if len(token) > MAX_TOKEN:
            return None
        read = self._signature.read(token, call_id, from_tag, to_tag)
        if read is None:
            return None
        said, downstream = read
        try:
            flow_end = _FLOW_AT + 1 + said[_FLOW_AT]
            return DialogToken(
                said[_FLOW_AT + 1 : flow_end],
                self._target(said[flow_end:]),
                downstream,
                token,
                int.from_bytes(said[:_TIME], "big"),
                said[_TIME:_FLOW_AT],
            )
        except (ValueError, IndexError, KeyError):  # an older version may have said something else
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


def signed(said: bytes, call_id: bytes, tag: bytes) -> bytes:
    """The octets to hash: they differ wherever one of the three differs, whatever is in them."""
    sizes = len(said).to_bytes(8, "big") + len(call_id).to_bytes(8, "big")
    return b"%b%b%b%b" % (sizes, said, call_id, tag)


def _text(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False).rstrip(b"=").translate(_TO_URI)
