"""Ledgers of both kinds, and uses for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatredirect.config.usage_section import StoreAddress, parse_store
from tests.usage.postgres import PostgresServer


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAddress:
    """An empty ledger's address: every test that has it holds for both databases."""
    if request.param == "sqlite":
        return parse_store(f"sqlite://{tmp_path}/usage.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return parse_store(server.url)
