"""Expressions that say how long a text they were ever given."""

import re
from collections.abc import Callable

import pytest

from chatredirect.sip import abnf

#: They are given a whole head, or a part of what another has read.
_WHOLE_HEAD = ("FIELD_END", "BARE_LINE_BREAK", "PLAIN_HEAD", "ESCAPED")


class Watched:
    """What all of them say.

    Attributes:
        longest: octets of the longest text.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put a watcher in the place of every expression that takes a value apart."""
        self.longest = 0
        for name, pattern in vars(abnf).copy().items():
            if isinstance(pattern, re.Pattern) and name not in _WHOLE_HEAD:
                monkeypatch.setattr(abnf, name, _Watcher(self, pattern))


class _Watcher:
    def __init__(self, watched: Watched, pattern: "re.Pattern[bytes]") -> None:
        self._watched = watched
        self._pattern = pattern

    def __getattr__(self, method: str) -> Callable[..., object]:
        def read(text: bytes, *more: int) -> object:
            self._watched.longest = max(self._watched.longest, len(text))
            return getattr(self._pattern, method)(text, *more)

        return read
