"""What one instance tells another one of itself: whether they have the same, and nothing else."""

from dataclasses import replace

import pytest

from chatredirect.net.instances import FIELD, InstanceIdentity

NONCE = b"0123456789abcdef" * 2
NOW = 1_800_000_000.0
OURS = InstanceIdentity(b"a secret of sixteen characters", "a" * 64, "1.0.0", lambda: NOW)
HEAD = b"OPTIONS sip:cr.contoso.com SIP/2.0\r\nVia: x\r\n%b: %b\r\nTo: y"


def differences(other: InstanceIdentity, nonce: bytes = NONCE) -> list[str]:
    """What we see of the other instance by its answer."""
    lines = other.answer(HEAD % (FIELD, nonce)).split(b"\r\n")
    told = dict(line.split(b": ", 1) for line in lines if line)
    return OURS.differences(NONCE, told[FIELD], told[b"Date"])


def test_the_same() -> None:
    assert differences(OURS) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"key": b"another secret of sixteen"}, ["another secret"]),
        ({"key": b"another secret of sixteen", "fingerprint": "b" * 64}, ["another secret"]),
        ({"fingerprint": "b" * 64}, ["another configuration"]),
        ({"version": "1.1.0"}, ["another version"]),
        ({"version": "1.1.0", "fingerprint": "b"}, ["another configuration", "another version"]),
        ({"clock": lambda: NOW + 3600}, ["its clock is 3,600 s ahead"]),
        ({"clock": lambda: NOW - 3600}, ["its clock is 3,600 s behind"]),
        ({"clock": lambda: NOW + 2}, []),
    ],
)
def test_what_differs(change: dict[str, object], says: list[str]) -> None:
    """Without the same secret nothing else is known."""
    found = differences(replace(OURS, **change))  # type: ignore[arg-type]
    assert [each.startswith(what) for each, what in zip(found, says, strict=True)] == [
        True for _ in says
    ]


def test_an_answer_to_another_nonce_is_no_proof() -> None:
    """A recorded answer, or one of somebody who doesn't know the secret."""
    assert differences(OURS, NONCE[::-1])[0].startswith("another secret")


@pytest.mark.parametrize("nonce", [b"", b"x" * 32, NONCE + b"0", NONCE[1:], NONCE.upper()])
def test_who_asks_otherwise_is_told_nothing(nonce: bytes) -> None:
    assert OURS.answer(HEAD % (FIELD, nonce)) == b""
    assert OURS.answer(b"OPTIONS sip:cr.contoso.com SIP/2.0\r\nVia: x") == b""


@pytest.mark.parametrize("answer", [b"", b"x", b"a;b", b"a;b;c;d", b"\xff;\xff;\xff"])
@pytest.mark.parametrize(
    "date", [None, b"", b"yesterday", b"\xff", b"Sat, 99 Nov 9999 99:99:99 GMT"]
)
def test_answers_that_cant_be_read(answer: bytes, date: bytes | None) -> None:
    assert OURS.differences(NONCE, answer, date)


def test_strangers_learn_nothing() -> None:
    """Neither secret, fingerprint nor version is there, and no two nonces give the same."""
    answers = {OURS.answer(HEAD % (FIELD, b"%032x" % n)) for n in range(10)}
    assert len(answers) == 10
    for each in answers:
        assert b"1.0.0" not in each
        assert OURS.fingerprint[:8].encode() not in each
        assert OURS.key not in each
