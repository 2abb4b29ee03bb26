"""Nothing half done: whatever prevents a change, everything is as it was."""

import fcntl
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chatredirect.commands.endpoint import files as endpoint_files
from chatredirect.config import load
from tests.commands.endpoint.conftest import MAIN, Command, files
from tests.privileges import AS_NOBODY

ROOT = os.geteuid() == 0
NOBODY = 65534


def process(
    config: Path, *arguments: object, before: Sequence[str] = (), **more: object
) -> subprocess.CompletedProcess[str]:
    """The same command as a process of its own, with another command before it."""
    return subprocess.run(
        [*before, sys.executable, "-m", "chatredirect", "endpoint", *map(str, arguments)],
        env={**os.environ, "CHATREDIRECT_CONFIG": str(config), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **more,  # type: ignore[call-overload] # of subprocess
    )


def new(address: str) -> tuple[str, ...]:
    return ("new", "--sip-address", address, "--persistent-chat-pool-fqdn", "pcpool.contoso.com")


def test_two_at_once_make_one(config: Path, folder: Path) -> None:
    """Of commands for one URI, in spellings of it, one makes it; those for others lose nothing."""
    addresses = ["a@contoso.com", "A@CONTOSO.COM", "sip:a@contoso.com:5060", "b@contoso.com"]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda each: process(config, *new(each)), addresses))
    assert sorted(each.returncode for each in done) == [0, 0, 1, 1]
    assert done[3].returncode == 0
    assert sorted(str(each.sip_address.key) for each in load(config).endpoints) == [
        *("b'a@contoso.com'", "b'b@contoso.com'")
    ]
    assert len(files(folder)) == 2


def test_commands_wait_for_one_another(
    endpoint: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits says so, and gives up some time."""
    folder.mkdir()
    monkeypatch.setattr(endpoint_files, "_PATIENCE", 0.2)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        done = endpoint(*new("a@contoso.com"))
        assert done.status == 75
        assert "waiting for it" in done.err
        assert not files(folder)
        monkeypatch.setattr(endpoint_files, "_PATIENCE", 30.0)
        threading.Timer(0.3, os.close, [handle]).start()
        assert endpoint(*new("a@contoso.com")).status == 0
    except BaseException:
        os.close(handle)
        raise


def test_what_a_killed_command_has_left_goes(endpoint: Command, folder: Path) -> None:
    """Hidden files are read by nobody, and the next command clears them away."""
    folder.mkdir()
    (folder / ".chatredirect-0123456789abcdef").write_text("half an endpo")
    (folder / ".keep").write_text("somebody else's")
    assert endpoint("get").status == 0
    assert endpoint(*new("a@contoso.com")).status == 0
    assert set(files(folder)) == {"a@contoso.com.yaml", ".keep"}


def small() -> None:
    """As a full disk has it: no file may become larger."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))


@pytest.mark.parametrize("rows", [1, 40])
def test_what_cannot_be_written(config: Path, folder: Path, tmp_path: Path, rows: int) -> None:
    """A file that doesn't fit is told, and nothing is left of it or of those beside it."""
    text = "".join(f"u{n}@contoso.com,pcpool.contoso.com\n" for n in range(rows))
    sheet = tmp_path / "list.csv"
    sheet.write_text("SipAddress,PersistentChatPoolFqdn\n" + text)
    done = process(config, "new", "--from-csv", sheet, preexec_fn=small)
    assert done.returncode == 74
    assert "nothing has been changed" in done.stderr
    assert "file too large" in done.stderr
    assert not folder.exists()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KB, in which a folder for endpoints is."""
    if not ROOT or shutil.which("mount") is None:
        pytest.skip("mount, as root")
    place = tmp_path / "endpoints.d"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=16k,mode=0755", "tmpfs", str(place)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode != 0:
        pytest.skip("mount, as root")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_full_disk(endpoint: Command, full_disk: Path, tmp_path: Path) -> None:
    """One more row than there is room for, and none is made; a change needs no more room either."""
    assert endpoint(*new("a@contoso.com")).status == 0
    before = files(full_disk)
    sheet = tmp_path / "list.csv"
    text = "".join(f"u{n}@contoso.com,pcpool.contoso.com\n" for n in range(10))
    sheet.write_text("SipAddress,PersistentChatPoolFqdn\n" + text)
    done = endpoint("new", "--from-csv", sheet)
    assert done.status == 74
    assert "no space left on device" in done.err
    assert files(full_disk) == before
    (full_disk / "filler").write_bytes(b"x" * 4096 * 3)
    done = endpoint("set", "a@contoso.com", "--state", "disabled")
    assert done.status == 74
    assert {name: files(full_disk)[name] for name in before} == before
    assert endpoint("remove", "a@contoso.com").status == 0


@pytest.fixture
def public() -> Iterator[Path]:
    """A configuration in a folder that every user may read, unlike those that pytest makes."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "main.yaml").write_text(MAIN)
        (path / "main.yaml").chmod(0o644)
        yield path
        for each in (path, path / "endpoints.d"):  # so that it can be cleared away
            if each.exists():
                each.chmod(0o755)


@pytest.fixture
def unprivileged(public: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command as somebody who may read everything and write nothing."""
    before = AS_NOBODY if ROOT else ()
    return lambda *arguments: process(public / "main.yaml", *arguments, before=before)


def test_a_missing_right(
    unprivileged: Callable[..., subprocess.CompletedProcess[str]], public: Path
) -> None:
    """Who may read, and not write, is told so; nothing changes."""
    folder = public / "endpoints.d"
    assert process(public / "main.yaml", *new("a@contoso.com")).returncode == 0
    before = files(folder)
    folder.chmod(0o555)
    for arguments in (
        new("b@contoso.com"),
        ("set", "a@contoso.com", "--state", "disabled"),
        ("remove", "a@contoso.com"),
    ):
        done = unprivileged(*arguments)
        assert done.returncode == 77, done.stderr
        assert f"isn't permitted to write {folder}" in done.stderr
        assert "use sudo" in done.stderr
        assert files(folder) == before


def test_a_folder_that_may_not_be_made(
    unprivileged: Callable[..., subprocess.CompletedProcess[str]], public: Path
) -> None:
    public.chmod(0o555)
    done = unprivileged(*new("b@contoso.com"))
    assert done.returncode == 77
    assert not (public / "endpoints.d").exists()


def test_new_files_look_like_those_beside_them(
    endpoint: Command, config: Path, folder: Path
) -> None:
    """The daemon can read them as it reads the others: first the main file's rights count."""
    config.chmod(0o640)
    config.parent.chmod(0o750)
    if ROOT:
        os.chown(config, 0, NOBODY)
    assert endpoint(*new("a@contoso.com")).status == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    first = folder / "a@contoso.com.yaml"
    assert stat.S_IMODE(first.stat().st_mode) == 0o640
    assert first.stat().st_gid == config.stat().st_gid
    first.chmod(0o644)
    assert endpoint(*new("b@contoso.com")).status == 0
    assert stat.S_IMODE((folder / "b@contoso.com.yaml").stat().st_mode) == 0o644


def test_a_changed_file_keeps_its_owner_and_rights(endpoint: Command, folder: Path) -> None:
    assert endpoint(*new("a@contoso.com")).status == 0
    path = folder / "a@contoso.com.yaml"
    path.chmod(0o604)
    if ROOT:
        os.chown(path, NOBODY, NOBODY)
    before = path.stat()
    assert endpoint("set", "a@contoso.com", "--state", "disabled").status == 0
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        *(before.st_mode, before.st_uid, before.st_gid),
    )
    assert after.st_ino != before.st_ino  # a file of its own took its place


def test_readers_find_the_old_or_the_new(endpoint: Command, config: Path, folder: Path) -> None:
    """Who reads the folder while it changes always finds whole files."""
    assert endpoint(*new("a@contoso.com")).status == 0
    stop, seen, broken = threading.Event(), set[str](), list[BaseException]()

    def read() -> None:
        while not stop.is_set():
            try:
                seen.update(each.state for each in load(config).endpoints)
            except BaseException as error:  # reported by the test's own thread
                broken.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for state in ("maintenance", "disabled", "active") * 3:
            assert endpoint("set", "a@contoso.com", "--state", state).status == 0
    finally:
        stop.set()
        reader.join()
    assert not broken
    assert seen <= {"active", "maintenance", "disabled"}


def test_a_change_that_fails_half_way_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renames that fail after others have been done: those are undone."""
    folder = tmp_path / "d"
    folder.mkdir()
    old, gone, like = folder / "old", folder / "gone", tmp_path / "like"
    for path in (old, gone, like):
        path.write_text(path.name)
    before = files(folder)
    rename = os.rename

    def failing(source: str, target: str) -> None:
        if target.endswith("/new2"):
            raise OSError(28, "no space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    contents: dict[str, bytes | None] = {
        str(old): b"changed",
        str(gone): None,
        str(folder / "new1"): b"1",
        str(folder / "new2"): b"2",
    }
    with pytest.raises(endpoint_files.FilingError):
        endpoint_files.write_all(str(folder), contents, str(like))
    assert files(folder) == before


def test_a_change_can_be_taken_back(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    old, gone, like = folder / "old", folder / "gone", tmp_path / "like"
    for path in (old, gone, like):
        path.write_text(path.name)
    before = files(folder)
    contents: dict[str, bytes | None] = {
        str(old): b"changed",
        str(gone): None,
        str(folder / "new"): b"1",
    }
    filed = endpoint_files.write_all(str(folder), contents, str(like))
    visible = {name: text for name, text in files(folder).items() if not name.startswith(".")}
    assert visible == {"old": b"changed", "new": b"1"}
    filed.undo()
    assert files(folder) == before
    endpoint_files.write_all(str(folder), contents, str(like)).forget()
    assert files(folder) == {"old": b"changed", "new": b"1"}
