"""One question to one name server, over real sockets, with servers that misbehave."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import uvloop

from chatredirect.dns.answer import Answer, AnswerError, AnswerKind, read_answer
from chatredirect.dns.query_exchange import QUESTIONS_PER_PORT, DnsExchange
from chatredirect.dns.resolution import DnsCounters
from chatredirect.dns.servers import DnsServer
from tests.dns.odd_servers import Handler, odd_server, silent
from tests.dns.real_servers import free_port

NAME = "pcpool.contoso.com"
A = dns.rdatatype.A


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Awaitable[None]], None]]:
    """Run a coroutine on each of the event loops that the daemon may use."""
    factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
    trouble: list[dict[str, object]] = []
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.get_loop().set_exception_handler(lambda loop, context: trouble.append(context))
        yield runner.run  # type: ignore[misc]
    assert not trouble


Run = Callable[[Awaitable[None]], None]


def reply(query: dns.message.Message, *addresses: str) -> dns.message.Message:
    response = dns.message.make_response(query)
    if addresses:
        response.answer.append(
            dns.rrset.from_text_list(query.question[0].name, 60, "IN", "A", addresses)
        )
    return response


async def ask(handler: Handler, *, host: str = "127.0.0.1", wait: float = 5.0) -> object:
    """What an exchange with such a server ends in: an answer, or the exception."""
    async with odd_server(handler, host) as server:
        assert server.address.port is not None
        exchange = DnsExchange(DnsCounters())
        try:
            async with asyncio.timeout(wait):
                message, _ = await exchange.ask(DnsServer(host, server.address.port), NAME, A)
            return read_answer(message, NAME, A)
        except (TimeoutError, OSError, AnswerError) as error:
            return error
        finally:
            await exchange.aclose()


def good(query: dns.message.Message, tcp: bool) -> list[bytes]:
    return [reply(query, "192.0.2.1").to_wire()]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_answer(run: Run, host: str) -> None:
    """A proper answer over UDP, from an IPv4 and an IPv6 server; the question has EDNS."""
    seen: list[dns.message.Message] = []

    def handler(query: dns.message.Message, tcp: bool) -> list[bytes]:
        seen.append(query)
        return good(query, tcp)

    async def main() -> None:
        answer = await ask(handler, host=host)
        assert isinstance(answer, Answer)
        assert answer.records == ("192.0.2.1",)
        assert seen[0].edns == 0
        assert seen[0].payload == 1232
        assert seen[0].flags & dns.flags.RD

    run(main())


def test_truncated_answers_are_asked_for_over_tcp(run: Run) -> None:
    """RFC 7766 §5: a truncated answer is asked for again over TCP, of the same server."""
    addresses = [f"192.0.2.{number}" for number in range(1, 255)]

    def handler(query: dns.message.Message, tcp: bool) -> list[bytes]:
        response = reply(query, *addresses) if tcp else reply(query)
        if not tcp:
            response.flags |= dns.flags.TC
        return [response.to_wire(max_size=65535)]

    async def main() -> None:
        answer = await ask(handler)
        assert isinstance(answer, Answer)
        assert len(answer.records) + answer.left_out == 254

    run(main())


def test_silent_server_over_udp_and_tcp(run: Run) -> None:
    """A server that reads and says nothing costs the caller's patience, no more."""

    def truncated(query: dns.message.Message, tcp: bool) -> list[bytes]:
        response = reply(query)
        response.flags |= dns.flags.TC
        return [] if tcp else [response.to_wire()]

    async def main() -> None:
        assert isinstance(await ask(silent, wait=0.2), TimeoutError)
        assert isinstance(await ask(truncated, wait=0.3), TimeoutError | ConnectionError)

    run(main())


def test_nobody_listens(run: Run) -> None:
    """An ICMP error is heard at once: a connected socket gets it."""

    async def main() -> None:
        exchange = DnsExchange(DnsCounters())
        with pytest.raises(OSError, match=r".") as caught:
            async with asyncio.timeout(10):
                await exchange.ask(DnsServer("127.0.0.1", free_port()), NAME, A)
        assert not isinstance(caught.value, TimeoutError)
        await exchange.aclose()

    run(main())


def wrong_id(query: dns.message.Message) -> bytes:
    response = reply(query, "192.0.2.66")
    response.id = (query.id + 1) % 65536
    return response.to_wire()


def wrong_question(query: dns.message.Message) -> bytes:
    other = dns.message.make_query("evil.example", "A", id=query.id)
    return reply(other, "192.0.2.66").to_wire()


def not_a_response(query: dns.message.Message) -> bytes:
    response = reply(query, "192.0.2.66")
    response.flags &= ~dns.flags.QR
    return response.to_wire()


@pytest.mark.parametrize(
    "forged", [wrong_id, wrong_question, not_a_response, lambda query: b"", lambda query: b"\0" * 5]
)
def test_what_answers_no_question_is_ignored(
    run: Run, forged: Callable[[dns.message.Message], bytes]
) -> None:
    """RFC 5452 §9.1: ID and question must be those that were sent; the true answer counts."""

    def handler(query: dns.message.Message, tcp: bool) -> list[bytes]:
        return [forged(query), reply(query, "192.0.2.1").to_wire()]

    async def main() -> None:
        answer = await ask(handler)
        assert isinstance(answer, Answer)
        assert answer.records == ("192.0.2.1",)

    run(main())


def cut(query: dns.message.Message) -> bytes:
    return reply(query, "192.0.2.1").to_wire()[:-15]


def count_too_high(query: dns.message.Message) -> bytes:
    wire = bytearray(reply(query, "192.0.2.1").to_wire())
    wire[7] = 9
    return bytes(wire)


def pointer_loop(query: dns.message.Message) -> bytes:
    wire = reply(query, "192.0.2.1").to_wire()
    end = 12 + len(NAME) + 2 + 4
    return wire[:end] + b"\xc0" + bytes([end]) + wire[end + 2 :]


@pytest.mark.parametrize("garbage", [cut, count_too_high, pointer_loop])
def test_unreadable_answers(run: Run, garbage: Callable[[dns.message.Message], bytes]) -> None:
    """An answer that can't be read is a named fault."""

    async def main() -> None:
        error = await ask(lambda query, tcp: [garbage(query)])
        assert isinstance(error, AnswerError)
        assert "unreadable" in str(error)

    run(main())


@pytest.mark.parametrize("code", [dns.rcode.FORMERR, dns.rcode.NOTIMP])
def test_server_without_edns(run: Run, code: dns.rcode.Rcode) -> None:
    """RFC 6891 §7: who answers FORMERR to EDNS is asked without it, and remembered."""
    edns: list[int] = []

    def handler(query: dns.message.Message, tcp: bool) -> list[bytes]:
        edns.append(query.edns)
        if query.edns >= 0:
            response = dns.message.make_response(query)
            response.use_edns(False)
            response.set_rcode(code)
            return [response.to_wire()]
        return good(query, tcp)

    async def main() -> None:
        async with odd_server(handler) as server:
            assert server.address.port is not None
            exchange = DnsExchange(DnsCounters())
            known = DnsServer("127.0.0.1", server.address.port)
            for _ in range(2):
                message, _ = await exchange.ask(known, NAME, A)
                assert isinstance(read_answer(message, NAME, A), Answer)
            await exchange.aclose()
        assert edns == [0, -1, -1]

    run(main())


@pytest.mark.parametrize(
    ("code", "kind"),
    [(dns.rcode.NXDOMAIN, AnswerKind.NXDOMAIN), (dns.rcode.NOERROR, AnswerKind.NODATA)],
)
def test_negative_answers(run: Run, code: dns.rcode.Rcode, kind: AnswerKind) -> None:
    """RFC 2308 §5: a no is good for the lesser of the SOA's TTL and its minimum field."""

    def handler(query: dns.message.Message, tcp: bool) -> list[bytes]:
        response = reply(query)
        response.set_rcode(code)
        soa = "ns.contoso.com. root.contoso.com. 1 3600 600 86400 45"
        response.authority.append(dns.rrset.from_text("contoso.com.", 900, "IN", "SOA", soa))
        return [response.to_wire()]

    async def main() -> None:
        answer = await ask(handler)
        assert isinstance(answer, Answer)
        assert (answer.kind, answer.ttl) == (kind, 45)

    run(main())


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED", "BADVERS"])
def test_other_response_codes(run: Run, code: str) -> None:
    """Every other response code is no answer, and is named; those over 15 need the OPT."""

    def handler(query: dns.message.Message, tcp: bool) -> list[bytes]:
        response = reply(query)
        response.set_rcode(dns.rcode.from_text(code))
        return [response.to_wire()]

    async def main() -> None:
        assert str(await ask(handler)) == code

    run(main())


def test_answers_of_another_type(run: Run) -> None:
    """Records of a type that wasn't asked for are no records."""

    def handler(query: dns.message.Message, tcp: bool) -> list[bytes]:
        response = reply(query)
        response.answer.append(dns.rrset.from_text(NAME + ".", 60, "IN", "TXT", '"x"'))
        return [response.to_wire()]

    async def main() -> None:
        answer = await ask(handler)
        assert isinstance(answer, Answer)
        assert answer.kind is AnswerKind.NODATA

    run(main())


def aliased(query: dns.message.Message) -> bytes:
    response = reply(query)
    response.answer.append(dns.rrset.from_text(NAME + ".", 60, "IN", "CNAME", "a.contoso.com."))
    return response.to_wire()


@pytest.mark.parametrize(
    ("handler", "there"),
    [
        (good, True),
        (lambda query, tcp: [reply(query).to_wire()], False),
        (lambda query, tcp: [pointer_loop(query)], False),
        (lambda query, tcp: [aliased(query)], False),
    ],
)
def test_peek(run: Run, handler: Handler, there: bool) -> None:
    """`peek` says yes only where the first record is what was asked for."""

    async def main() -> None:
        async with odd_server(handler) as server:
            assert server.address.port is not None
            exchange = DnsExchange(DnsCounters())
            known = DnsServer("127.0.0.1", server.address.port)
            for _ in range(10):  # even on loopback a datagram may be lost
                with suppress(TimeoutError):
                    async with asyncio.timeout(5):
                        assert await exchange.peek(known, NAME, A) == there
                        break
            else:
                pytest.fail("no answer")
            await exchange.aclose()

    run(main())


def test_many_questions_share_few_ports_for_a_while(run: Run) -> None:
    """Ports are used for a limited number of questions, many at once, and closed after that."""
    ports: set[int] = set()

    async def main() -> None:
        async with odd_server(good) as server:
            assert server.address.port is not None
            exchange = DnsExchange(counters := DnsCounters())
            known = DnsServer("127.0.0.1", server.address.port)
            names = [f"h{number}.contoso.com" for number in range(4 * QUESTIONS_PER_PORT)]
            for start in range(0, len(names), 32):
                batch = names[start : start + 32]
                await asyncio.gather(*(exchange.ask(known, name, A) for name in batch))
                ports.update(id(port) for port in exchange._ports[("127.0.0.1", known.port)])
            assert counters.queries == len(names)
            assert 4 <= len(ports) <= 64
            await exchange.aclose()

    run(main())


def test_same_id_twice_is_not_used(run: Run) -> None:
    """Two questions that are open on one port have different IDs."""
    numbers = iter([7, 7, 7, 8])

    async def main() -> None:
        async with odd_server(good) as server:
            assert server.address.port is not None
            exchange = DnsExchange(DnsCounters(), lambda: next(numbers))
            known = DnsServer("127.0.0.1", server.address.port)
            await exchange.ask(known, NAME, A)  # opens the port; two questions share it then
            await asyncio.gather(*(exchange.ask(known, f"h{n}.contoso.com", A) for n in range(2)))
            assert sorted(query.id for query, _ in server.queries) == [7, 7, 8]
            await exchange.aclose()

    run(main())


def many(query: dns.message.Message, records: int) -> bytes:
    """An answer with so many addresses, whatever its size."""
    addresses = [f"10.1.{number >> 8}.{number & 255}" for number in range(records)]
    return reply(query, *addresses).to_wire(max_size=65_535)


@pytest.mark.parametrize("tcp_only", [False, True], ids=["udp", "tcp"])
def test_answer_over_the_bounds(run: Run, monkeypatch: pytest.MonkeyPatch, tcp_only: bool) -> None:
    """An answer of 48 KB is refused before it is parsed, over UDP and TCP (docs/pools.md)."""
    monkeypatch.setattr(dns.message, "from_wire", _only_queries(dns.message.from_wire))

    def handler(query: dns.message.Message, tcp: bool) -> list[bytes]:
        return [truncated(query) if tcp_only and not tcp else many(query, 3000)]

    async def main() -> None:
        error = await ask(handler)
        assert isinstance(error, AnswerError)
        assert "octets, more than" in str(error)

    run(main())


@pytest.mark.parametrize("section", [4, 6, 8])
def test_counts_over_the_bounds(run: Run, monkeypatch: pytest.MonkeyPatch, section: int) -> None:
    """Counts in the header that are too large, or can't be true, end it (RFC 1035 §4.1.1)."""
    monkeypatch.setattr(dns.message, "from_wire", _only_queries(dns.message.from_wire))

    def handler(query: dns.message.Message, tcp: bool) -> list[bytes]:
        data = bytearray(good(query, tcp)[0])
        data[section : section + 2] = (200).to_bytes(2, "big")
        return [bytes(data)]

    async def main() -> None:
        assert isinstance(await ask(handler), AnswerError)

    run(main())


def test_more_records_than_are_read(run: Run) -> None:
    """Over TCP 500 addresses are an answer, of which the first are used; 600 are none."""
    for records, is_answer in ((500, True), (600, False)):

        def handler(query: dns.message.Message, tcp: bool, number: int = records) -> list[bytes]:
            return [many(query, number) if tcp else truncated(query)]

        async def main(handler: Handler = handler, wanted: bool = is_answer) -> None:
            assert isinstance(await ask(handler), Answer) is wanted

        run(main())


def test_referral_is_no_answer(run: Run) -> None:
    """NOERROR with NS records, not authoritative, without SOA, isn't NODATA (RFC 2308 §2.2)."""

    def handler(query: dns.message.Message, tcp: bool) -> list[bytes]:
        response = dns.message.make_response(query)
        response.authority.append(dns.rrset.from_text(".", 60, "IN", "NS", "a.root-servers.net."))
        return [response.to_wire()]

    async def main() -> None:
        error = await ask(handler)
        assert isinstance(error, AnswerError)
        assert error.about_name

    run(main())


def truncated(query: dns.message.Message) -> bytes:
    """The answer over UDP that sends the client to TCP (RFC 1035 §4.2.1)."""
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC
    return response.to_wire()


def _only_queries(
    parse: Callable[..., dns.message.Message],
) -> Callable[..., dns.message.Message]:
    """A parser for the server in the test, which fails on what the server itself has sent."""

    def guarded(data: bytes, **options: bool) -> dns.message.Message:
        assert not data[2] & 0x80, "an answer over the bounds was parsed"
        return parse(data, **options)

    return guarded
