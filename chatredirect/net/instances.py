"""Whether another instance has our secret, configuration and version, without telling any of them.

`check --live` sends a nonce with OPTIONS. The answer has a keyed hash of the nonce with each of the
three, and the time. Who doesn't know the secret learns nothing from it; who knows it makes the same
hashes of what it has itself, and sees which differ.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from hashlib import blake2b
from hmac import compare_digest

FIELD = b"Chatredirect-Instance"
"""The header field of the nonce, and of the answer."""
_NONCE = re.compile(rb"\r\n" + FIELD + rb": ([0-9a-f]{32})(?=\r\n|$)")
_HASH = 12  # octets
MAX_CLOCK_DIFFERENCE = 5.0
"""Seconds between the clocks of two instances that aren't worth telling."""


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """What instances have in common.

    Attributes:
        key: the secret.
        fingerprint: that of the configuration.
        clock: seconds since the epoch.
    """

    key: bytes
    fingerprint: str
    version: str
    clock: Callable[[], float]

    def answer(self, head: bytes) -> bytes:
        """The header fields for whoever has sent a nonce in this head; else none."""
        found = _NONCE.search(head)
        if found is None:
            return b""
        date = formatdate(self.clock(), usegmt=True).encode("ascii")  # RFC 3261 §20.17
        return b"%b: %b\r\nDate: %b\r\n" % (FIELD, b";".join(self.hashes(found[1])), date)

    def hashes(self, nonce: bytes) -> tuple[bytes, bytes, bytes]:
        """Keyed hashes of this nonce alone, with the configuration, and with the version."""
        key = blake2b(self.key, person=b"instances").digest()
        said = (b"secret", b"files" + self.fingerprint.encode(), b"version" + self.version.encode())
        made = (blake2b(nonce + each, key=key, digest_size=_HASH) for each in said)
        secret, files, version = (each.hexdigest().encode() for each in made)
        return secret, files, version

    def differences(self, nonce: bytes, answer: bytes, date: bytes | None) -> list[str]:
        """What another instance that answered this to the nonce has otherwise, for people.

        Args:
            answer: the value of `FIELD`.
            date: that of Date.
        """
        theirs = answer.strip().split(b";")
        ours = self.hashes(nonce)
        if len(theirs) != len(ours):
            return ["its answer can't be read: another version"]
        same = [compare_digest(one, other) for one, other in zip(theirs, ours, strict=True)]
        found = []
        if not same[0]:  # then nothing is known of the others
            found.append(
                "another secret: it refuses the dialogs of the mode proxy that began here (481), "
                "and gives repeated requests other To tags"
            )
        elif not same[1]:
            found.append("another configuration: compare the files")
        if same[0] and not same[2]:
            found.append("another version")
        ahead = _ahead(date, self.clock())
        if ahead is not None and abs(ahead) > MAX_CLOCK_DIFFERENCE:
            found.append(f"its clock is {abs(ahead):,.0f} s {'ahead' if ahead > 0 else 'behind'}")
        return found


def _ahead(date: bytes | None, now: float) -> float | None:
    """Seconds by which a Date is ahead; None if it can't be read."""
    if date is None:
        return None
    try:
        return parsedate_to_datetime(date.decode("ascii")).timestamp() - now
    except (ValueError, OverflowError):
        return None
