"""`--reload`: the running daemon takes a change up at once, and its verdict counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands.endpoint.conftest import Command, files
from tests.service.client import ask, request, talk
from tests.service.daemon import Daemon, configuration
from tests.service.fixtures import Run, run_daemon

__all__ = ["run_daemon"]

POOL = (
    *("--persistent-chat-pool-fqdn", "pcpool.contoso.com"),
    *("--port", "5061", "--transport", "tls"),
)


@pytest.fixture
def served(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """A configuration for a daemon and for commands, with a control socket of its own."""
    folder = tmp_path_factory.mktemp("s")  # a socket's path must be short

    def write(**keys: Any) -> dict[str, Any]:
        settings = configuration(
            endpoints=None,
            include="endpoints.d/*.yaml",
            control={"socket": str(folder / "control")},
            **keys,
        )
        config.write_text(yaml.safe_dump(settings))
        return settings

    return write


def status_of(daemon: Daemon, uri: str) -> int:
    with talk("udp", daemon.address()) as client:
        answer = ask(client, request(uri=uri))
        assert answer is not None
        return answer.status


def test_from_nothing_to_an_endpoint_and_back(
    endpoint: Command, run_daemon: Run, config: Path, served: Callable[..., Any]
) -> None:
    """A daemon without endpoints serves the first one at once, its states, and its removal."""
    served()
    daemon = run_daemon(config)
    uri = "sip:chat@contoso.com"
    assert status_of(daemon, uri) == 404
    done = endpoint("new", "-SipAddress", "chat@contoso.com", *POOL, "--reload")
    assert (done.status, done.err) == (0, "")
    assert done.out.endswith("The running service has taken it up.\n")
    assert status_of(daemon, uri) == 302
    for state, status in (("maintenance", 480), ("disabled", 404), ("active", 302)):
        assert endpoint("set", "chat@contoso.com", "--state", state, "--reload").status == 0
        assert status_of(daemon, uri) == status
    assert endpoint("remove", "chat@contoso.com", "--reload").status == 0
    assert status_of(daemon, uri) == 404


def test_a_refused_change_is_taken_back(
    endpoint: Command, run_daemon: Run, config: Path, folder: Path, served: Callable[..., Any]
) -> None:
    """Found right by the command, and not to be done by the daemon: its listener can't be had."""
    served()
    daemon = run_daemon(config)
    assert endpoint("new", "-SipAddress", "old@contoso.com", *POOL, "--reload").status == 0
    before = files(folder)
    listen = ["udp://127.0.0.1:0", "udp://192.0.2.77:5060"]  # an address of no machine
    served(listen=listen)
    for arguments in (
        ("new", "-SipAddress", "chat@contoso.com", *POOL),
        ("set", "old@contoso.com", "--state", "disabled"),
        ("remove", "old@contoso.com"),
    ):
        done = endpoint(*arguments, "--reload")
        assert done.status == 69, done
        assert "the change has been taken back" in done.err
        assert "192.0.2.77" in done.err
        assert "Made" not in done.out
        assert files(folder) == before
    assert status_of(daemon, "sip:old@contoso.com") == 302
    assert status_of(daemon, "sip:chat@contoso.com") == 404


def test_without_a_daemon_the_change_stays(
    endpoint: Command, config: Path, folder: Path, served: Callable[..., Any]
) -> None:
    """It is right, and counts from the next start on; the exit status says that nobody heard."""
    served()
    done = endpoint("new", "-SipAddress", "chat@contoso.com", *POOL, "--reload")
    assert done.status == 69
    assert "the daemon isn't running" in done.err
    assert "the change stays" in done.err
    assert set(files(folder)) == {"chat@contoso.com.yaml"}


def test_a_socket_that_is_off(
    endpoint: Command, config: Path, folder: Path, served: Callable[..., Any]
) -> None:
    """Nobody can be told, which is known before anything is done."""
    config.write_text(yaml.safe_dump(served() | {"control": {"socket": False}}))
    done = endpoint("new", "-SipAddress", "chat@contoso.com", *POOL, "--reload")
    assert done.status == 78
    assert "control.socket: off" in done.err
    assert not files(folder)
