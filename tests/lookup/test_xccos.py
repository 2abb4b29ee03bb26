"""XCCOS: what comes from clients is bounded, and nothing in it is believed (MS-XCCOSIP)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.roles.lookup import xccos
from chatredirect.roles.lookup.xccos import BadCommand, Command
from tests.lookup.world import REQURI, Client, World

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
        ("<a>" * 20000, "Malformed XML"),
        ("<xccos/>", "Not XCCOS"),
        (REQURI.replace("<cmd ", '<cmd id="cmd:x"/>' * 16 + "<cmd "), "Too Many Commands"),
        (REQURI.replace("cmd:requri", "cmd:" + "x" * 61), "XCCOS Attribute Too Long"),
        (REQURI.replace("741776619", "7" * 65), "XCCOS Attribute Too Long"),
    ],
)
def test_bad_bodies(body: str, reason: str) -> None:
    """400, and the dialog goes on."""
    world = World()
    client = Client(world).begin()
    (answer,) = client.ask("INFO", body=body)
    assert answer.start == f"SIP/2.0 400 {reason}"
    client.look_up()


def test_bodies_over_the_limit() -> None:
    """64 KiB, whatever `limits.message` allows."""
    world = World()
    world.framer._limits = type(world.framer._limits)(message=1_000_000)
    client = Client(world).begin()
    padded = REQURI.replace("<data/>", f"<data>{'x' * 65536}</data>")
    assert client.ask("INFO", body=padded)[0].status == 413
    fits = REQURI.replace("<data/>", f"<data>{'x' * 65000}</data>")
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
    client = Client(World()).begin()
    answer = client.ask("INFO", body=REQURI, content_type=content_type)[0]
    assert answer.status == status
    assert answer.all("Accept") == (["text/plain"] if status == 415 else [])


def test_encoded_bodies() -> None:
    client = Client(World()).begin()
    answer = client.ask("INFO", body=REQURI, more="Content-Encoding: gzip\r\n")[0]
    assert (answer.status, answer["Accept-Encoding"]) == (415, "identity")


def test_what_asks_for_nothing_gets_no_reply() -> None:
    """An INFO without a body, and XCCOS without a command: 200 and no more."""
    client = Client(World()).begin()
    notice = '<xccos ver="1" envid="1" xmlns="urn:parlano:xml:ns:xccos"><ntc id="ntc:x"/></xccos>'
    assert [sent.kind for sent in client.ask("INFO")] == ["200 INFO"]
    assert [sent.kind for sent in client.ask("INFO", body=notice)] == ["200 INFO"]


def test_unknown_commands_get_a_reply() -> None:
    """With the matching id and an error code, so that nobody waits."""
    world = World()
    client = Client(world).begin()
    _, reply = client.ask("INFO", body=REQURI.replace("requri", "a&lt;&quot;b"))
    assert '<rpl id="rpl:a&lt;&quot;b" seqid="1">' in reply.body
    assert '<commandid seqid="1" envid="741776619"/>' in reply.body
    assert '<resp code="501">' in reply.body
    assert world.core.counters.unknown == 1


def test_no_usable_channel_service_is_told() -> None:
    """The pool may go down between the INVITE and the command."""
    world = World()
    client = Client(world).begin()
    world.set_usable(("pcpool.contoso.com", None, None), usable=False)
    _, reply = client.ask("INFO", body=REQURI)
    assert '<resp code="503">' in reply.body
    assert "<uib" not in reply.body
    assert world.core.counters.not_found == 1


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    with suppress(BadCommand):
        xccos.read(body)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30)


@given(TEXT, TEXT, TEXT)
def test_replies_are_well_formed(name: str, number: str, envelope: str) -> None:
    """Whatever a command is called: its reply is XML that gives the same back."""
    from defusedxml.ElementTree import fromstring

    commands = [Command(name, number, envelope)]
    root = fromstring(xccos.write(1, commands, "contoso.com", lambda: 'sip:"&<@contoso.com'))
    (reply,) = root
    assert reply.get("id") == f"rpl:{name}"
    assert (reply[0].get("seqid"), reply[0].get("envid")) == (number, envelope)
