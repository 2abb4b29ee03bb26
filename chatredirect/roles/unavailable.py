"""The header fields of a 480: when to come again, and why it is so (RFC 3261 §20.33, §20.43).

A 488 says why as well.

480 and not 503, which would take the whole server out of a front end's rotation.
"""

import re

# RFC 3261 §20.43 and RFC 5630 §6.2
NO_SUCH_MEDIA = b"304"
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
    return b"Retry-After: %d\r\n%b" % (retry_after, warning(agent, code, why))


def warning(agent: bytes, code: bytes, why: str) -> bytes:
    """Warning; for the arguments see `unavailable`."""
    text = why.encode("ascii", "replace").translate(_QUOTED_TEXT)[:_MAX_TEXT]
    return b'Warning: %b %b "%b"\r\n' % (code, agent, text)


def reason(fields: bytes) -> str:
    """The text of the Warning among header fields, empty if there is none."""
    warning = _WARNING.search(fields)
    return "" if warning is None else warning[1].decode("utf-8", "backslashreplace")


_WARNING = re.compile(rb'^Warning: \d{3} \S+ "(.*)"\r$', re.MULTILINE)
