"""One runner for all tests that do not end it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local.running import FixtureStack


@pytest.fixture(scope="package")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FixtureStack]:
    """The fixture template, running."""
    stack = FixtureStack(tmp_path_factory.mktemp("runner"))
    yield stack
    assert stack.stop() == 0
