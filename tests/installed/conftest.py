"""The image of this tree, for all tests that run it."""

from collections.abc import Iterator

import pytest

from tests.installed.podman import Podman, podman_with_image


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman, with the image, which is built once even if several processes run tests."""
    base = tmp_path_factory.getbasetemp()
    with podman_with_image(base.parent if base.name.startswith("popen-") else base) as podman:
        yield podman
