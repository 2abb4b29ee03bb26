"""A release: sdist, wheel, list of parts and checksums, all of one version."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.installed.clone import WHEELS
from tests.installed.readme import ROOT


def _run(
    *command: str | Path, cwd: Path = ROOT, **environment: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": "/root", "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this tree with a commit of all that is in it."""
    folder = tmp_path_factory.mktemp("release") / "clone"
    listed = _run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    who = ("-c", "user.name=test", "-c", "user.email=test@contoso.com")
    for command in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "a commit")):
        assert _run("git", *command, cwd=folder).returncode == 0
    return folder


@pytest.fixture(scope="module")
def release(clone: Path) -> Path:
    """The folder with a release of it."""
    made = _run(clone / "deploy/dist", clone.parent / "dist", cwd=clone)
    assert made.returncode == 0, made.stderr
    return clone.parent / "dist"


def _version(release: Path) -> str:
    return next(release.glob("*.tar.gz")).name.removeprefix("chatredirect-").removesuffix(".tar.gz")


def test_checksums(release: Path) -> None:
    """SHA256SUMS has each file, as sha256sum takes it."""
    checked = _run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=release)
    assert checked.returncode == 0
    assert len(checked.stdout.splitlines()) == len(list(release.iterdir())) - 1 == 3


def test_the_sdist_is_the_tree(release: Path, clone: Path) -> None:
    """It has what a clone has, and knows its version without git."""
    archive = next(release.glob("*.tar.gz"))
    assert _run("tar", "xzf", archive, cwd=release.parent).returncode == 0
    tree = release.parent / f"chatredirect-{_version(release)}"
    assert _run(tree / "deploy/version", cwd=tree).stdout.strip() == _version(release)
    refused = _run(tree / "deploy/dist", release.parent / "again", cwd=tree)
    assert (refused.returncode, refused.stderr[:26]) == (1, "dist: no clone of the repo")
    tracked = _run("git", "ls-files", cwd=clone).stdout.split()
    assert [name for name in tracked if not (tree / name).exists()] == [".gitignore"]


def test_the_wheel_is_tagged_as_what_it_is(release: Path) -> None:
    """With the codec it is for this processor and every Python from 3.11 on."""
    (wheel,) = release.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert ("chatredirect/codec/_codec.abi3.so" in names) == ("-cp311-abi3-linux_" in wheel.name)
    assert not [name for name in names if name.endswith(".c") or name.startswith("tests/")]


def test_pipx_takes_it(release: Path, tmp_path: Path) -> None:
    """`pipx install` of the wheel gives a command that knows its version."""
    (wheel,) = release.glob("*.whl")
    folders = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    folders["PIPX_DEFAULT_BACKEND"] = "pip"
    python = ("--python", "/usr/bin/python3", f"--pip-args=--find-links={WHEELS}")
    done = _run(sys.executable, "-m", "pipx", "install", *python, wheel, cwd=tmp_path, **folders)
    assert done.returncode == 0, done.stderr
    said = _run(tmp_path / "bin/chatredirect", "--version", cwd=tmp_path).stdout
    assert said.startswith(f"chatredirect {_version(release)} (codec: ")


def test_all_parts_are_listed(release: Path) -> None:
    """The CycloneDX document has each locked package with its version, and what it is about."""
    (listed,) = release.glob("*.cdx.json")
    document = json.loads(listed.read_text())
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "chatredirect"
    assert document["metadata"]["component"]["version"] == _version(release)
    locked = re.findall(r"(?m)^([A-Za-z0-9._-]+)==(\S+)", (ROOT / "requirements.lock").read_text())
    assert {(part["name"], part["version"]) for part in document["components"]} == set(locked)


def test_a_tag_is_the_version(clone: Path) -> None:
    """At vX.Y.Z it is X.Y.Z, and a release wants the changelog's section of it."""
    assert _run("git", "tag", "v0.1.0", cwd=clone).returncode == 0
    try:
        assert _run(clone / "deploy/version", cwd=clone).stdout == "0.1.0\n"
        refused = _run(clone / "deploy/dist", clone.parent / "tagged", cwd=clone)
        assert refused.returncode == 1
        assert "CHANGELOG.md has no section ## [0.1.0]" in refused.stderr
        assert _run("git", "tag", "-d", "v0.1.0", cwd=clone).returncode == 0
        assert _run("git", "tag", "v0.3.0", cwd=clone).returncode == 0
        refused = _run(clone / "deploy/version", cwd=clone)
        assert refused.returncode == 1
        assert "the tag is v0.3.0 and chatredirect/__init__.py says 0.1.0" in refused.stderr
    finally:
        _run("git", "tag", "-d", "v0.1.0", "v0.3.0", cwd=clone)


def test_a_tag_of_another_form_is_no_release(clone: Path) -> None:
    """The next patch after v1.2.0-rc1 would be newer than v1.2.0 itself, and that after v2 none."""
    before = _run(clone / "deploy/version", cwd=clone).stdout
    assert before.startswith("0.1.0.dev")
    for tag in ("v1.2.0-rc1", "v2", "v1.2", "vNext.1.2"):
        assert _run("git", "tag", tag, cwd=clone).returncode == 0
        try:
            told = _run(clone / "deploy/version", cwd=clone)
            assert (told.returncode, told.stdout) == (0, before)
        finally:
            _run("git", "tag", "-d", tag, cwd=clone)
