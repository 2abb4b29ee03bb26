"""A TLS handshake in memory, without sockets."""

import ssl
from pathlib import Path

from tests.tls.authority import Leaf, peer_context


def shown_certificate(leaf: Leaf, ca: Path) -> dict[str, object]:
    """What a server's `getpeercert()` gives for a client that shows `leaf`."""
    server_side = peer_context(leaf, ca)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname = False
    client_side.load_verify_locations(ca)
    client_side.load_cert_chain(leaf.certificate, leaf.private_key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    client = client_side.wrap_bio(to_client, to_server)
    unfinished = [client, server]
    while unfinished:
        for side in list(unfinished):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            unfinished.remove(side)
    return dict(server.getpeercert() or {})
