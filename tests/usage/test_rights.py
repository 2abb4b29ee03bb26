"""docs/personal-data.md: the roles that a ledger in PostgreSQL has, made by the page's SQL."""

import re
from pathlib import Path

import pytest

from chatredirect.config.usage_section import parse_store
from chatredirect.usage.reader import Ledgers
from chatredirect.usage.store import UsageStore
from chatredirect.usage.store_faults import StoreFault
from tests.installed.readme import ROOT
from tests.service.daemon import eventually
from tests.usage.postgres import PostgresServer
from tests.usage.uses import batch, use

DAY = 20_000


def test_a_password_in_a_file(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/operations.md: $PGPASSFILE has it, so that no configuration needs it."""
    postgres.sql("CREATE ROLE with_password LOGIN PASSWORD 'a long one'")
    postgres.sql("CREATE DATABASE kept_apart OWNER with_password")
    postgres.ask_password("with_password")
    address = f"127.0.0.1:{postgres.port}/kept_apart"
    store = UsageStore(parse_store(f"postgresql://with_password@{address}"))
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    eventually(lambda: _refused(store), "the password to be asked for")
    (tmp_path / "pgpass").write_text(f"127.0.0.1:{postgres.port}:*:with_password:a long one\n")
    (tmp_path / "pgpass").chmod(0o400)
    store.write(batch(use(DAY)))
    assert store.forget("sip:ann@contoso.com") == 1


def _refused(store: UsageStore) -> bool:
    try:
        store.write(batch(use(DAY)))
    except StoreFault as fault:
        return "no password supplied" in str(fault)
    return False


def test_the_pages_roles(postgres: PostgresServer) -> None:
    """The service's role makes and writes the tables; the reader's reads them, and no more."""
    page = (ROOT / "docs/personal-data.md").read_text(encoding="utf-8")
    found = re.search(r"(?ms)^```sql\n(.*?)^```$", page)
    assert found is not None
    first, _, then = found[1].partition("\\connect usage\n")
    for statement in filter(str.strip, first.split(";")):
        postgres.sql(statement)
    there = f"127.0.0.1:{postgres.port}/usage"
    postgres.sql(then, database="usage")
    service = UsageStore(parse_store(f"postgresql://chatredirect@{there}"))
    service.write(batch(use(DAY)))
    reader = parse_store(f"postgresql://usage_reader@{there}")
    (who,) = Ledgers((reader,)).who("caller", DAY)
    assert who.caller == "sip:ann@contoso.com"
    with pytest.raises(StoreFault, match="permission denied"):
        UsageStore(reader).forget("sip:ann@contoso.com")
    postgres.sql("CREATE ROLE stranger LOGIN")
    with pytest.raises(StoreFault, match="permission denied"):
        list(Ledgers((parse_store(f"postgresql://stranger@{there}"),)).who("caller", DAY))
    assert service.forget("sip:ann@contoso.com") == 1
