"""Schedule expressions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from infra.local.cron import parse
from infra.local.errors import TemplateError

# A Wednesday.
NOW = datetime(2025, 1, 15, 10, 30, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", "2025-01-15 10:31:20"),
        ("rate(12 hours)", "2025-01-15 22:30:20"),
        ("cron(* * * * ? *)", "2025-01-15 10:31:00"),
        ("cron(0/15 * * * ? *)", "2025-01-15 10:45:00"),
        ("cron(0 18 ? * MON-FRI *)", "2025-01-15 18:00:00"),
        ("cron(0 8 ? * 1 *)", "2025-01-19 08:00:00"),
        ("cron(0 8 1 * ? *)", "2025-02-01 08:00:00"),
        ("cron(15 10 L * ? *)", "2025-01-31 10:15:00"),
        ("cron(0 0 29 FEB ? *)", "2028-02-29 00:00:00"),
        ("cron(30,31 10 * JAN,FEB ? 2025-2026)", "2025-01-15 10:31:00"),
        ("cron(0 0 1 1 ? 2024)", None),
    ],
)
def test_the_next_time(expression: str, expected: str | None) -> None:
    found = parse(expression, "test").next_after(NOW)

    assert (found and f"{found:%Y-%m-%d %H:%M:%S}") == expected


@pytest.mark.parametrize(
    "expression",
    ["", "rate(0 minutes)", "rate(5)", "cron(* * * *)", "cron(60 * * * ? *)", "cron(0 0 15W * ? *)", "at(2025-01-01)"],
)
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(TemplateError, match="Nightly"):
        parse(expression, "Nightly")
