"""DNS servers from Debian on free loopback ports, one process each, with zone files that change."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import dns.message
import dns.query
import pytest

from chatredirect.config import HostPort
from tests.ports import free_port

ZONE = "contoso.com"
SOA = f"""@ 3600 IN SOA ns.{ZONE}. root.{ZONE}. {{serial}} 3600 600 86400 {{negative}}
@ 3600 NS ns.{ZONE}.
"""
LONGEST_START = 15.0


def needs(tool: str) -> str:
    """The path of a tool; skips the test if there is none."""
    path = shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        pytest.skip(f"{tool} is not installed")
    return path


class DnsServer:
    """One server process that answers for contoso.com.

    Attributes:
        address: where it listens.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = HostPort("127.0.0.1", free_port())
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False
        self._serial = 1

    def command(self) -> list[str]:
        raise NotImplementedError

    def write(self, records: str, *, negative: int = 1) -> None:
        """Give the zone these records (master file text); `negative` is the SOA's minimum."""
        self._serial += 1
        text = f"$ORIGIN {ZONE}.\n$TTL 1\n" + SOA.format(serial=self._serial, negative=negative)
        (self.folder / "zone").write_text(text + records + "\n")

    def change(self, records: str, *, negative: int = 1) -> None:
        """The same for a server that runs; returns when it answers from the new zone."""
        self.write(records, negative=negative)
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        self._wait_for_serial()

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        self._wait_for_serial()

    def stop(self) -> None:
        """End it, whatever it does."""
        if self._process is not None:
            if self._paused:  # it wouldn't hear the rest, and if it went on it might answer first
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
            self._process = None
            self._paused = False

    def pause(self) -> None:
        """It keeps its sockets and says nothing, with all its child processes."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        self._paused = True

    def go_on(self) -> None:
        """The end of `pause`."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)
        self._paused = False

    def _wait_for_serial(self) -> None:
        ends = time.monotonic() + LONGEST_START
        query = dns.message.make_query(f"{ZONE}.", "SOA")
        while time.monotonic() < ends:
            try:
                assert self.address.port is not None
                reply = dns.query.udp(query, self.address.host, 0.5, port=self.address.port)
                if reply.answer and reply.answer[0][0].serial == self._serial:  # type: ignore[attr-defined]
                    return
            except (OSError, dns.exception.DNSException):
                pass
            time.sleep(0.05)
        log = (self.folder / "log").read_text(errors="replace")
        raise AssertionError(f"{type(self).__name__} doesn't answer from its zone:\n{log[-2000:]}")


class Nsd(DnsServer):
    """An authoritative server: answers what is in its zone file, refuses the rest."""

    def command(self) -> list[str]:
        path = self.folder
        (path / "nsd.conf").write_text(f"""
server:
  ip-address: 127.0.0.1
  port: {self.address.port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{path}"
  pidfile: "{path}/pid"
  xfrdfile: "{path}/xfrd"
  zonelistfile: "{path}/zones"
  xfrdir: "{path}"
  database: ""
remote-control:
  control-enable: no
zone:
  name: "{ZONE}"
  zonefile: "zone"
""")
        return [needs("nsd"), "-d", "-c", str(path / "nsd.conf")]


class Knot(DnsServer):
    """Another authoritative server."""

    def command(self) -> list[str]:
        path = self.folder
        (path / "knot.conf").write_text(f"""
server:
  listen: 127.0.0.1@{self.address.port}
  rundir: "{path}"
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: warning
database:
  storage: "{path}"
zone:
  - domain: {ZONE}
    storage: "{path}"
    file: "zone"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
""")
        return [needs("knotd"), "-c", str(path / "knot.conf")]


class Unbound(DnsServer):
    """A caching resolver in front of another server: TTLs count down, answers are kept."""

    def __init__(self, folder: Path, behind: DnsServer) -> None:
        super().__init__(folder)
        self._behind = behind

    def command(self) -> list[str]:
        path = self.folder
        self._serial = self._behind._serial
        (path / "unbound.conf").write_text(f"""
server:
  interface: 127.0.0.1
  port: {self.address.port}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  num-threads: 1
  username: ""
  chroot: ""
  directory: "{path}"
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  module-config: "iterator"
stub-zone:
  name: "{ZONE}"
  stub-addr: 127.0.0.1@{self._behind.address.port}
remote-control:
  control-enable: no
""")
        return [needs("unbound"), "-d", "-c", str(path / "unbound.conf")]


class Dnsmasq(DnsServer):
    """A small forwarder with fixed names: A and AAAA, no NAPTR."""

    def __init__(self, folder: Path, hosts: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._hosts = hosts

    def command(self) -> list[str]:
        fixed = [f"--host-record={name},{addresses}" for name, addresses in self._hosts.items()]
        return [
            needs("dnsmasq"),
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-hosts",
            "--no-resolv",
            "--user=root",
            "--pid-file",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            f"--port={self.address.port}",
            f"--local=/{ZONE}/",
            "--local-ttl=1",
            *fixed,
        ]

    def _wait_for_serial(self) -> None:
        ends = time.monotonic() + LONGEST_START
        query = dns.message.make_query(f"{next(iter(self._hosts))}.", "A")
        while time.monotonic() < ends:
            try:
                assert self.address.port is not None
                dns.query.udp(query, self.address.host, 0.5, port=self.address.port)
            except (OSError, dns.exception.DNSException):
                time.sleep(0.05)
            else:
                return
        raise AssertionError("dnsmasq doesn't answer")
