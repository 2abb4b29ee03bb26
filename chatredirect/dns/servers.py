"""Which name server to ask next.

The first of the list that works is asked, as in a system's resolver. One that leaves a query
unanswered goes behind the others at once; after three in a row, or one ICMP error, it is down. Then
it gets one query at a time, after a pause, to check whether it is back. If all are down, queries
fail at once instead of each waiting for its timeout: ten thousand pools must not queue up behind a
server that doesn't answer.

A response code doesn't count against a server: SERVFAIL and REFUSED are mostly about the name.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from chatredirect.net.addresses import DNS_PORT, HostPort

DOWN_AFTER = 3
"""Unanswered queries in a row after which a server counts as down."""
FIRST_PAUSE = 1.0
LAST_PAUSE = 5.0
"""Seconds between two queries to a server that is down, at first and at last."""

PATH = "/etc/resolv.conf"
MOST_OCTETS = 65_536
_MOST_SERVERS = 8
_LONGEST = 80  # characters of a faulty address that a log line shows


@dataclass(slots=True)
class DnsServer:
    """One name server and its state.

    Attributes:
        address: an IP address.
        port: for both UDP and TCP.
        silences: queries in a row that it didn't answer.
        pause: seconds until a server that is down is asked again.
        ask_again_at: when that is.
        edns: whether to use EDNS: not once it has shown that it doesn't know it (RFC 6891 §7), nor
            when it has left such a query unanswered and never answered one.
        knows_edns: whether it has answered a query with EDNS.
    """

    address: str
    port: int
    silences: int = 0
    pause: float = 0.0
    ask_again_at: float = 0.0
    edns: bool = True
    knows_edns: bool = False
    _text: str = ""

    def __post_init__(self) -> None:
        """Prepare the text for people: the port only if it isn't 53."""
        self._text = str(HostPort(self.address, None if self.port == DNS_PORT else self.port))

    def __str__(self) -> str:
        """The address, and the port if it isn't 53."""
        return self._text

    @property
    def down(self) -> bool:
        """Whether it gets only a query now and then."""
        return self.pause > 0


class ServerList:
    """The name servers in the order of the configuration."""

    __slots__ = ("_servers",)

    def __init__(self, addresses: Iterable[HostPort]) -> None:
        """Begin with servers in their initial state."""
        self._servers: list[DnsServer] = []
        self.update(addresses)

    def __iter__(self) -> Iterator[DnsServer]:
        """In the order of the configuration."""
        return iter(self._servers)

    def __len__(self) -> int:
        """The number of servers."""
        return len(self._servers)

    def update(self, addresses: Iterable[HostPort]) -> bool:
        """Use another list, keep the state of servers that stay; returns whether it changed."""
        known = {(server.address, server.port): server for server in self._servers}
        wanted = dict.fromkeys((a.host, DNS_PORT if a.port is None else a.port) for a in addresses)
        servers = [known.get(each) or DnsServer(*each) for each in wanted]
        changed = servers != self._servers
        self._servers = servers
        return changed

    def pick(self, now: float, tried: Collection[DnsServer], timeout: float) -> DnsServer | None:
        """The server to ask, other than those `tried` for this query; None if there is none.

        A server that is down is picked first when its pause is over, since otherwise it would never
        be asked while another works; it is then not picked again for `timeout` seconds.
        """
        best: DnsServer | None = None
        for server in self._servers:
            if any(server is other for other in tried):
                continue
            if server.down:
                if now >= server.ask_again_at:
                    server.ask_again_at = now + timeout
                    return server
            elif best is None or server.silences < best.silences:
                best = server
        return best

    def answered(self, server: DnsServer) -> None:
        """Record that a server answered."""
        server.knows_edns = server.knows_edns or server.edns
        server.silences = 0
        server.pause = 0.0

    def silent(self, server: DnsServer, now: float, *, gone: bool = False) -> None:
        """Record that a server didn't answer in time; `gone` if an ICMP error came."""
        server.silences += 1
        if not gone and not server.knows_edns:
            server.edns = False  # it may drop questions with EDNS (RFC 6891)
        if gone or server.silences >= DOWN_AFTER:
            server.pause = min(LAST_PAUSE, server.pause * 2) if server.down else FIRST_PAUSE
            server.ask_again_at = now + server.pause


def read_resolv_conf(text: bytes) -> tuple[tuple[HostPort, ...], tuple[str, ...]]:
    """The name servers of a resolv.conf, and what is wrong with its `nameserver` lines.

    Other keywords are ignored: no `search` domain is ever added to a pool's name.
    """
    servers: list[HostPort] = []
    faults: list[str] = []
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        words = line.split()
        if not words or words[0] != "nameserver":  # comments begin with # or ;
            continue
        if len(words) < 2:
            faults.append(f"line {number}: nameserver without an address")
            continue
        try:
            ip_address(words[1])
        except ValueError:
            shown = words[1][:_LONGEST]
            faults.append(f'line {number}: nameserver "{shown}" is no IP address')
            continue
        server = HostPort(words[1], DNS_PORT)
        if server not in servers and len(servers) < _MOST_SERVERS:
            servers.append(server)
    return tuple(servers), tuple(faults[:_MOST_SERVERS])
