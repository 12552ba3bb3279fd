"""SQS, and what services deliver to its queues, where ministack differs from AWS.

- EventBridge delivers only to a queue whose policy lets `events.amazonaws.com` send for that rule. A delivery of
  EventBridge or SNS that the queue refuses, or for which there is no queue, goes to the dead-letter queue of the target
  or subscription, with EventBridge's or without SNS's attributes ("Using dead-letter queues to process undelivered
  events", "Amazon SNS dead-letter queues"): both are permanent errors, which neither service repeats.
- A function's dead-letter queue gets the event as it was, with RequestID, ErrorCode and ErrorMessage as attributes
  ("Capturing records of Lambda asynchronous invocations"); ministack sends it what a destination gets.
- A queue is changed by one thread at a time; ministack loses a message that arrives while another one is deleted.
- StartMessageMoveTask, ListMessageMoveTasks and CancelMessageMoveTask: the source must be the dead-letter queue of a
  queue; a moved message is a new one, with a new id and enqueue time ("Using dead-letter queues in Amazon SQS"). The
  move is complete before the answer, so that a task never runs; the text of the refusal is the service's.
- Queues deliver at least once, in any order: the route below makes a mapping do so on purpose.

Routes below /_local:

- `POST queues {"deliver": N, "reversed": BOOL}`: a mapping of a standard queue or of a stream gives every message or
  record to its function N times (1 at first), each time as if the deletion had been lost; `reversed` lets a standard
  queue give its newest messages first. `GET queues` -> the same.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.concurrency import esm_wake
from ministack.core.responses import get_account_id
from ministack.services import eventbridge, lambda_svc, s3, sns, sqs

from localcloud.cloud import AdminError, Cloud

logger = logging.getLogger("queues")

LOCK = threading.RLock()
MOST_TASKS = 10


@dataclasses.dataclass
class Settings:
    """How mappings deliver."""

    deliver: int = 1
    reversed: bool = False


SETTINGS = Settings()

# The finished moves of each source queue, by its ARN, newest first.
moves: dict[str, list[dict[str, Any]]] = {}


def install(cloud: Cloud) -> None:
    """Puts the differences into ministack."""
    sqs._queues_lock = LOCK
    for module, names in (
        (sqs, ("_collect_msgs", "_dlq_sweep", "_expire_retained", "_refresh_counts")),
        (lambda_svc, ("_route_async_failure",)),
        (sns, ("_deliver_to_sqs",)),
        (eventbridge, ("_dispatch_to_sqs",)),
        (s3, ("_deliver_event_to_sqs",)),
    ):
        for name in names:
            setattr(module, name, locked(getattr(module, name)))
    for action, handler in sqs._HANDLERS.items():
        if action != "ReceiveMessage":
            sqs._HANDLERS[action] = locked(handler)
    sqs._HANDLERS |= {
        "StartMessageMoveTask": start_move,
        "ListMessageMoveTasks": list_moves,
        "CancelMessageMoveTask": cancel_move,
    }
    plain_collect, plain_deliver, plain_target = sqs._collect_msgs, sns._deliver_to_sqs, eventbridge._invoke_target
    # The rule and the target for which EventBridge delivers on this thread.
    now = threading.local()

    def collect(queue: dict, most: int, timeout: int) -> list[dict]:
        if SETTINGS.reversed and not queue["is_fifo"]:
            with LOCK:
                queue["messages"].sort(key=lambda message: message["sent_at"], reverse=True)
                return plain_collect(queue, most, timeout)
        return plain_collect(queue, most, timeout)

    def deliver(
        endpoint: str, envelope: str, raw: bool, raw_message: str, *given: Any, topic_arn: str = "", **named: Any
    ) -> None:
        if accepts(endpoint, "sns.amazonaws.com", topic_arn):
            plain_deliver(endpoint, envelope, raw, raw_message, *given, topic_arn=topic_arn, **named)
            return
        topic = sns._topic_by_arn_any_scope(topic_arn) or {}
        for subscription in topic.get("subscriptions", []):
            if (subscription["protocol"], subscription["endpoint"]) == ("sqs", endpoint):
                redrive = subscription.get("attributes", {}).get("RedrivePolicy")
                dead = json.loads(redrive).get("deadLetterTargetArn", "") if redrive else ""
                why = f"{topic_arn} could not deliver to {endpoint}"
                bury(dead, raw_message if raw else envelope, "sns.amazonaws.com", topic_arn, why)

    plain_dispatch, plain_route = eventbridge._dispatch_to_sqs, lambda_svc._route_async_failure

    def route(target: str, function: str, event: dict, result: dict) -> None:
        config = lambda_svc._functions.get(function, {}).get("config", {})
        queue = sqs._queue_by_arn(target)
        if queue is None or (config.get("DeadLetterConfig") or {}).get("TargetArn") != target:
            plain_route(target, function, event, result)
            return
        said = result.get("body")
        text = said.get("errorMessage", "") if isinstance(said, dict) else str(said or "")
        told = {"RequestID": str(uuid.uuid4()), "ErrorCode": "200", "ErrorMessage": text[:1024] or "Unhandled"}
        kinds = {"ErrorCode": "Number"}
        attributes = {
            name: {"StringValue": value, "DataType": kinds.get(name, "String")} for name, value in told.items()
        }
        put(queue, json.dumps(event), attributes)

    def invoke_target(target: dict, event: dict, rule: dict, view: Any = None) -> None:
        now.target, now.rule = target, rule
        plain_target(target, event, rule, view)

    def dispatch(spec: Any, payload: str, parameters: dict | None = None) -> None:
        rule = now.rule.get("Arn", "")
        if accepts(str(spec), "events.amazonaws.com", rule):
            plain_dispatch(spec, payload, parameters)
            return
        exists = sqs._queue_by_arn(str(spec)) is not None
        attributes = {
            "ERROR_CODE": "NO_PERMISSIONS" if exists else "RESOURCE_NOT_FOUND",
            "ERROR_MESSAGE": "The queue refuses the event" if exists else "The queue does not exist",
            "RULE_ARN": rule,
            "TARGET_ARN": str(spec),
        }
        dead = (now.target.get("DeadLetterConfig") or {}).get("Arn", "")
        bury(dead, payload, "events.amazonaws.com", rule, f"{rule} could not deliver to {spec}", attributes)

    sqs._collect_msgs = collect
    sns._deliver_to_sqs = deliver
    eventbridge._invoke_target = invoke_target
    eventbridge._dispatch_to_sqs = dispatch
    lambda_svc._route_async_failure = route

    @cloud.route("GET", "queues")
    async def told(_: dict[str, Any]) -> dict[str, Any]:
        return dataclasses.asdict(SETTINGS)

    @cloud.route("POST", "queues")
    async def configure(arguments: dict[str, Any]) -> dict[str, Any]:
        for name in arguments.keys() - {"deliver", "reversed"}:
            raise AdminError(f"{name}: unknown field")
        deliver, newest_first = arguments.get("deliver", 1), arguments.get("reversed", False)
        if type(deliver) is not int or not 1 <= deliver <= 10:
            raise AdminError("deliver: must be a whole number from 1 to 10")
        if type(newest_first) is not bool:
            raise AdminError("reversed: must be true or false")
        SETTINGS.deliver, SETTINGS.reversed = deliver, newest_first
        return dataclasses.asdict(SETTINGS)


def locked(plain: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which changes queues while no other thread does."""

    @functools.wraps(plain)
    def alone(*given: Any, **named: Any) -> Any:
        with LOCK:
            return plain(*given, **named)

    return alone


def accepts(queue: str, service: str, source: str) -> bool:
    """Whether a queue exists and its policy lets a service send for a source."""
    try:
        account = parse_arn(source).account_id
    except ArnParseError:
        account = get_account_id()
    return sqs._queue_by_arn(queue) is not None and sqs.queue_policy_allows(queue, service, source, account)


def bury(dead: str, body: str, service: str, source: str, why: str, attributes: dict[str, str] | None = None) -> None:
    """Sends what could not be delivered to the dead-letter queue, if there is one and it accepts it."""
    if not dead or not accepts(dead, service, source):
        logger.warning("%s, and %s accepts it neither", why, dead or "no dead-letter queue")
        return
    told = {name: {"StringValue": value, "DataType": "String"} for name, value in (attributes or {}).items()}
    put(sqs._queue_by_arn(dead), body, told)


def put(queue: dict, body: str, attributes: dict[str, Any] | None = None, **more: Any) -> None:
    """Adds a new message to a queue."""
    now = time.time()
    message = {
        "id": str(uuid.uuid4()),
        "body": body,
        "md5_body": hashlib.md5(body.encode()).hexdigest(),
        "md5_attrs": sqs._md5_msg_attrs(attributes) if attributes else None,
        "message_attributes": attributes or {},
        "sent_at": now,
        "visible_at": now + sqs.queue_delay(queue),
        **more,
    }
    sqs._ensure_msg_fields(message)
    with LOCK:
        queue["messages"].append(message)
    esm_wake.set()


# Moves


def _refused(code: str, text: str, status: int = 400) -> sqs._Err:
    return sqs._Err(code, text, status)


def _queue_of(arn: Any) -> dict:
    queue = sqs._queue_by_arn(arn) if arn else None
    if queue is None:
        raise _refused(
            "ResourceNotFoundException",
            "The resource that you specified for the SourceArn parameter doesn't exist.",
            404,
        )
    return queue


def start_move(data: dict, _url: str) -> dict:
    source_arn, target_arn = data.get("SourceArn"), data.get("DestinationArn")
    source = _queue_of(source_arn)
    policies = [queue["attributes"].get("RedrivePolicy") for queue in list(sqs._queues.values())]
    if not any(policy and json.loads(policy).get("deadLetterTargetArn") == source_arn for policy in policies):
        raise _refused("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
    rate = data.get("MaxNumberOfMessagesPerSecond")
    if rate is not None and not 1 <= int(rate) <= 500:
        raise _refused(
            "InvalidParameterValue",
            f"Value {rate} for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must be between 1 and 500.",
        )
    target = _queue_of(target_arn) if target_arn else None
    moved, failure = 0, None
    with LOCK:
        sqs._expire_retained(source)
        now = time.time()
        waiting = [message for message in source["messages"] if message["visible_at"] <= now]
        for message in waiting:
            # A message that came from no queue has nowhere to return to.
            to = target or sqs._queue_by_arn(message["sys"].get("DeadLetterQueueSourceArn", ""))
            if to is None:
                failure = "CouldNotDetermineMessageSource"
                break
            source["messages"] = [each for each in source["messages"] if each is not message]
            put(to, message["body"], message["message_attributes"])
            moved += 1
    handle = str(uuid.uuid4())
    task = {
        "Status": "FAILED" if failure else "COMPLETED",
        "SourceArn": source_arn,
        "ApproximateNumberOfMessagesMoved": moved,
        "ApproximateNumberOfMessagesToMove": len(waiting),
        "StartedTimestamp": int(now * 1000),
    }
    task |= {"DestinationArn": target_arn} if target_arn else {}
    task |= {"MaxNumberOfMessagesPerSecond": int(rate)} if rate is not None else {}
    task |= {"FailureReason": failure} if failure else {}
    moves.setdefault(source_arn, []).insert(0, task)
    return {"TaskHandle": handle}


def list_moves(data: dict, _url: str) -> dict:
    _queue_of(data.get("SourceArn"))
    most = int(data.get("MaxResults") or 1)
    if not 1 <= most <= MOST_TASKS:
        raise _refused(
            "InvalidParameterValue",
            f"Value {most} for parameter MaxResults is invalid. Reason: Must be between 1 and 10.",
        )
    return {"Results": moves.get(data["SourceArn"], [])[:most]}


def cancel_move(_data: dict, _url: str) -> dict:
    # No task is running.
    raise _refused("ResourceNotFoundException", "Task does not exist.", 404)
