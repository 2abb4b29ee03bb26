"""What a proxy changes in a message; everything else stays as it was received.

RFC 3261 §16.6 lists the changes of a request: Request-URI, Max-Forwards, Record-Route, Route and
Via. So a request is split into its header fields once, and only those fields are replaced. Of all
others spelling, order and folding stay the received octets. A response only loses its topmost Via
(§16.7).
"""

import re
from dataclasses import dataclass

from chatredirect.sip import abnf, codec, headers
from chatredirect.sip.errors import BadHeaderValue, RepeatedHeader
from chatredirect.sip.message import HEAD_END, Response, is_folded
from chatredirect.sip.parser import USUAL_OTHERS, by_spelling

_VIA, _ROUTE, _MAX_FORWARDS, _PROXY_REQUIRE, _LENGTH, _RECORD_ROUTE, _OTHER = range(7)
_NAMES: dict[int, tuple[bytes, ...]] = {
    _OTHER: (b"From", b"To", b"Call-ID", b"CSeq", b"f", b"t", b"i", *USUAL_OTHERS),
    # some of these are USUAL_OTHERS as well: the last entry of a name counts
    _VIA: (b"Via", b"v"),
    _ROUTE: (b"Route",),
    _MAX_FORWARDS: (b"Max-Forwards",),
    _PROXY_REQUIRE: (b"Proxy-Require",),
    _LENGTH: (b"Content-Length", b"l"),
    _RECORD_ROUTE: (b"Record-Route",),
}
_KIND_BY_SPELLING = by_spelling(_NAMES)
_KIND_BY_LOWER_NAME = {name.lower(): kind for kind, names in _NAMES.items() for name in names}

#: Fields of an INVITE that its ACK and CANCEL have as well.
_KEPT = frozenset((b"route", b"from", b"f", b"to", b"t", b"call-id", b"i", b"cseq"))
_COMMA = 0x2C
_FIRST_HOPS = b"Max-Forwards: 70"
_MOST_DIGITS = 6
_MAX_ROUTE = 4096  # octets of all Route fields, which are one list (§7.3.1)
_MAX_TAGS = 64  # option tags; IANA's registry has some forty


@dataclass(slots=True)
class Route:
    """One entry of a request's Route header fields.

    Attributes:
        uri: the URI, without angle brackets.
        raw: the whole entry as received, with angle brackets and parameters.
        at: the index of the entry's field.
    """

    uri: bytes
    raw: bytes
    at: int


@dataclass(slots=True)
class HeaderEditor:
    """The header fields of a message to be forwarded.

    `fields` has each field with its folds; an empty one isn't written. The other attributes are the
    indexes of fields: of the topmost Via, of Content-Length and of the topmost Record-Route (-1 if
    there is none), and of all Route, Max-Forwards and Proxy-Require fields.
    """

    start_line: bytes
    fields: list[bytes]
    via: int
    routes: list[int]
    max_forwards: list[int]
    proxy_require: list[int]
    length: int
    record_route: int

    def hops(self) -> int | None:
        """The value of Max-Forwards; None if there is none (§20.22).

        Raises:
            BadHeaderValue: it isn't a number.
            RepeatedHeader: there are two.
        """
        if not self.max_forwards:
            return None
        if len(self.max_forwards) > 1:
            raise RepeatedHeader(self.fields[self.max_forwards[1]], "Max-Forwards")
        digits = self._value(self.max_forwards[0])
        if not digits.isdigit() or len(digits) > _MOST_DIGITS:
            raise BadHeaderValue(digits, "Max-Forwards")
        return int(digits)

    def count_down(self, hops: int | None) -> None:
        """Write Max-Forwards: one less than `hops`, or 70 if there was none (§16.6 step 3)."""
        if hops is None:
            self.fields.append(_FIRST_HOPS)
        else:
            self.fields[self.max_forwards[0]] = b"Max-Forwards: %d" % (hops - 1)

    def required(self) -> list[bytes]:
        """The option tags of Proxy-Require (§20.29).

        Raises:
            BadHeaderValue: there are too many.
        """
        if not self.proxy_require:
            return []
        values = b",".join(map(self._value, self.proxy_require))
        parts = values.split(b",", _MAX_TAGS)
        if len(parts) > _MAX_TAGS:
            raise BadHeaderValue(values, "Proxy-Require")
        return [tag for tag in (part.strip() for part in parts) if tag]

    def route_set(self) -> list[Route]:
        """All entries of Route, from the top.

        Raises:
            BadHeaderValue: one can't be read, or there are too many.
        """
        octets = sum(len(self.fields[at]) for at in self.routes)
        if len(self.routes) > headers.MAX_ADDRESSES or octets > _MAX_ROUTE:
            raise BadHeaderValue(self.fields[self.routes[-1]], "Route")
        entries: list[Route] = []
        for at in self.routes:
            value = self._value(at)
            if value[:1] == b"<" and abnf.PLAIN_ROUTE.match(value):
                entries.append(Route(value[1:-1], value, at))
                continue
            room = headers.MAX_ADDRESSES - len(entries)
            entries += [
                Route(match[1] or match[2], match[0].strip(), at)
                for match in headers.listed_addresses(value, "Route", room)
            ]
        return entries

    def recorded(self) -> bytes:
        """The value of the topmost Record-Route field; `b""` if there is none."""
        return self._value(self.record_route) if self.record_route >= 0 else b""

    def keep_routes(self, entries: list[Route]) -> None:
        """Keep only these entries of Route, in their order."""
        by_field: dict[int, list[bytes]] = {at: [] for at in self.routes}
        for entry in entries:
            by_field[entry.at].append(entry.raw)
        for at, kept in by_field.items():
            self.fields[at] = b"Route: " + b", ".join(kept) if kept else b""

    def append_route(self, uri: bytes) -> None:
        """Append an entry to the last Route field."""
        entry = b"Route: <%b>" % uri
        if self.routes:  # after the last field, which may be empty by now
            last = self.routes[-1]
            before = self.fields[last]
            self.fields[last] = b"%b\r\n%b" % (before, entry) if before else entry
        else:
            self.fields.append(entry)

    def stamp(self, via: bytes) -> None:
        """Replace the topmost Via value by one with `received` (§18.2.1)."""
        self.fields[self.via] = b"Via: " + via

    def drop(self, fields: re.Pattern[bytes]) -> None:
        """Leave out all fields that match a pattern of `named`."""
        for at, line in enumerate(self.fields):
            broken = (
                0x0D in line or 0x0A in line
            )  # CR or LF: otherwise only its beginning can match
            if line and (fields.search if broken else fields.match)(b"\n" + line):
                self.fields[at] = b""

    def head(self) -> bytes:
        """Start-line and header fields."""
        return b"\r\n".join((self.start_line, *filter(None, self.fields)))

    def rest(self, body: bytes) -> bytes:
        """All header fields, the empty line and the body.

        Content-Length is replaced: it may be missing over UDP but not on a stream (§18.3), and the
        next hop may read a fold, a space before the colon or a second Content-Length differently.
        """
        length = b"Content-Length: %d" % len(body)
        if self.length >= 0:
            self.fields[self.length] = length
        fields = list(filter(None, self.fields))
        if self.length < 0:
            fields.append(length)
        fields.append(b"\r\n" + body)
        return b"\r\n".join(fields)

    def _value(self, at: int) -> bytes:
        return self.fields[at].partition(b":")[2].strip(b" \t\r\n")


def lay_out(head: bytes) -> HeaderEditor:
    """Split a message's head, a valid start-line and header fields, into header fields."""
    folded = is_folded(head)
    fields = abnf.FIELD_END.split(head) if folded else head.split(b"\r\n")
    start_line = fields.pop(0)
    found: tuple[list[int], ...] = ([], [], [], [], [], [])  # the indexes of fields by their kind
    for at, line in enumerate(fields):
        name = line.partition(b":")[0]
        kind = _KIND_BY_SPELLING.get(name)
        if kind is None:
            kind = _KIND_BY_LOWER_NAME.get(name.rstrip(b" \t").lower(), _OTHER)
        if kind != _OTHER:
            found[kind].append(at)
    vias, routes, max_forwards, proxy_require, lengths, recorded = found
    for repeated in lengths[1:]:
        fields[repeated] = b""
    via = vias[0] if vias else -1
    length = lengths[0] if lengths else -1
    record_route = recorded[0] if recorded else -1
    return HeaderEditor(
        start_line, fields, via, routes, max_forwards, proxy_require, length, record_route
    )


def has_further_via(vias: list[bytes]) -> bool:
    """Whether a response with these Via values has a via-parm besides the topmost, which is ours.

    Raises:
        BadHeaderValue: the field of the topmost has several, and it can't be read.
    """
    top = vias[0]
    if _COMMA in top and headers.read_via(top).end < len(top):
        return True
    return len(vias) > 1


def returned(response: Response) -> bytes:
    """A response without its topmost Via, which is ours (§16.7 step 3).

    The response has at least one more via-parm.

    Raises:
        BadHeaderValue: its field has several via-parms, and the topmost can't be read.
    """
    if codec.returned is not None:
        written = codec.returned(response)
        if written is not None:
            return written
    head, top = response.head, response.vias[0]
    end = head.find(b"\r\n")
    first = b"Via: " + top
    if (
        response.content_length is not None
        and _COMMA not in top
        and len(response.vias) > 1
        and head.startswith(first, end + 2)
        and head.startswith(b"\r\n", end + 2 + len(first))
        and not is_folded(head)
    ):
        return b"%b%b\r\n\r\n%b" % (head[:end], head[end + 2 + len(first) :], response.body)
    editor = lay_out(head)
    further = b""
    if _COMMA in top:
        further = top[headers.read_via(top).end :].lstrip(b" \t\r\n,")
    editor.fields[editor.via] = b"Via: " + further if further else b""
    return b"%b\r\n%b" % (editor.start_line, editor.rest(response.body))


def addressed_to(response: Response, vias: list[bytes]) -> None:
    """Add the Via values of the request to a response that has only ours."""
    editor = lay_out(response.head)
    editor.fields[editor.via] += b"".join(b"\r\nVia: " + via for via in vias)
    response.head = editor.head()
    response.vias = [*response.vias, *vias]


def named(*names: bytes) -> re.Pattern[bytes]:
    """A pattern for fields with these names, in every spelling that a receiver might accept.

    It allows spaces or a fold before the colon, and also finds names after a fold or a bare CR or
    LF: a receiver without folding, or with other line breaks, sees a field there. A match begins
    with a line break, so one is put before a field: to search for that is the cheapest way.
    """
    any_name = rb"|".join(names)
    return re.compile(rb"(?i)[\r\n][ \t]*+(?=[a-z])(?:" + any_name + rb")[ \t\r\n]*+:")


def without(head: bytes, fields: re.Pattern[bytes]) -> bytes:
    """A message's head without the fields that match a pattern of `named`."""
    editor = lay_out(head)
    editor.drop(fields)
    return editor.head()


def ack_of(invite: bytes, to: bytes) -> bytes:
    """The ACK of a response to an INVITE as it was sent; not of a 2xx (RFC 3261 §17.1.1.3)."""
    return _derived(invite, b"ACK", to)


def cancel_of(invite: bytes, fields: bytes = b"") -> bytes:
    """The CANCEL of an INVITE as it was sent (RFC 3261 §9.1); further fields end with a CRLF."""
    return _derived(invite, b"CANCEL", None, fields)


def _derived(invite: bytes, method: bytes, to: bytes | None, more: bytes = b"") -> bytes:
    """A request with the INVITE's Request-URI, topmost Via, CSeq number and fields of `_KEPT`."""
    head = invite.partition(HEAD_END)[0]
    start_line, _, fields = head.partition(b"\r\n")
    via, *others = abnf.FIELD_END.split(fields)
    lines = [method + start_line[start_line.index(b" ") :], via, _FIRST_HOPS]
    for line in others:
        name, _, value = line.partition(b":")
        name = name.rstrip(b" \t").lower()
        if name not in _KEPT:
            continue
        if name == b"cseq":
            lines.append(b"CSeq: %b %b" % (value.split()[0], method))
        elif name in (b"to", b"t") and to is not None:
            lines.append(b"To: " + to)
        else:
            lines.append(line)
    lines.append(more + b"Content-Length: 0\r\n\r\n")
    return b"\r\n".join(lines)
