"""A secret's next rotation window, computed from its RotationRules."""

from __future__ import annotations

import dataclasses
import itertools
import re
from datetime import datetime, timedelta, timezone
from typing import Any

from ministack.services import eventbridge

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Number of windows of a cron() expression that its validation compares.
WINDOWS_CHECKED = 60


@dataclasses.dataclass(frozen=True)
class Window:
    """Rotation begins at `start` here; AWS chooses any time before `end`, and shows `end` as NextRotationDate."""

    start: float
    end: float


def next_window(rules: dict[str, Any], last: float) -> Window:
    """The first window after a rotation, or a change of the rules, at the time `last`; ValueError if they are wrong."""
    days, expression = rules.get("AutomaticallyAfterDays"), rules.get("ScheduleExpression")
    if (days is None) == (expression is None):
        raise ValueError("RotationRules needs either AutomaticallyAfterDays or ScheduleExpression, but not both.")
    duration = parse_duration(rules.get("Duration"))
    after = datetime.fromtimestamp(last, timezone.utc)
    if days is not None:
        # 1000 is the API model's limit, although the guide says 999 of expressions.
        if not 1 <= int(days) <= 1000:
            raise ValueError("AutomaticallyAfterDays must be between 1 and 1000.")
        return rate_window(after, timedelta(days=int(days)), duration)
    if rate := re.fullmatch(r"rate\((\d+) (hour|day)s?\)", expression.strip()):
        interval = int(rate[1]) * (HOUR if rate[2] == "hour" else DAY)
        if not 4 * HOUR <= interval <= 999 * DAY:
            raise ValueError("A rate must be between 4 hours and 999 days.")
        return rate_window(after, interval, duration)
    return cron_window(expression, after, duration)


def parse_duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,2}h", text) or not HOUR <= (hours := int(text[:-1]) * HOUR) <= DAY:
        raise ValueError("Duration must be between 1h and 24h.")
    return hours


def rate_window(after: datetime, interval: timedelta, duration: timedelta | None) -> Window:
    """Opens at the last midnight (for a rate in hours, the last full hour) at or before the interval's end."""
    daily = interval % DAY == timedelta(0)
    start = (after + interval).replace(minute=0, second=0, microsecond=0)
    if daily:
        start = start.replace(hour=0)
    elif duration and duration > interval:
        raise ValueError("The rotation window must not extend into the next rotation window.")
    return Window(start.timestamp(), (start + (duration or (DAY if daily else HOUR))).timestamp())


def cron_window(expression: str, after: datetime, duration: timedelta | None) -> Window:
    # ministack's evaluator of EventBridge's cron(): the same fields with stricter rules for two of them.
    fields = eventbridge._parse_cron_fields(expression)
    match = re.fullmatch(r"cron\(0 (\S+) \S+ \S+ \S+ \*\)", expression.strip())
    if not fields or not match:
        raise ValueError(
            "The schedule expression must be a rate() of hours or days, or a cron() at minute 0 of any year."
        )
    starts: list[datetime] = []
    while len(starts) < WINDOWS_CHECKED:
        start = eventbridge._cron_next_fire(fields, starts[-1] if starts else after)
        if start is None:
            break
        starts.append(start)
    if not starts:
        raise ValueError("The schedule expression never occurs.")
    hourly = len(fields[1]) > 1
    length = duration or (HOUR if hourly else DAY - timedelta(hours=starts[0].hour))
    for start, following in itertools.pairwise(starts):
        if following - start < 4 * HOUR:
            raise ValueError("A secret can be rotated every 4 hours at most.")
        if following - start > 999 * DAY:
            raise ValueError("A secret must be rotated every 999 days at least.")
        if start + length > following:
            raise ValueError("The rotation window must not extend into the next rotation window.")
    if any(start + length > start.replace(hour=0) + DAY for start in starts):
        raise ValueError("The rotation window must not extend into the next UTC day.")
    return Window(starts[0].timestamp(), (starts[0] + length).timestamp())
