"""A lookup that a Group Chat client has begun and not ended: what a daemon that stops waits for."""

import re
from typing import Any, Protocol

from tests.lookup.in_memory_lookups import SDP
from tests.service.client import Udp, request
from tests.service.daemon import configuration, endpoint

LOOKUP = "sip:lookup@contoso.com"


def lookups(**keys: Any) -> dict[str, Any]:
    """A configuration with an endpoint in the mode `lookup` beside the usual one."""
    return configuration(endpoints=[endpoint(), endpoint(LOOKUP, mode="lookup")], **keys)


class Listening(Protocol):
    """What runs a daemon, somewhere."""

    def address(self, transport: str = "udp") -> tuple[str, int]:
        """Where it listens."""


class Caller:
    """A Group Chat client's dialog over UDP, as far as it is needed here."""

    def __init__(self, daemon: Listening) -> None:
        self.udp = Udp(daemon.address())
        self.socket = self.udp.socket
        self.to = f"<{LOOKUP}>"
        self.number = 0
        self._seen: set[bytes] = set()

    def send(self, method: str, *, number: int | None = None, body: str = "") -> None:
        self.number += number is None
        extra = f"Contact: <sip:user1@127.0.0.1:{self.udp.port}>\r\nMax-Forwards: 70\r\n"
        if body:
            kind = "application/sdp" if method == "INVITE" else "text/plain"
            extra += f"Content-Type: {kind}\r\n"
        self.socket.sendto(
            request(
                method,
                LOOKUP,
                via=f"SIP/2.0/UDP 127.0.0.1:{self.udp.port};branch=z9hG4bK{{n}};rport",
                from_="<sip:user1@contoso.com>;tag=caller",
                to=self.to,
                call_id=f"call-{self.udp.port}",
                cseq=f"{number or self.number} {method}",
                more=extra,
                body=body,
            ),
            self.udp.to,
        )

    def receive(self) -> str:
        """The next message that hasn't come before: what waits for us half a second is repeated."""
        while (data := self.socket.recv(65536)) in self._seen:
            pass
        self._seen.add(data)
        return data.decode()

    def begin(self) -> "Caller":
        self.send("INVITE", body=SDP)
        answer = self.receive()
        assert answer.startswith("SIP/2.0 200 "), answer
        found = re.search(r"^To: (.*)\r$", answer, re.MULTILINE)
        assert found is not None
        self.to = found[1]
        self.send("ACK", number=self.number)
        return self

    def hang_up(self) -> None:
        self.send("BYE")
        assert "200 OK" in self.receive().partition("\r\n")[0]
