from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from tests.watched import World, standing_still, watching


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world that no test may change."""
    with standing_still(tmp_path_factory.mktemp("still")) as world:
        yield world


@pytest.fixture
def world(tmp_path: Path, simulator: Simulator) -> Iterator[World]:
    """A world of one test alone."""
    with watching(tmp_path, simulator) as world:
        yield world
