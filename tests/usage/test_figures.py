"""What metrics say of a ledger: from the store, so that a restart changes nothing."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chatredirect.config.usage_section import StoreAddress
from chatredirect.metrics import readings
from chatredirect.responses.counters import Counters
from chatredirect.usage.identity import ClientProduct
from chatredirect.usage.store import UsageStore
from chatredirect.usage.tally import DAY, LedgerFigures
from tests.metrics.test_daemon import fetch
from tests.service.daemon import eventually
from tests.service.fixtures import Run, run_daemon
from tests.usage.uses import CHAT, LYNC, batch, use

__all__ = ["run_daemon"]
TODAY = 1000
NOW = TODAY * DAY + DAY * 0.75
BOB, EVE = "sip:bob@contoso.com", "sip:eve@x"
OWN = ClientProduct("Own Client", "1")


def test_callers_uses_and_last_use(address: StoreAddress) -> None:
    store = UsageStore(address)
    store.write(batch(use(TODAY - 40, "sip:old@contoso.com"), use(TODAY - 20), count=2))
    store.write(
        batch(use(TODAY - 5), use(TODAY - 5, BOB, client=LYNC), use(TODAY, BOB, client=OWN))
    )
    store.write(batch(use(TODAY, EVE, trusted=False, client=ClientProduct("scanner", ""))))
    found = UsageStore(address).figures(NOW)
    assert found.callers == {
        **{(1, True): 1, (7, True): 2, (30, True): 2},
        **{(1, False): 1, (7, False): 1, (30, False): 1},
    }
    assert found.families == {
        ("Office Communicator 2007 R2", True): 3,
        ("Lync 2010", True): 1,
        ("other", True): 1,
        ("other", False): 1,
    }
    noon = TODAY * DAY + DAY / 2
    assert found.last == {(CHAT, True): noon, (CHAT, False): noon}


def test_families_are_bounded_whatever_clients_call_themselves(address: StoreAddress) -> None:
    store = UsageStore(address)
    store.write(batch(*(use(TODAY, client=ClientProduct(f"x{n}", "")) for n in range(300))))
    assert store.figures(NOW).families == {("other", True): 300}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"peers": "anyone", "mode": "redirect"}, 2.0),
        ({"peers": "trusted", "mode": "redirect"}, 1.0),
        ({"peers": "anyone", "mode": "proxy"}, 1.0),
    ],
)
def test_strangers_don_t_keep_an_endpoint_that_serves_trusted_peers(
    settings: dict[str, str], expected: float
) -> None:
    endpoint = SimpleNamespace(address=CHAT, settings=SimpleNamespace(**settings))
    never = SimpleNamespace(address="sip:never@contoso.com", settings=endpoint.settings)
    model: Any = SimpleNamespace(counters=Counters(), directory=[endpoint, never])
    figures = LedgerFigures(last={(CHAT, True): 1.0, (CHAT, False): 2.0, ("sip:gone@x", True): 3.0})
    assert list(readings._last_uses(model, figures)) == [((CHAT,), expected)]
    model.counters.together = {}  # more endpoints than have labels
    assert not list(readings._last_uses(model, figures))


def test_a_daemon_that_begins_knows_what_was_before(run_daemon: Run, tmp_path: Path) -> None:
    store = StoreAddress("sqlite", str(tmp_path / "usage.db"))
    at = float(int(time.time()) - 40 * DAY)
    earlier = batch(use(int(at // DAY)))
    for count in earlier.uses.values():
        count.first = count.last = at
    UsageStore(store).write(earlier)
    daemon = run_daemon(usage={"store": str(store)}, http={"listen": "127.0.0.1:0"})
    name = f'chatredirect_usage_last_use_time_seconds{{endpoint="{CHAT}"}} '

    def last_use() -> list[float]:
        lines = fetch(daemon, "/metrics")[1].splitlines()
        return [float(line.removeprefix(name)) for line in lines if line.startswith(name)]

    assert eventually(last_use, "the last use") == [at]
