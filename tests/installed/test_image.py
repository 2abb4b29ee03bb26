"""The OCI image of `make image`, run by podman on loopback: what docs/kubernetes.md says of it.

The container has what a careful administrator gives it: a read-only root, a tmpfs for the control
socket, no capability, the configuration and the keys mounted.
"""

import json
import re
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.installed.podman import IMAGE, Contained, Podman
from tests.service.client import ask, request, talk
from tests.service.daemon import PATIENCE, ROOT, endpoint
from tests.service.lookup_caller import LOOKUP, Caller, lookups
from tests.tls.authority import Authority, Leaf
from tests.tls.client import talk_tls
from tests.tls.conftest import authority, context, front_end, server

__all__ = ["authority", "context", "front_end", "server"]

USER = 10001
SECRET = "a-secret-that-nobody-else-is-to-see"
HARDENED = (
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs=/run/chatredirect:size=1m"),
    "--tmpfs=/run/secrets:size=1m",  # else podman 4.3 can't place its secrets
    *("--cap-drop=all", "--security-opt=no-new-privileges", "--network=host"),
)

Start = Callable[..., Contained]


@pytest.fixture(scope="module")
def keys(
    podman: Podman, server: Leaf, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sequence[str]]:
    """The private key and the secret as podman's: what to give `podman run`."""
    secret = tmp_path_factory.mktemp("secret") / "secret"
    secret.write_text(SECRET)
    files = {"chatredirect.key": server.private_key, "secret": secret}
    for name, file in files.items():
        podman.check("secret", "create", name, file)
    yield [f"--secret={name},uid={USER},mode=0400" for name in files]
    podman.check("secret", "rm", *files)


@pytest.fixture
def start(
    podman: Podman, keys: Sequence[str], authority: Authority, server: Leaf, tmp_path: Path
) -> Iterator[Start]:
    """Starts a container with a configuration, which is mounted with the certificates."""
    tmp_path.chmod(0o755)
    for name, file in (("chatredirect.pem", server.certificate), ("ca.pem", authority.file)):
        (tmp_path / name).write_bytes(file.read_bytes())
    names: list[str] = []

    def start(*options: str, **settings: Any) -> Contained:
        write(tmp_path, **settings)
        names.append(f"chatredirect-{tmp_path.name}-{len(names)}")
        mount = f"--volume={tmp_path}:/etc/chatredirect:ro"
        podman.check(
            "run", "--detach", f"--name={names[-1]}", mount, *keys, *HARDENED, *options, IMAGE
        )
        return Contained(podman, names[-1])

    yield start
    for name in names:
        podman.run("podman", "rm", "--force", "--time=0", name)


def write(folder: Path, **keys: Any) -> None:
    """The configuration: every transport, and an endpoint each in the modes redirect and lookup."""
    settings = lookups(
        listen=["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "tls://127.0.0.1:0"],
        http={"listen": "127.0.0.1:0"},
        secret=None,
        secret_file="/run/secrets/secret",
        tls={
            "certificate": "chatredirect.pem",
            "private_key": "/run/secrets/chatredirect.key",
            "ca": "ca.pem",
            "allowed_peers": ["fe01.contoso.com"],
        },
    )
    (folder / "chatredirect.yaml").write_text(yaml.safe_dump(settings | keys))


def redirected(address: tuple[str, int], transport: str = "udp") -> str:
    """The Contact of the answer to a call."""
    with talk(transport, address) as client:
        answer = ask(client, request())
    assert answer is not None
    assert answer.status == 302
    return answer["Contact"]


def test_redirects_over_every_transport(start: Start, context: ssl.SSLContext) -> None:
    """UDP, TCP, and TLS with the front end's certificate; the log is JSON on standard error."""
    container = start()
    contacts = {redirected(container.address(each), each) for each in ("udp", "tcp")}
    with talk_tls(container.address("tls"), context) as client:
        answer = ask(client, request(via="SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK{n};rport"))
    assert answer is not None
    contacts.add(answer["Contact"])
    assert contacts == {"<sip:ocschat@pcpool.contoso.com:5061;transport=tls>"}
    started = container.event("started")
    assert started["codec"] == "compiled"
    assert started["loop"] == "uvloop"


def test_has_no_rights_and_no_shell(start: Start) -> None:
    """A user of its own without capabilities, a root that can't be written, only Python to run."""
    container = start()
    container.event("started")
    status = dict(
        line.split(":\t", 1)
        for line in container.python("print(open('/proc/1/status').read())").splitlines()
    )
    assert status["Uid"].split() == status["Gid"].split() == [str(USER)] * 4
    assert [status[f"Cap{name}"].strip("0") for name in ("Eff", "Prm", "Bnd", "Inh")] == [""] * 4
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    for path in ("/x", "/tmp/x", "/etc/chatredirect/x", "/var/lib/chatredirect/x"):
        tried = f"import os\ntry: open({path!r}, 'w')\nexcept OSError as e: print(e.errno == 30)"
        assert container.python(tried) == "True", path
    assert container.podman.run("podman", "exec", container.name, "sh").returncode == 127
    programs = container.python(
        "import os\nfor f, _, names in os.walk('/'):\n"
        " if not f.startswith(('/proc', '/sys', '/dev')):\n"
        "  for n in names:\n"
        "   p = os.path.join(f, n)\n"
        "   if os.access(p, os.X_OK) and '.so' not in n and not n.endswith('.py'): print(p)"
    )
    assert {re.sub(r"3\.\d+$", "3", Path(each).name) for each in programs.splitlines()} == {
        "chatredirect",
        "python",
        "python3",
    }


def test_nothing_it_needs_was_left_out(podman: Podman) -> None:
    """Every module of the package can be imported, and every library that one of them loads."""
    code = (
        "import chatredirect, importlib, pkgutil\n"
        "for m in pkgutil.walk_packages(chatredirect.__path__, 'chatredirect.'):\n"
        " if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "import bz2, ctypes, decimal, lzma, sqlite3, uuid, zlib"
    )
    podman.check("run", "--rm", "--network=none", "--entrypoint=python3", IMAGE, "-c", code)


def test_health(podman: Podman, start: Start) -> None:
    """Healthy while its event loop answers; one that hangs is unhealthy until it goes on."""
    check = podman.inspect(IMAGE)["Healthcheck"]
    assert check["Test"][0] == "CMD"
    # The image's own command; but one failure counts, and from the beginning.
    container = start(
        f"--health-cmd={json.dumps(check['Test'][1:])}",
        *("--health-interval=disable", "--health-retries=1", "--health-start-period=0s"),
    )
    container.event("started")

    def state() -> str:
        return str(podman.inspect(container.name)["State"]["Health"]["Status"])

    def health() -> str:
        podman.run("podman", "healthcheck", "run", container.name)
        return state()

    assert state() == "starting"
    assert health() == "healthy"
    container.signal("STOP")
    assert health() == "unhealthy"
    container.signal("CONT")
    assert health() == "healthy"


def test_reloads_on_a_signal(start: Start, tmp_path: Path) -> None:
    """SIGHUP puts the mounted files in force; files with a fault are refused, and it serves on."""
    container = start(endpoints=[endpoint(LOOKUP, mode="lookup")])
    with talk("udp", container.address()) as client:
        unknown = ask(client, request())
    assert unknown is not None
    assert unknown.status == 404
    write(tmp_path)
    container.signal("HUP")
    container.event("configuration_changed")
    assert redirected(container.address())
    write(tmp_path, endpoints="none")
    container.signal("HUP")
    container.event("reload_refused")
    assert redirected(container.address())


def test_drains_when_it_is_stopped(start: Start) -> None:
    """SIGTERM, as `podman stop` sends it: not ready, and what is open may end; then 0."""
    container = start(drain=PATIENCE)
    page = container.event("http_listening")["where"] + "/readyz"
    with urllib.request.urlopen(page, timeout=PATIENCE) as answer:
        assert answer.status == 200
    caller = Caller(container).begin()
    stop = subprocess.Popen(
        ["podman", "stop", f"--time={PATIENCE:g}", container.name],
        env=container.podman.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    container.event("draining")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(page, timeout=PATIENCE)
    assert redirected(container.address())
    caller.hang_up()
    assert stop.wait(2 * PATIENCE) == 0
    assert container.event("drained")["all_ended"] is True
    assert container.podman.inspect(container.name)["State"]["ExitCode"] == 0


def test_shows_no_secret(start: Start, server: Leaf) -> None:
    """Not in what podman says of container and image, nor in the log or the environment."""
    container = start()
    redirected(container.address())
    shown = [json.dumps(container.podman.inspect(each)) for each in (container.name, IMAGE)]
    shown += [json.dumps(container.log()), container.podman.check("history", "--no-trunc", IMAGE)]
    shown.append(container.python("import os; print(os.environ, open('/proc/1/environ').read())"))
    key = server.private_key.read_text().splitlines()[1]
    assert container.python("print(open('/run/secrets/chatredirect.key').read())").count(key) == 1
    assert SECRET in container.python("print(open('/run/secrets/secret').read())")
    for each in shown:
        assert SECRET not in each
        assert key not in each


def test_says_what_it_is(podman: Podman) -> None:
    """Labels, ports, the signal that stops it; the build has told its size."""
    image = podman.inspect(IMAGE)
    settings = image["Config"]
    version = subprocess.check_output(["deploy/version"], cwd=ROOT, text=True).strip()
    assert settings["Labels"]["org.opencontainers.image.version"] == version
    assert podman.check("run", "--rm", "--network=none", IMAGE, "--version").split()[1] == version
    assert settings["User"] == f"{USER}:{USER}"
    assert settings["StopSignal"] == signal.Signals.SIGTERM.name
    assert set(settings["ExposedPorts"]) == {"5060/udp", "5060/tcp", "5061/tcp", "9464/tcp"}
    told = re.search(r"^image: .*, (\d+) MB,", (podman.folder / "built").read_text(), re.MULTILINE)
    assert told is not None
    assert abs(int(told[1]) - image["Size"] / 2**20) < 0.1 * int(told[1])


def test_without_a_configuration_it_says_what_is_missing(podman: Podman) -> None:
    """The exit status is 78, as of a faulty configuration."""
    done = podman.run("podman", "run", "--rm", "--read-only", "--network=none", IMAGE)
    assert done.returncode == 78
    assert "/etc/chatredirect/chatredirect.yaml" in done.stderr
    assert "Traceback" not in done.stderr
