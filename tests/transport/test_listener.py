"""A stream listener's own book-keeping, where no process can be caught in the act."""

import asyncio
import gc
import socket
import ssl
import types

import pytest

from chatredirect.config.models import TlsSettings
from chatredirect.sip.framing import StreamFramer
from chatredirect.sip.limits import Limits
from chatredirect.transport.admission import Admission, ConnectionLimits
from chatredirect.transport.connection import StreamConnection
from chatredirect.transport.connection_settings import (
    ConnectionGroup,
    ConnectionSettings,
    StreamLimits,
)
from chatredirect.transport.peer_identity import Security, TrustedPeers
from chatredirect.transport.stream_listener import StreamListener
from tests.service.daemon import PATIENCE


def listening(most: int) -> tuple[StreamListener, Admission]:
    """A listener that answers nothing, and the places of its connections."""
    loop = asyncio.get_running_loop()
    admission = Admission(ConnectionLimits(most, most, most, most), loop.time)
    settings = ConnectionSettings(
        answer=lambda event, source, transport, return_path: None,
        trust=TrustedPeers(()),
        message_limits=Limits(),
        timeouts=StreamLimits(
            idle_timeout=9, message_timeout=9, write_timeout=1, handshake_timeout=9
        ),
    )
    return StreamListener(ConnectionGroup(settings, loop), admission), admission


async def test_a_listener_that_closes_gives_back_what_it_has_just_accepted() -> None:
    """Its connections' places are needed by the listeners that stay."""
    listener, admission = listening(10)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, address = server.accept()
    with client:
        client.settimeout(PATIENCE)
        accepted.setblocking(False)
        listener._accept(accepted, address)
        assert admission.open == 1
        await listener.close()  # before the loop has had a turn
        for _ in range(5):  # a turn to cancel, one to tell that it is done
            await asyncio.sleep(0)
        assert admission.open == 0
        assert client.recv(1) == b""


@pytest.mark.parametrize("secure", [False, True])
async def test_connections_leave_no_cycle_of_ours(secure: bool) -> None:
    """Neither one that sends something else than TLS, whose error asyncio's frames hold.

    asyncio's own transport is a cycle by itself, of some small objects.
    """
    listener, admission = listening(100)
    if secure:
        listener.security = Security(TlsSettings(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    with socket.create_server(("127.0.0.1", 0)) as server:

        async def connect() -> None:
            with socket.create_connection(server.getsockname()) as client:
                accepted, address = server.accept()
                accepted.setblocking(False)
                listener._accept(accepted, address)
                client.sendall(b"\r\n\r\n" * 20)
                await asyncio.sleep(0.01)
            async with asyncio.timeout(PATIENCE):
                while admission.open:  # noqa: ASYNC110  # it has no event
                    await asyncio.sleep(0.01)

        await connect()
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(5):
                await connect()
            await asyncio.sleep(0.1)
            gc.collect()
            found = {type(each) for each in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
    await listener.close()
    assert not found & {StreamConnection, StreamFramer, types.FrameType, types.TracebackType}
