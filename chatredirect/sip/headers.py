"""The structure of the header fields that are taken apart.

Each function reads the value of one header field, as `chatredirect.sip.parser` has cut it out. It
returns the parts unchanged, or raises the fault that the response names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from chatredirect.sip import abnf
from chatredirect.sip.errors import BadHeaderValue

_MAX_CSEQ = 2**31 - 1  # §8.1.1.5
MAX_ADDRESSES = 70  # of one list: a message has at most 70 hops (RFC 3261 §8.1.1.6)


@dataclass(slots=True)
class Via:
    """The first via-parm of a Via value (RFC 3261 §20.42).

    Attributes:
        host: sent-by's host; IPv6 in its brackets.
        port: sent-by's port, None if it names none.
        params: the parameters with their semicolons, `b""` if there are none.
        end: where it ends in the value; further via-parms may follow.
        readable: False if the parameters are malformed and only sent-by could be read.
        version: the SIP version of its sent-protocol.
    """

    host: bytes
    port: int | None
    params: bytes
    end: int
    readable: bool = True
    version: bytes = b"2.0"


def read_via(value: bytes) -> Via:
    """Read the first via-parm of a Via value.

    Raises:
        BadHeaderValue: sent-by can't be read; such a request can't be answered.
    """
    readable = True
    match = abnf.VIA_PARM.match(value)
    if match is None:
        readable = False
        match = abnf.VIA_SENT_BY.match(value)
        if match is None:
            raise BadHeaderValue(value, "Via")
    version, host, port, params = match.groups()
    number = None if port is None else int(port)
    if number is not None and number > abnf.MAX_PORT:
        raise BadHeaderValue(value, "Via")
    return Via(host, number, params, match.end(), readable, version)


@dataclass(slots=True)
class MandatoryHeaders:
    """The parts of Via, From, To and CSeq that a response needs; Call-ID is valid as well.

    Attributes:
        via: the topmost Via's first via-parm.
        number: the CSeq's sequence number.
        in_dialog: whether the To has a tag (RFC 3261 §12.2.2).
    """

    via: Via
    from_: bytes
    to: bytes
    number: int
    in_dialog: bool

    @property
    def caller(self) -> bytes:
        """The From URI."""
        if self.from_.startswith(b"<"):  # it is valid, so nothing of the name comes before
            return self.from_[1 : self.from_.index(b">")].strip(b" \t\r\n")
        return read_from_to(self.from_, "From").uri

    @property
    def called(self) -> bytes:
        """The To URI."""
        return read_from_to(self.to, "To").uri


@dataclass(slots=True)
class NameAddr:
    """An address: of a From or To (RFC 3261 §20.20, §20.39), or one of a list.

    Attributes:
        uri: the URI as written, without angle brackets.
        params: the header field's parameters with their semicolons.
    """

    uri: bytes
    params: bytes


def read_from_to(value: bytes, name: str) -> NameAddr:
    """Read the value of the header field `name`: From or To.

    Raises:
        BadHeaderValue: it is neither a name-addr nor an addr-spec.
    """
    match = abnf.FROM_TO.match(value)
    if match is None:
        raise BadHeaderValue(value, name)
    return NameAddr(match[1] or match[2], match[3])


def read_tag(value: bytes, name: str) -> bytes | None:
    """The tag in the value of From or To, None if there is none (RFC 3261 §19.3).

    Raises:
        BadHeaderValue: as `read_from_to`; or the tag is empty, or there are several.
    """
    params = read_from_to(value, name).params
    tags = [found for key, found in param_pairs(params) if key.lower() == b"tag"] if params else []
    if len(tags) > 1 or (tags and tags[0] in (b"", b'""')):
        raise BadHeaderValue(value, name)
    return tags[0] if tags else None


def read_addresses(value: bytes, name: str, most: int = MAX_ADDRESSES) -> list[NameAddr]:
    """Read a list of addresses: a value of Contact, Route or Record-Route (RFC 3261 §20.10).

    Raises:
        BadHeaderValue: it isn't a list of addresses, or has more than `most`; `*` is no address.
    """
    found = listed_addresses(value, name, most)
    return [NameAddr(match[1] or match[2], match[3]) for match in found]


def listed_addresses(value: bytes, name: str, most: int) -> Iterator[re.Match[bytes]]:
    """As `read_addresses`, but each address is a match of `abnf.LISTED_ADDRESS`."""
    position = 0
    for _ in range(most):
        match = abnf.LISTED_ADDRESS.match(value, position)
        if match is None:
            break
        yield match
        if match.end() == len(value):
            return
        position = match.end() + 1
    raise BadHeaderValue(value, name)


def read_cseq(value: bytes) -> tuple[int, bytes]:
    """Read the value of CSeq: sequence number and method (RFC 3261 §20.16).

    Raises:
        BadHeaderValue: it isn't a number below 2**31 (§8.1.1.5) and a method.
    """
    match = abnf.CSEQ.match(value)
    if match is None:
        raise BadHeaderValue(value, "CSeq")
    digits = match[1]
    if len(digits) > 10:
        digits = digits.lstrip(b"0") or b"0"
    if len(digits) > 10 or int(digits) > _MAX_CSEQ:
        raise BadHeaderValue(value, "CSeq")
    return int(digits), match[2]


def check_call_id(value: bytes) -> None:
    """Check the value of Call-ID (RFC 3261 §20.8).

    Raises:
        BadHeaderValue: it is empty or contains white space.
    """
    if abnf.CALL_ID.match(value) is None:
        raise BadHeaderValue(value, "Call-ID")


def param(params: bytes, name: bytes) -> bytes | None:
    """The value of one parameter, with its quotes if it has any.

    It is `b""` for a parameter without a value, and None if the parameter isn't there.

    Args:
        params: parameters with their semicolons, as the readers above return them.
        name: the parameter's name in lower case.
    """
    # the usual case: the parameter is the first one, in lower case
    begin = b";%b=" % name
    if params.startswith(begin):
        value, _, _ = params[len(begin) :].partition(b";")
        if value and not abnf.NOT_PLAIN.search(value):
            return value
    if params.lower().find(name) < 0:  # `in` is slower: it tries the name as a number first
        return None
    for key, value in param_pairs(params):
        if key.lower() == name:
            return value
    return None


def param_pairs(params: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and value of the first `abnf.MAX_PARAMS` parameters; a missing value is `b""`."""
    for match in islice(abnf.PARAM_PAIR.finditer(params), abnf.MAX_PARAMS):
        yield match[1], match[2] or b""
