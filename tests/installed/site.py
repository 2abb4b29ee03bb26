"""A site of a test's own, as the pages in docs/ describe one: contoso.com on one machine.

Network, /etc, /root, /run and /var/lib are the test's: every name that the pages use resolves,
every address that they use is there, on the loopback interface, and every port is free. So their
commands are run as they stand. Needs root.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.installed.readme import ROOT
from tests.tls.authority import Authority

ADDRESSES = {
    "chatredirect.contoso.com": "192.0.2.5",
    "fe01.contoso.com": "192.0.2.10",
    "pcpool.contoso.com": "192.0.2.20",
    "pcpool2.contoso.com": "192.0.2.30",
}
POOLS = {
    "pcpool.contoso.com": ("192.0.2.20", 5061),
    "pcpool2.contoso.com": ("192.0.2.30", 5061),
}
TLS = Path("/etc/chatredirect/tls")
PATIENCE = 30.0

#: Files of the site's own: a folder for them, and where what is tested lies.
SITE_FILES = f"""
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
case "$2" in
    /root/*) ;; # what is tested lies there
    *)
        python='{sys.base_prefix}' # it may lie there as well, as pyenv's do
        mkdir "$1/python"
        case $python in /root/*) mount --bind "$python" "$1/python" ;; esac
        mount -t tmpfs -o mode=700 tmpfs /root
        case $python in /root/*) mkdir -p "$python"; mount --bind "$1/python" "$python" ;; esac ;;
esac
rm -rf /etc/chatredirect
mkdir -p /etc/chatredirect /run/chatredirect
# the service's user and its state directory, as they are after make install and a first start
getent group chatredirect >/dev/null || echo 'chatredirect:x:986:' >>/etc/group
getent passwd chatredirect >/dev/null ||
    echo "chatredirect:x:986:$(getent group chatredirect | cut -d: -f3)::/:/usr/sbin/nologin" \
        >>/etc/passwd
mkdir -m 750 /var/lib/chatredirect
"""

_SET_UP = f"""{SITE_FILES}
ip link set lo up
shift 2
for address; do ip address add "$address/32" dev lo; done
echo up
exec cat
"""

# What stands for systemd: it starts and stops one service, and tells the truth about it.
SITE_SYSTEMCTL = r"""#!/bin/sh
# systemctl VERB [--now] SERVICE
case "$*" in
    *kamailio*) # as Debian's unit runs it: a user without rights, a folder for its sockets
        at=/run/kamailio/kamailio.pid
        case $1 in
            start)
                install -d -m 770 -o kamailio -g kamailio /run/kamailio
                exec setpriv --reuid kamailio --regid kamailio --init-groups \
                    kamailio -P $at -f /etc/kamailio/kamailio.cfg -m 64 -M 8 \
                    >/run/kamailio.log 2>&1 ;;
            stop)
                [ -e $at ] || exit 0
                main=$(cat $at) && kill "$main"
                while kill -0 "$main" 2>/dev/null; do sleep 0.1; done
                exit ;;
            restart) "$0" stop kamailio; exec "$0" start kamailio ;;
        esac ;;
esac
pid=/run/chatredirect.pid
running() { [ -e $pid ] && kill -0 "$(cat $pid)" 2>/dev/null; }
verb=$1
case "$*" in enable*--now*) verb=start ;; disable*--now*) verb=stop ;; esac
case $verb in
    start)
        if running; then exit 0; fi
        export STATE_DIRECTORY=/var/lib/chatredirect
        : >>/run/chatredirect.log
        chatredirect run 2>>/run/chatredirect.log >/dev/null </dev/null &
        echo $! >$pid
        for _ in $(seq 300); do
            if grep -q '"event": *"started"' /run/chatredirect.log; then exit 0; fi
            if ! running; then cat /run/chatredirect.log >&2; exit 1; fi
            sleep 0.1
        done
        exit 1 ;;
    stop)
        if running; then kill "$(cat $pid)"; fi
        while running; do sleep 0.1; done
        rm -f $pid; mv -f /run/chatredirect.log /run/chatredirect.log.1 2>/dev/null || true ;;
    restart) "$0" stop && exec "$0" start ;;
    reload) exec chatredirect reload ;;
    is-active) if running; then echo active; else echo inactive; exit 3; fi ;;
    daemon-reload | enable | disable) ;;
    *) echo "systemctl $*: not here" >&2; exit 1 ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A site.

    Attributes:
        folder: for the test's files.
        pid: a process that keeps its namespaces.
        authority: whose certificates are trusted.
    """

    folder: Path
    pid: int
    authority: Authority
    _programs: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def inside(self, *command: str | Path) -> list[str]:
        """A command line that runs another one in the site."""
        namespaces = ["nsenter", "--target", str(self.pid), "--net", "--mount", "--wd=/root"]
        return [*namespaces, "--", *map(str, command)]

    def environment(self) -> dict[str, str]:
        """Where the commands are found; nothing else of the machine's."""
        path = f"{self.folder}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {
            "PATH": path,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, line: str, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run a line of shell, as an administrator would."""
        return subprocess.run(
            self.inside("sh", "-c", line),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def write(self, path: Path | str, text: str) -> None:
        """Have a file in the site."""
        subprocess.run(
            self.inside("sh", "-c", 'mkdir -p "${1%/*}" && cat >"$1"', "sh", path),
            input=text.encode(),
            timeout=30,
            check=True,
        )

    def start(self, *command: str | Path) -> None:
        """Start a program that runs until the site ends."""
        log = (self.folder / f"{Path(command[0]).name}{len(self._programs)}.log").open("wb")
        with log:
            self._programs.append(
                subprocess.Popen(
                    self.inside(*command),
                    env=self.environment(),
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )

    def certify(self, host: str, *others: str) -> None:
        """Make a host's certificate, for other names too: /etc/chatredirect/tls/HOST.pem, HOST.key.

        The authority's is ca.pem beside them.
        """
        leaf = self.authority.issue(host, *others)
        self.write(TLS / f"{host}.pem", leaf.certificate.read_text())
        self.write(TLS / f"{host}.key", leaf.private_key.read_text())
        self.run(f"chmod 640 {TLS}/{host}.key")
        self.write(TLS / "ca.pem", self.authority.file.read_text())

    def wait_for(self, address: str, port: int) -> None:
        """Until somebody listens there over TCP."""
        until = time.monotonic() + PATIENCE
        probe = f"import socket; socket.create_connection(({address!r}, {port}), 1)"
        while self.run(f'"{sys.executable}" -c "{probe}"').returncode:
            assert time.monotonic() < until, f"{address}:{port}: nobody listens\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        """The end of what the daemon and the other programs have said."""
        said = [path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log"))]
        said.append(self.run("cat /run/*.log*").stdout)
        return "\n".join(text[-1500:] for text in said)

    def end(self) -> None:
        """Stop what was started."""
        self.run("systemctl stop kamailio; systemctl stop chatredirect")
        for program in self._programs:
            program.terminate()
        for program in self._programs:
            program.wait(10)


def make_folders(folder: Path, systemctl: str, variables: str = "") -> None:
    """What a site's folder begins with: a root, and the pages' commands of these texts."""
    (folder / "root").mkdir(parents=True)
    (folder / "bin").mkdir()
    python = f'{variables} exec "{sys.executable}" -P'.lstrip()
    for name, text in {
        "chatredirect": f'#!/bin/sh\n{python} -m chatredirect "$@"\n',
        "systemctl": systemctl,
    }.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Make one, with DNS and both pools at work; skip the test where that can't be done."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for namespaces in which the pages' addresses exist")
    for tool in ("unshare", "nsenter", "ip", "dnsmasq"):
        if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            pytest.skip(f"{tool} not found")
    make_folders(folder, SITE_SYSTEMCTL)
    holder = subprocess.Popen(
        [
            *("unshare", "--net", "--mount", "sh", "-c", _SET_UP, "sh", str(folder / "root")),
            str(ROOT),
            *sorted(set(ADDRESSES.values())),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    with ExitStack() as stack:
        stack.callback(holder.wait, 10)
        stack.callback(holder.stdin.close)
        if holder.stdout.readline() != "up\n":
            pytest.skip(f"no namespaces here: {holder.stderr.read().strip()}")
        made = Site(folder, holder.pid, Authority(folder / "authority"))
        stack.callback(made.end)
        _furnish(made)
        yield made


def _furnish(made: Site) -> None:
    """DNS for contoso.com, and the pools, each of which answers as a server of its name would."""
    dnsmasq = ["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--no-resolv"]
    dnsmasq += ["--no-hosts", "--local=/contoso.com/", "--user=", "--group=", "--local-ttl=300"]
    dnsmasq += ["--listen-address=127.0.0.1", "--bind-interfaces"]
    dnsmasq += ["--srv-host=_sip._tcp.contoso.com,fe01.contoso.com,5060"]
    direct = "chat.contoso.com,chatredirect.contoso.com"  # for clients that come directly
    dnsmasq += [f"--srv-host=_sips._tcp.{direct},5062", f"--srv-host=_sip._tcp.{direct},5063"]
    dnsmasq += [f"--host-record={name},{address}" for name, address in ADDRESSES.items()]
    made.start("dnsmasq", *dnsmasq)
    made.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    made.write("/etc/hosts", "127.0.0.1 localhost\n")
    for name in ADDRESSES:
        made.certify(name)
    for name, (address, port) in POOLS.items():
        made.write(f"/root/{name}.yaml", pool_configuration(name, address, port))
        made.start(made.folder / "bin/chatredirect", "run", "--config", f"/root/{name}.yaml")
    for address, port in POOLS.values():
        made.wait_for(address, port)


def pool_configuration(name: str, address: str, port: int) -> str:
    """A pool's configuration: it accepts calls for the contact object, as channel services do."""
    users = ("ocschat@contoso.com", "gc-channel@contoso.com", "persistentchat@contoso.com")
    called = (*users, f"persistentchat@{name}")
    endpoints = "".join(
        f"  - {{sip_address: 'sip:{user}', pool_fqdn: {address}, port: 1, transport: tcp, "
        f"mode: lookup, channel_uris: ['sip:room@fe01.contoso.com']}}\n"
        for user in called
    )
    return f"""\
listen: [tls://{address}:{port}]
advertise: {name}
control: {{socket: "off"}}
tls:
  certificate: {TLS}/{name}.pem
  private_key: {TLS}/{name}.key
  ca: {TLS}/ca.pem
  allowed_peers: [chatredirect.contoso.com, fe01.contoso.com]
endpoints:
{endpoints}"""
