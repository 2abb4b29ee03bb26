"""PowerShell's spelling becomes the command line's own, or a sentence says why not."""

from contextlib import suppress

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.cli import app
from chatredirect.commands.endpoint.powershell import (
    ACCEPTED,
    SWITCHES,
    spelled,
    split,
    understand,
)

POOL = "-PersistentChatPoolFqdn"


def understood(*words: str) -> list[str]:
    return understand(["endpoint", *words]).arguments[1:]


def test_options_are_the_commands_own() -> None:
    """What is understood is what the commands have, no more and no less."""
    group = typer.main.get_command(app).commands["endpoint"]  # type: ignore[attr-defined] # a group
    for name, command in group.commands.items():
        options = {
            option: parameter
            for parameter in command.params
            for option in parameter.opts
            if option.startswith("--") and option != "--help"
        }
        accepts = ACCEPTED[name]
        assert {*accepts.own, *accepts.more} == options.keys()
        flags = {option for option, parameter in options.items() if parameter.is_flag}
        assert flags == SWITCHES & options.keys()


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["-SipAddress", "sip:x@contoso.com"], ["--sip-address=sip:x@contoso.com"]),
        (["-SIPADDRESS:sip:x@contoso.com"], ["--sip-address=sip:x@contoso.com"]),
        (
            ["-sip", "x@contoso.com", "-Pers", "p"],
            ["--sip-address=x@contoso.com", f"{'--persistent-chat-pool-fqdn'}=p"],
        ),
        (["-DisplayName", "-5 rooms"], ["--display-name=-5 rooms"]),
        (["-DisplayName", "$null"], ["--display-name="]),
        (["-WhatIf"], ["--what-if"]),
        (["-WhatIf:$true"], ["--what-if"]),
        (["-WhatIf:$false", "-Confirm:$false"], []),
        (["-wi", "-cf"], ["--what-if", "--confirm"]),
        (["-Conf"], ["--confirm"]),  # though --config is there as well: the cmdlet hasn't got it
        (["-PoolFqdn", "p"], ["--persistent-chat-pool-fqdn=p"]),
        (["\u2013SipAddress", "\u201cx@contoso.com\u201d"], ["--sip-address=x@contoso.com"]),
        (
            ["-DisplayName", "\u201cPersistent", "Chat", "1\u201d"],
            ["--display-name=Persistent Chat 1"],
        ),
        (["--sip-address", "x@contoso.com"], ["--sip-address", "x@contoso.com"]),
        (["--display-name", "-WhatIf"], ["--display-name", "-WhatIf"]),
        (["-c", "main.yaml", "-h"], ["-c", "main.yaml", "-h"]),
    ],
)
def test_understood(words: list[str], options: list[str]) -> None:
    assert understood("new", *words) == ["new", *options]


@pytest.mark.parametrize(
    "words",
    [
        ["new", "New-CsPersistentChatEndpoint", "-SipAddress", "x@contoso.com"],
        ["new", "NEW-CSPERSISTENTCHATENDPOINT", "-SipAddress", "x@contoso.com"],
        ["new", 'New-CsPersistentChatEndpoint -SipAddress "x@contoso.com"'],
        ["New-CsPersistentChatEndpoint", "-SipAddress", "x@contoso.com"],
        ["new", "New-CsPersistentChatEndpoint `\r\n  -SipAddress 'x@contoso.com'"],
    ],
)
def test_cmdlet_before_its_parameters(words: list[str]) -> None:
    """A line from Microsoft's pages works behind the command, in one word or in many."""
    assert understood(*words) == ["new", "--sip-address=x@contoso.com"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["new", "-P", "x"], "-P may mean -PersistentChatPoolFqdn or -PassThru"),
        (
            ["new", "-Nonsense", "x"],
            "-Nonsense is no parameter of endpoint new; it has -SipAddress",
        ),
        (["new", "-SipAddress"], "-SipAddress needs a value"),
        (["new", "-SipAddress", "-WhatIf"], "-SipAddress needs a value"),
        (["new", "-InMemory"], "use -WhatIf"),
        (["new", "-Tenant", "x"], "no tenants"),
        (["get", "-LdapFilter", "x"], "use -Filter"),
        (["get", "-Filter", "{Mode", "-ne", "}"], "put it in single quotes"),
        (["new", "-WhatIf:"], "the shell has replaced"),
        (["new", "-WhatIf:maybe"], "a switch is :$true or :$false"),
        (["new", "Get-CsPersistentChatEndpoint"], "is chatredirect endpoint get"),
        (["get", "Get-CsPersistentChatEndpoint | Remove-CsPersistentChatEndpoint"], "one command"),
        (["new", 'New-CsPersistentChatEndpoint -SipAddress "x'], "isn't closed"),
        (["remove", "-PassThru"], "-PassThru is no parameter of endpoint remove"),
    ],
)
def test_refused_with_a_reason(words: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        understood(*words)
    assert told in str(refused.value)


def test_what_has_no_meaning_is_left_out() -> None:
    """Common parameters change nothing that is done; who gave them is told."""
    made = understand(
        ["endpoint", "new", "-Verbose", "-ErrorAction", "Stop", "-ea:Stop", "-WhatIf"]
    )
    assert made.arguments == ["endpoint", "new", "--what-if"]
    assert [note.partition(" is left out")[0] for note in made.notes] == [
        *("-Verbose", "-ErrorAction", "-ea")
    ]


def test_other_commands_are_left_alone() -> None:
    assert understand(["probe", "-SipAddress"]).arguments == ["probe", "-SipAddress"]
    assert understand([]).arguments == []


@given(
    command=st.sampled_from(sorted(ACCEPTED)),
    data=st.data(),
)
def test_every_spelling_is_the_same(command: str, data: st.DataObject) -> None:
    """Case, a colon for the space, and the kind of dash make no difference."""
    accepts = ACCEPTED[command]
    option = data.draw(st.sampled_from((*accepts.own, *accepts.more)))
    letters = spelled(option)[1:]
    cases = data.draw(st.lists(st.booleans(), min_size=len(letters), max_size=len(letters)))
    name = "".join(
        each.upper() if up else each.lower() for each, up in zip(letters, cases, strict=True)
    )
    dash = data.draw(st.sampled_from("-\u2013\u2014\u2015"))
    if option in SWITCHES:
        assert understood(command, f"{dash}{name}") == [command, option]
        return
    value = data.draw(st.text(alphabet="abc@:.$ =", min_size=1))
    words = [f"{dash}{name}:{value}"] if data.draw(st.booleans()) else [f"{dash}{name}", value]
    assert understood(command, *words) == [command, f"{option}={value}"]


@given(st.lists(st.text(), max_size=6))
def test_never_anything_but_a_sentence(words: list[str]) -> None:
    """Whatever is typed, it is understood or refused with words."""
    with suppress(ValueError):
        understood("new", *words)


@given(st.lists(st.text(min_size=1, alphabet="aB1 '\"`@:.-"), max_size=5))
def test_quoted_words_come_out_as_they_were(words: list[str]) -> None:
    """PowerShell's single quotes keep everything; a doubled one stands for itself."""
    line = " ".join("'" + word.replace("'", "''") + "'" for word in words)
    assert split(line) == words
