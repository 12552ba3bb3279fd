"""Interruptions of an execution at a state of its machine: StopExecution, calls that Lambda refuses, faults of calls.

A choice state lasts too short for a test to stop an execution in it, and a task too short to stop it while its function
runs, or to arm a fault for it alone. Here the execution does so itself when it gets there:

- `POST /_local/states/interruptions {"machine": ARN, "state": NAME, "effect": EFFECT, ...}` -> `{"id": N}`. Effects:
    - `stop`: StopExecution when the execution enters the state. A task's function is not called.
    - `stop-called`: StopExecution when the state's function is called. The function runs to its end, and its answer is
      lost. Each attempt of the task counts.
    - `refuse`: the call fails with Lambda.ServiceException, and the function does not run. Each attempt counts.
    - `fault`: arms the `rule` of `faults.py` when the execution enters the task, which counts calls from then on, until
      it enters another task. With `past`, the name of a task, and `times`, only when the execution has left that
      task so often (0).
  The first three may have `nth` (1), the first time to hit, and `count` (1), how many times from there on.
- `GET /_local/states/interruptions` -> `{"interruptions": [{"id", "machine", "state", "effect", "hits"}]}`; those of a
  `fault` are its rule's.
- `DELETE /_local/states/interruptions` removes all.
"""

from __future__ import annotations

import collections
import contextvars
import dataclasses
import threading
from typing import Any

from ministack.services import stepfunctions

from localcloud import faults
from localcloud.cloud import AdminError, Cloud
from localcloud.workflows import EXECUTION

EFFECTS = ("stop", "stop-called", "refuse", "fault")


@dataclasses.dataclass
class Interruption:
    """One order of a test."""

    machine: str
    state: str
    effect: str
    nth: int = 1
    count: int = 1
    rule: faults.Rule | None = None
    past: str = ""
    times: int = 0
    seen: int = 0
    hits: int = 0
    # Id of the rule, once it is armed.
    armed: int | None = None

    def strikes(self) -> bool:
        """Counts a visit, and tells whether this one is hit."""
        self.seen += 1
        is_hit = self.nth <= self.seen < self.nth + self.count
        self.hits += is_hit
        return is_hit


@dataclasses.dataclass
class Course:
    """The tasks of an execution."""

    task: str = ""
    left: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def enter(self, task: str) -> bool:
        """Whether the execution comes from another task."""
        if task == self.task:
            return False
        if self.task:
            self.left[self.task] += 1
        self.task = task
        return True


# The state in which the execution of this thread is.
STATE: contextvars.ContextVar[str] = contextvars.ContextVar("interrupted_state", default="")


def install(cloud: Cloud) -> None:
    """Looks for an order at each state and at each call of a function; after `workflows`."""
    orders: dict[int, Interruption] = {}
    courses: dict[str, Course] = {}
    lock = threading.Lock()
    plain_event, plain_call = stepfunctions._add_event, stepfunctions._call_lambda

    def is_due(execution: dict[str, Any], effect: str) -> bool:
        with lock:
            at = execution["stateMachineArn"], STATE.get(), effect
            return any([one.strikes() for one in orders.values() if (one.machine, one.state, one.effect) == at])

    def stop(execution: dict[str, Any]) -> None:
        if execution["status"] == "RUNNING":
            stepfunctions._stop_execution({"executionArn": execution["executionArn"], "cause": "an interruption"})

    def arm(execution: dict[str, Any]) -> None:
        """Arms the faults of a task, and ends those of the task before it."""
        with lock:
            course = courses.setdefault(execution["executionArn"], Course())
            if not course.enter(STATE.get()):
                return
            for one in orders.values():
                if one.effect != "fault" or one.machine != execution["stateMachineArn"]:
                    continue
                if one.armed is not None:
                    cloud.switches.retire(one.armed)
                elif one.state == course.task and course.left[one.past] == one.times:
                    one.armed = cloud.switches.add(one.rule)

    def add_event(execution: dict[str, Any], kind: str, details: dict[str, Any] | None = None) -> Any:
        event = plain_event(execution, kind, details)
        if kind.endswith("StateEntered"):
            STATE.set((details or {})["stateEnteredEventDetails"]["name"])
            if kind == "TaskStateEntered":
                arm(execution)
            if is_due(execution, "stop"):
                stop(execution)
        return event

    def call_lambda(function: str, event: Any) -> Any:
        if (execution := EXECUTION.get()) is not None:
            if is_due(execution, "refuse"):
                raise stepfunctions._ExecutionError("Lambda.ServiceException", "an interruption of the local cloud")
            if is_due(execution, "stop-called"):
                stop(execution)
        return plain_call(function, event)

    async def add(fields: dict[str, Any]) -> dict[str, Any]:
        known = {field.name for field in dataclasses.fields(Interruption)} - {"seen", "hits", "armed"}
        if unknown := fields.keys() - known:
            raise AdminError(f"{', '.join(sorted(unknown))}: unknown field")
        for name in ("machine", "state"):
            if not isinstance(fields.get(name), str):
                raise AdminError(f"{name}: must be a text")
        if fields.get("effect") not in EFFECTS:
            raise AdminError(f"effect: must be one of {', '.join(EFFECTS)}")
        for name, least in (("nth", 1), ("count", 1), ("times", 0)):
            if type(fields.get(name, 1)) is not int or fields.get(name, 1) < least:
                raise AdminError(f"{name}: must be a whole number from {least}")
        if (fields["effect"] == "fault") != ("rule" in fields):
            raise AdminError("rule: belongs to the effect fault")
        if "rule" in fields:
            fields = {**fields, "rule": faults.check(fields["rule"])}
        with lock:
            number = max(orders, default=0) + 1
            orders[number] = Interruption(**fields)
        return {"id": number}

    async def listed(_: dict[str, Any]) -> dict[str, Any]:
        rules = {rule["id"]: rule["hits"] for rule in (await cloud.switches.armed({}))["rules"]}
        with lock:
            return {
                "interruptions": [
                    {
                        "id": number,
                        **{name: getattr(one, name) for name in ("machine", "state", "effect")},
                        "hits": one.hits + rules.get(one.armed, 0),
                    }
                    for number, one in orders.items()
                ]
            }

    async def clear(_: dict[str, Any]) -> dict[str, Any]:
        with lock:
            removed = len(orders)
            orders.clear()
        return {"removed": removed}

    stepfunctions._add_event = add_event
    stepfunctions._call_lambda = call_lambda
    cloud.route("POST", "states/interruptions")(add)
    cloud.route("GET", "states/interruptions")(listed)
    cloud.route("DELETE", "states/interruptions")(clear)
