"""docs/answers.md is a promise: it knows every answer, every reason phrase and every counter."""

import re
from pathlib import Path

import pytest

from chatredirect.answering import request_handler
from chatredirect.sip import errors
from chatredirect.sip.errors import BadRequest, SipError, Unanswerable
from chatredirect.sip.response import PHRASES

DOCS = Path(__file__).parents[2] / "docs"
ANSWERS = (DOCS / "answers.md").read_text()
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in ANSWERS.partition("\n## ")[
        0
    ].splitlines()  # the first table; other modes have theirs
    if line.startswith("| ")
]
ERRORS = [
    each
    for each in vars(errors).values()
    if isinstance(each, type)
    and issubclass(each, SipError)
    and each not in (SipError, Unanswerable, BadRequest)
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda each: each.__name__)
def test_every_fault_has_its_row(error: type[SipError]) -> None:
    """With its status, its phrase and its counter; where nobody can be answered, it is a drop."""
    counted = f"drop `{error.counter}`" if error.status is None else f"`{error.counter}`"
    (row,) = [row for row in ROWS if row[3] == counted]
    if error.status is None:
        assert row[1] == "none"
        assert row[2] == ""
    else:
        assert row[1].split()[0] == str(error.status)
        phrase = f"{error.phrase} *name*" if len(error.phrase.split()) == 1 else error.phrase
        assert row[2] == phrase


def test_every_other_drop_is_told() -> None:
    source = Path(request_handler.__file__).read_text()
    for reason in (
        *re.findall(r'dropped\("(\w+)"\)', source),
        *request_handler._NEVER_ANSWERED.values(),
    ):
        assert f"drop `{reason}`" in ANSWERS


def test_every_answer_is_told() -> None:
    """Of those that the table of the mode redirect gives, with the RFC's own phrase."""
    source = Path(request_handler.__file__).read_text()
    for status in {int(code) for code in re.findall(r"= status_line\((\d+)\)", source)}:
        rows = [row for row in ROWS if row[1].startswith(str(status))]
        assert rows, status
        assert {row[2] for row in rows} == {PHRASES[status]}


@pytest.mark.parametrize(
    "section",
    sorted(set(re.findall(r"RFC (?:4475|5118) §[\d.]+\d", (DOCS / "leniency.md").read_text()))),
)
def test_every_choice_has_its_test(section: str) -> None:
    """A section that docs/leniency.md cites has a test named after it."""
    torture = Path(__file__).parent / "torture"
    tests = "".join(path.read_text() for path in torture.glob("test_*.py"))
    name = section.partition("§")[2].replace(".", "_")
    assert re.search(rf"def test_{name}(_|\b)", tests), section
