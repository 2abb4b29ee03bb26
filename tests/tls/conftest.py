"""An authority with the daemon's certificate and a front end's, and both event loops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.service.fixtures import run_daemon, run_shared_daemon
from tests.tls.authority import Authority, Leaf
from tests.tls.client import SERVER, client_context

__all__ = ["run_daemon", "run_shared_daemon"]

FRONT_END = "fe01.contoso.com"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server(authority: Authority) -> Leaf:
    """The daemon's certificate."""
    return authority.issue(SERVER)


@pytest.fixture(scope="session")
def front_end(authority: Authority) -> Leaf:
    """The certificate of a front end that is let in."""
    return authority.issue(FRONT_END)


@pytest.fixture(scope="session")
def stranger(authority: Authority) -> Leaf:
    """A good certificate with a name that isn't on the list."""
    return authority.issue("other.contoso.com", uris=["sip:other.contoso.com"], file="stranger")


@pytest.fixture(scope="session")
def tls(authority: Authority, server: Leaf) -> Callable[..., dict[str, Any]]:
    """The section `tls` that lets in the front end only; keys replace those given here."""

    def section(**keys: Any) -> dict[str, Any]:
        ours = {"ca": str(authority.file), "allowed_peers": [FRONT_END]}
        settings = server.files | ours | keys
        return {key: value for key, value in settings.items() if value is not None}

    return section


@pytest.fixture(scope="session")
def context(authority: Authority, front_end: Leaf) -> Any:
    """The front end's own context."""
    return client_context(authority.file, front_end)


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    if request.param == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop isn't installed")
    return str(request.param)


@pytest.fixture
def ca_file(authority: Authority) -> Path:
    return authority.file
