"""Readiness: each item from the URI to an answer, and what to do about it."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from chatredirect.client.tls import Secured
from chatredirect.commands.live_pools import LivePool, Pinged, Resolution
from chatredirect.commands.readiness import Grade, Item, is_ready, readiness
from chatredirect.config import EndpointSettings
from chatredirect.dns.resolution import Located, LocatedState, Trace
from chatredirect.net.target import PoolAddress, Target
from tests.commands.endpoint.conftest import Command

NOW = 1_800_000_000.0
TLS = Target("tls", "192.0.2.20", 5061, "pcpool.contoso.com")
GOOD = Secured("TLSv1.3", "x", ("pcpool.contoso.com",), "pcpool.contoso.com", NOW + 90 * 86_400)


def settings(**keys: Any) -> EndpointSettings:
    return EndpointSettings(
        sip_address="sip:a@contoso.com",
        pool_fqdn="pcpool.contoso.com",
        port=5061,
        transport="tls",
        **keys,
    )


def items(
    *pinged: Pinged, dns: LocatedState = LocatedState.FOUND, reason: str = "", **keys: Any
) -> dict[str, Item]:
    located = Located(dns, tuple(each.target for each in pinged), reason, 0, None, ())
    resolution = Resolution(PoolAddress("pcpool.contoso.com", 5061, "tls"), located, Trace())
    pool = LivePool(resolution, pinged)
    return {each.name: each for each in readiness(settings(**keys), pool, NOW)}


WORKS = Pinged(TLS, True, "200 OK", True, GOOD)
REFUSED = Pinged(TLS, False, "connection refused", False)
EXPIRED = "the peer's certificate was refused: certificate has expired"
INSECURE = Pinged(TLS, False, EXPIRED, True, None, True)
BUSY = Pinged(TLS, False, "503 Service Unavailable", True, GOOD)


def test_all_is_well() -> None:
    found = items(WORKS, WORKS)
    assert list(found) == ["URI", "state", "pool's DNS", "connection", "certificate", "OPTIONS"]
    assert {each.grade for each in found.values()} == {Grade.OK}
    assert not any(each.remedy for each in found.values())
    assert found["certificate"].detail.startswith("pcpool.contoso.com, until 2027-04-")
    assert is_ready(tuple(found.values()))


@pytest.mark.parametrize(
    ("pinged", "failing", "remedy"),
    [
        ((REFUSED,), "connection", "start the service there, or let tls port 5061 through"),
        ((INSECURE,), "certificate", "renew it"),
        ((BUSY, BUSY), "OPTIONS", "see to the service"),
        ((REFUSED, INSECURE), "certificate", "renew it"),
        ((REFUSED, INSECURE, BUSY), "OPTIONS", "see to the service"),
    ],
)
def test_what_fails_for_all_targets(pinged: tuple[Pinged, ...], failing: str, remedy: str) -> None:
    """The item that nobody gets past fails, and says what to do; those after it aren't asked."""
    found = items(*pinged)
    assert [each.name for each in found.values() if each.grade is Grade.FAILS] == [failing]
    assert list(found)[-1] == failing
    assert remedy in found[failing].remedy
    assert not is_ready(tuple(found.values()))


@pytest.mark.parametrize("other", [REFUSED, INSECURE, BUSY])
def test_one_that_works_is_enough(other: Pinged) -> None:
    found = items(WORKS, other)
    assert Grade.DOUBTFUL in {each.grade for each in found.values()}
    assert is_ready(tuple(found.values()))


def test_names_that_lead_nowhere() -> None:
    found = items(dns=LocatedState.NONE, reason="pcpool.contoso.com: NXDOMAIN")
    assert found["pool's DNS"].grade is Grade.FAILS
    assert "add its records to DNS" in found["pool's DNS"].remedy
    assert "connection" not in found
    found = items(dns=LocatedState.FAILED, reason="no answer")
    assert "see to the name servers" in found["pool's DNS"].remedy


def test_a_certificate_that_ends_soon() -> None:
    soon = Pinged(TLS, True, "200 OK", True, Secured("", "", ("a",), "a", NOW + 86_400))
    found = items(soon)
    assert found["certificate"].grade is Grade.DOUBTFUL
    assert "renew it" in found["certificate"].remedy
    assert is_ready(tuple(found.values()))


@pytest.mark.parametrize(
    ("keys", "ready", "told"),
    [
        ({"state": "maintenance"}, False, "set sip:a@contoso.com --state active"),
        ({"state": "disabled"}, False, "set sip:a@contoso.com --state active"),
        ({"active_from": datetime.fromtimestamp(NOW + 60, UTC)}, True, "then active by itself"),
        ({"active_from": datetime.fromtimestamp(NOW - 60, UTC)}, True, "active"),
    ],
)
def test_states(keys: dict[str, Any], ready: bool, told: str) -> None:
    """One that opens by itself is ready for its time; one that somebody must open is not."""
    found = items(WORKS, **keys)
    assert told in str(found["state"])
    assert is_ready(tuple(found.values())) is ready


# -- a pool over TLS ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pool(authority: trustme.CA) -> Iterator[Any]:
    """Start servers that answer OPTIONS over TLS, each with its certificate; gives their ports."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        lines = request.split(b"\r\n")
        names = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
        kept = [each for each in lines if each.split(b":")[0] in names]
        head = [b"SIP/2.0 200 OK", *kept, b"Content-Length: 0", b"", b""]
        writer.write(b"\r\n".join(head))
        await writer.drain()

    async def start(context: ssl.SSLContext) -> int:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        return int(server.sockets[0].getsockname()[1])

    def begin(name: str, until: datetime) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name, not_after=until).configure_cert(context)
        return asyncio.run_coroutine_threadsafe(start(context), loop).result(30)

    yield begin
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)
    loop.close()


def test_live_over_tls(
    endpoint: Command,
    config: Path,
    authority: trustme.CA,
    pool: Any,
    tmp_path: Path,
) -> None:
    """Names and dates of the pools' certificates, as the servers show them."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    now = datetime.now(UTC)
    ports = {
        "good": pool("good.contoso.com", now + timedelta(days=300)),
        "soon": pool("soon.contoso.com", now + timedelta(days=3)),
        "other": pool("other.contoso.com", now + timedelta(days=300)),
    }
    entries = "".join(
        f"- {{sip_address: {name}@x.com, pool_fqdn: {host}.contoso.com, port: {ports[name]}, "
        "transport: tls}\n"
        for name, host in (("good", "good"), ("soon", "soon"), ("other", "wrong"))
    )
    hosts = ", ".join(f"{each}.contoso.com: [127.0.0.1]" for each in ("good", "soon", "wrong"))
    config.write_text(
        f"listen: [udp://127.0.0.1:5060]\nendpoints:\n{entries}tls: {{ca: ca.pem}}\n"
        f"dns: {{hosts: {{{hosts}}}, hosts_file: /dev/null}}\n"
    )
    done = endpoint("--live", config, command="check")
    assert done.status == 1
    text = done.out
    day = f"{now + timedelta(days=300):%Y-%m-%d}"
    assert f"  ok        certificate  good.contoso.com, until {day}" in text
    assert "  doubtful  certificate  soon.contoso.com, only until " in text
    assert "  FAILS     certificate  its only target: tls://127.0.0.1:" in text
    assert "not ready  sip:other@x.com" in text
    assert "  ok        OPTIONS      200 OK" in text
    assert text.endswith("2 of 3 endpoints ready\n")
