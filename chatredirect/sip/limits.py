"""Limits on what a peer may send."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on one SIP message.

    Attributes:
        message: octets of a whole message, body included.
        header_line: octets of one header field, its name and folded lines included.
        headers: header fields in a message; a quarter of the lines that they may take.
        via_values: Via values in a message, on however many lines.
        uri: octets of the Request-URI.
    """

    message: int = 65535
    header_line: int = 8192
    headers: int = 128
    via_values: int = 70
    uri: int = 2048


DEFAULT = Limits()
