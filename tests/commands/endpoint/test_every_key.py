"""Every key of an endpoint can be given, shown, changed and taken away by a command."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from chatredirect.commands.endpoint.endpoint_values import OPTIONS
from chatredirect.config import EndpointSettings, load

from .conftest import Command

POOL = ("--persistent-chat-pool-fqdn", "pcpool.contoso.com")
URIS = ["sip:chan1@pcpool.contoso.com;transport=tls", "sip:chan2,b@pcpool.contoso.com:5061"]

# option, what is typed, the file's line, the value in JSON, the mode that it needs
KEYS = [
    ("--redirect-status", "301", "redirect_status: 301", 301, "redirect"),
    ("--methods", "INVITE, SUBSCRIBE", "methods: [INVITE, SUBSCRIBE]", ["INVITE", "SUBSCRIBE"], ""),
    ("--contact", "Targets", "contact: targets", "targets", "redirect"),
    ("--on-all-down", "serve", "on_all_down: serve", "serve", "redirect"),
    ("--peers", "trusted", "peers: trusted", "trusted", "redirect"),
    ("--contact-uri", "sip:chat@us.test", None, "sip:chat@us.test", "lookup"),
    ("--rewrite", "pool", "rewrite: pool", "pool", "proxy"),
    ("--channel-uris", ",".join(URIS), None, URIS, "lookup"),
    ("--channel-uris", " ".join(URIS), None, URIS, "lookup"),
]


def test_no_key_is_without_an_option() -> None:
    assert set(OPTIONS) == {each.name for each in fields(EndpointSettings)} - {"source"}


def test_no_value_is_left_out() -> None:
    assert set(EndpointSettings(sip_address="sip:a@b.test", pool_fqdn="c.test").values()) == set(  # type: ignore[arg-type]
        OPTIONS
    )


@pytest.mark.parametrize(("option", "typed", "line", "value", "mode"), KEYS)
def test_a_key_is_made_shown_and_taken_away(
    endpoint: Command,
    config: Path,
    folder: Path,
    option: str,
    typed: str,
    line: str | None,
    value: object,
    mode: str,
) -> None:
    """new, get as JSON and as a list, set to nothing; the file is as before then."""
    key = option.removeprefix("--").replace("-", "_")
    given = ("--sip-address", "chat@contoso.com", *POOL, "--mode", mode or "redirect")
    done = endpoint("new", *given)
    assert done.status == 0, done.err
    file = folder / "chat@contoso.com.yaml"
    before = [each for each in file.read_text().splitlines() if not each.startswith("#")]
    done = endpoint("set", "chat@contoso.com", option, typed)
    assert done.status == 0, done.err
    assert line is None or line in file.read_text()
    (found,) = json.loads(endpoint("get", "--json").out)["endpoints"]
    assert found[key] == value
    shown = endpoint("get", "chat@contoso.com").out
    property_ = "".join(part.capitalize() for part in key.split("_"))
    text = ", ".join(value) if isinstance(value, list) else str(value)
    assert [each.split(" : ")[1] for each in shown.splitlines() if each.startswith(f"{property_} ")]
    assert f" : {text}\n" in shown
    done = endpoint("set", "chat@contoso.com", option, "")
    assert done.status == 0, done.err
    assert [each for each in file.read_text().splitlines() if not each.startswith("#")] == before
    assert endpoint("remove", "chat@contoso.com").status == 0
    done = endpoint("new", *given, option, typed)
    assert done.status == 0, done.err
    assert load(config).endpoints[0].values()[key] == value


def test_lookup_becomes_proxy(endpoint: Command, config: Path, own: Path) -> None:
    """What only the mode lookup uses stands in the way, and --channel-uris "" takes it away."""
    refused = endpoint("set", "chat@contoso.com", "--mode", "proxy")
    assert refused.status == 78
    assert "channel_uris: only the mode lookup uses it, not proxy: take it away" in refused.err
    new = ("--sip-address", "new@contoso.com", "--persistent-chat-pool-fqdn", "pool.contoso.com")
    refused = endpoint("new", *new, "--mode", "proxy", "--channel-uris", "sip:chan@contoso.com")
    assert refused.status == 78
    assert "--channel-uris: only the mode lookup uses it, not proxy" in refused.err
    done = endpoint("set", "chat@contoso.com", "--mode", "proxy", "-ChannelUris", "$null")
    assert done.status == 0, done.err
    assert own.read_text().splitlines()[1:] == [
        "sip_address: chat@contoso.com",
        "mode: proxy",
        "# the pool since November",
        "pool_fqdn: pcpool.contoso.com",
    ]


@pytest.fixture
def own(folder: Path) -> Path:
    """A file with a list over several lines, as people write it."""
    folder.mkdir()
    path = folder / "chat.yaml"
    path.write_text(
        "sip_address: chat@contoso.com\n"
        "mode: lookup\n"
        "channel_uris:\n"
        "  # the first server\n"
        "  - sip:chan1@pcpool.contoso.com\n"
        "\n"
        "  - sip:chan2@pcpool.contoso.com\n"
        "# the pool since November\n"
        "pool_fqdn: pcpool.contoso.com\n"
    )
    return path


def test_a_list_over_several_lines_is_replaced(endpoint: Command, own: Path) -> None:
    done = endpoint("set", "chat@contoso.com", "--channel-uris", "sip:new@pcpool.contoso.com")
    assert done.status == 0, done.err
    assert own.read_text().splitlines()[1:] == [
        "sip_address: chat@contoso.com",
        "mode: lookup",
        "channel_uris: [sip:new@pcpool.contoso.com]",
        "# the pool since November",
        "pool_fqdn: pcpool.contoso.com",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "channel_uris: [sip:a@p.test, sip:b@p.test]  # both",
        "channel_uris: ['sip:a@p.test',\n  'sip:b@p.test']  # both",
        "channel_uris:\n- sip:a@p.test\n- sip:b@p.test",
    ],
)
def test_lists_in_every_spelling(endpoint: Command, folder: Path, text: str) -> None:
    folder.mkdir()
    own = folder / "chat.yaml"
    own.write_text(f"sip_address: a@contoso.com\n{text}\nmode: lookup\npool_fqdn: p.test\n")
    done = endpoint("set", "a@contoso.com", "--channel-uris", "sip:c@p.test")
    assert done.status == 0, done.err
    lines = own.read_text().splitlines()
    assert lines[2].startswith("channel_uris: [sip:c@p.test]")
    assert lines[3:] == ["mode: lookup", "pool_fqdn: p.test"]
    assert ("# both" in lines[2]) == (text.count("\n") == 0 and "# both" in text)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--rewrite", "both", "--rewrite"),
        ("--redirect-status", "200", "--redirect-status"),
        ("--methods", "ACK", "ACK is never redirected"),
        ("--channel-uris", "tel:+1", "--channel-uris"),
        ("--contact-uri", "nowhere", "--contact-uri"),
    ],
)
def test_values_that_are_none(endpoint: Command, option: str, value: str, told: str) -> None:
    """The option is named, and not the key."""
    done = endpoint("new", "--sip-address", "a@contoso.com", *POOL, option, value)
    assert done.status == 2
    assert told in done.err
    assert f" {option.removeprefix('--').replace('-', '_')}:" not in done.err


def test_columns_of_a_csv_file(endpoint: Command, config: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "list.csv"
    sheet.write_text(
        "SipAddress,PersistentChatPoolFqdn,Mode,ChannelUris,Peers\n"
        'a@contoso.com,p.test,lookup,"sip:x@p.test, sip:y@p.test",\n'
        "b@contoso.com,p.test,redirect,,trusted\n"
    )
    done = endpoint("new", "--from-csv", sheet)
    assert done.status == 0, done.err
    first, second = load(config).endpoints
    assert [str(each) for each in first.channel_uris] == ["sip:x@p.test", "sip:y@p.test"]
    assert second.peers == "trusted"
    found = endpoint("get", "-Filter", "ChannelUris -like '*sip:y@*' -or Rewrite -eq pool")
    assert "sip:a@contoso.com" in found.out
    assert "sip:b@contoso.com" not in found.out
