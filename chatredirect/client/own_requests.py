"""What our own requests need beside their text: identifiers, and when they are sent again."""

import math
import os
import secrets
from binascii import hexlify

from chatredirect.sip.transaction.state_machines import T1, T2

# Random, so that nobody can guess or repeat them.


def new_branch() -> bytes:
    """A branch that no other transaction has, with RFC 3261's cookie (§8.1.1.7)."""
    return b"z9hG4bK" + hexlify(os.urandom(8))  # as `secrets` does, in half the time


def new_tag() -> bytes:
    """A From tag (§19.3)."""
    return secrets.token_hex(6).encode("ascii")


def new_call_id() -> bytes:
    """A Call-ID (§8.1.1.4)."""
    return secrets.token_hex(12).encode("ascii")


class Resending:
    """When a request without a response is sent again (RFC 3261 §17.1): Timer A or Timer E.

    Only over UDP: TCP retransmits by itself.

    Attributes:
        pause: seconds from the last sending to the next; infinite where there is none.
    """

    __slots__ = ("_invite", "_reliable", "pause")

    def __init__(self, *, invite: bool, reliable: bool) -> None:
        """Begin when the request has been sent for the first time."""
        self._invite = invite
        self._reliable = reliable
        self.pause = math.inf if reliable else T1

    def sent(self) -> None:
        """The request was retransmitted."""
        # Timer A doubles until Timer B ends all (§17.1.1.2), Timer E up to T2 (§17.1.2.2)
        self.pause = 2 * self.pause if self._invite else min(2 * self.pause, T2)

    def provisional(self) -> None:
        """A provisional response came: stop retransmitting an INVITE, send others every T2."""
        if not self._reliable:
            self.pause = math.inf if self._invite else T2
