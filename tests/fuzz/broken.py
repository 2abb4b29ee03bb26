"""What all promises of the fuzzer share: how one is broken, and limits that no answer meets."""

from chatredirect.sip.limits import Limits

#: An answer is somewhat longer than what it answers, so the same limits would be too tight.
WIDE = Limits(message=2**20, header_line=2**20, headers=1000, via_values=10_000, uri=2**20)


class Broken(AssertionError):
    """A promise didn't hold."""
