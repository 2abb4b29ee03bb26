"""Secrets made unreadable, each octet of them an `x`.

Lengths stay, so Content-Length stays true and a capture can be taken apart as if nothing had been
done to it. Masked are what credentials and challenges carry (RFC 7235's header fields, with
Kerberos, NTLM and TLS-DSK as Microsoft uses them), passwords in URIs, keys in session
descriptions (RFC 4568, RFC 8866 §5.12, RFC 8839), and passwords and tokens in XML. What can't be
looked into, since it is compressed, is masked as a whole.
"""

import re
from collections.abc import Callable

from chatredirect.sip.message import HEAD_END

_MASK = b"x"
MAX_SECRETS = 128
"""Of one kind that are masked one by one: each costs time. What has more is masked as a whole."""
_MAX_CREDENTIALS = 8192  # octets that are looked into
_MAX_PARAMS = 32  # of credentials
# What is looked for begins with one of few octets, which is quick: text has a line break before it.
_FIELD = re.compile(
    rb"([\r\n](?:(?:proxy-)?(?:authorization|authenticate|authentication-info)|www-authenticate"
    rb"|cookie|ms-identity-cookie|p-access-token)"
    rb"[ \t]*+:[ \t]*+)([^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*)",
    re.IGNORECASE,
)
_SCHEME = re.compile(rb"[A-Za-z0-9!#-'*+.^_`|~-]+(?=[ \t\r\n])")
#: A name, and a value that can't be the padding of something that stands alone.
_PARAM = re.compile(
    rb"[ \t\r\n]*([A-Za-z-]{1,24})[ \t\r\n]*="
    rb'[ \t\r\n]*("[^"\\]*+(?:\\.[^"\\]*+)*"|[^",=\s]++)[ \t\r\n]*+(?:,|\Z)',
    re.DOTALL,
)
#: What says which account and which server, and proves nothing.
_HARMLESS = frozenset(b"algorithm auth-param charset qop realm stale targetname version".split())
#: In a run of octets that ends before an `@`: each octet is in one run only, so the time is linear.
_URI_PASSWORD = re.compile(
    rb"([\s@<>\"](?=[^\s@<>\"]++@)"
    rb"[^\s@<>\"]*?(?<![a-z0-9])sips?:[^\s:@<>\";?]*+:)([^\s@<>\"]++)",
    re.IGNORECASE,
)
_ENCODED = re.compile(
    rb"[\r\n](?:content-encoding|e)[ \t]*:[ \t]*+(?!identity[ \t]*[\r\n])",
    re.IGNORECASE,
)
_IN_BODY = (
    re.compile(rb"(inline:)([^\s|;]+)", re.IGNORECASE),  # RFC 4568 §6.1
    re.compile(rb"([\r\n](?:k=|a=ice-pwd:|a=key-mgmt:))([^\r\n]++)", re.IGNORECASE),
    re.compile(
        rb"(<(?:[\w.-]++:)?(?:password|token|ticket|cookie|BinarySecurityToken)\b[^<>]*+>)"
        rb"([^<]++)",
        re.IGNORECASE,
    ),
)


#: What there must be before it is worth the time to look closer; in lower case.
_HINTS = (b"auth", b"cookie", b"p-access-token")
_BODY_HINTS = (
    b"inline:",
    b"k=",
    b"ice-pwd",
    b"key-mgmt",
    b"password",
    b"token",
    b"ticket",
    b"cookie",
)


def mask(data: bytes) -> bytes:
    """A message without its secrets, of the same length.

    Args:
        data: its octets, whether it is well-formed or not.
    """
    end = data.find(HEAD_END)
    if end < 0:
        head, body = data, b""
    else:
        head, body = data[: end + len(HEAD_END)], data[end + len(HEAD_END) :]
    lower = head.lower()
    if any(hint in lower for hint in _HINTS):
        head = _masked(_FIELD, _mask_field, head)
    head = _mask_passwords(head)
    return head + _mask_body(body, head) if body else head


def _mask_body(body: bytes, head: bytes) -> bytes:
    if _ENCODED.search(head):
        return _MASK * len(body)
    lower = body.lower()
    if any(hint in lower for hint in _BODY_HINTS):
        for pattern in _IN_BODY:
            body = _masked(pattern, _mask_second, body)
    return _mask_passwords(body)


def _mask_passwords(text: bytes) -> bytes:
    return _masked(_URI_PASSWORD, _mask_second, text) if b"@" in text else text


def _masked(
    pattern: "re.Pattern[bytes]", mask_one: Callable[[re.Match[bytes]], bytes], text: bytes
) -> bytes:
    """All that a pattern finds; the text as a whole if that is more than anybody sends."""
    masked, found = pattern.subn(mask_one, b"\n" + text, MAX_SECRETS)
    return masked[1:] if found < MAX_SECRETS else _hidden(text)


def _mask_second(match: re.Match[bytes]) -> bytes:
    return match[1] + _MASK * len(match[2])


def _mask_field(match: re.Match[bytes]) -> bytes:
    return match[1] + _mask_credentials(match[2])


def _mask_credentials(value: bytes) -> bytes:
    """Everything but the scheme and what is harmless; what isn't understood is masked, too."""
    scheme = _SCHEME.match(value)
    at = 0 if scheme is None else scheme.end()
    kept = [value[:at]]
    if len(value) > _MAX_CREDENTIALS:
        return kept[0] + _hidden(value[at:])
    while at < len(value):
        param = _PARAM.match(value, at) if len(kept) < 3 * _MAX_PARAMS else None
        if param is None or param.end() == at:
            kept.append(_hidden(value[at:]))
            break
        if param[1].lower() in _HARMLESS:
            kept.append(param[0])
        else:
            start = param.start(2)
            kept += [value[at:start], _hidden(param[2]), value[param.end(2) : param.end()]]
        at = param.end()
    return b"".join(kept)


def _hidden(text: bytes) -> bytes:
    """The same, but for quotes around it and the breaks of folded lines."""
    return text.translate(_HIDING)


_HIDING = bytes(octet if octet in b'"\r\n \t' else ord(_MASK) for octet in range(256))
