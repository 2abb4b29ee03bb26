"""The log's callers and clients can be counted: one spelling of an address, and the User-Agent."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.lookup.in_memory_lookups import Client, InMemoryLookups
from tests.proxy.in_memory_proxy import Caller, InMemoryProxy
from tests.sip.in_memory_server import request, serve

AGENT = b"User-Agent: UCCAPI/4.0.7577.0 OC/4.0.7577.0 (Microsoft Lync 2010)"


@pytest.fixture
def said() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


@pytest.mark.parametrize(
    ("from_", "caller"),
    [
        (b"<sip:alice@contoso.com>;tag=a1", "sip:alice@contoso.com"),
        (b'"A" <SIP:%41lice@Contoso.com:5060;x=y>;tag=a1;epid=2', "sip:alice@contoso.com"),
        (b"<tel:+15551234>;tag=1", b"tel:+15551234"),
        (b"<sip:x", b"<sip:x"),
    ],
)
def test_a_request(said: list[EventDict], from_: bytes, caller: object) -> None:
    served = serve()
    served.server.log_requests = True
    served.ask(request(b"INVITE", b"sip:ocschat@contoso.com", AGENT, from_=from_))
    (line,) = (each for each in said if each["event"] == "request")
    assert line["caller"] == caller
    assert line["user_agent"] == AGENT[12:]


def test_a_request_that_names_no_client(said: list[EventDict]) -> None:
    served = serve()
    served.server.log_requests = True
    served.ask(request())
    assert "user_agent" not in said[0]


def test_a_drop(said: list[EventDict]) -> None:
    serve().ask(request(via=None))
    (line,) = said
    assert (line["event"], str(line["caller"])) == ("dropped", "sip:alice@contoso.com")


def test_a_lookup(said: list[EventDict]) -> None:
    lookups = InMemoryLookups()
    lookups.driver.log_requests = True
    client = Client(lookups)
    client.invite(more=AGENT.decode() + "\r\n")
    client.ack()
    client.look_up()
    (line,) = (each for each in said if each["event"] == "lookup")
    assert (line["caller"], line["user_agent"]) == ("sip:user1@contoso.com", AGENT[12:])
    assert {each["caller"] for each in said if "caller" in each} == {"sip:user1@contoso.com"}


def test_a_proxied_request(said: list[EventDict]) -> None:
    proxy = InMemoryProxy()
    proxy.driver.log_requests = True
    Caller(proxy).begin()
    (line,) = (each for each in said if each["event"] == "request")
    assert line["caller"] == "sip:user1@contoso.com"
