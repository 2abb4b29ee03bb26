"""Status codes and the reason phrases that go with them (RFC 3261 §21)."""

from functools import lru_cache

PHRASES = {
    100: "Trying",
    200: "OK",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    305: "Use Proxy",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    430: "Flow Failed",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    505: "Version Not Supported",
    513: "Message Too Large",
}


@lru_cache(maxsize=256)
def status_line(status: int, phrase: str | None = None) -> bytes:
    """A Status-Line without its CRLF (RFC 3261 §7.2).

    Args:
        status: the code.
        phrase: ASCII; the RFC's own for that code if it is left out.
    """
    return f"SIP/2.0 {status} {phrase or PHRASES[status]}".encode("ascii")
