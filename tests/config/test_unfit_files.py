"""docs/configuration.md, Files: regular ones of bounded size are read, and none is waited for."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatredirect.config import ConfigError, load
from chatredirect.config.control_socket import configured_socket
from chatredirect.config.models import DEFAULT_SOCKET, TlsSettings
from chatredirect.dns.hosts import Hosts
from chatredirect.runtime import regular_file
from chatredirect.runtime.regular_file import UnfitFileError, read_file
from chatredirect.transport.tls_contexts import TlsError, client_context, expiry, server_context
from tests.service.daemon import configuration
from tests.tls.authority import Authority

KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "is a FIFO"),
    "directory": (os.mkdir, "is a directory"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a device"),
    "link to a fifo": (
        lambda path: (os.mkfifo(f"{path}.to"), path.symlink_to(f"{path}.to")),
        "is a FIFO",
    ),
    "large": (lambda path: (path.touch(), os.truncate(path, 1 << 30)), "is larger than"),
}


@pytest.fixture(params=KINDS)
def unfit(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A path that leads to no file for us, and what is said of it."""
    make, says = KINDS[request.param]
    make(tmp_path / "unfit")
    return tmp_path / "unfit", says


def written(path: Path, **keys: Any) -> Path:
    path.write_text(yaml.safe_dump(configuration(**keys)))
    return path


def test_as_the_main_file(unfit: tuple[Path, str]) -> None:
    with pytest.raises(ConfigError, match=unfit[1]) as caught:
        load(unfit[0])
    assert caught.value.faults[0].file == str(unfit[0])


def test_as_an_include(unfit: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=unfit[1]) as caught:
        load(written(tmp_path / "main.yaml", include="unfit"))
    assert caught.value.faults[0].file == str(unfit[0])


@pytest.mark.parametrize("key", ["certificate", "private_key", "ca"])
def test_as_a_tls_file(
    unfit: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory, key: str
) -> None:
    """docs/tls.md: named with its kind, for listeners and for connections to pools."""
    leaf = Authority(tmp_path_factory.mktemp("ca")).issue("sip.contoso.com")
    profile = TlsSettings(**(leaf.files | {key: str(unfit[0])}))
    for context in (server_context, client_context):
        with pytest.raises(TlsError, match=unfit[1]) as caught:
            context(profile)
        assert str(unfit[0]) in str(caught.value)


def test_as_a_certificate_with_a_date(unfit: tuple[Path, str]) -> None:
    with pytest.raises(TlsError, match=unfit[1]):
        expiry(str(unfit[0]))


def test_as_the_hosts_file(unfit: tuple[Path, str]) -> None:
    fault = Hosts({}, str(unfit[0])).fault
    assert fault is not None
    assert unfit[1] in fault


def test_for_the_control_socket(unfit: tuple[Path, str]) -> None:
    """A command that can't read the file asks at the default place."""
    assert configured_socket(unfit[0]) == DEFAULT_SOCKET


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(written(tmp_path / "main.yaml"))
    assert load(tmp_path / "link").endpoints


def test_a_file_that_grows_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound holds for what is read, whatever the size said before."""
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    read = os.read

    def grow(descriptor: int, octets: int) -> bytes:
        with file.open("ab") as more:
            more.write(b"x" * 100)
        return read(descriptor, octets)

    monkeypatch.setattr(os, "read", grow)
    with pytest.raises(UnfitFileError, match="larger"):
        read_file(file, 150)


# -- `check` reads a pipe that is named on its command line ------------------------------------


def check(arguments: str, content: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} -m chatredirect check --offline {arguments}"],
        input=content,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("named", ["/dev/stdin", "<(sleep 0.3; cat main.yaml)"])
def test_check_reads_a_pipe(tmp_path: Path, named: str) -> None:
    file = written(tmp_path / "main.yaml")
    result = check(named, file.read_text(), tmp_path)
    assert result.returncode == 0, result.stdout
    assert "can be used" in result.stdout


def test_a_pipe_is_bounded_in_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["sh", "-c", "exec cat /dev/zero > pipe"], cwd=tmp_path) as writer:
        try:
            with pytest.raises(UnfitFileError, match="larger than 64 KiB"):
                read_file(tmp_path / "pipe", 65_536, pipe=True)
        finally:
            writer.kill()


@pytest.mark.parametrize("begun", [b"", b"listen:"])
def test_a_pipe_is_bounded_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """Nobody writes, or somebody begins and doesn't end."""
    monkeypatch.setattr(regular_file, "PIPE_SECONDS", 0.3)
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        os.write(writer, begun)
        with pytest.raises(UnfitFileError, match="didn't end"):
            read_file(tmp_path / "pipe", 65_536, pipe=True)
    finally:
        os.close(writer)
    with pytest.raises(UnfitFileError, match="didn't end"):
        read_file(tmp_path / "pipe", 65_536, pipe=True)
