"""A user agent's core: its transactions, over one address of a name after the other.

It keeps RFC 3261's timers. A name with several addresses is tried address by address (RFC 3263
§4.3), the next one after `next_after` seconds of silence, or at once after a 503. A connection that
can't be made, or breaks before the response, sends a request on to the next address at once, and
from the last to the first after a second.
"""

import asyncio
import itertools
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.several.accounts import TIMER_B, Accounts, Request
from tests.several.messages import Message, host_of, request, uri_of
from tests.several.wires import Answer, Wire

T1, T2 = 0.5, 4.0  # RFC 3261 §17
_ADDRESS = re.compile(r"[\d.]+")


@dataclass(slots=True)
class Plan:
    """What to do.

    Attributes:
        seconds: for how long clients begin something new.
        first: the name that clients send what begins a dialog to.
        names: the addresses of each name, in the order of DNS.
        redirects: of them a second; lookups and calls likewise.
        duration: seconds of a call, and `period` those between two INFOs of a side.
        clients: the transport of clients: UDP or TCP.
        pool: the pool's: UDP, TCP or TLS.
        tls: files for it: certificate, private_key, ca.
        accounts: the file to write.
    """

    accounts: str
    first: str
    names: dict[str, list[str]]
    seconds: float = 8.0
    redirects: float = 150.0
    lookups: float = 10.0
    calls: float = 8.0
    duration: float = 4.0
    period: float = 0.8
    next_after: float = 4.0
    clients: str = "UDP"
    pool: str = "UDP"
    client_address: str = "192.0.2.100"
    pool_address: str = "192.0.2.20"
    tls: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Side:
    """One end's view of a dialog, or of a request that begins one."""

    call: str
    local: str
    remote: str
    target: str = ""
    routes: list[str] = field(default_factory=list)
    number: int = 0
    busy: bool = False

    def hop(self) -> str:
        """The name that the next request goes to."""
        return host_of(uri_of(self.routes[0]) if self.routes else self.target)


class Transaction:
    """A request until its final response, over one address after the other."""

    __slots__ = ("_attempt", "_branch", "_end", "_hosts", "_made", "_timers", "account", "build")

    def __init__(
        self,
        end: "End",
        account: Request,
        build: Callable[[str], bytes],
        hosts: Sequence[str],
        made: Callable[[Message | None], None],
    ) -> None:
        self._end, self._hosts, self._made = end, hosts, made
        self.account, self.build = account, build
        self._attempt = 0
        self._branch = ""
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(TIMER_B, self._finish, None)]
        self._try()

    def _try(self) -> None:
        self._branch = f"z9hG4bK{next(self._end.numbers)}"
        self._end.transactions[self._branch] = self
        self._send(self.build(self._branch), T1, self._attempt)
        if self._attempt + 1 < len(self._hosts):
            later = asyncio.get_running_loop().call_later
            self._timers.append(later(self._end.plan.next_after, self._next, self._attempt))

    def _next(self, attempt: int) -> None:
        if self._timers and attempt == self._attempt:
            self._attempt += 1
            self._try()

    def _failed(self, attempt: int) -> None:
        """The connection that an attempt was made over is none, or gone."""
        if (attempt + 1) % len(self._hosts):
            self._next(attempt)
        elif self._timers:
            later = asyncio.get_running_loop().call_later
            self._timers.append(later(1, self._next, attempt))

    def _send(self, data: bytes, again: float, attempt: int) -> None:
        if not self._timers or attempt != self._attempt:
            return
        self.account.sent += 1
        host = self._hosts[attempt % len(self._hosts)]
        self._end.wire.send(data, host, lambda: self._failed(attempt))
        if self._end.wire.transport == "UDP":
            longer = again * 2 if self._is_invite else min(again * 2, T2)
            later = asyncio.get_running_loop().call_later
            self._timers.append(later(again, self._send, data, longer, attempt))

    @property
    def _is_invite(self) -> bool:
        return self.account.kind.endswith("INVITE") or self.account.kind == "redirect"

    def take(self, message: Message) -> None:
        """A response of ours."""
        status = message.status
        assert status is not None
        if not self._timers:
            return
        if status < 200:
            for timer in self._timers[1:]:  # whoever answers provisionally has it
                timer.cancel()
            del self._timers[1:]
            return
        if self._is_invite and status >= 300:
            ack = self.build(self._branch).partition(b"\r\n\r\n")[0].decode()
            ack = ack.replace("INVITE", "ACK").replace(
                next(line for line in ack.split("\r\n") if line.startswith("To:")),
                f"To: {message.value('to')}",
            )
            ack = re.sub(r"\r\nContent-[^\r]*", "", ack) + "\r\nContent-Length: 0\r\n\r\n"
            host = self._hosts[self._attempt % len(self._hosts)]
            self._end.wire.send(ack.encode(), host, nothing)
        if status == 503 and self._attempt + 1 < len(self._hosts):  # RFC 3263 §4.3
            self._next(self._attempt)
        else:
            self._finish(message)

    def _finish(self, message: Message | None) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.account.ended = time.monotonic()
        self.account.status = message.status if message else None
        self._made(message)


class End:
    """The clients' end or the pool's: one wire, its transactions, and what it answers."""

    def __init__(
        self, plan: Plan, accounts: Accounts, asked: Callable[[Message, Answer], None]
    ) -> None:
        self.plan, self.accounts = plan, accounts
        self.transactions: dict[str, Transaction] = {}
        self.numbers = itertools.count(random.getrandbits(32))
        self.wire: Wire
        self.again: Callable[[Message], None] = nothing
        self._asked = asked

    def arrived(self, message: Message, answer: Answer) -> None:
        """Whatever comes on the wire."""
        if message.status is None:
            self._asked(message, answer)
            return
        transaction = self.transactions.get(message.branch)
        if transaction is not None:
            if not transaction.account.ended:
                transaction.take(message)
            elif message.status == 200:
                self.again(message)

    def send(
        self,
        kind: str,
        method: str,
        dialog: "Side",
        uri: str,
        made: Callable[[Message | None], None],
        *,
        wanted: int = 200,
        body: str = "",
        to: str = "",
    ) -> None:
        """Begin a transaction, within a dialog or to the name `to`."""
        dialog.number += 1
        number = dialog.number
        account = Request(kind, dialog.call, time.monotonic(), wanted)
        self.accounts.requests.append(account)

        def build(branch: str) -> bytes:
            return self.write(method, dialog, uri, number, branch, body)

        Transaction(self, account, build, self._hosts(to or dialog.hop(), dialog.call), made)

    def write(
        self, method: str, dialog: "Side", uri: str, number: int, branch: str, body: str = ""
    ) -> bytes:
        """A request of a dialog."""
        via = f"SIP/2.0/{self.wire.transport} {self.wire.address};branch={branch};rport"
        fields = [
            f"From: {dialog.local}",
            f"To: {dialog.remote}",
            f"Call-ID: {dialog.call}",
            f"CSeq: {number} {method}",
        ]
        if method == "INVITE":
            fields.append(f"Contact: <{self.contact}>")
        kind = "application/sdp" if method == "INVITE" else "text/plain"
        return request(method, uri, via, fields, dialog.routes, body, kind)

    def acknowledge(self, dialog: "Side", number: int) -> None:
        """ACK a 2xx."""
        branch = f"z9hG4bK{next(self.numbers)}"
        data = self.write("ACK", dialog, dialog.target, number, branch)
        self.wire.send(data, self._hosts(dialog.hop(), dialog.call)[0], nothing)

    @property
    def contact(self) -> str:
        """Where we can be reached."""
        kind = self.wire.transport.lower()
        return f"sip:user1@{self.wire.address};transport={kind}"

    def _hosts(self, name: str, call: str) -> list[str]:
        """A name's addresses; each dialog begins at another one, as DNS turns them round."""
        if _ADDRESS.fullmatch(name):
            return [name]
        hosts = self.plan.names[name]
        begin = hash(call) % len(hosts)
        return hosts[begin:] + hosts[:begin]


def nothing(*_: object) -> None:
    """What somebody does who wants to know nothing."""
