"""A request that isn't done, by lookups or by the proxy: what it is answered with."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatredirect.sip.headers import Envelope
from chatredirect.sip.message import Request
from chatredirect.sip.response import Source, respond, stamp
from chatredirect.sip.status import status_line

_MAX_TAGS = 256  # octets of unknown option tags that a 420 names


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request isn't done.

    Attributes:
        status: status code of the answer.
        fields: its further header fields, each with its CRLF.
        phrase: its reason phrase; None for the usual one.
    """

    status: int
    fields: bytes = b""
    phrase: str | None = None


def unsupported(tags: Sequence[bytes]) -> Refusal:
    """420 for option tags that aren't known here (RFC 3261 §8.2.2.3, §16.3 step 5).

    Args:
        tags: those, one at least. They are named as they came, but for what doesn't fit: who has
            required them knows them.
    """
    named = b", ".join(tags)
    if len(named) > _MAX_TAGS:
        named = named[:_MAX_TAGS].rpartition(b",")[0]
    return Refusal(420, b"Unsupported: %b\r\n" % named if named else b"")


def write(
    request: Request, envelope: Envelope, source: Source, refusal: Refusal, tag: bytes
) -> bytes:
    """An answer without a body.

    Args:
        request: what it answers.
        envelope: its envelope.
        source: where it came from.
        refusal: status and header fields; a 200 will do.
        tag: our tag if its To has none, else `b""`.
    """
    return respond(
        request,
        status_line(refusal.status, refusal.phrase),
        stamp(request.vias[0], envelope.via, source),
        tag,
        refusal.fields,
    )
