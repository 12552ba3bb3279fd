"""CloudWatch's timing of data points and alarm evaluations; ministack gives every data point its arrival time.

Data points: Lambda's metrics carry the start of the invocation ("the timestamp on a metric reflects when the function
was invoked", Lambda's guide), for each attempt of an asynchronous event. A log line in the embedded metric format
carries its `_aws.Timestamp`, and is dropped if that is over two weeks old or over two hours ahead. ExecutionsFailed
and similar metrics carry the end of the execution, which AWS does not document. The depth of a queue and the age of
its oldest message are read at each evaluation of alarms; CloudWatch gets them every minute, and up to 15 minutes late
for an idle queue. `mappings.py` stores IteratorAge.

Alarms: each is evaluated at every full minute, over a sliding window of EvaluationPeriods periods that ends there
("Alarm evaluation window"). Data points that have arrived by then count, late ones too; missing ones follow
TreatMissingData ("Configuring how CloudWatch alarms treat missing data"). For missing points, CloudWatch also looks
further back by an undocumented time. This module does not, so that no alarm depends on it. Only a change of state
triggers an action.

Minutes follow the cloud's clock. A test requests their evaluation and never waits for one:

- `POST /_local/alarms {"until": SECONDS, "alarms": [NAME, ...]}`, both optional -> `{NAME: STATE}`: evaluates every
  minute from the last evaluation to the minute of `until` (or now), with actions and history. For an `until` in the
  future, no further data points are assumed to arrive.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from ministack.services import cloudwatch as aws
from ministack.services import lambda_svc, sqs, stepfunctions

from localcloud import alarmactions
from localcloud.cloud import AdminError, Cloud

MINUTE = 60
# The embedded metric format's limits.
OLDEST, AHEAD = 14 * 86_400, 2 * 3600
OVER = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
WORDS = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}
ENDS = {"FAILED": "ExecutionsFailed", "TIMED_OUT": "ExecutionsTimedOut", "ABORTED": "ExecutionsAborted"}

Point = dict[str, Any]
Alarm = dict[str, Any]

# Last evaluated minute of each alarm, by its ARN.
evaluated: dict[str, float] = {}


def install(cloud: Cloud) -> None:
    """Stores metrics with their documented times, and evaluates alarms in place of ministack."""
    dispatch, write_logs = lambda_svc._execute_function_dispatch, lambda_svc._emit_lambda_logs
    emit, store, announce_end = (
        lambda_svc._emit_lambda_metrics,
        aws._store_datum,
        stepfunctions._emit_execution_status_event,
    )

    def dispatched(function: dict, config: dict, event: Any, request: str, started: float) -> Any:
        result: Any = {"error": True}
        try:
            result = dispatch(function, config, event, request, started)
            return result
        finally:
            dimensions = {"FunctionName": config.get("FunctionName", "")}
            failed = not isinstance(result, dict) or bool(result.get("error"))
            for name, value in (("Invocations", 1.0), ("Errors", float(failed))):
                keep("AWS/Lambda", name, dimensions, value, started)
            keep("AWS/Lambda", "Duration", dimensions, (time.time() - started) * 1000, started)

    def throttled_only(function: str, duration_ms: float, error: bool, throttle: bool) -> None:
        if throttle:
            emit(function, duration_ms, error, throttle)

    def logged(function: dict, request: str, text: str, *more: Any, **named: Any) -> None:
        write_logs(function, request, text, *more, **named)
        embedded(text or "")

    def ended(execution: dict) -> None:
        announce_end(execution)
        if metric := ENDS.get(execution["status"]):
            keep("AWS/States", metric, {"StateMachineArn": execution["stateMachineArn"]}, 1.0, time.time())

    def stored(namespace: str, name: str, dimensions: dict, *more: Any) -> None:
        bucket = aws._metric_bucket((namespace, name, aws._dims_key(dimensions)))
        before = len(bucket)
        store(namespace, name, dimensions, *more)
        for point in bucket[before:]:
            point["Arrived"] = time.time()

    lambda_svc._execute_function_dispatch = dispatched
    lambda_svc._emit_lambda_metrics = throttled_only
    lambda_svc._emit_lambda_logs = logged
    stepfunctions._emit_execution_status_event = ended
    aws._store_datum = stored
    aws._evaluate_all_alarms = lambda: run(aws._alarms.values(), time.time())
    aws._evaluate_alarm = lambda alarm: evaluated.setdefault(alarm["AlarmArn"], time.time())

    @cloud.route("POST", "alarms")
    async def evaluate(arguments: dict[str, Any]) -> dict[str, str]:
        names = arguments.get("alarms") or sorted(aws._alarms.keys())
        if unknown := [name for name in names if name not in aws._alarms]:
            raise AdminError(f"no such alarms: {unknown}")
        chosen = [aws._alarms[name] for name in names]
        look_at_queues(chosen)
        run(chosen, float(arguments.get("until", time.time())))
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in chosen}


def keep(namespace: str, name: str, dimensions: dict[str, str], value: float, at: float) -> None:
    """Stores a data point with the time `at`, which arrives now."""
    point = {"Timestamp": at, "Value": value, "Unit": "None", "Dimensions": dimensions, "Arrived": time.time()}
    aws._metric_bucket((namespace, name, aws._dims_key(dimensions))).append(point)


def embedded(text: str) -> None:
    """Stores the metrics of log lines in the embedded metric format."""
    for line in text.splitlines():
        start = line.find('{"')
        if start < 0 or '"_aws"' not in line:
            continue
        with contextlib.suppress(ValueError, KeyError, TypeError):
            fields = json.loads(line[start:])
            at = fields["_aws"]["Timestamp"] / 1000
            if not -OLDEST <= at - time.time() <= AHEAD:
                continue
            for directive in fields["_aws"]["CloudWatchMetrics"]:
                for names in directive["Dimensions"]:
                    dimensions = {name: str(fields[name]) for name in names}
                    for metric in directive["Metrics"]:
                        values = fields[metric["Name"]]
                        for value in values if isinstance(values, list) else [values]:
                            keep(directive["Namespace"], metric["Name"], dimensions, float(value), at)


def look_at_queues(alarms: Iterable[Alarm]) -> None:
    """Stores the current metrics of each queue that an alarm watches."""
    watched = {
        (dimension["Value"], alarm["MetricName"])
        for alarm in alarms
        if alarm.get("Namespace") == "AWS/SQS" and alarm["MetricName"] in QUEUE_METRICS
        for dimension in alarm["Dimensions"]
    }
    for queue in list(sqs._queues.values()):
        name = queue["attributes"]["QueueArn"].rpartition(":")[2]
        for metric, value in QUEUE_METRICS.items():
            if (name, metric) in watched:
                keep("AWS/SQS", metric, {"QueueName": name}, value(queue), time.time())


def depth(queue: dict[str, Any]) -> float:
    sqs._refresh_counts(queue)
    return float(queue["attributes"]["ApproximateNumberOfMessages"])


def oldest(queue: dict[str, Any]) -> float:
    """Seconds since the oldest message was sent, or moved here; one that was received more than three times is not
    counted ("Available CloudWatch metrics for Amazon SQS")."""
    sqs._expire_retained(queue)
    counted = [one for one in list(queue["messages"]) if one["receive_count"] <= 3]
    return max((time.time() - one.get("enqueued_at", one["sent_at"]) for one in counted), default=0.0)


QUEUE_METRICS = {"ApproximateNumberOfMessagesVisible": depth, "ApproximateAgeOfOldestMessage": oldest}


def points_of(alarm: Alarm) -> list[Point]:
    key = aws._dims_key({one["Name"]: one["Value"] for one in alarm.get("Dimensions", [])})
    return aws._metrics.get((alarm["Namespace"], alarm["MetricName"], key)) or []


def run(alarms: Iterable[Alarm], until: float) -> None:
    """Evaluates each alarm at every minute since its last evaluation, with the data points that had arrived by then."""
    for alarm in list(alarms):
        if not alarm.get("Namespace") or not alarm.get("MetricName"):
            continue
        points = points_of(alarm)
        for minute in minutes(alarm, points, until):
            arrived = [one for one in points if one.get("Arrived", one["Timestamp"]) <= minute]
            change(alarm, state(alarm, arrived, minute), minute)
        evaluated[alarm["AlarmArn"]] = max(evaluated.get(alarm["AlarmArn"], 0.0), until)


def minutes(alarm: Alarm, points: list[Point], until: float) -> list[int]:
    """The full minutes to evaluate: the first, the last, and those at which a point enters or leaves the window."""
    since = evaluated.get(alarm["AlarmArn"], until - MINUTE)
    first, last = math.floor(since / MINUTE) + 1, math.floor(until / MINUTE)
    window = alarm["Period"] * alarm["EvaluationPeriods"] // MINUTE
    chosen = {first, last}
    for point in points:
        stamped = math.floor(point["Timestamp"] / MINUTE)
        arrived = math.ceil(point.get("Arrived", point["Timestamp"]) / MINUTE)
        chosen.update(range(min(stamped, arrived), max(stamped + window, arrived) + 2))
    return [one * MINUTE for one in sorted(chosen) if first <= one <= last]


def values(alarm: Alarm, points: list[Point], minute: int) -> list[tuple[int, float | None]]:
    """The start and the statistic of each period of the window that ends at a full minute, the newest first."""
    period, found = int(alarm["Period"]), []
    for number in range(int(alarm["EvaluationPeriods"])):
        end = minute - number * period
        # A point counts for the minute that contains it.
        within = [one for one in points if end - period <= one["Timestamp"] // MINUTE * MINUTE < end]
        value = aws._stat_value(aws._calc_stats(within), alarm["Statistic"], within) if within else None
        found.append((end - period, value))
    return found


def state(alarm: Alarm, points: list[Point], minute: int) -> str:
    """The state at a full minute, from the points that have arrived by then."""
    known = [value for _, value in values(alarm, points, minute) if value is not None]
    needed = int(alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"])
    breaching = sum(OVER[alarm["ComparisonOperator"]](value, alarm["Threshold"]) for value in known)
    missing = int(alarm["EvaluationPeriods"]) - len(known)
    treat = alarm.get("TreatMissingData", "missing")
    if breaching >= needed or (treat == "breaching" and breaching + missing >= needed):
        return "ALARM"
    if not known and treat == "missing":
        return "INSUFFICIENT_DATA"
    if missing and treat == "ignore":
        return alarm["StateValue"]
    return "OK"


def change(alarm: Alarm, new: str, minute: int) -> None:
    old = alarm["StateValue"]
    if new == old:
        return
    points = [one for one in points_of(alarm) if one.get("Arrived", one["Timestamp"]) <= minute]
    found = values(alarm, points, minute)
    reason, data = told_reason(alarm, new, found), reason_data(alarm, found, minute)
    alarm.update(StateValue=new, StateReason=reason, StateReasonData=data, StateUpdatedTimestamp=minute)
    aws._record_history(alarm["AlarmName"], old, new, reason)
    at = datetime.fromtimestamp(minute, timezone.utc)
    aws._history_entries()[-1]["Timestamp"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    marked = alarmactions.CHANGED_AT.set(minute)
    try:
        aws._dispatch_alarm_actions(alarm, old, new, reason)
        aws._evaluate_parent_alarms(alarm)
    finally:
        alarmactions.CHANGED_AT.reset(marked)


def told_reason(alarm: Alarm, new: str, found: list[tuple[int, float | None]]) -> str:
    """CloudWatch's words for a change."""
    known = [(start, value) for start, value in found if value is not None]
    missing = len(found) - len(known)
    if new == "INSUFFICIENT_DATA":
        return f"Insufficient Data: {missing} datapoint{'s were' if missing > 1 else ' was'} unknown."
    treat = {"breaching": "Breaching", "notBreaching": "NonBreaching"}.get(alarm["TreatMissingData"])
    treated = f" and {missing} missing datapoints were treated as [{treat}]" if missing and treat else ""
    if not known:
        return f"Threshold Crossed: no datapoints were received for {len(found)} periods{treated}."
    # On the way to ALARM it tells the datapoints that breach, otherwise those that do not.
    over = OVER[alarm["ComparisonOperator"]]
    shown = [each for each in known if over(each[1], alarm["Threshold"]) == (new == "ALARM")]
    listed = ", ".join(
        f"{value} ({datetime.fromtimestamp(start, timezone.utc):%d/%m/%y %H:%M:%S})" for start, value in shown
    )
    verb = ("were " if len(shown) > 1 else "was ") + ("" if new == "ALARM" else "not ")
    compared = f"{verb}{WORDS[alarm['ComparisonOperator']]} the threshold ({float(alarm['Threshold'])})"
    return f"Threshold Crossed: {len(shown)} out of the last {len(found)} datapoints [{listed}] {compared}{treated}."


def reason_data(alarm: Alarm, found: list[tuple[int, float | None]], minute: int) -> str:
    known = [(start, value) for start, value in reversed(found) if value is not None]
    data = {
        "version": "1.0",
        "queryDate": alarmactions.stamp(minute),
        "startDate": alarmactions.stamp(known[0][0] if known else found[-1][0]),
        "statistic": alarm["Statistic"],
        "period": alarm["Period"],
        "recentDatapoints": [value for _, value in known],
        "threshold": float(alarm["Threshold"]),
        "evaluatedDatapoints": [
            {"timestamp": alarmactions.stamp(start), "value": value} for start, value in reversed(known)
        ],
    }
    return json.dumps(data, separators=(",", ":"))
