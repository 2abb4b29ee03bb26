"""`python -m benchmarks.proxy` measures calls that were made, and says so when they weren't."""

import shutil
import socket

import pytest

from benchmarks import proxy
from benchmarks.proxy_load import Ends, Task
from benchmarks.report import Spread
from benchmarks.servers import IN_PYTHON
from tests.ports import free_port


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_calls_are_made(transport: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A short run without the peer: every call ends well, and costs something."""
    short = ("--rounds", "1", "--calls", "100", "--warm", "0")
    arguments = (*short, "--no-peer", "--no-pin", "--transport")
    if shutil.which("kamailio", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("kamailio isn't installed: its version is in the record")
    assert proxy.main([*arguments, transport]) == 0
    assert "chatredirect" in capsys.readouterr().out


async def test_lost_calls_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers: none is done, and nobody waits for ever."""
    monkeypatch.setattr("benchmarks.proxy_load._PATIENCE", 0.2)
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        account = await Ends(free_port(), None).run(Task("calls", "udp", port, 3, 3, 1))
    assert (account.calls, account.done) == (3, 0)


async def test_wrong_messages_are_counted() -> None:
    """A response without our Record-Route, an error, and one of another call."""
    ends = Ends(free_port(), None)
    ends.send = lambda data: None
    ends.invite, ends.within = (b"INVITE ", b"", b"", b""), b""
    ends.task = Task("calls", "udp", 0, 3, 3, 7)
    ends.account.calls = 3
    for _ in range(3):
        ends._begin()
    head = b"\r\nCall-ID: %08d@bench\r\nCSeq: 1 INVITE\r\nTo: <sip:a@b>;tag=1\r\n\r\n"
    ends.answered(b"SIP/2.0 200 OK" + head % 7, print)
    ends.answered(b"SIP/2.0 500 No" + head % 8, print)
    ends.answered(b"SIP/2.0 200 OK" + head % 7, print)  # said twice: not another call
    ends.answered(b"garbage", print)
    assert (ends.account.wrong, ends.account.done) == (3, 2)


@pytest.mark.parametrize(("ratio", "fails"), [(2.0, False), (2.1, True)])
def test_the_ratio_is_the_exit_status(ratio: float, fails: bool) -> None:
    """Twice Kamailio's CPU with the compiled codec, four times without."""
    limits = {proxy.DAEMON: proxy.MAX_RATIO, IN_PYTHON: proxy.MAX_PYTHON}
    ratios = {proxy.DAEMON: Spread(ratio, 1.0, 9.0), IN_PYTHON: Spread(4.0, 4.0, 4.0)}
    assert bool(proxy.over(ratios, "udp", limits)) == fails
    assert proxy.over({IN_PYTHON: Spread(4.1, 4.1, 4.1)}, "udp", limits) == [
        "chatredirect in Python, udp: ratio 4.10 is over 4.0"
    ]
