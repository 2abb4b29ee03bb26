"""The load: clients that redirect, look up and call, and the pool that they call, in one process.

Run on one machine with two addresses, the clients' and the pool's, as
`python -m tests.several.traffic PLAN`, with the plan as JSON. When it has begun it makes the plan's
file with the ending `.begun`, and in the end it writes its accounts to the file.
"""

import asyncio
import itertools
import json
import random
import re
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.several.accounts import TIMER_B, Accounts, Dialog, Search
from tests.several.messages import REQURI, SDP, Message, response, tag_of, uri_of
from tests.several.user_agent import T1, T2, End, Plan, Side, nothing
from tests.several.wires import Answer, Datagrams, Streams, Wire

_CHANNEL = re.compile(r'\buri="([^"]+)"')
_MOST_INVITES = 8
_PAUSE = 1.0  # seconds before the next of them
_REPLY_WITHIN = 32.0  # seconds that a client waits for the reply to its cmd:requri


@dataclass(slots=True)
class Call:
    """A proxied dialog, both of its ends."""

    account: Dialog
    client: Side
    pool: Side
    ends: bool = False


@dataclass(slots=True)
class Waiting:
    """A 200 to an INVITE that is repeated until its ACK arrives (RFC 3261 §13.3.1.4)."""

    data: bytes
    answer: Answer
    timer: asyncio.TimerHandle | None = None


class Traffic:
    """All of it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.accounts = Accounts()
        self.clients = End(plan, self.accounts, self.client_asked)
        self.pool = End(plan, self.accounts, self.pool_asked)
        self.clients.again = self.repeated
        self.names = itertools.count()
        self.calls: dict[str, Call] = {}
        self.lookups: dict[str, Callable[[str], None]] = {}
        self.sides: dict[str, Side] = {}
        self.waiting: dict[str, Waiting] = {}
        self.running = 0
        self.idle = asyncio.Event()
        self.run_id = f"{random.getrandbits(48):x}"

    async def run(self) -> None:
        """Begin, go on for the plan's seconds, and wait for what is open."""
        self.clients.wire = await self._wire(
            self.plan.clients, self.plan.client_address, self.clients
        )
        self.pool.wire = await self._wire(self.plan.pool, self.plan.pool_address, self.pool)
        Path(self.plan.accounts).with_suffix(".begun").touch()
        ends = time.monotonic() + self.plan.seconds
        await asyncio.gather(
            self._steadily(self.plan.redirects, ends, self.redirect),
            self._steadily(self.plan.lookups, ends, self.search),
            self._steadily(self.plan.calls, ends, self.dial),
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self.idle.wait(), 3 * TIMER_B)
        self.accounts.write(Path(self.plan.accounts))

    async def _wire(self, transport: str, address: str, end: End) -> Wire:
        if transport == "UDP":
            datagrams = Datagrams(address, end.arrived)
            await datagrams.open()
            return datagrams
        streams = Streams(address, end.arrived)
        if transport == "TLS":
            files = self.plan.tls
            streams.name = "chatredirect.contoso.com"
            streams.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files["ca"])
            streams.client = ssl.create_default_context(cafile=files["ca"])
            for each in (streams.server, streams.client):
                each.load_cert_chain(files["certificate"], files["private_key"])
        await streams.open()
        return streams

    async def _steadily(self, rate: float, ends: float, begin: Callable[[], None]) -> None:
        due = time.monotonic()
        while rate and due < ends:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            begin()
            due += 1 / rate

    def count(self, more: int) -> None:
        """What goes on: redirects, searches and calls."""
        self.running += more
        if self.running:
            self.idle.clear()
        else:
            self.idle.set()

    def _side(self, user: str) -> Side:
        number = next(self.names)
        call = f"{self.run_id}-{number}"
        return Side(
            call,
            f"<sip:user{number}@contoso.com>;tag=c{number}",
            f"<sip:{user}@contoso.com>",
        )

    def redirect(self) -> None:
        """A client asks an endpoint of the mode redirect."""
        self.count(1)
        self.clients.send(
            "redirect",
            "INVITE",
            self._side("news"),
            "sip:news@contoso.com",
            self._done,
            wanted=302,
            body=SDP,
            to=self.plan.first,
        )

    def _done(self, message: Message | None) -> None:
        del message
        self.count(-1)

    def search(self, search: Search | None = None) -> None:
        """A Group Chat client looks for its channel service; again, if it got nothing."""
        if search is None:
            search = Search(time.monotonic())
            self.accounts.searches.append(search)
            self.count(1)
        search.invites += 1
        Lookup(self, search, self._side("ocschat")).begin()

    def dial(self) -> None:
        """A client calls an endpoint of the mode proxy."""
        self.count(1)
        side = self._side("chat")
        self.sides[side.call] = side

        def accepted(message: Message | None) -> None:
            if message is None or message.status != 200:
                self.count(-1)
                return
            self._confirm(self.clients, side, message)
            call = self.calls.get(side.call)
            if call is None:  # the pool has it before it answers
                self.count(-1)
                return
            call.account.opened = time.monotonic()
            self.accounts.dialogs.append(call.account)
            self._converse(call, self.clients, call.client, "client")
            self._converse(call, self.pool, call.pool, "pool")
            asyncio.get_running_loop().call_later(self.plan.duration, self._hang_up, call)

        self.clients.send(
            "call INVITE",
            "INVITE",
            side,
            "sip:chat@contoso.com",
            accepted,
            body=SDP,
            to=self.plan.first,
        )

    def _confirm(self, end: End, side: Side, message: Message) -> None:
        side.remote = message.value("to")
        side.target = uri_of(message.value("contact"))
        side.routes = message.routes()[::-1]
        end.acknowledge(side, side.number)

    def _converse(self, call: Call, end: End, side: Side, name: str) -> None:
        """An INFO of one side, again and again until the dialog ends."""
        if call.ends or call.account.failed:
            return

        def heard(message: Message | None) -> None:
            side.busy = False
            self._noted(call, f"{name} INFO", began, message)

        if not side.busy:
            side.busy = True
            began = time.monotonic()
            end.send(f"{name} INFO", "INFO", side, side.target, heard)
        later = self.plan.period * random.uniform(0.8, 1.2)
        asyncio.get_running_loop().call_later(later, self._converse, call, end, side, name)

    def _noted(self, call: Call, kind: str, began: float, message: Message | None) -> None:
        if message is not None and message.status == 200:
            call.account.after.append((kind, began))
            return
        if not call.account.failed:
            call.account.failed = f"{kind} {message.status if message else 'no answer'}"
            self._ended(call)

    def _ended(self, call: Call) -> None:
        if not call.account.ended:
            call.account.ended = time.monotonic()
            self.count(-1)

    def _hang_up(self, call: Call) -> None:
        """BYE, from one side in every second dialog; after the INFO that is on its way."""
        if call.account.failed:
            return
        call.ends = True
        by_pool = random.random() < 0.5
        end, side = (self.pool, call.pool) if by_pool else (self.clients, call.client)
        if call.client.busy or call.pool.busy:
            asyncio.get_running_loop().call_later(0.1, self._hang_up, call)
            return
        kind = "pool BYE" if by_pool else "client BYE"
        began = time.monotonic()

        def heard(message: Message | None) -> None:
            self._noted(call, kind, began, message)
            self._ended(call)

        end.send(kind, "BYE", side, side.target, heard)

    def repeated(self, message: Message) -> None:
        """A 200 to an INVITE came again: its ACK was lost."""
        side = self.sides.get(message.call)
        if side is not None and message.value("cseq").endswith("INVITE"):
            self.clients.acknowledge(side, int(message.value("cseq").split()[0]))

    def client_asked(self, message: Message, answer: Answer) -> None:
        """A request to a client: the pool's in a dialog, or a lookup's reply."""
        answer(response(message, "200 OK"))
        told = self.lookups.get(message.call)
        if told is not None and message.method == "INFO":
            found = _CHANNEL.search(message.body)
            told(found[1] if found else "")

    def pool_asked(self, message: Message, answer: Answer) -> None:
        """A request to the pool."""
        if message.method == "ACK":
            waiting = self.waiting.pop(message.call, None)
            if waiting is not None and waiting.timer is not None:
                waiting.timer.cancel()
            return
        if message.method != "INVITE" or tag_of(message.value("to")):
            answer(response(message, "200 OK"))
            return
        tag = f"p{message.call}"
        accepted = response(message, "200 OK", tag, self.pool.contact)
        if message.call in self.calls:
            answer(accepted)  # a retransmission, or the same by way of another instance
            return
        side = Side(
            message.call,
            f"{message.value('to')};tag={tag}",
            message.value("from"),
            uri_of(message.value("contact")),
            message.routes(),
        )
        client = self.sides.get(message.call)
        if client is not None:
            account = Dialog("call", message.call, 0.0)
            self.calls[message.call] = Call(account, client, side)
        waiting = Waiting(accepted, answer)
        self.waiting[message.call] = waiting
        self._repeat(message.call, waiting, T1)

    def _repeat(self, call: str, waiting: Waiting, again: float) -> None:
        if self.waiting.get(call) is not waiting or again > TIMER_B:
            return
        waiting.answer(waiting.data)
        later = asyncio.get_running_loop().call_later
        waiting.timer = later(again, self._repeat, call, waiting, min(2 * again, T2))


class Lookup:
    """One INVITE of a search, and what follows it."""

    def __init__(self, traffic: Traffic, search: Search, side: Side) -> None:
        self._traffic, self._search, self._side = traffic, search, side
        self._dialog = Dialog("lookup", side.call, 0.0)
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def begin(self) -> None:
        """INVITE."""
        self._traffic.lookups[self._side.call] = self._told
        self._traffic.sides[self._side.call] = self._side
        self._send("lookup INVITE", "INVITE", "sip:ocschat@contoso.com", self._accepted, SDP)

    def _send(
        self,
        kind: str,
        method: str,
        uri: str,
        made: Callable[[Message], None],
        body: str = "",
    ) -> None:
        def answered(message: Message | None) -> None:
            if message is not None and message.status == 200:
                made(message)
            else:
                self._fail(f"{kind} {message.status if message else 'no answer'}")

        to = self._traffic.plan.first if method == "INVITE" else ""
        self._traffic.clients.send(kind, method, self._side, uri, answered, body=body, to=to)

    def _accepted(self, message: Message) -> None:
        side, traffic = self._side, self._traffic
        side.remote = message.value("to")
        side.target = uri_of(message.value("contact"))
        side.routes = message.routes()[::-1]
        traffic.clients.acknowledge(side, side.number)
        self._dialog.opened = time.monotonic()
        traffic.accounts.dialogs.append(self._dialog)
        later = asyncio.get_running_loop().call_later
        self._timer = later(_REPLY_WITHIN, self._fail, "no reply")
        self._send("lookup INFO", "INFO", side.target, nothing, REQURI)

    def _told(self, channel: str) -> None:
        if self._over or self._search.found:
            return
        if not channel:
            self._fail("reply without a channel")
            return
        self._search.found = channel
        self._search.ended = time.monotonic()
        self._send("lookup BYE", "BYE", self._side.target, self._ended)

    def _ended(self, message: Message) -> None:
        del message
        self._finish()

    def _fail(self, why: str) -> None:
        """The client calls its contact object anew."""
        if self._over:
            return
        self._dialog.failed = why
        self._finish(again=not self._search.found)

    def _finish(self, again: bool = False) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._dialog.ended = time.monotonic()
        del self._traffic.lookups[self._side.call]
        if again and self._search.invites < _MOST_INVITES:
            later = asyncio.get_running_loop().call_later
            later(_PAUSE, self._traffic.search, self._search)
        else:
            self._traffic.count(-1)


if __name__ == "__main__":
    asyncio.run(Traffic(Plan(**json.loads(sys.argv[1]))).run())
