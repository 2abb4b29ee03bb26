"""`watch: true`: a change of the files is a reload by itself, however the files are changed."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.service.client import ask, request, talk
from tests.service.daemon import Daemon, configuration, endpoint, eventually
from tests.service.fixtures import Run


def text_of(**keys: Any) -> str:
    return yaml.safe_dump(configuration(**{"watch": True, "control": {"socket": False}} | keys))


def starts(run_daemon: Run, folder: Path, **keys: Any) -> Daemon:
    folder.mkdir(parents=True)
    config = folder / "chatredirect.yaml"
    config.touch(mode=0o600)
    config.write_text(text_of(**keys))
    daemon = run_daemon(config)
    daemon.event("watching")
    return daemon


def serves(daemon: Daemon, uri: str) -> bool:
    with talk("udp", daemon.address()) as client:
        answer = ask(client, request(uri=uri))
    assert answer is not None
    return answer.status == 302


NEW = "sip:new@contoso.com"


def in_place(file: Path, text: str) -> None:
    file.write_text(text)


def as_vim(file: Path, text: str) -> None:
    """The old one becomes a backup, a new one is written and the backup removed."""
    backup = file.with_name(file.name + "~")
    file.rename(backup)
    file.touch(mode=0o600)
    file.write_text(text)
    backup.unlink()


def as_gedit(file: Path, text: str) -> None:
    """Written elsewhere, then put in its place."""
    new = file.with_name(".goutputstream-AB12")
    new.touch(mode=0o600)
    new.write_text(text)
    new.rename(file)


def in_pieces(file: Path, text: str) -> None:
    """What is half written is not read."""
    half = len(text) // 2
    with file.open("w") as stream:
        stream.write(text[:half])
        stream.flush()  # no fsync: it may take longer than what counts as one change
        stream.write(text[half:])


def another_folder(file: Path, text: str) -> None:
    """The folder goes away, and another one comes in its place."""
    new = file.parent.with_name("new")
    new.mkdir()
    as_gedit(new / file.name, text)
    file.parent.rename(file.parent.with_name("old"))
    new.rename(file.parent)


@pytest.mark.parametrize("change", [in_place, as_vim, as_gedit, in_pieces, another_folder])
def test_a_change_is_a_reload(
    run_daemon: Run, tmp_path: Path, change: Callable[[Path, str], None]
) -> None:
    daemon = starts(run_daemon, tmp_path / "etc")
    change(daemon.config, text_of(endpoints=[endpoint(NEW)]))
    daemon.event("configuration_changed")
    assert serves(daemon, NEW)
    assert not daemon.events("reload_refused")


def test_a_link_that_leads_elsewhere(run_daemon: Run, tmp_path: Path) -> None:
    """As in a container's mounted configuration: the folder is a link, exchanged in one go."""
    daemon = starts(run_daemon, tmp_path / "v1")
    daemon.stop()
    os.symlink("v1", tmp_path / "etc")
    daemon = run_daemon(tmp_path / "etc" / "chatredirect.yaml")
    daemon.event("watching")
    (tmp_path / "v2").mkdir()
    as_gedit(tmp_path / "v2" / "chatredirect.yaml", text_of(endpoints=[endpoint(NEW)]))
    os.symlink("v2", tmp_path / "etc.new")
    os.rename(tmp_path / "etc.new", tmp_path / "etc")
    daemon.event("configuration_changed")
    assert serves(daemon, NEW)


def test_the_secrets_file(run_daemon: Run, tmp_path: Path) -> None:
    """In a folder of its own, as a Secret is mounted: a link is exchanged, and the file changes."""
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text(f"{name}: a secret of some length")
        (tmp_path / name / "secret").chmod(0o600)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "secret").symlink_to("..data/secret")
    file = str(tmp_path / "secret")
    daemon = starts(run_daemon, tmp_path / "etc", secret=None, secret_file=file)
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert daemon.event("configuration_changed")["settings"] == ["secret"]
    in_place(tmp_path / "..2/secret", "short")
    daemon.event("reload_refused")
    in_place(tmp_path / "..2/secret", "..3: a secret of some length")
    eventually(lambda: len(daemon.events("configuration_changed")) == 2, "the third secret")


def test_included_files(run_daemon: Run, tmp_path: Path) -> None:
    """One comes, changes and goes; so does their folder. Other files in there mean nothing."""
    folder = tmp_path / "etc" / "endpoints.d"
    folder.mkdir(parents=True)
    config = tmp_path / "etc" / "chatredirect.yaml"
    config.touch(mode=0o600)
    config.write_text(text_of(include="endpoints.d/*.yaml"))
    daemon = run_daemon(config)
    daemon.event("watching")
    (folder / "notes.txt").write_text("nothing")
    (folder / "new.yaml").write_text(yaml.safe_dump(endpoint(NEW)))
    eventually(lambda: serves(daemon, NEW), "the new endpoint")
    assert len(daemon.events("files_changed")) == 1
    (folder / "new.yaml").unlink()
    eventually(lambda: not serves(daemon, NEW), "its end")
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "new.yaml").write_text(yaml.safe_dump(endpoint(NEW)))
    eventually(lambda: serves(daemon, NEW), "the new endpoint in the new folder")


def test_a_faulty_change_is_refused(run_daemon: Run, tmp_path: Path) -> None:
    """And the next one, which is right, is taken."""
    daemon = starts(run_daemon, tmp_path / "etc")
    in_place(daemon.config, "listen: [\n")
    daemon.event("reload_refused")
    assert serves(daemon, "sip:ocschat@contoso.com")
    as_gedit(daemon.config, text_of(endpoints=[endpoint(NEW)]))
    daemon.event("configuration_changed")


def test_a_file_that_is_gone_is_no_reload(run_daemon: Run, tmp_path: Path) -> None:
    """It may come back: told once."""
    daemon = starts(run_daemon, tmp_path / "etc")
    text = daemon.config.read_text()
    daemon.config.unlink()
    assert daemon.event("configuration_gone")["file"] == str(daemon.config)
    daemon.config.write_text(text)
    daemon.event("configuration_unchanged")
    assert not daemon.events("reload_refused")


def test_it_can_be_switched_on_and_off(run_daemon: Run, tmp_path: Path) -> None:
    """By a reload, as everything can."""
    daemon = starts(run_daemon, tmp_path / "etc")
    in_place(daemon.config, text_of(watch=False))
    assert daemon.event("configuration_changed")["settings"] == ["watch"]
    seen = len(daemon.events("files_changed"))
    in_place(daemon.config, text_of(watch=False, endpoints=[endpoint(NEW)]))
    time.sleep(1.5)
    assert len(daemon.events("files_changed")) == seen
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: serves(daemon, NEW), "the new endpoint")
