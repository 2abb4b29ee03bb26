"""A stream listener's own book-keeping, where no process can be caught in the act."""

import asyncio
import socket

from chatredirect.sip.limits import Limits
from chatredirect.transport.admission import Admission, ConnectionLimits
from chatredirect.transport.connection_settings import (
    ConnectionGroup,
    ConnectionSettings,
    StreamLimits,
)
from chatredirect.transport.peer_identity import TrustedPeers
from chatredirect.transport.stream_listener import StreamListener
from tests.service.daemon import PATIENCE


async def test_a_listener_that_closes_gives_back_what_it_has_just_accepted() -> None:
    """Its connections' places are needed by the listeners that stay."""
    loop = asyncio.get_running_loop()
    admission = Admission(ConnectionLimits(10, 10, 10, 10), loop.time)
    settings = ConnectionSettings(
        answer=lambda event, source, transport, reach: None,
        trust=TrustedPeers(()),
        message_limits=Limits(),
        timeouts=StreamLimits(
            idle_timeout=9, message_timeout=9, write_timeout=1, handshake_timeout=9
        ),
    )
    listener = StreamListener(ConnectionGroup(settings, loop), admission)
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
