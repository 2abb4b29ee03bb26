"""Captures, as tshark reads them: SIP with the right addresses, ports and times."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chatredirect.trace.pcap import PcapWriter
from chatredirect.trace.sighting import Ends, Sighting, SightingKind
from tests.trace.messages import request, response

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark")

AT = 1_700_000_000.123456
CHECKS = [
    f"-o{layer}.check_checksum:TRUE" for layer in ("ip", "udp", "tcp")
]  # fmt: skip


def tshark(path: Path, *options: str) -> str:
    command = ["tshark", "-n", "-r", str(path), *CHECKS, *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def packets(path: Path) -> list[dict[str, Any]]:
    found = json.loads(tshark(path, "-T", "json", "-Y", "sip"))
    return [each["_source"]["layers"] for each in found]


def write(path: Path, *sightings: Sighting) -> None:
    with path.open("wb") as file:
        writer = PcapWriter(file.write)
        for each in sightings:
            writer.add(each)


WAYS = [
    ("udp", ("192.0.2.1", 5060), ("192.0.2.9", 40312)),
    ("udp", ("2001:db8::1", 45061), ("2001:db8::9", 40312)),
    ("tcp", ("192.0.2.1", 5060), ("192.0.2.9", 40312)),
    ("tcp", ("2001:db8::1", 12345), ("2001:db8::9", 40312)),
    ("tls", ("192.0.2.1", 5061), ("192.0.2.9", 40312)),
    ("tls", ("192.0.2.1", 15061), ("192.0.2.9", 40312)),
]


@pytest.mark.parametrize(("transport", "own", "peer"), WAYS)
@pytest.mark.parametrize("size", [0, 40_001])
def test_tshark_sees_the_messages(
    tmp_path: Path, transport: str, own: tuple[str, int], peer: tuple[str, int], size: int
) -> None:
    """Both directions; a long message in several segments, an odd length for the checksum."""
    path = tmp_path / "a.pcap"
    ends = Ends(transport, own, peer)
    call = b"1@192.0.2.9"
    write(
        path,
        Sighting(SightingKind.RECEIVED, AT, call, ends, request(body="x" * size)),
        Sighting(SightingKind.DECIDED, AT, call, what="not on the wire"),
        Sighting(SightingKind.SENT, AT + 0.25, call, ends, response()),
        Sighting(SightingKind.RECEIVED, AT + 0.5, call, ends, request(method="BYE")),
    )
    first, second, third = packets(path)
    assert first["sip"]["sip.Request-Line"] == "INVITE sip:ocschat@contoso.com SIP/2.0"
    assert second["sip"]["sip.Status-Line"] == "SIP/2.0 302 Moved Temporarily"
    assert third["sip"]["sip.Request-Line"].startswith("BYE")
    version = "ipv6" if ":" in own[0] else "ip"
    layer = "udp" if transport == "udp" else "tcp"
    for packet, source, target in ((first, peer, own), (second, own, peer), (third, peer, own)):
        assert packet[version][f"{version}.src"] == source[0]
        assert packet[version][f"{version}.dst"] == target[0]
        assert packet[layer][f"{layer}.srcport"] == str(source[1])
        assert packet[layer][f"{layer}.dstport"] == str(target[1])
    assert first["frame"]["frame.time_epoch"].startswith("1700000000.123456")
    assert second["frame"]["frame.time_epoch"].startswith("1700000000.373456")
    bad = "_ws.malformed or ip.checksum.status==0 or udp.checksum.status==0"
    bad += " or tcp.checksum.status==0 or tcp.analysis.flags"
    assert tshark(path, "-Y", bad) == ""


def test_times_stay_in_order_and_nothing_else_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    unknown = Ends("tcp", ("", 0), ("192.0.2.9", 40312))
    write(
        path,
        Sighting(SightingKind.CONNECTION, AT, None, unknown, what="refused"),
        Sighting(SightingKind.UNREADABLE, 1_700_000_000.9999999, None, unknown, b"\x16\x03"),
    )
    times = tshark(path, "-T", "fields", "-e", "frame.time_epoch").split()
    assert len(times) == 4, "a handshake and the octets"
    assert all(time.startswith("1700000001.000000") for time in times)


def test_many_connections_cost_a_bounded_memory() -> None:
    """Written ports of a front end that connects anew for every call."""
    writer = PcapWriter(lambda octets: None)
    for port in range(20_000):
        ends = Ends("tcp", ("192.0.2.1", 5060), (f"192.0.2.{port % 200}", port))
        writer.add(Sighting(SightingKind.RECEIVED, AT, b"1", ends, b"x"))
    assert len(writer._next) <= 2 * 4096
