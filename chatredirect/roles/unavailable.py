"""The header fields of a 480: when to come again, and why it is so (RFC 3261 §20.33, §20.43).

480 and not 503, which would take the whole server out of a front end's rotation.
"""

import re

# RFC 5630 §6.2 and RFC 3261 §20.43
SIPS_NOT_ALLOWED = b"380"
MISCELLANEOUS = b"399"
_MAX_TEXT = 200  # octets of a Warning's text
# inside quotes: no quote, no backslash, no control character
_QUOTED_TEXT = bytes(
    octet if 0x20 <= octet < 0x7F and octet not in b'"\\' else 0x27 for octet in range(256)
)


def unavailable(retry_after: int, agent: bytes, code: bytes, why: str) -> bytes:
    """Retry-After and Warning.

    Args:
        retry_after: seconds.
        agent: our name.
        code: one of the above.
        why: one line.
    """
    text = why.encode("ascii", "replace").translate(_QUOTED_TEXT)[:_MAX_TEXT]
    return b'Retry-After: %d\r\nWarning: %b %b "%b"\r\n' % (retry_after, code, agent, text)


def reason(fields: bytes) -> str:
    """The text of the Warning among header fields, empty if there is none."""
    warning = _WARNING.search(fields)
    return "" if warning is None else warning[1].decode("utf-8", "backslashreplace")


_WARNING = re.compile(rb'^Warning: \d{3} \S+ "(.*)"\r$', re.MULTILINE)
