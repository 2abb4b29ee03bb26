"""-Filter: PowerShell's words, no regular expressions, and a sentence for what isn't understood."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.commands.endpoint.filters import parse_filter
from chatredirect.config import EndpointSettings

CHAT = EndpointSettings(
    sip_address="sip:OcsChat@contoso.com",
    pool_fqdn="pcpool.contoso.com",
    display_name="Group [Chat]",
    port=5061,
)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ('SipAddress -like "*OCSCHAT*"', True),
        ("SipAddress -like 'sip:ocscha?@contoso.com'", True),
        ("SipAddress -like 'ocschat'", False),
        ("sipaddress -EQ SIP:ocschat@contoso.com", True),
        ("$_.SipAddress -notlike '*fabrikam*'", True),
        ("{ Identity -eq 'sip:ocschat@contoso.com' }", True),
        ("DisplayName -like 'group [chat]'", True),  # brackets are themselves
        ('DisplayName -eq "Group [Chat]"', True),
        ("Port -eq 5061", True),
        ("Transport -eq $null", True),
        ("Transport -ne $null", False),
        ("Mode -eq lookup -or Mode -eq redirect", True),
        ("Mode -eq redirect -and -not (Port -eq 5061)", False),
        ("! Mode -eq lookup", True),
        ("Mode -eq redirect -or Port -eq 1 -and Port -eq 2", False),  # from left to right
        ("(Mode -eq redirect) -or (Port -eq 1 -and Port -eq 2)", True),
        ("pool_fqdn -eq pcpool.contoso.com", True),
        ("DisplayName -like 'it''s'", False),
    ],
)
def test_filter(text: str, matches: bool) -> None:
    assert parse_filter(text, 0.0)(CHAT) is matches


@pytest.mark.parametrize(("now", "state"), [(99.0, "maintenance"), (100.0, "active")])
def test_the_state_is_the_one_that_get_shows(now: float, state: str) -> None:
    """What a file says is another one before its active_from, and after it."""
    waiting = replace(CHAT, active_from=datetime.fromtimestamp(100, UTC))
    assert parse_filter(f"State -eq {state}", now)(waiting)
    assert not parse_filter(f"State -ne {state}", now)(waiting)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("SipAddres -eq x", 'did you mean "sipaddress"'),
        ("SipAddress -match '.*'", "there are -eq, -ne, -like and -notlike"),
        ("SipAddress -eq", "lacks what to compare with"),
        ("SipAddress -eq 'x", "a quote isn't closed"),
        ("(Mode -eq lookup", "a parenthesis isn't closed"),
        ("Mode -eq lookup)", "isn't expected here"),
        ("Mode -eq lookup Port -eq 1", "isn't expected here"),
        ("-and", "is no property"),
        ("Mode -eq lookup -and", "a property is missing"),
        ("(" * 50 + "Mode -eq lookup" + ")" * 50, "parentheses"),
        ("Mode -eq " + "x" * 5000, "longer than"),
    ],
)
def test_not_understood(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        parse_filter(text, 0.0)
    assert told in str(refused.value)


@given(st.text(max_size=60))
def test_never_anything_but_a_sentence(text: str) -> None:
    try:
        condition = parse_filter(text, 0.0)
    except ValueError:
        return
    assert condition(CHAT) in (True, False)


@given(st.text(alphabet="-()!'\" abmodeqlike*?$null", max_size=60))
def test_words_of_the_grammar_in_any_order(text: str) -> None:
    with suppress(ValueError):
        parse_filter(f"Mode -eq lookup -and {text}", 0.0)(CHAT)
