"""Translates PowerShell's parameters into the command line's options.

`chatredirect endpoint new -SipAddress "sip:x@contoso.com" -WhatIf` is typed by somebody who reads
Microsoft's page about the cmdlets. PowerShell matches names without regard to case and takes any
prefix that means one parameter; a value follows after a space or a colon; a switch may be
`:$false`. The result has GNU options only, so no other module knows PowerShell's.

Pages and word processors write typographic quotes and dashes, which PowerShell takes for plain
ones; so does this module.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

_VERBS = ("new", "get", "set", "remove")
_CMDLET = re.compile(r"(new|get|set|remove)-cspersistentchatendpoint(?=$|\s)", re.IGNORECASE)
_PARAMETER = re.compile(r"[-\u2013\u2014\u2015]([A-Za-z][A-Za-z0-9]*)(?:(:)(.*))?", re.DOTALL)
_TRUE, _FALSE = ("$true", "true", "1"), ("$false", "false", "0")


class _Accepts(NamedTuple):
    """The options of one command.

    Attributes:
        own: those that the cmdlet has; they win where a prefix also means another option.
        more: those that it doesn't have.
    """

    own: tuple[str, ...]
    more: tuple[str, ...]


_ENDPOINT = (
    *("--mode", "--port", "--transport", "--redirect-status", "--methods", "--contact"),
    *("--on-all-down", "--peers", "--channel-uris", "--contact-uri", "--rewrite"),
    *("--state", "--active-from"),
)
_PLACES = ("--reload", "--config", "--socket")
_SHORT = ("-c", "-h")  # options of the command line's own
ACCEPTED = {
    "new": _Accepts(
        (
            *("--sip-address", "--persistent-chat-pool-fqdn", "--display-name"),
            *("--what-if", "--confirm", "--pass-thru"),
        ),
        (*_ENDPOINT, "--from-csv", *_PLACES, "--json"),
    ),
    "get": _Accepts(
        ("--identity", "--persistent-chat-pool-fqdn", "--filter", "--result-size"),
        ("--config", "--socket", "--json"),
    ),
    # no Set-CsPersistentChatEndpoint exists: these are the parameters that one would have
    "set": _Accepts(
        (
            *("--identity", "--persistent-chat-pool-fqdn", "--display-name"),
            *("--what-if", "--confirm", "--pass-thru"),
        ),
        (*_ENDPOINT, *_PLACES, "--ignore-usage", "--json"),
    ),
    "remove": _Accepts(
        ("--identity", "--what-if", "--confirm", "--force"),
        (*_PLACES, "--ignore-usage", "--json"),
    ),
}
"""The options of each command except `--help`."""
SWITCHES = frozenset(
    ("--what-if", "--confirm", "--pass-thru", "--force", "--json", "--reload", "--ignore-usage")
)
"""Those that take no value."""

_ALIASES = {
    "wi": "--what-if",
    "cf": "--confirm",
    "poolfqdn": "--persistent-chat-pool-fqdn",
}
_NO_LOGGING = "it changes what PowerShell shows or keeps, not what is done"
_NO_DIRECTORY = "nothing is kept in Active Directory: endpoints are files"
# by name in lower case: whether a value follows, and why the parameter is ignored
_IGNORED = {
    **dict.fromkeys(("verbose", "vb", "debug", "db"), (False, _NO_LOGGING)),
    **dict.fromkeys(
        (
            *("erroraction", "ea", "errorvariable", "ev", "warningaction", "wa"),
            *("warningvariable", "wv", "informationaction", "infa", "informationvariable", "iv"),
            *("outvariable", "ov", "outbuffer", "ob", "pipelinevariable", "pv"),
        ),
        (True, _NO_LOGGING),
    ),
    "domaincontroller": (True, _NO_DIRECTORY),
    "dc": (True, _NO_DIRECTORY),
}
_REFUSED = {
    "inmemory": "there is no object in memory to go on with: use -WhatIf to see what would be made",
    "tenant": "there are no tenants here: an endpoint is told by its SIP address alone",
    "credential": "rights are those of the user who runs the command: use sudo",
    "ldapfilter": f"{_NO_DIRECTORY}; use -Filter",
    "ou": f"{_NO_DIRECTORY}, so there are no organizational units; use -Filter",
}


@dataclass(slots=True)
class Understood:
    """A command line with GNU options, and notes about parameters that are left out."""

    arguments: list[str]
    notes: list[str] = field(default_factory=list)


def understand(arguments: Sequence[str]) -> Understood:
    """Translate the arguments of `chatredirect`, if they are a command about endpoints.

    Raises:
        ValueError: they can't be understood; the text says what to write instead.
    """
    if not arguments or arguments[0] != "endpoint":
        return Understood(list(arguments))
    rest = _without_cmdlet(list(arguments[1:]))
    if not rest or rest[0] not in ACCEPTED:
        return Understood(["endpoint", *rest])
    done = Understood(["endpoint", rest[0]])
    _translate(rest[0], list(_joined(rest[1:])), done)
    return done


def _without_cmdlet(words: list[str]) -> list[str]:
    """The words without the cmdlet's name: `new New-CsPersistentChatEndpoint …`, or one word."""
    for index in (0, 1):
        found = _CMDLET.match(words[index]) if index < len(words) else None
        if found is None:
            continue
        verb = found[1].lower()
        if index == 1 and words[0] in _VERBS and words[0] != verb:
            raise ValueError(f"{found[0]} is chatredirect endpoint {verb}, not {words[0]}")
        after = words[index][found.end() :]
        return [verb, *split(after), *words[index + 1 :]]
    return words


def split(line: str) -> list[str]:
    """The words of a PowerShell line, without quotes.

    Raises:
        ValueError: a quote isn't closed, or the line has several commands.
    """
    words: list[str] = []
    rest = re.sub(r"`\r?\n", " ", line).strip()
    while rest:
        word, rest = _word(rest)
        words.append(word)
        rest = rest.lstrip()
    return words


def _word(rest: str) -> tuple[str, str]:
    """The first word, and the rest."""
    made, quote, index = "", "", 0
    while index < len(rest):
        character = rest[index]
        after = rest[index + 1 : index + 2]
        if quote:
            if character in quote:
                if not (after and after in quote):
                    quote = ""
                    index += 1
                    continue
                index += 1  # a doubled one
            elif character == "`" and '"' in quote:
                index += 1
                character = after
            made += character
        elif character in '"\u201c\u201d\u201e':
            quote = '"\u201c\u201d\u201e'
        elif character in "'\u2018\u2019\u201a":
            quote = "'\u2018\u2019\u201a"
        elif character.isspace():
            break
        elif character in "|;&":
            raise ValueError(
                f"{character!r}: one command a line; give a list with new --from-csv, and "
                "remove endpoints one by one"
            )
        else:
            made += character
        index += 1
    if quote:
        raise ValueError(f"{rest[:40]!r}: a quote isn't closed")
    return made, rest[index:]


def _joined(words: Sequence[str]) -> Iterator[str]:
    """The words; those between typographic quotes, which the shell doesn't know, become one."""
    waiting: list[str] = []
    for word in words:
        waiting.append(word)
        text = " ".join(waiting)
        if text[:1] in ("\u201c", "\u201e", "\u2018") and len(text) > 1:
            if text[-1] in "\u201d\u201c\u2019":
                yield text[1:-1]
                waiting.clear()
            continue
        yield word
        waiting.clear()
    yield from waiting


def _translate(command: str, words: list[str], done: Understood) -> None:
    accepts = ACCEPTED[command]
    valued_options = {"-c", *accepts.own, *accepts.more} - SWITCHES
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        found = _PARAMETER.fullmatch(word)
        if word == "--":
            done.arguments += [word, *words[position:]]
            return
        if found is None or word in _SHORT:
            done.arguments.append(word)
            if word in valued_options:
                done.arguments += words[position : position + 1]
                position += 1
            continue
        name, colon, value = found.groups()
        option, valued = _meant(command, name, done)
        if valued and not colon:
            if position >= len(words) or _is_parameter(command, words[position]):
                raise ValueError(f"-{name} needs a value")
            value = words[position]
            position += 1
            if option == "--filter" and value.startswith("{") and not value.endswith("}"):
                raise ValueError(
                    f"-{name}: the shell has taken it apart: put it in single quotes, as in "
                    f"-{name} '{{Mode -eq \"lookup\"}}'"
                )
        if option is None:
            continue
        if valued:
            done.arguments.append(f"{option}={'' if value == '$null' else value}")
        elif _switched_on(name, colon, value):
            done.arguments.append(option)


def _is_parameter(command: str, word: str) -> bool:
    found = _PARAMETER.fullmatch(word)
    if found is None or word in _SHORT:
        return word.startswith("--") or word in _SHORT
    with suppress(ValueError):
        _meant(command, found[1], Understood([]))
        return True
    return False


def _meant(command: str, name: str, done: Understood) -> tuple[str | None, bool]:
    """The option that a name or its beginning means, and whether a value follows.

    A parameter that is left out has no option.

    Raises:
        ValueError: the name means no option, several, or something that isn't possible here.
    """
    accepts = ACCEPTED[command]
    lower = name.lower()
    for options in (accepts.own, accepts.more):
        known = {option.replace("-", ""): option for option in options}
        known |= {alias: option for alias, option in _ALIASES.items() if option in options}
        if lower in known:
            return known[lower], known[lower] not in SWITCHES
    if lower in _REFUSED:
        raise ValueError(f"-{name} has no meaning here: {_REFUSED[lower]}")
    if lower in _IGNORED:
        valued, why = _IGNORED[lower]
        done.notes.append(f"-{name} is left out: {why}")
        return None, valued
    for options in (accepts.own, accepts.more):
        begun = [each for each in options if each.replace("-", "").startswith(lower)]
        if len(begun) == 1:
            return begun[0], begun[0] not in SWITCHES
        if begun:
            raise ValueError(f"-{name} may mean {' or '.join(map(spelled, begun))}: write more")
    others = [each for each in (*_IGNORED, *_REFUSED) if each.startswith(lower)]
    if len(others) == 1:
        return _meant(command, others[0], done)
    from chatredirect.config.faults import did_you_mean

    names = [*map(spelled, (*accepts.own, *accepts.more))]
    hint = did_you_mean(f"-{name}", names)
    raise ValueError(
        f"-{name} is no parameter of endpoint {command}{hint}; it has {', '.join(names)}"
    )


def spelled(option: str) -> str:
    """`--sip-address` as `-SipAddress`."""
    return "-" + "".join(part.capitalize() for part in option.strip("-").split("-"))


def _switched_on(name: str, colon: str | None, value: str | None) -> bool:
    if not colon:
        return True
    text = (value or "").lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if not text:
        raise ValueError(
            f"-{name}: has nothing behind its colon, for the shell has replaced $true or $false: "
            f"put it in single quotes, as in '-{name}:$false'"
        )
    raise ValueError(f"-{name}:{value}: a switch is :$true or :$false")
