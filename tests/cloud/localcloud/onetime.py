"""One-time schedules of EventBridge Scheduler, stricter than ministack's, with switches for their time.

A name has at most 64 characters of its alphabet. CreateSchedule is evaluated on the schedule of its group (ministack
knows the default one only), and `iam:PassRole` on the target's role for Scheduler. ListSchedules is evaluated on all,
as the Service Authorization Reference says, and has pages. A schedule's role has to trust Scheduler and be allowed to
invoke the function; what it may not invoke goes to the target's dead-letter queue, with Scheduler's attributes, and
the schedule is gone. Not modelled: retries before the dead-letter queue, ClientToken, and Scheduler's precision of a
minute.

Routes below /_local:

- `GET scheduler/once?group=GROUP` -> `{"schedules": [{name, group, at, target, input}]}`: those that wait, by name;
  `at` is the expression's time.
- `POST scheduler/fire {"group": GROUP, "name": NAME}` lets those fire at once whose name matches a shell pattern.
- `DELETE scheduler/once {"group": GROUP}` loses all schedules of a group: they never fire.
"""

from __future__ import annotations

import fnmatch
import json
import re
import time
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_region
from ministack.core.router import extract_access_key_id
from ministack.services import scheduler, sqs

from localcloud import queues, workflows
from localcloud.cloud import AdminError, Cloud

NAME = re.compile(r"[0-9a-zA-Z\-_.]{1,64}")
MOST = 100


def once(group: str | None = None) -> dict[Any, dict[str, Any]]:
    """The one-time schedules that wait, by ministack's key."""
    return {
        key: schedule
        for key, schedule in sorted(scheduler._schedules._data.items(), key=lambda item: item[1]["Name"])
        if scheduler._at_time_epoch(schedule["ScheduleExpression"]) is not None
        and group in (None, schedule["GroupName"])
        and key not in scheduler._schedule_last_fired
    }


def undeliverable(schedule: dict[str, Any]) -> str | None:
    """Why a schedule's function cannot be invoked; None if it can."""
    target = schedule["Target"]
    if not target["Arn"].startswith("arn:aws:lambda:"):
        return None
    return workflows.refusal(target["RoleArn"], "scheduler.amazonaws.com", "lambda:InvokeFunction", target["Arn"])


def bury(schedule: dict[str, Any], why: str) -> None:
    """Sends a target's input to its dead-letter queue."""
    target = schedule["Target"]
    queue = sqs._queue_by_arn((target.get("DeadLetterConfig") or {}).get("Arn", ""))
    if queue is None:
        return
    told = {"ERROR_CODE": "AccessDeniedException", "ERROR_MESSAGE": why}
    told.update(SCHEDULE_ARN=schedule["Arn"], TARGET_ARN=target["Arn"])
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in told.items()}
    queues.put(queue, target.get("Input", "{}"), attributes)


def install(cloud: Cloud) -> None:
    """Puts the checks into ministack, and adds the routes."""
    plain_resource, plain_handle, plain_tick = (
        iam_actions.extract_resource_arn,
        scheduler.handle_request,
        scheduler._tick_schedules,
    )

    def with_group(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        if service == "scheduler" and path.rstrip("/") == "/schedules":
            return "*"
        if service == "scheduler" and path.startswith("/schedules/"):
            given = query.get("groupName", [])
            group = (given[0] if isinstance(given, list) else given) if given else None
            if group is None and method in ("POST", "PUT"):
                group = json.loads(body or b"{}").get("GroupName")
            name = path.removeprefix("/schedules/")
            return f"arn:aws:scheduler:{region}:{account}:schedule/{group or 'default'}/{name}"
        return plain_resource(service, method, path, headers, body, query, region, account)

    async def handle(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        if method == "POST" and path.startswith("/schedules/"):
            data = json.loads(body or b"{}")
            if refusal := refused(path.removeprefix("/schedules/"), data, extract_access_key_id(headers, query)):
                return refusal
        if method == "GET" and path.rstrip("/") == "/schedules":
            return paged({key: value[0] if isinstance(value, list) else value for key, value in query.items()})
        return await plain_handle(method, path, headers, body, query)

    def tick() -> None:
        for key, schedule in once().items():
            is_due = time.time() >= scheduler._at_time_epoch(schedule["ScheduleExpression"])
            if is_due and schedule["State"] == "ENABLED" and (why := undeliverable(schedule)):
                bury(schedule, why)
                scheduler._schedules._data.pop(key, None)
        plain_tick()

    iam_actions.extract_resource_arn = with_group
    scheduler.handle_request = handle
    scheduler._tick_schedules = tick

    @cloud.route("GET", "scheduler/once")
    async def told(arguments: dict[str, Any]) -> dict[str, Any]:
        return {
            "schedules": [
                {
                    "name": one["Name"],
                    "group": one["GroupName"],
                    "at": one["ScheduleExpression"].removeprefix("at(").removesuffix(")"),
                    "target": one["Target"]["Arn"],
                    "input": one["Target"].get("Input", ""),
                }
                for one in once(arguments.get("group")).values()
            ]
        }

    @cloud.route("POST", "scheduler/fire")
    async def fire(arguments: dict[str, Any]) -> dict[str, Any]:
        chosen = [
            one for one in once(arguments.get("group")).values() if fnmatch.fnmatchcase(one["Name"], arguments["name"])
        ]
        if not chosen:
            raise AdminError(f"{arguments['name']}: no one-time schedule waits with such a name")
        for one in chosen:
            one["ScheduleExpression"] = time.strftime("at(%Y-%m-%dT%H:%M:%S)", time.gmtime(time.time() - 1))
        return {"fired": [one["Name"] for one in chosen]}

    @cloud.route("DELETE", "scheduler/once")
    async def lose(arguments: dict[str, Any]) -> dict[str, Any]:
        lost = once(arguments.get("group"))
        for key in lost:
            scheduler._schedules._data.pop(key, None)
        return {"lost": [one["Name"] for one in lost.values()]}


def refused(name: str, data: dict[str, Any], key: str) -> tuple | None:
    """The refusal of a new schedule; None if ministack may make it."""
    if not NAME.fullmatch(name):
        return scheduler._error(400, "ValidationException", f"Name {name}: 1 to 64 of 0-9 a-z A-Z - _ .")
    role = (data.get("Target") or {}).get("RoleArn")
    if role:
        context = {"iam:PassedToService": "scheduler.amazonaws.com"}
        denied = iam_evaluator.enforce(key, "iam:PassRole", "iam", get_region(), role, context)
        if denied:
            who = getattr(denied, "principal_arn", "")
            message = f"User: {who} is not authorized to perform: iam:PassRole on resource: {role}"
            return scheduler._error(403, "AccessDeniedException", message)
    return None


def paged(query: dict[str, str]) -> tuple:
    """ListSchedules, in the order of names."""
    whole = json.loads(scheduler._list_schedules({**query, "MaxResults": str(10**6)})[2])["Schedules"]
    whole.sort(key=lambda one: (one["GroupName"], one["Name"]))
    size, begin = int(query.get("MaxResults", MOST)), int(query.get("NextToken", 0))
    answer: dict[str, Any] = {"Schedules": whole[begin : begin + size]}
    if len(whole) > begin + size:
        answer["NextToken"] = str(begin + size)
    return scheduler._json_resp(200, answer)
