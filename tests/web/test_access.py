"""Who gets in: whoever has the token, and nobody else, over loopback too."""

import os
import re
import stat
import time
from pathlib import Path

import pytest

from tests.service.daemon import eventually
from tests.service.fixtures import Run
from tests.web.site import Site, serve

PAGES = ("/", "/endpoint?sip_address=sip:ocschat@contoso.com", "/search?caller=ann", "/trace")
API = tuple(f"/api/v1/{name}" for name in ("status", "endpoints", "usage", "pools", "trace"))


def cookie_of(site: Site) -> str:
    return site.log_in(site.token).fields["set-cookie"].partition(";")[0]


def test_the_token_is_made_for_the_services_group(site: Site) -> None:
    status = site.token_file.stat()
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert status.st_gid == os.getegid()
    assert re.fullmatch(r"[\w-]{43}", site.token)


@pytest.mark.parametrize("path", PAGES)
def test_who_has_no_token_gets_the_form(site: Site, path: str) -> None:
    reply = site.ask(path, token=None)
    assert reply.status == 303
    assert reply.fields["location"].startswith("/login?next=/")
    assert site.ask(reply.fields["location"], token=None).status == 200


@pytest.mark.parametrize("path", [*API, "/api/v1/nothing"])
def test_a_script_without_a_token_gets_401(site: Site, path: str) -> None:
    reply = site.ask(path, token=None)
    assert reply.status == 401
    assert reply.fields["www-authenticate"] == "Bearer"
    assert set(reply.json) == {"error"}


@pytest.mark.parametrize("path", PAGES)
def test_a_cookie_lets_in(site: Site, path: str) -> None:
    assert site.ask(path, token=None, Cookie=cookie_of(site)).status == 200


def test_a_login(site: Site) -> None:
    reply = site.log_in(site.token)
    assert (reply.status, reply.fields["location"]) == (303, "/trace")
    cookie = reply.fields["set-cookie"]
    assert site.token not in cookie
    attributes = cookie.split("; ")[1:]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
    assert "Secure" not in attributes, "a browser would not send it back without TLS"
    assert site.daemon.event("page_login")["client"] == "127.0.0.1"


def test_a_logout(site: Site) -> None:
    reply = site.ask("/logout", "POST", token=None, Cookie=cookie_of(site))
    assert reply.status == 303
    assert "Max-Age=0" in reply.fields["set-cookie"]


@pytest.mark.parametrize(
    "following",
    [
        "//evil.example/",
        "/\\evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "%0d%0a",
    ],
)
def test_a_login_leads_nowhere_else(site: Site, following: str) -> None:
    body = f"token={site.token}&next={following}"
    assert site.ask("/login", "POST", token=None, body=body).fields["location"] == "/"


def forged(cookie: str) -> list[str]:
    name, _, value = cookie.partition("=")
    until, _, signature = value.partition(".")
    later = str(int(until) + 3600)
    return [
        f"{name}={later}.{signature}",
        f"{name}={until}.{'0' * 64}",
        f"{name}={until}.",
        f"{name}={until}",
        f"{name}=",
        f"{name}=.{signature}",
        f"{name}={'9' * 400}.{signature}",
        f"{name}=-1.{signature}",
        f"{name}=\u0661\u0662.{signature}".encode().decode("latin-1"),
        f"other={value}",
    ]


def test_a_forged_cookie_lets_nobody_in(site: Site) -> None:
    for cookie in forged(cookie_of(site)):
        assert site.ask("/", token=None, Cookie=cookie).status == 303, cookie
        assert site.ask("/api/v1/status", token=None, Cookie=cookie).status == 401, cookie


def test_what_browsers_are_told(site: Site) -> None:
    for path in ("/", "/login", "/nothing", "/api/v1/status"):
        fields = site.ask(path).fields
        policy = dict(each.split(" ", 1) for each in fields["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert fields["x-frame-options"] == "DENY"
        assert fields["x-content-type-options"] == "nosniff"
        assert fields["cache-control"] == "no-store"
        assert fields["server"] == "chatredirect"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9465", "127.0.0.1.evil.example", "localhost.evil", ""]
)
def test_a_name_that_was_made_to_lead_here_shows_nothing(site: Site, host: str) -> None:
    """DNS rebinding: the browser believes that it talks to evil.example."""
    for path in ("/", "/login", "/api/v1/status", "/static/x"):
        reply = site.ask(path, Host=host)
        assert reply.status == 421, path
        assert b"http.page_names" in reply.body


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost", "LOCALHOST.", "[::1]:9"])
def test_names_that_are_ours(site: Site, host: str) -> None:
    assert site.ask("/", Host=host).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_it_can_only_be_read(site: Site, method: str) -> None:
    for path in (*PAGES, *API):
        assert site.ask(path, method).status == 405, path


def test_wrong_tokens_have_to_wait(run_daemon: Run, tmp_path: Path) -> None:
    """And meanwhile the right one as well, or it could be found."""
    site = serve(run_daemon, tmp_path)
    statuses = [site.log_in("a wrong one").status for _ in range(5)]
    assert statuses == [403] * 5
    for reply in (site.log_in("a wrong one"), site.log_in(site.token), site.ask("/api/v1/status")):
        assert reply.status == 429
        assert 0 < int(reply.fields["retry-after"]) <= 10
    refused = site.daemon.events("page_login_refused")
    assert [each["client"] for each in refused] == ["127.0.0.1"], "the log isn't flooded"
    time.sleep(int(reply.fields["retry-after"]))
    assert site.log_in(site.token).status == 303


def test_a_new_token_ends_all_sessions(run_daemon: Run, tmp_path: Path) -> None:
    site = serve(run_daemon, tmp_path)
    cookie, old = cookie_of(site), site.token
    site.token_file.write_text("another token of many characters\n".replace(" ", "-"))
    assert site.ask("/", token=None, Cookie=cookie).status == 303
    assert site.ask("/api/v1/status", token=old).status == 401
    assert site.ask("/api/v1/status").status == 200


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda file: file.chmod(0o644), "every user can read or write it: chmod o="),
        (lambda file: file.unlink(), "there is no such file: the daemon makes it when it starts"),
        (lambda file: file.write_text("short\n"), "a token has at least 16 characters"),
        (lambda file: (file.unlink(), file.mkdir()), "is a directory, not a file"),
    ],
    ids=["exposed", "gone", "short", "folder"],
)
def test_a_token_that_cant_be_used_keeps_everybody_out(
    run_daemon: Run, tmp_path: Path, spoil, why: str
) -> None:
    site = serve(run_daemon, tmp_path)
    token, cookie = site.token, cookie_of(site)
    spoil(site.token_file)
    replies = (
        site.ask("/", token=None, Cookie=cookie),
        site.ask("/api/v1/status", token=token),
        site.log_in(token),
        site.log_in(""),
    )
    for reply in replies:
        assert reply.status == 503
        assert why.encode() in reply.body
        assert token.encode() not in reply.body
    site.redirects()


def test_a_daemon_doesnt_start_with_a_token_that_every_user_can_read(
    run_daemon: Run, tmp_path: Path
) -> None:
    token = tmp_path / "page.token"
    token.write_text("a-token-of-many-characters\n")
    token.chmod(0o644)
    environment = {"STATE_DIRECTORY": str(tmp_path)}
    daemon = run_daemon(wait=False, environment=environment, http={"page_listen": "127.0.0.1:0"})
    assert daemon.process.wait(30) == 78
    assert f"{token}: every user can read or write it: chmod o= {token}" in daemon.log_text


def test_a_daemon_without_a_place_for_the_token(run_daemon: Run) -> None:
    daemon = run_daemon(wait=False, http={"page_listen": "127.0.0.1:0"})
    assert daemon.process.wait(30) == 78
    assert "set http.token_file" in daemon.log_text


def test_a_token_from_systemd(run_daemon: Run, tmp_path: Path) -> None:
    """`token_file: credential:NAME`: no state directory is needed, and nothing is written."""
    token = tmp_path / "page"
    token.write_text("a-token-of-many-characters\n")
    token.chmod(0o400)
    daemon = run_daemon(
        environment={"CREDENTIALS_DIRECTORY": str(tmp_path)},
        http={"page_listen": "127.0.0.1:0", "token_file": "credential:page"},
    )
    site = Site(daemon, tmp_path)
    assert site.ask("/", token="a-token-of-many-characters").status == 200
    assert site.ask("/", token="another-token-of-many").status == 303


def test_behind_a_proxy(run_daemon: Run, tmp_path: Path) -> None:
    """Cookies are for TLS, and the client is who the proxy says; nothing else is different."""
    http = {"behind_proxy": True, "page_names": ["migration.contoso.com"]}
    site = serve(run_daemon, tmp_path, http=http)
    reply = site.log_in(
        site.token, Host="migration.contoso.com", X_Forwarded_For="203.0.113.9, 192.0.2.7"
    )
    cookie = reply.fields["set-cookie"]
    assert cookie.startswith("__Host-chatredirect=")
    assert "; Secure" in cookie
    assert site.daemon.event("page_login")["client"] == "192.0.2.7"
    assert site.ask("/", token=None, Cookie=cookie.partition(";")[0]).status == 200
    assert site.ask("/", Host="evil.example").status == 421
    for _ in range(5):
        site.log_in("wrong", X_Forwarded_For="192.0.2.66")
    assert site.log_in(site.token, X_Forwarded_For="192.0.2.66").status == 429
    assert site.log_in(site.token, X_Forwarded_For="192.0.2.7").status == 303


def test_a_forwarded_address_is_a_strangers_word_without_a_proxy(site: Site) -> None:
    site.log_in(site.token, X_Forwarded_For="192.0.2.99")
    clients = {each["client"] for each in site.daemon.events("page_login")}
    assert clients == {"127.0.0.1"}


def test_a_reload_opens_and_closes_it(run_daemon: Run, tmp_path: Path) -> None:
    site = serve(run_daemon, tmp_path)
    config = site.daemon.config
    with_page = config.read_text()
    config.write_text(with_page.replace("page_listen: 127.0.0.1:0", "page_listen: 'off'"))
    site.daemon.send_signal(1)
    site.daemon.event("http_closed", key="http.page_listen")
    with pytest.raises(ConnectionError):
        site.connect()
    config.write_text(with_page)
    site.daemon.send_signal(1)
    eventually(lambda: len(site.daemon.events("http_listening")) == 2, "the page to be back")
    again = Site(site.daemon, site.state)
    again.port = int(site.daemon.events("http_listening")[-1]["where"].rpartition(":")[2])
    assert again.ask("/").status == 200


def test_a_reload_with_a_token_that_every_user_can_read_is_refused(
    run_daemon: Run, tmp_path: Path
) -> None:
    site = serve(run_daemon, tmp_path)
    site.token_file.chmod(0o644)
    site.daemon.send_signal(1)
    assert "every user can read or write it" in site.daemon.event("reload_refused")["why"]
    site.token_file.unlink()
    site.daemon.send_signal(1)
    site.daemon.event("configuration_unchanged")
    assert site.ask("/api/v1/status").status == 200, "a new one was made"


@pytest.mark.parametrize("path", ["/api/v1/live", "/api/v1/trace?from=ann"])
def test_the_head_of_a_stream_takes_no_place(site: Site, path: str) -> None:
    assert site.ask(path, "HEAD").status == 405
    assert site.ask("/api/v1/status", "HEAD").status == 200
