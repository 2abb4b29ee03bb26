"""A TLS client of the standard library, with the strict reading of `tests.service.client`."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.service.client import Tcp
from tests.tls.authority import Leaf

SERVER = "sip.contoso.com"  # the name in the daemon's own certificate


def client_context(ca: Path, own: Leaf | None = None) -> ssl.SSLContext:
    """A context that verifies the daemon, and shows `own` if there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    if own is not None:
        context.load_cert_chain(own.certificate, own.private_key)
    return context


class Tls(Tcp):
    """A TLS connection to a listener.

    Attributes:
        socket: may be asked for `version()` and `cipher()`.
    """

    transport = "tls"
    socket: ssl.SSLSocket

    def __init__(
        self,
        to: tuple[str, int],
        context: ssl.SSLContext,
        bind: str | None = None,
        *,
        receive_buffer: int | None = None,
    ) -> None:
        super().__init__(to, bind, receive_buffer=receive_buffer)
        plain = self.socket
        try:
            self.socket = context.wrap_socket(plain, server_hostname=SERVER)
        except BaseException:
            plain.close()
            raise

    def rest(self) -> bytes:
        """Everything until the other side closes; `<alert>` at the end if it refuses us."""
        try:
            return super().rest()
        except (ssl.SSLError, BrokenPipeError):  # the latter since OpenSSL 3.5
            rest, self._buffer = self._buffer, b""
            return rest + b"<alert>"


@contextmanager
def talk_tls(
    to: tuple[str, int],
    context: ssl.SSLContext,
    bind: str | None = None,
    *,
    receive_buffer: int | None = None,
) -> Iterator[Tls]:
    """A client over TLS."""
    client = Tls(to, context, bind, receive_buffer=receive_buffer)
    try:
        yield client
    finally:
        client.close()
        _forget_errors(context)


def _forget_errors(context: ssl.SSLContext) -> None:
    """Empty OpenSSL's queue of errors, which is the thread's and not the connection's.

    With OpenSSL 3.5 a write to a connection that is gone leaves one there, and Python 3.13 reports
    it for the next connection that has to wait. The daemon's TLS has no sockets of OpenSSL's.
    """
    while True:
        unconnected = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=SERVER)
        try:
            unconnected.do_handshake()
        except ssl.SSLWantReadError:
            return
        except OSError:
            continue
