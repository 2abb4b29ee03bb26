"""Turns pydantic's errors into faults for people who write YAML."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import TypeAlias, get_args, get_type_hints

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from chatredirect.config.document import Document, Path
from chatredirect.config.faults import Fault, did_you_mean, quoted

_Writer: TypeAlias = Callable[[ErrorDetails], str]


def faults_of(
    error: ValidationError, document: Document, path: Path, model: type[object]
) -> Iterator[Fault]:
    """The faults of validating the value at `path` in `document` against a dataclass, `model`."""
    for details in error.errors(include_url=False):
        of_key = details["loc"][-1:] == ("[key]",)
        loc = details["loc"][:-1] if of_key else details["loc"]
        kind = details["type"]
        if kind == "unexpected_keyword_argument":
            yield document.fault(path + loc, _unknown_key(loc, model, document), of_key=True)
        elif kind == "missing":
            message = f"the key {quoted(loc[-1])} is missing{_in(loc[:-1])}"
            yield document.fault((path + loc)[:-1], message)
        else:
            named = f"{dotted(loc)}: " if loc else ""
            yield document.fault(path + loc, named + _sentence(details), of_key=of_key)


def dotted(path: Path) -> str:
    """`("dns", "nameservers", 0)` as `dns.nameservers[0]`, printable."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return quoted(text)[1:-1]


def kind_of(value: object) -> str:
    """The kind of a value, in words: `text "5061"`, `a list`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {quoted(value)[1:-1]}"
        case str():
            return f"text {quoted(value)}"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
    return "something else"


def _in(path: Path) -> str:
    return f" in {dotted(path)}" if path else ""


def _unknown_key(loc: Path, model: type[object], document: Document) -> str:
    key = str(loc[-1])
    document.hints -= 1
    if document.hints < 0:  # a file that is no configuration at all: hints don't help
        return f"unknown key {quoted(key)}{_in(loc[:-1])}"
    section: type[object] | None = model
    for part in loc[:-1]:
        section = _dataclass_of(section, str(part))
    known = [key.name for key in fields(section) if key.init] if is_dataclass(section) else []
    if loc[:-1] == ("tls",):
        known.append("listeners")  # which is taken out before the section is validated
    hint = did_you_mean(key, known) or f"; known: {', '.join(known)}"
    return f"unknown key {quoted(key)}{_in(loc[:-1])}{hint}"


def _dataclass_of(model: type[object] | None, key: str) -> type[object] | None:
    hint = get_type_hints(model).get(key)
    for candidate in (hint, *get_args(hint)):
        if isinstance(candidate, type) and is_dataclass(candidate):
            return candidate
    return None


def _sentence(details: ErrorDetails) -> str:
    write = _SENTENCES.get(details["type"])
    if write is None:
        return details["msg"][:1].lower() + details["msg"][1:]
    return write(details)


def _must_be(what: str, hint: Callable[[object], str] = lambda _: "") -> _Writer:
    return lambda details: (
        f"must be {what}, not {kind_of(details['input'])}{hint(details['input'])}"
    )


def _needless_quotes(value: object) -> str:
    number = isinstance(value, str) and value.strip().replace(".", "", 1).isdigit()
    return ": write it without quotes" if number else ""


def _meant_bool(value: object) -> str:
    if not isinstance(value, str):
        return ""
    if value.lower() in _BOOLEANS:
        return f": write {value.lower()} without quotes"
    return did_you_mean(value, _BOOLEANS)


def _missing_quotes(value: object) -> str:
    return ": put it in quotes" if isinstance(value, bool | int | float) else ""


def _missing_brackets(value: object) -> str:
    short = isinstance(value, str | int) and len(str(value)) < 60
    return quoted(f": write [{value}]")[1:-1] if short else ""


def _bound(word: str, key: str) -> _Writer:
    return lambda details: f"must be {word} {details['ctx'][key]}, not {details['input']}"


def _literal(details: ErrorDetails) -> str:
    allowed = str(details["ctx"]["expected"]).replace("'", "")
    value = details["input"]
    hint = did_you_mean(value, _words(allowed)) if isinstance(value, str) else ""
    return f"must be {allowed}, not {kind_of(value)}{hint}"


def _words(listed: str) -> list[str]:
    """The words of `udp, tcp or tls`."""
    return listed.replace(" or ", ", ").split(", ")


_BOOLEANS = ("true", "false", "yes", "no", "on", "off")
_MAPPING = _must_be("a mapping (keys with values)")
_SENTENCES: dict[str, _Writer] = {
    "explained": lambda details: details["msg"],
    "value_error": lambda details: str(details["ctx"]["error"]),
    "string_type": _must_be("text", _missing_quotes),
    "int_type": _must_be("a whole number", _needless_quotes),
    "float_type": _must_be("a number", _needless_quotes),
    "finite_number": _must_be("a finite number", _needless_quotes),
    "bool_type": _must_be("true or false", _meant_bool),
    "tuple_type": _must_be("a list", _missing_brackets),
    "dict_type": _MAPPING,
    "dataclass_type": _MAPPING,
    "literal_error": _literal,
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than_equal": _bound("at most", "le"),
    "string_too_short": lambda _: "must not be empty",
}
