"""Connections leave nothing behind that only the garbage collector would free."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatredirect.config import load
from chatredirect.runtime.slicing import Slicer
from chatredirect.service.service import Service
from chatredirect.systemd.inherited import Inherited
from tests.ports import free_port
from tests.service.client import request, talk
from tests.tls.authority import Authority
from tests.tls.client import SERVER, client_context, talk_tls
from tests.waiting import wait_until

CONNECTIONS = 12


@contextmanager
def own_cycles() -> Iterator[Counter[str]]:
    """Of our own classes, how many objects only the collector would have freed."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        kinds = (type(each) for each in gc.garbage)
        found.update(kind.__name__ for kind in kinds if kind.__module__.startswith("chatredirect"))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.collect()


async def test_connections_leave_no_cycle(tmp_path: Path) -> None:
    """With requests, with garbage, cut off in the middle, without a handshake."""
    authority = Authority(tmp_path)
    leaf = authority.issue(SERVER)
    plain, secure = free_port(), free_port()
    config = tmp_path / "chatredirect.yaml"
    config.write_text(
        f"listen: [tcp://127.0.0.1:{plain}, tls://127.0.0.1:{secure}]\n"
        f"tls: {{certificate: {leaf.certificate}, private_key: {leaf.private_key}, "
        f"ca: {authority.file}, verify_peer: none}}\n"
        "control: {socket: off}\nusage: {store: off}\n"
        "dns: {hosts: {pcpool.contoso.com: [192.0.2.1]}}\n"
        "endpoints: [{sip_address: sip:ocschat@contoso.com, pool_fqdn: pcpool.contoso.com}]\n"
    )
    context = client_context(authority.file)
    service = Service(inherited=Inherited())
    await service.apply(load(config), log_requests=False, slicer=Slicer(rest=0))

    def connections() -> None:
        for number in range(CONNECTIONS):
            for talking in (
                talk("tcp", ("127.0.0.1", plain)),
                talk_tls(("127.0.0.1", secure), context),
            ):
                with talking as client:
                    what = number % 3
                    if what == 0:
                        client.send(request())
                        client.receive()
                    else:
                        client.send(b"\0" * 200 if what == 1 else b"INVITE sip:")
            with talk("tcp", ("127.0.0.1", secure)) as client:
                client.send(b"no handshake\r\n\r\n")

    try:
        await asyncio.to_thread(connections)  # what is made once
        with own_cycles() as found:
            await asyncio.to_thread(connections)
            running = service.running
            assert running is not None
            admission = running.parts.listeners.admission
            await wait_until(lambda: not admission.open)
        assert not found
    finally:
        await service.stop()
