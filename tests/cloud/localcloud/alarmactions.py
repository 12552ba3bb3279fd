"""What CloudWatch sends when an alarm changes its state; ministack's message lacks fields, and its events do not exist.

One change of state is told in three forms with the same time, in milliseconds:

- An event `CloudWatch Alarm State Change` on the default bus, always ("CloudWatch guarantees the delivery of alarm
  state change events to EventBridge"; "Alarm events and EventBridge").
- For each action of the new state, unless ActionsEnabled is false or the actions are suppressed: to an SNS topic, the
  notification with its texts for e-mail and SMS; to a Lambda function, an asynchronous invocation ("Invoke a Lambda
  function from an alarm"). Both need the resource's policy: the principals are `cloudwatch.amazonaws.com` and
  `lambda.alarms.cloudwatch.amazonaws.com`. Each action is in the alarm's history with its result. Other kinds of
  actions fail.

The notification's fields are those of public messages, because AWS documents only some of them: time zone `+0000`,
a region's display name, `Statistic` in capital letters, dimensions as a list; a composite alarm has `AlarmRule` and
`TriggeringChildren` instead of `Trigger`. An alarm with metric math (`Metrics`) is kept and told, but not evaluated:
set its state with SetAlarmState. Not modelled: propagated tags, mute rules, and the wait and extension periods of a
suppressor.

- `POST /_local/alarms/suppressed {"alarms": {NAME: REASON}}` replaces the alarms whose actions are suppressed; the
  event then has `actionsSuppressedBy` "Alarm" and the reason.
"""

from __future__ import annotations

import contextvars
import functools
import json
import logging
import re
import time
import uuid
from datetime import datetime, timezone
from typing import Any

import botocore.loaders
from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy
from ministack.core.responses import request_scope
from ministack.services import cloudwatch as aws
from ministack.services import eventbridge, lambda_svc, sns
from ministack.services.cloudformation import provisioners

from localcloud.cloud import AdminError, Cloud

logger = logging.getLogger("alarmactions")

Alarm = dict[str, Any]
State = dict[str, Any]

ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
SUBJECT = 100

# The newest state of each alarm as it was told, by ARN.
told: dict[str, State] = {}
# The reasons why alarms' actions are suppressed, by name.
suppressed: dict[str, str] = {}
# The time of the change that an evaluation finds; without it, a change is told with the current time.
CHANGED_AT: contextvars.ContextVar[float | None] = contextvars.ContextVar("alarm_changed_at", default=None)


def install(cloud: Cloud) -> None:
    """Puts the actions and alarms with metric math into ministack."""
    plain_record = provisioners._cw_metric_alarm_record
    plain_put, plain_set = aws._put_metric_alarm, aws._set_alarm_state

    def record(name: str, properties: dict) -> Alarm:
        if not properties.get("Metrics"):
            return plain_record(name, properties)
        return with_math(plain_record(name, {**properties, **PLACEHOLDER, "Metrics": None}), properties["Metrics"])

    def put(params: dict, data: Any, is_cbor: bool, is_json: bool = False) -> tuple:
        answer = plain_put(params, data, is_cbor, is_json)
        metrics = data.get("Metrics") if is_cbor or is_json else form_metrics(params)
        if metrics and answer[0] == 200:
            with_math(aws._alarms[data["AlarmName"] if is_cbor or is_json else aws._p(params, "AlarmName")], metrics)
        return answer

    def set_state(params: dict, data: Any, is_cbor: bool, is_json: bool = False) -> tuple:
        given = data if is_cbor or is_json else {name: aws._p(params, name) for name in params}
        name, value = given.get("AlarmName", ""), given.get("StateValue")
        if value not in ACTIONS:
            text = f"Value '{value}' at 'stateValue' failed to satisfy constraint: Member must satisfy enum value set"
            return aws._error("ValidationError", text, 400, use_json=is_json, use_cbor=is_cbor)
        if alarm := aws._alarms.get(name):
            # ministack keeps the data of the evaluation before.
            alarm.pop("StateReasonData", None)
        return plain_set(params, data, is_cbor, is_json)

    provisioners._cw_metric_alarm_record = record
    aws._set_alarm_state = set_state
    aws._put_metric_alarm = put
    aws._dispatch_alarm_actions = dispatch

    @cloud.route("POST", "alarms/suppressed")
    async def suppress(arguments: dict[str, Any]) -> dict[str, Any]:
        named = arguments.get("alarms")
        if not isinstance(named, dict) or not all(isinstance(reason, str) for reason in named.values()):
            raise AdminError("alarms: must be an object of names and reasons")
        suppressed.clear()
        suppressed.update(named)
        return {"alarms": suppressed}


PLACEHOLDER = {"MetricName": "expression", "Namespace": "expression"}


def with_math(alarm: Alarm, metrics: list[dict]) -> Alarm:
    """Makes it an alarm on metric math."""
    for name in ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions", "Unit"):
        alarm.pop(name, None)
    alarm["Metrics"] = metrics
    return alarm


def form_metrics(params: dict) -> list[dict]:
    """`Metrics` of a request as a form."""
    metrics: dict[str, Any] = {}
    for name in sorted(params):
        if not name.startswith("Metrics.member."):
            continue
        place, steps = metrics, re.sub(r"\.member\.(\d+)", r".#\1", name).split(".")[1:]
        for step in steps[:-1]:
            place = place.setdefault(step, {})
        value = aws._p(params, name)
        if steps[-1] == "ReturnData":
            value = value == "true"
        place[steps[-1]] = int(value) if steps[-1] == "Period" else value

    def lists(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if value and all(key.startswith("#") for key in value):
            return [lists(value[key]) for key in sorted(value, key=lambda key: int(key[1:]))]
        return {key: lists(each) for key, each in value.items()}

    return lists(metrics) if metrics else []


def dispatch(alarm: Alarm, old: str, new: str, reason: str) -> None:
    """Tells a change of state to EventBridge and executes its actions."""
    _, _, _, region, account, _ = alarm["AlarmArn"].split(":", 5)
    arn = alarm["AlarmArn"]
    previous = told.get(arn) or {
        "value": old,
        "reason": "Unchecked: Initial alarm creation",
        "timestamp": stamp(alarm["AlarmConfigurationUpdatedTimestamp"]),
    }
    state = {"value": new, "reason": reason}
    if data := alarm.get("StateReasonData"):
        state["reasonData"] = data
    state["timestamp"] = stamp(CHANGED_AT.get() or time.time())
    told[arn] = dict(state)
    if why := suppressed.get(alarm["AlarmName"]):
        state |= {"actionsSuppressedBy": "Alarm", "actionsSuppressedReason": why}
    with request_scope(account, region):
        send_event(alarm, state, previous, account, region)
        if not alarm.get("ActionsEnabled", True) or why:
            return
        for action in alarm.get(ACTIONS[new]) or []:
            if action.startswith("arn:aws:sns:"):
                failed = notify(alarm, state, old, action, account, region)
            elif action.startswith("arn:aws:lambda:"):
                failed = invoke(alarm, state, previous, action, account, region)
            else:
                failed = "not served by the local cloud"
            note(alarm, state, action, failed)


def stamp(at: float) -> str:
    """A time as alarms tell it."""
    moment = datetime.fromtimestamp(round(at * 1000) / 1000, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def note(alarm: Alarm, state: State, action: str, failed: str | None) -> None:
    """Keeps an action's result in the alarm's history."""
    if failed:
        logger.warning("%s: action %s: %s", alarm["AlarmName"], action, failed)
    data = {
        "actionState": "Failed" if failed else "Succeeded",
        "stateUpdateTimestamp": state["timestamp"],
        "notificationResource": action,
        "error": failed,
    }
    aws._history_entries().append(
        {
            "AlarmName": alarm["AlarmName"],
            "AlarmType": "CompositeAlarm" if "AlarmRule" in alarm else "MetricAlarm",
            "Timestamp": aws._ts_iso(time.time()),
            "HistoryItemType": "Action",
            "HistorySummary": f"{'Failed to execute' if failed else 'Successfully executed'} action {action}",
            "HistoryData": json.dumps(data),
        }
    )


# The event and the direct invocation


def metrics_of(alarm: Alarm) -> list[dict]:
    """The metrics of an alarm, as events tell them: with dimensions as an object."""
    if "Metrics" not in alarm:
        one = {
            "metric": {
                "namespace": alarm["Namespace"],
                "name": alarm["MetricName"],
                "dimensions": {each["Name"]: each["Value"] for each in alarm.get("Dimensions") or []},
            },
            "period": alarm["Period"],
            "stat": alarm.get("ExtendedStatistic") or alarm["Statistic"],
        }
        if alarm.get("Unit"):
            one["unit"] = alarm["Unit"]
        # The id is constant for an alarm.
        of = str(uuid.uuid5(uuid.NAMESPACE_URL, alarm["AlarmArn"]))
        return [{"id": of, "metricStat": one, "returnData": True}]
    told_metrics = []
    for each in alarm["Metrics"]:
        one = {"id": each["Id"]}
        if "Expression" in each:
            one["expression"] = each["Expression"]
        if "Label" in each:
            one["label"] = each["Label"]
        if stat := each.get("MetricStat"):
            metric = stat["Metric"]
            one["metricStat"] = {
                "metric": {
                    "namespace": metric["Namespace"],
                    "name": metric["MetricName"],
                    "dimensions": {pair["Name"]: pair["Value"] for pair in metric.get("Dimensions") or []},
                },
                "period": stat["Period"],
                "stat": stat["Stat"],
            }
        told_metrics.append({**one, "returnData": each.get("ReturnData", True)})
    return told_metrics


def detail(alarm: Alarm, state: State, previous: State) -> dict[str, Any]:
    if "AlarmRule" in alarm:
        configuration: dict[str, Any] = {"alarmRule": alarm["AlarmRule"]}
    else:
        configuration = {"metrics": metrics_of(alarm)}
    if alarm.get("AlarmDescription"):
        configuration["description"] = alarm["AlarmDescription"]
    return {
        "alarmName": alarm["AlarmName"],
        "configuration": configuration,
        "previousState": previous,
        "state": state,
    }


def send_event(alarm: Alarm, state: State, previous: State, account: str, region: str) -> None:
    eventbridge._dispatch_event(
        {
            "EventId": str(uuid.uuid4()),
            "Source": "aws.cloudwatch",
            "DetailType": "CloudWatch Alarm State Change",
            "Detail": json.dumps(detail(alarm, state, previous)),
            "EventBusName": "default",
            "Time": f"{state['timestamp'].partition('.')[0]}Z",
            "Resources": [alarm["AlarmArn"]],
            "Account": account,
            "Region": region,
        }
    )


def invoke(alarm: Alarm, state: State, previous: State, function: str, account: str, region: str) -> str | None:
    """Invokes a function; the reason if it could not be."""
    record, config, _ = lambda_svc._get_func_record_for_ref(function)
    if not record or not config:
        return "the function does not exist"
    if not function_allows(record, function, "lambda.alarms.cloudwatch.amazonaws.com", alarm["AlarmArn"], account):
        return "CloudWatch is not authorized to perform lambda:InvokeFunction on the function"
    event = {
        "source": "aws.cloudwatch",
        "alarmArn": alarm["AlarmArn"],
        "accountId": account,
        "time": state["timestamp"],
        "region": region,
        "alarmData": detail(alarm, state, previous),
    }
    lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(record, config), event)
    return None


def function_allows(record: dict, function: str, service: str, source: str, account: str) -> bool:
    """Whether a function's policy lets a service invoke it for a source."""
    context = EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action="lambda:InvokeFunction",
        resource_arn=function,
        region=function.split(":")[3],
        service_context={"aws:sourcearn": source, "aws:sourceaccount": account},
    )
    return evaluate_resource_policy(record["policy"], context, service=service).decision == "Allow"


# The notification


@functools.cache
def display_name(region: str) -> str:
    """A region's name in notifications, which still says EU where AWS's list says Europe."""
    partitions = botocore.loaders.Loader().load_data("endpoints")["partitions"]
    names = {code: one["description"] for partition in partitions for code, one in partition["regions"].items()}
    return names.get(region, region).replace("Europe (", "EU (")


def subject(alarm: Alarm, state: str, region: str) -> str:
    name, rest = alarm["AlarmName"], f'{state}: "" in {region}'
    if len(name) + len(rest) > SUBJECT:
        name = f"{name[: SUBJECT - len(rest) - 3]}..."
    return f'{state}: "{name}" in {region}'


def listed(dimensions: list[dict] | None) -> list[dict]:
    return [{"value": each["Value"], "name": each["Name"]} for each in dimensions or []]


def trigger(alarm: Alarm) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if "Metrics" not in alarm:
        extended = alarm.get("ExtendedStatistic")
        statistic = {"ExtendedStatistic": extended} if extended else {"Statistic": alarm["Statistic"].upper()}
        made = {
            "MetricName": alarm["MetricName"],
            "Namespace": alarm["Namespace"],
            "StatisticType": "ExtendedStatistic" if extended else "Statistic",
            **statistic,
            "Unit": alarm.get("Unit"),
            "Dimensions": listed(alarm.get("Dimensions")),
            "Period": alarm["Period"],
        }
    made["EvaluationPeriods"] = alarm["EvaluationPeriods"]
    if alarm.get("DatapointsToAlarm"):
        made["DatapointsToAlarm"] = alarm["DatapointsToAlarm"]
    made |= {
        "ComparisonOperator": alarm["ComparisonOperator"],
        "Threshold": float(alarm["Threshold"]),
        "TreatMissingData": alarm.get("TreatMissingData", "missing"),
        "EvaluateLowSampleCountPercentile": "",
    }
    if "Metrics" in alarm:
        made["Metrics"] = [told_query(each) for each in alarm["Metrics"]]
    return made


def told_query(query: dict) -> dict:
    one = {name: query[name] for name in ("Expression", "Id", "Label") if name in query}
    if stat := query.get("MetricStat"):
        metric = {**stat["Metric"], "Dimensions": listed(stat["Metric"].get("Dimensions"))}
        one["MetricStat"] = {"Metric": metric, "Period": stat["Period"], "Stat": stat["Stat"]}
    return {**one, "ReturnData": query.get("ReturnData", True)}


def notification(alarm: Alarm, state: State, old: str, account: str, region: str) -> dict[str, Any]:
    actions = {name: alarm.get(name) or [] for name in ("OKActions", "AlarmActions", "InsufficientDataActions")}
    changed = {
        "NewStateValue": state["value"],
        "NewStateReason": state["reason"],
        "StateChangeTime": state["timestamp"],
        "Region": display_name(region),
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": old,
        **actions,
    }
    about = {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": account,
    }
    if "AlarmRule" not in alarm:
        configured = {"AlarmConfigurationUpdatedTimestamp": stamp(alarm["AlarmConfigurationUpdatedTimestamp"])}
        return {**about, **configured, **changed, "Trigger": trigger(alarm)}
    triggering = json.loads(state.get("reasonData") or "{}").get("triggeringAlarms", [])
    children = [
        {"Arn": each["arn"], "State": {"Value": each["state"]["value"], "Timestamp": each["state"]["timestamp"]}}
        for each in triggering
    ]
    return {**about, **changed, "AlarmRule": alarm["AlarmRule"], "TriggeringChildren": children}


def notify(alarm: Alarm, state: State, old: str, topic: str, account: str, region: str) -> str | None:
    """Publishes the notification; the reason if the topic does not accept it."""
    if sns._topic_by_arn_any_scope(topic) is None:
        return "the topic does not exist"
    if not sns.topic_policy_allows(topic, "cloudwatch.amazonaws.com", alarm["AlarmArn"], account):
        return f"CloudWatch Alarms is not authorized to perform: SNS:Publish on resource: {topic}"
    name, place, value = alarm["AlarmName"], display_name(region), state["value"]
    mail = (
        f'You are receiving this email because your Amazon CloudWatch Alarm "{name}" in the {place} region has entered '
        f'the {value} state, because "{state["reason"]}" at "{state["timestamp"]}".\n\n'
        f"Alarm Details:\n- Name: {name}\n- Description: {alarm.get('AlarmDescription') or ''}\n"
        f"- State Change: {old} -> {value}\n- AWS Account: {account}\n- Alarm Arn: {alarm['AlarmArn']}\n"
    )
    texts = {
        "default": json.dumps(notification(alarm, state, old, account, region), separators=(",", ":")),
        "email": mail,
        "sms": subject(alarm, value, place),
    }
    sns._fanout(topic, str(uuid.uuid4()), json.dumps(texts), subject(alarm, value, place), message_structure="json")
    return None
