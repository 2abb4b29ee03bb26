"""The type of a message's body (RFC 3261 §7.4, §20.11 to §20.15), and the parts of a multipart.

They decide whether a body is understood, and whether it may be ignored if it isn't (§8.2.3). Of a
multipart (RFC 2046 §5.1), `MAX_PARTS` parts are read; a multipart in it isn't understood.
"""

from dataclasses import dataclass

from chatredirect.sip import abnf, headers
from chatredirect.sip.message import Request, values

MAX_PARTS = 8  # of a multipart
_MAX_BOUNDARY = 70  # RFC 2046 §5.1.1
_MAX_HEAD = 2048  # octets of a part's header fields
_ALTERNATIVE = b"multipart/alternative"
#: The types that `find` looks into.
MULTIPARTS = (_ALTERNATIVE, b"multipart/mixed")


class BadMultipart(Exception):
    """A multipart without a boundary or parts, or with too many parts."""


@dataclass(slots=True)
class Body:
    """A body, or a part of one.

    Attributes:
        kind: its media type in lower case, without parameters.
        params: the media type's parameters with their semicolons.
        encoded: whether it has a content encoding (§20.12); none is supported.
        optional: whether it may be ignored (§20.11).
    """

    kind: bytes
    params: bytes
    encoded: bool
    optional: bool
    octets: bytes

    def param(self, name: bytes) -> bytes | None:
        """The value of a parameter of the media type, without quotes; None if it is missing."""
        value = headers.param(self.params, name) if self.params else None
        if value is not None and value[:1] == b'"':
            return value[1:-1].replace(b"\\", b"")  # no value that is used has a backslash
        return value


def body_of(request: Request) -> Body:
    """The body of a request."""
    return _body(
        values(request, b"content-type"),
        values(request, b"content-encoding"),
        values(request, b"content-disposition"),
        request.body,
    )


def find(body: Body, kind: bytes) -> Body | None:
    """The body itself if it has the type `kind`, or the part of a multipart that has it.

    It is the last such part of multipart/alternative (RFC 2046 §5.1.4), and the first of
    multipart/mixed if all other parts may be ignored (RFC 3261 §8.2.3).

    Raises:
        BadMultipart: the multipart can't be read.
    """
    if body.encoded:
        return None
    if body.kind not in MULTIPARTS:
        return body if body.kind == kind else None
    parts = _parts(body)
    fitting = [part for part in parts if part.kind == kind and not part.encoded]
    if not fitting:
        return None
    if body.kind == _ALTERNATIVE:
        return fitting[-1]
    others = (part for part in parts if part is not fitting[0])
    return fitting[0] if all(part.optional for part in others) else None


def _parts(body: Body) -> list[Body]:
    boundary = body.param(b"boundary")
    if not boundary or len(boundary) > _MAX_BOUNDARY:
        raise BadMultipart
    # a preamble comes before the first, an epilogue after the last
    _, *pieces = (b"\r\n" + body.octets).split(b"\r\n--" + boundary, MAX_PARTS + 1)
    parts = []
    for piece in pieces:
        if piece.startswith(b"--"):
            break
        parts.append(_part(piece))
    if not parts or len(parts) > MAX_PARTS:
        raise BadMultipart
    return parts


def _part(piece: bytes) -> Body:
    """Read a part; the piece begins with the rest of the delimiter's line."""
    head, end, octets = piece.partition(b"\r\n\r\n")
    if not end or len(head) > _MAX_HEAD:
        raise BadMultipart
    padding, *lines = abnf.FIELD_END.split(head)
    if padding.strip(b" \t"):
        raise BadMultipart  # the line goes on, so it isn't the boundary
    found: dict[bytes, bytes] = {}
    for name, _, value in (line.partition(b":") for line in lines):
        found.setdefault(name.rstrip(b" \t").lower(), value.strip(b" \t\r\n"))
    named = (b"content-type", b"content-encoding", b"content-disposition")
    types, encodings, dispositions = ([found[n]] if n in found else [] for n in named)
    return _body(types, encodings, dispositions, octets)


def _body(
    types: list[bytes], encodings: list[bytes], dispositions: list[bytes], octets: bytes
) -> Body:
    kind, semicolon, params = types[0].partition(b";") if types else (b"", b"", b"")
    optional = encoded = False
    if dispositions:
        _, _, parameters = dispositions[0].partition(b";")
        handling = headers.param(b";" + parameters, b"handling") or b""
        optional = handling.strip(b'"').lower() == b"optional"
    if encodings:
        encoded = any(value.lower() != b"identity" for value in encodings)
    return Body(kind.strip(b" \t\r\n").lower(), semicolon + params, encoded, optional, octets)
