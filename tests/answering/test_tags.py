"""To tags: a keyed hash of the request's identity (RFC 3261 §8.2.6.2, §8.2.7)."""

import pytest

from tests.service.client import Answer, ask, request, talk
from tests.service.daemon import Daemon
from tests.service.fixtures import Run

SECRET = "the first secret, long enough"
OTHER_SECRET = "the second secret, long enough"


@pytest.fixture(scope="module")
def daemons(run_shared_daemon: Run) -> dict[str, Daemon]:
    return {
        "one": run_shared_daemon(secret=SECRET),
        "same": run_shared_daemon(secret=SECRET, loop="asyncio"),
        "other": run_shared_daemon(secret=OTHER_SECRET),
        "random": run_shared_daemon(secret=None),
    }


def answer(daemon: Daemon, data: bytes, transport: str = "udp") -> Answer:
    with talk(transport, daemon.address(transport)) as client:
        found = ask(client, data)
    assert found is not None
    return found


def test_stable_over_retransmission_transport_and_instance(daemons: dict[str, Daemon]) -> None:
    data = request()
    tags = {
        answer(daemons[name], data, transport).to_tag
        for name in ("one", "same")
        for transport in ("udp", "tcp", "udp")
    }
    assert len(tags) == 1


def test_depends_on_the_secret(daemons: dict[str, Daemon]) -> None:
    data = request()
    assert len({answer(daemons[name], data).to_tag for name in daemons if name != "same"}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"call_id": "another"},
        {"from_": "<sip:user1@contoso.com>;tag=another"},
        {"via": "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKanother;rport"},
        {"cseq": "2 {method}"},
    ],
)
def test_another_request_gets_another(daemons: dict[str, Daemon], change: dict[str, str]) -> None:
    first = answer(daemons["one"], request(number=7))
    second = answer(daemons["one"], request(number=7, **change))
    assert first.to_tag != second.to_tag


def test_cancel_has_the_invites(daemons: dict[str, Daemon]) -> None:
    """RFC 3261 §9.2: the To tag of both answers SHOULD be the same."""
    invite = answer(daemons["one"], request("INVITE", number=8))
    cancel = answer(daemons["one"], request("CANCEL", number=8))
    assert (invite.status, cancel.status) == (302, 200)
    assert invite.to_tag == cancel.to_tag


def test_every_final_answer_has_one(daemons: dict[str, Daemon]) -> None:
    for data in (
        request("OPTIONS"),
        request(uri="sip:nobody@contoso.com"),
        request(version="SIP/3.0"),
        request(uri="tel:1"),
        request(cseq="1 BYE"),
    ):
        assert len(answer(daemons["one"], data).to_tag) == 16


def test_a_tag_that_is_there_stays(daemons: dict[str, Daemon]) -> None:
    found = answer(daemons["one"], request("BYE", to="<sip:ocschat@contoso.com>;tag=theirs"))
    assert found["To"] == "<sip:ocschat@contoso.com>;tag=theirs"
