"""Where a peer can open a connection to us, by what we listen on."""

from collections.abc import Callable, Iterable

from chatredirect.config.addresses import ListenUrl

_ANY = ("0.0.0.0", "::")  # noqa: S104  compared, not bound


def reachable_at(
    bound: Callable[[], Iterable[ListenUrl]], transport: str, host: str, port: int
) -> tuple[str, int]:
    """The address and port for our Via on a connection that we have opened (RFC 3261 §18.1.1).

    A listener of the transport on the connection's own address, else any other of its family; the
    connection's own end where there is none.

    Args:
        bound: gives the addresses that we listen on.
        transport: the connection's.
        host: our own address on it.
        port: our own port on it.
    """
    is_ipv6 = ":" in host
    elsewhere: tuple[str, int] | None = None
    for url in bound():
        if url.transport != transport:
            continue
        if url.host == host or (url.host in _ANY and is_ipv6 == (url.host == "::")):
            return host, url.port
        if elsewhere is None and url.host == "::":  # which takes IPv4 as well
            elsewhere = host, url.port
        elif elsewhere is None and url.host not in _ANY and is_ipv6 == (":" in url.host):
            elsewhere = url.host, url.port
    return elsewhere or (host, port)
