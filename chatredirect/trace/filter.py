"""Which messages are of interest: one comparison for each that isn't.

The first message of a call decides by what stands in it; all that belong to the same call are
followed by their Call-ID then, whichever side they come from.
"""

from dataclasses import dataclass

from chatredirect.sip.errors import SipError
from chatredirect.sip.message import Message, Request
from chatredirect.sip.response import Source
from chatredirect.sip.uri import parse_uri

#: What may follow a host in a URI that isn't longer than the one that is looked for.
_HOST_GOES_ON = b"abcdefghijklmnopqrstuvwxyz0123456789-."


@dataclass(frozen=True, slots=True)
class Filter:
    """What a message must have, all of it that isn't None.

    Attributes:
        call_id: its Call-ID.
        caller: a part of its From, in lower case.
        endpoint: `:user@host` of its Request-URI or To, in lower case.
        peer: the IP address that it came from.
    """

    call_id: bytes | None = None
    caller: bytes | None = None
    endpoint: bytes | None = None
    peer: str | None = None

    def wants(self, message: Message, source: Source) -> bool:
        """Whether a message is of interest by what stands in it."""
        if self.caller is not None and (
            message.from_ is None or self.caller not in message.from_.lower()
        ):
            return False
        if self.call_id is not None and message.call_id != self.call_id:
            return False
        if self.peer is not None and source.host != self.peer.encode("ascii"):
            return False
        return self.endpoint is None or self._is_for(message, self.endpoint)

    def wants_unreadable(self, data: bytes, source: Source) -> bool:
        """Whether octets that are no message are of interest, as far as can be told."""
        if self.peer is not None and source.host != self.peer.encode("ascii"):
            return False
        parts = [part for part in (self.caller, self.endpoint) if part is not None]
        lower = data.lower() if parts else b""
        return all(part in lower for part in parts) and (
            self.call_id is None or self.call_id in data
        )

    def _is_for(self, message: Message, endpoint: bytes) -> bool:
        if isinstance(message, Request):
            if _holds(message.uri.lower(), endpoint):
                return True
            if b"%" in message.uri and _spelled_otherwise(message.uri, endpoint):
                return True
        return message.to is not None and _holds(message.to.lower(), endpoint)


def _holds(text: bytes, endpoint: bytes) -> bool:
    at = text.find(endpoint)
    if at < 0:
        return False
    after = text[at + len(endpoint) : at + len(endpoint) + 1]
    return not after or after not in _HOST_GOES_ON


def _spelled_otherwise(uri: bytes, endpoint: bytes) -> bool:
    """Whether it is the endpoint with escapes in it (RFC 3261 §19.1.4)."""
    try:
        return parse_uri(uri).canonical_key() == parse_uri(b"sip" + endpoint).canonical_key()
    except SipError:
        return False
