"""What happened, as plain integers.

Counting must cost a request next to nothing, so a count is an addition to a dictionary of
integers. No key is ever made of what a peer sent: reasons are the names in the catalogue of
faults, status codes are our own.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Counts since the start.

    Attributes:
        answers: answers by status code.
        drops: messages that got no answer, by reason.
        faults: malformed messages by the name of the fault, answered or not.
    """

    answers: dict[int, int] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)

    def answered(self, status: int) -> None:
        """Count an answer."""
        self.answers[status] = self.answers.get(status, 0) + 1

    def dropped(self, reason: str) -> None:
        """Count a message that gets no answer; `reason` is a constant of ours."""
        self.drops[reason] = self.drops.get(reason, 0) + 1

    def malformed(self, fault: str) -> None:
        """Count a fault; `fault` is the `counter` of a `SipError`."""
        self.faults[fault] = self.faults.get(fault, 0) + 1
