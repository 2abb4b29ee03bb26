"""The conversation of a real client, octet for octet.

The client's messages were made for a certain server: it tagged FE123, it was reached by
`sip:ocschat@contoso.com;gruu;opaque=srvr:x`, and its INFO had the branch z9hG4bKfe1. A server with
just these answers can be talked to with the recorded octets unchanged.
"""

from pathlib import Path

import pytest

from tests.lookup.in_memory_lookups import TRANSPORTS, FixedTags, InMemoryLookups, endpoint
from tests.sent_message import SentMessage

CAPTURES = Path(__file__).parents[1] / "captures"
REPLY = (
    '<xccos ver="1" envid="1" xmlns="urn:parlano:xml:ns:xccos"><rpl id="rpl:requri" seqid="1">'
    '<commandid seqid="1" envid="741776619"/><resp code="200">SUCCESS_OK</resp><data>'
    '<uib uri="sip:gc-channel@pcpool.contoso.com" domain="contoso.com" id="0" type="3"/>'
    "</data></rpl></xccos>"
)


def capture(name: str) -> bytes:
    (path,) = CAPTURES.glob(f"lookup-{name}*.sip")
    return path.read_bytes()


WHOLE = b"".join(capture(str(number)) for number in range(1, 6))


def lookups(transport: str = "tcp") -> InMemoryLookups:
    return InMemoryLookups(
        endpoint(
            contact_uri="sip:ocschat@contoso.com;gruu;opaque=srvr:x",
            channel_uris=("sip:gc-channel@pcpool.contoso.com",),
        ),
        transport=transport,
        tags=FixedTags(b"FE123"),
        branches=(b"z9hG4bKfe%d" % n for n in range(1, 10)),
    )


def check_answer(answer: SentMessage) -> None:
    assert answer.status == 200
    assert answer["To"] == "<sip:ocschat@contoso.com>;tag=FE123"
    assert answer["Contact"] == "<sip:ocschat@contoso.com;gruu;opaque=srvr:x>"
    assert "\r\nm=message 5060 sip null\r\n" in answer.body


def check_reply(reply: SentMessage) -> None:
    assert reply.start == "INFO sip:user1@contoso.com:45154;maddr=127.0.0.1;transport=tcp SIP/2.0"
    assert reply["From"] == "<sip:ocschat@contoso.com>;tag=FE123"
    assert reply["To"] == "<sip:user1@contoso.com>;tag=3255258176;epid=e6019fcb7892"
    assert reply["CSeq"] == "1 INFO"
    assert reply["Content-Type"] == "text/plain"
    assert reply.body == REPLY


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_recorded_conversation(transport: str) -> None:
    """Message by message: answers as the client accepted them, and at the end nothing is left."""
    there = lookups(transport)
    (answer,) = there.send(capture("1"))
    check_answer(answer)
    assert there.send(capture("2")) == []
    ok, reply = there.send(capture("3"))
    assert ok.kind == "200 INFO"
    check_reply(reply)
    assert reply["Via"].startswith(f"SIP/2.0/{transport.upper()} 127.0.0.1:5060;branch=z9hG4bKfe1")
    assert there.send(capture("4")) == []
    (bye,) = there.send(capture("5"))
    assert bye.kind == "200 BYE"
    assert not there.core.dialogs
    assert there.pass_time(64) == []
    assert there.empty
    assert there.counters.drops == {}


def test_split_at_every_position() -> None:
    """Over a stream, wherever the octets are cut (RFC 3261 §18.3): the same messages go out."""
    expected = None
    for cut in range(len(WHOLE)):
        there = lookups()
        out = [*there.send(WHOLE[:cut]), *there.send(WHOLE[cut:])]
        sent = [each.raw for each in out]
        expected = expected or sent
        assert sent == expected, cut
        assert not there.core.dialogs, cut
    assert expected is not None
    assert [each.split(b" ")[0] for each in expected] == [
        b"SIP/2.0",
        b"SIP/2.0",
        b"INFO",
        b"SIP/2.0",
    ]


def test_octet_by_octet() -> None:
    there = lookups()
    out = [sent.kind for i in range(len(WHOLE)) for sent in there.send(WHOLE[i : i + 1])]
    assert out == ["200 INVITE", "200 INFO", "INFO", "200 BYE"]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("register", 405),
        ("subscribe-provisioning", 404),
        ("subscribe-roaming-contacts", 404),
        ("subscribe-roaming-self", 404),
        ("channel-1-invite", 404),
        ("channel-3-info-getinv", 481),
    ],
)
def test_what_is_for_others(name: str, status: int) -> None:
    """The rest of what was recorded: sign-in traffic, and the dialog with the channel service."""
    (answer,) = lookups().send((CAPTURES / f"{name}.sip").read_bytes())
    assert answer.status == status
