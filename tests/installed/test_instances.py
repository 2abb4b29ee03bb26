"""Secrets that systemd hands over, and several instances on one machine, on a booted Debian.

docs/operations.md, "Secrets" and "Several instances on one machine".
"""

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.installed.clone import CLONE, clone_to, wheels_in
from tests.installed.container import Container, booted
from tests.installed.pages import File, story
from tests.installed.readme import ROOT
from tests.tls.authority import Authority

PASSWORD = "correct horse battery staple"
SECRET = "a secret of sixteen characters"
TOKEN = "a-token-of-many-characters"
ENDPOINT = """endpoints:
  - {sip_address: "sip:ocschat@contoso.com", pool_fqdn: pcpool.contoso.com, port: 5061,
     transport: tls}
dns: {hosts: {pcpool.contoso.com: [192.0.2.20]}}
"""
CREDENTIALS = f"""listen: ["tls://127.0.0.1:5061"]
secret_file: credential:secret
http: {{page_listen: "127.0.0.1:9465", token_file: credential:page}}
tls:
  certificate: tls/chatredirect.pem
  private_key: credential:tls.key
  private_key_password_file: credential:tls.password
  ca: tls/ca.pem
  verify_peer: none
{ENDPOINT}"""
DROP_IN = """[Service]
LoadCredential=secret:/root/secrets/secret
LoadCredential=tls.key:/root/secrets/key
LoadCredential=tls.password:/root/secrets/password
LoadCredential=page:/root/secrets/page
Environment=CHATREDIRECT_ADVERTISE=%H.contoso.com
"""
SHARED = """[Unit]
Requires=chatredirect.socket
After=chatredirect.socket
[Service]
Sockets=chatredirect.socket
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    folder = tmp_path_factory.mktemp("instances")
    with booted(folder / "root") as container:
        clone_to(container)
        wheels_in(container)
        container.check("make install", cwd=CLONE, WHEELS="/opt/wheels")
        yield container


def write(machine: Container, path: str, text: str) -> None:
    file = machine.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_secrets_of_roots_own(machine: Container, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The service can read none of the files; systemd hands it copies, and `check` finds them."""
    authority = Authority(tmp_path_factory.mktemp("ca"))
    leaf = authority.issue("chatredirect.contoso.com", passphrase=PASSWORD.encode())
    write(machine, "etc/chatredirect/tls/chatredirect.pem", leaf.certificate.read_text())
    write(machine, "etc/chatredirect/tls/ca.pem", authority.file.read_text())
    for name, text in (
        ("secret", f"{SECRET}\n"),
        ("key", leaf.private_key.read_text()),
        ("password", f"{PASSWORD}\n"),
        ("page", f"{TOKEN}\n"),
    ):
        write(machine, f"root/secrets/{name}", text)
    machine.check("chmod -R go= /root/secrets && chgrp -R chatredirect /etc/chatredirect")
    write(machine, "etc/chatredirect/chatredirect.yaml", CREDENTIALS)
    write(machine, "etc/systemd/system/chatredirect.service.d/secrets.conf", DROP_IN)
    machine.check("systemctl daemon-reload")
    before = json.loads(machine.check("chatredirect check --offline --json"))
    machine.check("systemctl start chatredirect")
    after = json.loads(machine.check("chatredirect check --offline --json"))
    assert before["warnings"] == after["warnings"] == []
    shown = machine.check("chatredirect check --effective --json")
    host = machine.check("hostname").strip()
    assert json.loads(shown)["configuration"]["advertise"] == f"{host}.contoso.com"
    assert not [each for each in (SECRET, PASSWORD, TOKEN) if each in shown]
    url = "http://127.0.0.1:9465/"
    assert machine.check("chatredirect page").strip() == f"{url}login#{TOKEN}"
    bearer = f"curl -sSo /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {TOKEN}'"
    assert machine.check(f"{bearer} {url}api/v1/status") == "200"
    assert "page.token" not in machine.check("ls /var/lib/chatredirect")
    with (machine.root / "etc/hosts").open("a") as hosts:
        hosts.write("127.0.0.1 chatredirect.contoso.com\n")
    via = "--via tls://chatredirect.contoso.com:5061 --no-certificate"
    probe = f"chatredirect probe sip:ocschat@contoso.com {via} --ca /etc/chatredirect/tls/ca.pem"
    asked = machine.check(probe)
    assert "302 Moved Temporarily" in asked
    machine.check("systemctl reload chatredirect")
    assert "Nothing has changed" in machine.check("chatredirect reload")


def test_systemd_holds_the_port_from_the_next_restart_on(machine: Container) -> None:
    """docs/two-machines.md, "From one machine to two": its drop-in, and what it says to do."""
    (drop_in,) = (
        each
        for each in story("two-machines.md")
        if isinstance(each, File) and "socket.d" in each.path
    )
    config = "etc/chatredirect/chatredirect.yaml"
    write(machine, config, CREDENTIALS.replace("127.0.0.1:5061", "0.0.0.0:5061"))
    write(machine, drop_in.path.lstrip("/"), drop_in.text)
    machine.check("systemctl daemon-reload")
    machine.check("systemctl enable chatredirect chatredirect.socket")
    machine.check("systemctl restart chatredirect")
    units = "chatredirect.socket chatredirect"
    assert machine.check(f"systemctl is-active {units}").split() == ["active", "active"]
    holder = "ss -Hltnpe sport = :5061"
    before = machine.check(holder)
    assert '"systemd",pid=1' in before
    machine.check("systemctl restart chatredirect")
    inode = re.compile(r"ino:\d+")
    assert inode.findall(machine.check(holder)) == inode.findall(before)
    machine.check(f"systemctl disable --now {units}")
    machine.check(f"rm {drop_in.path} && systemctl daemon-reload")


def test_a_socket_on_an_address_that_comes_later(machine: Container) -> None:
    """docs/operations.md, "An address that moves": FreeBind= in the socket unit."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    (drop_in,) = re.findall(r"(?s)```ini\n(\[Socket\]\nFreeBind=yes\n.*?)```", page)
    address, folder = "192.0.2.10", "etc/systemd/system/chatredirect.socket.d"
    listen = f'listen: ["udp://{address}:5060", "tcp://{address}:5060"]\n'
    write(machine, "etc/chatredirect/chatredirect.yaml", listen + ENDPOINT)
    write(machine, f"{folder}/moves.conf", drop_in)
    machine.check("systemctl daemon-reload")
    assert address not in machine.check("ip -4 address show")
    machine.check("systemctl start chatredirect.socket chatredirect")
    machine.check(f"ip address add {address}/32 dev lo")
    for transport in ("udp", "tcp"):
        probe = f"chatredirect probe sip:ocschat@contoso.com --via {transport}://{address}:5060"
        assert "302 Moved Temporarily" in machine.check(probe)
    machine.check("systemctl stop chatredirect.socket chatredirect")
    machine.check(f"ip address delete {address}/32 dev lo")
    machine.check(f"rm /{folder}/moves.conf && systemctl daemon-reload")
    write(machine, "etc/chatredirect/chatredirect.yaml", CREDENTIALS)


def test_a_wrong_password_is_a_faulty_configuration(machine: Container) -> None:
    """Exit status 78, which systemd doesn't try again; the journal says what to do."""
    write(machine, "root/secrets/password", "hunter2\n")
    refused = machine.run("chatredirect check --offline")
    assert refused.returncode == 78
    assert "can't be decrypted with the password in /root/secrets/password" in refused.stdout
    machine.run("systemctl restart chatredirect")
    assert "ExecMainStatus=78" in machine.check("systemctl show -p ExecMainStatus chatredirect")
    said = machine.check("journalctl -u chatredirect -n 20 --no-pager")
    assert "can't be decrypted with the password in /run/credentials/" in said
    assert "hunter2" not in said
    machine.check("rm /etc/systemd/system/chatredirect.service.d/secrets.conf")
    machine.check("systemctl daemon-reload")
    lost = machine.run("chatredirect check --offline")
    assert "LoadCredential=secret:/PATH" in lost.stdout


def instance(name: str, listen: str) -> str:
    return (
        f"listen: {listen}\ncontrol: {{socket: /run/chatredirect-{name}/control}}\n"
        f"secret_file: secret\n{ENDPOINT}"
    )


def test_instances_with_ports_of_their_own(machine: Container) -> None:
    """Each has its configuration, control socket and state; one stops, the other goes on."""
    write(machine, "etc/chatredirect/secret", SECRET)
    for port in (5070, 5071):
        listen = f'["udp://0.0.0.0:{port}", "tcp://0.0.0.0:{port}"]'
        write(machine, f"etc/chatredirect/{port}.yaml", instance(str(port), listen))
    machine.check("chgrp -R chatredirect /etc/chatredirect && chmod -R o= /etc/chatredirect")
    machine.check("systemctl enable --now chatredirect@5070.socket")
    machine.check("systemctl enable --now chatredirect@5070 chatredirect@5071")
    for port in (5070, 5071):
        probe = f"chatredirect probe sip:ocschat@contoso.com --via udp://127.0.0.1:{port}"
        assert "302 Moved Temporarily" in machine.check(probe)
        status = f"chatredirect status --json --config /etc/chatredirect/{port}.yaml"
        assert json.loads(machine.check(status))["answers"]
        machine.check(f"systemctl reload chatredirect@{port}")
        machine.check(f"test -d /var/lib/chatredirect-{port}")
        checked = machine.check(
            f"chatredirect check /etc/chatredirect/{port}.yaml --offline --json"
        )
        assert json.loads(checked)["user"] == "chatredirect"
        assert json.loads(checked)["warnings"] == []
    machine.check("systemctl stop chatredirect@5071")
    machine.check("chatredirect probe sip:ocschat@contoso.com --via udp://127.0.0.1:5070")
    machine.check(
        "systemctl disable --now chatredirect@5070 chatredirect@5071 chatredirect@5070.socket"
    )


def test_instances_that_share_sockets(machine: Container) -> None:
    """For redirects alone: systemd opens the sockets once, and no instance's end is noticed.

    One that is killed (kill -9) is started again by systemd.
    """
    for name in ("1", "2"):
        listen = '["udp://0.0.0.0:5060", "tcp://0.0.0.0:5060"]'
        write(machine, f"etc/chatredirect/{name}.yaml", instance(name, listen))
    machine.check("chgrp -R chatredirect /etc/chatredirect && chmod -R o= /etc/chatredirect")
    write(machine, "etc/systemd/system/chatredirect@.service.d/shared.conf", SHARED)
    machine.check("systemctl daemon-reload && systemctl start chatredirect.socket")
    machine.check("systemctl start chatredirect@1 chatredirect@2")
    probe = "chatredirect probe sip:ocschat@contoso.com --via udp://127.0.0.1:5060"
    ask = f"while [ ! -e /tmp/enough ]; do {probe} >/dev/null || exit 1; done"
    enter = ["nsenter", f"--target={machine.leader}", "--mount", "--root", "--wd", "--net", "--pid"]
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    with subprocess.Popen([*enter, "--", "/bin/sh", "-c", ask], env=path) as asking:
        for name in ("1", "2", "1"):
            machine.check(f"systemctl restart chatredirect@{name}")
        machine.check("systemctl kill --kill-whom=main --signal=KILL chatredirect@2")
        restarts = "systemctl show -P NRestarts chatredirect@2"
        machine.check(f"until [ $({restarts}) = 1 ]; do sleep 0.1; done")
        machine.check("until systemctl is-active chatredirect@2; do sleep 0.1; done")
        machine.check("touch /tmp/enough")
        assert asking.wait(60) == 0
    listening = machine.check("ss -Hlnptu sport = :5060")
    assert listening.count('"systemd",pid=1') == 2
    assert machine.check("systemctl is-active chatredirect@1 chatredirect@2") == "active\nactive\n"
    machine.check("systemctl stop chatredirect@1 chatredirect@2 chatredirect.socket")


def test_uninstall_takes_the_instances_with_it(machine: Container) -> None:
    machine.check("rm /etc/systemd/system/chatredirect@.service.d/shared.conf")
    machine.check("systemctl daemon-reload && systemctl enable --now chatredirect@5071")
    machine.check("make uninstall", cwd=CLONE)
    assert machine.run("systemctl is-active chatredirect@5071").returncode != 0
    assert "chatredirect" not in machine.check("systemctl list-unit-files --no-legend")
    left = machine.check("find /etc/systemd/system -name '*5071*'")
    assert left == ""
