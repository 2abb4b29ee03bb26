"""The probe against peers that are silent, slow, hostile or out of order."""

import time

import pytest

from tests.probe.conftest import Probe
from tests.probe.peers import (
    Script,
    always,
    answer,
    header,
    method,
    redirect,
    tcp_peer,
    udp_peer,
)

pytestmark = pytest.mark.usefixtures("in_process")

URI = "sip:ocschat@contoso.com"


def silent(_request: bytes, _number: int) -> list[bytes]:
    return []


def test_retransmissions(probe: Probe) -> None:
    """Over UDP an INVITE is sent again, byte for byte, until the time is over (§17.1.1.2)."""
    with udp_peer(silent) as peer:
        probed = probe(URI, "--via", f"udp://127.0.0.1:{peer.port}", "--timeout", "2")
    assert probed.status == 69
    # at 0, 0.5 and 1.5 s; on a machine that stalls the last may come too late
    assert 2 <= len(peer.received) <= 3
    assert len(set(peer.received)) == 1
    again = len(peer.received) - 1
    assert probed.all_arrows == ["> INVITE", *["> INVITE (again)"] * again]
    assert f"no answer within 2 s, asked {again + 1} times. Is the daemon running" in probed.err


def test_lost_datagram(probe: Probe) -> None:
    """What got lost once is answered the second time: exit status 0."""

    def script(request: bytes, number: int) -> list[bytes]:
        return redirect("<sip:a@192.0.2.20:5060>")(request, number) if number else []

    with udp_peer(script) as peer:
        probed = probe(URI, "--via", f"udp://127.0.0.1:{peer.port}", "--timeout", "30")
    assert probed.status == 0
    assert probed.arrows == ["> INVITE", "< 302 Moved Temporarily", "> ACK"]
    assert probed.all_arrows[1] == "> INVITE (again)"


def test_nothing_is_sent_twice_over_tcp(probe: Probe) -> None:
    """A stream resends by itself (§17.1.1.2)."""
    with tcp_peer(silent) as peer:
        probed = probe(URI, "--via", f"tcp://127.0.0.1:{peer.port}", "--timeout", "1")
    assert probed.status == 69
    assert [method(each) for each in peer.received] == ["INVITE"]
    assert "no answer within 1 s. Something listens there" in probed.err


def test_provisional_and_nothing_else(probe: Probe) -> None:
    """It only rings: no INVITE again, and CANCEL when the time is over (§9.1); 487 gets its ACK."""
    invites: list[bytes] = []

    def script(request: bytes, _number: int) -> list[bytes]:
        if method(request) == "INVITE":
            invites.append(request)
            return [answer(request, "180 Ringing")]
        if method(request) == "CANCEL":
            return [answer(request, "200 OK"), answer(invites[0], "487 Request Terminated")]
        return []

    with udp_peer(script) as peer:
        probed = probe(URI, "--via", f"udp://127.0.0.1:{peer.port}", "--timeout", "1")
    assert probed.status == 69
    assert peer.methods == ["INVITE", "CANCEL", "ACK"]
    assert probed.arrows == [
        "> INVITE",
        "< 180 Ringing",
        "> CANCEL",
        "< 200 OK",
        "< 487 Request Terminated",
        "> ACK",
    ]
    assert "no final answer within 1 s" in probed.err
    invite, cancelled, _ = peer.distinct
    for name in ("Via", "From", "To", "Call-ID"):
        assert header(cancelled, name) == header(invite, name)


def test_ack_of_a_redirection(probe: Probe) -> None:
    """The ACK belongs to the INVITE's transaction, with the answer's To (§17.1.1.3)."""
    with udp_peer(redirect("<sip:a@192.0.2.20:5060>")) as peer:
        probe(URI, "--via", f"udp://127.0.0.1:{peer.port}")
        deadline = time.monotonic() + 30
        while len(peer.distinct) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    invite, acknowledgement = peer.distinct
    assert acknowledgement.startswith(b"ACK sip:ocschat@contoso.com SIP/2.0\r\n")
    for name in ("Via", "From", "Call-ID"):
        assert header(acknowledgement, name) == header(invite, name)
    assert header(acknowledgement, "To") == header(invite, "To") + b";tag=theirs"
    assert header(acknowledgement, "CSeq") == b"1 ACK"


def test_garbage_before_the_answer(probe: Probe) -> None:
    """What is no SIP, or answers something else, is shown and passed over."""

    def script(request: bytes, number: int) -> list[bytes]:
        if method(request) != "INVITE":
            return []
        return [
            b"\x00\xff\x1b[31m",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"SIP/2.0 999 Too Much\r\n\r\n",
            b"SIP/2.0 200 OK\r\n\r\n",
            answer(request, "200 OK").replace(b";branch=z9hG4bK", b";branch=z9hG4bKx"),
            answer(request, "200 OK").replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE"),
            answer(request, "200 OK").replace(b"Call-ID: ", b"Call-ID: x"),
            *redirect("<sip:a@192.0.2.20:5060>")(request, number),
        ]

    with udp_peer(script) as peer:
        probed = probe(URI, "--via", f"udp://127.0.0.1:{peer.port}")
    assert probed.status == 0
    assert [arrow for arrow in probed.arrows if "no SIP" in arrow]
    assert probed.arrows.count("< 200 OK (answers something else)") == 4
    assert probed.arrows[-2:] == ["< 302 Moved Temporarily", "> ACK"]


def test_control_characters(probe: Probe) -> None:
    """Nothing that a peer sends reaches the terminal as it came (the fixture looks at it)."""
    script = always(
        "404 \x1b[31mNot\x07 Found\u202e\u2028 caf\u00e9 \udcff\x7f",
        'Warning: 399 x "\x1b]0;title\x07"\r\nContact: <sip:a\udc9b@192.0.2.1>\r\n',
        "\x1b[2J\x9b\r\n",
    )
    with udp_peer(script) as peer:
        probed = probe(URI, "--via", f"udp://127.0.0.1:{peer.port}", "--verbose")
        as_json = probe(URI, "--via", f"udp://127.0.0.1:{peer.port}", "--verbose", "--json")
    assert probed.status == as_json.status == 1
    assert "\\x1b[31mNot\\x07 Found\\u202e\\u2028 café" in probed.out
    assert "\\x1b[2J" in probed.out
    assert as_json.json["requests"][0]["status"] == 404


def test_long_values(probe: Probe) -> None:
    """The ladder stays 80 columns wide whatever a reason phrase says."""
    with udp_peer(always("404 " + "x" * 5000)) as peer:
        probed = probe(URI, "--via", f"udp://127.0.0.1:{peer.port}")
    assert probed.status == 1
    assert all(len(line) <= 80 for line in probed.out.splitlines() if "|" in line)


def test_flood(probe: Probe) -> None:
    """A peer that never stops to answer provisionally: 200 messages are kept, and told."""

    def script(request: bytes, _number: int) -> list[bytes]:
        if method(request) != "INVITE":
            return []
        return [answer(request, "183 Session Progress")] * 2000 + [answer(request, "486 Busy")]

    with tcp_peer(script) as peer:
        probed = probe(URI, "--via", f"tcp://127.0.0.1:{peer.port}", "--timeout", "30")
    assert probed.status == 1
    assert len(probed.all_arrows) == 200
    assert "... and 1803 messages more" in probed.out


def test_endless_flood(probe: Probe) -> None:
    """One that floods without an end gets no more than the time there is."""

    def script(request: bytes, _number: int) -> list[bytes]:
        return [answer(request, "183 Session Progress")] * 200_000

    with udp_peer(script) as peer:
        probed = probe(URI, "--via", f"udp://127.0.0.1:{peer.port}", "--timeout", "3")
    assert probed.status == 69
    assert len(probed.all_arrows) == 200


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"\x00\xff" * 50 + b"\r\n\r\n", "sent no SIP (Not SIP"),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "sent no SIP"),
        (b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP a\r\n\r\n", "Missing Content-Length"),
        (b"SIP/2.0 200 OK\r\n" + b"X: y\r\n" * 20_000, "Message Too Large"),
        (b"", "closed the connection without a response"),
    ],
)
def test_broken_stream(probe: Probe, sent: bytes, says: str) -> None:
    """Over TCP, what isn't SIP ends it: said what came; exit status 69."""
    with tcp_peer(lambda request, number: [sent], close=True) as peer:
        probed = probe(URI, "--via", f"tcp://127.0.0.1:{peer.port}")
    assert probed.status == 69
    (line,) = probed.err.splitlines()
    assert says in line


def test_answer_before_the_stream_breaks(probe: Probe) -> None:
    """What came whole counts, whatever comes behind it; pieces are put together."""

    def script(request: bytes, number: int) -> list[bytes]:
        (whole,) = redirect("<sip:a@192.0.2.20:5060>")(request, number)
        return [b"\r\n\r\n" + whole[:100], whole[100:] + b"\x00\x00 garbage\r\n\r\n"]

    with tcp_peer(script, close=True) as peer:
        probed = probe(URI, "--via", f"tcp://127.0.0.1:{peer.port}")
    assert probed.status == 0
    assert probed.arrows == ["> INVITE", "< 302 Moved Temporarily", "> ACK"]


@pytest.mark.parametrize("name", ["SUBSCRIBE", "OPTIONS"])
def test_other_methods_get_no_ack(probe: Probe, name: str) -> None:
    """ACK is for INVITE alone (§17.1.2)."""
    with udp_peer(always("403 Forbidden")) as peer:
        probed = probe(URI, "--method", name, "--via", f"udp://127.0.0.1:{peer.port}")
    assert probed.status == 1
    assert peer.methods == [name]


def test_notify_is_waited_for(probe: Probe) -> None:
    """A SUBSCRIBE that is accepted brings a NOTIFY, which gets its answer (RFC 6665 §4.1.2.4)."""

    def script(request: bytes, _number: int) -> list[bytes]:
        if method(request) != "SUBSCRIBE":
            return []
        assert header(request, "Expires") == b"0"
        notify = (
            b"NOTIFY sip:probe@127.0.0.1 SIP/2.0\r\n"
            b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKn\r\n"
            b"From: %b;tag=theirs\r\nTo: %b\r\nCall-ID: %b\r\nCSeq: 7 NOTIFY\r\n"
            b"Event: presence\r\nSubscription-State: terminated\r\nContent-Length: 0\r\n\r\n"
        ) % (header(request, "To"), header(request, "From"), header(request, "Call-ID"))
        return [answer(request, "200 OK", "Expires: 0\r\n"), notify]

    with udp_peer(script) as peer:
        probed = probe(URI, "--method", "SUBSCRIBE", "--via", f"udp://127.0.0.1:{peer.port}")
    assert probed.status == 0
    assert probed.arrows == ["> SUBSCRIBE", "< 200 OK", "< NOTIFY", "> 200 OK"]
    assert peer.methods == ["SUBSCRIBE", "200"]
    assert b";received=127.0.0.1" in header(peer.distinct[1], "Via")


SCRIPTS_WITHOUT_CONTACT: list[Script] = [
    always("302 Moved Temporarily"),
    always("302 Moved Temporarily", "Contact: *\r\n"),
    always("302 Moved Temporarily", "Contact: <<>>,\r\n"),
]


@pytest.mark.parametrize("script", SCRIPTS_WITHOUT_CONTACT)
def test_redirection_without_contact(probe: Probe, script: Script) -> None:
    """It is an answer; nobody can follow it."""
    with udp_peer(script) as peer:
        via = f"udp://127.0.0.1:{peer.port}"
        assert probe(URI, "--via", via).status == 0
        followed = probe(URI, "--via", via, "--follow")
    assert followed.status == 1
    assert "not followed: a redirection without a Contact" in followed.err
