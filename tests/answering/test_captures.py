"""A real client's messages, replayed octet for octet: each gets its row of the table."""

from pathlib import Path

import pytest

from tests.service.client import Client, ask, talk
from tests.service.daemon import Daemon
from tests.service.fixtures import Run

CAPTURES = Path(__file__).parents[1] / "captures"

EXPECTED: dict[str, int | None] = {
    "register": 404,
    "subscribe-provisioning": 404,
    "subscribe-roaming-contacts": 404,
    "subscribe-roaming-self": 404,
    "lookup-1-invite": 302,
    "lookup-2-ack": None,
    "lookup-3-info-requri": 481,
    "lookup-4-ok-to-info": None,
    "lookup-5-bye": 481,
    "channel-1-invite": 404,
    "channel-2-ack": None,
    "channel-3-info-getinv": 481,
}


@pytest.fixture(scope="module")
def daemon(run_shared_daemon: Run) -> Daemon:
    return run_shared_daemon()


def read(name: str, client: Client) -> bytes:
    """A message; over UDP its Via asks for an answer to where it came from.

    There the client would have listened on its sent-by port, which a test can't claim.
    """
    data = (CAPTURES / f"{name}.sip").read_bytes()
    if client.transport == "udp":
        data = data.replace(b"tcp 127.0.0.1:45154", b"udp 127.0.0.1:%d" % client.port, 1)
    return data


def test_all_captures_are_here() -> None:
    assert {path.stem for path in CAPTURES.glob("*.sip")} == EXPECTED.keys()


@pytest.mark.parametrize(("name", "status"), EXPECTED.items())
def test_replayed(client: Client, name: str, status: int | None) -> None:
    answer = ask(client, read(name, client))
    assert (None if answer is None else answer.status) == status


def test_answer_repeats_what_the_client_wrote(client: Client) -> None:
    data = read("lookup-1-invite", client)
    answer = ask(client, data)
    assert answer is not None
    head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    for line in head:
        if line.startswith((b"Via:", b"From:", b"Call-ID:", b"CSeq:")):
            assert b"\r\n" + line + b"\r\n" in answer.raw
    assert answer["To"].startswith("<sip:ocschat@contoso.com>;tag=")
    assert answer["Contact"] == "<sip:ocschat@pcpool.contoso.com:5061;transport=tls>"


def test_a_retransmission_without_branch_gets_the_same_answer(client: Client) -> None:
    data = read("lookup-1-invite", client)
    first, second = ask(client, data), ask(client, data)
    assert first is not None
    assert second is not None
    assert first.raw == second.raw


def test_whole_dialog_on_one_connection(daemon: Daemon) -> None:
    """All of them in one go, as a proxy with one connection for many clients would send them."""
    with talk("tcp", daemon.address("tcp")) as client:
        client.send(b"".join(read(name, client) for name in EXPECTED))
        statuses = [client.receive().status for status in EXPECTED.values() if status is not None]
    assert statuses == [status for status in EXPECTED.values() if status is not None]
