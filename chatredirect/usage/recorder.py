"""Takes the uses as requests are served: one for each call, in bounded time and memory.

It runs in the way of a redirect: what a use costs is a few look-ups in dictionaries.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from chatredirect.usage.identity import (
    MAX_READ,
    MAX_URI,
    OTHER_CLIENTS,
    OTHERS,
    KnownNames,
    canonical_caller,
    read_client,
)
from chatredirect.usage.probe_proof import PRODUCT, ProbeNonces
from chatredirect.usage.tally import DAY, Batch, TallyBounds, UsageCount, UsageTally

REDIRECTED, LOOKED_UP, PROXIED = "redirected", "looked_up", "proxied"
"""The outcomes of what was served."""
ONE_CALL = 40.0
"""Seconds in which a request with the same Call-ID is the same use; retransmissions end after 32
(RFC 3261 §17.1.1.2)."""

Namer = Callable[[bytes], str]
"""Gives a From URI the name by which its caller is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameBounds:
    """How many names of one kind of peers are remembered, and worked out in a second.

    Attributes:
        known: callers; up to twice as many.
        callers: new ones in a second.
        clients: new ones in a second.
    """

    known: int
    callers: float
    clients: float


#: Of trusted peers, and of strangers.
BOUNDS = {
    True: NameBounds(known=8192, callers=2000, clients=100),
    False: NameBounds(known=1024, callers=200, clients=20),
}
TRUSTED = TallyBounds(callers=100_000, clients=1000, rows=50_000)
STRANGERS = TallyBounds(callers=10_000, clients=200, rows=10_000)
_KNOWN_CLIENTS = 256
_KNOWN_CALLS = 8192
_OURS = b"\n%b/" % PRODUCT.encode("ascii")
_MAX_ROWS = 8192  # of each kind of peers that are found by one look-up


class _PeerNames:
    """What is known of one kind of peers; they displace nothing of the other kind's.

    Attributes:
        calls: those from `begins` to `ends` and those of the time before, as hashes, the oldest
            first: a dictionary keeps its order, and a set doesn't.
        most_calls: how many there may be until the older ones are forgotten.
        rows: for each endpoint, where redirects of the same client are added up until they are
            taken away: whoever comes again costs one look-up.
        room: how many more rows may be remembered so.
        begins: from when on calls and rows are good, in seconds since 1970; a row is one day's.
        ends: until when.
    """

    __slots__ = (
        "_calls_began", "_older_calls", "begins", "callers", "calls", "clients", "ends",
        "most_calls", "room", "rows",
    )  # fmt: skip

    def __init__(self, bounds: NameBounds, name: Namer) -> None:
        self.clients = KnownNames(
            read_client, OTHER_CLIENTS, most=_KNOWN_CLIENTS, per_second=bounds.clients
        )
        self.callers = KnownNames(name, OTHERS, most=bounds.known, per_second=bounds.callers)
        self.begins = self.ends = self._calls_began = 0.0
        self.calls: dict[int, None] = {}
        self._older_calls = 0
        self.most_calls = _KNOWN_CALLS
        self.forget_rows()

    def begin_anew(self, now: float) -> dict[int, None]:
        """Forget the older calls, unless only the day has ended. Returns those that are left."""
        age = now - self._calls_began
        if not 0.0 <= age < ONE_CALL or len(self.calls) >= self.most_calls:
            known = self._older_calls if age < 2 * ONE_CALL else len(self.calls)
            self.calls = dict.fromkeys(islice(self.calls, known, None))
            self._older_calls = len(self.calls)
            self.most_calls = self._older_calls + _KNOWN_CALLS
            self._calls_began = now
        day_began = now // DAY * DAY
        self.begins = max(self._calls_began, day_began)
        self.ends = min(self._calls_began + ONE_CALL, day_began + DAY)
        self.forget_rows()
        return self.calls

    def forget_rows(self) -> None:
        """Have what is added from now on in other rows."""
        self.rows: dict[str, dict[bytes, UsageCount]] = {}
        self.room = _MAX_ROWS


class UsageRecorder:
    """All uses of a daemon, until they are taken away.

    Attributes:
        on: whether uses are counted at all.
        probes: by which our own probe is known.
    """

    __slots__ = ("_clock", "_strangers", "_tally", "_trusted", "on", "probes")

    def __init__(self, clock: Callable[[], float], name: Namer = canonical_caller) -> None:
        """Count nothing yet. `clock` gives seconds since 1970, and may be set back."""
        self.on = False
        self.probes = ProbeNonces()
        self._clock = clock
        self._tally = UsageTally(TRUSTED, STRANGERS)
        self._trusted = _PeerNames(BOUNDS[True], name)
        self._strangers = _PeerNames(BOUNDS[False], name)

    def name_callers(self, name: Namer) -> None:
        """Name callers otherwise from now on."""
        for names, bounds in ((self._trusted, BOUNDS[True]), (self._strangers, BOUNDS[False])):
            names.callers = KnownNames(name, OTHERS, most=bounds.known, per_second=bounds.callers)
            names.forget_rows()

    def used(
        self,
        endpoint: str,
        call_id: bytes,
        client: bytes,
        outcome: str,
        trusted: bool,
        head: bytes,
    ) -> None:
        """Count a request that was served, unless one of its call was counted before.

        It is written out, without calls of its own, since it is a part of what a redirect costs.

        Args:
            endpoint: the endpoint's address.
            call_id: the request's.
            client: what `sip.caller.caller_and_client` says.
            outcome: one of the three above.
            trusted: whether its peer is.
            head: the request's header fields, or those alone that prove that it is a probe's.
        """
        if not self.on:
            return
        now = self._clock()
        names = self._trusted if trusted else self._strangers
        calls = names.calls
        # a clock that was set back begins anew as well
        if not names.begins <= now < names.ends or len(calls) >= names.most_calls:
            calls = names.begin_anew(now)
        call = hash((endpoint, call_id))  # keyed for each process: nobody can make two collide
        if call in calls:
            return
        calls[call] = None
        rows = names.rows.get(endpoint)
        row = None if rows is None else rows.get(client)
        if row is not None and outcome is REDIRECTED:
            row.count += 1
            if now > row.last:  # noqa: PLR1730  a call of max() is a tenth of all this
                row.last = now
        elif _OURS not in client or not self.probes.prove(head, call_id):
            self._count(names, endpoint, client, now, trusted, outcome)

    def _count(
        self,
        names: _PeerNames,
        endpoint: str,
        client: bytes,
        now: float,
        trusted: bool,
        outcome: str,
    ) -> None:
        caller, _, agent = client.partition(b"\n")
        # what is remembered is bounded; a longer URI is unreadable as a whole and in part
        name = names.callers.find(caller[: MAX_URI + 1], now)
        product = names.clients.find(agent, now)
        row = self._tally.add(now, endpoint, name, product, trusted=trusted, outcome=outcome)
        told_apart = name != OTHERS and product is not OTHER_CLIENTS
        usual = outcome == REDIRECTED and told_apart and len(client) <= MAX_URI + MAX_READ
        if usual and names.room and product.family != PRODUCT:
            names.room -= 1
            names.rows.setdefault(endpoint, {})[client] = row

    def take(self) -> Batch:
        """Everything since the last time, as one batch."""
        self._trusted.forget_rows()
        self._strangers.forget_rows()
        return Batch(self._clock(), self._tally.take())

    @property
    def waiting(self) -> int:
        """Rows that wait to be taken."""
        return len(self._tally)
