"""The page with TLS: SIP's certificate, renewed as SIP's; and `chatredirect page`."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.ports import free_port
from tests.service.daemon import command, eventually
from tests.service.fixtures import Run
from tests.tls.authority import Authority, Leaf
from tests.tls.client import SERVER
from tests.web.site import Site, serve


@pytest.fixture
def site(run_daemon: Run, tmp_path: Path, authority: Authority, server: Leaf, loop: str) -> Site:
    for file, copy in ((server.certificate, "c.pem"), (server.private_key, "k.pem")):
        shutil.copy(file, tmp_path / copy)
    site = serve(
        run_daemon,
        tmp_path,
        loop=loop,
        http={
            "page_listen": "https://127.0.0.1:0",
            "page_names": [SERVER],
        },
        tls={
            "certificate": str(tmp_path / "c.pem"),
            "private_key": str(tmp_path / "k.pem"),
            "allowed_peers": ["fe01.contoso.com"],
        },
    )
    site.context = ssl.create_default_context(cafile=str(authority.file))
    return site


def test_a_browser_needs_no_certificate_of_its_own(site: Site) -> None:
    assert site.scheme == "https"
    reply = site.log_in(site.token)
    cookie = reply.fields["set-cookie"]
    assert cookie.startswith("__Host-chatredirect=")
    assert "; Secure" in cookie
    assert site.ask("/", token=None, Cookie=cookie.partition(";")[0]).status == 200


def test_who_speaks_no_tls_gets_nothing(site: Site) -> None:
    with site.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert not sock.recv(4096).startswith(b"HTTP")
    site.redirects()


def test_a_renewed_certificate_is_taken_up(
    site: Site, tmp_path: Path, authority: Authority
) -> None:
    def serial() -> str:
        assert site.context is not None
        sock = site.connect()
        with site.context.wrap_socket(sock, server_hostname=SERVER) as tls:
            certificate = tls.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])

    before = serial()
    new = authority.issue(SERVER, file="renewed")
    shutil.copy(new.private_key, tmp_path / "k.pem")
    shutil.copy(new.certificate, tmp_path / "c.pem")
    eventually(lambda: serial() != before, "the new certificate")


def test_a_reload_begins_to_speak_tls_on_the_same_port(
    run_daemon: Run, tmp_path: Path, authority: Authority, server: Leaf
) -> None:
    port = free_port()
    http = {"page_listen": f"http://127.0.0.1:{port}", "page_names": [SERVER]}
    site = serve(run_daemon, tmp_path, http=http, tls=server.files)
    assert site.ask("/").status == 200
    config = site.daemon.config
    config.write_text(config.read_text().replace("http://127.0.0.1", "https://127.0.0.1"))
    site.daemon.send_signal(1)
    site.daemon.event("configuration_changed")
    site.context = ssl.create_default_context(cafile=str(authority.file))
    assert site.ask("/").status == 200


def page(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    arguments = command("page", "--config", config, *options)
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_prints_where_it_is(tmp_path: Path) -> None:
    token, config = tmp_path / "token", tmp_path / "chatredirect.yaml"
    token.write_text("a-token-of-%41-characters\n")
    token.chmod(0o640)
    settings = {"listen": ["udp://127.0.0.1:5060"], "http": {"token_file": str(token)}}
    config.write_text(yaml.safe_dump(settings))
    done = page(config)
    assert done.returncode == 78
    assert "http.page_listen is off; set it" in done.stderr
    for http, address in (
        ({"page_listen": 9465}, "http://127.0.0.1:9465"),
        ({"page_listen": "http://[::1]:9465"}, "http://[::1]:9465"),
        (
            {"page_listen": 9465, "behind_proxy": True, "page_names": ["chat.contoso.com"]},
            "https://chat.contoso.com",
        ),
    ):
        config.write_text(yaml.safe_dump(settings | {"http": {"token_file": str(token), **http}}))
        assert page(config).stdout == f"{address}/login#a-token-of-%2541-characters\n"
    printed = yaml.safe_load(page(config, "--json").stdout)
    assert printed == {
        "schema": "chatredirect/page/1",
        "url": "https://chat.contoso.com/login",
        "token": "a-token-of-%41-characters",
    }
    token.unlink()
    done = page(config)
    assert done.returncode == 69
    assert "there is no such file" in done.stderr
