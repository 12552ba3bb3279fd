"""DynamoDB's continuous backups as AWS documents them, and what a test can make happen to a table.

A table can be restored to any time from the start of point-in-time recovery, or RecoveryPeriodInDays ago (default 35,
minimum 1), until five minutes ago. ministack returns the current time for both ends.

Calls are atomic here, so no two transactions ever conflict, and DynamoDB removes expired items at an unknown time: the
routes below make both happen. Routes below /_local:

- `POST dynamodb/conflicts {"count": N}`: the next N TransactWriteItems are cancelled, because another transaction is at
  their last item (`TransactionConflict`); 0 ends it.
- `POST dynamodb/expire {"table": NAME, "now": SECONDS}` removes the items whose time to live is over at `now` (the
  current time by default) -> `{"expired": N}`. Its stream has them as removed by the service ("DynamoDB Streams and
  Time to Live"). ministack removes them too, within a minute, but tells no stream.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import dynamodb as aws

from localcloud.cloud import AdminError, Cloud

DAYS, LAG, DAY = 35, 300, 86_400

Data = dict[str, Any]


def install(cloud: Cloud) -> None:
    """Answers both calls in place of ministack."""
    aws._describe_continuous_backups = found(describe)
    aws._update_continuous_backups = found(update)
    plain_write = aws._transact_write_items
    conflicts = 0

    def write(data: Data) -> tuple:
        nonlocal conflicts
        items = data.get("TransactItems")
        if not conflicts or not isinstance(items, list) or not 0 < len(items) <= aws._DDB_TXN_WRITE_MAX_ITEMS:
            return plain_write(data)
        conflicts -= 1
        status, headers, body = aws._transact_cancel_response(len(items), {len(items) - 1: None}, {})
        told = "Transaction is ongoing for the item"
        changed = body.replace(b"ConditionalCheckFailed", b"TransactionConflict")
        return status, headers, changed.replace(b"The conditional request failed", told.encode())

    aws._transact_write_items = write

    @cloud.route("POST", "dynamodb/conflicts")
    async def conflict(arguments: Data) -> Data:
        nonlocal conflicts
        if type(arguments.get("count")) is not int or arguments["count"] < 0:
            raise AdminError("count: must be a whole number from 0")
        conflicts = arguments["count"]
        return {"count": conflicts}

    @cloud.route("POST", "dynamodb/expire")
    async def expire(arguments: Data) -> Data:
        name = arguments.get("table")
        if name not in aws._tables:
            raise AdminError(f"table: {name} does not exist")
        return {"expired": expired(name, float(arguments.get("now", time.time())))}


def expired(name: str, now: float) -> int:
    """Removes the items whose time to live is over, and returns how many."""
    table, setting = aws._tables[name], aws._ttl_settings.get(name) or {}
    if setting.get("TimeToLiveStatus") != "ENABLED":
        return 0
    # Only numbers count ("Using time to live").
    over = [
        (first, second)
        for first, items in table["items"].items()
        for second, item in items.items()
        if "N" in item.get(setting["AttributeName"], {}) and float(item[setting["AttributeName"]]["N"]) <= now
    ]
    for first, second in over:
        gone = aws._remove_item(table, first, second)
        aws._emit_stream_event(name, "REMOVE", gone, None)
        if records := aws._stream_records.get(name):
            records[-1]["userIdentity"] = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    return len(over)


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
