"""Event source mappings of queues and DynamoDB streams, by Lambda's guide, where ministack differs.

Queues ("Using Lambda with Amazon SQS"): with ReportBatchItemFailures, a response in another form than the documented
one fails the whole batch. A failed message comes again when its visibility timeout ends: the rest of it, from the end
of the invocation, is multiplied by --time-scale.

Streams ("Using AWS Lambda with Amazon DynamoDB", "Retain records from a failed invocation"): ParallelizationFactor
divides a shard by partition key into lanes, which do not wait for each other; ministack lets one invocation hold up all
mappings. A failed batch is repeated until MaximumRetryAttempts or MaximumRecordAgeInSeconds is over, in halves with
BisectBatchOnFunctionError, from the failed record on with ReportBatchItemFailures; what is given up goes to the
on-failure destination. Its pauses, a second at first and a minute at most, are assumed and multiplied by --time-scale;
the age of a record is not. `IteratorAge` is the age of a batch's last record. A stream has one shard here, and the
place in it does not survive the end of the cloud.

`queues.py` says how often a message or a record is delivered.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import zlib
from collections import deque
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import dynamodb, lambda_svc, sns, sqs

from localcloud import alarms, queues
from localcloud.cloud import Cloud

logger = logging.getLogger("mappings")

SHARD = "shardId-00000000000000000000-00000000"
PAUSE, LONGEST_PAUSE = 1.0, 60.0
FOREVER = -1
DEFAULT_BATCH = 100

Record = dict[str, Any]
Mapping = dict[str, Any]


class InvalidResponse(Exception):
    """A response that is not a list of failed items."""


def failed_items(body: Any) -> list[str]:
    """The failed items of a response to a mapping with ReportBatchItemFailures; none is success."""
    if isinstance(body, str):
        try:
            body = json.loads(body) if body else None
        except ValueError:
            raise InvalidResponse from None
    if body is None:
        return []
    if not isinstance(body, dict):
        raise InvalidResponse
    found = []
    for failure in body.get("batchItemFailures") or []:
        item = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if not isinstance(item, str) or not item:
            raise InvalidResponse
        found.append(item)
    return found


def reports(mapping: Mapping) -> bool:
    return "ReportBatchItemFailures" in (mapping.get("FunctionResponseTypes") or [])


def number(mapping: Mapping, name: str, default: int) -> int:
    """A setting, which a template may write as text."""
    value = mapping.get(name)
    return default if value is None else int(value)


def install(cloud: Cloud) -> None:
    """Replaces ministack's handling of batches."""
    streams = Streams(cloud.time_scale)
    lambda_svc._ESM_BACKOFF_SECONDS = cloud.time_scale
    lambda_svc._run_sqs_batch = lambda *given: run_queue_batch(cloud.time_scale, *given)
    lambda_svc._poll_dynamodb_streams = streams.poll


# Queues


def run_queue_batch(
    scale: float, mapping: Mapping, function: dict, event: dict, batch: list[dict], url: str, name: str
) -> None:
    """Invokes the function with a batch of a queue, and deletes what succeeded."""
    result = lambda_svc._execute_function(function, event)
    given = {record["messageId"] for record in event["Records"]}
    try:
        failed = set(failed_items(result.get("body"))) if reports(mapping) else set()
        is_error = bool(result.get("error")) or not failed <= given
    except InvalidResponse:
        is_error = True
    if is_error:
        failed = given
        lambda_svc._esm_backoff_until[mapping["UUID"]] = time.time() + lambda_svc._ESM_BACKOFF_SECONDS
        logger.warning("%s failed with a batch of %s: %s", mapping["FunctionName"], name, result.get("body"))
    mapping["LastProcessingResult"] = "FAILED" if is_error else f"OK - {len(batch)} records"
    done = set()
    with queues.LOCK:
        now = time.time()
        for message in batch:
            if message["id"] in failed:
                message["visible_at"] = now + max(0.0, message["visible_at"] - now) * scale
                continue
            message["delivered"] = message.get("delivered", 0) + 1
            if message["delivered"] < queues.SETTINGS.deliver:
                message["visible_at"] = now
            else:
                done.add(message["receipt_handle"])
        sqs._delete_messages_for_esm(url, done)


# Streams


class Lane:
    """The records of a share of the partition keys, which are processed in order."""

    def __init__(self, streams: Streams, mapping_id: str, account: str, region: str):
        self.streams, self.mapping_id = streams, mapping_id
        self.account, self.region = account, region
        self.waiting: deque[Record] = deque()
        self._running = False
        self._lock = threading.Lock()

    def add(self, records: list[Record]) -> None:
        with self._lock:
            self.waiting.extend(records)
            if self._running or not self.waiting:
                return
            self._running = True
        spawn_background(self._run, thread_name="stream-lane")

    def _run(self) -> None:
        while True:
            with request_scope(self.account, self.region):
                mapping = lambda_svc._esms.get(self.mapping_id)
            with self._lock:
                if mapping is None or not self.waiting:
                    self.waiting.clear()
                    self._running = False
                    return
                size = min(number(mapping, "BatchSize", DEFAULT_BATCH), len(self.waiting))
                batch = [self.waiting.popleft() for _ in range(size)]
            try:
                with request_scope(self.account, self.region):
                    self._process(mapping, batch)
            except Exception:
                logger.exception("a batch of %s", mapping["FunctionName"])

    def _process(self, mapping: Mapping, batch: list[Record]) -> None:
        """Invokes the function until the batch, or each part of it, has succeeded or is given up."""
        # Each part with its failed attempts.
        parts: deque[tuple[list[Record], int]] = deque([(batch, 0)])
        while parts:
            part, attempts = parts.popleft()
            oldest = min(record["dynamodb"]["ApproximateCreationDateTime"] for record in part)
            longest = number(mapping, "MaximumRecordAgeInSeconds", FOREVER)
            if longest != FOREVER and time.time() - oldest > longest:
                give_up(mapping, part, "MaxRecordAgeExceeded", attempts, {})
                continue
            done, result = self._invoke(mapping, part)
            if done == len(part):
                continue
            attempts, rest = attempts + 1, part[done:]
            most = number(mapping, "MaximumRetryAttempts", FOREVER)
            if truth(mapping.get("BisectBatchOnFunctionError")) and len(part) > 1:
                # Halves do not count as a retry. A reported item says where to divide.
                cut = done or len(part) // 2
                halves = [rest] if done else [part[:cut], part[cut:]]
                parts.extendleft((half, attempts - 1) for half in reversed(halves))
            elif most != FOREVER and attempts > most:
                give_up(mapping, rest, "RetryAttemptsExhausted", attempts, result)
                continue
            else:
                parts.appendleft((rest, attempts))
            time.sleep(min(PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE) * self.streams.scale)

    def _invoke(self, mapping: Mapping, part: list[Record]) -> tuple[int, dict]:
        """How many records succeeded, and the last result."""
        function, _ = lambda_svc._get_func_record_for_qualifier(mapping["FunctionName"], mapping.get("Qualifier"))
        if function is None:
            return 0, {}
        result: dict = {}
        for _ in range(queues.SETTINGS.deliver):
            started = time.time()
            age = max(0.0, started - part[-1]["dynamodb"]["ApproximateCreationDateTime"]) * 1000
            alarms.keep("AWS/Lambda", "IteratorAge", {"FunctionName": mapping["FunctionName"]}, age, started)
            result = lambda_svc._execute_function(function, {"Records": part})
            if result.get("error"):
                mapping["LastProcessingResult"] = "PROBLEM: Function call failed"
                return 0, result
            if reports(mapping):
                sequences = [record["dynamodb"]["SequenceNumber"] for record in part]
                try:
                    failed = failed_items(result.get("body"))
                except InvalidResponse:
                    return 0, result
                if failed:
                    # Lambda repeats everything from the lowest sequence number on.
                    return min(sequences.index(one) if one in sequences else 0 for one in failed), result
        mapping["LastProcessingResult"] = "OK"
        return len(part), result


class Streams:
    """The lanes of all mappings of streams."""

    def __init__(self, scale: float):
        self.scale = scale
        self._lanes: dict[str, list[Lane]] = {}

    def poll(self) -> bool:
        """Gives new records to the lanes; whether there were any. Only ministack's poller calls this."""
        found = False
        for account, region, mapping in lambda_svc._iter_all_esms():
            if ":dynamodb:" in mapping.get("EventSourceArn", "") and truth(mapping.get("Enabled", True)):
                with request_scope(account, region):
                    found = self._read(mapping) or found
        return found

    def _read(self, mapping: Mapping) -> bool:
        source, key = mapping["EventSourceArn"], mapping["UUID"]
        name = source.partition(":table/")[2].partition("/stream/")[0]
        table = dynamodb._tables.get(name)
        if not table or table.get("LatestStreamArn") != source:
            return False
        lambda_svc._init_stream_position(key, source, mapping.get("StartingPosition", "LATEST"))
        positions = lambda_svc._dynamodb_stream_positions
        start = max(positions[key], dynamodb.stream_start_position(name))
        records = dynamodb.stream_records_since(name, start, 10_000)
        positions[key] = start + len(records)
        # ministack filters records of any source.
        records = lambda_svc._apply_filter_criteria(list(records), mapping)
        lanes = self._lanes.get(key)
        if lanes is None:
            factor = number(mapping, "ParallelizationFactor", 1)
            lanes = [Lane(self, key, get_account_id(), get_region()) for _ in range(factor)]
            self._lanes[key] = lanes
        partition = next(one["AttributeName"] for one in table["KeySchema"] if one["KeyType"] == "HASH")
        shares: dict[int, list[Record]] = {}
        for record in records:
            value = json.dumps(record["dynamodb"]["Keys"][partition], sort_keys=True)
            shares.setdefault(zlib.crc32(value.encode()) % len(lanes), []).append(record)
        for place, share in shares.items():
            lanes[place].add(share)
        return bool(records)


def truth(value: Any) -> bool:
    """A boolean, which a template may write as text."""
    return value is True or str(value).lower() == "true"


def give_up(mapping: Mapping, batch: list[Record], condition: str, attempts: int, result: dict) -> None:
    """Sends the record of a batch that is given up to the on-failure destination."""
    mapping["LastProcessingResult"] = f"PROBLEM: {condition}"
    destination = ((mapping.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    if not destination:
        logger.warning("%s: %d records are dropped: %s", mapping["FunctionName"], len(batch), condition)
        return
    first, last = batch[0]["dynamodb"], batch[-1]["dynamodb"]

    def moment(seconds: float) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(seconds)))

    body = {
        "requestContext": {
            "requestId": str(lambda_svc.new_uuid()),
            "functionArn": mapping["FunctionArn"],
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": result.get("function_error") or "Unhandled",
        },
        "version": "1.0",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        "DDBStreamBatchInfo": {
            "shardId": SHARD,
            "startSequenceNumber": str(first["SequenceNumber"]),
            "endSequenceNumber": str(last["SequenceNumber"]),
            "approximateArrivalOfFirstRecord": moment(first["ApproximateCreationDateTime"]),
            "approximateArrivalOfLastRecord": moment(last["ApproximateCreationDateTime"]),
            "batchSize": len(batch),
            "streamArn": mapping["EventSourceArn"],
        },
    }
    if destination.startswith("arn:aws:sns:"):
        sns._fanout(destination, lambda_svc.new_uuid(), json.dumps(body), "")
    elif queue := sqs._queue_by_arn(destination):
        queues.put(queue, json.dumps(body))
    else:
        logger.warning("%s: no destination %s", mapping["FunctionName"], destination)
