"""aiosip 0.2.0 as an independent, old client, over UDP."""

import asyncio

import pytest

from tests.peers.aiosip_shims import import_aiosip
from tests.ports import free_port
from tests.service.daemon import PATIENCE, Daemon
from tests.service.fixtures import Run

pytest.importorskip("pyquery", reason="aiosip isn't installed")
aiosip = import_aiosip()


@pytest.fixture(scope="module")
def daemon(run_shared_daemon: Run) -> Daemon:
    return run_shared_daemon()


@pytest.mark.parametrize("method", ["SUBSCRIBE", "INVITE"])
@pytest.mark.parametrize(("to", "status"), [("ocschat", 302), ("somebody", 404)])
async def test_reads_the_answer(daemon: Daemon, method: str, to: str, status: int) -> None:
    application = aiosip.Application(loop=asyncio.get_running_loop())
    port = free_port()
    dialog = await application.start_dialog(
        from_uri=f"sip:user1@127.0.0.1:{port}",
        to_uri=f"sip:{to}@contoso.com",
        local_addr=("127.0.0.1", port),
        remote_addr=daemon.address(),
    )
    try:
        sent = dialog.send_message(method)
        answer = await asyncio.wait_for(sent, PATIENCE)
        assert answer.status_code == status
        assert answer.to_details["params"]["tag"]
        if status == 302:
            uri = answer.contact_details["uri"]
            assert (uri["user"], uri["host"], uri["port"]) == (
                "ocschat",
                "pcpool.contoso.com",
                5061,
            )
            assert uri["params"]["transport"] == "tls"
        if method == "INVITE":
            dialog.send_message("ACK", to_details=answer.to_details)
    finally:
        for transport in application._transports.values():
            transport.close()
