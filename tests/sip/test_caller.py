"""Who sent a request and with which client, by both readers."""

from contextlib import nullcontext

import pytest

from chatredirect.codec import compiled
from chatredirect.sip.caller import caller_and_client, user_agent
from chatredirect.sip.framing import parse_datagram
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Request
from tests.fuzz.twins import in_python

AGENT = b"User-Agent: UCCAPI/3.5.6907.196 OC/3.5.6907.196 (Microsoft Office Communicator 2007 R2)"
BOTH = [pytest.param(in_python, id="python")]
if compiled is not None:
    BOTH.append(pytest.param(nullcontext, id="compiled"))


def request(from_: bytes = b"<sip:ann@contoso.com>;tag=1", line: bytes = AGENT) -> Request:
    message = parse_datagram(
        b"INVITE sip:ocschat@contoso.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        b"From: " + from_ + b"\r\nTo: <sip:ocschat@contoso.com>\r\n"
        b"CSeq: 1 INVITE\r\n" + line + b"\r\nCall-ID: 1\r\n\r\n",
        Limits(),
    )
    assert isinstance(message, Request)
    return message


@pytest.mark.parametrize("reader", BOTH)
@pytest.mark.parametrize(
    ("line", "value"),
    [
        (AGENT, AGENT[12:]),
        (b"user-AGENT \t:x", b"x"),
        (b"User-Agent:", b""),
        (b"User-Agent: first\r\n second", b"first"),
        (b"User-Agent:   y \t", b"y"),
        (b"User-Agent: " + b"z" * 9000, b"z" * 256),
        (b"user-agent: " + b"z" * 9000, b"z" * 256),
        (b"X-User-Agent: y", b""),
        (b"User-Agent-X: y", b""),
        (b"Subject: \r\n User-Agent: y", b""),
        (b"user-agent: b\r\nUser-Agent: a\r\nUser-Agent: c", b"a"),
        (b"user-agent: b\r\nUSER-AGENT: c", b"b"),
        (b"User-Agent: \t " + b" " * 300 + b"far", b"far"),
        (b'User-Agent: \xff\xfe"\\', b'\xff\xfe"\\'),
    ],
)
def test_the_user_agent_of_a_request(
    reader: type[nullcontext[None]], line: bytes, value: bytes
) -> None:
    message = request(line=line)
    assert user_agent(message) == value
    assert message.from_ is not None
    with reader():
        assert caller_and_client(message, message.from_) == b"sip:ann@contoso.com\n" + value


@pytest.mark.parametrize("reader", BOTH)
@pytest.mark.parametrize(
    "from_",
    [
        b"<sip:ann@contoso.com>",
        b"<sip:ann@contoso.com>;tag=1;epid=2",
        b'"A <b> \\" c" <sip:ann@contoso.com>;tag=1',
        b'"Ann" <sip:ann@contoso.com>;tag=1',
        b'""<sip:ann@contoso.com>;tag=1',
        b"Ann <sip:ann@contoso.com>;tag=1",
        b"sip:ann@contoso.com;tag=1",
    ],
)
def test_the_uri_of_every_form_of_from(reader: type[nullcontext[None]], from_: bytes) -> None:
    with reader():
        assert caller_and_client(request(from_, b"User-Agent: a"), from_) == (
            b"sip:ann@contoso.com\na"
        )
