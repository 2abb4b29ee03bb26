"""The catalogue of faults: complete, and safe to show."""

import pytest

from chatredirect.sip import errors
from chatredirect.sip.errors import BadHeaderValue, NotSip, SipError, Unanswerable


def catalogue() -> list[type[SipError]]:
    return [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, SipError) and each is not SipError
    ]


@pytest.mark.parametrize("error", catalogue(), ids=lambda each: each.__name__)
def test_every_fault_is_complete(error: type[SipError]) -> None:
    """A status to answer with, or none; a phrase, a section, a counter, and a place in the list."""
    assert error.__doc__
    assert error.__name__ in (errors.__doc__ or "")
    if error is Unanswerable:
        return
    assert error.phrase.isascii()
    assert error.phrase.isprintable()
    assert error.section.startswith("RFC ")
    assert error.counter.replace("_", "").isalpha()
    assert error.counter != SipError.counter
    if issubclass(error, Unanswerable):
        assert error.status is None
    else:
        assert error.status in (400, 414, 416, 505, 513)


def test_counters_tell_faults_apart() -> None:
    counters = [each.counter for each in catalogue() if each is not Unanswerable]
    assert len(set(counters)) == len(counters)


HOSTILE = [
    b"\r\nSet-Cookie: x",
    b"\x1b[2J\x07\x00",
    b"\xff\xfe\xe2\x80\xa8",
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{LINE SEPARATOR}".encode(),
    b"'\"\\x41%s{0}",
    bytes(range(256)),
    b"\xff" * 70000,
]


@pytest.mark.parametrize("octets", HOSTILE, ids=range(len(HOSTILE)))
def test_offending_octets_are_escaped_and_cut(octets: bytes) -> None:
    """One printable line, whatever a peer sent; all of it is still there for who wants it."""
    error = BadHeaderValue(octets, "Via")
    text = str(error)
    assert text.isprintable()
    assert len(text) < 350
    assert text.startswith("Bad Via (RFC 3261 §20): ")
    assert text.endswith("...") == (len(octets) > 64)
    assert error.offending == octets


def test_no_two_read_alike() -> None:
    r"""An octet escaped and the same escape written out: `\xff` and `\\xff`."""
    assert str(NotSip(b"\xff")) != str(NotSip(b"\\xff"))
    assert str(NotSip(b"a\n")) != str(NotSip(b"a\\n"))


def test_without_octets() -> None:
    assert str(errors.MissingHeader(about="To")) == "Missing To (RFC 3261 §8.1.1)"
