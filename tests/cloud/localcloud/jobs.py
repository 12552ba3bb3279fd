"""ECS tasks that run once (RunTask): a task takes time, acts on the database that its environment names, and exits.

ministack leaves such a task RUNNING forever. Here it is PROVISIONING, PENDING, RUNNING for a few seconds each, before
--time-scale, and STOPPED. It reads its secrets when it starts, as a service's task does, and its environment with the
request's overrides. A repeated request with the same clientToken answers with the first one's tasks, another one with
ConflictException. A task definition with the network mode `awsvpc` needs a networkConfiguration; an inactive one is
refused. RunTask is evaluated on the task definition as it is named, with or without a revision, RegisterTaskDefinition
on the new revision, its tags as `ecs:TagResource`, DescribeTasks and StopTask on each task ("Service Authorization
Reference"); RunTask and RegisterTaskDefinition also need `iam:PassRole` on the task definition's roles, with
`iam:PassedToService` ("IAM roles for tasks").

Not modelled: more than one container that acts, start-up failures of images, capacity.

Routes below /_local:

- `POST ecs/jobs {"family": FAMILY}` with any of `"sql": [STATEMENT]`, `"exit": N`, `"cannot_start": true` and
  `"hold": true`: the order for tasks of this family, which replaces the former one. A task runs the statements with its
  DATABASE_URL, each in its own transaction, and exits with the order's code, or with 1 at the first failed statement.
  It may be unable to start; and it runs until `hold` is no longer ordered. Without an order it does nothing and exits
  with 0.
- `GET ecs/jobs` -> `{"jobs": [{task, family, task_definition, started_by, command, database, statements, exit,
stop}]}`, oldest first; `database` is `host:port/name` of its DATABASE_URL.
"""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import json
import threading
from typing import Any
from urllib.parse import urlsplit

import psycopg
from ministack.core import iam_actions, iam_evaluator
from ministack.core.concurrency import spawn_background
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.services import ecs

from localcloud.cloud import AdminError, Cloud
from localcloud.ecs import LOCK, CannotStart, Record, environment

# The tasks that the current request to ECS names, and the roles that it passes.
NAMED: contextvars.ContextVar[tuple[list[str], list[str]]] = contextvars.ContextVar("ecs_tasks", default=([], []))
# The task definition whose tags the current request sets.
TAGGED: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("ecs_tagged", default=())
# Seconds in each status, before --time-scale.
PHASE = 5


@dataclasses.dataclass(frozen=True)
class Order:
    """A test's order for the tasks of one family."""

    sql: tuple[str, ...] = ()
    exit: int = 0
    cannot_start: bool = False
    hold: bool = False


class Jobs:
    """The tasks of RunTask."""

    def __init__(self, cloud: Cloud):
        self.cloud = cloud
        self.orders: dict[str, Order] = {}
        self.shown: list[Record] = []
        # Request and tasks by cluster and clientToken.
        self.requests: dict[tuple[str, str], tuple[Record, list[str]]] = {}
        self.stopping = threading.Event()

    def run_task(self, data: Record) -> tuple:
        definition = ecs._task_defs.get(ecs._resolve_td_key(data.get("taskDefinition", "")))
        if definition is None:
            return refused("ClientException", "TaskDefinition not found.")
        if definition["status"] != "ACTIVE":
            return refused("ClientException", "TaskDefinition is inactive")
        network = (data.get("networkConfiguration") or {}).get("awsvpcConfiguration")
        if definition["networkMode"] == "awsvpc" and not (network or {}).get("subnets"):
            text = "Network Configuration must be provided when networkMode 'awsvpc' is specified."
            return refused("InvalidParameterException", text)
        if definition["networkMode"] != "awsvpc" and network:
            text = "Network Configuration is not valid for the given networkMode of this task definition."
            return refused("InvalidParameterException", text)
        token = (str(data.get("cluster") or "default").rpartition("/")[2], data.get("clientToken") or "")
        with LOCK:
            if token[1] and token in self.requests:
                request, arns = self.requests[token]
                if request != data:
                    text = "The provided clientToken is already in use with a different RunTask request."
                    return refused("ConflictException", text)
                tasks = [ecs._sanitize(ecs._tasks[arn]) for arn in arns if arn in ecs._tasks]
                return json_response({"tasks": tasks, "failures": []})
            answer = ecs._run_task({"group": f"family:{definition['family']}", **data})
            if answer[0] != 200:
                return answer
            made = [ecs._tasks[each["taskArn"]] for each in json.loads(answer[2])["tasks"]]
            self.requests[token] = (data, [task["taskArn"] for task in made])
            overrides = (data.get("overrides") or {}).get("containerOverrides") or []
            for task in made:
                task.update(lastStatus="PROVISIONING", startedAt=None)
                for container in task["containers"]:
                    container["lastStatus"] = "PENDING"
                shown = {
                    "task": task["taskArn"],
                    "family": definition["family"],
                    "task_definition": definition["taskDefinitionArn"],
                    "started_by": task["startedBy"],
                    "command": next((each["command"] for each in overrides if each.get("command")), None),
                    "database": None,
                    "statements": 0,
                    "exit": None,
                    "stop": None,
                }
                self.shown.append(shown)
                work = functools.partial(self.run, task, shown, overrides)
                spawn_background(work, thread_name="ecs-job")
            return json_response({"tasks": [ecs._sanitize(task) for task in made], "failures": []})

    def run(self, task: Record, shown: Record, overrides: list[Record]) -> None:
        """The life of one task."""
        if not self.reach(task, "PENDING"):
            return
        order = self.order_of(shown["family"])
        try:
            found = environment(task["taskDefinitionArn"])
            if order.cannot_start:
                raise CannotStart("CannotPullContainerError: pull image manifest has been retried 5 time(s)")
        except CannotStart as error:
            self.stop(task, shown, str(error), "TaskFailedToStart", None)
            return
        for override in overrides:
            found |= {each["name"]: each["value"] for each in override.get("environment") or []}
        if not self.reach(task, "RUNNING"):
            return
        # Some statements may be carried out before the task is stopped.
        status = self.act(found.get("DATABASE_URL"), order, shown)
        while self.order_of(shown["family"]).hold and task["lastStatus"] == "RUNNING":
            if self.stopping.wait(0.05):
                return
        if self.stopping.wait(PHASE * self.cloud.time_scale) or task["lastStatus"] != "RUNNING":
            return
        self.stop(task, shown, "Essential container in task exited", "EssentialContainerExited", status)

    def reach(self, task: Record, status: str) -> bool:
        """Waits, and brings the task to the status; false if it was stopped meanwhile."""
        if self.stopping.wait(PHASE * self.cloud.time_scale):
            return False
        with LOCK:
            if task["lastStatus"] not in ("PROVISIONING", "PENDING"):
                return False
            task["lastStatus"] = status
            if status == "RUNNING":
                task["startedAt"] = ecs._iso()
            for container in task["containers"]:
                container["lastStatus"] = status
            return True

    def act(self, url: str | None, order: Order, shown: Record) -> int:
        if url is not None:
            place = urlsplit(url)
            shown["database"] = f"{place.hostname}:{place.port}{place.path}"
        if not order.sql:
            return order.exit
        if url is None:
            return 1
        try:
            authority = self.cloud.facts["rds_ca"]
            tls = {"sslmode": "verify-full", "sslrootcert": authority, "connect_timeout": 10}
            with psycopg.connect(url, autocommit=True, **tls) as database:
                for statement in order.sql:
                    database.execute(statement)
                    shown["statements"] += 1
        except psycopg.Error:
            return order.exit or 1
        return order.exit

    def stop(self, task: Record, shown: Record, reason: str, code: str, status: int | None) -> None:
        with LOCK:
            ecs._mark_task_stopped(task["taskArn"], task, reason, code, status)
            shown.update(exit=status, stop=code)

    def order_of(self, family: str) -> Order:
        return self.orders.get(family, Order())

    # Routes

    async def order(self, fields: Record) -> Record:
        kinds = {"sql": list, "exit": int, "cannot_start": bool, "hold": bool}
        family, given = fields.get("family"), {name: one for name, one in fields.items() if name != "family"}
        if not isinstance(family, str) or not family:
            raise AdminError("family must be a name")
        for name, one in given.items():
            if type(one) is not kinds.get(name):
                raise AdminError("the fields are family, sql, exit, cannot_start and hold")
        if not all(isinstance(one, str) for one in given.get("sql", ())):
            raise AdminError("sql must be a list of statements")
        self.orders[family] = Order(**{**given, "sql": tuple(given.get("sql", ()))})
        return {"family": family, **dataclasses.asdict(self.orders[family])}

    async def told(self, _: Record) -> Record:
        return {"jobs": [dict(shown) for shown in self.shown]}


def refused(code: str, text: str) -> tuple:
    return error_response_json(code, text, 400)


def definitions(action: str, data: Record) -> list[str]:
    """The ARN of a request's task definition, twice if its tags are evaluated too."""
    prefix = f"arn:aws:ecs:{get_region()}:{get_account_id()}:task-definition/"
    if action == "RunTask":
        named = data.get("taskDefinition", "")
        return [named if named.startswith("arn:") else prefix + named]
    family = data.get("family", "")
    arn = f"{prefix}{family}:{ecs._task_def_latest.get(family, 0) + 1}"
    return [arn, arn] if data.get("tags") else [arn]


def passed_roles(action: str, data: Record) -> list[str]:
    """The roles that the caller gives to a task."""
    if action == "RunTask":
        data = ecs._task_defs.get(ecs._resolve_td_key(data.get("taskDefinition", ""))) or {}
    elif action != "RegisterTaskDefinition":
        return []
    named = [data.get(name) for name in ("executionRoleArn", "taskRoleArn")]
    prefix = f"arn:aws:iam::{get_account_id()}:role/"
    return [one if one.startswith("arn:") else prefix + one for one in named if one]


def install(cloud: Cloud) -> None:
    """Puts the tasks and their permissions into ministack; after `ecs` and `conditions`."""
    jobs = Jobs(cloud)
    plain_arn, plain_enforce = iam_actions.extract_resource_arn, iam_evaluator.enforce

    def resource_arn(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        found = plain_arn(service, method, path, headers, body, query, region, account)
        NAMED.set(([], []))
        TAGGED.set(())
        if service != "ecs":
            return found
        action, data = headers.get("x-amz-target", "").rpartition(".")[2], json.loads(body or b"{}")
        NAMED.set(([], passed_roles(action, data)))
        if action in ("RunTask", "RegisterTaskDefinition"):
            first, *tagged = definitions(action, data)
            TAGGED.set(tuple(tagged))
            return first
        if action in ("DescribeTasks", "StopTask"):
            cluster = str(data.get("cluster") or "default").rpartition("/")[2]
            named = data.get("tasks") or [data.get("task") or ""]
            prefix = f"arn:aws:ecs:{region}:{account}:task/{cluster}/"
            tasks = [one if one.startswith("arn:") else prefix + one for one in named]
            NAMED.set((tasks, []))
            return tasks[0]
        return found

    def enforce(
        key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
    ) -> Any:
        tasks, roles = NAMED.get() if service == "ecs" else ([], [])
        for resource in tasks if resource_arn in tasks else [resource_arn]:
            if denied := plain_enforce(key, action, service, region, resource, service_context):
                return denied
        for resource in TAGGED.get() if service == "ecs" else ():
            if denied := plain_enforce(key, "ecs:TagResource", service, region, resource, service_context):
                return denied
        passed = {"iam:passedtoservice": "ecs-tasks.amazonaws.com"}
        for role in roles:
            if denied := plain_enforce(key, "iam:PassRole", "iam", region, role, passed):
                return denied
        return None

    def locked(data: Record) -> tuple:
        with LOCK:
            return jobs.run_task(data)

    ecs._ACTION_MAP["RunTask"] = locked
    iam_actions.extract_resource_arn = resource_arn
    iam_evaluator.enforce = enforce
    cloud.route("POST", "ecs/jobs")(jobs.order)
    cloud.route("GET", "ecs/jobs")(jobs.told)

    async def stop() -> None:
        jobs.stopping.set()

    cloud.on_stop.append(stop)
