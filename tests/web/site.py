"""A daemon's page as a browser or a script asks for it, and SIP beside it."""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.service import client as sip
from tests.service.client import request, talk
from tests.service.daemon import Daemon
from tests.service.fixtures import Run
from tests.tls.client import SERVER

PATIENCE = 30.0


@dataclass
class Reply:
    """A response; header fields by their names in lower case, the last of each name."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Site:
    """The page of a daemon.

    Attributes:
        state: its state directory.
        context: with TLS, how the server is verified.
    """

    def __init__(self, daemon: Daemon, state: Path, context: ssl.SSLContext | None = None) -> None:
        self.daemon = daemon
        self.state = state
        self.context = context
        where = daemon.event("http_listening", key="http.page_listen")["where"]
        parts = urlsplit(str(where))
        self.scheme, self.host, self.port = parts.scheme, parts.hostname or "", parts.port or 0

    @property
    def token_file(self) -> Path:
        return self.state / "page.token"

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    def ask(
        self,
        path: str,
        method: str = "GET",
        *,
        token: str | None = "",
        body: str | None = None,
        **fields: str,
    ) -> Reply:
        """Ask once; with the token unless another one, or None, is given."""
        sent = {name.replace("_", "-"): value for name, value in fields.items()}
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token or self.token}")
        if body is not None:
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        with closing(self.connection()) as connection:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, fields, response.read())

    def connection(self) -> http.client.HTTPConnection:
        if self.context is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        name = SERVER
        connection = http.client.HTTPSConnection(name, self.port, timeout=PATIENCE)
        sock = socket.create_connection((self.host, self.port), timeout=PATIENCE)
        connection.sock = self.context.wrap_socket(sock, server_hostname=name)
        return connection

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection((self.host, self.port), timeout=PATIENCE)

    def head(self, path: str, method: str = "GET", **fields: str) -> bytes:
        """A request's head with the token."""
        sent: Mapping[str, str] = {
            "Host": f"{self.host}:{self.port}",
            "Authorization": f"Bearer {self.token}",
            **{name.replace("_", "-"): value for name, value in fields.items()},
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()

    def log_in(self, token: str, **fields: str) -> Reply:
        return self.ask("/login", "POST", token=None, body=f"token={token}&next=/trace", **fields)

    def redirects(self) -> None:
        """Make a call over UDP, which is redirected."""
        with talk("udp", self.daemon.address()) as client:
            answer = sip.ask(client, request())
        assert answer is not None
        assert answer.status == 302


def serve(run: Run, folder: Path, *, state: Path | None = None, **keys: Any) -> Site:
    """Start a daemon with a page on a free port; `http` may have more keys."""
    state = folder / "state" if state is None else state
    state.mkdir(exist_ok=True)
    http_keys = {"page_listen": "127.0.0.1:0"} | keys.pop("http", {})
    daemon = run(environment={"STATE_DIRECTORY": str(state)}, http=http_keys, **keys)
    return Site(daemon, state)


def events(sock: socket.socket) -> "EventReader":
    return EventReader(sock)


class EventReader:
    """Reads server-sent events of a connection, after its head."""

    def __init__(self, sock: socket.socket) -> None:
        self._file = sock.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.fields = {}
        while (line := self._file.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            self.fields[name.lower()] = value.strip()

    def close(self) -> None:
        """Let the socket be closed, which lives as long as what reads it."""
        self._file.close()

    def rest(self) -> bytes:
        """All that is left, until the connection is closed."""
        return self._file.read()

    def next(self) -> tuple[str, Any]:
        """The next event: its name, and its data."""
        name, data = "", ""
        while True:
            line = self._file.readline()
            assert line, "the stream has ended"
            text = line.strip().decode()
            if text.startswith("event: "):
                name = text.removeprefix("event: ")
            elif text.startswith("data: "):
                data += text.removeprefix("data: ")
            elif not text and name:
                return name, json.loads(data)
            # the chunks' sizes lie in between

    def until(self, wanted: str) -> Any:
        """The data of the next event of a name."""
        while True:
            name, data = self.next()
            if name == wanted:
                return data
