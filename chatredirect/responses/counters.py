"""Counts of responses, drops and faults.

Counting must cost a request next to nothing, so a count is an addition to a dictionary of
integers. No key is ever made of what a peer sent: reasons are the names in the catalogue of
faults, status codes are our own, an unknown method is `other`, and an endpoint is one of the
configuration.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass, field

from chatredirect.endpoints.response_counts import Answers, Tally, add
from chatredirect.net.refusals import Refusals
from chatredirect.usage.recorder import UsageRecorder

LABELLED = 1000
"""More endpoints than this are counted together, unless the configuration sets another limit."""


@dataclass(slots=True)
class Counters:
    """Counts since the start.

    Attributes:
        drops: messages that got no response, by reason.
        faults: malformed messages by the name of the fault, answered or not.
        endpoints: responses by the endpoint's address, if it had a request.
        nobody: responses to requests for no endpoint.
        together: all endpoints' responses if they are too many to be counted one by one.
        usage: takes who was served; None where nobody wants to know.
        refusals: who was refused, and why.
    """

    drops: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    endpoints: dict[str, Tally] = field(default_factory=dict)
    nobody: Tally = field(default_factory=lambda: Tally({}))
    together: Answers | None = None
    usage: UsageRecorder | None = None
    refusals: Refusals = field(default_factory=Refusals)
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
        if endpoint is None:
            tally = self.nobody
        else:
            tally = self.endpoints.get(endpoint) or self.tally(endpoint)
        tally.count(status, method, transport)

    def tally(self, endpoint: str) -> Tally:
        """The responses of the endpoint with this address."""
        tally = self.endpoints.get(endpoint)
        if tally is None:
            together = self.together
            tally = self.endpoints[endpoint] = Tally({} if together is None else together)
        return tally

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
                add(self._former, gone.counts)
        if len(endpoints) > labelled:
            if self.together is None:
                self.together = {}
                for tally in self.endpoints.values():
                    add(self.together, tally.counts)
                    tally.counts = self.together
        elif self.together is not None:
            add(self._former, self.together)
            self.together = None
            for tally in self.endpoints.values():
                tally.counts = {}

    def _separate(self) -> Iterator[Answers]:
        """The endpoints' responses, each count once."""
        if self.together is not None:
            yield self.together
        else:
            yield from (tally.counts for tally in self.endpoints.values())
