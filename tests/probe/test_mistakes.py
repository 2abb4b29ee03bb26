"""What people get wrong, and what isn't there: one clear line, the right exit status."""

import signal
import socket
import subprocess
import sys

import pytest

from chatredirect.cli import app
from tests.ports import free_port
from tests.probe.conftest import CONFIG, Probe

URI = "sip:ocschat@contoso.com"
VIA = ("--via", "udp://127.0.0.1:5060")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["<sip:ocschat@contoso.com>", *VIA], "write sip:ocschat@contoso.com"),
        (["ocschat", *VIA], "sip:ocschat@DOMAIN"),
        (["tel:+15551234567", *VIA], "telephone number"),
        (["http://contoso.com", *VIA], "has the scheme http"),
        (["sip:ocs chat@contoso.com", *VIA], "%20"),
        (["sip:ocschat@contoso.com?Subject=x", *VIA], "leave out what follows the ?"),
        (["sip:a@contoso.com\r\nX: y", *VIA], "SIP_URI"),
        (["", *VIA], "SIP_URI"),
        (["sip:a@contoso.com;transport=sctp"], "none of udp, tcp and tls"),
        (["sip:a@contoso.com:0"], "port is 0"),
        (["sip:a@[::zz]"], "SIP_URI"),
        (
            [URI, "--via", "127.0.0.1:5060"],
            "write udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT",
        ),
        ([URI, "--via", "127.0.0.1"], "write udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT"),
        (
            [URI, "--via", "sctp://127.0.0.1:5060"],
            "write udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT",
        ),
        ([URI, "--via", "udp://127.0.0.1:99999"], '"99999" is no port'),
        ([URI, "--via", "udp://127.0.0.1:0"], "from 1 to 65535"),
        ([URI, "--via", "udp://::1:5060"], "udp://[ADDRESS]:PORT"),
        ([URI, "--via", "udp://0.0.0.0:5060"], "no address"),
        ([URI, "--via", "udp://"], "has no host"),
        ([URI, "--via", ""], "--via"),
        ([URI, "--via", "tcp://a b:5060"], '"a b" is no host name'),
        ([URI, "--via", "udp://\x1b[31m:5060"], "--via"),
        ([URI, *VIA, "--from", "nobody"], "--from"),
        ([URI, *VIA, "--timeout", "0"], "0.1 to 3600"),
        ([URI, *VIA, "--timeout", "nan"], "0.1 to 3600"),
    ],
)
def test_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    """Which argument, what is wrong with it and what to write; exit status 2, nothing is sent."""
    with pytest.raises(SystemExit) as ended:
        app(["probe", *arguments])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    (line,) = printed.err.splitlines()
    assert line.isprintable()
    assert line.startswith("chatredirect: ")
    assert says in line


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [URI, *VIA, "--method", "REGISTER"],
        [URI, *VIA, "--timeout", "soon"],
        [URI, *VIA, "--retries"],
        [URI, "another"],
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Mistakes that the command line itself finds: exit status 2 too."""
    with pytest.raises(SystemExit) as ended:
        app(["probe", *arguments])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert "Usage: " in printed.err


def test_bytes_that_are_no_text(probe: Probe) -> None:
    """A URI that isn't UTF-8 in the terminal's code goes out as it is."""
    port = free_port()
    probed = probe("sip:caf\udce9@contoso.com", "--via", f"udp://127.0.0.1:{port}")
    assert probed.status == 69
    assert "INVITE sip:caf\\xe9@contoso.com" in probed.out


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_nothing_listens(probe: Probe, transport: str) -> None:
    """Connection refused: said, with what to look at; exit status 69."""
    via = f"{transport}://127.0.0.1:{free_port()}"
    probed = probe(URI, "--via", via)
    assert probed.status == 69
    assert probed.err == (
        f"chatredirect: {via}: connection refused. Nothing listens there: is the daemon running?\n"
    )
    as_json = probe(URI, "--via", via, "--json")
    assert as_json.status == 69
    assert as_json.json["ending"] == "unreached"
    assert as_json.json["requests"][0]["error"] == "connection refused"


def test_every_address_is_tried(probe: Probe) -> None:
    """A name with several addresses where nothing listens: each is told (RFC 3263 §4.3)."""
    probed = probe(URI, "--via", f"udp://both.contoso.com:{free_port()}")
    assert probed.status == 69
    assert sorted(line.split()[1].split(":")[1] for line in probed.err.splitlines()) == [
        "//127.0.0.1",
        "//127.0.0.2",
    ]


def test_name_that_does_not_resolve(probe: Probe) -> None:
    """Of --via, and of the URI when there is none: exit status 69."""
    for arguments in ([URI, "--via", "udp://nowhere.contoso.com:5060"], ["sip:a@nowhere.test"]):
        probed = probe(*arguments)
        assert (probed.status, probed.out) == (69, "")
        (line,) = probed.err.splitlines()
        assert "doesn't resolve: " in line


def test_slow_name_server(probe: Probe) -> None:
    """DNS gets no more time than an answer does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        config = CONFIG.replace("127.0.0.1:1", f"127.0.0.1:{silent.getsockname()[1]}")
        probed = probe("sip:a@nowhere.test", "--timeout", "0.3", config=config)
    assert probed.status == 69
    assert "no answer from DNS within 0.3 s" in probed.err


def test_interrupted() -> None:
    """Ctrl-C while it waits: no traceback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(30)
        line = [sys.executable, "-m", "chatredirect", "probe", URI, "--timeout", "60"]
        line += ["--via", f"udp://127.0.0.1:{silent.getsockname()[1]}"]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            silent.recv(65536)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    assert process.returncode not in (0, 1, 69)
    assert b"Traceback" not in err


def test_long_uri(probe: Probe) -> None:
    """More than a datagram takes: said as the system says it, and the line is cut."""
    probed = probe(f"sip:{'a' * 70_000}@127.0.0.1:{free_port()}")
    assert probed.status == 69
    assert probed.err.endswith(": message too long\n")
    assert max(map(len, probed.out.splitlines())) < 2100


def test_help_is_quick() -> None:
    """--help imports nothing that a probe works with."""
    code = (
        "import sys, chatredirect.cli; "
        "print([name for name in ('asyncio', 'dns', 'pydantic', 'chatredirect.client')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
