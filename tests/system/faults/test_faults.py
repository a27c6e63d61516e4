"""A test for every case, not in the default run. All cases run in the background from the first test on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.faults.cases import CASES
from tests.system.faults.suite import Case, Suite

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def suite(request: pytest.FixtureRequest) -> Iterator[Suite]:
    """The selected cases, running."""
    wanted = [item.callspec.params["one"] for item in request.session.items if hasattr(item, "callspec")]
    running = Suite([one for one in wanted if isinstance(one, Case)], runs=None, seed=1)
    yield running
    running.stop()


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.group}: {one.name}")
def test_a_disturbed_pairing_ends_well_and_leaves_nothing(suite: Suite, one: Case) -> None:
    result = suite.results[one].result()
    assert not result.problems, "\n".join(result.problems)
