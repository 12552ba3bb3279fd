"""DynamoDB's continuous backups as AWS documents them: missing tables, the recovery period, its two ends.

A table can be restored to any time from the start of point-in-time recovery, or RecoveryPeriodInDays ago (default 35,
minimum 1), until five minutes ago. ministack returns the current time for both ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import dynamodb as aws

from localcloud.cloud import Cloud

DAYS, LAG, DAY = 35, 300, 86_400

Data = dict[str, Any]


def install(cloud: Cloud) -> None:
    """Answers both calls in place of ministack."""
    aws._describe_continuous_backups = found(describe)
    aws._update_continuous_backups = found(update)


def found(handler: Callable[[str, Data], tuple]) -> Callable[[Data], tuple]:
    def answer(data: Data) -> tuple:
        name = aws._normalize_table_name(data.get("TableName"))
        if name not in aws._tables:
            return error_response_json("TableNotFoundException", f"Table not found: {name}", 400)
        return handler(name, data)

    return answer


def describe(name: str, data: Data) -> tuple:
    """DescribeContinuousBackups."""
    table, on = aws._tables[name], aws._pitr_settings.get(name, False)
    recovery: Data = {"PointInTimeRecoveryStatus": "ENABLED" if on else "DISABLED"}
    if on:
        days, now = table.get("_recovery_days", DAYS), int(time.time())
        since = table.get("_recoverable_since", table["CreationDateTime"])
        recovery["RecoveryPeriodInDays"] = days
        recovery["EarliestRestorableDateTime"] = max(int(since), now - days * DAY)
        recovery["LatestRestorableDateTime"] = max(recovery["EarliestRestorableDateTime"], now - LAG)
    backups = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}
    return json_response({"ContinuousBackupsDescription": backups})


def update(name: str, data: Data) -> tuple:
    """UpdateContinuousBackups."""
    wanted, table = data.get("PointInTimeRecoverySpecification", {}), aws._tables[name]
    days = wanted.get("RecoveryPeriodInDays", table.get("_recovery_days", DAYS))
    if not 1 <= days <= DAYS:
        message = f"RecoveryPeriodInDays must be between 1 and {DAYS}"
        return error_response_json("ValidationException", message, 400)
    on = wanted.get("PointInTimeRecoveryEnabled", False)
    if on and not aws._pitr_settings.get(name):
        table["_recoverable_since"] = int(time.time())
    table["_recovery_days"] = days
    aws._pitr_settings[name] = on
    return describe(name, data)
