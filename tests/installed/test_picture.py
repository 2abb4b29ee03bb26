"""The README's picture is what the commands print today, and fetches nothing."""

import html
import re
from xml.etree import ElementTree

import pytest

from tests.installed.picture import PICTURE, record
from tests.installed.readme import commands
from tests.ports import free_port

#: What makes the picture worth looking at, each with what differs from run to run left out.
TOLD = (
    "2 endpoints: lookup 1, redirect 1; active 2",
    "1 pool, 1 usable",
    "--- INVITE ------------------->",
    "--- INFO --------------------->",
    "<--------------------- INFO ---",
    "* endpoint sip:ocschat@contoso.com: channel service",
    "sip:gc-channel@contoso.com",
    "the trace ended after 3s: 1 call, ",  # and its messages: under load one comes again
)


def text_of(picture: str) -> str:
    """The lines of an SVG that rich made."""
    rows: dict[float, list[str]] = {}
    for y, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>(.*?)</text>', picture):
        rows.setdefault(float(y), []).append(html.unescape(text).replace("\xa0", " "))
    return "\n".join("".join(row) for _, row in sorted(rows.items()))


@pytest.mark.parametrize("made", ["kept", "now"])
def test_picture(made: str) -> None:
    """`make picture` makes the same anew, but for times and numbers, with the README's commands."""
    picture = PICTURE.read_text(encoding="utf-8") if made == "kept" else record(free_port())
    ElementTree.fromstring(picture)
    elsewhere = set(re.findall(r"\w+://[^\s\"<)]+", re.sub(r"<text.*?</text>", "", picture)))
    assert elsewhere == {"http://www.w3.org/2000/svg"}
    text = text_of(picture)
    for told in TOLD:
        assert told in text, text
    for command in commands():
        if re.match(r"chatredirect (status|trace)", command.line):
            assert f"$ {command.line}" in text
