"""Reads `-Filter`, PowerShell's conditions for objects.

    condition  := clause { -and clause | -or clause }    from left to right, as in PowerShell
    clause     := [ -not | ! ] ( "(" condition ")" | property operator value )
    operator   := -eq | -ne | -like | -notlike
    value      := 'text' | "text" | word | $null

Text is compared without regard to case; `*` and `?` in -like stand for any text and any character.
There are no regular expressions, so a filter takes no longer than reading the endpoints.
"""

import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from typing import TypeAlias, get_args

from chatredirect.config.endpoint import EndpointSettings, Mode, State
from chatredirect.config.faults import did_you_mean, quoted
from chatredirect.net.addresses import Transport

PROPERTIES = {
    "sipaddress": "sip_address",
    "persistentchatpoolfqdn": "pool_fqdn",
    "poolfqdn": "pool_fqdn",
    "displayname": "display_name",
    "mode": "mode",
    "port": "port",
    "transport": "transport",
    "redirectstatus": "redirect_status",
    "methods": "methods",
    "contact": "contact",
    "onalldown": "on_all_down",
    "peers": "peers",
    "channeluris": "channel_uris",
    "contacturi": "contact_uri",
    "rewrite": "rewrite",
    "state": "state",
    "activefrom": "active_from",
}
"""YAML keys by the names of properties, in lower case and without signs between words."""

_MAX_FILTER = 4096  # characters
_MAX_DEPTH = 20
_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[()!])|'(?P<single>(?:[^']|'')*)'|"(?P<double>(?:[^"`]|""|`.)*)"
    |(?P<operator>[-\u2013](?:eq|ne|like|notlike|and|or|not))(?![\w-])|(?P<word>[^\s()'"!]+))""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_VALUES: Mapping[str, tuple[str, ...]] = {
    "mode": get_args(Mode),
    "state": get_args(State),
    "transport": get_args(Transport),
}
_PROPERTIES = PROPERTIES | {"identity": "sip_address"}

Condition: TypeAlias = Callable[[EndpointSettings], bool]
_Token: TypeAlias = tuple[str, str]
"""Kind and value."""
_END: _Token = ("end", "")


def parse_filter(text: str, now: float) -> Condition:
    """Read a filter such as `SipAddress -like "*contoso.com" -and Mode -eq lookup`.

    Args:
        now: seconds since the epoch; `State` is compared with the state in force then.

    Raises:
        ValueError: the filter is faulty; the text says what is understood.
    """
    if len(text) > _MAX_FILTER:
        raise ValueError(f"is longer than {_MAX_FILTER} characters")
    bare = text.strip()
    if bare.startswith("{") and bare.endswith("}"):
        bare = bare[1:-1]
    tokens = _tokens(bare)
    if not tokens:
        raise ValueError("is empty: write it as in SipAddress -like '*contoso.com'")
    condition = _FilterReader(tokens, now).condition(0)
    if tokens:
        raise ValueError(f"{quoted(tokens[-1][1])} isn't expected here")
    return condition


def _tokens(text: str) -> list[_Token]:
    """The tokens in reverse order, so that the next one is popped."""
    found: list[_Token] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"{quoted(text[position:].strip())}: a quote isn't closed")
        kind = str(match.lastgroup)
        value = match[kind]
        if kind == "single":
            value = value.replace("''", "'")
        elif kind == "double":
            value = re.sub(r'""|`(.)', lambda m: m[1] or '"', value)
        elif kind == "operator":
            value = "-" + value[1:].lower()
        found.append((kind, value))
        position = match.end()
    return found[::-1]


class _FilterReader:
    def __init__(self, tokens: list[_Token], now: float) -> None:
        self._tokens = tokens
        self._now = now

    def condition(self, depth: int) -> Condition:
        left = self._clause(depth)
        while self._next() in (("operator", "-and"), ("operator", "-or")):
            _, joint = self._tokens.pop()
            left = _combined(joint, left, self._clause(depth))
        return left

    def _next(self) -> _Token:
        return self._tokens[-1] if self._tokens else _END

    def _pop(self) -> _Token:
        return self._tokens.pop() if self._tokens else _END

    def _clause(self, depth: int) -> Condition:
        if depth > _MAX_DEPTH:
            raise ValueError(f"has more than {_MAX_DEPTH} parentheses inside each other")
        if self._next() in (("operator", "-not"), ("mark", "!")):
            self._tokens.pop()
            inner = self._clause(depth + 1)
            return lambda endpoint: not inner(endpoint)
        if self._next() == ("mark", "("):
            self._tokens.pop()
            inner = self.condition(depth + 1)
            if self._next() != ("mark", ")"):
                raise ValueError("a parenthesis isn't closed")
            self._tokens.pop()
            return inner
        return self._comparison()

    def _comparison(self) -> Condition:
        kind, name = self._pop()
        key = _PROPERTIES.get(name.lower().removeprefix("$_.").replace("_", ""))
        if kind != "word" or key is None:
            known = (
                "SipAddress, PersistentChatPoolFqdn, DisplayName, Mode, Port, Transport, "
                "RedirectStatus, Methods, Contact, OnAllDown, Peers, ChannelUris, ContactUri, "
                "Rewrite, State"
            )
            hint = did_you_mean(name, _PROPERTIES) if kind == "word" else ""
            what = f"{quoted(name)} is no property{hint}" if name else "a property is missing"
            raise ValueError(f"{what}; there are {known} and ActiveFrom")
        kind, operator = self._pop()
        if kind != "operator" or operator not in ("-eq", "-ne", "-like", "-notlike"):
            raise ValueError(
                f"{quoted(operator)} after {name} is no operator: "
                "there are -eq, -ne, -like and -notlike, joined with -and, -or, -not"
            )
        kind, value = self._pop()
        if kind not in ("word", "single", "double"):
            raise ValueError(f"{name} {operator} lacks what to compare with")
        wanted = "" if (kind, value.lower()) == ("word", "$null") else value
        values = _VALUES.get(key)
        if values and operator in ("-eq", "-ne") and wanted.lower() not in ("", *values):
            hint = did_you_mean(wanted, values)
            raise ValueError(f"{name} is never {quoted(wanted)}{hint}: it is {' or '.join(values)}")
        return _compared(key, operator, wanted, self._now)


def _combined(joint: str, left: Condition, right: Condition) -> Condition:
    if joint == "-and":
        return lambda endpoint: left(endpoint) and right(endpoint)
    return lambda endpoint: left(endpoint) or right(endpoint)


def _compared(key: str, operator: str, value: str, now: float) -> Condition:
    text = value.casefold()
    wanted = operator in ("-like", "-eq")
    if operator in ("-like", "-notlike"):
        pattern = re.compile(translate(text.replace("[", "[[]")))
        return lambda endpoint: (pattern.match(_text(endpoint, key, now)) is not None) == wanted
    return lambda endpoint: (_text(endpoint, key, now) == text) == wanted


def _text(endpoint: EndpointSettings, key: str, now: float) -> str:
    value = endpoint.state_at(now) if key == "state" else endpoint.values()[key]
    if isinstance(value, list):
        value = ", ".join(value)
    return "" if value is None else str(value).casefold()
