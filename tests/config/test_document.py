"""YAML becomes plain values with places; what YAML can do to a reader is refused."""

import pytest

from chatredirect.config import document
from chatredirect.config.document import read


def problems(text: str | bytes) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    return [f"{fault.line}:{fault.column} {fault.message}" for fault in read(data, "f").faults]


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test here holds for libyaml's parser and, where PyYAML lacks it, for its own."""
    if request.param == "python":
        monkeypatch.delattr(document.yaml, "CSafeLoader", raising=False)
    elif not document.yaml.__with_libyaml__:
        pytest.skip("PyYAML without libyaml")
    return str(request.param)


def test_scalars() -> None:
    """Only what looks like nothing else is a number or a truth value; quotes make text of it."""
    root = read(
        b"[1, -2, 65_535, 1.5, .5, 1e3, 010, 1:30, 2026-11-22, yes, No, OFF, ~, '', '1', "
        b"192.0.2.1, 0x10, 1.2.3, null, plain text, +, '-', nan, .inf]",
        "f",
    ).root
    assert root == [
        *(1, -2, 65535, 1.5, 0.5, "1e3", "010", "1:30", "2026-11-22", True, False, False),
        *(None, "", "1", "192.0.2.1", "0x10", "1.2.3", None, "plain text", "+", "-", "nan", ".inf"),
    ]


def test_places() -> None:
    """The place of a value and of its key, however deep, in block and flow style."""
    doc = read(b"a:\n  - b\n  - {c: 1, d: [x,\n     y]}\ne: 2\n", "f")
    assert doc.position(()) == (1, 1)
    assert doc.position(("a", 1, "d", 1)) == (4, 6)
    assert doc.position(("a", 1, "d"), of_key=True) == (3, 12)
    assert doc.position(("a", 1, "missing")) == (3, 5), "the nearest value that is there"
    assert doc.position(("e",)) == (5, 4)
    assert doc.position(("e", "below")) == (5, 4)


def test_place_after_a_refused_key() -> None:
    """A key that was given twice doesn't shift the places of those after it."""
    doc = read(b"a: 1\na: 2\nb: 3\n", "f")
    assert doc.root == {"a": 1, "b": 3}
    assert doc.position(("b",)) == (3, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2", ['2:1 key "a" given twice; first in line 1']),
        ("a: {x: 1, x: {y: 2}, z: 3}", ['1:11 key "x" given twice; first in line 1']),
        ("a: 1\n---\nb: 2", ["2:1 a second YAML document begins here: one a file is read"]),
        ("? [x]\n: 1\nb: 2", ["1:3 a key must be text"]),
        ("? {x: 1}\n: {y: 1}\nb: 2", ["1:3 a key must be text"]),
        ("a: &x k\n*x : 1", ["2:1 a key must be text, not an alias"]),
        ("a: *x", ["1:4 the alias *x has no anchor &x before it"]),
        ("a: !!python/object:os.system x", None),
        ("a: !!int 1", None),
        (
            "d: &d {p: 1}\ne:\n  <<: *d",
            ["3:3 merge keys (<<) aren't understood: write the keys out"],
        ),
    ],
)
def test_refused(text: str, expected: list[str] | None) -> None:
    """What is read wrong by one reader and right by another isn't read at all."""
    found = problems(text)
    if expected is None:
        assert len(found) == 1
        assert "tags aren't understood" in found[0]
    else:
        assert found == expected


def test_values_after_a_refused_key_are_read() -> None:
    assert read(b"? [x]\n: {a: [1]}\nb: 2", "f").root == {"b": 2}
    assert read(b"? {x: 1}\n: 5\nb: 2", "f").root == {"b": 2}


def test_aliases() -> None:
    """An alias repeats the value of its anchor."""
    assert read(b"a: &x [1, 2]\nb: *x\nc: &y t\nd: *y", "f").root == {
        "a": [1, 2],
        "b": [1, 2],
        "c": "t",
        "d": "t",
    }


def test_alias_bomb() -> None:
    """A few lines that mean billions of values are refused at once."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    found = problems("\n".join(lines))
    assert len(found) == 1
    assert "aliases repeat more than 10000 values" in found[0]


def test_depth_is_bounded() -> None:
    assert "more than 32 levels" in problems("[" * 40 + "]" * 40)[0]


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("a: [1\nb: 2", "2:", ""),
        ("a:\n\t- 1", "2:", "not with tabs"),
        ("a: [::1]:53", "1:", "quote what has an IPv6 address"),
        ("listen:\n  - [::1]:5060\n  - x", "2:", "quote what has an IPv6 address"),
        ("a: b: c", "1:", "quote a value that has a colon"),
        ("a: @x", "1:", "begins with a special character"),
        ("a: 'x", "1:", ""),
        ("a: \x07", "1:4", "control character U+0007"),
        (b"a: 1\nb: \xff", "2:4", "not UTF-8 text (byte 0xff)"),
    ],
)
def test_syntax(text: str | bytes, place: str, hint: str) -> None:
    """A fault of syntax has a place and, where the cause is a common one, what to do."""
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith(place)
    assert hint in found[0]


def test_byte_order_mark() -> None:
    assert read(b"\xef\xbb\xbfa: 1", "f").root == {"a": 1}


@pytest.mark.parametrize("text", [b"", b"# nothing\n", b"---\n...\n"])
def test_empty(text: bytes) -> None:
    doc = read(text, "f")
    assert doc.root is None
    assert not doc.faults
    assert doc.position(("a",)) == (1, 1)
