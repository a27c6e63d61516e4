"""One runner for all tests that do not end it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.local.fixture_runner import FixtureRunner


@pytest.fixture(scope="package")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FixtureRunner]:
    """The fixture template, running."""
    stack = FixtureRunner(tmp_path_factory.mktemp("runner"))
    yield stack
    assert stack.stop() == 0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter. pytest's own folders are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="whatsapp-pairing-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
