"""Fixtures that start daemons and end them, whatever the test did."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.service.daemon import Daemon, configuration, start

Run = Callable[..., Daemon]


@pytest.fixture
def run_daemon(tmp_path: Path) -> Iterator[Run]:
    """Start daemons with `configuration(...)`'s keywords, or with a whole configuration."""
    with_all = _Starter(tmp_path)
    yield with_all
    with_all.end()


@pytest.fixture(scope="module")
def run_shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The same for daemons that a whole module of tests shares."""
    with_all = _Starter(tmp_path_factory.mktemp("daemons"))
    yield with_all
    with_all.end()


class _Starter:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Daemon] = []

    def __call__(
        self,
        settings: Mapping[str, Any] | Path | None = None,
        *,
        wait: bool = True,
        environment: Mapping[str, str] | None = None,
        **keys: Any,
    ) -> Daemon:
        if settings is None:
            settings = configuration(**keys)
        daemon = start(self._folder, settings, wait=wait, environment=environment)
        self._started.append(daemon)
        return daemon

    def end(self) -> None:
        for daemon in self._started:
            if daemon.process.poll() is None:
                daemon.process.kill()
                daemon.process.wait()
        for daemon in self._started:
            text = daemon.log_text
            assert "Traceback" not in text, text
            assert '"exception"' not in text, text
