"""SIP servers from Debian as targets: SIPp and Kamailio, started and stopped under the pools."""

import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.dns.real_servers import needs
from tests.ports import free_port
from tests.service.client import request
from tests.service.daemon import eventually

KAMAILIO = """
debug=0
log_stderror=yes
fork=yes
children=1
tcp_children=1
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib/kamailio/modules/:{modules}"
loadmodule "sl.so"
loadmodule "pv.so"
request_route {{
    sl_send_reply("{status}", "{reason}");
}}
"""

SIPP = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="answers OPTIONS">
  <recv request="OPTIONS"/>
  <send><![CDATA[
    SIP/2.0 {status} {reason}
    [last_Via:]
    [last_From:]
    [last_To:];tag=[call_number]
    [last_Call-ID:]
    [last_CSeq:]
    Content-Length: 0

  ]]></send>
</scenario>
"""


class SipTarget:
    """A SIP server process on one port that keeps its port over stops and starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, status: int, reason: str) -> list[str]:
        raise NotImplementedError

    def start(self, status: int = 200, reason: str = "OK") -> None:
        """Answer every OPTIONS so."""
        command = self.command(status, reason)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", self.port))
            client.settimeout(0.5)
            eventually(lambda: self._answers(client), f"{command[0]} to answer")

    def _answers(self, client: socket.socket) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text(errors="replace")[-2000:])
        with suppress(OSError):
            client.send(request("OPTIONS"))
            return bool(client.recv(4096))
        return False

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
            self._process = None


class Kamailio(SipTarget):
    """Answers over UDP and TCP."""

    def command(self, status: int, reason: str) -> list[str]:
        path = needs("kamailio")
        modules = next(Path("/usr/lib").glob("*/kamailio/modules"), "")
        text = KAMAILIO.format(port=self.port, status=status, reason=reason, modules=modules)
        (self.folder / "kamailio.cfg").write_text(text)
        return [
            path, "-DD", "-E", "-m", "16", "-M", "4", "-Y", str(self.folder),
            "-f", str(self.folder / "kamailio.cfg"), "-P", str(self.folder / "pid"),
        ]  # fmt: skip


class Sipp(SipTarget):
    """Answers over UDP."""

    def command(self, status: int, reason: str) -> list[str]:
        path = needs("sipp")
        scenario = self.folder / "uas.xml"
        scenario.write_text(SIPP.format(status=status, reason=reason))
        return [
            path, "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(self.port), "-nostdin",
            "-t", "u1", "-trace_err", "-skip_rlimit",
        ]  # fmt: skip
