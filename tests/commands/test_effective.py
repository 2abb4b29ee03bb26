"""`check --effective`: every key with the value that counts, and no secret."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import yaml

from chatredirect.config import Settings, load

from .conftest import Command

Write = Callable[..., Path]

SECRETS = ("a secret of sixteen characters", "hunter2-of-the-database", "another-one")
FULL = f"""
    listen: ["udp://127.0.0.1:5060", "tcp://[::1]:5060"]
    advertise: chatredirect.contoso.com:5060
    include: more.d/*.yaml
    trusted_peers: ["192.0.2.0/24", "2001:db8::/32"]
    registrars: {{contoso.com: fe.contoso.com:5061}}
    dns: {{nameservers: [192.0.2.53], hosts: {{pcpool.contoso.com: [192.0.2.20]}}, prefer: ipv6}}
    tls: {{verify_peer: optional, allowed_peers: [fe01.contoso.com, "*.contoso.com"]}}
    http: {{listen: 127.0.0.1:9090, page_listen: "http://127.0.0.1:9465"}}
    health: {{interval: 10.0}}
    proxy: {{dialog_age: off}}
    control: {{socket: off}}
    secret: {SECRETS[0]}
    usage:
      store: postgresql://chat:{SECRETS[1]}@db.contoso.com/usage?sslmode=require&sslpassword={SECRETS[2]}
    endpoints:
      - sip_address: ocschat@contoso.com
        pool_fqdn: pcpool.contoso.com
        mode: lookup
        channel_uris: [sip:chan1@pcpool.contoso.com]
        active_from: 2126-11-23T06:00:00+01:00
"""


def test_it_loads_as_the_same_configuration(
    chatredirect: Command, write: Write, tmp_path: Path
) -> None:
    """All that it prints is a configuration: nothing is left out, and nothing is renamed."""
    (tmp_path / "more.d").mkdir()
    write("sip_address: b@contoso.com\npool_fqdn: p.contoso.com\nport: 5061\n", "more.d/b.yaml")
    path = write(FULL)
    done = chatredirect("check", path, "--effective", "--offline")
    assert done.returncode == 0, done.stdout + done.stderr
    printed = yaml.safe_load(done.stdout)
    hidden = {"files", "fingerprint", "include", "tls_listeners"}
    assert set(printed) == {each.name for each in fields(Settings)} - hidden
    again = tmp_path / "again.yaml"
    again.write_text(done.stdout.replace("********", "x" * 20))
    first, second = load(path), load(again)
    for each in fields(Settings):
        if each.name not in {*hidden, "endpoints", "secret", "usage"}:
            assert getattr(first, each.name) == getattr(second, each.name), each.name
    usage = (replace(settings.usage, store=None) for settings in (first, second))
    assert next(usage) == next(usage)
    assert [e.values() for e in first.endpoints] == [e.values() for e in second.endpoints]


def test_no_secret_is_printed(chatredirect: Command, write: Write) -> None:
    path = write(FULL)
    for option in ((), ("--json",)):
        done = chatredirect("check", path, "--effective", "--offline", *option)
        assert done.returncode == 0
        assert not [each for each in SECRETS if each in done.stdout + done.stderr]
    configuration = json.loads(done.stdout)["configuration"]
    assert configuration["secret"] == "********"
    assert configuration["usage"]["store"] == (
        "postgresql://chat:********@db.contoso.com/usage?sslmode=require&sslpassword=********"
    )


def test_defaults(chatredirect: Command, write: Write) -> None:
    """What the file doesn't say is there with its default."""
    path = write("listen: [udp://127.0.0.1:5060]\n")
    printed = yaml.safe_load(chatredirect("check", path, "--effective").stdout)
    assert printed["limits"]["connections"] == 10_000
    assert printed["dns"]["hosts_file"] == "/etc/hosts"
    assert printed["usage"]["store"] == "auto"
    assert printed["health"] is None
    assert printed["endpoints"] == []
    assert yaml.safe_load(chatredirect("check", path, "--effective").stdout) == printed


def test_a_faulty_file_is_told(chatredirect: Command, write: Write) -> None:
    done = chatredirect("check", write("listen: 5\n"), "--effective")
    assert done.returncode == 78
    assert "main.yaml:1:" in done.stdout
