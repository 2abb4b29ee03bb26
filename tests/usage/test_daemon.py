"""The ledger of a running daemon: after a stop, a kill -9, a reload, and with stores that fail."""

import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatredirect.config.usage_section import StoreAddress
from chatredirect.usage.ledger import INTERVAL
from tests.service.client import request
from tests.service.daemon import PATIENCE, Daemon, configuration, eventually
from tests.service.fixtures import Run, run_daemon
from tests.usage.postgres import PostgresServer
from tests.usage.uses import rows, uses_by_caller

__all__ = ["run_daemon"]


def caller(number: int) -> str:
    return f"sip:user{number}@contoso.com"


def ask(daemon: Daemon, *numbers: int, retransmit: int = 2) -> None:
    """A redirect for each caller, with retransmissions."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.connect(daemon.address())
        for number in numbers:
            message = request(
                from_=f"<{caller(number)};x=y>;tag=f{{n}}",
                more="User-Agent: UCCAPI/4.0.7577.0 OC/4.0.7577.0 (Microsoft Lync 2010)\r\n",
            )
            for _ in range(retransmit):
                client.send(message)
                assert client.recv(4096).startswith(b"SIP/2.0 302 ")


def usage(store: object, **keys: Any) -> dict[str, Any]:
    return {"usage": {"store": str(store), **keys}}


def test_a_stop_loses_nothing(run_daemon: Run, tmp_path: Path) -> None:
    """The loop's own thread writes nothing, and the file is there with its mode at once."""
    path = tmp_path / "usage.db"
    daemon = run_daemon(environment={"STATE_DIRECTORY": str(tmp_path)})
    eventually(path.exists, "the ledger's file")
    ask(daemon, 1, 2, 3)
    assert daemon.stop() == 0
    address = StoreAddress("sqlite", str(path))
    assert uses_by_caller(address) == {caller(number): 1 for number in (1, 2, 3)}
    query = "SELECT DISTINCT endpoint, family, version, trusted, outcome FROM usage_who"
    assert rows(address, query) == [
        ("sip:ocschat@contoso.com", "Lync 2010", "4.0.7577.0", 1, "redirected")
    ]
    again = run_daemon(environment={"STATE_DIRECTORY": str(tmp_path)})
    ask(again, 3)
    assert again.stop() == 0
    assert uses_by_caller(address)[caller(3)] == 2


def is_committed(file: Path) -> bool:
    """Whether the batch is in the file for good.

    SQLite commits by removing its journal: until then a killed writer's pages are taken back.
    """
    written = file.exists() and b"user49@" in file.read_bytes()
    return written and not Path(f"{file}-journal").exists()


def test_a_kill_loses_the_last_ten_seconds_at_most(run_daemon: Run, tmp_path: Path) -> None:
    address = StoreAddress("sqlite", str(tmp_path / "usage.db"))
    daemon = run_daemon(**usage(address))
    ask(daemon, *range(50))
    assert INTERVAL == 10
    file = Path(address.path)
    eventually(lambda: is_committed(file), "the batch", INTERVAL + PATIENCE)
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait()
    assert uses_by_caller(address) == {caller(number): 1 for number in range(50)}


@pytest.mark.parametrize("store", ["sqlite:///proc/usage.db", "postgresql://127.0.0.1:1/none"])
def test_it_serves_without_its_store(run_daemon: Run, store: str) -> None:
    """And says so once, and what is lost at the end."""
    daemon = run_daemon(**usage(store))
    said = daemon.event("usage_not_stored")
    assert said["store"] == store
    assert said["why"]
    assert said["remedy"]
    ask(daemon, 1, 2)
    assert daemon.stop() == 0
    assert len(daemon.events("usage_not_stored")) == 1
    assert daemon.events("usage_lost")[0]["uses"] == 2


def test_a_reload_begins_and_ends_a_ledger(run_daemon: Run, tmp_path: Path) -> None:
    address = StoreAddress("sqlite", str(tmp_path / "usage.db"))
    daemon = run_daemon(**usage("off"))
    ask(daemon, 1)

    def reload(store: object) -> None:
        done = len(daemon.events("configuration_changed"))
        text = yaml.safe_dump(configuration(**usage(store)), sort_keys=False)
        daemon.config.write_text(text, encoding="utf-8")
        daemon.send_signal(signal.SIGHUP)
        eventually(lambda: len(daemon.events("configuration_changed")) > done, "the reload")

    reload(address)
    ask(daemon, 2)
    reload("off")
    ask(daemon, 3)
    assert daemon.stop() == 0
    assert uses_by_caller(address) == {caller(2): 1}


def test_two_instances_share_one_in_postgresql(run_daemon: Run, postgres: PostgresServer) -> None:
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    daemons = [run_daemon(**usage(postgres.url)) for _ in range(2)]
    for daemon in daemons:
        ask(daemon, 1, 2)
    assert [daemon.stop() for daemon in daemons] == [0, 0]
    assert not [line for daemon in daemons for line in daemon.events("usage_not_stored")]
    query = "SELECT caller, SUM(uses) FROM usage_days JOIN usage_who ON id = who GROUP BY caller"
    expected = {f"{caller(1)}|2", f"{caller(2)}|2"}
    assert set(postgres.sql(query).splitlines()) == expected
