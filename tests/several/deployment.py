"""Several instances of chatredirect on machines of their own, a front end, DNS, and a load.

    clients, pool        front end          instances
    192.0.2.100, .20     fe01, .10          cr1 .5, cr2 .6, cr3 .7      name server .53

With keepalived one of the instances has 192.0.2.4 besides its own address.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import yaml

from tests.several.accounts import Accounts, load
from tests.several.instance import ROOT, Instance
from tests.several.lan import NAME_SERVER, Lan, Machine, lan, wait_for
from tests.tls.authority import Authority, Leaf
from tests.tls.processes import program

HERE = Path(__file__).parent
FRONT_END, CLIENTS, POOL = "192.0.2.10", "192.0.2.100", "192.0.2.20"
ADDRESSES = ("192.0.2.5", "192.0.2.6", "192.0.2.7")
VIRTUAL = "192.0.2.4"
COMMON = "chatredirect.contoso.com"
SECRET = "a secret of sixteen characters and more"

FrontEnd = Literal["dispatcher", "srv", "a", "keepalived", "direct"]
"""Kamailio's dispatcher; Kamailio with SRV records, or with two addresses of a name; Kamailio with
one address that keepalived moves; no front end, clients with the addresses of a name."""
Transport = Literal["udp", "tcp", "tls"]
"""Of the instances and the pool. Clients speak it too if there is no front end, else UDP."""

_DEFINED = {
    "dispatcher": "DISPATCHER",
    "srv": "SEVERAL_ADDRESSES",
    "a": "SEVERAL_ADDRESSES",
    "keepalived": "ONE_ADDRESS",
}


@dataclass(slots=True)
class Running:
    """A load that goes on."""

    process: Any
    file: Path

    def accounts(self) -> Accounts:
        """Wait for its end."""
        assert self.process.wait(150) == 0, "the load has failed: see its log"
        return load(self.file)


class FrontEndEnded(Exception):
    """Kamailio has ended by itself.

    Over TLS Debian 12's does now and then: its processes share what OpenSSL 3 takes for a thread's
    own (github.com/kamailio/kamailio/issues/3791).
    """


@dataclass(slots=True)
class Deployment:
    """All of it.

    Attributes:
        names: addresses by name, as DNS has them and as the load uses them.
    """

    lan: Lan
    outside: Machine
    front_end: Machine
    instances: list[Instance]
    names: dict[str, list[str]]
    kind: FrontEnd
    transport: Transport
    tls: dict[str, str]

    def load(self, **plan: Any) -> Running:
        """Start a load; returns when it has begun."""
        file = self.lan.folder / f"accounts-{uuid4().hex}.json"
        direct = self.kind == "direct"
        settings = {
            "accounts": str(file),
            "first": COMMON if direct else "fe01.contoso.com",
            "names": {"fe01.contoso.com": [FRONT_END], **self.names},
            "clients": self.transport.upper() if direct else "UDP",
            "pool": self.transport.upper(),
            "tls": self.tls,
        } | plan
        process = self.outside.start(
            sys.executable,
            "-m",
            "tests.several.traffic",
            json.dumps(settings),
            environment={"PYTHONPATH": str(ROOT)},
            log="traffic",
        )
        wait_for(lambda: file.with_suffix(".begun").exists(), "the load to begin")
        return Running(process, file)

    def check_front_end(self) -> None:
        """Raise FrontEndEnded if it has ended."""
        if any(each.poll() is not None for each in self.front_end.started):
            raise FrontEndEnded(self.front_end.log("kamailio"))

    @property
    def where(self) -> str:
        """What follows the host in an instance's URI."""
        return f":{5061 if self.transport == 'tls' else 5060};transport={self.transport}"

    @property
    def dispatcher_list(self) -> Path:
        """The file of the instances that Kamailio's dispatcher knows."""
        return self.lan.folder / "dispatcher.list"

    def write_dispatcher_list(self, known: Sequence[Instance]) -> None:
        """Have it know these from its next start or reload on."""
        lines = [f"1 sip:{each.machine.address}{self.where} 0 0\n" for each in known]
        self.dispatcher_list.write_text("".join(lines))

    def reload_dispatcher(self) -> None:
        """Have Kamailio read that list anew."""
        self.front_end.run(program("kamcmd"), "-s", "tcp:127.0.0.1:2049", "dispatcher.reload")


@contextmanager
def deployment(
    folder: Path,
    front_end: FrontEnd,
    transport: Transport,
    count: int = 2,
    settings: Mapping[str, Any] | None = None,
    tree: Path = ROOT,
    running: int | None = None,
) -> Iterator[Deployment]:
    """Instances behind a front end, ready for requests; their daemons run from `tree`.

    With `running` only so many run, and the dispatcher and DNS know no others.
    """
    kamailio, dnsmasq = program("kamailio"), program("dnsmasq")
    addresses = ADDRESSES[:count]
    names = {f"cr{number}.contoso.com": [each] for number, each in enumerate(addresses, 1)}
    virtual = front_end == "keepalived"
    names[COMMON] = [VIRTUAL] if virtual else list(addresses[:running])
    with lan(folder) as network:
        name_server(network, dnsmasq, names, transport if front_end == "srv" else None)
        authority = Authority(folder / "tls")
        pool = _files(authority, authority.issue("pcpool.contoso.com", file="pool"))
        outside = network.machine("outside", CLIENTS, POOL)
        fe01 = network.machine("fe01", FRONT_END)
        leaf = authority.issue(*names, file="chatredirect")
        common = _settings(transport, _files(authority, leaf))
        common["instances"] = [name for name in names if name != COMMON]
        if transport == "tls":
            common["tls"]["allowed_peers"].append(COMMON)  # the others, when they compare
        else:
            common["trusted_peers"] = [CLIENTS if front_end == "direct" else FRONT_END, *addresses]
        config = folder / "chatredirect.yaml"
        config.touch(mode=0o600)
        config.write_text(yaml.safe_dump(common | dict(settings or {})))
        instances = [
            Instance(network.machine(f"cr{number}", address), f"cr{number}", config, tree)
            for number, address in enumerate(addresses, 1)
        ]
        for each in instances[:running]:
            each.start()
        made = Deployment(network, outside, fe01, instances, names, front_end, transport, pool)
        leaf = authority.issue("fe01.contoso.com", file="fe01")
        if front_end != "direct":
            made.write_dispatcher_list(instances[:running])
            _start_front_end(made, kamailio, _files(authority, leaf))
        if virtual:
            for each in instances:
                each.start_keepalived()
            wait_for(lambda: VIRTUAL in instances[0].machine.addresses(), "the virtual address")
        yield made


def _files(authority: Authority, leaf: Leaf) -> dict[str, str]:
    return leaf.files | {"ca": str(authority.file)}


def _settings(transport: Transport, tls: dict[str, str]) -> dict[str, Any]:
    """What all instances have in common; their own names come from the environment."""
    port = 5061 if transport == "tls" else 5060
    pool = {"pool_fqdn": "pcpool.contoso.com", "port": port, "transport": transport}
    made: dict[str, Any] = {
        "listen": [f"{transport}://0.0.0.0:{port}"],
        "proxy": {"record_route_host": COMMON},
        "secret": SECRET,
        "usage": {"store": "off"},
        "control": {"socket": "off"},
        "http": {"listen": "127.0.0.1:9464"},
        "endpoints": [
            {"sip_address": "sip:news@contoso.com", "mode": "redirect", **pool},
            {
                "sip_address": "sip:ocschat@contoso.com",
                "mode": "lookup",
                "channel_uris": ["sip:gc-channel@contoso.com"],
                **pool,
            },
            {"sip_address": "sip:chat@contoso.com", "mode": "proxy", **pool},
        ],
    }
    if transport == "tls":
        made["tls"] = tls | {"allowed_peers": ["fe01.contoso.com", "pcpool.contoso.com"]}
    return made


def name_server(
    network: Lan, dnsmasq: str, names: Mapping[str, list[str]], srv: Transport | None
) -> None:
    """A name server with each name's addresses, and with `srv` SRV records of the common one."""
    machine = network.machine("dns", NAME_SERVER)
    service, port = ("_sips._tcp", 5061) if srv == "tls" else ("_sip._udp", 5060)
    records = [
        "--host-record=fe01.contoso.com,192.0.2.10",
        "--host-record=pcpool.contoso.com,192.0.2.20",
    ]
    for name, addresses in names.items():
        records += [f"--host-record={name},{each}" for each in addresses]
        if srv and name != COMMON:
            records.append(f"--srv-host={service}.{COMMON},{name},{port}")
    machine.start(
        dnsmasq,
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--no-daemon",
        "--user=root",
        "--local=/contoso.com/",
        "--local-ttl=5",
        f"--pid-file={network.folder / 'dnsmasq.pid'}",
        f"--listen-address={NAME_SERVER}",
        "--bind-interfaces",
        *records,
    )


def _start_front_end(made: Deployment, kamailio: str, files: Mapping[str, str]) -> None:
    folder = made.lan.folder / "kamailio"
    folder.mkdir(exist_ok=True)
    own = f"private_key = {files['private_key']}\ncertificate = {files['certificate']}\n"
    checked = f"{own}ca_list = {files['ca']}\nverify_certificate = yes\n"
    (folder / "tls.cfg").write_text(
        f"[server:default]\nmethod = TLSv1.2+\n{checked}require_certificate = yes\n\n"
        f"[client:default]\nmethod = TLSv1.2+\n{checked}require_certificate = yes\n"
    )
    text = (HERE / "front-end.cfg").read_text()
    to = made.where if made.kind != "srv" else f";transport={made.transport}"
    values = {
        "TLS_CONFIG": folder / "tls.cfg",
        "LIST": made.dispatcher_list,
        "TO": to,
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    written = folder / "kamailio.cfg"
    written.write_text(text)
    defines = ["-A", _DEFINED[made.kind]]
    if made.transport == "tls":
        defines += ["-A", "WITH_TLS"]
    elif made.kind == "keepalived":
        defines += ["-A", "RETRANSMITTED"]
    made.front_end.start(
        *(kamailio, "-f", written, "-DD", "-E", "-w", folder, "-Y", folder),
        *("-m", "64", "-M", "8", *defines),
        log="kamailio",
    )
