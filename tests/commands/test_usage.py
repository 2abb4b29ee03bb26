"""`chatredirect usage`, its verdict, and how one person is removed."""

import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.grouping import written_day
from chatredirect.usage.pseudonyms import pseudonym
from chatredirect.usage.store import UsageStore
from chatredirect.usage.tally import DAY, Batch, UsageKey
from tests.privileges import WITHOUT_OVERRIDE
from tests.service.daemon import ROOT
from tests.usage.uses import CHAT, LYNC, batch, use, uses_by_caller

from .conftest import Command

Write = Callable[..., Path]
NOW = time.time()
TODAY = int(NOW // DAY)
ANN, EVE = "sip:ann@contoso.com", "sip:eve@x"
OLD = "sip:old@contoso.com"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "usage.db"
    store = UsageStore(StoreAddress("sqlite", str(path)))
    for day in range(TODAY - 60, TODAY + 1):  # today, too: the tests may go on after midnight
        store.write(Batch(day * DAY + 60.0, {}))
    keys: list[UsageKey] = [
        use(TODAY - 3),
        use(TODAY - 10, "sip:bob@contoso.com", client=LYNC),
        use(TODAY - 10, EVE, trusted=False),
        use(TODAY - 50, endpoint=OLD),
        use(TODAY - 1, EVE, endpoint=OLD, trusted=False),
    ]
    store.write(batch(*keys, at=time.time(), count=1000))
    return path


@pytest.fixture
def config(write: Write, ledger: Path) -> Path:
    return write(f"""
        listen: [udp://127.0.0.1:5060]
        endpoints:
          - {{sip_address: ocschat@contoso.com, pool_fqdn: pool.contoso.com, peers: trusted}}
          - {{sip_address: old@contoso.com, pool_fqdn: pool.contoso.com, peers: trusted}}
        usage: {{store: "sqlite://{ledger}"}}
    """)


def test_by_endpoint(chatredirect: Command, config: Path) -> None:
    done = chatredirect("usage", "-c", config)
    assert done.returncode == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["endpoint", "uses", "strangers", "callers", "last"]
    assert [line.split()[:4] for line in lines] == [
        [CHAT, "2,000", "1,000", "3"],
        [OLD, "0", "1,000", "1"],
    ]
    assert "█" not in done.stdout, "a pipe gets no bars"


def test_by_caller_since_a_day_of_one_endpoint(chatredirect: Command, config: Path) -> None:
    since = written_day(TODAY - 5)
    options = ("--since", since, "--by", "caller", "--endpoint", "ocschat@contoso.com")
    done = chatredirect("usage", *options, "-c", config)
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [[ANN, "1,000"]]


def test_json_and_csv(chatredirect: Command, config: Path) -> None:
    done = chatredirect("usage", "--by", "day", "--json", "-c", config)
    assert json.loads(done.stdout)["rows"] == [
        {"day": written_day(TODAY - 10), "uses": 1000, "strangers": 1000},
        {"day": written_day(TODAY - 3), "uses": 1000, "strangers": 0},
        {"day": written_day(TODAY - 1), "uses": 0, "strangers": 1000},
    ]
    done = chatredirect("usage", "--by", "client", "--csv", "-c", config)
    assert done.stdout.splitlines()[0] == "client,uses,strangers,callers,last"
    assert "\\" not in done.stdout, "nothing is shown as an escape"
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["client"], row["uses"], row["callers"]) for row in rows] == [
        ("Office Communicator 2007 R2 3.5.6907.196", "1000", "2"),
        ("Lync 2010 4.0.7577.0", "1000", "1"),
    ]


def test_two_files_without_a_configuration(
    chatredirect: Command, ledger: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    UsageStore(StoreAddress("sqlite", str(other))).write(batch(use(TODAY - 1), count=5))
    options = ("--store", ledger, "--store", "other.db", "--by", "caller", "--json")
    rows = json.loads(chatredirect("usage", *options).stdout)["rows"]
    assert (rows[0]["caller"], rows[0]["uses"]) == (ANN, 1005)


def test_verdict(chatredirect: Command, config: Path) -> None:
    done = chatredirect("usage", "verdict", "-c", config)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{CHAT}: in use: 1 caller in 7 days, 2 in 30 days, with ")
    assert lines[1].startswith(f"  last by {ANN} with Office Communicator 2007 R2 3.5.6907.196, ")
    start = lines.index(f"{OLD}: safe to turn off")
    assert lines[start + 2].startswith(f"  strangers don't decide: the last was {EVE}, ")
    assert lines[start + 3] == f"  next: chatredirect endpoint set {OLD} --state disabled"


def test_the_exit_status_of_a_verdict(chatredirect: Command, config: Path) -> None:
    done = chatredirect("usage", "verdict", "--endpoint", OLD, "-c", config)
    assert done.returncode == 0, done.stdout
    done = chatredirect("usage", "verdict", "--endpoint", OLD, "--quiet-for", "90d", "-c", config)
    assert done.returncode == 1
    assert "not known: what was before" in done.stdout
    done = chatredirect("usage", "verdict", "--json", "--endpoint", OLD, "-c", config)
    told = json.loads(done.stdout)
    assert told["schema"] == "chatredirect/usage-verdict/1"
    (found,) = told["verdicts"]
    assert (found["state"], found["last_stranger"]["caller"]) == ("safe to turn off", EVE)


def test_a_verdict_on_nothing_is_no_yes(
    chatredirect: Command, write: Write, tmp_path: Path
) -> None:
    store = StoreAddress("sqlite", str(tmp_path / "empty.db"))
    UsageStore(store).write(Batch(NOW, {}))
    config = write("listen: [udp://127.0.0.1:5060]\n")
    done = chatredirect("usage", "verdict", "--store", store.path, "-c", config)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the configuration has no endpoint, and the ledger has no use" in done.stderr


def test_what_is_next_for_an_endpoint_that_is_disabled(
    chatredirect: Command, write: Write, ledger: Path
) -> None:
    """Not to disable it once more."""
    endpoint = "{sip_address: old@contoso.com, pool_fqdn: p.contoso.com, peers: trusted"
    for state, following in (("active", f"set {OLD} --state disabled"), ("disabled", "remove")):
        config = write(f"""
            listen: [udp://127.0.0.1:5060]
            endpoints: [{endpoint}, state: {state}}}]
            usage: {{store: "sqlite://{ledger}"}}
        """)
        done = chatredirect("usage", "verdict", "-c", config)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"  next: chatredirect endpoint {following}" in done.stdout


def test_forget(chatredirect: Command, config: Path, ledger: Path) -> None:
    done = chatredirect("usage", "forget", "SIP:Ann@contoso.com;x=y", "-c", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f'Removed {ANN} from the ledger: 2 rows, now of the caller "removed".\n'
    uses = uses_by_caller(StoreAddress("sqlite", str(ledger)))
    assert (ANN in uses, uses["removed"]) == (False, 2000)
    # the same uses by endpoint, by client and by day
    for by in ("endpoint", "client", "day"):
        done = chatredirect("usage", "--by", by, "--since", "60d", "--json", "-c", config)
        assert sum(row["uses"] for row in json.loads(done.stdout)["rows"]) == 3000, by
    done = chatredirect("usage", "forget", "ann@contoso.com", "-c", config)
    assert done.returncode == 1
    assert done.stderr == f"chatredirect: the ledger knows nothing of {ANN}\n"


def test_forget_takes_a_name_as_the_tables_show_it(
    chatredirect: Command, config: Path, ledger: Path
) -> None:
    """A caller of characters that can't be seen stands in the ledger with escapes."""
    address = StoreAddress("sqlite", str(ledger))
    shown = r"sip:\u202egnp@contoso.com"
    UsageStore(address).write(batch(use(TODAY, shown)))
    assert shown in chatredirect("usage", "--by", "caller", "-c", config).stdout
    done = chatredirect("usage", "forget", shown, "-c", config)
    assert done.returncode == 0, done.stderr
    assert shown not in uses_by_caller(address)


def test_a_reader_without_the_right_is_told_whose_right_it_is(tmp_path: Path) -> None:
    """Not that the file isn't there, nor what the service's user lacks."""
    folder = tmp_path / "state"
    folder.mkdir()
    store = StoreAddress("sqlite", str(folder / "usage.db"))
    UsageStore(store).write(batch(use(TODAY)))

    def told() -> str:
        command = (sys.executable, "-m", "chatredirect", "usage", "--store", store.path)
        done = subprocess.run(
            [*WITHOUT_OVERRIDE, *command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 69, done.stdout
        return done.stderr

    Path(store.path).chmod(0)
    assert "you may not read it; become root, or a member of the service's group" in told()
    folder.chmod(0)
    assert "you may not enter its folder; become root" in told()
    folder.chmod(0o700)


@pytest.mark.parametrize("now", ["pseudonyms", "named"])
def test_forget_finds_a_pseudonym_in_a_backup_and_after_a_change(
    chatredirect: Command, write: Write, tmp_path: Path, now: str
) -> None:
    """The key is the one beside the configured ledger, and none is made beside the backup."""
    (tmp_path / "usage.key").write_text("0123456789abcdef0123456789abcdef\n")
    name = pseudonym(ANN, b"0123456789abcdef0123456789abcdef")
    backup = StoreAddress("sqlite", str(tmp_path / "backup" / "usage.db"))
    Path(backup.path).parent.mkdir()
    UsageStore(backup).write(batch(use(TODAY, name)))
    store = f'"sqlite://{tmp_path}/usage.db"'
    config = write(f"listen: [udp://127.0.0.1:5060]\nusage: {{store: {store}, callers: {now}}}\n")
    done = chatredirect("usage", "forget", ANN, "--store", backup.path, "-c", config)
    assert done.returncode == 0, done.stderr
    assert uses_by_caller(backup) == {"removed": 1}
    assert sorted(path.name for path in (tmp_path / "backup").iterdir()) == ["usage.db"]


def test_forget_says_that_the_key_of_pseudonyms_is_gone(
    chatredirect: Command, write: Write, ledger: Path
) -> None:
    store = f'"sqlite://{ledger}"'
    config = write(
        f"listen: [udp://127.0.0.1:5060]\nusage: {{store: {store}, callers: pseudonyms}}\n"
    )
    done = chatredirect("usage", "forget", ANN, "-c", config)
    assert done.returncode == 69
    assert "the key of the pseudonyms can't be used" in done.stderr
    assert not ledger.with_name("usage.key").exists(), "a new key finds nobody"


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("--since", "yesterday"), 2, "neither a number of days (30d) nor a date"),
        (("--json", "--csv"), 2, "choose one of --json and --csv"),
        (("--store", "gone.db"), 69, "there is no such file"),
        (("--store", "main.yaml"), 69, "it is no SQLite database"),
        (("--store", "mysql://x"), 2, "must begin with sqlite:// or postgresql://"),
        (("--endpoint", "no address"), 2, "--endpoint"),
        (("--config", "gone.yaml"), 78, "there is no such file"),
        (("--config", "off.yaml"), 78, "no ledger is kept: usage.store is off; name a ledger"),
        (("verdict", "--quiet-for", "soon"), 2, "is no number of days"),
        (("verdict", "--quiet-for", "401d"), 2, "uses are kept for 400 days"),
        (("verdict", "--store", "gone.db"), 69, "there is no such file"),
        (("verdict", "--endpoint", "odl@contoso.com"), 1, f'did you mean "{OLD}"?'),
        (("--endpoint", "odl@contoso.com"), 0, "the configuration has no endpoint sip:odl@con"),
        (("forget", "tel:+1"), 2, "is no SIP address"),
        (("forget", "ann@contoso.com", "--store", "gone.db"), 69, "there is no such file"),
    ],
)
def test_faults(
    chatredirect: Command,
    config: Path,
    write: Write,
    arguments: tuple[str, ...],
    status: int,
    says: str,
) -> None:
    write("listen: [udp://127.0.0.1:5060]\nusage: {store: off}\n", "off.yaml")
    if "--config" not in arguments:
        arguments = (*arguments, "--config", str(config))
    done = chatredirect("usage", *arguments, COLUMNS="300")
    assert done.returncode == status, done.stdout + done.stderr
    told = done.stdout + done.stderr
    assert says in " ".join(told.split()), told
    assert "Traceback" not in done.stderr
