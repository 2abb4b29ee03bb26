"""The probe against SIPp as the server: an independent judge of ACK, BYE and retransmissions."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.probe.conftest import Probe

HERE = Path(__file__).parent
URI = "sip:ocschat@contoso.com"

pytestmark = pytest.mark.skipif(
    shutil.which("sipp") is None, reason="sipp isn't installed (Debian: sip-tester)"
)


@contextmanager
def uas(folder: Path, scenario: str, transport: str = "udp", contact: str = "") -> Iterator[str]:
    """One call's server; its URL. In the end it must have seen all that its scenario wants."""
    port = free_port()
    with subprocess.Popen(
        [
            *("sipp", "-sf", HERE / f"{scenario}.xml", "-m", "1", "-i", "127.0.0.1"),
            *("-p", str(port), "-t", "u1" if transport == "udp" else "t1", "-nostdin"),
            *("-key", "contact", contact, "-timeout", "30", "-timeout_error"),
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            _wait_for(port, transport, process)
            yield f"{transport}://127.0.0.1:{port}"
            out, _ = process.communicate(timeout=40)
        finally:
            process.kill()
    assert process.returncode == 0, out.decode(errors="replace")


def _wait_for(port: int, transport: str, process: "subprocess.Popen[bytes]") -> None:
    table = Path(f"/proc/net/{transport}")
    deadline = time.monotonic() + 30
    while f":{port:04X} 00000000:0000" not in table.read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_accepted_call_is_hung_up(probe: Probe, tmp_path: Path, transport: str) -> None:
    """180, 200, ACK, BYE, 200: SIPp fails if one of ours is missing or wrong."""
    with uas(tmp_path, "uas_bye", transport) as via:
        probed = probe(URI, "--via", via)
    assert (probed.status, probed.err) == (0, "")
    assert probed.arrows == [
        *("> INVITE", "< 180 Ringing", "< 200 OK", "> ACK", "> BYE", "< 200 OK")
    ]
    assert f"-> {via}" in probed.out


def test_ringing_then_redirected(probe: Probe, tmp_path: Path) -> None:
    """180, 302, ACK; and on to a second SIPp over TCP, which accepts."""
    with uas(tmp_path, "uas_bye", "tcp") as pool:
        contact = f"sip:pool@{pool.removeprefix('tcp://')};transport=tcp"
        with uas(tmp_path, "uas_redirect", contact=contact) as via:
            probed = probe(URI, "--via", via, "--follow")
    assert (probed.status, probed.err) == (0, "")
    assert probed.arrows == [
        *("> INVITE", "< 180 Ringing", "< 302 Moved Temporarily", "> ACK"),
        *("> INVITE", "< 180 Ringing", "< 200 OK", "> ACK", "> BYE", "< 200 OK"),
    ]
    assert f"Contact: {contact}\n         -> {pool}\n" in probed.out
