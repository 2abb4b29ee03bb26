"""docs/two-machines.md, run as it stands: two machines, a front end and a pool in namespaces."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.installed.pages import File, Step, alike, story
from tests.installed.readme import ROOT
from tests.installed.site import (
    POOLS,
    SITE_FILES,
    SITE_SYSTEMCTL,
    Site,
    make_folders,
    pool_configuration,
)
from tests.several.deployment import FRONT_END, VIRTUAL, name_server
from tests.several.lan import Lan, Machine, lan, wait_for
from tests.tls.authority import Authority
from tests.tls.processes import program

PAGE = "two-machines.md"
NAMES = {
    "chatredirect.contoso.com": ["192.0.2.5", "192.0.2.6"],
    "cr1.contoso.com": ["192.0.2.5"],
    "cr2.contoso.com": ["192.0.2.6"],
}
_UNIT = r"""
rm -rf /etc/systemd/system/chatredirect.service.d
mkdir -p /etc/systemd/system
printf '[Service]\nExecStart=chatredirect run --config /etc/chatredirect/chatredirect.yaml\n' \
    >/etc/systemd/system/chatredirect.service
"""

# Before what stands for systemd: the drop-ins of the service, and keepalived as another service.
_DROP_INS = r"""#!/bin/sh
for each in /etc/systemd/system/chatredirect.service.d/*.conf; do
    [ ! -e "$each" ] || export $(sed -n 's/^Environment=//p' "$each")
done
if [ "$*" = "start keepalived" ]; then
    exec keepalived --log-console --vrrp -f /etc/keepalived/keepalived.conf --pid=/run/k.pid \
        --vrrp_pid=/run/v.pid </dev/null >/run/keepalived.log 2>&1
fi
"""


def machine_site(network: Lan, machine: Machine, authority: Authority) -> Site:
    """A machine with files of its own, whose commands are those of the pages."""
    folder = network.folder / machine.name
    own = _DROP_INS + SITE_SYSTEMCTL.removeprefix("#!/bin/sh\n")
    make_folders(folder, own, f"PYTHONPATH='{ROOT}'")
    machine.run("sh", "-c", SITE_FILES + _UNIT, "sh", folder / "root", ROOT)
    made = Site(folder, machine.namespace.pid, authority)
    network.stack.callback(made.end)
    return made


@contextmanager
def sites(folder: Path) -> Iterator[dict[str, Site]]:
    """The page's machines, with the pool at work behind them."""
    with lan(folder) as network:
        name_server(network, program("dnsmasq"), NAMES, None)
        authority = Authority(folder / "authority")
        made = {
            name: machine_site(network, network.machine(name, address), authority)
            for name, address in {
                "outside": POOLS["pcpool.contoso.com"][0],
                "fe01": FRONT_END,
                "cr1": "192.0.2.5",
                "cr2": "192.0.2.6",
            }.items()
        }
        made["outside"].certify("pcpool.contoso.com")
        address, port = POOLS["pcpool.contoso.com"]
        text = pool_configuration("pcpool.contoso.com", address, port)
        made["outside"].write("/root/pool.yaml", text)
        pool = made["outside"].folder / "bin/chatredirect"
        made["outside"].start(pool, "run", "--config", "/root/pool.yaml")
        made["outside"].wait_for(address, port)
        made["fe01"].certify("fe01.contoso.com")
        made["cr1"].certify(*NAMES)
        yield made


def _copy(made: dict[str, Site], path: str, to: str) -> None:
    """Take a file from the one instance's machine to the other's, or back."""
    other = "cr1" if to == "cr2" else "cr2"
    between = made[to].folder.parent / "copied"
    assert made[other].run(f"cp '{path}' '{between}'").returncode == 0
    assert made[to].run(f"cp '{between}' '{path}'").returncode == 0


def _happens(made: dict[str, Site], what: str) -> None:
    """What is done between the page's commands."""
    if what == "copied-to-cr2":
        _copy(made, "/root/chatredirect.tar.gz", "cr2")
    elif what == "ledger-copied-to-cr1":
        _copy(made, "/root/cr2.db", "cr1")
    elif what == "address-is-there":
        show = "ip -4 address show"
        wait_for(
            lambda: any(VIRTUAL in made[name].run(show).stdout for name in ("cr1", "cr2")),
            "keepalived's address",
        )
    else:
        raise AssertionError(what)


def test_page(tmp_path: Path) -> None:
    """Every command does, and prints, what the page says; files go where they belong."""
    for tool in ("kamailio", "kamcmd", "keepalived", "curl", "sqlite3"):
        program(tool)
    steps = 0
    with sites(tmp_path) as made:
        for each in story("front-ends.md"):  # Kamailio's certificate, as it is there
            if isinstance(each, File) and "tls.cfg" in each.path:
                made["fe01"].write(each.path, each.text)
            elif isinstance(each, Step) and "/etc/kamailio/tls" in each.line:
                assert made["fe01"].run(each.line).returncode == 0
        for each in story(PAGE):
            if isinstance(each, File):
                kamailio = each.path.startswith("/etc/kamailio")
                where = ["fe01"] if kamailio else ["cr1"]
                if "keepalived" in each.path:
                    where = ["cr1", "cr2"]
                for name in where:
                    made[name].write(each.path, each.text)
                continue
            steps += 1
            if each.after:
                _happens(made, each.after)
            here = made[each.on]
            done = here.run(f"exec 2>&1; {each.line}")
            told = f"{each.on}$ {each.line}\n{done.stdout}\n{here.logs()}"
            assert done.returncode == each.status, told
            assert alike(list(each.output), done.stdout.splitlines()), told
    assert steps > 10
