"""`chatredirect check` on TLS: the files are opened as the daemon would, and doubts are told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.service.daemon import configuration, endpoint, run_command
from tests.tls.authority import DAY, NOW, Authority, Leaf
from tests.tls.client import SERVER

Section = Callable[..., dict[str, Any]]


def check(folder: Path, **keys: Any) -> dict[str, Any]:
    """The answer in JSON, with the exit status as `status`."""
    file = folder / "main.yaml"
    settings = configuration(**({"listen": ["tls://127.0.0.1:5061"], "secret": None} | keys))
    file.write_text(yaml.safe_dump(settings))
    done = run_command("check", file, "--offline", "--json")
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout) | {"status": done.returncode}
    answer["errors"] = answer.get("error", {}).get("faults", [])
    return answer


def messages(answer: dict[str, Any], kind: str) -> list[str]:
    return [each["message"] for each in answer[kind]]


def test_all_is_well(tmp_path: Path, tls: Section) -> None:
    answer = check(tmp_path, tls=tls())
    assert (answer["status"], answer["warnings"]) == (0, [])


@pytest.mark.parametrize("missing", ["certificate", "private_key", "ca"])
def test_files_that_arent_there(tmp_path: Path, tls: Section, missing: str) -> None:
    """Exit status 78, as for every configuration that can't be used; relative to the file."""
    answer = check(tmp_path, tls=tls(**{missing: "no/such.pem"}))
    assert answer["status"] == 78
    assert messages(answer, "errors") == [f"tls: {tmp_path}/no/such.pem: no such file or directory"]


def test_each_listeners_files(tmp_path: Path, tls: Section, stranger: Leaf) -> None:
    """A key that belongs to another certificate, on one listener alone."""
    url = "tls://127.0.0.1:5061"
    listeners = {url: {"private_key": str(stranger.private_key)}}
    answer = check(tmp_path, tls=tls(listeners=listeners))
    assert answer["status"] == 78
    (message,) = messages(answer, "errors")
    assert "not the key of the certificate" in message


def test_without_listeners_too(tmp_path: Path, tls: Section) -> None:
    """What connections to pools would present."""
    listen = ["udp://127.0.0.1:5060"]
    assert check(tmp_path, listen=listen, tls=tls())["status"] == 0
    assert check(tmp_path, listen=listen, tls=tls(ca="x.pem"))["status"] == 78


@pytest.mark.parametrize(
    ("mode", "names", "missing"),
    [
        ("proxy", ["cr1.contoso.com", "cr.contoso.com"], []),
        ("proxy", ["*.contoso.com"], []),
        ("proxy", ["cr1.contoso.com"], ["cr.contoso.com, which proxy.record_route_host gives"]),
        ("proxy", ["cr.contoso.com"], ["cr1.contoso.com, which advertise gives"]),
        ("lookup", ["cr1.contoso.com"], []),
        ("lookup", ["cr.contoso.com"], ["cr1.contoso.com, which advertise gives"]),
        ("redirect", ["other.contoso.com"], []),
    ],
)
def test_the_certificate_carries_our_names(
    tmp_path: Path,
    tls: Section,
    authority: Authority,
    mode: str,
    names: list[str],
    missing: list[str],
) -> None:
    """Whoever connects to a name that we give out looks for it in the certificate."""
    leaf = authority.issue(*names, file="names")
    answer = check(
        tmp_path,
        tls=tls(**leaf.files, allowed_peers=["fe01.contoso.com", "pcpool.contoso.com"]),
        advertise="cr1.contoso.com",
        proxy={"record_route_host": "cr.contoso.com"},
        endpoints=[endpoint(mode=mode)],
    )
    assert answer["status"] == 0
    found = [text for text in messages(answer, "warnings") if "the certificate has no name" in text]
    assert [says in text for says, text in zip(missing, found, strict=True)] == [True] * len(found)


def test_expiry(tmp_path: Path, tls: Section, authority: Authority) -> None:
    leaf = authority.issue(SERVER, file="short", not_after=NOW + 9.5 * DAY)
    answer = check(tmp_path, tls=tls(**leaf.files))
    assert answer["status"] == 0
    (message,) = messages(answer, "warnings")
    assert "expires in 9 days" in message


def test_a_key_for_everybody(tmp_path: Path, tls: Section, authority: Authority) -> None:
    leaf = authority.issue(SERVER, file="exposed")
    leaf.private_key.chmod(0o644)
    answer = check(tmp_path, tls=tls(**leaf.files))
    (message,) = messages(answer, "warnings")
    assert "can be read or written by every user" in message
    leaf.private_key.chmod(0o640)
    assert check(tmp_path, tls=tls(**leaf.files))["warnings"] == []


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"minimum_version": "TLSv1.1"}, ["RFC 8996 forbids", "security level 0 opens"]),
        ({"ciphers": "DEFAULT:@SECLEVEL=1"}, ["security level 1 opens the door to RSA keys"]),
        (
            {"minimum_version": "TLSv1", "ciphers": "DEFAULT"},
            ["RFC 8996 forbids", "add :@SECLEVEL=0"],
        ),
        (
            {"minimum_version": "TLSv1", "ciphers": "AES128-SHA:@SECLEVEL=0"},
            ["RFC 8996 forbids", "security level 0 opens"],
        ),
        ({"minimum_version": "TLSv1.3"}, []),
    ],
)
def test_what_old_settings_open(
    tmp_path: Path, tls: Section, keys: dict[str, str], says: list[str]
) -> None:
    answer = check(tmp_path, tls=tls(**keys))
    assert answer["status"] == 0
    found = messages(answer, "warnings")
    assert len(found) == len(says)
    for message, part in zip(found, says, strict=True):
        assert part in message
        assert message.startswith("tls, listener tls://127.0.0.1:5061: ")


@pytest.mark.parametrize(
    ("keys", "lacks"),
    [
        ({}, None),
        ({"allowed_peers": None}, "without allowed_peers"),
        ({"allowed_peers": None, "verify_peer": "none"}, "with verify_peer: none"),
    ],
)
def test_trusted_peers_that_nobody_can_prove_to_be(
    tmp_path: Path, tls: Section, keys: dict[str, Any], lacks: str | None
) -> None:
    answer = check(tmp_path, tls=tls(**keys), endpoints=[endpoint(peers="trusted")])
    found = messages(answer, "warnings")
    assert len(found) == (lacks is not None)
    assert lacks is None or lacks in found[0]
