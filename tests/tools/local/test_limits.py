"""The limits of the API, which count in the local system only when somebody gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.gateway.throttle import Throttle
from infra.template.reading import read_template
from infra.template.stack_definition import Limit, Limits
from tests.support.postgres import Postgres
from tests.support.stack import ROOT, RunningSystem

SUPPLIED = {"SupabaseUrl": "http://127.0.0.1", "AllowedOrigins": "http://127.0.0.1"}
CONNECT = "POST /api/whatsapp/connect"
FILES = "GET /home/settings/whatsapp/{proxy+}"


class Clock:
    """A clock that moves when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def passed(throttle: Throttle, route: str, times: int) -> int:
    """Return how many of some requests may pass."""
    return sum(throttle.allows(route) for _ in range(times))


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    clock = Clock()
    throttle = Throttle(Limits(Limit(rate=2, burst=5)), clock)
    assert passed(throttle, "GET /", 9) == 5
    clock.now += 1
    assert passed(throttle, "GET /", 9) == 2
    clock.now += 3600
    assert passed(throttle, "GET /", 9) == 5


def test_each_route_counts_alone() -> None:
    throttle = Throttle(Limits(Limit(1, 2), {CONNECT: Limit(1, 1)}), Clock())
    assert passed(throttle, CONNECT, 3) == 1
    assert passed(throttle, "GET /", 3) == 2
    assert passed(throttle, "GET /other", 3) == 2


def test_without_limits_every_request_passes() -> None:
    assert passed(Throttle(Limits(), Clock()), "GET /", 1000) == 1000


def test_the_templates_limits_are_read() -> None:
    limits = read_template(ROOT / "template.yaml", {"ConnectRate": "0.5", "ApiBurst": "9"}, SUPPLIED).limits
    assert limits == Limits(Limit(50, 9), {CONNECT: Limit(0.5, 10), FILES: Limit(200, 500)})


def test_25_people_open_the_page_at_the_same_moment() -> None:
    files = [path for path in (ROOT / "functions" / "page" / "static").iterdir() if path.name != "index.html"]
    assert len(files) > 10
    throttle = Throttle(read_template(ROOT / "template.yaml", {}, SUPPLIED).limits, Clock())
    assert passed(throttle, FILES, 25 * len(files)) == 25 * len(files)


@pytest.fixture
def limited(postgres: Postgres, tmp_path: Path) -> RunningSystem:
    """The whole system, which takes one click every 100 seconds."""
    return RunningSystem(
        tmp_path,
        *("--database-url", postgres.url(postgres.create()), "--parameter", "ConnectRate=0.01"),
        *("--parameter", "ConnectBurst=1"),
    )


def test_a_click_above_the_limit_gets_429(limited: RunningSystem) -> None:
    try:
        first, second = limited.user().connect(), limited.user().connect()
        assert first.status == 202
        assert (second.status, second.json()) == (429, {"message": "Too Many Requests"})
        assert limited.user().call("GET", "status").status == 200
    finally:
        limited.stop()
