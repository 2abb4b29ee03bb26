"""The HTTP API answers what its OpenAPI document says, with real traffic and a ledger."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator

from chatredirect.config.usage_section import StoreAddress
from chatredirect.control.client import ask as ask_control
from chatredirect.usage.store import UsageStore
from chatredirect.usage.tally import DAY
from chatredirect.web.sources import MOST
from tests.lookup.peer import Peer
from tests.service import client as sip
from tests.service.client import request, talk
from tests.service.daemon import endpoint
from tests.service.fixtures import Run
from tests.usage.uses import CHAT, LYNC, OC, batch, use
from tests.web.site import Site, serve

PROXIED = "sip:proxied@contoso.com"
EVIL = "sip:<script>alert(1)</script>@contoso.com"
DOCUMENT = json.loads((Path(__file__).parents[2] / "chatredirect/web/openapi.json").read_bytes())


@pytest.fixture(scope="module")
def site(run_shared_daemon: Run, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    (folder / "state").mkdir()
    store = UsageStore(StoreAddress("sqlite", str(folder / "state" / "usage.db")))
    today = int(time.time() // DAY)
    store.write(
        batch(
            *(use(today - day, "sip:ann@contoso.com") for day in range(3)),
            use(today, "sip:bob@contoso.com", client=LYNC, trusted=False),
            use(today, EVIL),
            use(today - 400, "sip:old@contoso.com"),
        )
    )
    control = folder / "control"
    site = serve(
        run_shared_daemon,
        folder,
        endpoints=[
            endpoint(),
            endpoint("sip:found@contoso.com", mode="lookup"),
            endpoint(PROXIED, mode="proxy", pool_fqdn="nowhere.contoso.com", transport="tcp"),
        ],
        dns={"hosts": {"pcpool.contoso.com": ["192.0.2.20"]}},
        advertise="chatredirect.contoso.com",
        control={"socket": str(control)},
        health={},
        trusted_peers=["127.0.0.9"],
    )
    with talk("udp", site.daemon.address()) as client:
        for data in (request(), request(uri="sip:none@contoso.com"), b"no SIP", request("BREW")):
            sip.ask(client, data)
        sip.ask(client, request(uri=PROXIED))  # from a stranger: refused
    with Peer("tcp", site.daemon.address("tcp")) as peer:
        peer.send(b"INVITE sip:a@contoso.com SIP/2.0\r\nContent-Length: many\r\n\r\n")
    ask_control(str(control), "reload")
    return site


def strict(schema: Any) -> Any:
    """A schema that allows no property that it doesn't name."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(each) for name, each in schema.items()}
    if isinstance(made.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/status",
        "/api/v1/endpoints",
        "/api/v1/pools",
        "/api/v1/usage",
        f"/api/v1/usage?endpoint={CHAT}",
        "/api/v1/usage?endpoint=sip:unknown@contoso.com",
        "/api/v1/usage?caller=ann",
        "/api/v1/openapi.json",
    ],
)
def test_the_document_names_all_that_is_answered(site: Site, path: str) -> None:
    """And it is all there: names, types, and no name more."""
    reply = site.ask(path)
    assert reply.status == 200
    operation = DOCUMENT["paths"][path.partition("?")[0]]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    components = strict(DOCUMENT["components"]["schemas"])
    whole = {**schema, "components": {"schemas": components}}
    faults = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(whole).iter_errors(reply.json)
    ]
    assert not faults


def test_every_route_is_described(site: Site) -> None:
    served = site.ask("/api/v1/openapi.json").json
    assert served == DOCUMENT
    described = {path.rpartition("/")[2] for path in DOCUMENT["paths"]}
    assert described == {"status", "endpoints", "pools", "usage", "trace", "live", "openapi.json"}


def test_schemathesis_finds_nothing(site: Site) -> None:
    """Arguments that nobody thinks of, wrong methods, and no token: described answers alone."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    for path in ("status", "endpoints", "pools", "usage", "openapi.json"):
        operation = schema[f"/api/v1/{path}"]["GET"]

        @given(case=operation.as_strategy())
        @settings(
            max_examples=40,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(
                base_url=f"http://{site.host}:{site.port}",
                headers={"Authorization": f"Bearer {site.token}"},
                excluded_checks=[schemathesis.checks.ignored_auth]
                if hasattr(schemathesis.checks, "ignored_auth")
                else [],
            )

        check()


def test_the_ledger_by_day_and_client(site: Site) -> None:
    usage = site.ask("/api/v1/usage").json
    assert usage["fault"] is None
    clients = {(each["client"], each["uses"], each["strangers"]) for each in usage["by_day"]}
    oc, lync = " ".join(OC), " ".join(LYNC)
    assert (lync, 0, 1) in clients
    assert [each["uses"] for each in usage["by_day"] if each["client"] == oc][:2] == [1, 1]
    assert usage["since"] < usage["by_day"][0]["day"], "what is older than a year isn't shown"


def test_callers_of_an_endpoint_and_a_search(site: Site) -> None:
    callers = site.ask(f"/api/v1/usage?endpoint={CHAT}").json["callers"]
    assert {"sip:ann@contoso.com", "sip:bob@contoso.com", EVIL} <= {c["caller"] for c in callers}
    assert [each["last"] for each in callers] == sorted((c["last"] for c in callers), reverse=True)
    found = site.ask("/api/v1/usage?caller=%3CSCRIPT%3E").json
    assert [each["caller"] for each in found["callers"]] == [EVIL]
    assert site.ask("/api/v1/usage?caller=%25").json["callers"] == [], "% is no wildcard"
    assert site.ask("/api/v1/usage?caller=_").json["callers"] == []
    both = site.ask(f"/api/v1/usage?caller=ann&endpoint={CHAT}").json
    assert {each["caller"] for each in both["callers"]} == {"sip:ann@contoso.com"}
    assert both["by_day"]
    assert site.ask("/api/v1/usage?caller=").status == 400


def test_what_endpoints_say_of_their_use(site: Site) -> None:
    (chat,) = (
        each
        for each in site.ask("/api/v1/endpoints").json["endpoints"]
        if each["sip_address"] == CHAT
    )
    assert chat["usage"]["uses_today"] >= 2
    assert chat["usage"]["strangers_30_days"] >= 1
    assert chat["verdict"]["state"] == "in use"
    assert chat["verdict"]["clients_30_days"]


def test_without_a_ledger_it_says_so(run_daemon: Run, tmp_path: Path) -> None:
    site = serve(run_daemon, tmp_path, usage={"store": "off"})
    for path in ("/api/v1/usage", "/api/v1/usage?caller=a", f"/api/v1/usage?endpoint={CHAT}"):
        assert site.ask(path).json["fault"].startswith("no ledger is kept")
    (chat,) = site.ask("/api/v1/endpoints").json["endpoints"]
    assert chat["usage"] is chat["verdict"] is None
    assert site.ask("/").status == 200


def test_a_ledger_that_cant_be_read(run_daemon: Run, tmp_path: Path) -> None:
    store = tmp_path / "broken.db"
    store.write_bytes(b"\xaa" * 8192)
    site = serve(run_daemon, tmp_path, usage={"store": f"sqlite://{store}"})
    fault = site.ask("/api/v1/usage").json["fault"]
    assert fault.startswith(f"the ledger sqlite://{store} can't be read: it is no SQLite database")
    assert site.ask("/").status == 200


def test_files_that_differ_from_what_is_in_force(run_daemon: Run, tmp_path: Path) -> None:
    site = serve(run_daemon, tmp_path)
    with site.daemon.config.open("a") as file:
        file.write("# another\n")
    configuration = site.ask("/api/v1/status").json["configuration"]
    assert configuration["files_differ"] is True
    assert configuration["reloads"]["history"] == []


def test_long_lists_are_bounded(run_daemon: Run, tmp_path: Path) -> None:
    """An endpoint beyond the bound has its page all the same."""
    number = MOST + 10
    endpoints = [endpoint(f"sip:room{each}@contoso.com") for each in range(number)]
    site = serve(run_daemon, tmp_path, endpoints=endpoints)
    assert len(site.ask("/api/v1/endpoints").json["endpoints"]) == MOST
    assert site.ask("/api/v1/status").json["endpoints"]["count"] == number
    last = f"sip:room{number - 1}@contoso.com"
    assert last.encode() in site.ask(f"/endpoint?sip_address={last}").body
    assert site.ask("/endpoint?sip_address=sip:none@contoso.com").status == 404
    assert site.ask("/").status == 200
