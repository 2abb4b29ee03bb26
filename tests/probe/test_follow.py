"""`chatredirect probe --follow`: on to the Contacts (RFC 3261 §8.1.3.4)."""

from contextlib import ExitStack

import pytest

from tests.ports import free_port
from tests.probe.conftest import CONFIG, Probe
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
OK = always("200 OK")


def numbered(*scripts: Script) -> Script:
    """The first script for the first INVITE, the next for the next."""
    seen = [-1]

    def script(request: bytes, number: int) -> list[bytes]:
        if method(request) == "INVITE":
            seen[0] += 1
        return scripts[min(max(seen[0], 0), len(scripts) - 1)](request, number)

    return script


def test_to_the_pool(probe: Probe) -> None:
    """Over to TCP, as the Contact says; same From, To and Call-ID, the next CSeq."""
    with tcp_peer(OK) as pool:
        contact = f"sip:ocschat@127.0.0.1:{pool.port};transport=tcp"
        with udp_peer(redirect(f"<{contact}>")) as first:
            probed = probe(URI, "--via", f"udp://127.0.0.1:{first.port}", "--follow")
    assert (probed.status, probed.err) == (0, "")
    assert pool.methods == ["INVITE", "ACK", "BYE"]
    before, after = first.received[0], pool.received[0]
    assert after.startswith(b"INVITE %b SIP/2.0\r\n" % contact.encode())
    for name in ("From", "To", "Call-ID"):
        assert header(after, name) == header(before, name)
    assert header(before, "CSeq") == b"1 INVITE"
    assert header(after, "CSeq") == b"2 INVITE"
    assert header(after, "Via") != header(before, "Via")
    assert probed.arrows == [
        *("> INVITE", "< 302 Moved Temporarily", "> ACK"),
        *("> INVITE", "< 200 OK", "> ACK", "> BYE", "< 200 OK"),
    ]


def test_only_when_wanted(probe: Probe) -> None:
    """Without --follow the Contact is shown and not asked."""
    with udp_peer(OK) as pool, udp_peer(redirect(f"<sip:a@127.0.0.1:{pool.port}>")) as first:
        probed = probe(URI, "--via", f"udp://127.0.0.1:{first.port}")
    assert probed.status == 0
    assert pool.received == []


def test_best_contact_first(probe: Probe) -> None:
    """By q-value, on one line or several; the others when the best says no (§8.1.3.4)."""
    with ExitStack() as stack:
        low, middle = (stack.enter_context(udp_peer(OK)) for _ in range(2))
        best = stack.enter_context(udp_peer(always("486 Busy Here")))
        script = redirect(
            f"<sip:low@127.0.0.1:{low.port}>;q=0.1, <sip:best@127.0.0.1:{best.port}>",
            f'"Middle, really" <sip:middle@127.0.0.1:{middle.port}>;q=0.5',
        )
        first = stack.enter_context(udp_peer(script))
        probed = probe(URI, "--via", f"udp://127.0.0.1:{first.port}", "--follow")
    assert probed.status == 0
    assert best.methods == ["INVITE", "ACK"]
    assert middle.methods == ["INVITE", "ACK", "BYE"]
    assert low.methods == []


def test_6xx_ends_it(probe: Probe) -> None:
    """A global failure: nobody else is asked (§21.6)."""
    with ExitStack() as stack:
        best = stack.enter_context(udp_peer(always("603 Decline")))
        other = stack.enter_context(udp_peer(OK))
        script = redirect(f"<sip:a@127.0.0.1:{best.port}>, <sip:b@127.0.0.1:{other.port}>;q=0.1")
        first = stack.enter_context(udp_peer(script))
        probed = probe(URI, "--via", f"udp://127.0.0.1:{first.port}", "--follow")
    assert probed.status == 1
    assert other.methods == []


def test_dead_target_then_the_next(probe: Probe) -> None:
    """Where one target of a pool is dead the next is asked (RFC 3263 §4.3)."""
    with udp_peer(OK, "127.0.0.1") as alive:
        config = CONFIG.replace("127.0.0.2, 127.0.0.1", "127.0.0.3, 127.0.0.2, 127.0.0.1")
        contact = f"<sip:a@both.contoso.com:{alive.port};transport=udp>"
        with udp_peer(redirect(contact)) as first:
            via = f"udp://127.0.0.1:{first.port}"
            probed = probe(URI, "--via", via, "--follow", config=config)
    assert probed.status == 0
    assert alive.methods == ["INVITE", "ACK", "BYE"]


def test_503_then_the_next(probe: Probe) -> None:
    """503 is as good as no answer, where there is another target (RFC 3263 §4.3)."""
    with ExitStack() as stack:
        busy = stack.enter_context(udp_peer(always("503 Service Unavailable")))
        contact = f"<sip:a@both.contoso.com:{busy.port};transport=udp>"
        first = stack.enter_context(udp_peer(redirect(contact)))
        probed = probe(URI, "--via", f"udp://127.0.0.1:{first.port}", "--follow")
    assert probed.status == 1
    assert busy.methods == ["INVITE", "ACK"]
    assert "503 Service Unavailable" in probed.out


def test_loop(probe: Probe) -> None:
    """Each URI is asked once (§8.1.3.4), however it is written."""
    ports: list[int] = []

    def script(request: bytes, number: int) -> list[bytes]:
        return redirect(f"<SIP:%61@127.0.0.1:{ports[0]}>;q=1")(request, number)

    with udp_peer(script) as peer:
        ports.append(peer.port)
        probed = probe(f"sip:a@127.0.0.1:{peer.port}", "--follow")
    assert probed.status == 1
    assert peer.methods == ["INVITE", "ACK"]
    assert "has been asked already: a loop" in probed.err


def test_too_many_redirections(probe: Probe) -> None:
    """Five are followed."""
    ports: list[int] = []

    def script(request: bytes, number: int) -> list[bytes]:
        return redirect(f"<sip:a{number}@127.0.0.1:{ports[0]}>")(request, number)

    with udp_peer(script) as peer:
        ports.append(peer.port)
        probed = probe(URI, "--via", f"udp://127.0.0.1:{peer.port}", "--follow")
    assert probed.status == 1
    assert peer.methods.count("INVITE") == 6
    assert "more than 5 redirections" in probed.err


def test_contacts_without_end(probe: Probe) -> None:
    """An answer with as many Contacts as are read: sixteen requests, then that's enough."""
    dead = free_port()
    contacts = [f"<sip:a{number}@127.0.0.1:{dead}>" for number in range(70)]
    with udp_peer(redirect(", ".join(contacts))) as peer:
        probed = probe(URI, "--via", f"udp://127.0.0.1:{peer.port}", "--follow")
    assert probed.status == 69
    assert probed.arrows.count("> INVITE") <= 16


def test_contacts_that_lead_nowhere(probe: Probe) -> None:
    """Each says why; the one that leads somewhere is asked, without its header fields."""
    with udp_peer(OK) as pool:
        script = redirect(
            "<tel:+15551234567>",
            "<sip:a@nowhere.contoso.com:5060;transport=udp>",
            "<sip:a@192.0.2.1;transport=sctp>",
            f"<sips:a@127.0.0.1:{free_port()}>",
            f"<sip:b@127.0.0.1:{pool.port}?Subject=x>;q=0.1",
        )
        with udp_peer(script) as first:
            probed = probe(URI, "--via", f"udp://127.0.0.1:{first.port}", "--follow")
    assert probed.status == 0
    assert "leads nowhere: Unsupported URI Scheme" in probed.out
    assert "nowhere.contoso.com:5060 over udp doesn't resolve: " in probed.out
    assert 'leads nowhere: its transport "sctp"' in probed.out
    assert "chatredirect: tls://127.0.0.1:" in probed.err
    assert ": connection refused" in probed.err
    assert pool.received[0].startswith(b"INVITE sip:b@127.0.0.1:%d SIP/2.0\r\n" % pool.port)


def test_json(probe: Probe) -> None:
    """Every request with its Contacts, and what wasn't followed."""
    with udp_peer(always("486 Busy Here")) as pool:
        contacts = f"<sip:b@127.0.0.1:{pool.port}>, <{URI}>;q=0.1"
        with udp_peer(redirect(contacts)) as first:
            via = f"udp://127.0.0.1:{first.port}"
            probed = probe(URI, "--via", via, "--follow", "--json")
    assert (probed.status, probed.err) == (1, "")
    assert probed.json["ending"] == "refused"
    assert [request["status"] for request in probed.json["requests"]] == [302, 486]
    assert len(probed.json["requests"][0]["contacts"]) == 2
    assert probed.json["notes"] == [f"not followed: {URI} has been asked already: a loop"]


def test_dialog_elsewhere(probe: Probe) -> None:
    """ACK and BYE go where the 2xx's Contact says, not where the INVITE went (§12.2.1.1)."""
    with udp_peer(OK) as agent:
        accepted = always("200 OK", f"Contact: <sip:agent@127.0.0.1:{agent.port}>\r\n")
        with udp_peer(accepted) as proxy:
            probed = probe(URI, "--via", f"udp://127.0.0.1:{proxy.port}")
    assert (probed.status, probed.err) == (0, "")
    assert proxy.methods == ["INVITE"]
    assert agent.methods == ["ACK", "BYE"]
    assert f"> ACK (to udp://127.0.0.1:{agent.port})" in probed.arrows


def test_record_route(probe: Probe) -> None:
    """A proxy that stays in the way gets ACK and BYE, with a Route (§12.2.1.1)."""
    ports: list[int] = []

    def script(request: bytes, _number: int) -> list[bytes]:
        if method(request) == "ACK":
            return []
        more = f"Record-Route: <sip:127.0.0.1:{ports[0]};lr>\r\nContact: <sip:a@192.0.2.9>\r\n"
        return [answer(request, "200 OK", more)]

    with udp_peer(script) as proxy:
        ports.append(proxy.port)
        probed = probe(URI, "--via", f"udp://127.0.0.1:{proxy.port}")
    assert (probed.status, probed.err) == (0, "")
    assert proxy.methods == ["INVITE", "ACK", "BYE"]
    _, acknowledgement, bye = proxy.distinct
    for request in (acknowledgement, bye):
        assert request.split(b" ")[1] == b"sip:a@192.0.2.9"
        assert header(request, "Route") == b"<sip:127.0.0.1:%d;lr>" % proxy.port
    assert header(acknowledgement, "CSeq") == b"1 ACK"
    assert header(bye, "CSeq") == b"2 BYE"
