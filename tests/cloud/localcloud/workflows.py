"""Roles, time zones and time limits between EventBridge, Step Functions and Lambda, which ministack lacks.

A rule or a schedule starts an execution only if its target's role trusts the service and may start that state machine;
an execution calls a function only if its machine's role may. ministack checks neither. The cron() of a schedule is
evaluated in the schedule's time zone; ministack evaluates it in UTC. `TimeoutSeconds` of a state machine ends an
execution as TIMED_OUT, after that time multiplied by --time-scale, like its waits. Only functions can be called: no
other task's permissions are evaluated, so other tasks fail. A Parallel or Map state with JSONata fields that ministack
ignores fails too.

A rule or a schedule invokes a function that has an EventInvokeConfig asynchronously: with its retries, and with its
dead-letter queue or on-failure destination. Other functions are invoked once, as ministack does.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import zoneinfo
from datetime import datetime, timezone
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import eventbridge, iam, lambda_svc, scheduler, stepfunctions
from ministack.services.cloudformation import provisioners

from localcloud.cloud import Cloud

logger = logging.getLogger("workflows")

EXECUTION: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("execution", default=None)


# Two concurrent checks would start a due schedule twice.
LOOK = threading.Lock()
plain_look = scheduler._tick_schedules
# The last check of each schedule with a cron().
looked: dict[Any, datetime] = {}


def look_at_schedules() -> None:
    """Starts the schedules that are due."""
    with LOOK:
        now = datetime.now(timezone.utc)
        for key, schedule in list(scheduler._schedules._data.items()):
            fields = eventbridge._parse_cron_fields(schedule["ScheduleExpression"])
            if fields is None or schedule["State"] != "ENABLED":
                looked.pop(key, None)
                continue
            zone = zoneinfo.ZoneInfo(schedule.get("ScheduleExpressionTimezone") or "UTC")
            due = eventbridge._cron_next_fire(fields, looked.get(key, now).astimezone(zone))
            looked[key] = now
            # ministack evaluates a cron() in UTC and starts schedules that were due since the last start: a last start
            # in the distant past makes it start this one, a future one prevents the start.
            is_due = due is not None and due <= now
            scheduler._schedule_last_fired[key] = 0.0 if is_due else now.timestamp() + 3600
        plain_look()


def keep_time_zones() -> None:
    """Adds the time zone of a template's schedule, which ministack's CloudFormation drops."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Scheduler::Schedule"]

    def strict(plain: Any, place: int) -> Any:
        def handle(*given: Any) -> tuple:
            made, properties = plain(*given), given[place]
            schedule = scheduler._schedules[f"{properties.get('GroupName', 'default')}/{made[0]}"]
            schedule["ScheduleExpressionTimezone"] = properties.get("ScheduleExpressionTimezone", "UTC")
            return made

        return handle

    handlers["create"] = strict(handlers["create"], 1)
    handlers["update"] = strict(handlers["update"], 2)


class Ended(Exception):
    """Ends the thread of an execution that is no longer running."""


def refusal(role_arn: str, service: str, action: str, resource: str) -> str | None:
    """The reason why a service cannot perform an action with a role; None if it can."""
    role = iam._roles.get(role_arn.rpartition("/")[2])
    if role is None or role["Arn"] != role_arn:
        return f"role {role_arn} does not exist"
    name = role["RoleName"]
    if not trusts(role, service):
        return f"role {role_arn} does not trust {service}"
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{get_account_id()}:assumed-role/{name}/{service.partition('.')[0]}",
        principal_type="AssumedRole",
        principal_account=get_account_id(),
        action=action,
        resource_arn=resource,
        region=get_region(),
    )
    policies = iam_evaluator._gather_role_policies(name, get_account_id())
    limits = iam_evaluator._permissions_boundary(iam._roles, name, get_account_id())
    if iam_evaluator.evaluate(context, policies, *limits).decision == "Allow":
        return None
    return f"User: {context.principal_arn} is not authorized to perform: {action} on resource: {resource}"


def trusts(role: dict[str, Any], service: str) -> bool:
    """Whether a role's trust policy names the service; ignores the policy's conditions."""
    document = role["AssumeRolePolicyDocument"]
    statements = (json.loads(document) if isinstance(document, str) else document)["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal")
        named = principal.get("Service", []) if isinstance(principal, dict) else []
        if statement["Effect"] == "Allow" and service in ([named] if isinstance(named, str) else named):
            return True
    return False


def install(cloud: Cloud) -> None:
    """Puts the checks into ministack."""
    plain_target = eventbridge._invoke_target
    plain_function = eventbridge._dispatch_to_lambda
    plain_run, plain_start, plain_fail = (
        stepfunctions._run_execution,
        stepfunctions._start_execution,
        stepfunctions._fail_execution,
    )
    plain_resource, plain_lambda = stepfunctions._invoke_resource, stepfunctions._call_lambda

    def invoke_target(target: dict, event: dict, rule: dict, view: Any = None) -> None:
        arn = target.get("Arn", "")
        if arn.startswith("arn:aws:states:"):
            scheduled = event.get("Source") == "aws.scheduler"
            service = "scheduler.amazonaws.com" if scheduled else "events.amazonaws.com"
            if why := refusal(target.get("RoleArn", ""), service, "states:StartExecution", arn):
                logger.warning("%s was not started: %s", arn, why)
                return
        plain_target(target, event, rule, view)

    def invoke_function(arn: str, payload: str) -> None:
        record, config, _ = lambda_svc._get_func_record_for_ref(arn)
        if record and config and record.get("event_invoke_config"):
            given = lambda_svc._execution_record_for_config(record, config)
            lambda_svc.invoke_async_with_retry(given, json.loads(payload))
        else:
            plain_function(arn, payload)

    def start(data: dict) -> tuple:
        answer = plain_start(data)
        if answer[0] == 200:
            arn = json.loads(answer[2])["executionArn"]
            execution = stepfunctions._executions[arn]
            definition = json.loads(stepfunctions._state_machines[execution["stateMachineArn"]]["definition"])
            if seconds := definition.get("TimeoutSeconds"):
                context = contextvars.copy_context()
                timer = threading.Timer(seconds * cloud.time_scale, context.run, (time_out, execution))
                timer.daemon = True
                timer.start()
        return answer

    def time_out(execution: dict) -> None:
        if execution["status"] != "RUNNING":
            return
        execution.update(status="TIMED_OUT", error="States.Timeout", stopDate=stepfunctions.now_iso())
        stepfunctions._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
        stepfunctions._emit_execution_status_event(execution)

    def run(arn: str) -> None:
        EXECUTION.set(stepfunctions._executions.get(arn))
        plain_run(arn)

    def fail(execution: dict, error: str, cause: str) -> None:
        # ministack would let a stopped execution fail later.
        if execution["status"] == "RUNNING":
            plain_fail(execution, error, cause)

    def invoke_resource(resource: str, given: Any) -> Any:
        if (execution := EXECUTION.get()) and execution["status"] != "RUNNING":
            raise Ended(f"the execution is {execution['status']}")
        if resource != "arn:aws:states:::lambda:invoke" and not resource.startswith("arn:aws:lambda:"):
            not_served(resource)
        return plain_resource(resource, given)

    def not_served(resource: str, *_: Any) -> None:
        raise stepfunctions._ExecutionError("States.Runtime", f"{resource} is not served by the local cloud")

    def call_lambda(function: str, event: Any) -> Any:
        execution = EXECUTION.get()
        if execution is not None:
            arn = function
            if not arn.startswith("arn:"):
                arn = f"arn:aws:lambda:{get_region()}:{get_account_id()}:function:{function}"
            role = stepfunctions._state_machines[execution["stateMachineArn"]]["roleArn"]
            if why := refusal(role, "states.amazonaws.com", "lambda:InvokeFunction", arn):
                raise stepfunctions._ExecutionError("Lambda.AWSLambdaException", why)
        try:
            return plain_lambda(function, event)
        except stepfunctions._ExecutionError as error:
            # ministack reports a throttled call as Lambda.Unknown.
            if error.error == "Lambda.Unknown" and "TooManyRequestsException" in str(error.cause):
                raise stepfunctions._ExecutionError("Lambda.TooManyRequestsException", error.cause) from None
            raise

    # Keep ministack's wait of 0.15 s before an execution's first state: CloudTrail's event of a rotation's last call
    # starts one, and on AWS that event arrives long after Secrets Manager has noted the end of the rotation.
    # ministack's default is ten seconds.
    scheduler._SCHEDULE_TICK_INTERVAL = 1
    scheduler._tick_schedules = look_at_schedules
    keep_time_zones()
    plain_output = stepfunctions._apply_output_path

    def output(state: dict, data: Any, ctx: dict | None = None) -> Any:
        # ministack ignores the Output of a Succeed state.
        if state.get("Type") == "Succeed" and stepfunctions._state_query_language(state, ctx) == "JSONata":
            return stepfunctions._apply_jsonata_output(state, data, ctx, default=data)
        return plain_output(state, data, ctx)

    def strict(plain: Any) -> Any:
        def execute(state: dict, given: Any, execution: dict, ctx: dict) -> Any:
            ignored = {"Arguments", "Assign", "ItemSelector", "Output"} & state.keys()
            if ignored and stepfunctions._state_query_language(state, ctx) == "JSONata":
                not_served(f"{', '.join(sorted(ignored))} of a {state['Type']} state")
            return plain(state, given, execution, ctx)

        return execute

    stepfunctions._apply_output_path = output
    stepfunctions._execute_parallel = strict(stepfunctions._execute_parallel)
    stepfunctions._execute_map = strict(stepfunctions._execute_map)
    eventbridge._invoke_target = invoke_target
    eventbridge._dispatch_to_lambda = invoke_function
    stepfunctions._start_execution = start
    stepfunctions._run_execution = run
    stepfunctions._fail_execution = fail
    stepfunctions._invoke_resource = invoke_resource
    stepfunctions._invoke_with_callback = not_served
    stepfunctions._call_lambda = call_lambda
