"""A file becomes settings; every fault of every file is told at once, with its line."""

import os
import pickle
import resource
import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr

from chatredirect.config import (
    ConfigError,
    EndpointSettings,
    HealthSettings,
    HostPort,
    ListenUrl,
    Settings,
    load,
)
from chatredirect.net.own_names import local_addresses

Load = Callable[[str], Settings]
Faults = Callable[[str], list[tuple[int, str]]]
Write = Callable[..., Path]

OWN_ADDRESS = [address for address in local_addresses() if "." in address][-1]
SMALLEST = """
    listen: [udp://127.0.0.1:5060]
    endpoints:
      - sip_address: ocschat@contoso.com
        pool_fqdn: pcpool.contoso.com
"""


def test_smallest(settings: Load) -> None:
    """`listen` and one endpoint with two keys are enough; the rest is as documented."""
    found = settings(SMALLEST)
    assert found.listen == (ListenUrl("udp", "127.0.0.1", 5060),)
    (endpoint,) = found.endpoints
    assert str(endpoint.sip_address) == "sip:ocschat@contoso.com"
    assert endpoint.pool_fqdn == "pcpool.contoso.com"
    assert (endpoint.mode, endpoint.redirect_status, endpoint.contact) == ("redirect", 302, "fqdn")
    assert endpoint.source == f"{found.files[0]}:3"
    assert found.trusted_peers == (ip_network("127.0.0.0/8"), ip_network("::1"))
    assert found.health is None
    assert found.secret is None


def test_everything(settings: Load) -> None:
    """Every key arrives."""
    found = settings("""
        listen: [udp://127.0.0.1:5060, "tcp://[::1]:5070"]
        advertise: chat.contoso.com:5060
        endpoints:
          - {sip_address: sip:a@contoso.com, pool_fqdn: PC.contoso.com., display_name: Räume,
             mode: redirect, port: 5061, transport: tls, redirect_status: 301,
             methods: [INVITE, SUBSCRIBE], contact: targets, on_all_down: serve}
        trusted_peers: [192.0.2.0/24, "2001:db8::1"]
        dns:
          nameservers: [192.0.2.53, "127.0.0.1:5353"]
          hosts: {PCPool.contoso.com: [192.0.2.20, "2001:db8::20"]}
          hosts_file: /dev/null
          timeout: 1
          lifetime: 2.5
          ttl_floor: 0
          ttl_ceiling: 60
          stale: 0
          retry: 5
          prefer: ipv6
        log: {level: debug, format: console, requests: no}
        limits: {message: 4096, connections: 10}
        health: {interval: 10, losses: 1}
        retry_after: 5
        secret: correct horse battery
        loop: asyncio
    """)
    (endpoint,) = found.endpoints
    assert endpoint.pool_fqdn == "pc.contoso.com"
    assert endpoint.methods == ("INVITE", "SUBSCRIBE")
    assert (endpoint.port, endpoint.transport, endpoint.redirect_status) == (5061, "tls", 301)
    assert found.advertise == HostPort("chat.contoso.com", 5060)
    assert found.dns.nameservers == (HostPort("192.0.2.53", 53), HostPort("127.0.0.1", 5353))
    addresses = (ip_address("192.0.2.20"), ip_address("2001:db8::20"))
    assert found.dns.hosts == {"pcpool.contoso.com": addresses}
    assert (found.dns.timeout, found.dns.lifetime, found.dns.prefer) == (1.0, 2.5, "ipv6")
    assert (found.log.level, found.log.format, found.log.requests) == ("debug", "console", False)
    assert (found.limits.message, found.limits.connections, found.limits.uri) == (4096, 10, 2048)
    assert found.health == HealthSettings(interval=10, losses=1)
    assert (found.retry_after, found.loop) == (5, "asyncio")
    assert found.secret == SecretStr("correct horse battery")


def test_settings_are_frozen(settings: Load) -> None:
    found = settings(SMALLEST)
    with pytest.raises(AttributeError):
        found.retry_after = 1  # type: ignore[misc]
    with pytest.raises(AttributeError):
        found.endpoints[0].port = 1  # type: ignore[misc]


def test_settings_travel_between_processes(settings: Load) -> None:
    """A large file can be read by another process."""
    found = settings(SMALLEST + "    secret: correct horse battery\n")
    assert pickle.loads(pickle.dumps(found)) == found


def test_loop_that_is_not_installed(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatredirect.config.checks.find_spec", lambda _: None)
    found = faults("listen: [udp://127.0.0.1:5060]\nloop: uvloop\n")
    assert found == [(2, "loop: uvloop isn't installed: write auto or asyncio")]


def test_settings_in_code() -> None:
    """Tests and tools make settings without a file, by the same rules."""
    endpoint = EndpointSettings(sip_address="sip:a@contoso.com", pool_fqdn="192.0.2.1")
    made = Settings(listen=("udp://127.0.0.1:0",), endpoints=(endpoint,))
    assert made.endpoints[0] is endpoint


def test_secret_is_never_shown(settings: Load, faults: Faults) -> None:
    """Neither in the settings' text nor in any fault, whatever is wrong with it."""
    text = "listen: [udp://127.0.0.1:5060]\nsecret: {}\n"
    assert "hunter2" not in repr(settings(text.format("hunter2-hunter2-hunter2")))
    for value in ("hunter2", "98765432109876543210", "[hunter2]", "{hunter2: x}", "null"):
        for _, message in faults(text.format(value)):
            assert "hunter2" not in message
            assert "98765" not in message


def test_all_faults_at_once(faults: Faults) -> None:
    """Faults of form, of single values and between values come together, in the file's order."""
    found = faults("""
        listen:
          - udp://localhost:5060
          - udp://127.0.0.1:5060
        endpoints:
          - sip_adress: sip:a@contoso.com
            pool_fqdn: pc.contoso.com
          - sip_address: sip:b@contoso.com
            pool_fqdn: 127.0.0.1
          - sip_address: sip:B@contoso.com
            pool_fqdn: pc.contoso.com
            port: "5061"
        dns: {timeout: 9}
        log: {level: loud}
        log: {level: info}
        tls: {cas: x}
        retry_after: 30s
    """)
    assert [line for line, _ in found] == [2, 5, 5, 8, 9, 11, 12, 13, 14, 15, 16]
    text = "\n".join(message for _, message in found)
    for part in (
        'unknown key "sip_adress" (did you mean "sip_address"?)',
        'the key "sip_address" is missing',
        "127.0.0.1 leads back to our own listener udp://127.0.0.1:5060",
        'a second endpoint for "b@contoso.com"',
        'port: must be a whole number, not text "5061": write it without quotes',
        "dns.timeout (9) is more than dns.lifetime (6)",
        'log.level: must be debug, info, warning or error, not text "loud"',
        'key "log" given twice; first in line 13',
        'unknown key "cas" in tls (did you mean "ca"?)',
        'retry_after: must be a whole number, not text "30s"',
    ):
        assert part in text


def test_faults_of_one_place_are_in_the_same_order_each_time(faults: Faults) -> None:
    """Those of a value come before those between values."""
    found = faults("""
        listen: [udp://127.0.0.1]
        dns:
          timeout: 31536001
          ttl_floor: 86401
        health:
          timeout: 61
    """)
    assert found == [
        (3, "dns.timeout: must be at most 31536000.0, not 31536001"),
        (3, "dns.timeout (3.1536e+07) is more than dns.lifetime (6)"),
        (4, "dns.ttl_floor: must be at most 86400.0, not 86401"),
        (4, "dns.ttl_floor (86401) is more than dns.ttl_ceiling (3600)"),
        (6, "health.timeout: must be at most 60.0, not 61"),
        (6, "health.timeout (61) is more than health.interval (30)"),
    ]


def test_a_faulty_value_hides_no_other_fault_of_its_endpoint(faults: Faults) -> None:
    """What can't go together is told in the same run, and a default is never at fault."""
    found = faults("""
        listen: [udp://127.0.0.1:5060]
        endpoints:
          - sip_address: sips:a@contoso.com
            pool_fqdn: pcpool.contoso.com:5061
            mode: forward
            transport: udp
            contact: addresses
          - sip_address: sip:b@contoso.com
            pool_fqdn: contoso.com
            transport: sctp
          - sip_address: sip:c@contoso.com
            pool_fqdn: 127.0.0.1
            port: 0
    """)
    assert [line for line, _ in found] == [4, 5, 6, 7, 10, 13]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "the file is empty: it needs at least the key listen"),
        ("- x", 1, "the file must be a mapping, not a list"),
        ("endpoints: []", 1, 'the key "listen" is missing'),
        ("listen: []", 1, "listen: the list is empty"),
        ("listen: udp://127.0.0.1", 1, "must be a list, not text"),
        ("listen: [5060]", 1, "listen[0]: must be text, not the number 5060"),
        ("listen:\n  - udp://127.0.0.1\n  - udp://127.0.0.1:5060", 3, "is in line 2 already"),
        ("listen:\n  - udp://[::1]\n  - udp://[0::1]:5060", 3, "is in line 2 already"),
        ("listen:\n  - udp://127.0.0.1\n  - udp://0.0.0.0", 3, "want the same port"),
        ("listen:\n  - tls://127.0.0.1", 2, "tls://127.0.0.1:5061 needs a certificate"),
    ],
)
def test_top_level(faults: Faults, text: str, line: int, says: str) -> None:
    (found,) = faults(text)
    assert found[0] == line
    assert says in found[1]


@pytest.mark.parametrize(
    "text",
    [
        "listen: [udp://127.0.0.1, tcp://127.0.0.1]",
        "listen: [udp://127.0.0.1:0, udp://127.0.0.1:0]",
        'listen: [udp://0.0.0.0, "udp://[::]"]',
        "listen: [udp://127.0.0.1, udp://127.0.0.2]",
        "listen: [udp://127.0.0.1]\nendpoints:",
        "listen: [udp://127.0.0.1]\nhealth: null",
    ],
)
def test_valid(settings: Load, text: str) -> None:
    assert not settings(text).endpoints


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("dns: {nameserver: []}", 'unknown key "nameserver" in dns (did you mean "nameservers"?)'),
        ("dns: {hosts: {a b: [192.0.2.1]}}", '"a b" is no host name'),
        ("dns: {hosts: {a.b: 192.0.2.1}}", "must be a list"),
        ("dns: {hosts: {a.b: []}}", "the list is empty"),
        ("dns: {hosts: {a.b: [c.d]}}", "no IP address"),
        ("dns: {hosts: {192.0.2.1: [192.0.2.1]}}", "a host name belongs here"),
        ("dns: {hosts: {a.b: [192.0.2.1], A.B.: [192.0.2.2]}}", '"A.B." is "a.b" again'),
        ("dns: {hosts: [x]}", "must be a mapping"),
        ("dns: {timeout: 0}", "must be more than 0"),
        ("dns: {timeout: .inf}", "must be a number"),
        ("dns: {ttl_floor: 7200}", "dns.ttl_floor (7200) is more than dns.ttl_ceiling (3600)"),
        ("dns: {prefer: ipv5}", "must be ipv4 or ipv6"),
        ("health: {interval: 2, timeout: 3}", "is more than health.interval"),
        ("health: {losses: 0}", "must be at least 1"),
        ("health: yes", "must be a mapping"),
        ("limits: {uri: -1}", "must be at least 64"),
        ("limits: {headers: true}", "must be a whole number, not true"),
        ("limits: {colour: 1}", "; known: message, header_line"),
        ("log: {requests: 1}", "must be true or false"),
        ('log: {requests: "no"}', "must be true or false"),
        ("log: json", "must be a mapping"),
        ("loop: twisted", "must be auto, uvloop or asyncio"),
        ("retry_after: 0", "must be at least 1"),
        ("secret: short", "shorter than 16"),
        ("trusted_peers: [fe01]", "is no network"),
        ("trusted_peers: fe01", "must be a list"),
        ("advertise: [x]", "must be text, not a list"),
        ("files: [x]", 'unknown key "files"'),
        ("endpoint: [x]", 'did you mean "endpoints"?'),
        ("include: ''", "must not be empty"),
        ("endpoints: {a: b}", "must be a list of endpoints, not a mapping"),
        ("endpoints: [x]", "must be a mapping"),
    ],
)
def test_wrong_value(faults: Faults, keys: str, says: str) -> None:
    """A fault is in its own line and says what is allowed."""
    found = faults(f"listen: [udp://127.0.0.1:5060]\n{keys}")
    assert len(found) == 1, found
    assert found[0][0] == 2
    assert says in found[0][1]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("mode: forward", "must be redirect, proxy or lookup"),
        ("redirect_status: 303", "must be 300, 301, 302 or 305"),
        ("redirect_status: '302'", "must be 300, 301, 302 or 305"),
        ("port: 0", "must be at least 1"),
        ("port: 65536", "must be at most 65535"),
        ("transport: sctp", "must be udp, tcp or tls"),
        ("display_name: 2010", "must be text, not the number 2010: put it in quotes"),
        ('display_name: "a\\eb"', "control characters"),
        ("methods: []", "leave the key out"),
        ("methods: [invite]", "write INVITE"),
        ("methods: [ACK]", "never redirected"),
        ("methods: ['IN VITE']", "no method name"),
        ("methods: INVITE", "must be a list"),
        (f"methods: [{', '.join(60 * ['REGISTER'])}]", "at most 300 fit"),
        ("contact: addresses\n    transport: tls", "addresses can't go with TLS"),
        ("on_all_down: maybe", "must be unavailable or serve"),
        ("source: x", 'unknown key "source"'),
        ("pool: x", 'did you mean "pool_fqdn"?'),
        ("Display-Name: x", 'did you mean "display_name"?'),
    ],
)
def test_wrong_endpoint(faults: Faults, keys: str, says: str) -> None:
    found = faults(f"""
listen: [udp://127.0.0.1:5060]
endpoints:
  - sip_address: sip:a@contoso.com
    pool_fqdn: pc.contoso.com
    {keys}
""")
    assert len(found) == 1, found
    assert found[0][0] == 5
    assert says in found[0][1]


def test_sips_endpoint(faults: Faults, settings: Load) -> None:
    """RFC 3261 §26.2.2: a sips: URI can't be served over UDP, nor to bare addresses."""
    text = """
        listen: [udp://127.0.0.1:5060]
        endpoints:
          - {{sip_address: sips:a@contoso.com, pool_fqdn: pc.contoso.com, {}}}
    """
    assert "sips: address" in faults(text.format("transport: udp"))[0][1]
    assert "TLS" in faults(text.format("contact: addresses"))[0][1]
    assert settings(text.format("transport: tcp")).endpoints


@pytest.mark.parametrize(
    "twin",
    [
        "sip:OCSChat@Contoso.COM",
        "ocschat@contoso.com",
        "sips:ocschat@contoso.com",
        "sip:ocschat@contoso.com:5060",
        "sip:%6fcschat@contoso.com",
        "sip:ocschat@contoso.com.",
    ],
)
def test_duplicate_in_whatever_spelling(faults: Faults, twin: str) -> None:
    found = faults(f"""
        listen: [udp://127.0.0.1:5060]
        endpoints:
          - {{sip_address: sip:ocschat@contoso.com, pool_fqdn: pc.contoso.com}}
          - {{sip_address: {twin}, pool_fqdn: other.contoso.com}}
    """)
    assert len(found) == 1
    assert found[0][0] == 4
    assert "main.yaml:3" in found[0][1]


def test_another_port_is_another_endpoint(settings: Load) -> None:
    assert (
        len(
            settings("""
        listen: [udp://127.0.0.1:5060]
        endpoints:
          - {sip_address: sip:ocschat@contoso.com, pool_fqdn: pc.contoso.com}
          - {sip_address: sip:ocschat@contoso.com:5070, pool_fqdn: pc.contoso.com}
    """).endpoints
        )
        == 2
    )


@pytest.mark.parametrize(
    ("listen", "endpoint", "loops"),
    [
        ("udp://192.0.2.1", "pool_fqdn: 192.0.2.1", True),
        ("udp://192.0.2.1", "pool_fqdn: 192.0.2.1, port: 5060, transport: udp", True),
        ("udp://192.0.2.1", "pool_fqdn: 192.0.2.1, port: 5061", False),
        ("udp://192.0.2.1", "pool_fqdn: 192.0.2.1, transport: tcp", False),
        ("udp://192.0.2.1", "pool_fqdn: 192.0.2.1, transport: tls", False),
        ("tcp://192.0.2.1", "pool_fqdn: 192.0.2.1", True),
        ("udp://192.0.2.2", "pool_fqdn: 192.0.2.1", False),
        ("udp://0.0.0.0", "pool_fqdn: 127.0.0.9", True),
        ("udp://0.0.0.0", "pool_fqdn: 198.51.100.77", False),
        ("udp://0.0.0.0", 'pool_fqdn: "::1"', False),
        ('"udp://[::]"', "pool_fqdn: 127.0.0.1", True),
        ("udp://0.0.0.0", f"pool_fqdn: {OWN_ADDRESS}", True),
        ('"udp://[::1]"', 'pool_fqdn: "[::1]"', True),
        ("udp://192.0.2.9:5070", "pool_fqdn: in-hosts.contoso.com, port: 5070", True),
        ("udp://192.0.2.9:5070", "pool_fqdn: in-hosts.contoso.com", False),
        ("udp://127.0.0.1", "pool_fqdn: me.contoso.com", True),
        ("udp://127.0.0.1", "pool_fqdn: me.contoso.com, port: 5070", False),
        ("udp://127.0.0.1", "pool_fqdn: contoso.com", True),
        ("udp://127.0.0.1", "pool_fqdn: contoso.com, port: 5060", True),
        ("udp://127.0.0.1", "pool_fqdn: contoso.com, port: 5061, transport: tls", False),
        ("udp://127.0.0.1:0", "pool_fqdn: 127.0.0.1", False),
    ],
)
def test_loops(write: Write, listen: str, endpoint: str, loops: bool) -> None:
    """An endpoint that leads back to us is refused, as far as literals and dns.hosts tell."""
    path = write(f"""
        listen: [{listen}]
        advertise: me.contoso.com
        endpoints: [{{sip_address: sip:a@contoso.com, {endpoint}}}]
        dns: {{hosts: {{in-hosts.contoso.com: [192.0.2.9]}}}}
    """)
    if not loops:
        assert load(path).endpoints
        return
    with pytest.raises(ConfigError) as caught:
        load(path)
    (fault,) = caught.value.faults
    assert "pool_fqdn: " in fault.message
    assert "lead" in fault.message
    assert fault.line == 3


class TestInclude:
    """`include`: more endpoints, from files in sorted order, relative to the main file."""

    MAIN = "listen: [udp://127.0.0.1:5060]\ninclude: {}\n"

    def test_three_forms(self, write: Write) -> None:
        """One endpoint, a list of them, or a file with the key `endpoints`."""
        write("- {sip_address: b@x.org, pool_fqdn: p.x.org}\n", "d/2.yaml")
        write("sip_address: a@x.org\npool_fqdn: p.x.org\n", "d/1.yaml")
        write("endpoints:\n  - {sip_address: c@x.org, pool_fqdn: p.x.org}\n", "d/3.yaml")
        write("# nothing yet\n", "d/4.yaml")
        write("not: [read", "d/5.txt")
        write("not: [read", "d/.hidden.yaml")
        found = load(write(self.MAIN.format("d/*.yaml")))
        assert [endpoint.sip_address.text for endpoint in found.endpoints] == [
            *("a@x.org", "b@x.org", "c@x.org")
        ]
        assert [os.path.basename(file) for file in found.files] == [
            *("main.yaml", "1.yaml", "2.yaml", "3.yaml", "4.yaml")
        ]
        assert found.endpoints[2].source.endswith("d/3.yaml:2")

    def test_relative_to_the_main_file(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        write("sip_address: a@x.org\npool_fqdn: p.x.org\n", "d/1.yaml")
        write(self.MAIN.format("d/1.yaml"))
        monkeypatch.chdir(tmp_path)
        assert load("main.yaml").endpoints[0].source == "d/1.yaml:1"

    def test_glob_without_match(self, write: Write) -> None:
        assert not load(write(self.MAIN.format("d/*.yaml"))).endpoints

    def test_missing_file(self, write: Write) -> None:
        with pytest.raises(
            ConfigError, match=r"main.yaml:2:10: include: there is no file .*1.yaml"
        ):
            load(write(self.MAIN.format("d/1.yaml")))

    def test_itself(self, write: Write) -> None:
        with pytest.raises(ConfigError, match="includes this file itself"):
            load(write(self.MAIN.format("./*.yaml")))

    def test_faults_of_all_files(self, write: Write) -> None:
        """In the order of the files, a fault of syntax in one hides none in another."""
        write("sip_address: A@x.org\npool_fqdn: p.x.org\n", "d/1.yaml")
        write("- {sip_address: b@x.org\n", "d/2.yaml")
        write("- {sip_address: c@x.org}\n- 5\n", "d/3.yaml")
        write("just text", "d/4.yaml")
        main = self.MAIN.format("d/*.yaml") + "loop: x\n"
        main += "endpoints: [{sip_address: a@x.org, pool_fqdn: p.x.org}]\n"
        with pytest.raises(ConfigError) as caught:
            load(write(main))
        places = [f"{Path(fault.file).name}:{fault.line}" for fault in caught.value.faults]
        assert places == [
            *("main.yaml:3", "1.yaml:1", "2.yaml:2", "3.yaml:1", "3.yaml:2", "4.yaml:1")
        ]

    def test_more_than_endpoints(self, write: Write) -> None:
        write("listen: [udp://127.0.0.1:5070]\n", "d/1.yaml")
        with pytest.raises(ConfigError, match=r"1.yaml:1:1: unknown key \"listen\""):
            load(write(self.MAIN.format("d/*.yaml")))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file") as caught:
        load(tmp_path / "none.yaml")
    assert caught.value.exit_status == 78
    assert len(caught.value.faults) == 1


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        load(tmp_path)


def test_unreadable(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(SMALLEST)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # root may read everything
    with pytest.raises(ConfigError, match="isn't permitted to read it"):
        load(path)


def test_aliased_endpoint_is_a_duplicate(faults: Faults) -> None:
    found = faults("""
        listen: [udp://127.0.0.1:5060]
        endpoints:
          - &e {sip_address: a@x.org, pool_fqdn: p.x.org}
          - *e
    """)
    assert "second endpoint" in found[0][1]


def test_many_endpoints(write: Write) -> None:
    """Twice as many endpoints take about twice as long, and each costs a bounded memory."""
    times = []
    for count in (5_000, 20_000):
        lines = "".join(
            f"  - sip_address: sip:room{i}@contoso.com\n    pool_fqdn: pc{i % 50}.contoso.com\n"
            for i in range(count)
        )
        path = write(f"listen: [udp://127.0.0.1:5060]\nendpoints:\n{lines}")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        assert len(load(path).endpoints) == count
        times.append(time.process_time() - start)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        assert grown < count * 4096 + 8 * 1024 * 1024
    assert times[1] < times[0] * 12, "linear would be 4"
