"""`chatredirect probe --lookup` against the daemon: a client's whole lookup, and what it found."""

import json
from typing import Any

import pytest

from tests.probe.conftest import Probe
from tests.service.daemon import Daemon, endpoint
from tests.service.fixtures import Run

URI = "sip:ocschat@contoso.com"
LADDER = [
    *("> INVITE", "< 200 OK", "> ACK"),
    *("> INFO", "< 200 OK", "< INFO", "> 200 OK"),
    *("> BYE", "< 200 OK"),
]


@pytest.fixture(scope="module")
def daemon(run_shared_daemon: Run) -> Daemon:
    channel = "sip:gc-channel@pcpool.contoso.com:5061;transport=tls"
    return run_shared_daemon(
        endpoints=[
            endpoint(mode="lookup", channel_uris=[channel]),
            endpoint("sip:redirect@contoso.com"),
            endpoint("sip:down@contoso.com", mode="lookup", pool_fqdn="nowhere.contoso.com"),
        ],
        dns={"hosts": {"pcpool.contoso.com": ["192.0.2.20"]}, "nameservers": ["127.0.0.1:1"]},
    )


def via(daemon: Daemon, transport: str = "tcp") -> str:
    return "{}://{}:{}".format(transport, *daemon.address(transport))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_ladder_and_channel(probe: Probe, daemon: Daemon, transport: str) -> None:
    probed = probe(URI, "--lookup", "--via", via(daemon, transport))
    assert (probed.status, probed.err) == (0, "")
    assert probed.arrows == LADDER
    assert probed.out.splitlines()[-2:] == [
        "Channel: sip:gc-channel@pcpool.contoso.com:5061;transport=tls",
        "         -> tls://192.0.2.20:5061",
    ]


def test_json(probe: Probe, daemon: Daemon) -> None:
    probed = probe(URI, "--lookup", "--json", "--via", via(daemon))
    answer: dict[str, Any] = json.loads(probed.out)
    assert answer["ending"] == "answered"
    (request,) = answer["requests"]
    assert request["channel"]["uri"] == "sip:gc-channel@pcpool.contoso.com:5061;transport=tls"
    assert len(request["messages"]) == len(LADDER)


def test_verbose(probe: Probe, daemon: Daemon) -> None:
    """The whole messages, commands and replies included."""
    probed = probe(URI, "--lookup", "-v", "--via", via(daemon))
    assert '<cmd id="cmd:requri" seqid="1">' in probed.out
    assert '<resp code="200">SUCCESS_OK</resp>' in probed.out


def test_a_redirect_is_no_lookup(probe: Probe, daemon: Daemon) -> None:
    """Exit status 1: nobody has named a channel service."""
    probed = probe("sip:redirect@contoso.com", "--lookup", "--via", via(daemon))
    assert probed.status == 1
    assert "no channel service: it redirects" in probed.err


def test_nothing_usable(probe: Probe, daemon: Daemon) -> None:
    probed = probe("sip:down@contoso.com", "--lookup", "--via", via(daemon))
    assert probed.status == 1
    assert "200 OK" in probed.out
    assert "no channel service: 503 ERROR_SERVICE_UNAVAILABLE" in probed.err


def test_only_invite(probe: Probe, daemon: Daemon) -> None:
    probed = probe(URI, "--lookup", "--method", "OPTIONS", "--via", via(daemon))
    assert probed.status == 2
    assert "--lookup: begins with an INVITE" in probed.err
