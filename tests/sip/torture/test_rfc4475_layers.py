"""RFC 4475 §3.2 to §3.4: transactions, the application layer, and backward compatibility.

The messages are our own. A redirect server asks less of a request than a user agent: RFC 3261 §8.3
has it ignore Require and unknown methods, and it looks into no body.
"""

import pytest

from tests.sip.in_memory_server import ENDPOINT, SERVER, Served, message, request
from tests.sip.torture.outcomes import redirected, refused

# -- §3.2 transaction layer -------------------------------------------------------------------


def test_3_2_1_missing_transaction_identifier(served: Served) -> None:
    """The magic cookie alone is no branch: the request is told apart by its other parts."""
    via = b"SIP/2.0/UDP 192.0.2.99;branch=z9hG4bK"
    first = redirected(served, request(via=via, call_id=b"one"))
    second = redirected(served, request(via=via, call_id=b"two"))
    assert first[b"To"] != second[b"To"]
    assert first.raw == redirected(served, request(via=via, call_id=b"one")).raw


# -- §3.3 application layer -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ({"from_": None, "to": None, "call_id": None}, b"Missing From"),
        ({"from_": None}, b"Missing From"),
        ({"to": None}, b"Missing To"),
        ({"call_id": None}, b"Missing Call-ID"),
        ({"cseq": None}, b"Missing CSeq"),
    ],
)
def test_3_3_1_missing_required_header_fields(
    served: Served, missing: dict[str, None], reason: bytes
) -> None:
    """400 with whatever of them is there: the Via says where to."""
    answer = refused(served, request(**missing), 400, reason, "missing_header")
    for name, keyword in (
        (b"From", "from_"),
        (b"To", "to"),
        (b"Call-ID", "call_id"),
        (b"CSeq", "cseq"),
    ):
        assert len(answer.all(name)) == (0 if keyword in missing else 1)


def test_3_3_1_missing_via(served: Served) -> None:
    """Without a Via nobody knows where to."""
    assert served.ask(request(via=None)) is None
    assert served.counted == {"no_via": 1}


@pytest.mark.parametrize("uri", [b"unheardof:opaque;content=@x", b"x-y.z+1:%00"])
def test_3_3_2_request_uri_with_unknown_scheme(served: Served, uri: bytes) -> None:
    refused(
        served, request(b"OPTIONS", uri), 416, b"Unsupported URI Scheme", "unsupported_uri_scheme"
    )


@pytest.mark.parametrize(
    "uri",
    [
        b"tel:+12015550123;phone-context=x",
        b"soap.beep://192.0.2.5:3002",
        b"HTTP://contoso.com/?a=b",
    ],
)
def test_3_3_3_request_uri_with_atypical_scheme(served: Served, uri: bytes) -> None:
    refused(
        served, request(b"OPTIONS", uri), 416, b"Unsupported URI Scheme", "unsupported_uri_scheme"
    )


def test_3_3_4_unknown_uri_schemes_in_header_fields(served: Served) -> None:
    """The Request-URI decides; From, To and Contact may hold any URI."""
    fields = {"to": b"isbn:2983792873", "from_": b"<http://www.contoso.com>;tag=1"}
    data = request(b"REGISTER", ENDPOINT, b"Contact: <name:John_Smith>", **fields)
    redirected(served, data)
    # where the To must decide, such a To names no endpoint
    answer = served.ask(request(b"REGISTER", b"sip:" + SERVER, **fields))
    assert answer is not None
    assert answer.status == 404


def test_3_3_5_proxy_require_and_require(served: Served) -> None:
    """§8.3: a redirect server ignores what is required."""
    fields = (b"Require: nothingDoesThis, orThis", b"Proxy-Require: noProxyDoes", b"Require: third")
    redirected(served, request(b"OPTIONS", ENDPOINT, *fields).replace(b"OPTIONS", b"INFO"))


def test_3_3_6_unknown_content_type(served: Served) -> None:
    fields = (b"Content-Type: application/unheard-of", b"Content-Encoding: rot13")
    redirected(served, request(b"INVITE", ENDPOINT, *fields, body=b"<audio>\r\n</audio>"))


def test_3_3_7_unknown_authorization_scheme(served: Served) -> None:
    field = b'Authorization: NoOneKnows opaque=here, data="here'
    redirected(served, request(b"REGISTER", ENDPOINT, field))


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (b"CSeq: 59 INVITE", b"Repeated CSeq"),
        (b"i: another", b"Repeated Call-ID"),
        (b"FROM: <sip:other@contoso.com>;tag=2", b"Repeated From"),
        (b"t: <sip:other@contoso.com>", b"Repeated To"),
        (b"To: <sip:ocschat@contoso.com>", b"Repeated To"),
    ],
)
def test_3_3_8_multiple_values_in_single_value_fields(
    served: Served, field: bytes, reason: bytes
) -> None:
    """Which one counts can't be known, so none does; even if they are the same."""
    answer = refused(served, request(b"INVITE", ENDPOINT, field), 400, reason, "repeated_header")
    assert answer[b"Call-ID"] == b"a84b4c76e66710"


def test_3_3_8_repeated_header_that_nobody_reads(served: Served) -> None:
    redirected(served, request(b"INVITE", ENDPOINT, b"Max-Forwards: 70", b"Max-Forwards: 5"))


def test_3_3_9_multiple_content_length_values(served: Served) -> None:
    """Two that differ are a smuggler's: 400, and on a stream nothing more."""
    data = request(b"OPTIONS", ENDPOINT, b"Content-Length: 13", body=b"There're two\n", length=b"5")
    refused(served, data, 400, b"Bad Content-Length", "bad_content_length")
    assert [answer.status for answer in served.stream(data + request())] == [400]


def test_3_3_9_the_same_content_length_twice(served: Served) -> None:
    """Liberal: two that agree say one thing."""
    data = request(b"INVITE", ENDPOINT, b"l: 5", body=b"v=0\r\n")
    redirected(served, data)
    assert [answer.status for answer in served.stream(data + data)] == [302, 302]


def test_3_3_10_response_with_broadcast_via(served: Served) -> None:
    """Nothing is forwarded, least of all to 255.255.255.255."""
    data = message(
        b"SIP/2.0 200 OK",
        b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;received=255.255.255.255",
        b"Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK2",
        b"Call-ID: bcast",
        b"CSeq: 1 INVITE",
        b"From: <sip:a@contoso.com>;tag=1",
        b"To: <sip:b@contoso.com>;tag=2",
        b"Content-Length: 0",
    )
    assert served.ask(data) is None
    assert served.counted == {"response": 1}


def test_3_3_10_request_with_broadcast_via(served: Served) -> None:
    """The answer goes to the source's address, whatever sent-by says."""
    answer = redirected(served, request(via=b"SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1"))
    assert answer[b"Via"].endswith(b";received=192.0.2.99")


def test_3_3_11_max_forwards_of_zero(served: Served) -> None:
    """A redirect forwards nothing, so there is nothing to count down."""
    redirected(served, request(b"INVITE", ENDPOINT, b"Max-Forwards: 0"))
    answer = served.ask(request(b"OPTIONS", ENDPOINT, b"Max-Forwards: 0"))
    assert answer is not None
    assert answer.status == 200


@pytest.mark.parametrize(
    ("section", "contact"),
    [
        ("3.3.12", b"sip:alice@192.0.2.99;unknownparam"),
        ("3.3.13", b"<sip:alice@192.0.2.99;unknownparam>"),
        ("3.3.14", b"<sip:alice@contoso.com?Route=%3Csip:edge.contoso.com%3E>"),
    ],
)
def test_3_3_12_to_14_register_with_unusual_contact(
    served: Served, section: str, contact: bytes
) -> None:
    """A REGISTER for a contact object is redirected like any request; nobody is registered here."""
    answer = redirected(served, request(b"REGISTER", ENDPOINT, b"Contact: " + contact))
    assert b"alice@192.0.2.99" not in answer.raw, section
    assert b"edge.contoso.com" not in answer.raw, section


def test_3_3_14_register_at_the_server_itself(served: Served) -> None:
    """There the To says who is meant: here it is nobody's contact object."""
    data = request(b"REGISTER", b"sip:" + SERVER, to=b"<sip:alice@contoso.com>")
    answer = served.ask(data)
    assert answer is not None
    assert answer.status == 404


def test_3_3_15_unacceptable_accept_offering(served: Served) -> None:
    """An answer has no body, so nothing in it can be unacceptable."""
    redirected(served, request(b"INVITE", ENDPOINT, b"Accept: text/nobody-knows-this"))


# -- §3.4 backward compatibility --------------------------------------------------------------


def test_3_4_1_invite_with_rfc_2543_syntax(served: Served) -> None:
    """No branch, no tag, no Max-Forwards, no brackets, no Contact, no Content-Length."""
    data = message(
        b"INVITE sip:ocschat@contoso.com SIP/2.0",
        b"Via: SIP/2.0/UDP client.contoso.com",
        b"To: sip:ocschat@contoso.com",
        b"From: Old Softphone <sip:alice@contoso.com>",
        b"Record-Route: <sip:redirect.contoso.com;maddr=192.0.2.7>",
        b"Call-ID: 2543@client.contoso.com",
        b"CSeq: 56 INVITE",
        b"Content-Type: application/sdp",
        body=b"v=0\r\no=- 0 0 IN IP4 192.0.2.99\r\n",
    )
    answer = redirected(served, data)
    assert answer.port == 5060
    assert answer[b"To"].startswith(b"sip:ocschat@contoso.com;tag=")
    assert answer[b"From"] == b"Old Softphone <sip:alice@contoso.com>"
    assert answer.raw == redirected(served, data).raw  # a retransmission gets the same
