"""One query to one name server, over UDP or TCP.

dnspython parses the messages, once their size and counts are known to be in bounds; why its own
resolver and queries are not used stands in docs/decisions/finding-pools.md.

A UDP socket is connected, so that ICMP reports at once when nobody listens, and sends a limited
number of queries before its port is given up (RFC 5452 §9.2 asks for many and unpredictable ports).
An answer counts if it comes from the server's address, over the socket, with the ID and question
that were sent (RFC 5452 §9.1); everything else is ignored.
"""

import asyncio
import random
import struct
from collections.abc import Callable
from functools import partial

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from chatredirect.dns.answer import AnswerError, CostlyNamesError, check_names
from chatredirect.dns.resolution import DnsCounters
from chatredirect.dns.servers import DnsServer

PAYLOAD = 1232
"""Octets of an answer over UDP that we can take (EDNS); no more, since fragments get lost."""
MAX_TCP_ANSWER = 32_768
"""Octets of an answer over TCP: more than 512 SRV records of ordinary length take."""
MAX_ANSWER_RECORDS = 512
"""Records in the sections that are read: some 20 ms of dnspython with names of ordinary length."""
QUESTIONS_PER_PORT = 64
OPEN_QUESTIONS_PER_PORT = 8
SECONDS_PER_PORT = 10.0

_HEADER = struct.Struct("!6H")
_SHORTEST_QUESTION = 5  # RFC 1035 §4.1.2: the root's name, type, class
_SHORTEST_RECORD = 11  # RFC 1035 §4.1.3: the root's name, ten octets, no data
_OPT = struct.pack("!BHHIH", 0, dns.rdatatype.OPT, PAYLOAD, 0, 0)  # RFC 6891 §6.1.2
_TRUNCATED = 0x02
_RESPONSE = 0x80


def wire_question(name: str, rdtype: dns.rdatatype.RdataType) -> bytes:
    """The question section for `name` (RFC 1035 §4.1.2).

    Raises:
        dns.exception.DNSException: `name` can't be a domain name.
    """
    wire = dns.name.from_text(name).to_wire()
    assert wire is not None  # it is None only for a name that is written to a file
    return wire + struct.pack("!HH", rdtype, 1)


def _query(number: int, question: bytes, *, edns: bool) -> bytes:
    header = _HEADER.pack(number, dns.flags.RD, 1, 0, 0, 1 if edns else 0)
    return header + question + (_OPT if edns else b"")


def _repeats(data: bytes, question: bytes) -> bool:
    """Whether a response is to this question, or repeats none, as some servers' refusals do."""
    asked = data[_HEADER.size : _HEADER.size + len(question)]
    return asked.lower() == question.lower() or data[4:6] == b"\0\0"


class _Port(asyncio.DatagramProtocol):
    """One connected UDP socket and the queries that wait on it."""

    __slots__ = ("_counters", "_ends", "_retired", "_transport", "asked", "open")

    def __init__(self, counters: DnsCounters, ends: float) -> None:
        self._counters = counters
        self._ends = ends
        self._retired = False
        self._transport: asyncio.DatagramTransport | None = None
        self.open: dict[int, tuple[bytes, asyncio.Future[bytes]]] = {}
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport) or hasattr(transport, "sendto")
        self._transport = transport  # type: ignore[assignment]  # uvloop's has no such base class

    def send(self, number: int, question: bytes, edns: bool, answer: asyncio.Future[bytes]) -> None:
        assert self._transport is not None
        self.asked += 1
        self.open[number] = (question, answer)
        self._transport.sendto(_query(number, question, edns=edns))

    def forget(self, number: int) -> None:
        self.open.pop(number, None)
        if self._retired and not self.open:
            self.close()

    def has_room(self, now: float) -> bool:
        return (
            self.asked < QUESTIONS_PER_PORT
            and len(self.open) < OPEN_QUESTIONS_PER_PORT
            and now < self._ends
            and not self._retired
        )

    def retire(self) -> None:
        """Take no more queries, and close after the last answer."""
        self._retired = True
        if not self.open:
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        if len(data) >= _HEADER.size and data[2] & _RESPONSE:
            waiting = self.open.get(int.from_bytes(data[:2], "big"))
            if waiting is not None:
                question, answer = waiting
                if not answer.done() and _repeats(data, question):
                    answer.set_result(data)
                    return
        self._counters.ignored += 1

    def error_received(self, exc: Exception) -> None:
        for _, answer in self.open.values():
            if not answer.done():
                answer.set_exception(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.error_received(exc or ConnectionError("the socket was closed"))


class DnsExchange:
    """Asks servers over UDP, and over TCP if the answer is truncated."""

    __slots__ = ("_counters", "_number", "_ports")

    def __init__(self, counters: DnsCounters, number: Callable[[], int] | None = None) -> None:
        """`number` gives a message ID, 0 to 65535; the default can't be guessed."""
        self._counters = counters
        self._number = number or partial(random.SystemRandom().getrandbits, 16)
        self._ports: dict[tuple[str, int], list[_Port]] = {}

    async def ask(
        self, server: DnsServer, name: str, rdtype: dns.rdatatype.RdataType
    ) -> tuple[dns.message.Message, bool]:
        """The answer, and whether it came over TCP. The caller sets the time limit.

        Raises:
            OSError: the query couldn't be sent, or nobody listens there.
            AnswerError: the response can't be read.
            dns.exception.DNSException: `name` can't be asked for.
        """
        question = wire_question(name, rdtype)
        edns = server.edns
        data = await self._ask_udp(server, question, edns=edns)
        if edns and _knows_no_edns(data):
            server.edns = False
            data = await self._ask_udp(server, question, edns=False)
        if data[2] & _TRUNCATED:
            return self._read(await self._ask_tcp(server, question), MAX_TCP_ANSWER), True
        return self._read(data, PAYLOAD), False

    async def peek(self, server: DnsServer, name: str, rdtype: dns.rdatatype.RdataType) -> bool:
        """Whether the name certainly has such records, almost without parsing the answer.

        True if the first record has the name and type that were asked for. Other answers, aliases
        for instance, are left to `ask` and dnspython.

        Raises:
            OSError: the query couldn't be sent, or nobody listens there.
            dns.exception.DNSException: `name` can't be asked for.
        """
        question = wire_question(name, rdtype)
        data = await self._ask_udp(server, question, edns=server.edns)
        record = _HEADER.size + len(question)
        # RFC 1035 §4.1.1: no error, and an answer; §4.1.4: a pointer to the question's name
        return (
            data[3] & 0x0F == dns.rcode.NOERROR
            and data[6:8] != b"\0\0"
            and data[record : record + 6] == b"\xc0\x0c" + question[-4:]
        )

    async def aclose(self) -> None:
        """Close all sockets; open questions fail."""
        for ports in self._ports.values():
            for port in ports:
                port.close()
        self._ports.clear()
        await asyncio.sleep(0)  # transports close in the loop's next turn

    async def _ask_udp(self, server: DnsServer, question: bytes, *, edns: bool) -> bytes:
        port = await self._port(server)
        number = self._number()
        while number in port.open:
            number = self._number()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._counters.queries += 1
        try:
            port.send(number, question, edns, answer)
            return await answer
        except OSError:
            self._retire_all(server)
            raise
        finally:
            port.forget(number)

    async def _port(self, server: DnsServer) -> _Port:
        """A port with room for a query."""
        loop = asyncio.get_running_loop()
        ports = self._ports.setdefault((server.address, server.port), [])
        while ports:
            port = ports[-1]
            if port.has_room(loop.time()):
                # the next question goes over another one, as long as there are several
                ports.insert(0, ports.pop())
                return port
            ports.pop().retire()
        new = _Port(self._counters, loop.time() + SECONDS_PER_PORT)
        await loop.create_datagram_endpoint(lambda: new, remote_addr=(server.address, server.port))
        ports.append(new)
        return new

    def _retire_all(self, server: DnsServer) -> None:
        for port in self._ports.pop((server.address, server.port), []):
            port.retire()

    async def _ask_tcp(self, server: DnsServer, question: bytes) -> bytes:
        self._counters.queries += 1
        self._counters.tcp_queries += 1
        number = self._number()
        query = _query(number, question, edns=server.edns)
        reader, writer = await asyncio.open_connection(server.address, server.port)
        try:
            writer.write(len(query).to_bytes(2, "big") + query)  # RFC 1035 §4.2.2
            size = int.from_bytes(await reader.readexactly(2), "big")
            if size > MAX_TCP_ANSWER:
                raise self._unreadable(f"{size} octets, more than {MAX_TCP_ANSWER}")
            data = await reader.readexactly(size)
        except asyncio.IncompleteReadError:
            raise ConnectionError("closed the connection without an answer") from None
        finally:
            writer.transport.abort()
        if (
            len(data) < _HEADER.size
            or data[:2] != number.to_bytes(2, "big")
            or not data[2] & _RESPONSE
            or not _repeats(data, question)
        ):
            raise self._unreadable("no answer to the question")
        return data

    def _read(self, data: bytes, most: int) -> dns.message.Message:
        """Parse an answer, unless it is too large or says that it is."""
        if len(data) > most:
            raise self._unreadable(f"{len(data)} octets, more than {most}")
        data = _without_additional(data)
        _, _, questions, *sections = _HEADER.unpack_from(data)
        records = sum(sections)
        if records > MAX_ANSWER_RECORDS:
            raise self._unreadable(f"{records} records, more than {MAX_ANSWER_RECORDS}")
        if questions > 1:
            raise self._unreadable(f"{questions} questions")
        least = _HEADER.size + questions * _SHORTEST_QUESTION + records * _SHORTEST_RECORD
        if least > len(data):
            raise self._unreadable(f"{records} records in {len(data)} octets")
        try:
            check_names(data, questions, records)
            return dns.message.from_wire(data, ignore_trailing=True)
        except (CostlyNamesError, IndexError, struct.error) as error:
            raise self._unreadable(str(error)) from None
        except (dns.exception.DNSException, ValueError) as error:
            raise self._unreadable(str(error) or type(error).__name__) from None

    def _unreadable(self, what: str) -> AnswerError:
        self._counters.malformed += 1
        return AnswerError(f"unreadable answer ({what})", about_name=False)


def _without_additional(data: bytes) -> bytes:
    """The message without its additional section, where that says nothing.

    dnspython spends a quarter of its time on the OPT record. It matters only for response codes
    over 15 (RFC 6891 §6.1.3), which come with neither records nor NXDOMAIN.
    """
    if data[6:8] != b"\0\0" or data[3] & 0x0F == dns.rcode.NXDOMAIN:
        return data[:10] + b"\0\0" + data[12:]
    return data


def _knows_no_edns(data: bytes) -> bool:
    """Whether the response is FORMERR or NOTIMP (RFC 6891 §7)."""
    return data[3] & 0x0F in (dns.rcode.FORMERR, dns.rcode.NOTIMP)
