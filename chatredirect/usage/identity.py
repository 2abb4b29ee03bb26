"""Who called, and with which client, as the ledger writes it: bounded, cleaned, one spelling."""

import re
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from chatredirect.log.escape import escape
from chatredirect.runtime.rate_limiter import TokenBucket
from chatredirect.sip.errors import BadRequestUri, UnsupportedUriScheme
from chatredirect.sip.uri import parse_uri

OTHERS = "others"
"""Stands for callers and clients over a bound."""
REMOVED = "removed"
"""Stands for callers whose names were removed: their uses stay, so that sums and verdicts do."""
UNREADABLE = "unreadable"
"""The caller of a From URI that is no SIP URI, or too long."""
UNKNOWN = "unknown"
"""The family of a request without a User-Agent."""
MAX_CALLER = 255
"""Octets of a caller's canonical key. A longer one isn't cut: that would join two callers."""
MAX_CLIENT = 64
"""Characters of a family, and of a version."""
MAX_READ = 256
"""Octets of a User-Agent that are read at all; so what is remembered of them is bounded too."""
MAX_URI = 512
"""Octets of a From URI that is taken apart; a longer one is unreadable."""

#: What a Microsoft client's User-Agent holds, in lower case and after a space -> its family; the
#: first that fits counts.
_FAMILIES = (
    ((b" lync 2010 group chat", b" gc/4."), "Lync 2010 Group Chat"),
    ((b" group chat", b" groupchat"), "Group Chat"),
    ((b" office communicator 2007 r2", b" oc/3.5."), "Office Communicator 2007 R2"),
    ((b" office communicator", b" oc/2."), "Office Communicator 2007"),
    ((b" skype for business", b" oc/16."), "Skype for Business"),
    ((b" lync 2010", b" oc/4."), "Lync 2010"),
    ((b" lync", b" oc/15."), "Lync 2013"),
)
FAMILIES = frozenset((*(family for _, family in _FAMILIES), UNKNOWN, OTHERS))
"""All families but those that are named as unknown clients call themselves."""
_VERSIONS = (b" oc/", b" gc/", b" uccapi/")
_NUMBER = re.compile(rb"[0-9.]{1,40}")
# no part can match what the next one can, so each octet is looked at once
_PRODUCT = re.compile(rb"([^\s/()]{1,64})[^\s/()]*(?:/([^\s()]{0,64}))?")

_Name = TypeVar("_Name")


class ClientProduct(NamedTuple):
    """A client's product family and version, `""` if it names none."""

    family: str
    version: str


OTHER_CLIENTS = ClientProduct(OTHERS, "")
"""Clients over a bound."""


def canonical_caller(uri: bytes) -> str:
    """A From URI as one person: `sip:user@host` without case, escapes, parameters and tag."""
    if len(uri) > MAX_URI:
        return UNREADABLE
    try:
        key = parse_uri(uri).canonical_key()
    except (BadRequestUri, UnsupportedUriScheme):
        return UNREADABLE
    if len(key) > MAX_CALLER:
        return UNREADABLE
    return "sip:" + escape(key.decode("utf-8", "backslashreplace"))


def read_client(user_agent: bytes) -> ClientProduct:
    """The product and version of a User-Agent; an unknown product is named as it calls itself.

    At most `MAX_READ` octets are read, each a fixed number of times.
    """
    text = user_agent[:MAX_READ].strip()
    words = b" " + text.lower().replace(b"(", b" ")
    for marks, family in _FAMILIES:
        if marks[0] in words or marks[1] in words:
            return ClientProduct(family, _version(words))
    product = _PRODUCT.match(text)
    if product is None:
        return ClientProduct(_shown(text) or UNKNOWN, "")
    return ClientProduct(_shown(product[1]), _shown(product[2] or b""))


def _version(words: bytes) -> str:
    for name in _VERSIONS:
        at = words.find(name)
        number = None if at < 0 else _NUMBER.match(words, at + len(name))
        if number is not None:
            return number[0].decode("ascii")
    return ""


def _shown(octets: bytes) -> str:
    return escape(octets[:MAX_CLIENT].decode("utf-8", "backslashreplace"))[:MAX_CLIENT]


class KnownNames(Generic[_Name]):
    """What octets of peers mean: worked out once, remembered for the latest, a bounded number.

    Working one out costs many times what finding it does, and peers choose the octets: so only so
    many new ones a second are worked out, and the rest is called `instead`.
    """

    __slots__ = ("_budget", "_instead", "_most", "_new", "_old", "_per_second", "_work_out")

    def __init__(
        self,
        work_out: Callable[[bytes], _Name],
        instead: _Name,
        *,
        most: int,
        per_second: float,
    ) -> None:
        """Remember between `most` and twice as many; work out `per_second` in the long run."""
        self._work_out = work_out
        self._instead = instead
        self._most = most
        self._per_second = per_second
        self._budget = TokenBucket(per_second)
        self._new: dict[bytes, _Name] = {}
        self._old: dict[bytes, _Name] = {}

    def find(self, octets: bytes, now: float) -> _Name:
        """What they mean; `now` in seconds that may go back."""
        name = self._new.get(octets)
        if name is not None:
            return name
        name = self._old.get(octets)
        if name is None:
            if not self._budget.take(self._per_second, self._per_second, now):
                return self._instead
            name = self._work_out(octets)
        if len(self._new) >= self._most:
            self._old, self._new = self._new, {}
        self._new[octets] = name
        return name
