"""The grammar of RFC 3261 §25, as regular expressions named after its rules.

Only this module knows what a token, a host or a name-addr looks like. Every pattern takes linear
time for whatever a peer sends: a repetition of a character class is possessive (`*+`, `++`), and
each round of a repeated group begins with a character that nothing before or after the group
matches, so that backtracking fails at once. Groups aren't possessive: Python 3.11.2, Debian 12's,
continues at the wrong position when such a group fails half-way (CPython issue 106052).

The patterns are for header values of a message whose lines have been checked: the only CRs and LFs
in them belong to folded lines, so `SWS` treats them as white space. A comment says where a pattern
is wider than the RFC's rule; docs/leniency.md has the reasons.
"""

import re

# -- §25.1 basic rules ------------------------------------------------------------------------
SWS = rb"[ \t\r\n]*+"  # separating white space, folded lines included
LWS = rb"[ \t\r\n]++"
DIGITS = rb"[0-9]++"
TOKEN = rb"[A-Za-z0-9\-.!%*_+`'~]++"
# any octet may be escaped but CR and LF, any octet above 0x7f stands for itself (UTF-8 or not)
QUOTED_STRING = rb'"[^"\\]*+(?:\\[^\r\n][^"\\]*+)*"'

# -- host and port ----------------------------------------------------------------------------
# Wider than the rule: "_" as in Windows host names, and labels aren't checked. Of an IPv6 address
# only brackets and characters are checked here; uri.canonical_host reads it.
HOST = rb"(?:[A-Za-z0-9_][A-Za-z0-9_.\-]*+|\[[0-9A-Fa-f:.]++\])"
PORT = rb"[0-9]{1,5}+"
MAX_PORT = 65535

# -- generic-param ----------------------------------------------------------------------------
# Wider than the rule: a value may be any visible octets except separators, since
# received=2001:db8::1 and Microsoft's parameters need it; and it may be empty (";rport=").
_UNQUOTED_VALUE = rb'[^\x00-\x20\x7f",;<>]*+'
PARAM_VALUE = rb"(?:" + QUOTED_STRING + rb"|" + _UNQUOTED_VALUE + rb")"
PARAM = SWS + rb";" + SWS + TOKEN + rb"(?:" + SWS + rb"=" + SWS + PARAM_VALUE + rb")?"
#: Parameters of one address, via-parm or URI; more are refused, since each costs the time of a
#: hundred other octets.
MAX_PARAMS = 64
_FEW = b"{0,%d}" % MAX_PARAMS
PARAMS = rb"(?:" + PARAM + rb")" + _FEW

# -- Request-Line and Status-Line (§7.1, §7.2) ------------------------------------------------
METHOD = re.compile(TOKEN)
# Wider than the rule: the space before an empty reason phrase may be missing.
STATUS_LINE = re.compile(rb"(?i:SIP/2\.0) ([1-6][0-9]{2})(?: ([^\r\n]*+))?")
SIP_VERSION = re.compile(rb"(?i:SIP)/[0-9]++\.[0-9]++")

# -- header fields (§7.3.1) -------------------------------------------------------------------
HEADER_NAME = re.compile(rb"(" + TOKEN + rb")[ \t]*+")
#: The end of a header field: a CRLF without white space after it (§7.3.1, folding).
FIELD_END = re.compile(rb"\r\n(?![ \t])")
#: The first 256 octets of a User-Agent, or of the first line of a folded one (§20.41).
USER_AGENT = re.compile(rb"\r\nuser-agent[ \t]*+:[ \t]*+([^\r\n]{0,256}+)", re.IGNORECASE)
#: Our own field, by which the ledger of uses knows our own probe: a hash in hexadecimal.
PROBE_PROOF = re.compile(rb"\r\nChatredirect-Probe: [0-9a-f]{64}(?=\r\n|\Z)")
#: A CR or LF that isn't part of a CRLF.
BARE_LINE_BREAK = re.compile(rb"\r(?!\n)|(?<!\r)\n")

# -- Via (§20.42) -----------------------------------------------------------------------------
# Wider than §25: any version of SIP, so that a 505 can be sent (§21.5.6).
_VIA_VERSION = rb"([0-9]{1,9}+\.[0-9]{1,9}+)"
_SENT_PROTOCOL = rb"(?i:SIP)" + SWS + rb"/" + SWS + _VIA_VERSION + SWS + rb"/" + SWS + TOKEN
_SENT_BY = rb"(" + HOST + rb")(?:" + SWS + rb":" + SWS + rb"(" + PORT + rb"))?"
#: The first via-parm of a Via value: version, host, port, parameters; it ends before the comma or
#: at the value's end.
VIA_PARM = re.compile(_SENT_PROTOCOL + LWS + _SENT_BY + rb"(" + PARAMS + rb")" + SWS + rb"(?=,|\Z)")
#: A via-parm with malformed parameters, whose group is empty: enough to send a response.
VIA_SENT_BY = re.compile(_SENT_PROTOCOL + LWS + _SENT_BY + rb"()(?=[ \t\r\n;,]|\Z)")
#: One parameter after another, with its value, in text that matched `PARAMS`.
PARAM_PAIR = re.compile(
    rb";" + SWS + rb"(" + TOKEN + rb")(?:" + SWS + rb"=" + SWS + rb"(" + PARAM_VALUE + rb"))?"
)

#: Where `rport` or `received`, with or without a value, may stand among parameters.
RPORT_OR_RECEIVED = re.compile(rb"(?i);" + SWS + rb"(?:rport|received)")

# -- From and To (§20.20, §20.39): ( name-addr / addr-spec ) *( SEMI generic-param ) ------------
_URI = rb"[A-Za-z][A-Za-z0-9+.\-]*+:[^\x00-\x20\x7f<>]++"
# without angle brackets, semicolon, comma and question mark end the URI (§20)
_ADDR_SPEC = rb"([A-Za-z][A-Za-z0-9+.\-]*+:[^\x00-\x20\x7f<>\";,?]++)"


def _address(unquoted_name: bytes) -> bytes:
    """A URI, with or without angle brackets, and the parameters after it."""
    display_name = rb"(?:" + QUOTED_STRING + SWS + rb"|" + unquoted_name + rb")"
    name_addr = display_name + rb"<" + SWS + rb"(" + _URI + rb")" + SWS + rb">"
    return rb"(?:" + name_addr + rb"|" + _ADDR_SPEC + rb")(" + PARAMS + rb")" + SWS


# Wider than the rule: a display name without quotes may contain whatever can't be mistaken for the
# address: neither header field is a list, so a comma is plain text.
FROM_TO = re.compile(_address(rb'[^"<>\x00-\x08\x0b\x0c\x0e-\x1f\x7f:;]*+') + rb"\Z")

# -- Contact, Route and Record-Route (§20.10, §20.34, §20.30): lists of the same -----------------
#: One address of a list, up to the comma or the value's end.
LISTED_ADDRESS = re.compile(
    SWS + _address(rb'[^"<>\x00-\x08\x0b\x0c\x0e-\x1f\x7f:;,]*+') + rb"(?=,|\Z)"
)

# -- Call-ID and CSeq ------------------------------------------------------------------------
# Wider than word ["@" word]: any visible octets.
_CALL_ID = rb"[^\x00-\x20\x7f]++"
CALL_ID = re.compile(_CALL_ID + rb"\Z")
CSEQ = re.compile(rb"(" + DIGITS + rb")" + LWS + rb"(" + TOKEN + rb")\Z")

# -- a whole head, as most clients write it ---------------------------------------------------
# Everything here is narrower than the rules above: whatever it matches, they match with the same
# parts. Spaces only where all clients have them, no folding, no quoted parameter values.
_PLAIN_PARAM = TOKEN + rb"(?:=" + _UNQUOTED_VALUE + rb")?"
_PLAIN_PARAMS = rb"(?:;" + _PLAIN_PARAM + rb")" + _FEW
_PLAIN_NAME = rb'(?:"[^"\\\x00-\x1f]*+" ?|[A-Za-z0-9][A-Za-z0-9 ]*+)?'
_PLAIN_ADDR = _PLAIN_NAME + rb"<" + _URI + rb">"
# At most one tag, and no empty one; as many parameters as `_FEW` in all.
_BESIDE_TAG = rb"(?:;(?![Tt][Aa][Gg])" + _PLAIN_PARAM + rb"){0,%d}" % ((MAX_PARAMS - 1) // 2)
_PLAIN_TAG = _BESIDE_TAG + rb"(?:;tag=(?![;\r]|\Z)" + _UNQUOTED_VALUE + _BESIDE_TAG + rb")?"
# Names that don't begin with a letter of a name or compact form in PLAIN_HEAD, and two names that
# all clients send.
_OTHER_NAME = rb"(?:[ABDEGHJKM-SUW-Zabdeghjkm-suw-z]" + TOKEN + rb"|Contact|Content-Type)"
#: The most header fields that `PLAIN_HEAD` matches.
PLAIN_FIELDS = 64
#: Start-line and header fields of a request: method, Request-URI; Via, its host, port and
#: parameters; From; To; Call-ID; CSeq, its number; Content-Length. Each is there once or not at
#: all: `(?(n)(?!))` fails where group n has matched before.
PLAIN_HEAD = re.compile(
    rb"([A-Z]++) (" + _URI + rb") SIP/2\.0(?:\r\n(?:"
    rb"Via: (?(3)(?!))(SIP/2\.0/" + TOKEN + rb" (" + HOST + rb")(?::(" + PORT + rb"))?"
    rb"(" + _PLAIN_PARAMS + rb"))"
    rb"|From: (?(7)(?!))(" + _PLAIN_ADDR + _PLAIN_TAG + rb")"
    rb"|To: (?(8)(?!))(" + _PLAIN_ADDR + _PLAIN_TAG + rb")"
    rb"|Call-ID: (?(9)(?!))(" + _CALL_ID + rb")"
    rb"|CSeq: (?(10)(?!))(([0-9]{1,9}+) \1)"
    rb"|Content-Length: (?(12)(?!))([0-9]{1,9}+)"
    rb"|" + _OTHER_NAME + rb":[\t\x20-\x7e\x80-\xff]*+"
    rb")){1,%d}\Z" % PLAIN_FIELDS
)

#: A value of Route with one entry in its usual form.
PLAIN_ROUTE = re.compile(rb"<[A-Za-z]++:[^\x00-\x20\x7f<>,]++>\Z")
#: A Contact with one SIP URI, and the URI; no port above `MAX_PORT`.
PLAIN_CONTACT = re.compile(
    rb"<(sips?:(?:[A-Za-z0-9_.\-]++@)?[A-Za-z0-9_][A-Za-z0-9_.\-]*+(?::[1-5]?[0-9]{1,4})?"
    rb"(?:;[A-Za-z0-9.\-]++(?:=[A-Za-z0-9.\-:]++)?){0,8})>"
    rb"(?:;[A-Za-z0-9.\-]++(?:=" + _UNQUOTED_VALUE + rb")?){0,8}\Z"
)
#: A Via of ours as it comes back: its branch, and what the peer makes of `rport` (RFC 3581 §4).
PLAIN_RETURNED_VIA = re.compile(
    rb"SIP/2\.0/[A-Z]{3} [A-Za-z0-9][A-Za-z0-9.\-]*+(?::[0-9]{1,4})?;branch=([A-Za-z0-9]++)"
    rb"(?:;rport(?:=[0-9]++)?)?(?:;received=[0-9a-f:.]++)?\Z"
)
#: What the fast path for a parameter's value doesn't handle.
NOT_PLAIN = re.compile(rb'[ \t\r\n"]')

# -- URIs (§19.1.1) ---------------------------------------------------------------------------
_ESCAPED = rb"%[0-9A-Fa-f]{2}"
# Wider than the rules: octets above 0x7f, which some clients don't escape.
_UNRESERVED = rb"A-Za-z0-9\-_.!~*'()\x80-\xff"


def _escapable(reserved: bytes) -> bytes:
    """Any number of unreserved and the given reserved characters and escaped octets."""
    chars = rb"[" + _UNRESERVED + reserved + rb"]*+"
    return chars + rb"(?:" + _ESCAPED + chars + rb")*"


_USER = rb"(?=[^@:])" + _escapable(rb"&=+$,;?/")
_PASSWORD = _escapable(rb"&=+$,")
_URI_PARAM = _escapable(rb"\[\]/:&+$")
# Wider than the rule: a value may be in quotes, as some clients send it.
_QUOTED_PARAM = rb"\"" + _escapable(rb"\[\]/:&+$=,@") + rb"\""
_URI_PARAM_VALUE = rb"(?:" + _QUOTED_PARAM + rb"|" + _URI_PARAM + rb")"
_URI_PARAMS = rb"(?:;(?=[^;=?])" + _URI_PARAM + rb"(?:=" + _URI_PARAM_VALUE + rb")?)" + _FEW
_HEADER = _escapable(rb"\[\]/?:+$")
_URI_HEADER = rb"(?=[^=&])" + _HEADER + rb"=" + _HEADER
_URI_HEADERS = rb"\?" + _URI_HEADER + rb"(?:&" + _URI_HEADER + rb")" + _FEW
#: scheme, user, password, host, port, parameters, headers
SIP_URI = re.compile(
    rb"([Ss][Ii][Pp][Ss]?):(?:(" + _USER + rb")(?::(" + _PASSWORD + rb"))?@)?"
    rb"(" + HOST + rb")(?::(" + PORT + rb"))?"
    rb"(" + _URI_PARAMS + rb")(" + _URI_HEADERS + rb")?\Z"
)
ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
#: absoluteURI (RFC 2396 §3): a scheme that isn't ours, and characters that a URI may have.
ABSOLUTE_URI = re.compile(
    rb"([A-Za-z][A-Za-z0-9+.\-]*+):(?=.)" + _escapable(rb";/?:@&=+$,\[\]") + rb"\Z"
)
