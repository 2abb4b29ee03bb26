"""Which messages are of interest.

The first message of a call is compared with the filter; later ones are followed by their Call-ID,
whichever side sends them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from chatredirect.sip.errors import SipError
from chatredirect.sip.message import Message, Request
from chatredirect.sip.response import Peer
from chatredirect.sip.uri import parse_uri

#: Characters that continue a host name.
_HOST_GOES_ON = b"abcdefghijklmnopqrstuvwxyz0123456789-."
#: Whether a message from a peer is of interest.
Wants: TypeAlias = Callable[[Message, Peer], bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """What a message must match; None matches everything.

    Attributes:
        call_id: its Call-ID.
        caller: a substring of its From, in lower case.
        endpoint: `:user@host` of its Request-URI or To, in lower case.
        peer: the IP address of its sender, or a name in lower case that the sender's certificate
            has proved.
        addresses: the IP addresses that DNS gives for the name; they match as well.
    """

    call_id: bytes | None = None
    caller: bytes | None = None
    endpoint: bytes | None = None
    peer: str | None = None
    addresses: frozenset[str] = frozenset()

    def compiled(self) -> Wants:
        """The filter as a function, which is called for every message during a trace."""
        tests = list(self._tests())
        if len(tests) == 1:
            return tests[0]
        return lambda message, source: all(test(message, source) for test in tests)

    def wants_unreadable(self, data: bytes, source: Peer) -> bool:
        """Whether octets that aren't a SIP message may be of interest."""
        if self.peer is not None and not self.is_from(source.host.decode("ascii"), source.names):
            return False
        parts = [part for part in (self.caller, self.endpoint) if part is not None]
        lower = data.lower() if parts else b""
        return all(part in lower for part in parts) and (
            self.call_id is None or self.call_id in data
        )

    def is_from(self, host: str, names: tuple[str, ...]) -> bool:
        """Whether a peer with this address and these proved names is the one that is wanted."""
        return host == self.peer or host in self.addresses or self.peer in names

    def _tests(self) -> Iterator[Wants]:
        """The fastest first."""
        call_id, caller = self.call_id, self.caller
        if call_id is not None:
            yield lambda message, _: message.call_id == call_id
        if self.peer is not None:
            hosts = {each.encode("ascii") for each in (self.peer, *self.addresses)}
            name = self.peer
            yield lambda _, source: source.host in hosts or name in source.names
        if caller is not None:
            yield lambda message, _: message.from_ is not None and caller in message.from_.lower()
        if self.endpoint is not None:
            yield _for_endpoint(self.endpoint)


def _for_endpoint(endpoint: bytes) -> Wants:
    def wants(message: Message, _: Peer) -> bool:
        to = message.to
        if to is not None and endpoint in to.lower() and _holds(to.lower(), endpoint):
            return True
        if not isinstance(message, Request):
            return False
        uri = message.uri
        if endpoint in uri.lower():
            return _holds(uri.lower(), endpoint)
        return b"%" in uri and _spelled_otherwise(uri, endpoint)

    return wants


def _holds(text: bytes, endpoint: bytes) -> bool:
    at = text.find(endpoint)
    if at < 0:
        return False
    after = text[at + len(endpoint) : at + len(endpoint) + 1]
    return not after or after not in _HOST_GOES_ON


def _spelled_otherwise(uri: bytes, endpoint: bytes) -> bool:
    """Whether a URI names the endpoint with escapes (RFC 3261 §19.1.4)."""
    try:
        return parse_uri(uri).canonical_key() == parse_uri(b"sip" + endpoint).canonical_key()
    except SipError:
        return False
