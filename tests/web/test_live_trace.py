"""The trace in the browser: the messages of a call as they come, why, masked, and as a capture."""

import base64
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.service import client as sip
from tests.service.client import request, talk
from tests.service.daemon import eventually
from tests.trace.test_pcap import packets
from tests.web.site import EventReader, Site, events

BOB = "<sip:bob@contoso.com>;tag=b{n}"
SECRET = "Authorization: Digest username=bob, realm=contoso.com, response=5ec2e75ec2e7\r\n"


@contextmanager
def tracing(site: Site, query: str) -> Iterator[EventReader]:
    with site.connect() as sock:
        sock.sendall(site.head(f"/api/v1/trace?{query}"))
        with closing(events(sock)) as reader:
            yield reader


def call(site: Site, from_: str = BOB, more: str = "") -> None:
    with talk("udp", site.daemon.address()) as client:
        answer = sip.ask(client, request(from_=from_, more=more))
    assert answer is not None


def events_of(sock: socket.socket, site: Site) -> EventReader:
    sock.sendall(site.head("/api/v1/live"))
    return events(sock)


def seen(reader: EventReader, number: int) -> list[dict[str, Any]]:
    return [reader.until("sighting") for _ in range(number)]


def test_a_call_as_it_happens(site: Site) -> None:
    """The request, the daemon's reasons, and the response; of this caller alone."""
    with tracing(site, "from=BOB@contoso") as reader:
        assert reader.fields["content-type"].startswith("text/event-stream")
        begun = reader.until("begun")
        assert begun["seconds"] == 600
        assert "chatredirect" in begun["heading"]
        call(site, "<sip:alice@contoso.com>;tag=1")
        call(site)
        received, decided, sent = seen(reader, 3)
    assert [received["kind"], decided["kind"], sent["kind"]] == ["received", "decided", "sent"]
    assert received["message"].startswith("INVITE sip:ocschat@contoso.com SIP/2.0\r\n")
    assert sent["message"].startswith("SIP/2.0 302 ")
    assert "pcpool.contoso.com" in decided["what"]
    classes = [each["class"] for each in (received, decided, sent)]
    assert classes == ["request", "decision", "success"]
    assert any("--- INVITE -" in line for line in received["lines"])
    assert any("302" in line for line in sent["lines"])
    assert all(line.isprintable() for each in (received, sent) for line in each["lines"])
    assert abs(received["at"] - time.time()) < 600


def test_it_ends_after_its_time_and_is_in_the_audit_trail(site: Site) -> None:
    with tracing(site, "from=carol&seconds=0.5") as reader:
        assert reader.until("end") == {"seen": 0, "calls": 0, "left_out": 0}
        reader.rest()
    site.daemon.event("audit", action="trace_end", subject={"from": "carol"})
    trail = [each for each in site.daemon.events("audit") if each["by"] == "page"]
    begun, ended = [each for each in trail if each["subject"] == {"from": "carol"}]
    assert (begun["action"], ended["action"]) == ("trace_begin", "trace_end")
    assert begun["client"] == "127.0.0.1"
    assert begun["now"] == {"masked": True}


@pytest.mark.parametrize("more", ["", "&unmask=true", "&unmask=1"])
def test_secrets_stay_masked_whoever_asks(site: Site, more: str) -> None:
    with tracing(site, f"from=bob&pcap=1{more}") as reader:
        reader.until("begun")
        call(site, more=SECRET)
        received = seen(reader, 1)[0]
    assert "response=xxxxxxxxxxxx" in received["message"]
    whole = received["message"].encode() + base64.b64decode(received["pcap"])
    assert b"5ec2e75ec2e7" not in whole


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark isn't installed")
def test_a_capture_for_wireshark(site: Site, tmp_path: Path) -> None:
    """The octets of all events together are a capture file."""
    with tracing(site, "from=bob&pcap=1") as reader:
        octets = base64.b64decode(reader.until("begun")["pcap"])
        call(site)
        octets += b"".join(base64.b64decode(each.get("pcap", "")) for each in seen(reader, 3))
    capture = tmp_path / "calls.pcap"
    capture.write_bytes(octets)
    lines = [each["sip"] for each in packets(capture)]
    assert ["sip.Request-Line" in each for each in lines] == [True, False]


def test_without_pcap_there_is_none(site: Site) -> None:
    with tracing(site, "from=bob") as reader:
        assert "pcap" not in reader.until("begun")
        call(site)
        assert all("pcap" not in each for each in seen(reader, 3))


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "whose messages? Name a caller (from), a Call-ID (call_id), an endpoint or a peer"),
        ("from=", "whose messages?"),
        ("peer=not%20a%20name", "is neither an IP address nor a host name"),
        ("endpoint=@", "is no endpoint's SIP address"),
        ("from=" + "a" * 1025, "from is to be a text of 1 to 1024 characters"),
        ("call_id=%00", "has characters in it that can't be printed"),
    ],
)
def test_what_cant_be_traced(site: Site, query: str, why: str) -> None:
    reply = site.ask(f"/api/v1/trace?{query}")
    assert reply.status == 400
    assert why in reply.json["error"]


@pytest.mark.parametrize("seconds", ["0", "-1", "86401", "nan", "inf", "many", "1e400"])
def test_a_length_of_time_that_is_none(site: Site, seconds: str) -> None:
    reply = site.ask(f"/api/v1/trace?from=bob&seconds={seconds}")
    assert reply.status == 400
    assert "a trace lasts more than 0 and at most 86400 seconds" in reply.json["error"]


def test_a_trace_ends_with_its_reader(site: Site) -> None:
    """Without a trace no message is looked at: nobody looking costs nothing."""
    with tracing(site, "from=dave") as reader:
        reader.until("begun")

    def over() -> bool:
        trail = site.daemon.events("audit")
        actions = [each["action"] for each in trail if each.get("subject") == {"from": "dave"}]
        return actions == ["trace_begin", "trace_end"]

    eventually(over, "the trace to end with its reader")


def test_values_that_refresh_by_themselves(site: Site) -> None:
    with site.connect() as sock, closing(events_of(sock, site)) as reader:
        first, again = reader.next(), reader.next()
    assert first[0] == again[0] == "values"
    assert all(isinstance(text, str) for text in first[1].values())
    assert len(again[1]) <= len(first[1]), "only what has changed"
