"""The manual page and bash's completion tell of every command, and are right in form."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from chatredirect.cli import app
from chatredirect.commands.description import tree
from tests.installed.readme import ROOT


def made(what: str) -> str:
    """What `python -m chatredirect.manual` prints."""
    return subprocess.run(
        [sys.executable, "-m", "chatredirect.manual", what],
        cwd=ROOT,
        env={"SOURCE_DATE_EPOCH": "1795334400"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def page() -> str:
    return made("page")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "chatredirect"
    path.write_text(made("bash"), encoding="utf-8")
    return path


def parsed(command: Any, path: str) -> Iterator[tuple[str, set[str]]]:
    """Every command of typer's own parser, with the options that it takes."""
    yield (
        path,
        {
            name
            for parameter in command.params
            if parameter.param_type_name == "option" and not parameter.hidden
            for name in (*parameter.opts, *parameter.secondary_opts)
        },
    )
    for name, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from parsed(below, f"{path} {name}")


def test_the_tree_is_what_the_parser_takes() -> None:
    """No command and no option is missing, none is made up."""
    ours = {
        path: {name for option in command.options for name in option.names} - {"--help", "-h"}
        for path, command in tree(app, "chatredirect").each()
    }
    theirs = dict(parsed(typer.main.get_command(app), "chatredirect"))
    assert ours == theirs
    assert "--via" in ours["chatredirect probe"]


def test_everything_is_in_the_page(page: str) -> None:
    """Each command has its section, each option its entry, with its text."""
    text = page.replace("\\-", "-")
    for path, command in tree(app, "chatredirect").each():
        if not command.commands:
            section = text.partition(f'.SS "{path.partition(" ")[2]}"\n')[2].partition("\n.SS ")[0]
            assert section, path
            for option in command.options:
                assert option.help, f"{path}: {option.names} has no help"
                for name in option.names:
                    assert f"\\fB{name}\\fR" in section, f"{path}: {name}"


def test_the_page_is_right_in_form(page: str, tmp_path: Path) -> None:
    """groff, as man(1) calls it, has no warning, and mandoc's lint no complaint."""
    path = tmp_path / "chatredirect.8"
    path.write_text(page, encoding="utf-8")
    checks = (
        ("groff", "-man", "-ww", "-Tutf8", "-z", "-rCHECKSTYLE=3"),
        ("mandoc", "-T", "lint", "-W", "warning"),
    )
    for tool, *options in checks:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} not found")
        done = subprocess.run(
            [tool, *options, str(path)], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), tool


def test_the_page_can_be_read(page: str, tmp_path: Path) -> None:
    """Options look as they are typed, so that they can be searched for and copied."""
    if shutil.which("groff") is None:
        pytest.skip("groff not found")
    path = tmp_path / "chatredirect.8"
    path.write_text(page, encoding="utf-8")
    shown = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert re.search(r"(?m)^CHATREDIRECT\(8\)", shown)
    assert "--config, -c FILE" in shown
    assert "chatredirect probe [options] SIP_URI" in shown


def completions(script: Path, cwd: Path, line: str, **environ: str) -> list[str]:
    """What bash offers at the end of a command line."""
    asks = (
        'source "$1"; COMP_LINE=$2 COMP_POINT=${#2}; '
        '"$(complete -p chatredirect | sed "s/.*-F //;s/ .*//")"; '
        '[ ${#COMPREPLY[@]} = 0 ] || printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-u", "-c", asks, "bash", str(script), line],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    return sorted(done.stdout.splitlines())


def test_completion(script: Path, tmp_path: Path) -> None:
    """Commands, options, values and files, at every place where they may stand."""
    (tmp_path / "some file.yaml").touch()
    (tmp_path / "some.d").mkdir()

    def offers(line: str) -> list[str]:
        return completions(script, tmp_path, f"chatredirect {line}")

    assert {"run", "check", "resolve", "probe", "reload"} <= set(offers(""))
    assert offers("res") == ["resolve"]
    assert offers("--v") == ["--version"]
    assert offers("nonsense --config so") == []
    assert offers("check --l") == ["--live"]
    assert offers("check so") == ["some file.yaml", "some.d"]
    assert offers("run --config so") == ["some file.yaml", "some.d"]
    assert offers("run --config=so") == ["some file.yaml", "some.d"]
    assert offers("run --config=") == ["some file.yaml", "some.d"]
    assert offers("run -c x.yaml --co") == ["--config"]
    assert offers("resolve --transport ") == ["tcp", "tls", "udp"]
    assert offers("resolve --transport=t") == ["tcp", "tls"]
    assert offers("endpoint ") == ["get", "new", "remove", "set"]
    assert offers("endpoint new --mode l") == ["lookup"]
    assert offers("endpoint new --transport ") == ["tcp", "tls", "udp"]
    assert offers("endpoint new --from-csv so") == ["some file.yaml", "some.d"]
    assert offers("probe sip:a@contoso.com --via udp://127.0.0.1:5060 --meth") == ["--method"]
    assert offers("probe --via udp://127.0.0.1:5060 --method I") == ["INVITE"]
    assert offers("log-level ") == ["configured", "debug", "error", "info", "warning"]
    assert offers("usage --since ") == []
    # the value of an option is no command
    assert offers("probe --via check --loo") == ["--lookup"]


NAMES = """\
endpoint sip:hq@contoso.com
endpoint sip:ocschat@contoso.com
endpoint sip:ocschat2@contoso.com
pool pcpool.contoso.com
pool pcpool2.contoso.com
"""


@pytest.mark.parametrize(
    "control",
    [
        "control:\n  socket: run.sock\n",
        "control: {socket: 'run.sock'}  # beside it\n",
        "control: { socket: FOLDER/run.sock }\n",
    ],
)
def test_completion_of_names(script: Path, tmp_path: Path, control: str) -> None:
    """Addresses and pools are those of the file beside the configuration's control socket."""
    config = tmp_path / "c.yaml"
    config.write_text(f"listen: []\n{control.replace('FOLDER', str(tmp_path))}")
    (tmp_path / "run.sock.names").write_text(NAMES)

    def offers(line: str) -> list[str]:
        return completions(
            script, tmp_path, f"chatredirect {line}", CHATREDIRECT_CONFIG=str(config)
        )

    # bash has its word breaks at the colon and the at sign, and replaces what follows the last one
    both = ["ocschat2@contoso.com", "ocschat@contoso.com"]
    assert offers("trace --endpoint sip:o") == both
    assert offers("trace --endpoint=sip:h") == ["hq@contoso.com"]
    assert offers("endpoint get oc") == both
    assert offers("endpoint get ocschat@") == ["contoso.com"]
    assert offers("endpoint set sip:hq@con") == ["contoso.com"]
    assert offers("endpoint get --persistent-chat-pool-fqdn pcpool2") == ["pcpool2.contoso.com"]
    assert offers("resolve p") == ["pcpool.contoso.com", "pcpool2.contoso.com"]
    # the URI of a new endpoint, and a caller's, are none of these
    assert offers("endpoint new --sip-address sip:o") == []
    assert offers("trace --from sip:o") == []
    assert offers("usage forget sip:o") == []


def test_completion_where_the_command_says_it(script: Path, tmp_path: Path) -> None:
    """`--config` and `--socket` on the line count, in both spellings."""
    config = tmp_path / "c.yaml"
    config.write_text("control: {socket: run.sock}\n")
    for name in ("run.sock", "other"):
        (tmp_path / f"{name}.names").write_text(f"endpoint sip:{name}@contoso.com\n")
    for where, found in (
        (f"--config {config}", "run.sock"),
        (f"--config={config}", "run.sock"),
        (f"-c {config}", "run.sock"),
        (f"--socket {tmp_path}/other", "other"),
        (f"-c {config} --socket={tmp_path}/other", "other"),
    ):
        line = f"chatredirect trace {where} --endpoint sip:"
        assert completions(script, tmp_path, line) == [f"{found}@contoso.com"]


def test_the_tab_key(script: Path, tmp_path: Path) -> None:
    """A real bash at a terminal completes the line, and no chatredirect is there to be asked."""
    (tmp_path / "run.sock.names").write_text(NAMES)
    pid, screen = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {"PATH": "/usr/bin:/bin"})
    shown = b""

    def type_(text: str, until: str) -> None:
        nonlocal shown
        os.write(screen, text.encode())
        ends = time.monotonic() + 30
        while until.encode() not in shown:
            assert time.monotonic() < ends, shown
            if select.select([screen], [], [], 0.1)[0]:
                shown += os.read(screen, 65536)

    try:
        type_(f"source {script}; bind 'set enable-bracketed-paste off'; echo re''ady\n", "ready")
        line = f"chatredirect trace --socket {tmp_path}/run.sock --endpoint sip:ocschat2"
        type_(f": {line}\x15", "ocschat2")  # not run
        shown = b""
        type_(f"{line}\t", "--endpoint sip:ocschat2@contoso.com")
        type_("\x15chatredirect log-level conf\t", "log-level configured")
    finally:
        os.close(screen)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_names_without_a_daemon(script: Path, tmp_path: Path) -> None:
    line = f"chatredirect trace --config {tmp_path}/none.yaml --endpoint sip:o"
    assert completions(script, tmp_path, line) == []


def test_completion_is_plain_bash(script: Path) -> None:
    """bash can read it, and it knows of nothing that bash-completion would have to bring."""
    done = subprocess.run(
        ["bash", "-n", str(script)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    assert "_init_completion" not in script.read_text(encoding="utf-8")


def test_usage() -> None:
    """Anything else is answered with what there is."""
    done = subprocess.run(
        [sys.executable, "-m", "chatredirect.manual", "troff"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "page|bash" in done.stderr
