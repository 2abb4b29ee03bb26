"""Counts of responses, drops and faults.

Counting must cost a request next to nothing, so a count is an addition to a dictionary of
integers. No key is ever made of what a peer sent: reasons are the names in the catalogue of
faults, status codes are our own, an unknown method is `other`, and an endpoint is one of the
configuration.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import TypeAlias

#: The methods that are counted by name: those with an RFC, and Microsoft's.
METHODS = frozenset((
    b"ACK", b"BYE", b"CANCEL", b"INFO", b"INVITE", b"MESSAGE", b"NOTIFY", b"OPTIONS", b"PRACK",
    b"PUBLISH", b"REFER", b"REGISTER", b"SUBSCRIBE", b"UPDATE", b"BENOTIFY", b"NEGOTIATE",
    b"SERVICE",
))  # fmt: skip
OTHER = b"other"
"""Every other method; no method of a known name is written so."""
LABELLED = 1000
"""More endpoints than this are counted together, unless the configuration sets another limit."""

#: Responses by method, transport and status code.
Answers: TypeAlias = dict[tuple[bytes, str, int], int]


@dataclass(slots=True)
class Tally:
    """The responses of one endpoint.

    Attributes:
        counts: the responses; with very many endpoints they share one dictionary.
        requests: the requests for this endpoint alone in any case.
    """

    counts: Answers
    requests: int = 0


@dataclass(slots=True)
class Counters:
    """Counts since the start.

    Attributes:
        drops: messages that got no response, by reason.
        faults: malformed messages by the name of the fault, answered or not.
        endpoints: responses by the endpoint's address, if it had a request.
        nobody: responses to requests for no endpoint.
        together: all endpoints' responses if they are too many to be counted one by one.
    """

    drops: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    endpoints: dict[str, Tally] = field(default_factory=dict)
    nobody: Tally = field(default_factory=lambda: Tally({}))
    together: Answers | None = None
    _former: Answers = field(default_factory=dict)

    @property
    def answers(self) -> dict[int, int]:
        """Responses by status code."""
        by_status: dict[int, int] = {}
        for counts in (*self._separate(), self.nobody.counts, self._former):
            for (_, _, status), number in counts.items():
                by_status[status] = by_status.get(status, 0) + number
        return by_status

    def answered(self, status: int, method: bytes, transport: str, endpoint: str | None) -> None:
        """Count a response; `endpoint` is the address of the endpoint that it was for, if any."""
        tally = self.nobody if endpoint is None else self.endpoints.get(endpoint)
        if tally is None:
            assert endpoint is not None
            together = self.together
            tally = self.endpoints[endpoint] = Tally({} if together is None else together)
        tally.requests += 1
        key = (method if method in METHODS else OTHER, transport, status)
        counts = tally.counts
        counts[key] = counts.get(key, 0) + 1

    def dropped(self, reason: str) -> None:
        """Count a message that gets no response; `reason` is a constant of ours."""
        self.drops[reason] = self.drops.get(reason, 0) + 1

    def malformed(self, fault: str) -> None:
        """Count a fault; `fault` is the `counter` of a `SipError`."""
        self.faults[fault] = self.faults.get(fault, 0) + 1

    def keep(self, endpoints: Set[str], labelled: int = LABELLED) -> None:
        """Keep the counts of these endpoints' addresses; the others' become part of the sums.

        If there are more than `labelled`, they are counted together.
        """
        for address in [each for each in self.endpoints if each not in endpoints]:
            gone = self.endpoints.pop(address)
            if self.together is None:
                _add(self._former, gone.counts)
        if len(endpoints) > labelled:
            if self.together is None:
                self.together = {}
                for tally in self.endpoints.values():
                    _add(self.together, tally.counts)
                    tally.counts = self.together
        elif self.together is not None:
            _add(self._former, self.together)
            self.together = None
            for tally in self.endpoints.values():
                tally.counts = {}

    def _separate(self) -> Iterator[Answers]:
        """The endpoints' responses, each count once."""
        if self.together is not None:
            yield self.together
        else:
            yield from (tally.counts for tally in self.endpoints.values())


def _add(to: Answers, counts: Answers) -> None:
    for key, number in counts.items():
        to[key] = to.get(key, 0) + number
