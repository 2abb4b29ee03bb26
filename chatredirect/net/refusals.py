"""Who was refused lately, why, and how often: a table of bounded size.

A refusal costs one look-up in a dictionary and no log line. Strangers choose how many rows they
make, so peers of each `Standing` have rows of their own: a flood of strangers can't push out the
row of a front end whose certificate proves its names. Within one standing the row that goes is the
one with the fewest refusals among those that have waited longest, so a peer that is refused all the
time stays while addresses that come once pass through. Rows that go are counted as `others`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import TypeAlias

from chatredirect.sip.response import Peer

ROWS = 64
"""Peers and reasons that are kept of each standing."""
LATELY = 86_400.0
"""Seconds after which a row that isn't hit again is forgotten."""
_CANDIDATES = 4  # rows that are compared when one has to go
_NAMES = 8  # of a certificate
_MAX_NAME = 253  # characters of a DNS name
_MAX_DETAIL = 256  # characters


class RefusalReason(StrEnum):
    """Why something is refused; the values stand in metrics and in `status`.

    A value with a dot is the configuration key of the limit that was reached.
    """

    NAME_NOT_ALLOWED = "name_not_allowed"
    NO_IDENTITY = "no_identity"
    NO_CERTIFICATE = "no_certificate"
    UNKNOWN_AUTHORITY = "unknown_authority"
    CERTIFICATE_PURPOSE = "certificate_purpose"
    CERTIFICATE_REFUSED = "certificate_refused"
    OUR_CERTIFICATE = "our_certificate"
    NO_COMMON_CIPHER = "no_common_cipher"
    NO_COMMON_VERSION = "no_common_version"
    NOT_TLS = "not_tls"
    TLS_HERE = "tls_here"
    HANDSHAKE_FAILED = "handshake_failed"
    SERVER_NAME = "server_name"
    NOT_TRUSTED = "not_trusted"
    ROUTE = "route"
    OTHER_PEER = "other_peer"
    FORGED_ROUTE = "forged_route"
    PROXY_REQUIRE = "proxy_require"
    RESPONSE_ELSEWHERE = "response_elsewhere"

    CONNECTIONS = "limits.connections"
    CONNECTIONS_PER_PEER = "limits.connections_per_peer"
    HANDSHAKES = "limits.handshakes"
    HANDSHAKES_PER_PEER = "limits.handshakes_per_peer"
    HANDSHAKE_TIMEOUT = "limits.handshake_timeout"
    MESSAGE_TIMEOUT = "limits.message_timeout"
    WRITE_TIMEOUT = "limits.write_timeout"
    USELESS_MESSAGES = "limits.useless_messages"
    PINGS = "limits.pings"
    MESSAGE = "limits.message"
    HEADER_LINE = "limits.header_line"
    HEADERS = "limits.headers"
    VIA_VALUES = "limits.via_values"
    URI = "limits.uri"
    DIALOGS = "limits.dialogs"
    TRANSACTIONS = "proxy.transactions"
    TRANSACTIONS_PER_PEER = "proxy.transactions_per_peer"
    DIALOG_AGE = "proxy.dialog_age"
    TARGET_GRACE = "proxy.target_grace"

    @property
    def is_limit(self) -> bool:
        """Whether it is a limit of the configuration."""
        return "." in self.value


class Standing(StrEnum):
    """What is known of a peer.

    `KNOWN` is trusted, or has proved the names of its certificate. `CONNECTED` has proved its
    address with a connection. Anybody can forge the address of an `UNPROVED` one.
    """

    KNOWN = "known"
    CONNECTED = "connected"
    UNPROVED = "unproved"


@dataclass(slots=True)
class RefusedPeer:
    """A row: one peer, refused for one reason.

    Attributes:
        host: its IP address, without brackets.
        names: the names that its certificate has proved, the first ones.
        detail: more about the last refusal, for people; it may hold the peer's octets.
        first, last: when, in seconds since the epoch.
    """

    reason: RefusalReason
    standing: Standing
    transport: str
    host: str
    names: tuple[str, ...]
    detail: str
    first: float
    last: float
    count: int = 1


@dataclass(slots=True)
class RefusalTotal:
    """All refusals for one reason: how many, when the first and the last one, and whose it was.

    Attributes:
        host: the IP address of the last refused peer; empty if none was.
    """

    count: int = 0
    first: float = 0.0
    last: float = 0.0
    host: str = ""


_Key: TypeAlias = tuple[RefusalReason, str, bytes, tuple[str, ...]]


@dataclass(slots=True)
class Refusals:
    """The refusals of a daemon; `clock` gives seconds since the epoch, without it times are 0.

    Attributes:
        totals: by reason, since the start.
        others: refusals whose rows have made room for others.
    """

    clock: Callable[[], float] = lambda: 0.0
    totals: dict[RefusalReason, RefusalTotal] = field(
        default_factory=lambda: {reason: RefusalTotal() for reason in RefusalReason}
    )
    others: int = 0
    _rows: dict[Standing, dict[_Key, RefusedPeer]] = field(
        default_factory=lambda: {standing: {} for standing in Standing}
    )

    def note(self, reason: RefusalReason, peer: Peer, transport: str, detail: str = "") -> None:
        """Count a refusal. `detail` is for people, and may hold the peer's octets."""
        now = self.clock()
        names = peer.names
        if names:
            names = tuple(name[:_MAX_NAME] for name in names[:_NAMES])
        host = peer.host.decode("ascii")
        total = self.totals[reason]
        total.first = total.first or now
        total.last, total.host = now, host
        total.count += 1
        key = reason, transport, peer.host, names
        standing = standing_of(peer, transport)
        rows = self._rows[standing]
        row = rows.get(key)
        if row is not None:
            row.last = now
            row.count += 1
            row.detail = detail[:_MAX_DETAIL]
            return
        if len(rows) >= ROWS:
            self._make_room(rows)
        detail = detail[:_MAX_DETAIL]
        rows[key] = RefusedPeer(reason, standing, transport, host, names, detail, now, now)

    def rows(self) -> Iterator[RefusedPeer]:
        """The rows of the last day: known peers first, then those refused last."""
        oldest = self.clock() - LATELY
        for rows in self._rows.values():
            for key in [key for key, row in rows.items() if row.last < oldest]:
                del rows[key]
            yield from sorted(rows.values(), key=lambda row: -row.last)

    def _make_room(self, rows: dict[_Key, RefusedPeer]) -> None:
        """Remove the smallest of the rows that have waited longest; the others wait anew."""
        candidates = [(key, rows.pop(key)) for key in tuple(islice(rows, _CANDIDATES))]
        least = min(candidates, key=lambda each: each[1].count)[1]
        for key, row in candidates:
            if row is least:
                self.others += row.count
            else:
                rows[key] = row


def standing_of(peer: Peer, transport: str) -> Standing:
    """What is known of a peer."""
    if peer.trusted or peer.names:
        return Standing.KNOWN
    return Standing.UNPROVED if transport == "udp" else Standing.CONNECTED
