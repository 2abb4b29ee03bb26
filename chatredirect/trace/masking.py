"""Masks secrets: replaces each of their octets by `x`.

Lengths don't change, so Content-Length stays valid and captures can be parsed. Masked are the
parameters of credentials and challenges (the header fields of RFC 7235, with Microsoft's Kerberos,
NTLM and TLS-DSK), passwords in URIs, keys in session descriptions (RFC 4568, RFC 8866 §5.12,
RFC 8839), and passwords and tokens in XML. A compressed body is masked as a whole.
"""

import re
from collections.abc import Callable

from chatredirect.sip.message import HEAD_END

_MASK = b"x"
_HIDING = bytes(octet if octet in b'"\r\n \t' else ord(_MASK) for octet in range(256))
MAX_SECRETS = 128
"""Secrets of one kind that are masked one by one; a text with more is masked as a whole."""
_MAX_CREDENTIALS = 8192  # octets that are parsed
_MAX_PARAMS = 32  # of credentials
# Each match begins with one of few octets, which is fast; `_masked` adds a line break to the text.
_FIELD = re.compile(
    rb"([\r\n](?:(?:proxy-)?(?:authorization|authenticate|authentication-info)|www-authenticate"
    rb"|cookie|ms-identity-cookie|p-access-token)"
    rb"[ \t]*+:[ \t]*+)([^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*)",
    re.IGNORECASE,
)
_SCHEME = re.compile(rb"[A-Za-z0-9!#-'*+.^_`|~-]+(?=[ \t\r\n])")
#: A name and a value; the value can't be the padding of a token68.
_PARAM = re.compile(
    rb"[ \t\r\n]*([A-Za-z-]{1,24})[ \t\r\n]*="
    rb'[ \t\r\n]*("[^"\\]*+(?:\\.[^"\\]*+)*"|[^",=\s]++)[ \t\r\n]*+(?:,|\Z)',
    re.DOTALL,
)
#: Parameters that identify the account and server, but aren't secret.
_HARMLESS = frozenset(b"algorithm auth-param charset qop realm stale targetname version".split())
#: In a run of octets that ends before `@`; each octet is in one run only, so the time is linear.
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


#: Without one of these in lower case there is nothing to mask.
_HINTS = (b"auth", b"cookie", b"p-access-token")
_BODY_HINTS = tuple(b"inline: k= ice-pwd key-mgmt password token ticket cookie".split())


def mask(data: bytes) -> bytes:
    """Mask the secrets of a message, which needn't be well-formed."""
    head, end, body = data.partition(HEAD_END)
    head += end
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
    """Mask all matches of a pattern, or the whole text if there are too many."""
    masked, found = pattern.subn(mask_one, b"\n" + text, MAX_SECRETS)
    return masked[1:] if found < MAX_SECRETS else _hidden(text)


def _mask_second(match: re.Match[bytes]) -> bytes:
    return match[1] + _MASK * len(match[2])


def _mask_field(match: re.Match[bytes]) -> bytes:
    return match[1] + _mask_credentials(match[2])


def _mask_credentials(value: bytes) -> bytes:
    """Mask everything except the scheme and harmless parameters."""
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
    """Mask everything except quotes and white space."""
    return text.translate(_HIDING)
