"""Regular expressions that record the longest text that they were given."""

import re
from collections.abc import Callable

import pytest

from chatredirect.sip import abnf

#: These get a whole head, or a part of what another pattern has matched.
_WHOLE_HEAD = ("FIELD_END", "BARE_LINE_BREAK", "PLAIN_HEAD", "ESCAPED")


class PatternWatch:
    """Records for all patterns of `abnf`.

    Attributes:
        longest: octets of the longest text.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace every pattern that reads a value by one that records."""
        self.longest = 0
        for name, pattern in vars(abnf).copy().items():
            if isinstance(pattern, re.Pattern) and name not in _WHOLE_HEAD:
                monkeypatch.setattr(abnf, name, _Watcher(self, pattern))


class _Watcher:
    def __init__(self, watched: PatternWatch, pattern: "re.Pattern[bytes]") -> None:
        self._watched = watched
        self._pattern = pattern

    def __getattr__(self, method: str) -> Callable[..., object]:
        def read(text: bytes, *more: int) -> object:
            self._watched.longest = max(self._watched.longest, len(text))
            return getattr(self._pattern, method)(text, *more)

        return read
