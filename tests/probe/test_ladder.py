"""The ladder of a probe: one line of 80 columns per message, printable whatever a message holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatredirect.net.target import Target
from chatredirect.probe.report import WIDTH, heading, rung, whole
from chatredirect.probe.sip_exchange import ExchangeStep

TARGET = Target("udp", "192.0.2.20", 5060, "pcpool.contoso.com")
FAR = Target("tls", "2001:db8:1111:2222:3333:4444:5555:6666", 50610, "x")


@given(
    seconds=st.floats(0, 3600),
    sent=st.booleans(),
    summary=st.binary(max_size=300),
    remark=st.text(max_size=100),
    message=st.binary(max_size=300),
)
def test_ladder(seconds: float, sent: bool, summary: bytes, remark: str, message: bytes) -> None:
    """Whatever a message holds: one printable line of 80 columns; all of it in printable lines."""
    step = ExchangeStep(seconds, sent, FAR, summary, remark, message)
    line = rung(step, TARGET)
    assert line.isprintable()
    assert len(line) <= WIDTH + len("1000000")
    if seconds < 100:
        assert len(line) == WIDTH
    assert all(shown.isprintable() for shown in whole(step))


@pytest.mark.parametrize("local", ["192.0.2.1:5060", "[2001:db8:1:2:3:4:5:6]:65535"])
def test_heading(local: str) -> None:
    """Both ends stand above their uprights, on two lines where one is too short."""
    for target in (TARGET, FAR):
        lines = heading(local, target)
        assert lines[0].startswith(" " * 12 + local)
        assert lines[-1].endswith(str(target))
        assert len(lines[-1]) == WIDTH
