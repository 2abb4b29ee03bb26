"""`check` as root judges with the rights of the service's user, on real files."""

import json
import os
import pwd
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.service.daemon import ROOT
from tests.tls.authority import Authority

from .conftest import Command

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root takes on another user")

USER = "nobody"
GROUP = "nogroup"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may pass, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def main(folder: Path) -> Callable[..., Path]:
    """Write the main file with these keys; everybody may read it."""

    def write(**keys: object) -> Path:
        path = folder / "main.yaml"
        path.write_text(yaml.safe_dump({"listen": ["udp://127.0.0.1:5060"]} | keys))
        path.chmod(0o644)
        return path

    return write


@pytest.fixture
def key_pair(folder: Path) -> tuple[Path, Path]:
    """A certificate for all to read, and a key for root alone, as openssl writes them."""
    made = Authority(folder / "ca").issue("sip.contoso.com")
    certificate, key = folder / "sip.pem", folder / "sip.key"
    shutil.copy(made.certificate, certificate)
    shutil.copy(made.private_key, key)
    certificate.chmod(0o644)
    key.chmod(0o600)
    return certificate, key


def check(chatredirect: Command, path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return chatredirect("check", path, "--offline", "--user", USER, *arguments)


def test_a_key_that_the_user_cannot_read(
    chatredirect: Command, main: Callable[..., Path], key_pair: tuple[Path, Path]
) -> None:
    """It names user, modes and remedy, and the remedy is one: then the check is content."""
    certificate, key = key_pair
    tls = {"certificate": str(certificate), "private_key": str(key)}
    path = main(listen=["tls://127.0.0.1:5061"], tls=tls)
    assert chatredirect("check", path, "--offline").returncode == 0, "root can read it"
    done = check(chatredirect, path)
    assert done.returncode == 78
    remedy = f"chgrp {GROUP} {key} && chmod g+r {key}"
    assert done.stdout.splitlines() == [
        f"{key}: error: tls.private_key: user {USER} can't read it (root:root 0600): {remedy}",
        "1 error in 1 file; not usable",
    ]
    subprocess.run(remedy, shell=True, check=True)
    done = check(chatredirect, path)
    assert done.returncode == 0, done.stdout
    assert f"rights        those of user {USER}" in done.stdout


def test_json(chatredirect: Command, main: Callable[..., Path], folder: Path) -> None:
    path = main()
    assert json.loads(check(chatredirect, path, "--json").stdout)["user"] == USER
    path.chmod(0o600)
    error = json.loads(check(chatredirect, path, "--json").stdout)["error"]
    assert error["exit_status"] == 78
    assert error["faults"][0]["file"] == str(path)


def test_a_folder_on_the_way(
    chatredirect: Command, main: Callable[..., Path], folder: Path, key_pair: tuple[Path, Path]
) -> None:
    """The folder is named, and not the file behind it; its own remedy helps."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    for each in key_pair:
        each.chmod(0o644)
        each.rename(private / each.name)
    certificate, key = (private / each.name for each in key_pair)
    tls = {"certificate": str(certificate), "private_key": str(key)}
    path = main(listen=["tls://127.0.0.1:5061"], tls=tls)
    done = check(chatredirect, path)
    assert done.returncode == 78
    remedy = f"chgrp {GROUP} {private} && chmod g+x {private}"
    (line, _) = done.stdout.splitlines()
    assert f"and 1 more: user {USER} can't read it, for it may not pass {private}" in line
    assert line.endswith(remedy)
    subprocess.run(remedy, shell=True, check=True)
    assert check(chatredirect, path).returncode == 0


def test_included_files_and_their_folder(
    chatredirect: Command, main: Callable[..., Path], folder: Path
) -> None:
    """A folder that can't be listed would include nothing, silently."""
    inner = folder / "endpoints.d"
    inner.mkdir()
    own = inner / "a.yaml"
    own.write_text("sip_address: a@contoso.com\npool_fqdn: pcpool.contoso.com\n")
    own.chmod(0o640)
    inner.chmod(0o711)
    done = check(chatredirect, main(include="endpoints.d/*.yaml"))
    assert done.returncode == 78
    assert f"{own}: error: the configuration: user {USER} can't read it" in done.stdout
    assert f"{inner}: error: include: user {USER} can't list it" in done.stdout
    assert f"chmod g+rx {inner}" in done.stdout


def test_every_other_file(chatredirect: Command, main: Callable[..., Path], folder: Path) -> None:
    """Hosts, the pseudonyms' key, libpq's files, ledger, the socket's folder, the page's token."""
    for name in ("hosts", "pseudonyms.key", "pgpass"):
        (folder / name).write_text("127.0.0.1 localhost # and more\n")
        (folder / name).chmod(0o600)
    (folder / "ledger").mkdir(mode=0o755)
    (folder / "run").mkdir(mode=0o755)
    usage = {"callers": "pseudonyms", "key_file": str(folder / "pseudonyms.key")}
    keys = {
        "control": {"socket": f"{folder}/run/control"},
        "dns": {"hosts_file": f"{folder}/hosts"},
    }
    store = f"postgresql://db.contoso.com/usage?passfile={folder}/pgpass"
    done = check(chatredirect, main(usage=usage | {"store": store}, **keys))
    told = [line.partition(": error: ")[::2] for line in done.stdout.splitlines()[:-1]]
    assert {(path, what.partition(":")[0]) for path, what in told} == {
        (f"{folder}/hosts", "dns.hosts_file"),
        (f"{folder}/pseudonyms.key", "usage.key_file"),
        (f"{folder}/pgpass", "usage.store, passfile"),
        (f"{folder}/run", "control.socket"),
    }
    done = check(chatredirect, main(usage={"store": f"sqlite://{folder}/ledger/usage.db"}))
    assert f"{folder}/ledger: error: usage.store: user {USER} can't write in it" in done.stdout
    assert f"chmod g+rwx {folder}/ledger" in done.stdout
    (folder / "token").write_text("0123456789abcdef0123456789abcdef\n")
    (folder / "token").chmod(0o640)
    (folder / "ledger/usage.key").write_text("0123456789abcdef0123456789abcdef\n")
    (folder / "ledger/usage.key").chmod(0o600)
    page = {"page_listen": "127.0.0.1:9465"}
    pseudonyms = {"store": f"sqlite://{folder}/ledger/usage.db", "callers": "pseudonyms"}
    done = check(
        chatredirect, main(http=page | {"token_file": f"{folder}/token"}, usage=pseudonyms)
    )
    assert f"{folder}/token: error: http.token_file: user {USER} can't read it" in done.stdout
    assert f"{folder}/ledger/usage.key: error: usage.callers: user {USER} can't" in done.stdout
    done = check(chatredirect, main(http=page | {"token_file": f"{folder}/run/token"}))
    assert f"{folder}/run: error: http.token_file: user {USER} can't write in it" in done.stdout


def test_a_place_where_the_service_has_no_business(
    chatredirect: Command, main: Callable[..., Path]
) -> None:
    """No modes are changed there: the remedy is another place, where the service may write."""
    usage = {"store": "sqlite:///root/usage.db"}
    done = check(chatredirect, main(usage=usage, control={"socket": "/home/control"}))
    made = "which systemd makes for the service"
    assert re.search(rf"usage\.store.*: use a path in /var/lib/chatredirect, {made}", done.stdout)
    assert re.search(rf"control\.socket: .*: use a path in /run/chatredirect, {made}", done.stdout)


def test_a_group_of_the_user_and_an_access_list_count(
    chatredirect: Command, main: Callable[..., Path], folder: Path
) -> None:
    """Whatever lets the user in lets it in: here an entry of a POSIX access list."""
    path = main()
    path.chmod(0o600)
    assert check(chatredirect, path).returncode == 78
    entries = ((1, 6, -1), (2, 4, pwd.getpwnam(USER).pw_uid), (4, 0, -1), (16, 4, -1), (32, 0, -1))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *each) for each in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("a file system with access lists")
    assert check(chatredirect, path).returncode == 0


def test_supplementary_groups(main: Callable[..., Path], chatredirect: Command) -> None:
    """A real user in a real group, made for this test: membership counts, as after usermod -aG."""
    if shutil.which("useradd") is None:
        pytest.skip("useradd")
    user, group = f"crt{os.getpid()}", f"crg{os.getpid()}"
    subprocess.run(["groupadd", group], check=True)
    try:
        subprocess.run(["useradd", "--no-create-home", "--groups", group, user], check=True)
        try:
            path = main()
            path.chmod(0o640)
            refused = chatredirect("check", path, "--offline", "--user", user)
            shutil.chown(path, group=group)
            let_in = chatredirect("check", path, "--offline", "--user", user)
            path.chmod(0o600)
            in_group = chatredirect("check", path, "--offline", "--user", user)
        finally:
            subprocess.run(["userdel", user], check=True)
    finally:
        subprocess.run(["groupdel", group], check=True)
    assert refused.returncode == 78
    assert let_in.returncode == 0
    assert f"(root:{group} 0600): chmod g+r {path}" in in_group.stdout


def test_ports_below_1024(chatredirect: Command, main: Callable[..., Path]) -> None:
    """The unit has no capability, so the socket unit is named, with the line for it."""
    done = check(chatredirect, main(listen=["tcp://192.0.2.1:443", "udp://[::1]:53"]))
    assert done.returncode == 78
    assert "ListenStream=192.0.2.1:443 under [Socket]" in done.stdout
    assert "ListenDatagram=[::1]:53 under [Socket]" in done.stdout
    assert "systemctl enable --now chatredirect.socket" in done.stdout
    done = check(chatredirect, main(http={"listen": "127.0.0.1:80"}))
    assert "http.listen: 127.0.0.1:80 is below 1024" in done.stdout
    done = check(chatredirect, main(http={"page_listen": "127.0.0.1:443"}))
    assert "http.page_listen: http://127.0.0.1:443 is below 1024" in done.stdout


def test_whom_nobody_can_judge(chatredirect: Command, main: Callable[..., Path]) -> None:
    path = main()
    done = chatredirect("check", path, "--offline", "--user", "no-such-user", COLUMNS="300")
    assert done.returncode == 2
    assert "no-such-user" in done.stderr
    done = subprocess.run(
        [
            *("setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=+dac_read_search"),
            *("--ambient-caps=+dac_read_search", "--", sys.executable, "-m", "chatredirect"),
            *("check", str(path), "--offline", "--user", "root", "--json"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "only root can take on another user's rights" in json.loads(done.stdout)["error"]["what"]


UNIT = """
umask 022
mount -t tmpfs none /etc/systemd/system && mount -t tmpfs none /mnt || exit 99
mkdir -p /etc/systemd/system/chatredirect.service.d /mnt/d
cp {root}/systemd/chatredirect.service /etc/systemd/system
cat >/etc/systemd/system/chatredirect.service.d/test.conf <<END
[Service]
User=nobody
Group=nogroup
ExecStart=
ExecStart=/opt/chatredirect/bin/chatredirect run --config /mnt/main.yaml
END
cp {main} /mnt/main.yaml; cp {main} /mnt/other.yaml
chmod 600 /mnt/*.yaml
check() {{ {python} -m chatredirect check --offline "$@"; echo "status $?"; }}
check /mnt/main.yaml; check /mnt/other.yaml; check {main}
mkdir /etc/systemd/system/sockets.target.wants
touch /etc/systemd/system/sockets.target.wants/chatredirect.socket
chmod 644 /mnt/*.yaml
check /mnt/main.yaml
mount -t tmpfs none /var/lib && mkdir /var/lib/chatredirect && : >/var/lib/chatredirect/usage.db
chown nobody:nogroup /var/lib/chatredirect && chmod 640 /var/lib/chatredirect/usage.db
check /mnt/main.yaml
echo 'usage: {{store: "sqlite:///mnt/d/usage.db"}}' >>/mnt/main.yaml
check /mnt/main.yaml
"""


def test_the_installed_unit_decides(main: Callable[..., Path]) -> None:
    """User, drop-ins, sandbox and sockets of the unit; another file's faults are warnings."""
    path = main(listen=["tcp://127.0.0.1:443"])
    script = UNIT.format(root=ROOT, main=path, python=sys.executable)
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 99:
        pytest.skip("mounts in a namespace")
    own, other, hidden, with_sockets, restored, ledger, _ = done.stdout.split("status ")
    assert "/mnt/main.yaml: error: the configuration: user nobody can't read it" in own
    assert "enable --now chatredirect.socket" in own
    assert other.startswith("78\n")
    assert "/mnt/other.yaml: warning: the configuration: user nobody can't" in other
    assert hidden.startswith("0\n")
    assert "PrivateTmp= of the service's unit hides it" in hidden
    assert with_sockets.startswith("0\n")
    assert "rights        those of user nobody" in with_sockets
    assert "enable --now" not in with_sockets
    # a backup that root has put back
    assert "usage.db: error: usage.store: user nobody can't read and write it" in restored
    assert ledger.startswith("78\n")
    assert "ProtectSystem=strict of the service's unit makes it read-only" in ledger
    assert "ReadWritePaths=/mnt/d under [Service]" in ledger


def test_a_user_that_there_is_not(chatredirect: Command, tmp_path: Path) -> None:
    """In our words, not in those of the C library."""
    main = tmp_path / "main.yaml"
    main.write_text("listen: [udp://127.0.0.1:0]\n")
    refused = chatredirect("check", main, "--user", "nobody-here")
    assert refused.returncode == 2
    assert 'there is no user "nobody-here": make it' in refused.stderr
