"""How the ledger knows our own probe, which is no user.

The probe asks for a nonce over the control socket, and its requests carry a hash of their Call-ID,
keyed with the nonce. Whoever sees such a request can only repeat it with the same Call-ID, for as
long as the nonce lives: that hides no other call. Who can't use the control socket has no nonce.
"""

import hmac
import secrets
import time
from collections.abc import Callable

from chatredirect.sip.caller import probe_proof

FIELD = b"Chatredirect-Probe"
PRODUCT = "chatredirect"
"""The product in our own User-Agent: only its requests are looked at for a proof."""
LIFE = 120.0
"""Seconds after which a nonce proves nothing any more."""
_DIGITS = 64
_GIVEN = LIFE / 2  # seconds that the same nonce is given out, so that each lives half of LIFE


def proof_of(nonce: str, call_id: bytes) -> bytes:
    """What a probe's request carries."""
    return hmac.digest(nonce.encode("ascii"), call_id, "sha256").hex().encode("ascii")


class ProbeNonces:
    """The nonces that a daemon has given out: two at most."""

    __slots__ = ("_clock", "_nonces")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Give out none yet; `clock` gives seconds that never go back."""
        self._clock = clock
        self._nonces: list[tuple[float, str]] = []  # when each was made, the latest last

    def give(self) -> str:
        """A nonce for a probe that begins now."""
        now = self._clock()
        if not self._nonces or now - self._nonces[-1][0] >= _GIVEN:
            self._nonces = [*self._nonces[-1:], (now, secrets.token_hex(16))]
        return self._nonces[-1][1]

    def prove(self, head: bytes, call_id: bytes) -> bool:
        """Whether a request is a probe's.

        Args:
            head: its header fields, or the field of the proof alone.
            call_id: its Call-ID.
        """
        proof = probe_proof(head) if self._nonces else b""
        oldest = self._clock() - LIFE
        return bool(proof) and any(
            made > oldest and hmac.compare_digest(proof[-_DIGITS:], proof_of(nonce, call_id))
            for made, nonce in self._nonces
        )
