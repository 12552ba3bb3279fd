"""Task tokens: a state that calls a function and then waits for SendTaskSuccess or SendTaskFailure with its token.

ministack waits without limits of its own, keeps one token for all attempts, ignores a failed call of the function, and
goes on waiting after StopExecution. Here, as Step Functions documents:

- Each attempt has a new token. The token ends with its task: SendTask* then answers TaskTimedOut. A text that never was
  a token is answered InvalidToken.
- TimeoutSeconds and HeartbeatSeconds, numbers or JSONata, count from the task's start, after --time-scale, and end it
  with States.Timeout or States.HeartbeatTimeout; SendTaskHeartbeat starts the latter again. The heartbeat must be the
  shorter one.
- A function that fails or may not be called fails the task.
- An ended execution ends its token.
- SendTask* is evaluated on the state machine of the token ("Grant task response permissions" of the AWS CDK's state
  machines, whose policies name that resource).

Only functions can be called with a token. Routes below /_local:

- `GET states/tokens` -> `{"waiting": [{"execution", "state"}]}`, without the tokens.
- `POST states/expire {"execution": ARN}` ends that execution's waiting task with States.Timeout.
"""

from __future__ import annotations

import contextvars
import dataclasses
import json
import threading
import time
from typing import Any

from ministack.core import iam_actions
from ministack.core.responses import error_response_json, json_response, new_uuid
from ministack.services import stepfunctions

from localcloud import workflows
from localcloud.cloud import AdminError, Cloud

# Step Functions' default of TimeoutSeconds.
LONGEST = 99_999_999
# Seconds between two looks at an execution that may have been stopped.
LOOK = 0.1


@dataclasses.dataclass
class Task:
    """A task that waits, or has waited, for its token."""

    execution: dict[str, Any]
    state: str
    heard: float
    result: Any = None
    error: tuple[str, str] | None = None
    # The task has ended, or its token was used.
    closed: bool = False
    expired: bool = False
    told: threading.Condition = dataclasses.field(default_factory=threading.Condition)

    @property
    def is_open(self) -> bool:
        return not self.closed and self.execution["status"] == "RUNNING"

    def close(self, result: Any = None, error: tuple[str, str] | None = None) -> bool:
        """Ends the task with a result or an error; false if it has ended before."""
        with self.told:
            if not self.is_open:
                return False
            self.closed, self.result, self.error = True, result, error
            self.told.notify_all()
            return True


@dataclasses.dataclass(frozen=True)
class Limits:
    """A waiting task's limits in seconds of AWS's time."""

    timeout: float = LONGEST
    heartbeat: float | None = None


LIMITS: contextvars.ContextVar[Limits] = contextvars.ContextVar("limits")
STATE: contextvars.ContextVar[str] = contextvars.ContextVar("state", default="")


def install(cloud: Cloud) -> None:
    """Replaces ministack's tokens; after `workflows`, whose checks of a function's call apply here too."""
    tasks: dict[str, Task] = {}
    plain_arguments, plain_arn = stepfunctions._apply_jsonata_arguments, iam_actions.extract_resource_arn

    def arguments(state: dict, given: Any, ctx: dict | None = None) -> Any:
        if ".waitForTaskToken" in state.get("Resource", "") and ctx is not None:
            # Each attempt evaluates its arguments again.
            ctx["Task"] = {"Token": new_uuid()}
            STATE.set(ctx["State"].get("Name", ""))

            def seconds(name: str) -> float | None:
                value = state.get(name)
                if isinstance(value, str):
                    value = stepfunctions._apply_jsonata_template(value, given, ctx)
                if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0):
                    raise stepfunctions._ExecutionError("States.QueryEvaluationError", f"{name} is {value}")
                return value

            limits = Limits(seconds("TimeoutSeconds") or LONGEST, seconds("HeartbeatSeconds"))
            if limits.heartbeat is not None and limits.heartbeat >= limits.timeout:
                text = "HeartbeatSeconds must be smaller than TimeoutSeconds"
                raise stepfunctions._ExecutionError("States.Runtime", text)
            LIMITS.set(limits)
        return plain_arguments(state, given, ctx)

    def wait(resource: str, given: Any, token: str, state: dict) -> Any:
        execution, limits = workflows.EXECUTION.get(), LIMITS.get()
        if execution is None or "states:::lambda:invoke" not in resource:
            raise stepfunctions._ExecutionError("States.Runtime", f"{resource} is not served by the local cloud")
        if execution["status"] != "RUNNING":
            raise workflows.Ended(f"the execution is {execution['status']}")
        task = tasks[token] = Task(execution, STATE.get(), time.monotonic())
        began = task.heard
        try:
            # ministack's own call of a function, which `workflows` checks.
            stepfunctions._invoke_resource("arn:aws:states:::lambda:invoke", given)
            with task.told:
                while not task.closed:
                    if execution["status"] != "RUNNING":
                        raise workflows.Ended(f"the execution is {execution['status']}")
                    now = time.monotonic()
                    if task.expired or now >= began + limits.timeout * cloud.time_scale:
                        raise stepfunctions._ExecutionError("States.Timeout", "")
                    if limits.heartbeat is not None and now >= task.heard + limits.heartbeat * cloud.time_scale:
                        raise stepfunctions._ExecutionError("States.HeartbeatTimeout", "")
                    task.told.wait(LOOK)
        finally:
            with task.told:
                task.closed = True
        if task.error is not None:
            raise stepfunctions._ExecutionError(*task.error)
        return task.result

    def refused(code: str, text: str) -> tuple:
        return error_response_json(code, text, 400)

    def found(data: dict) -> Task | tuple:
        task = tasks.get(data.get("taskToken") or "")
        if task is None:
            return refused("InvalidToken", "Invalid Token: 'Invalid token'")
        if not task.is_open:
            return refused("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        return task

    def success(data: dict) -> tuple:
        task = found(data)
        if isinstance(task, tuple):
            return task
        try:
            result = json.loads(data.get("output") or "")
        except ValueError:
            return refused("InvalidOutput", "Invalid Output: 'Invalid JSON'")
        return json_response({}) if task.close(result) else found(data)

    def failure(data: dict) -> tuple:
        task = found(data)
        if isinstance(task, tuple):
            return task
        closed = task.close(error=(data.get("error") or "", data.get("cause") or ""))
        return json_response({}) if closed else found(data)

    def heartbeat(data: dict) -> tuple:
        task = found(data)
        if isinstance(task, tuple):
            return task
        task.heard = time.monotonic()
        return json_response({})

    def resource_arn(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        if service == "states" and ".SendTask" in headers.get("x-amz-target", ""):
            task = tasks.get(json.loads(body or b"{}").get("taskToken") or "")
            return task.execution["stateMachineArn"] if task else "*"
        return plain_arn(service, method, path, headers, body, query, region, account)

    async def waiting(_: dict[str, Any]) -> dict[str, Any]:
        open_ = [task for task in tasks.values() if task.is_open]
        return {"waiting": [{"execution": task.execution["executionArn"], "state": task.state} for task in open_]}

    async def expire(fields: dict[str, Any]) -> dict[str, Any]:
        mine = [
            task for task in tasks.values() if task.is_open and task.execution["executionArn"] == fields["execution"]
        ]
        if not mine:
            raise AdminError(f"no task of {fields['execution']} waits")
        for task in mine:
            with task.told:
                task.expired = True
                task.told.notify_all()
        return {"expired": [task.state for task in mine]}

    stepfunctions._apply_jsonata_arguments = arguments
    stepfunctions._invoke_with_callback = wait
    stepfunctions._send_task_success = success
    stepfunctions._send_task_failure = failure
    stepfunctions._send_task_heartbeat = heartbeat
    iam_actions.extract_resource_arn = resource_arn
    cloud.route("GET", "states/tokens")(waiting)
    cloud.route("POST", "states/expire")(expire)
