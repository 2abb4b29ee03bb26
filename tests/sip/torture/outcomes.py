"""What comes of a torture message."""

from tests.sip.in_memory_server import CONTACT, Answer, Served


def redirected(served: Served, data: bytes, contact: bytes = CONTACT) -> Answer:
    """It gets its 302 and nothing was wrong with it."""
    answer = served.ask(data)
    assert answer is not None
    assert (answer.status, answer.reason) == (302, b"Moved Temporarily")
    assert answer[b"Contact"] == contact
    assert served.counted == {}
    return answer


def refused(served: Served, data: bytes, status: int, reason: bytes, counter: str) -> Answer:
    """It gets this answer and this count, and nothing else does."""
    answer = served.ask(data)
    assert answer is not None
    assert (answer.status, answer.reason) == (status, reason)
    assert served.counters.answers == {status: 1}
    assert served.counted == {counter: 1}
    assert answer.all(b"Contact") == []
    return answer
