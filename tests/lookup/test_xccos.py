"""XCCOS: what comes from clients is bounded, and nothing in it is believed (MS-XCCOSIP)."""

import encodings
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, islice
from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.sip import xccos
from chatredirect.sip.xccos import XccosCommand
from chatredirect.sip.xml_body import BadXml
from tests.lookup.in_memory_lookups import REQURI, Client, InMemoryLookups

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefg", "bcdefgh", strict=True))
    + ']><xccos ver="1" envid="1" xmlns="urn:parlano:xml:ns:xccos">&h;</xccos>'
)
EXTERNAL = (
    '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    '<xccos xmlns="urn:parlano:xml:ns:xccos" envid="1"><cmd id="&e;"/></xccos>'
)
REMOTE_DTD = '<!DOCTYPE x SYSTEM "http://192.0.2.1/x.dtd"><xccos xmlns="urn:parlano:xml:ns:xccos"/>'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (BOMB, "DTD In XML Refused"),
        (EXTERNAL, "DTD In XML Refused"),
        (REMOTE_DTD, "DTD In XML Refused"),
        ("<xccos", "Malformed XML"),
        ("hello", "Malformed XML"),
        ('<?xml version="1.0" encoding="nonsense"?><a/>', "Malformed XML"),
        (REQURI + "<", "Malformed XML"),
        (REQURI.replace("<data/>", "<p:data/>"), "Malformed XML"),
        (REQURI.replace("<data/>", '<data p:a=""/>'), "Malformed XML"),
        (REQURI.replace("<data/>", "<?a b?>"), "Malformed XML"),
        ("<a>" * 5000, "Not XCCOS"),
        ("<a x='", "Malformed XML"),
        ("<xccos/>", "Not XCCOS"),
        ('<xccos xmlns="urn:parlano:xml:ns:xccos/"/>', "Not XCCOS"),
        (REQURI.replace("<data/>", "<a>" * 17), "XML Too Complex"),
        (REQURI.replace("<data/>", "<data/>" * 256), "XML Too Complex"),
        (REQURI.replace("<data/>", '<data a="" b=""/>' * 128), "XML Too Complex"),
        (REQURI.replace("<data/>", f'<data a="{"x" * 1024}"/>'), "XML Too Complex"),
        (REQURI.replace("<data/>", f"<{'x' * 65}/>"), "XML Too Complex"),
        (REQURI.replace("<data/>", "".join(f"<n{n}/>" for n in range(41))), "XML Too Complex"),
        (REQURI.replace("<cmd ", '<cmd id="cmd:x"/>' * 16 + "<cmd "), "Too Many Commands"),
        (REQURI.replace("cmd:requri", "cmd:" + "x" * 61), "XCCOS Attribute Too Long"),
        (REQURI.replace("741776619", "7" * 65), "XCCOS Attribute Too Long"),
    ],
)
def test_bad_bodies(body: str, reason: str) -> None:
    """400, and the dialog goes on."""
    lookups = InMemoryLookups()
    client = Client(lookups).begin()
    (answer,) = client.ask("INFO", body=body)
    assert answer.start == f"SIP/2.0 400 {reason}"
    client.look_up()


def test_bodies_over_the_limit() -> None:
    """16 KiB, whatever `limits.message` allows."""
    lookups = InMemoryLookups()
    lookups.framer._limits = type(lookups.framer._limits)(message=1_000_000)
    client = Client(lookups).begin()
    padded = REQURI.replace("<data/>", f"<data>{'x' * 16384}</data>")
    assert client.ask("INFO", body=padded)[0].status == 413
    fits = REQURI.replace("<data/>", f"<data>{'x' * 16000}</data>")
    assert client.ask("INFO", body=fits)[0].status == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 200),
        ("Text/Plain; charset=utf-8", 200),
        ("text/xml", 200),
        ("application/sdp", 415),
        ("multipart/mixed;boundary=x", 415),
    ],
)
def test_content_types(content_type: str, status: int) -> None:
    client = Client(InMemoryLookups()).begin()
    answer = client.ask("INFO", body=REQURI, content_type=content_type)[0]
    assert answer.status == status
    assert answer.all("Accept") == (["text/plain"] if status == 415 else [])


@pytest.mark.parametrize(
    ("content_type", "declared", "encoding"),
    [
        ("text/plain", "", "utf-8"),
        ("text/plain", "utf-8", "utf-8"),
        ("text/plain", "", "utf-8-sig"),
        ("text/plain", "iso-8859-1", "iso-8859-1"),
        ("text/plain", "utf-16", "utf-8"),  # what .NET's StringWriter declares
        ("text/plain", "utf-16", "utf-16"),
        ("text/plain", "", "utf-16-le"),
        ("text/plain;charset=utf-8", "utf-16", "utf-8"),
        ('text/xml ; a=b ; CharSet = "UTF-8"', "utf-16", "utf-8"),
        ("text/plain;charset=UTF8", "iso-8859-1", "utf-8"),
        ("text/plain;charset=iso-8859-1", "", "iso-8859-1"),
        ("text/plain;charset=iso-8859-1", "utf-8", "iso-8859-1"),
        ("text/plain;charset=us-ascii", "utf-16", "us-ascii"),
        ("text/plain;charset=utf-16", "", "utf-16"),
        ("text/plain;charset=utf-16", "utf-8", "utf-16-be"),
        ("text/plain;charset=utf-16", "utf-8", "utf-16-le"),
        ("text/plain;charset=utf-16be", "utf-8", "utf-16-be"),
        ("text/plain;charset=iso-8859-1", "utf-16", "utf-8-sig"),
        ("text/plain;charset=utf-8", "utf-8", "utf-16"),
    ],
)
def test_charsets(content_type: str, declared: str, encoding: str) -> None:
    """RFC 7303 §3.2: a byte order mark, then the charset parameter, then the declaration."""
    name = "e" if encoding == "us-ascii" else "é"
    text = REQURI.replace("requri", name)
    if declared:
        text = f'<?xml version="1.0" encoding="{declared}"?>{text}'
    client = Client(InMemoryLookups()).begin()
    ok, reply = client.ask("INFO", body=text.encode(encoding), content_type=content_type)
    assert ok.status == 200
    assert f'<rpl id="rpl:{name}"' in reply.body


@pytest.mark.parametrize("charset", ["koi8-r", "utf-7", "x" * 300, '""', "utf_8_sig", "idna"])
def test_unknown_charsets(charset: str) -> None:
    """RFC 3261 §8.2.3: 415 and not a guess; nothing is remembered of a name that was made up."""
    known = set(encodings._cache)  # type: ignore[attr-defined]
    client = Client(InMemoryLookups()).begin()
    (answer,) = client.ask("INFO", body=REQURI, content_type=f"text/plain;charset={charset}")
    assert answer.start == "SIP/2.0 415 Unknown Charset"
    assert answer["Accept"] == "text/plain;charset=utf-8"
    declared = f'<?xml version="1.0" encoding="{charset[:40]}"?>{REQURI}'
    (answer,) = client.ask("INFO", body=declared)
    assert answer.start == "SIP/2.0 400 Malformed XML"
    assert set(encodings._cache) == known  # type: ignore[attr-defined]


@pytest.mark.parametrize("body", ["not XML", REQURI])
def test_a_body_that_may_be_ignored(body: str) -> None:
    """RFC 3261 §8.2.3, §20.11: 200, and no reply to what isn't understood."""
    client = Client(InMemoryLookups()).begin()
    for handling in ("handling=optional", ' x; Handling = "OPTIONAL"'):
        more = f"Content-Disposition: render;{handling}\r\n"
        sent = client.ask("INFO", body=body, content_type="text/html", more=more)
        assert [each.kind for each in sent] == ["200 INFO"]
        gzip = more + "Content-Encoding: gzip\r\n"
        assert [each.kind for each in client.ask("INFO", body=body, more=gzip)] == ["200 INFO"]
    required = "Content-Disposition: render;handling=required\r\n"
    sent = client.ask("INFO", body=body, content_type="text/html", more=required)
    assert [each.status for each in sent] == [415]


def test_encoded_bodies() -> None:
    client = Client(InMemoryLookups()).begin()
    answer = client.ask("INFO", body=REQURI, more="Content-Encoding: gzip\r\n")[0]
    assert (answer.status, answer["Accept-Encoding"]) == (415, "identity")


def test_what_asks_for_nothing_gets_no_reply() -> None:
    """An INFO without a body, and XCCOS without a command: 200 and no more."""
    client = Client(InMemoryLookups()).begin()
    notice = '<xccos ver="1" envid="1" xmlns="urn:parlano:xml:ns:xccos"><ntc id="ntc:x"/></xccos>'
    assert [sent.kind for sent in client.ask("INFO")] == ["200 INFO"]
    assert [sent.kind for sent in client.ask("INFO", body=notice)] == ["200 INFO"]


def test_unknown_commands_get_a_reply() -> None:
    """With the matching id and an error code, so that nobody waits."""
    lookups = InMemoryLookups()
    client = Client(lookups).begin()
    _, reply = client.ask("INFO", body=REQURI.replace("requri", "a&lt;&quot;b"))
    assert '<rpl id="rpl:a&lt;&quot;b" seqid="1">' in reply.body
    assert '<commandid seqid="1" envid="741776619"/>' in reply.body
    assert '<resp code="501">' in reply.body
    assert lookups.core.counters.unknown == 1


def test_no_usable_channel_service_is_told() -> None:
    """The pool may go down between the INVITE and the command."""
    lookups = InMemoryLookups()
    client = Client(lookups).begin()
    lookups.set_usable(("pcpool.contoso.com", None, None), usable=False)
    _, reply = client.ask("INFO", body=REQURI)
    assert '<resp code="503">' in reply.body
    assert "<uib" not in reply.body
    assert lookups.core.counters.not_found == 1


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    with suppress(BadXml):
        xccos.read_commands(body)


# -- what it costs ----------------------------------------------------------------------------


def _numbered(form: str) -> Iterator[str]:
    return (form.format(n) for n in count())


def _tags(attributes: int) -> Iterator[str]:
    names = _numbered("a{}")
    while True:
        yield "<t " + " ".join(f'{next(names)}=""' for _ in range(attributes)) + "/>"


#: Ways to fill a body, each repeated until it is full.
COSTLY = {
    "elements": _numbered("<a/>"),
    "names": _numbered("<n{}/>"),
    "long names": _numbered("<" + "n" * 55 + "{}/>"),
    "depth": _numbered("<a>"),
    "attributes": _tags(60),
    "one tag": iter(["<t ", *islice(_numbered('a{}="" '), 2000), "/>"]),
    "few attributes": _tags(5),
    "namespaces": _numbered('<a xmlns:n{}="u">'),
    "long namespaces": _numbered('<a xmlns:n{}="' + "u" * 500 + '"/>'),
    "attributes in namespaces": iter(
        [f'<a xmlns:n="{"u" * 7000}" ', *islice(_numbered('n:a{}="" '), 700), "/>"]
    ),
    "comments": _numbered("<!---->"),
    "one comment": iter(["<!--", "x" * 16000, "-->"]),
    "CDATA": _numbered("<![CDATA[]]>"),
    "character references": _numbered("&#65;"),
    "references in attributes": _numbered('<a b="' + "&#65;" * 100 + '"/>'),
    "line ends": _numbered("\n"),
    "text": _numbered("x"),
    "text and elements": _numbered("x<a/>"),
    "an endless attribute": iter(['<a b="', "x" * 16000]),
    "DTD": iter(["<!DOCTYPE a [", *islice(_numbered("<!ENTITY a{} 'x'>"), 900), "]>"]),
}


def _filled(pieces: Iterator[str], encoding: str) -> bytes:
    head, body = REQURI.partition("<cmd")[0], ""
    room = xccos.MAX_OCTETS // (2 if "16" in encoding else 1) - len(head) - 2
    for piece in pieces:
        if len(body) + len(piece) > room:
            break
        body += piece
    return (head + body).encode(encoding)


@pytest.mark.parametrize("name", COSTLY)
def test_no_body_costs_much(name: str) -> None:
    """Less than twice its octets of memory, and not the time of 10,000 empty elements in a tree."""
    for encoding in ("utf-8", "utf-16"):
        body = _filled(COSTLY[name], encoding)
        xml = b"<a>" + b"<b/>" * 5000 + b"</a>"
        usual = min(_seconds(lambda xml=xml: fromstring(xml)) for _ in range(5))  # type: ignore[misc]
        took = min(_seconds(lambda body=body: _read(body)) for _ in range(5))  # type: ignore[misc]
        assert took < 2 * usual
        tracemalloc.start()
        try:
            _read(body)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2 * xccos.MAX_OCTETS


def _read(body: bytes) -> None:
    with suppress(BadXml):
        xccos.read_commands(body)


def _seconds(do: Callable[[], object]) -> float:
    began = time.thread_time()
    do()
    return time.thread_time() - began


# -- what is good -----------------------------------------------------------------------------

SPACE = "urn:parlano:xml:ns:xccos"
NAMES = st.sampled_from(("cmd", "xccos", "data", "ntc", "a.b-c"))
SPACES = st.sampled_from((SPACE, "", "urn:other", SPACE + "/"))
VALUES = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"
    ),
    max_size=20,
)


@st.composite
def elements(draw: st.DrawFn, depth: int = 0) -> Element:
    """A tree of up to three levels, in several namespaces."""
    space, name = draw(SPACES), draw(NAMES)
    if depth == 0 and draw(st.integers(0, 9)):
        space, name = SPACE, "xccos"
    element = Element(f"{{{space}}}{name}" if space else name)
    element.text = draw(VALUES)
    for key in draw(st.sets(st.sampled_from(("id", "seqid", "envid", "ver", "{urn:other}id")))):
        element.set(key, draw(VALUES) if draw(st.booleans()) else f"cmd:{draw(NAMES)}")
    if depth < 2:
        for child in draw(st.lists(elements(depth + 1), max_size=3)):
            element.append(child)
            child.tail = draw(VALUES)
    return element


@given(elements(), st.sampled_from(("utf-8", "utf-16", "us-ascii", "iso-8859-1")))
def test_what_is_good_is_read_as_a_tree_would_be(root: Element, encoding: str) -> None:
    """The same commands as the standard library's tree of the whole document holds."""
    body = tostring(root, encoding=encoding)
    tree = fromstring(body)
    if tree.tag != f"{{{SPACE}}}xccos":
        with pytest.raises(BadXml, match="Not XCCOS"):
            xccos.read_commands(body)
        return
    expected = [
        XccosCommand(
            each.get("id", "").removeprefix("cmd:"), each.get("seqid", ""), tree.get("envid", "")
        )
        for each in tree.findall(f"{{{SPACE}}}cmd")
    ]
    assert xccos.read_commands(body) == expected


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30)


@given(TEXT, TEXT, TEXT)
def test_replies_are_well_formed(name: str, number: str, envelope: str) -> None:
    """Whatever a command is called: its reply is XML that gives the same back."""
    commands = [XccosCommand(name, number, envelope)]
    root = fromstring(
        xccos.write_replies(1, commands, "contoso.com", lambda: 'sip:"&<@contoso.com')
    )
    (reply,) = root
    assert reply.get("id") == f"rpl:{name}"
    assert (reply[0].get("seqid"), reply[0].get("envid")) == (number, envelope)


_MUTABLE = st.sampled_from(
    [b"", b"a", b":", b" ", b'"', b"'", b"&amp;", b"<", b"/", b"\xc3\xa4", b"\n"]
)


@given(
    octets=st.lists(st.tuples(st.integers(0, 130), st.integers(0, 4), _MUTABLE), max_size=3),
    numbers=st.tuples(*[st.integers(0, 10**70).map(str)] * 2),
)
def test_the_usual_form_is_read_as_by_the_parser(
    octets: list[tuple[int, int, bytes]], numbers: tuple[str, str]
) -> None:
    """What the short way reads, the XML parser reads in the same way."""
    body = REQURI.replace("741776619", numbers[0]).replace('"1"><data', f'"{numbers[1]}"><data')
    data = body.encode()
    if max(map(len, numbers)) <= 64 and not octets:
        assert xccos.read_plain(data) is not None
    for at, length, piece in octets:
        data = data[:at] + piece + data[at + length :]
    read = xccos.read_plain(data)
    if read is not None:
        assert read == xccos.read_any(data, None)


@pytest.mark.parametrize(
    "body",
    [
        REQURI + " ",
        REQURI.replace("<data/>", "<data></data>"),
        REQURI.replace("requri", "req&#117;ri"),
        REQURI.replace('"1"><data', '"1" seqid="1"><data'),
        REQURI.replace("741776619", "7" * 65),
        REQURI.replace('xccos"><', 'xccos/"><'),
    ],
)
def test_other_forms_are_left_to_the_parser(body: str) -> None:
    assert xccos.read_plain(body.encode()) is None
