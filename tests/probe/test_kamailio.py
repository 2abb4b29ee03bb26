"""The probe through Kamailio, a proxy that records its route, to SIPp."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.probe.conftest import Probe
from tests.probe.test_sipp import HERE, URI, uas

KAMAILIO = shutil.which("kamailio", path=os.environ.get("PATH", "") + ":/usr/sbin")

pytestmark = [
    pytest.mark.skipif(KAMAILIO is None, reason="kamailio isn't installed"),
    pytest.mark.skipif(
        shutil.which("sipp") is None, reason="sipp isn't installed (Debian: sip-tester)"
    ),
]


@contextmanager
def proxy(folder: Path, next_hop: str) -> Iterator[int]:
    """Kamailio on a port of its own, UDP and TCP, that relays to `next_hop`."""
    assert KAMAILIO is not None
    port = free_port()
    text = (HERE / "proxy.cfg").read_text().replace("@PORT@", str(port))
    (folder / "proxy.cfg").write_text(text.replace("@NEXT@", next_hop))
    log = folder / "proxy.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [KAMAILIO, "-f", folder / "proxy.cfg", "-DD", "-E", "-w", folder, "-Y", folder],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 30
            while True:
                with socket.socket() as attempt:
                    if attempt.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            yield port
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_through_a_proxy(probe: Probe, tmp_path: Path, transport: str) -> None:
    """100, 180 and 200 come through; ACK and BYE find their way by Route to the other end."""
    with uas(tmp_path, "uas_bye") as agent:
        next_hop = f"sip:{agent.removeprefix('udp://')};transport=udp"
        with proxy(tmp_path, next_hop) as port:
            probed = probe(URI, "--via", f"{transport}://127.0.0.1:{port}")
            assert (probed.status, probed.err) == (0, ""), probed.out
            steps = [arrow for arrow in probed.arrows if not arrow.startswith("< 100 ")]
            assert steps == [
                *("> INVITE", "< 180 Ringing", "< 200 OK", "> ACK", "> BYE", "< 200 OK")
            ]
