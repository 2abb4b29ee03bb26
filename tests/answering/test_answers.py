"""The table of answers, asked of the process over UDP and TCP, on both event loops.

Each row of the table must beat the rows below it, so a request that fits several shows the order.
"""

import re

import pytest

from tests.service.client import Client, ask, request, talk
from tests.service.daemon import Daemon, configuration, endpoint
from tests.service.fixtures import Run

ENDPOINTS = [
    endpoint(),
    *(endpoint(f"sip:s{n}@contoso.com", redirect_status=n) for n in (300, 301, 302, 305)),
    endpoint("sip:limited@contoso.com", methods=["INVITE", "SUBSCRIBE"]),
    endpoint("sip:datagrams@contoso.com", port=None, transport="udp"),
    endpoint("sip:stream@contoso.com", port=5060, transport="tcp"),
    endpoint("sip:open@contoso.com", port=None, transport=None),
    endpoint("sips:secure@contoso.com", port=None, transport=None),
    endpoint("sip:v6@contoso.com", pool_fqdn="2001:db8::20"),
    endpoint("sip:down@contoso.com", pool_fqdn="never.contoso.com"),
    endpoint("sip:downlimited@contoso.com", pool_fqdn="never.contoso.com", methods=["INVITE"]),
    endpoint("sip:%61%20b@contoso.com"),
]


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def daemon(request: pytest.FixtureRequest, run_shared_daemon: Run) -> Daemon:
    if request.param == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop isn't installed")
    settings = configuration(loop=request.param, retry_after=17, advertise="front.contoso.com")
    settings["endpoints"] = [
        {key: value for key, value in each.items() if value is not None} for each in ENDPOINTS
    ]
    settings["dns"] |= {"nameservers": ["127.0.0.1:9"], "lifetime": 0.2, "timeout": 0.1}
    daemon = run_shared_daemon(settings)
    assert daemon.event("started")["loop"] == request.param
    daemon.event("pool_failed")
    return daemon


OURS = "sip:ocschat@contoso.com"
NOT_OURS = "sip:somebody@contoso.com"
DOWN = "sip:down@contoso.com"
LIMITED = "sip:limited@contoso.com"
TAGGED = "<sip:ocschat@contoso.com>;tag=x"

SILENCE = [
    pytest.param(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;rport\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
    id="response"),
    pytest.param(request("ACK"), id="ACK"),
    pytest.param(request("ACK", to=TAGGED), id="ACK in a dialog"),
    pytest.param(request("ACK", from_=None), id="ACK without From"),
    pytest.param(request("ACK", version="SIP/3.0"), id="ACK of another version"),
    pytest.param(request("ACK", "tel:1"), id="ACK for tel"),
    pytest.param(request("ACK", cseq="1 INVITE"), id="ACK with another CSeq method"),
    pytest.param(request("BENOTIFY"), id="BENOTIFY"),
    pytest.param(request("BENOTIFY", NOT_OURS), id="BENOTIFY for nobody"),
    pytest.param(request(via=None), id="no Via"),
]  # fmt: skip


@pytest.mark.parametrize("message", SILENCE)
def test_gets_no_answer(client: Client, message: bytes) -> None:
    assert ask(client, message) is None


ANSWERS = [
    (400, request(from_=None)),
    (400, request(to=None)),
    (400, request(call_id=None)),
    (400, request(cseq=None)),
    (400, request(from_="<sip:user1@contoso.com", version="SIP/3.0")),
    (400, request(cseq="first INVITE")),
    (400, request(cseq="2147483648 INVITE")),
    (400, request(call_id="two words")),
    (400, request(from_=None, version="SIP/3.0")),  # before 505
    (505, request(version="SIP/3.0")),
    (505, request(version="SIP/3.0", cseq="1 BYE")),  # before 400 for the method
    (505, request(version="SIP/3.0", uri="tel:1", to="<tel:1>")),
    (400, request(cseq="1 BYE")),
    (400, request(cseq="1 BYE", uri="tel:1", to="<tel:1>")),  # before 416
    (400, request(more="From: <sip:another@contoso.com>;tag=2\r\n")),
    (400, request("CANCEL", cseq="1 INVITE")),
    (400, request(uri="sip:")),
    (400, request(uri="sip:ocschat@contoso.com:65536")),
    (416, request(uri="tel:+4930", to=f"<{OURS}>")),
    (416, request("CANCEL", uri="tel:+4930", to=f"<{OURS}>")),  # before CANCEL's 200
    (416, request(uri="tel:+4930", to=TAGGED)),  # before 481
    (416, request("OPTIONS", uri="mailto:a@contoso.com", to=f"<{OURS}>")),
    (200, request("CANCEL")),
    (200, request("CANCEL", NOT_OURS)),
    (200, request("CANCEL", to=TAGGED)),  # before 481
    (481, request("BYE", to=TAGGED)),
    (481, request("INVITE", to=TAGGED)),
    (481, request("OPTIONS", to=TAGGED)),  # before OPTIONS's 200
    (481, request("INVITE", NOT_OURS, to=TAGGED)),  # before 404
    (481, request("MESSAGE", LIMITED, to=TAGGED)),  # before 405
    (481, request("INVITE", DOWN, to=TAGGED)),  # before 480
    (200, request("OPTIONS")),
    (200, request("OPTIONS", LIMITED)),  # before 405
    (480, request("OPTIONS", DOWN)),  # when an INVITE would get 480
    (200, request("OPTIONS", "sip:127.0.0.1")),
    (200, request("OPTIONS", "sip:front.contoso.com")),
    (404, request("OPTIONS", NOT_OURS)),
    (404, request("OPTIONS", "sip:127.0.0.2")),
    (404, request("INVITE", NOT_OURS)),
    (404, request("REGISTER", "sip:contoso.com")),
    (404, request("INVITE", "sip:127.0.0.1")),
    (404, request("INVITE", "sip:ocschat@contoso.com:5099")),
    (404, request("INVITE", "sip:ocschat@contoso.com.evil.example")),
    (405, request("MESSAGE", LIMITED)),
    (405, request("MESSAGE", "sip:downlimited@contoso.com")),  # before 480
    (480, request("INVITE", "sip:downlimited@contoso.com")),
    (480, request("INVITE", DOWN)),
    (480, request("SUBSCRIBE", DOWN)),
    *((302, request(method)) for method in (
        "INVITE", "SUBSCRIBE", "MESSAGE", "BYE", "NOTIFY", "REGISTER", "invite", "X-ANY.thing")),
    (302, request(more="Require: 100rel, nobody-knows-this\r\n")),
    (302, request(more="Proxy-Require: ms-benotify\r\n")),
    (302, request(more="Max-Forwards: 0\r\n")),
    (302, request(more="Route: <sip:192.0.2.77;lr>\r\n")),
    (302, request(from_="sip:user1@contoso.com")),  # no tag, no brackets
    (302, request(to="<sip:whoever@elsewhere.example>")),  # the Request-URI decides
    (302, request(version="sip/2.0")),
    (302, request(body="v=0\r\n\r\n\r\nINVITE sip:x SIP/2.0\r\n\r\n")),
    (302, request(cseq="0 INVITE")),
    (302, request(cseq="2147483647\tINVITE")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "message"),
    [
        pytest.param(status, message, id=f"{i}-{status}-{message[:50].decode()}".partition("\r")[0])
        for i, (status, message) in enumerate(ANSWERS)
    ],
)
def test_answer(client: Client, status: int, message: bytes) -> None:
    answer = ask(client, message)
    assert answer is not None
    assert answer.status == status, answer.raw
    assert bool(answer.all("Contact")) == (status == 302)


@pytest.mark.parametrize("status", [300, 301, 302, 305])
def test_status_is_the_endpoints(client: Client, status: int) -> None:
    answer = ask(client, request(uri=f"sip:s{status}@contoso.com"))
    assert answer is not None
    assert answer.status == status
    assert answer["Contact"] == f"<sip:s{status}@pcpool.contoso.com:5061;transport=tls>"


@pytest.mark.parametrize(
    ("uri", "contact"),
    [
        (OURS, "<sip:ocschat@pcpool.contoso.com:5061;transport=tls>"),
        ("sip:OcsChat@CONTOSO.com", "<sip:OcsChat@pcpool.contoso.com:5061;transport=tls>"),
        ("sip:ocsch%61t@contoso.com", "<sip:ocsch%61t@pcpool.contoso.com:5061;transport=tls>"),
        ("sip:ocschat@contoso.com:5060", "<sip:ocschat@pcpool.contoso.com:5061;transport=tls>"),
        ("sip:ocschat@contoso.com.", "<sip:ocschat@pcpool.contoso.com:5061;transport=tls>"),
        (
            "sip:ocschat@contoso.com;transport=tcp;x=y?Subject=z",
            "<sip:ocschat@pcpool.contoso.com:5061;transport=tls>",
        ),
        ("sip:a%20B@contoso.com", "<sip:a%20B@pcpool.contoso.com:5061;transport=tls>"),
        ("sip:stream@contoso.com", "<sip:stream@pcpool.contoso.com:5060;transport=tcp>"),
        ("sip:datagrams@contoso.com", "<sip:datagrams@pcpool.contoso.com;transport=udp>"),
        ("sip:open@contoso.com", "<sip:open@pcpool.contoso.com>"),
        ("sip:v6@contoso.com", "<sip:v6@[2001:db8::20]:5061;transport=tls>"),
        # sips: RFC 3261 §26.2.2, transport=tls is deprecated
        ("sips:ocschat@contoso.com", "<sips:ocschat@pcpool.contoso.com:5061>"),
        ("sips:open@contoso.com", "<sips:open@pcpool.contoso.com>"),
        ("sips:secure@contoso.com", "<sips:secure@pcpool.contoso.com>"),
        ("sips:stream@contoso.com", "<sips:stream@pcpool.contoso.com:5060;transport=tcp>"),
    ],
)
def test_contact(client: Client, uri: str, contact: str) -> None:
    answer = ask(client, request(uri=uri))
    assert answer is not None
    assert (answer.status, answer.all("Contact")) == (302, [contact])


def test_sips_over_udp_cannot_be(client: Client) -> None:
    """RFC 5630 §6.2: 480 with Warning 380 SIPS Not Allowed."""
    answer = ask(client, request(uri="sips:datagrams@contoso.com"))
    assert answer is not None
    assert answer.status == 480
    assert re.fullmatch(r'380 front\.contoso\.com "SIPS Not Allowed"', answer["Warning"])


def test_pool_without_a_target(client: Client) -> None:
    answer = ask(client, request(uri=DOWN))
    assert answer is not None
    assert answer.status == 480
    assert answer["Retry-After"] == "17"
    assert re.fullmatch(r'399 front\.contoso\.com "never\.contoso\.com: [ -~]+"', answer["Warning"])


def test_method_not_on_the_list(client: Client) -> None:
    answer = ask(client, request("MESSAGE", LIMITED))
    assert answer is not None
    allowed = set(answer["Allow"].split(", "))
    assert {"INVITE", "SUBSCRIBE"} <= allowed
    assert "MESSAGE" not in allowed


@pytest.mark.parametrize("uri", [OURS, "sip:127.0.0.1"])
def test_options_tells_capabilities(client: Client, uri: str) -> None:
    """RFC 3261 §11.2."""
    answer = ask(client, request("OPTIONS", uri))
    assert answer is not None
    assert {"INVITE", "SUBSCRIBE", "OPTIONS", "CANCEL", "ACK"} <= set(answer["Allow"].split(", "))
    assert answer["Accept"] == ""
    assert answer["Accept-Encoding"] == "identity"
    assert answer["Accept-Language"] == "en"
    assert answer["Supported"] == ""


def test_a_reason_names_the_fault(client: Client) -> None:
    answer = ask(client, request(cseq="1 BYE"))
    assert answer is not None
    assert "CSeq" in answer.reason
    answer = ask(client, request(from_=None))
    assert answer is not None
    assert "From" in answer.reason


@pytest.mark.parametrize("own", ["127.0.0.1", "front.contoso.com", "FRONT.contoso.com."])
@pytest.mark.parametrize(
    ("to", "status", "user"),
    [
        ("<sip:ocschat@contoso.com>", 302, "ocschat"),
        ('"Chat" <sip:OCSCHAT@contoso.com;x=y>', 302, "OCSCHAT"),
        ("<sip:down@contoso.com>", 480, None),
        ("<sip:somebody@contoso.com>", 404, None),
        ("<tel:123>", 404, None),
    ],
)
def test_request_uri_names_the_server(
    client: Client, own: str, to: str, status: int, user: str | None
) -> None:
    """Then the To URI decides: a front end may send what it routes here to the server's address."""
    answer = ask(client, request(uri=f"sip:{own}", to=to))
    assert answer is not None
    assert answer.status == status
    if user is not None:
        assert answer["Contact"].startswith(f"<sip:{user}@pcpool.contoso.com:5061")


def test_request_uri_names_the_server_with_its_port(daemon: Daemon, client: Client) -> None:
    host, port = daemon.address(client.transport)
    answer = ask(client, request(uri=f"sip:x@{host}:{port}", to=f"<{OURS}>"))
    assert answer is not None
    assert answer.status == 302
    # another port is another server
    answer = ask(client, request(uri=f"sip:x@{host}:9", to=f"<{OURS}>"))
    assert answer is not None
    assert answer.status == 404


def test_header_fields_come_back_octet_by_octet(client: Client) -> None:
    """RFC 3261 §8.2.6.2; compact names (§7.3.3), folded lines (§7.3.1), odd spacing."""
    data = (
        b"INVITE sip:ocschat@contoso.com SIP/2.0\r\n"
        b"v :  SIP / 2.0 / UDP 192.0.2.1:5060 ; branch=z9hG4bKa;rport ,\r\n"
        b'\tSIP/2.0/TCP [2001:db8::1];x="a, b"\r\n'
        b"VIA: SIP/2.0/TLS first.contoso.com\r\n"
        b'f:"J\xc3\xb6rg \\"the, one\\""\r\n  <sip:user1@contoso.com;a=b>;epid=e6;tag=1\r\n'
        b"t: Chat <sip:ocschat@contoso.com>;x=y\r\n"
        b"I:\ta@b\r\nCSEQ:  7   INVITE \r\n"
        b"l: 0\r\n\r\n"
    )
    answer = ask(client, data)
    assert answer is not None
    assert answer.status == 302
    raw = answer.raw
    assert (
        b'\r\nFrom: "J\xc3\xb6rg \\"the, one\\""\r\n  <sip:user1@contoso.com;a=b>;epid=e6;tag=1\r\n'
    ) in raw
    assert re.search(rb"\r\nTo: Chat <sip:ocschat@contoso.com>;x=y;tag=[0-9a-f]{16}\r\n", raw)
    assert b"\r\nCall-ID: a@b\r\nCSeq: 7   INVITE\r\n" in raw
    vias = raw[: raw.index(b"\r\nFrom")]
    assert vias.index(b"192.0.2.1") < vias.index(b"[2001:db8::1]") < vias.index(b"first.contoso")
    assert b'x="a, b"' in vias


def test_counts_are_told_at_the_end(run_daemon: Run) -> None:
    daemon = run_daemon()
    with talk("udp", daemon.address()) as client:
        for _ in range(3):
            ask(client, request())
        ask(client, request("ACK"))
        ask(client, request(from_=None))
    assert daemon.stop() == 0
    stopped = daemon.event("stopped")
    assert stopped["answers"] == {"302": 3, "404": 5, "400": 1}
    assert stopped["drops"] == {"ack": 1}


@pytest.mark.parametrize("mode", ["redirect", "lookup", "proxy"])
@pytest.mark.parametrize("tag", [";tag=", ";tag", ';tag=""', ";tag=1;tag=2"])
def test_a_tag_that_is_none(run_daemon: Run, mode: str, tag: str) -> None:
    """docs/answers.md: 400 in every mode, and not an answer of a dialog that nobody knows."""
    keys = configuration(endpoints=[endpoint("sip:ocschat@contoso.com", mode=mode)])
    daemon = run_daemon(keys)
    whole = "<sip:ocschat@contoso.com>"
    with talk("udp", daemon.address()) as client:
        for method in ("INVITE", "OPTIONS", "BYE", "CANCEL"):
            for name, fields in (("To", {"to": whole + tag}), ("From", {"from_": whole + tag})):
                answer = ask(client, request(method, "sip:ocschat@contoso.com", **fields))
                assert answer is not None
                assert (answer.status, answer.reason) == (400, f"Bad {name}")
                if name == "To":
                    assert answer["To"] == whole + tag
