"""The pages for administrators, run as they stand on a site of the test's own.

Each page is a story: its files are written and its commands run in order, and what they print is
compared with what the page says they print.
"""

import datetime
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatredirect.cli import app
from chatredirect.commands.description import tree
from tests.installed.meanwhile import happens
from tests.installed.pages import File, alike, commands_in, story
from tests.installed.readme import ROOT
from tests.installed.site import TLS, Site, site
from tests.tls.processes import program

PAGES = ("cmdlets.md", "front-ends.md", "migration-weekend.md", "personal-data.md")
TOOLS = {
    "front-ends.md": ("kamailio",),
    "migration-weekend.md": ("openssl", "sqlite3", "curl", "runuser"),
    "personal-data.md": ("sqlite3",),
}

#: The configuration that the pages begin with, unless they show one.
BEGIN = """\
listen: [tls://192.0.2.5:5061]
advertise: chatredirect.contoso.com
include: endpoints.d/*.yaml
tls:
  certificate: tls/chatredirect.contoso.com.pem
  private_key: tls/chatredirect.contoso.com.key
  ca: tls/ca.pem
  allowed_peers: [fe01.contoso.com, chatredirect.contoso.com]
"""


@pytest.fixture
def contoso(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        made.write("/etc/chatredirect/chatredirect.yaml", BEGIN)
        yield made


def _of_today(text: str) -> str:
    """The weekend that a page speaks of is over some day; to the commands it must be to come."""
    soon = datetime.date.today() + datetime.timedelta(days=60)
    return re.sub(r"\b20\d\d-\d\d-\d\d(?=T\d\d:)", soon.isoformat(), text)


@pytest.mark.parametrize("page", PAGES)
def test_page(contoso: Site, page: str) -> None:
    """Every command does, and prints, what the page says."""
    for tool in TOOLS.get(page, ()):
        program(tool)
    steps = 0
    for each in story(page):
        if isinstance(each, File):
            contoso.write(each.path, _of_today(each.text))
            continue
        steps += 1
        if each.after:
            happens(contoso, each.after)
        done = contoso.run(f"exec 2>&1; {_of_today(each.line)}")
        printed = done.stdout.splitlines()
        shown = [_of_today(line) for line in each.output]
        told = f"$ {each.line}\n{done.stdout}\n{contoso.logs()}"
        assert done.returncode == each.status, told
        assert alike(shown, printed), f"{told}\n--- the page says:\n" + "\n".join(shown)
    assert steps > 3


@pytest.mark.parametrize(
    ("mode", "channel"),
    [("lookup", "sip:gc-channel@contoso.com"), ("proxy", "sip:room@fe01.contoso.com")],
)
def test_the_way_back_through_a_front_end_that_was_killed(
    contoso: Site, mode: str, channel: str
) -> None:
    """docs/front-ends.md: a client's Contact has `maddr`; INFO goes both ways after a restart.

    In the mode proxy it is the pool that the client talks to, and that names a channel of its own.
    """
    program("kamailio")
    for each in story("front-ends.md"):
        if isinstance(each, File):
            contoso.write(each.path, each.text)
        elif "/etc/kamailio/tls" in each.line:
            assert contoso.run(each.line).returncode == 0
    if mode != "lookup":  # the page's endpoint is one, and no other mode has channel services
        edit = f"sed -i -e '/^channel_uris:/d' -e 's/^mode: lookup$/mode: {mode}/'"
        assert contoso.run(f"{edit} /etc/chatredirect/endpoints.d/ocschat*.yaml").returncode == 0
    client = Path(__file__).with_name("group_chat_client.py").read_text()
    contoso.write("/root/client.py", client)
    started = contoso.run("systemctl start chatredirect && systemctl start kamailio")
    assert started.returncode == 0, contoso.logs()
    contoso.wait_for("192.0.2.10", 5060)
    done = contoso.run(f"'{sys.executable}' /root/client.py {mode} 2>&1")
    assert done.stdout == f"found {channel}\n", f"{done.stdout}\n{contoso.logs()}"


@pytest.mark.parametrize("domain_in_certificate", [True, False])
def test_clients_that_come_directly(contoso: Site, domain_in_certificate: bool) -> None:
    """docs/front-ends.md: SRV leads to us, and over TLS we must prove the SIP domain, RFC 5922 §4.

    sipsak looks the SRV records up (over TCP, since it knows no sips:). OpenSSL compares the
    certificate with the domain as a user agent does. The probe does both at once, for sips:.
    """
    for tool in ("sipsak", "openssl"):
        program(tool)
    for each in story("front-ends.md"):
        if isinstance(each, File):
            contoso.write(each.path, each.text)
    host, domain = "chatredirect.contoso.com", "chat.contoso.com"
    contoso.certify(host, *([domain] if domain_in_certificate else []))
    text = contoso.run("cat /etc/chatredirect/chatredirect.yaml").stdout
    assert "listen:\n" in text
    contoso.write(
        "/etc/chatredirect/chatredirect.yaml",
        text.replace("listen:\n", "listen:\n  - tcp://192.0.2.5:5063\n"),
    )
    contoso.write(
        "/etc/chatredirect/endpoints.d/direct.yaml",
        f"sip_address: sip:ocschat@{domain}\npool_fqdn: pcpool.contoso.com\n"
        "port: 5061\ntransport: tls\n",
    )
    assert contoso.run("systemctl start chatredirect").returncode == 0, contoso.logs()
    found = contoso.run(
        f"exec 2>&1; sipsak -v --hostname=192.0.2.5 --transport=tcp -s sip:ocschat@{domain}"
    )
    assert found.returncode == 0, f"{found.stdout}\n{contoso.logs()}"
    assert "200 OK" in found.stdout
    proved = contoso.run(
        f"exec 2>&1 </dev/null; openssl s_client -brief -connect {host}:5062 -CAfile {TLS}/ca.pem"
        f" -verify_hostname {domain} -verify_return_error"
    )
    assert (proved.returncode == 0) == domain_in_certificate, proved.stdout
    if not domain_in_certificate:
        assert "hostname mismatch" in proved.stdout.lower()
    called = contoso.run(f"exec 2>&1; chatredirect probe sips:ocschat@{domain} --no-certificate")
    if domain_in_certificate:
        assert called.returncode == 0, f"{called.stdout}\n{contoso.logs()}"
        assert "tls://192.0.2.5:5062" in called.stdout
        assert "Contact: sips:ocschat@pcpool.contoso.com:5061" in called.stdout
    else:
        assert called.returncode == 69, called.stdout
        assert f"names {host}, not {domain}" in called.stdout


@pytest.mark.parametrize(
    "page", sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]), ids=lambda path: path.name
)
def test_commands_that_a_page_names_exist(page: Path) -> None:
    """In its text, too: the command, and its options in GNU spelling."""
    known = dict(tree(app, "chatredirect").each())
    for line in commands_in(page):
        words = re.split(r"[\s|]+", re.sub(r"[\[\]()…]", " ", line).strip())
        path = words[0]
        while len(words) > 1 and f"{path} {words[1]}" in known:
            path = f"{path} {words.pop(1)}"
        named = [word for word in words[1:2] if not word.startswith("-")]
        assert not named or not known[path].commands, f"{line}: {path} has no such command"
        options = {name for option in known[path].options for name in option.names}
        used = {word.partition("=")[0] for word in words if re.match(r"--\w", word)}
        assert used <= options, f"{line}: {used - options}"


def test_what_is_alike() -> None:
    """Times and ports may differ, and … stands for any lines; nothing else does."""
    shown = ["a  192.0.2.5:12345    x", "   1.0 ms  |-- y", "…", "end"]
    assert alike(shown, ["a  192.0.2.5:54321    x", "  11.0 ms  |-- y", "1", "2", "end"])
    assert alike(shown, ["a  192.0.2.5:54321    x", "  11.0 ms  |-- y", "end"])
    assert not alike(shown, ["a  192.0.2.5:5061     x", "   1.0 ms  |-- y", "end"])
    assert not alike(shown, ["a  192.0.2.5:12345    x", "   1.0 ms  |-- y", "end", "more"])
