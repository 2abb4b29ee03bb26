"""RFC 3263 §4 from NAPTR down to addresses, in a pretended DNS."""

from collections.abc import Callable, Mapping
from ipaddress import ip_address

import pytest

from chatredirect.dns.answer import AnswerError
from chatredirect.dns.resolution import Located, LocatedState, Trace
from chatredirect.dns.resolver import Resolver
from chatredirect.dns.servers import DnsServer
from chatredirect.net.target import PoolAddress, Target
from tests.dns.fake_dns import FakeDns, dns_settings
from tests.jumping_loop import now, run_jumping

POOL = "pcpool.contoso.com"
Records = Mapping[tuple[str, str], tuple[int, list[str]]]
A: Records = {(POOL, "A"): (60, ["192.0.2.1"])}


def locate(
    records: Records,
    port: int | None = None,
    transport: str | None = None,
    *,
    fqdn: str = POOL,
    servers: FakeDns | None = None,
    is_own: Callable[[Target], bool] = lambda target: False,
    trace: Trace | None = None,
    **settings: object,
) -> tuple[Located, FakeDns]:
    """Where a pool leads if the name servers have these records."""
    servers = servers or FakeDns()
    servers.records.update(records)

    async def run() -> Located:
        resolver = Resolver(dns_settings(**settings), clock=now, asker=servers, is_own=is_own)
        pool = PoolAddress(fqdn, port, transport)  # type: ignore[arg-type]
        return await resolver.locate(pool, trace=trace)

    return run_jumping(run()), servers


def texts(located: Located) -> list[str]:
    return [str(target) for target in located.targets]


def test_naptr_srv_addresses() -> None:
    """RFC 3263 §4.1: the NAPTR record of least order names the transport and the SRV name."""
    located, servers = locate(
        {
            (POOL, "NAPTR"): (
                60,
                [
                    f'20 50 "s" "SIP+D2U" "" _sip._udp.{POOL}.',
                    f'10 50 "s" "SIPS+D2T" "" _secure._tcp.{POOL}.',
                ],
            ),
            (f"_secure._tcp.{POOL}", "SRV"): (60, ["0 1 5071 fe01.contoso.com."]),
            ("fe01.contoso.com", "A"): (60, ["192.0.2.11"]),
            ("fe01.contoso.com", "AAAA"): (60, ["2001:db8::11"]),
        }
    )
    assert texts(located) == ["tls://192.0.2.11:5071", "tls://[2001:db8::11]:5071"]
    assert (f"_sip._udp.{POOL}", "SRV") not in servers.names_asked
    assert (POOL, "A") not in servers.names_asked


def test_naptr_without_srv_goes_to_the_next() -> None:
    """RFC 3263 §4.1: a NAPTR record whose SRV name has no records leads on to the next one."""
    located, _ = locate(
        {
            (POOL, "NAPTR"): (
                60,
                [
                    f'10 50 "s" "SIPS+D2T" "" _none._tcp.{POOL}.',
                    f'20 50 "s" "SIP+D2T" "" _sip._tcp.{POOL}.',
                ],
            ),
            (f"_sip._tcp.{POOL}", "SRV"): (60, ["0 1 5060 fe01.contoso.com."]),
            ("fe01.contoso.com", "A"): (60, ["192.0.2.11"]),
        }
    )
    assert texts(located) == ["tcp://192.0.2.11:5060"]


@pytest.mark.parametrize(
    ("prefix", "target"),
    [
        ("_sips._tcp", "tls://192.0.2.11:5999"),
        ("_sipinternaltls._tcp", "tls://192.0.2.11:5999"),
        ("_sip._tls", "tls://192.0.2.11:5999"),
        ("_sip._tcp", "tcp://192.0.2.11:5999"),
        ("_sip._udp", "udp://192.0.2.11:5999"),
    ],
)
def test_srv_without_naptr(prefix: str, target: str) -> None:
    """RFC 3263 §4.1: without NAPTR each transport's SRV name is asked for; Lync's two names too."""
    located, _ = locate(
        A
        | {
            (f"{prefix}.{POOL}", "SRV"): (60, ["0 1 5999 fe01.contoso.com."]),
            ("fe01.contoso.com", "A"): (60, ["192.0.2.11"]),
        }
    )
    assert texts(located) == [target]


def test_best_transport_first() -> None:
    """With SRV records for several transports the most secure one is chosen, and it alone."""
    located, _ = locate(
        {
            (f"_sip._udp.{POOL}", "SRV"): (60, ["0 1 5060 fe01.contoso.com."]),
            (f"_sip._tcp.{POOL}", "SRV"): (60, ["0 1 5060 fe01.contoso.com."]),
            (f"_sip._tls.{POOL}", "SRV"): (60, ["0 1 443 fe01.contoso.com."]),
            ("fe01.contoso.com", "A"): (60, ["192.0.2.11"]),
        }
    )
    assert texts(located) == ["tls://192.0.2.11:443"]


def test_explicit_port_skips_srv() -> None:
    """RFC 3263 §4.2: a port means addresses only."""
    located, servers = locate(A, port=5070)
    assert texts(located) == ["udp://192.0.2.1:5070"]
    assert set(servers.names_asked) == {(POOL, "A"), (POOL, "AAAA")}


def test_explicit_transport_skips_naptr() -> None:
    """RFC 3263 §4.1: a transport means its SRV records, then addresses with the default port."""
    located, servers = locate(A, transport="tls")
    assert texts(located) == ["tls://192.0.2.1:5061"]
    assert (POOL, "NAPTR") not in servers.names_asked
    assert {name for name, kind in servers.names_asked if kind == "SRV"} == {
        f"{prefix}.{POOL}" for prefix in ("_sips._tcp", "_sipinternaltls._tcp", "_sip._tls")
    }


def test_sips_takes_what_is_secure_and_nothing_else() -> None:
    """RFC 3263 §4.1: a SIPS URI asks NAPTR like any other, and of the answers wants SIPS+D2T."""
    located, servers = locate(
        {
            (POOL, "NAPTR"): (
                60,
                [
                    f'10 50 "s" "SIP+D2T" "" _sip._tcp.{POOL}.',
                    '20 50 "s" "SIPS+D2T" "" _sips._tcp.elsewhere.contoso.com.',
                ],
            ),
            ("_sips._tcp.elsewhere.contoso.com", "SRV"): (60, ["0 1 5071 fe01.contoso.com."]),
            ("fe01.contoso.com", "A"): (60, ["192.0.2.11"]),
        },
        transport="sips",
    )
    assert texts(located) == ["tls://192.0.2.11:5071"]
    assert (f"_sip._tcp.{POOL}", "SRV") not in servers.names_asked
    plain, servers = locate(A, transport="sips")
    assert texts(plain) == ["tls://192.0.2.1:5061"]
    assert all("_udp" not in name for name, _ in servers.names_asked)


@pytest.mark.parametrize(
    ("fqdn", "transport", "expected"),
    [
        ("192.0.2.7", None, "udp://192.0.2.7:5060"),
        ("2001:db8::7", "tls", "tls://[2001:db8::7]:5061"),
    ],
)
def test_numeric_host_asks_nothing(fqdn: str, transport: str | None, expected: str) -> None:
    """RFC 3263 §4.1 and §4.2: an IP address is its own answer."""
    located, servers = locate({}, transport=transport, fqdn=fqdn)
    assert texts(located) == [expected]
    assert not servers.asked


def test_fixed_names_are_never_asked() -> None:
    """A name in dns.hosts is never queried, NAPTR and SRV included, nor as an SRV target."""
    hosts = {
        POOL: (ip_address("192.0.2.20"), ip_address("2001:db8::20")),
        "fe01.contoso.com": (ip_address("192.0.2.21"),),
    }
    located, servers = locate(A, hosts=hosts)
    assert texts(located) == ["udp://192.0.2.20:5060", "udp://[2001:db8::20]:5060"]
    assert not servers.asked
    srv = {("_sip._tcp.other.contoso.com", "SRV"): (60, ["0 1 5060 fe01.contoso.com."])}
    located, servers = locate(srv, transport="tcp", fqdn="other.contoso.com", hosts=hosts)
    assert texts(located) == ["tcp://192.0.2.21:5060"]
    assert ("fe01.contoso.com", "A") not in servers.names_asked


def test_neither_port_nor_transport_nor_srv_is_udp_5060() -> None:
    """RFC 3263 §4.1: with nothing to go by, sip means UDP."""
    assert texts(locate(A)[0]) == ["udp://192.0.2.1:5060"]


def test_preferred_family_comes_first() -> None:
    """Both families are used, the preferred one first."""
    both = A | {(POOL, "AAAA"): (60, ["2001:db8::1"])}
    assert texts(locate(both, port=1)[0]) == ["udp://192.0.2.1:1", "udp://[2001:db8::1]:1"]
    assert texts(locate(both, port=1, prefer="ipv6")[0]) == [
        "udp://[2001:db8::1]:1",
        "udp://192.0.2.1:1",
    ]


def test_refresh_is_due_with_the_first_record_to_end() -> None:
    """The pool is resolved again when the shortest TTL of all that was asked is nearly over."""
    located, _ = locate(A | {(POOL, "AAAA"): (20, ["2001:db8::1"])}, port=1)
    assert 17 <= located.refresh_at <= 19.5


# --- what DNS can say that isn't good


def test_nxdomain_and_nodata() -> None:
    """A clear no has its reason."""
    assert locate({}, port=1)[0].reason == "NXDOMAIN"
    located, _ = locate({(POOL, "TXT"): (60, ["x"])}, port=1)
    assert located.state is LocatedState.NONE
    assert located.reason == "no addresses (NODATA)"


def test_srv_dot_means_no_service() -> None:
    """RFC 2782: a target of "." means no service; addresses are not fallen back to."""
    located, servers = locate(
        A | {(f"_sip._tcp.{POOL}", "SRV"): (60, ["0 0 0 ."])}, transport="tcp"
    )
    assert located.state is LocatedState.NONE
    assert "no service" in located.reason
    assert (POOL, "A") not in servers.names_asked


def test_srv_dot_of_one_transport_leaves_the_others() -> None:
    """A "." says something about its own service only."""
    located, _ = locate(
        {
            (f"_sips._tcp.{POOL}", "SRV"): (60, ["0 0 0 ."]),
            (f"_sip._tcp.{POOL}", "SRV"): (60, ["0 0 5060 fe01.contoso.com."]),
            ("fe01.contoso.com", "A"): (60, ["192.0.2.11"]),
        }
    )
    assert texts(located) == ["tcp://192.0.2.11:5060"]


@pytest.mark.parametrize(
    ("srv", "why"),
    [
        ("0 1 0 fe01.contoso.com.", "port 0"),
        ("0 1 5060 192.0.2.9.", "is an IP address"),
        ("0 1 5060 fe\\032\\00101.contoso.com.", "no host name"),
        ("0 1 5060 gone.contoso.com.", "NXDOMAIN"),
        ("0 1 5060 zero.contoso.com.", "unspecified"),
        ("0 1 5060 many.contoso.com.", "multicast"),
        ("0 1 5060 link.contoso.com.", "link-local"),
        ("0 1 5060 link6.contoso.com.", "link-local"),
        ("0 1 5060 last.contoso.com.", "reserved"),
    ],
)
def test_bad_srv_records_are_left_out(srv: str, why: str) -> None:
    """Each bad record is left out with a note that says why; good ones beside it serve."""
    addresses: Records = {
        ("fe01.contoso.com", "A"): (60, ["192.0.2.11"]),
        ("zero.contoso.com", "A"): (60, ["0.0.0.0"]),
        ("many.contoso.com", "A"): (60, ["224.0.0.1"]),
        ("link.contoso.com", "A"): (60, ["169.254.169.254"]),
        ("link6.contoso.com", "AAAA"): (60, ["fe80::1"]),
        ("last.contoso.com", "A"): (60, ["255.255.255.255"]),
    }
    name = (f"_sip._tcp.{POOL}", "SRV")
    good = "5 1 5062 fe01.contoso.com."
    located, _ = locate(addresses | {name: (60, [srv, good])}, transport="tcp")
    assert texts(located) == ["tcp://192.0.2.11:5062"]
    assert any(why in note for note in located.notes)
    alone, _ = locate(addresses | A | {name: (60, [srv])}, transport="tcp")
    assert alone.state is LocatedState.NONE
    assert why in alone.reason
    assert not alone.targets  # RFC 2782: with SRV records, the name's own addresses don't count


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.7.7", "127.0.0.1"])
def test_private_addresses_are_taken(address: str) -> None:
    """A public name with private addresses is what split DNS looks like: it is taken."""
    assert texts(locate({(POOL, "A"): (60, [address])}, port=5061)[0]) == [f"udp://{address}:5061"]


@pytest.mark.parametrize("address", ["64:ff9b::c000:201", "64:ff9b:1::c000:201"])
def test_addresses_of_dns64_are_taken(address: str) -> None:
    """In a network without IPv4, DNS64 makes an IPv4 server's AAAA of it (RFC 6052 §2.1)."""
    located, _ = locate({(POOL, "AAAA"): (60, [address])}, port=5061)
    assert texts(located) == [f"udp://[{address}]:5061"]


def test_v4_mapped_addresses_are_ipv4() -> None:
    """A v4-mapped AAAA is the IPv4 address it stands for, once."""
    located, _ = locate(A | {(POOL, "AAAA"): (60, ["::ffff:192.0.2.1"])}, port=1)
    assert texts(located) == ["udp://192.0.2.1:1"]


def test_own_listener_is_no_target() -> None:
    """A target that is one of our own listeners would be a redirect without end."""

    def is_own(target: Target) -> bool:
        return (target.transport, target.port) == ("tls", 5061)

    located, _ = locate(A, port=5061, transport="tls", is_own=is_own)
    assert located.state is LocatedState.NONE
    assert "own listener" in located.reason
    located, _ = locate(A, port=5062, transport="tls", is_own=is_own)
    assert texts(located) == ["tls://192.0.2.1:5062"]


def test_five_hundred_srv_records_are_bounded() -> None:
    """Of 500 SRV records the first 64 by priority are used, and a note says so."""
    records: dict[tuple[str, str], tuple[int, list[str]]] = {
        (f"fe{number}.contoso.com", "A"): (60, [f"192.0.2.{number % 250 + 1}"])
        for number in range(500)
    }
    srv = [f"{500 - number} 1 5060 fe{number}.contoso.com." for number in range(500)]
    records[(f"_sip._tcp.{POOL}", "SRV")] = (60, srv)
    located, servers = locate(records, transport="tcp")
    assert len(located.targets) == 64
    assert max(target.priority for target in located.targets) == 64
    assert any("500 SRV records" in note for note in located.notes)
    assert len(servers.asked) < 200


def test_many_addresses_are_bounded() -> None:
    """Of one name's 100 addresses 16 are used, and a note says so."""
    addresses = [f"192.0.2.{number}" for number in range(1, 101)]
    located, _ = locate({(POOL, "A"): (60, addresses)}, port=1)
    assert len(located.targets) == 16
    assert any("100 addresses" in note or "64 addresses" in note for note in located.notes)


def test_name_of_255_octets() -> None:
    """The longest name works; an SRV name that would be longer is not asked for."""
    label = "a" * 61
    fqdn = ".".join([label] * 4) + ".x.yy"  # 253 characters, 255 octets
    fqdn = fqdn + "z" * (253 - len(fqdn))
    trace = Trace()
    located, servers = locate({(fqdn, "A"): (60, ["192.0.2.1"])}, fqdn=fqdn, trace=trace)
    assert texts(located) == ["udp://192.0.2.1:5060"]
    assert not any(kind == "SRV" for _, kind in servers.names_asked)
    assert any(step.source == "skipped" for step in trace)


@pytest.mark.parametrize("fqdn", ["a" * 64 + ".contoso.com", "a..contoso.com", "." * 10])
def test_impossible_names_fail_with_words(fqdn: str) -> None:
    """A name that can't be in DNS is a failure with a reason, not an error of this program."""
    located, _ = locate({}, port=1, fqdn=fqdn)
    assert located.state is not LocatedState.FOUND
    assert located.reason


def test_cname_to_itself_and_loops() -> None:
    """An alias that leads round and round ends with words."""
    located, _ = locate({(POOL, "CNAME"): (60, [f"{POOL}."])}, port=1)
    assert located.state is LocatedState.FAILED
    assert "CNAME loop" in located.reason
    loop: Records = {
        (POOL, "CNAME"): (60, ["a.contoso.com."]),
        ("a.contoso.com", "CNAME"): (60, ["b.contoso.com."]),
        ("b.contoso.com", "CNAME"): (60, [f"{POOL}."]),
    }
    assert "CNAME loop" in locate(loop, port=1)[0].reason


def test_cname_is_followed() -> None:
    """An alias in the answer is followed; its TTL counts."""
    located, _ = locate(
        {
            (POOL, "CNAME"): (10, ["real.contoso.com."]),
            ("real.contoso.com", "A"): (600, ["192.0.2.5"]),
        },
        port=5061,
    )
    assert texts(located) == ["udp://192.0.2.5:5061"]
    assert located.targets[0].host == POOL
    assert located.refresh_at < 10


# --- servers that fail


def test_servfail_of_srv_is_not_taken_for_a_no() -> None:
    """Where SRV records may be, an address with the default port would be a guess."""
    servers = FakeDns(behaviour={"192.0.2.53": "SERVFAIL", "192.0.2.54": "SERVFAIL"})
    located, _ = locate(A, servers=servers)
    assert located.state is LocatedState.FAILED
    assert "SERVFAIL" in located.reason


def test_servfail_of_one_server_asks_the_other() -> None:
    """One server's SERVFAIL or REFUSED is not the last word."""
    for code in ("SERVFAIL", "REFUSED", "NOTIMP"):
        located, _ = locate(A, port=1, servers=FakeDns(behaviour={"192.0.2.53": code}))
        assert texts(located) == ["udp://192.0.2.1:1"]


def test_no_name_server() -> None:
    """Without any server the reason says so."""

    async def run() -> Located:
        resolver = Resolver(dns_settings(nameservers=()), clock=now, resolv_conf="/nonexistent")
        return await resolver.locate(PoolAddress(POOL, 1))

    located = run_jumping(run())
    assert located.state is LocatedState.FAILED
    assert "no name server" in located.reason


def test_one_service_that_cannot_be_asked_for_hides_no_other() -> None:
    """SERVFAIL for the SRV of one transport: another one's good SRV is used (RFC 3263 §4.2)."""

    class OneFails(FakeDns):
        async def ask(self, server: DnsServer, name: str, rdtype: object) -> object:  # type: ignore[override]
            if name.startswith("_sips."):
                raise AnswerError("SERVFAIL", about_name=True)
            return await super().ask(server, name, rdtype)  # type: ignore[arg-type]

    records: Records = {
        (POOL, "NAPTR"): (
            60,
            [
                f'10 50 "s" "SIPS+D2T" "" _sips._tcp.{POOL}.',
                f'20 50 "s" "SIP+D2T" "" _sip._tcp.{POOL}.',
            ],
        ),
        (f"_sip._tcp.{POOL}", "SRV"): (60, ["0 1 5060 fe01.contoso.com."]),
        ("fe01.contoso.com", "A"): (60, ["192.0.2.11"]),
    }
    for some in (records, {key: value for key, value in records.items() if key[1] != "NAPTR"}):
        located, _ = locate(some, servers=OneFails())
        assert texts(located) == ["tcp://192.0.2.11:5060"]
    located, _ = locate({}, servers=OneFails())
    assert located.state is LocatedState.FAILED
    assert "SERVFAIL" in located.reason
