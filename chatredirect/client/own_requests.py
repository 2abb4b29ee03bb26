"""When a client retransmits a request without a response (RFC 3261 §17.1).

Only over UDP: TCP retransmits by itself.
"""

import math

from chatredirect.sip.transaction.state_machines import T1, T2


class Resending:
    """The pauses of one client transaction: Timer A of an INVITE, Timer E of the others.

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
