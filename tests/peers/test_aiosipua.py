"""aiosipua as an independent, modern client, over UDP and TCP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.service.daemon import PATIENCE, Daemon
from tests.service.fixtures import Run

aiosipua = pytest.importorskip("aiosipua", reason="aiosipua isn't installed")


@pytest.fixture(scope="module")
def daemon(run_shared_daemon: Run) -> Daemon:
    return run_shared_daemon()


@pytest.fixture(params=["udp", "tcp"])
async def transport(request: pytest.FixtureRequest, daemon: Daemon) -> AsyncIterator[Any]:
    """Started, bound to a port that it knows."""
    from aiosipua.transport import TcpSipTransport, UdpSipTransport

    made = UdpSipTransport() if request.param == "udp" else TcpSipTransport()
    made.local_addr = ("127.0.0.1", 0)
    await made.start()
    if request.param == "udp":
        made.local_addr = made._udp_transport.get_extra_info("sockname")[:2]
    else:
        _, writer = await made.connect(daemon.address("tcp"))
        made.local_addr = writer.get_extra_info("sockname")[:2]
    yield made
    await made.stop()


@pytest.mark.parametrize(
    ("to", "status", "reason"),
    [("ocschat", 302, "Moved Temporarily"), ("somebody", 404, "Not Found")],
)
async def test_call(daemon: Daemon, transport: Any, to: str, status: int, reason: str) -> None:
    from aiosipua.uac import SipUAC

    responses: asyncio.Queue[Any] = asyncio.Queue()
    uac = SipUAC(transport)

    def on_message(message: Any, address: tuple[str, int]) -> None:
        responses.put_nowait(message)
        uac.handle_response(message, address)

    transport.on_message = on_message
    remote = daemon.address("tcp" if transport.reliable else "udp")
    call = uac.send_invite("sip:user1@contoso.com", f"sip:{to}@contoso.com", remote)
    with pytest.raises(RuntimeError, match=f"{status} {reason}"):
        await call.wait_answered(PATIENCE)
    response = await responses.get()
    assert response.to_addr.tag
    assert response.call_id == call.call_id
    via = response.via[0]
    assert via.branch == call.invite.via[0].branch
    if status == 302:
        (contact,) = response.contact
        assert contact.uri.user == "ocschat"
        assert contact.uri.host == "pcpool.contoso.com"
        assert contact.uri.port == 5061
        assert contact.uri.params["transport"] == "tls"
