"""The two schedule expressions of EventBridge: ``rate(5 minutes)`` and ``cron(0 18 ? * MON-FRI *)``."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from infra.local.errors import TemplateError

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_UNITS = {"minute": 60, "hour": 3600, "day": 86_400}

_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
# EventBridge counts from Sunday = 1.
_WEEKDAYS = {name: number for number, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], 1)}


class Timetable(Protocol):
    """When a schedule fires."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time after `moment`; None when there is none any more."""


@dataclass(frozen=True)
class Rate:
    """Every so many seconds."""

    seconds: float

    def next_after(self, moment: datetime) -> datetime | None:
        """`moment` plus the interval."""
        return moment + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Cron:
    """At the minutes that match all fields."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    last_day: bool
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]

    def next_after(self, moment: datetime) -> datetime | None:
        """The first matching minute after `moment`, in `moment`'s time zone."""
        candidate = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        while candidate.year <= max(self.years):
            if not self._day_matches(candidate):
                candidate = candidate.replace(hour=0, minute=0) + timedelta(days=1)
            elif candidate.hour not in self.hours:
                candidate = candidate.replace(minute=0) + timedelta(hours=1)
            elif candidate.minute not in self.minutes:
                candidate += timedelta(minutes=1)
            else:
                return candidate
        return None

    def _day_matches(self, moment: datetime) -> bool:
        if moment.year not in self.years or moment.month not in self.months:
            return False
        if moment.isoweekday() % 7 + 1 not in self.weekdays:
            return False
        is_last = moment.day == calendar.monthrange(moment.year, moment.month)[1]
        return moment.day in self.days or (self.last_day and is_last)


def parse(expression: str, where: str) -> Timetable:
    """Read a schedule expression.

    Raises
    ------
    TemplateError
        It is none, or one with W, # or a weekday's L, which the runner does not know.
    """
    rate = _RATE.fullmatch(expression)
    if rate and int(rate[1]) > 0:
        return Rate(int(rate[1]) * _UNITS[rate[2]])
    cron = _CRON.fullmatch(expression)
    if not cron:
        raise TemplateError(f"{where}: {expression} is not a rate() or cron() expression")
    try:
        minutes, hours, days, months, weekdays, years = cron.groups()
        return Cron(
            minutes=_field(minutes, 0, 59),
            hours=_field(hours, 0, 23),
            days=frozenset() if days == "L" else _field(days, 1, 31),
            last_day=days == "L",
            months=_field(months, 1, 12, _MONTHS),
            weekdays=_field(weekdays, 1, 7, _WEEKDAYS),
            years=_field(years, 1970, 2199),
        )
    except (KeyError, ValueError) as error:
        raise TemplateError(f"{where}: the local runner cannot read {expression}: {error}") from error


def _field(text: str, lowest: int, highest: int, names: dict[str, int] | None = None) -> frozenset[int]:
    def number(word: str) -> int:
        value = (names or {}).get(word.upper())
        value = int(word) if value is None else value
        if not lowest <= value <= highest:
            raise ValueError(f"{word} is not between {lowest} and {highest}")
        return value

    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = lowest, highest
        else:
            start, _, end = span.partition("-")
            first = number(start)
            last = number(end) if end else (highest if step else first)
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)
