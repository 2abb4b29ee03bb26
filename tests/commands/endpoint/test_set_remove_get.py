"""`endpoint set`, `remove` and `get`."""

import json
from datetime import datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from chatredirect.cli import app
from chatredirect.commands.endpoint import endpoint_commands
from chatredirect.config import load
from tests.commands.endpoint.conftest import Command, files

OWN = """\
# the chat of old times
sip_address: "sip:ocschat@contoso.com"   # as the clients have it
pool_fqdn: pcpool.contoso.com
methods:
  - INVITE
  - SUBSCRIBE
state: 'active'
"""


@pytest.fixture
def own_file(folder: Path) -> Path:
    """A file with one endpoint, written by hand."""
    folder.mkdir()
    path = folder / "chat.yaml"
    path.write_text(OWN)
    return path


def test_set_leaves_the_rest_as_it_is(endpoint: Command, config: Path, own_file: Path) -> None:
    """Comments, quotes and order stay; who changed it last is told, once."""
    done = endpoint("set", "OCSCHAT@contoso.com", "-State", "Maintenance", "-DisplayName", "Chat")
    assert done.status == 0
    assert done.out.startswith(
        "Changed sip:ocschat@contoso.com (redirect to pcpool.contoso.com, main"
    )
    assert endpoint("set", "ocschat@contoso.com", "--port", 5061).status == 0
    lines = own_file.read_text().splitlines()
    changed = lines.pop(1)
    assert changed.startswith("# Changed by ")
    assert changed.endswith("chatredirect endpoint set --port")
    assert lines == [
        "# the chat of old times",
        'sip_address: "sip:ocschat@contoso.com"   # as the clients have it',
        "pool_fqdn: pcpool.contoso.com",
        "port: 5061",
        "display_name: Chat",
        *("methods:", "  - INVITE", "  - SUBSCRIBE", "state: maintenance"),
    ]
    (changed_one,) = load(config).endpoints
    assert (changed_one.methods, changed_one.state) == (("INVITE", "SUBSCRIBE"), "maintenance")


def test_set_takes_values_away(endpoint: Command, config: Path, own_file: Path) -> None:
    assert (
        endpoint("set", "ocschat@contoso.com", "--display-name", "Chat", "--port", 5061).status == 0
    )
    assert (
        endpoint("set", "ocschat@contoso.com", "--display-name", "", "-Port", "$null").status == 0
    )
    (left,) = load(config).endpoints
    assert (left.display_name, left.port) == (None, None)
    assert endpoint("set", "ocschat@contoso.com", "--persistent-chat-pool-fqdn", "").status == 2


def test_a_state_that_would_never_be_in_force(
    endpoint: Command, config: Path, own_file: Path
) -> None:
    """A time that has passed means active, so it goes with a new state; one to come stays."""
    at = ("--active-from", "2020-01-01T00:00:00Z")
    for what_if in (("--what-if",), ()):
        done = endpoint("set", "ocschat@contoso.com", *at, *what_if)
        assert done.status == 0
        assert "2020-01-01T00:00:00Z has passed: active at once" in done.err
    assert "has passed" not in endpoint("set", "ocschat@contoso.com", "--port", "5062").err
    assert endpoint("set", "ocschat@contoso.com", "--state", "maintenance").status == 0
    assert load(config).endpoints[0].active_from is None
    at = ("--active-from", "2126-01-01T00:00:00Z")
    assert endpoint("set", "ocschat@contoso.com", *at).status == 0
    assert endpoint("set", "ocschat@contoso.com", "--state", "disabled").status == 0
    assert load(config).endpoints[0].active_from is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- sip_address: a@contoso.com\n  pool_fqdn: p.contoso.com\n", "holds more than"),
        (
            "endpoints:\n- sip_address: a@contoso.com\n  pool_fqdn: p.contoso.com\n",
            "holds more than",
        ),
        ("{sip_address: a@contoso.com, pool_fqdn: p.contoso.com}\n", "beginning of a line"),
        (
            "sip_address: a@contoso.com\npool_fqdn: p.contoso.com\nstate: >-\n  active\n",
            "unusual way",
        ),
        ("sip_address: a@contoso.com\npool_fqdn: &x p.contoso.com\nstate: &y active\n", "unusual"),
    ],
)
def test_files_that_only_a_person_can_change(
    endpoint: Command, folder: Path, text: str, told: str
) -> None:
    folder.mkdir()
    (folder / "x.yaml").write_text(text)
    done = endpoint("set", "a@contoso.com", "--state", "maintenance")
    assert done.status == 1
    assert told in done.err
    assert "by hand" in done.err
    assert (folder / "x.yaml").read_text() == text


@pytest.mark.parametrize("command", [("set", "--state", "disabled"), ("remove",)])
def test_the_main_file_is_left_alone(
    endpoint: Command, config: Path, folder: Path, command: tuple[str, ...]
) -> None:
    text = (
        config.read_text()
        + "endpoints:\n- {sip_address: a@contoso.com, pool_fqdn: p.contoso.com}\n"
    )
    config.write_text(text)
    done = endpoint(command[0], "a@contoso.com", *command[1:])
    assert done.status == 1
    assert f"stands in the main file, {config}:4" in done.err
    assert config.read_text() == text
    assert not folder.exists()


@pytest.mark.parametrize("command", [("set", "--state", "disabled"), ("remove",)])
def test_a_file_with_several_is_left_alone(
    endpoint: Command, folder: Path, command: tuple[str, ...]
) -> None:
    folder.mkdir()
    text = "".join(f"- {{sip_address: {u}@contoso.com, pool_fqdn: p.contoso.com}}\n" for u in "ab")
    (folder / "two.yaml").write_text(text)
    done = endpoint(command[0], "b@contoso.com", *command[1:])
    assert done.status == 1
    assert f"stands beside others in {folder}/two.yaml:2" in done.err
    assert (folder / "two.yaml").read_text() == text


@pytest.mark.parametrize("command", [("set", "--state", "disabled"), ("remove",)])
def test_a_link_is_left_alone(
    endpoint: Command, folder: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    folder.mkdir()
    (tmp_path / "elsewhere.yaml").write_text(OWN)
    (folder / "chat.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    done = endpoint(command[0], "ocschat@contoso.com", *command[1:])
    assert done.status == 1
    assert "is a symbolic link" in done.err
    assert (tmp_path / "elsewhere.yaml").read_text() == OWN


def test_set_what_if(endpoint: Command, own_file: Path) -> None:
    done = endpoint("set", "ocschat@contoso.com", "--state", "disabled", "--what-if")
    assert done.status == 0
    assert "+state: disabled" in done.out
    assert own_file.read_text() == OWN


def test_what_if_as_json(endpoint: Command, new: Command, own_file: Path) -> None:
    """Standard output is JSON alone, and has what would be."""
    (would,) = json.loads(new("sip:b@contoso.com", "-WhatIf", "--json").out)["endpoints"]
    assert would["sip_address"] == "sip:b@contoso.com"
    done = endpoint("set", "ocschat@contoso.com", "--state", "disabled", "-WhatIf", "--json")
    (would,) = json.loads(done.out)["endpoints"]
    assert would["state"] == "disabled"
    assert "What if: would change" in done.err
    assert own_file.read_text() == OWN


@pytest.mark.parametrize("command", [("set", "--state", "disabled"), ("remove",)])
@pytest.mark.parametrize(
    ("identity", "told"),
    [
        ("nobody@contoso.com", "there is no endpoint"),
        ("No Such Name", "there is no endpoint"),
        ("CN={33e5014b},CN=Application Contacts", "Active Directory"),
        ("sip:a b@contoso.com", "a space is %20"),
    ],
)
def test_nobody_is_meant(
    endpoint: Command, own_file: Path, command: tuple[str, ...], identity: str, told: str
) -> None:
    done = endpoint(command[0], identity, *command[1:])
    assert done.status == 1
    assert told in done.err
    assert own_file.read_text() == OWN


def test_several_are_meant(endpoint: Command, new: Command) -> None:
    for user in "ab":
        assert new(f"{user}@contoso.com", "--display-name", "Chat").status == 0
    for force in ((), ("-Force",)):
        done = endpoint("remove", "-Identity", "chat", *force)
        assert done.status == 1
        assert "sip:a@contoso.com, sip:b@contoso.com" in done.err


def test_remove(endpoint: Command, own_file: Path, folder: Path) -> None:
    assert endpoint("remove", "sip:OCSCHAT@contoso.com", "-WhatIf").out.startswith(
        "What if: would "
    )
    assert own_file.exists()
    done = endpoint("remove", "-Identity", "sip:OCSCHAT@contoso.com")
    assert done.status == 0
    assert done.out.startswith("Removed sip:ocschat@contoso.com, which led to pcpool.contoso.com")
    assert "no endpoints any more" in done.err
    assert not files(folder)


def test_force_takes_nothing_for_something(endpoint: Command, own_file: Path) -> None:
    assert endpoint("remove", "nobody@contoso.com", "-Force").status == 0
    done = endpoint("remove", "CN={33e5014b},CN=Application Contacts", "-Force")
    assert done.status == 1  # there may well be one: it can't be told which is meant
    assert "Active Directory" in done.err
    assert own_file.exists()


def test_get_without_any(endpoint: Command) -> None:
    done = endpoint("get")
    assert (done.status, done.out) == (0, "")
    assert "has no endpoints yet" in done.err
    assert json.loads(endpoint("get", "--json").out) == {
        "schema": "chatredirect/endpoints/1",
        "endpoints": [],
    }


def test_get_lists_all(endpoint: Command, new: Command) -> None:
    """State and moment are there; the table has nothing cut."""
    new("sip:a@contoso.com", "-DisplayName", "A")
    new("sip:b@contoso.com", "-ActiveFrom", "2126-11-23T06:00:00+01:00", "-Mode", "Redirect")
    new("sip:c@contoso.com", "-State", "disabled")
    new("sip:d@contoso.com", "-ActiveFrom", "2020-11-23T06:00:00+01:00")
    header, *rows = endpoint("get").out.splitlines()
    assert header.split() == [
        "SipAddress",
        "PersistentChatPoolFqdn",
        "Mode",
        "State",
        "DisplayName",
    ]
    assert [row.split() for row in rows] == [
        ["sip:a@contoso.com", "pcpool.contoso.com", "redirect", "active", "A"],
        [
            *("sip:b@contoso.com", "pcpool.contoso.com", "redirect"),
            *("maintenance", "until", "2126-11-23T06:00:00+01:00"),
        ],
        ["sip:c@contoso.com", "pcpool.contoso.com", "redirect", "disabled"],
        ["sip:d@contoso.com", "pcpool.contoso.com", "redirect", "active"],
    ]
    found = endpoint("get", "-Filter", "State -eq disabled -or DisplayName -eq a", "--json")
    addresses = [each["sip_address"] for each in json.loads(found.out)["endpoints"]]
    assert addresses == ["sip:a@contoso.com", "sip:c@contoso.com"]
    assert len(endpoint("get", "-ResultSize", "2").out.splitlines()) == 3
    assert len(endpoint("get", "-ResultSize", "Unlimited").out.splitlines()) == 5
    assert len(endpoint("get", "-ResultSize", "2147483647").out.splitlines()) == 5
    assert "no endpoint matches" in endpoint("get", "-PoolFqdn", "other.contoso.com").err


def test_get_one(endpoint: Command, new: Command, folder: Path) -> None:
    """By any spelling of its address, or by its name; with the place where it stands."""
    new("sip:a@contoso.com", "-DisplayName", "Our Chat")
    sheets = {endpoint("get", *by).out for by in (["A@CONTOSO.COM"], ["-Identity", "our chat"])}
    (sheet,) = sheets
    assert f"Source                 : {folder}/a@contoso.com.yaml:2" in sheet
    assert endpoint("get", "b@contoso.com").status == 1
    assert endpoint("get", "a@contoso.com", "--identity", "b@contoso.com").status == 2


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["-Filter", "Nonsense -eq 1"], "--filter"),
        (["-ResultSize", "many"], "--result-size"),
        (["-PersistentChatPoolFqdn", "https://x/"], "--persistent-chat-pool-fqdn"),
    ],
)
def test_get_bad_values(endpoint: Command, arguments: list[str], option: str) -> None:
    done = endpoint("get", *arguments)
    assert done.status == 2
    assert option in done.err


def test_get_of_a_faulty_configuration(endpoint: Command, config: Path) -> None:
    config.write_text("listen: nowhere\n")
    done = endpoint("get")
    assert done.status == 78
    assert f"{config}:1:9: error: listen" in done.err


def test_get_shows_the_state_that_it_has_filtered_by(
    config: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while an endpoint becomes active: the command looks at the clock once."""
    folder.mkdir()
    (folder / "chat.yaml").write_text(
        "sip_address: sip:chat@contoso.com\npool_fqdn: pcpool.contoso.com\n"
        "active_from: 2026-11-23T06:00:00Z\n"
    )
    seconds = count(datetime.fromisoformat("2026-11-23T05:59:59Z").timestamp())
    monkeypatch.setattr(endpoint_commands, "time", SimpleNamespace(time=lambda: next(seconds)))
    arguments = ["get", "chat@contoso.com", "--filter", "State -eq maintenance", "--json"]
    done = CliRunner().invoke(app, ["endpoint", *arguments, "--config", str(config)])
    assert json.loads(done.stdout)["endpoints"][0]["state_now"] == "maintenance"
