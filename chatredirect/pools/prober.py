"""Pings targets with OPTIONS (RFC 3261 §11), when `chatredirect.pools.health` says that it is due.

A limited number of pings run at a time. Over TCP and TLS each opens its own connection, to test
that too. Over UDP a ping is retransmitted (RFC 3261 §17.1.2.2), so that one lost datagram is no
lost ping.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import structlog

from chatredirect import __version__
from chatredirect.client.own_requests import Resending, new_branch, new_call_id, new_tag
from chatredirect.client.wire import Connect, Wire
from chatredirect.config import HealthSettings, Transport
from chatredirect.net.target import PoolAddress, Target, TargetAddress
from chatredirect.pools.health import Health, PingOutcome
from chatredirect.pools.pool import Pool
from chatredirect.runtime.wording import error_text
from chatredirect.runtime.worker_pool import WorkerPool
from chatredirect.sip.client_request import ClientRequest, answers, hostport, via
from chatredirect.sip.message import Response

RETRY_ELSEWHERE = 503
"""Service Unavailable: the one response after which a target counts as down (RFC 3261 §21.5.4)."""

AT_ONCE = 64
"""Pings that are under way at the same time."""

log = structlog.get_logger()


class Prober:
    """Keeps `health` up to date while it runs."""

    def __init__(
        self,
        settings: HealthSettings,
        review: Callable[[Pool], None],
        *,
        clock: Callable[[], float],
        rng: random.Random,
        connects: Mapping[Transport, Connect],
    ) -> None:
        """Send nothing yet.

        Args:
            settings: interval, timeout, and numbers of losses and successes.
            review: called with each pool that has a target which went down or came back.
            clock: seconds that never go back.
            rng: spreads pings over time.
            connects: connect to targets by transport; targets of other transports are not pinged.
        """
        self.health = Health(settings, rng)
        self._settings = settings
        self._review = review
        self._watched: set[PoolAddress] = set()
        self._pools: dict[TargetAddress, dict[PoolAddress, Pool]] = {}
        self._clock = clock
        self._connects = connects
        self._workers = WorkerPool(self.health.next, self._work, clock, AT_ONCE)

    def start(self) -> None:
        """Start sending pings."""
        self._workers.start()

    async def aclose(self) -> None:
        """Stop, and cancel the running pings."""
        await self._workers.aclose()

    def update(self, settings: HealthSettings) -> None:
        """Use other settings; states stay."""
        self._settings = settings
        self.health.update(settings, self._clock())
        self._workers.wake()

    def watch(self, pool: Pool) -> None:
        """Ping a pool's targets, present and future ones."""
        if pool.key not in self._watched:
            self._watched.add(pool.key)
            self.exchange(pool, (), pool.targets)

    def unwatch(self, pool: Pool) -> None:
        """Stop pinging a pool's targets, unless another pool has them as well."""
        self.exchange(pool, pool.targets, ())
        self._watched.discard(pool.key)

    def exchange(self, pool: Pool, before: Iterable[Target], after: Iterable[Target]) -> None:
        """Replace the targets of a watched pool."""
        if pool.key not in self._watched:
            return
        for target in before:
            pools = self._pools.get(target.key)
            if pools is not None:
                pools.pop(pool.key, None)
                if not pools:
                    del self._pools[target.key]
        for target in after:
            self._pools.setdefault(target.key, {})[pool.key] = pool
        self.health.watch(self._reachable(after), self._clock())
        self.health.unwatch(self._reachable(before))
        self._workers.wake()

    def _reachable(self, targets: Iterable[Target]) -> list[Target]:
        return [target for target in targets if target.transport in self._connects]

    async def _work(self) -> bool:
        target = self.health.pop(self._clock())
        if target is None:
            return False
        outcome, detail = PingOutcome.LOST, "fault of this program"
        try:
            connect = self._connects[target.transport]
            outcome, detail = await ping(target, connect, self._settings.timeout)
        finally:
            log.debug(
                "ping", target=str(target), host=target.host, outcome=outcome.value, answer=detail
            )
            if self._workers.running and self.health.observe(
                target, outcome, detail, self._clock()
            ):
                if self.health.is_down(target.key):
                    log.warning("target_down", target=str(target), host=target.host, why=detail)
                else:
                    log.info("target_up", target=str(target), host=target.host, answer=detail)
                for pool in self._pools.get(target.key, {}).values():
                    self._review(pool)
        return True


async def ask(
    target: Target, connect: Connect, seconds: float, fields: tuple[tuple[bytes, bytes], ...] = ()
) -> Response:
    """The final response of a target to OPTIONS with these further header fields.

    Raises:
        TimeoutError: there was none within `seconds`.
        OSError: there is no connection.
    """
    async with asyncio.timeout(seconds):
        wire = await connect(target)
        try:
            request = options(target, wire.local)
            return await _transaction(wire, replace(request, fields=request.fields + fields))
        finally:
            wire.close()


async def ping(target: Target, connect: Connect, seconds: float) -> tuple[PingOutcome, str]:
    """Ping a target within `seconds`; returns the outcome, also as text for people."""
    try:
        response = await ask(target, connect, seconds)
    except TimeoutError:
        return PingOutcome.LOST, f"no response within {seconds:.3g} s"
    except OSError as error:
        return PingOutcome.LOST, error_text(error)
    reason = response.reason.decode("ascii", "replace")
    text = f"{response.status} {reason}"[:80].strip()
    outcome = PingOutcome.LOST if response.status == RETRY_ELSEWHERE else PingOutcome.ANSWERED
    return outcome, "".join(c if c.isprintable() else "?" for c in text)


async def _transaction(wire: Wire, request: ClientRequest) -> Response:
    """A non-INVITE client transaction (RFC 3261 §17.1.2), as far as a ping needs one."""
    data = request.write()
    wire.send(data)
    resending = None if wire.reliable else asyncio.create_task(_resend(wire, data))
    try:
        while True:
            message = await wire.receive()
            # a provisional response doesn't say yet whether the target works
            if not isinstance(message, Response) or message.status < 200:
                continue
            if answers(message, request):
                return message
    finally:
        if resending is not None:
            resending.cancel()


async def _resend(wire: Wire, data: bytes) -> None:
    timer = Resending(invite=False, reliable=wire.reliable)
    while True:
        await asyncio.sleep(timer.pause)
        try:
            wire.send(data)
        except OSError:
            return  # `receive` raises it as well
        timer.sent()


def options(target: Target, local: tuple[str, int]) -> ClientRequest:
    """The OPTIONS request (RFC 3261 §11.1); `local` is its source address and port."""
    transport = target.transport.encode("ascii")
    parameter = b"" if transport == b"udp" else b";transport=" + transport
    uri = b"sip:%b%b" % (hostport(target.host, target.port), parameter)
    own = hostport(local[0], None)
    return ClientRequest(
        b"OPTIONS",
        uri,
        via(target.transport, hostport(*local), new_branch()),
        b"<sip:chatredirect@%b>;tag=%b" % (own, new_tag()),
        b"<%b>" % uri,
        new_call_id(),
        1,
        fields=(
            (b"User-Agent", b"chatredirect/" + __version__.encode("ascii")),
            (b"Accept", b"application/sdp"),
        ),
    )
