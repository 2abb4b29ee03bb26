"""`endpoint new`: a file of its own, and every bad value has its outcome."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatredirect.config import ConfigError, load, parse_sip_address
from chatredirect.config.endpoint_file import IncludeFolder, text_of
from tests.commands.endpoint.conftest import Command, files


def test_microsofts_line(endpoint: Command, config: Path, folder: Path) -> None:
    """The line of Microsoft's page, and its address without sip:."""
    done = endpoint(
        *("new", "New-CsPersistentChatEndpoint"),
        *("-SipAddress", "persistentchat@contoso.com"),
        *("-PersistentChatPoolFqdn", "pcpool.contoso.com"),
        *("-DisplayName", "Persistent Chat Endpoint 1"),
    )
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(
        "Made sip:persistentchat@contoso.com (redirect to pcpool.contoso.com)"
    )
    (made,) = load(config).endpoints
    assert str(made.sip_address) == "sip:persistentchat@contoso.com"
    assert made.display_name == "Persistent Chat Endpoint 1"
    assert made.source == f"{folder}/persistentchat@contoso.com.yaml:2"


def test_a_file_says_who_made_it_when(new: Command, folder: Path) -> None:
    before = datetime.now(UTC)
    assert new("sip:ocschat@contoso.com", "--port", 5061, "--transport", "tls").status == 0
    first, *lines = files(folder)["ocschat@contoso.com.yaml"].decode().splitlines()
    assert first.startswith("# Made by ")
    assert any(f" on {day:%Y-%m-%d} " in first for day in (before, datetime.now(UTC)))
    assert first.endswith(" UTC: chatredirect endpoint new")
    assert lines == [
        *("sip_address: sip:ocschat@contoso.com", "pool_fqdn: pcpool.contoso.com"),
        *("port: 5061", "transport: tls"),
    ]


def test_sudo_says_who(new: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user that is told is the person's, and can't break out of its line."""
    monkeypatch.setenv("SUDO_USER", "al\nice")
    assert new().status == 0
    text = files(folder)["ocschat@contoso.com.yaml"].decode()
    expected = "al?ice with sudo" if os.geteuid() == 0 else "# Made by "
    assert expected in text.splitlines()[0]


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ('"Chat" <sip:ocschat@contoso.com>', "write sip:ocschat@contoso.com"),
        (
            "SIP:ocschat@contoso.com;transport=tls",
            '"SIP:ocschat@contoso.com;transport=tls" has parameters: write SIP:ocschat@contoso.com',
        ),
        ("sip:ocschat@contoso.com?subject=x", "parameters"),
        ("sip:ocs chat@contoso.com", "a space is %20"),
        ("tel:+1425555", "write sip:NUMBER@DOMAIN"),
        ("sip:ocschat", "has no domain"),
        ("sip:ocschat@", "no domain after the @"),
        ("ocschat", "write sip:ocschat@DOMAIN"),
        ("sip:ocschat@*.contoso.com", "wildcard"),
        ("sip:*@*", "wildcard"),
        ("*@contoso.com", "wildcard"),
        ("http://contoso.com", "scheme http"),
        ("sip://ocschat@contoso.com", "slashes"),
        ("sip:ocschat:secret@contoso.com", "password"),
        ("\x00@contoso.com", "no SIP URI"),
        ("x" * 5000 + "@contoso.com@", ""),
        ("", "is missing"),
    ],
)
def test_bad_addresses(new: Command, folder: Path, address: str, told: str) -> None:
    """A clear sentence about the option, status 2, and nothing is written."""
    done = new(address)
    assert done.status == 2
    assert "--sip-address" in done.err
    assert told in done.err
    assert not folder.exists()


@pytest.mark.parametrize(
    "address",
    [
        "SIP:OCSCHAT@CONTOSO.COM",
        "ocschat@contoso.com",
        " sip:ocschat@contoso.com ",
        "sip:ocschat@contoso.com:5060",
    ],
)
def test_spellings_that_will_do(new: Command, config: Path, address: str) -> None:
    assert new(address).status == 0
    (made,) = load(config).endpoints
    assert made.sip_address.key == parse_sip_address("sip:ocschat@contoso.com").key


@pytest.mark.parametrize(
    ("pool", "told"),
    [
        ("https://pcpool.contoso.com/", "write pcpool.contoso.com"),
        ("sip:pcpool.contoso.com", "write pcpool.contoso.com"),
        (
            "pcpool.contoso.com:5061",
            '"pcpool.contoso.com:5061" has a port in it: write --persistent-chat-pool-fqdn '
            "pcpool.contoso.com and --port 5061",
        ),
        ("ocschat@pcpool.contoso.com", "write the host name alone"),
        ("pcpool contoso.com", "no host name"),
        ("_sips._tcp.contoso.com", "SRV"),
        ("0.0.0.0", "no address"),
        ("*.contoso.com", "wildcard"),
        ("pcpöol.contoso.com", "write xn--"),
        ("", "is missing"),
    ],
)
def test_bad_pools(endpoint: Command, folder: Path, pool: str, told: str) -> None:
    done = endpoint("new", "-SipAddress", "x@contoso.com", f"-PersistentChatPoolFqdn:{pool}")
    assert done.status == 2
    assert told in " ".join(done.err.split())
    assert not folder.exists()


@pytest.mark.parametrize("pool", ["192.0.2.20", "2001:db8::20", "[2001:db8::20]"])
def test_a_pool_given_as_an_address_is_taken_with_a_warning(endpoint: Command, pool: str) -> None:
    """Certificates are issued to names, so over TLS it can't be verified."""
    address, transport = ("-SipAddress", "x@contoso.com"), ("-Transport", "tls", "-Port", "5061")
    done = endpoint("new", *address, "-PersistentChatPoolFqdn", pool, *transport)
    assert done.status == 0
    assert "TLS certificates are issued to names" in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port", "0"], "at least 1"),
        (["--port", "65536"], "at most 65535"),
        (["--port", "sip"], "a whole number"),
        (["--transport", "sctp"], "must be udp, tcp or tls"),
        (["--state", "off"], "maintenance"),
        (["--mode", "forward"], "redirect"),
        (["--active-from", "2026-11-23T06:00:00"], "has no UTC offset"),
        (["--active-from", "2026-11-23 06:00"], "write 2026-11-23T06:00+01:00"),
        (["--active-from", "2026-11-23"], "no time of day"),
        (["--active-from", "monday"], "no point in time"),
        (["--active-from", "2026-02-30T06:00:00Z"], "no such moment"),
        (["--display-name", "a\x07b"], "control characters"),
        (["--display-name", "x" * 300], "longer than 256"),
    ],
)
def test_other_bad_values(new: Command, folder: Path, arguments: list[str], told: str) -> None:
    done = new("sip:ocschat@contoso.com", *arguments)
    assert done.status == 2
    assert told in " ".join(done.err.split())
    assert not folder.exists()


SPELLINGS = [
    *("sip:ocschat@contoso.com", "SIP:OCSCHAT@CONTOSO.COM", "ocschat@contoso.com"),
    *("sips:ocschat@contoso.com", "sip:ocs%63hat@contoso.com", "sip:ocschat@contoso.com:5060"),
]


@pytest.mark.parametrize("again", SPELLINGS)
def test_one_that_exists_is_refused_in_every_spelling(
    new: Command, folder: Path, again: str
) -> None:
    assert new().status == 0
    before = files(folder)
    done = new(again)
    assert done.status == 1
    assert "already: sip:ocschat@contoso.com at " in done.err
    assert files(folder) == before


def test_one_in_the_main_file_exists_too(new: Command, config: Path, folder: Path) -> None:
    config.write_text(
        config.read_text()
        + "endpoints: [{sip_address: OcsChat@contoso.com, pool_fqdn: pc.contoso.com}]\n"
    )
    done = new()
    assert done.status == 1
    assert f"{config}:3" in done.err
    assert not files(folder)


def test_what_if_changes_nothing(new: Command, folder: Path) -> None:
    done = new("sip:ocschat@contoso.com", "-WhatIf")
    assert done.status == 0
    assert done.out.startswith("What if: would make sip:ocschat@contoso.com")
    assert f"{folder}/ocschat@contoso.com.yaml" in done.out
    assert not folder.exists()
    assert new("-WhatIf:$false").status == 2  # which is no address


def test_what_if_finds_what_would_speak_against_it(new: Command) -> None:
    assert new().status == 0
    assert new("OCSCHAT@contoso.com", "--what-if").status == 1


@pytest.mark.parametrize(
    ("answer", "status"), [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("", 1)]
)
def test_confirm(
    new: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    """Only y and yes are a yes; the end of input is none."""
    read, write = os.pipe()
    os.write(write, answer.encode())
    os.close(write)
    with os.fdopen(read) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        done = new("sip:ocschat@contoso.com", "-Confirm")
    assert done.status == status
    assert "Make sip:ocschat@contoso.com" in done.err
    assert bool(files(folder)) == (status == 0)


def test_pass_thru_shows_it(new: Command) -> None:
    done = new("sip:ocschat@contoso.com", "-PassThru")
    assert "PersistentChatPoolFqdn : pcpool.contoso.com" in done.out


def test_json_shows_it_for_scripts(new: Command) -> None:
    done = new("sip:ocschat@contoso.com", "--json", "--active-from", "2126-11-23T06:00:00+01:00")
    assert done.err.startswith("Made ")
    (made,) = json.loads(done.out)["endpoints"]
    assert made["sip_address"] == "sip:ocschat@contoso.com"
    assert (made["state"], made["state_now"]) == ("active", "maintenance")
    assert made["active_from"] == "2126-11-23T06:00:00+01:00"


def test_one_that_would_lead_back_to_us(new: Command, config: Path, folder: Path) -> None:
    """It is validated together with the whole configuration."""
    config.write_text(config.read_text() + "advertise: pcpool.contoso.com\n")
    done = new()
    assert done.status == 78
    assert "leads back to this server itself" in done.err
    assert not files(folder)


@pytest.mark.parametrize(
    ("include", "told"),
    [
        ("", "has no include"),
        ("include: endpoints.yaml\n", "one pattern with a star"),
        ("include: '*/endpoints.yaml'\n", "one pattern with a star"),
        ("include: endpoints.d/?.yaml\n", "one pattern with a star"),
        ("include: endpoints.d/.*.yaml\n", "hidden files"),
    ],
)
def test_without_a_folder_it_says_what_to_add(
    new: Command, config: Path, tmp_path: Path, include: str, told: str
) -> None:
    (tmp_path / "endpoints.yaml").write_text("[]\n")
    config.write_text(f"listen: [udp://127.0.0.1:5060]\n{include}")
    done = new()
    assert done.status == 78
    assert told in done.err
    assert "include: endpoints.d/*.yaml" in done.err


def test_a_configuration_with_faults_is_mended_first(
    new: Command, config: Path, folder: Path
) -> None:
    config.write_text(config.read_text() + "retry_after: soon\n")
    done = new()
    assert done.status == 78
    assert f"{config}:3:14: error: retry_after" in done.err
    assert "mend the configuration first" in done.err
    assert not files(folder)


def test_without_a_configuration(new: Command, config: Path) -> None:
    config.unlink()
    done = new()
    assert done.status == 78
    assert "there is no such file" in done.err


def test_names_of_files(new: Command, folder: Path) -> None:
    """Whatever is in an address, its file is in the folder, and is read."""
    addresses = [
        *("sip:../../etc/passwd@contoso.com", "sip:.hidden@contoso.com", "sip:a%2fb@contoso.com"),
        *("sip:a_b@contoso.com", "sip:x@contoso.com:5070", f"sip:{'y' * 300}@contoso.com"),
        *("sip:x@[2001:db8::1]", "sip:%c3%9cber@contoso.com"),
    ]
    for number, address in enumerate(addresses, 1):
        assert new(address).status == 0, address
        assert len(files(folder)) == number
    assert all(name.endswith(".yaml") and not name.startswith(".") for name in files(folder))


@given(st.lists(st.binary(min_size=1, max_size=300), unique=True, max_size=20))
def test_names_are_never_the_same(keys: list[bytes]) -> None:
    paths = list(IncludeFolder("d", "", ".yaml").names(keys, ["endpoint.yaml"]))
    assert len({path.lower() for path in paths}) == len(keys)
    assert all(os.path.dirname(path) == "d" for path in paths)
    assert all(len(os.path.basename(path).encode()) < 200 for path in paths)


def test_names_that_differ_in_nothing() -> None:
    """Letters that no file's name has: each address finds its name without trying them all."""
    keys = [b"\xc3\xbc@contoso.com"] * 30_000
    taken = ["_@contoso.com.yaml", "_@contoso.com-3.yaml"]
    names = list(IncludeFolder("d", "", ".yaml").names(keys, taken))
    assert names[:2] == ["d/_@contoso.com-2.yaml", "d/_@contoso.com-4.yaml"]
    assert len(set(names)) == 30_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    user=st.text(alphabet="abcXYZ019-_.!~*'()&=+$,;?/%20", min_size=1, max_size=20),
    host=st.sampled_from(["contoso.com", "192.0.2.1", "[2001:db8::1]", "CONTOSO.COM"]),
    name=st.text(max_size=40),
    port=st.one_of(st.none(), st.integers(1, 65535)),
)
def test_what_is_written_is_what_is_read(
    tmp_path: Path, user: str, host: str, name: str, port: int | None
) -> None:
    """A file that is made of an endpoint means it again, whatever its values look like."""
    keys: dict[str, str | int] = {
        "sip_address": f"sip:{user}@{host}",
        "pool_fqdn": "no.contoso.com",
    }
    keys |= {"display_name": name} if name else {}
    keys |= {"port": port} if port is not None else {}
    main = tmp_path / "main.yaml"
    main.write_text("listen: [udp://127.0.0.1:5060]\ninclude: d/*.yaml\n")
    try:
        (read,) = load(main, {f"{tmp_path}/d/x.yaml": text_of(keys, "me")}).endpoints
    except ConfigError as error:
        refused = {fault.message.partition(":")[0] for fault in error.faults}
        assert refused <= {"sip_address", "display_name"}
        return
    assert read.sip_address == parse_sip_address(f"sip:{user}@{host}")
    assert (read.display_name or "") == name
    assert read.port == port


def test_a_configuration_that_is_named_from_where_one_is(
    endpoint: Command, config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path, for all four commands."""
    monkeypatch.chdir(config.parent)
    named = ("--config", config.name)
    pool = ("-PersistentChatPoolFqdn", "pcpool.contoso.com")
    assert endpoint("new", "-SipAddress", "a@contoso.com", *pool, *named).status == 0
    assert set(files(folder)) == {"a@contoso.com.yaml"}
    assert (
        endpoint("set", "a@contoso.com", "-Transport", "TLS", "-State", "Disabled", *named).status
        == 0
    )
    assert "endpoints.d/a@contoso.com.yaml:3" in endpoint("get", "a@contoso.com", *named).out
    assert endpoint("remove", "a@contoso.com", *named).status == 0
    assert not files(folder)


def test_files_beside_the_main_file(
    endpoint: Command, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pattern needs no folder of its own, only names of its own."""
    config.write_text("listen: [udp://127.0.0.1:5060]\ninclude: endpoint-*.yml\n")
    monkeypatch.chdir(config.parent)
    pool = ("-PersistentChatPoolFqdn", "pcpool.contoso.com")
    for named in (config, config.name):
        arguments = ("--config", named)
        assert endpoint("new", "-SipAddress", "a@contoso.com", *pool, *arguments).status == 0
        assert set(files(config.parent)) == {"main.yaml", "endpoint-a@contoso.com.yml"}
        assert endpoint("set", "a@contoso.com", "--port", 5070, *arguments).status == 0
        assert endpoint("remove", "a@contoso.com", *arguments).status == 0
        assert set(files(config.parent)) == {"main.yaml"}


@pytest.mark.parametrize("what_if", [(), ("-WhatIf",)])
def test_a_time_that_has_passed_is_told(new: Command, what_if: tuple[str, ...]) -> None:
    """A mistyped year would open an endpoint on the spot, and nobody would know."""
    closed = ("--state", "maintenance", "--active-from")
    done = new("sip:ocschat@contoso.com", *closed, "2020-12-07T06:00:00+01:00", *what_if)
    assert done.status == 0
    assert "warning: 2020-12-07T06:00:00+01:00 has passed: active at once" in done.err
    assert "passed" not in new("sip:x@contoso.com", *closed, "2126-12-07T06:00:00Z", *what_if).err


def test_a_warning_names_options(new: Command) -> None:
    """What it says to do is to be done with the command at hand."""
    assert "set --port 5061 and --transport tls" in new("x@contoso.com", "-Port", "5061").err


@pytest.mark.parametrize(
    ("watch", "told"), [("true", "takes it up by itself"), ("false", "chatredirect reload")]
)
def test_from_when_on_it_counts(new: Command, config: Path, watch: str, told: str) -> None:
    """Who has the files watched needs no reload."""
    config.write_text(f"{config.read_text()}watch: {watch}\n")
    assert told in new().out


def test_a_mode_that_is_not_given_is_explained(new: Command) -> None:
    """Without a terminal it is redirect, as with the cmdlet; what that doesn't do is said."""
    told = "Group Chat clients follow no SIP redirect: they need --mode lookup."
    assert told in new("sip:a@contoso.com", "--what-if").out
    assert told in new("sip:a@contoso.com").out
    assert told not in new("sip:b@contoso.com", "--mode", "redirect").out
    made = new("sip:c@contoso.com", "--json")
    assert told in made.err
    assert json.loads(made.out)


@pytest.mark.parametrize(
    ("answer", "mode"), [("", "lookup"), ("redirect", "redirect"), (" Proxy ", "proxy")]
)
def test_a_terminal_is_asked_for_the_mode(
    new: Command, config: Path, monkeypatch: pytest.MonkeyPatch, answer: str, mode: str
) -> None:
    """Which clients the endpoint is for decides; Enter means those that this is made for."""
    _at_a_terminal(monkeypatch, answer)
    done = new("sip:ocschat@contoso.com")
    assert done.status == 0
    assert "lookup    Group Chat clients" in done.err
    (made,) = load(config).endpoints
    assert made.mode == mode


@pytest.mark.parametrize("answer", ["lokup", None])
def test_an_answer_that_is_no_mode(
    new: Command, config: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    _at_a_terminal(monkeypatch, answer)
    done = new("sip:ocschat@contoso.com")
    assert done.status == 1
    if answer:
        assert '"lokup" (did you mean "lookup"?); nothing has been made' in done.err
    assert not load(config).endpoints


def _at_a_terminal(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    def typed(*_: object) -> str:
        if answer is None:
            raise EOFError
        return answer

    options = "chatredirect.commands.endpoint.endpoint_options"
    monkeypatch.setattr(f"{options}.is_terminal", lambda stream: True)
    monkeypatch.setattr("builtins.input", typed)
