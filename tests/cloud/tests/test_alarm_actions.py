"""What a change of an alarm's state sends.

Sources: "Alarm events and EventBridge" and "Invoke a Lambda function from an alarm" of CloudWatch's guide, and public
notifications of SNS.
"""

from __future__ import annotations

import itertools
import json
import re

import pytest
from conftest import wait_for
from functions import ACCOUNT, Keeper

REGION = "US East (N. Virginia)"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")
numbers = itertools.count(1)


class Ways:
    """A topic and a rule with a queue each, and a function."""

    def __init__(self, cloud, folder):
        self.cloud, self.name = cloud, f"ways-{next(numbers)}"
        self.sqs, self.watch = cloud.client("sqs"), cloud.client("cloudwatch")
        self.topic = cloud.client("sns").create_topic(Name=self.name)["TopicArn"]
        self.told, self.events = self.queue("told"), self.queue("events")
        cloud.client("sns").subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=self.arn("told"))
        pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": [{"prefix": self.name}]}}
        rules = cloud.client("events")
        rules.put_rule(Name=self.name, EventPattern=json.dumps(pattern))
        rules.put_targets(Rule=self.name, Targets=[{"Id": "queue", "Arn": self.arn("events")}])
        self.keeper = Keeper(cloud, folder)
        self.function = self.keeper.arn

    def arn(self, kind):
        return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self.name}-{kind}"

    def queue(self, kind):
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]},
            "Action": "sqs:SendMessage",
            "Resource": self.arn(kind),
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        return self.sqs.create_queue(QueueName=f"{self.name}-{kind}", Attributes={"Policy": policy})["QueueUrl"]

    def permit(self, principal="lambda.alarms.cloudwatch.amazonaws.com"):
        self.cloud.client("lambda").add_permission(
            FunctionName=self.keeper.name,
            StatementId="alarms",
            Action="lambda:InvokeFunction",
            Principal=principal,
            SourceAccount=ACCOUNT,
        )

    def alarm(self, suffix="alarm", **changes):
        name = f"{self.name}-{suffix}"
        one = {
            "Namespace": "AWS/ApplicationELB",
            "MetricName": "HTTPCode_Target_5XX_Count",
            "Dimensions": [{"Name": "LoadBalancer", "Value": "app/api"}],
            "Statistic": "Sum",
            "Period": 60,
        }
        if "Metrics" in changes:
            one = {}
        self.watch.put_metric_alarm(
            **{
                "AlarmName": name,
                "AlarmDescription": "severity=critical",
                **one,
                "EvaluationPeriods": 1,
                "Threshold": 5,
                "ComparisonOperator": "GreaterThanThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmActions": [self.topic, self.function],
                "OKActions": [self.topic],
                **changes,
            }
        )
        return name

    def set(self, name, state, reason="by hand", **more):
        self.watch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=reason, **more)

    def received(self, url):
        found = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))
        return found

    def actions(self, name):
        found = self.watch.describe_alarm_history(
            AlarmName=name, HistoryItemType="Action", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )["AlarmHistoryItems"]
        return [item["HistorySummary"].partition(" action ")[0] for item in found]


@pytest.fixture
def ways(cloud, tmp_path):
    yield Ways(cloud, tmp_path)
    cloud.admin("POST", "alarms/suppressed", {"alarms": {}})


def test_a_change_is_told_three_times_with_one_time(ways):
    ways.permit()
    name = ways.alarm(DatapointsToAlarm=1)
    data = json.dumps({"version": "1.0", "recentDatapoints": [7.0]})
    ways.set(name, "ALARM", "too many", StateReasonData=data)
    wait_for(ways.keeper.events, "the invocation")
    (envelope,), (event,), (call,) = ways.received(ways.told), ways.received(ways.events), ways.keeper.events()
    arn = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:{name}"
    assert envelope["Subject"] == f'ALARM: "{name}" in {REGION}'
    message = json.loads(envelope["Message"])
    assert TIME.fullmatch(message.pop("AlarmConfigurationUpdatedTimestamp"))
    changed = message.pop("StateChangeTime")
    assert TIME.fullmatch(changed)
    assert message == {
        "AlarmName": name,
        "AlarmDescription": "severity=critical",
        "AWSAccountId": ACCOUNT,
        "NewStateValue": "ALARM",
        "NewStateReason": "too many",
        "Region": REGION,
        "AlarmArn": arn,
        "OldStateValue": "INSUFFICIENT_DATA",
        "OKActions": [ways.topic],
        "AlarmActions": [ways.topic, ways.function],
        "InsufficientDataActions": [],
        "Trigger": {
            "MetricName": "HTTPCode_Target_5XX_Count",
            "Namespace": "AWS/ApplicationELB",
            "StatisticType": "Statistic",
            "Statistic": "SUM",
            "Unit": None,
            "Dimensions": [{"value": "app/api", "name": "LoadBalancer"}],
            "Period": 60,
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 5.0,
            "TreatMissingData": "notBreaching",
            "EvaluateLowSampleCountPercentile": "",
        },
    }
    detail = event["detail"]
    assert event["time"] == f"{changed[:19]}Z"
    assert (event["detail-type"], event["resources"]) == ("CloudWatch Alarm State Change", [arn])
    assert (event["source"], event["account"], event["region"]) == ("aws.cloudwatch", ACCOUNT, "us-east-1")
    assert detail["state"] == {"value": "ALARM", "reason": "too many", "reasonData": data, "timestamp": changed}
    assert detail["previousState"]["value"] == "INSUFFICIENT_DATA"
    assert TIME.fullmatch(detail["previousState"]["timestamp"])
    (metric,) = detail["configuration"]["metrics"]
    assert metric == {
        "id": metric["id"],
        "metricStat": {
            "metric": {
                "namespace": "AWS/ApplicationELB",
                "name": "HTTPCode_Target_5XX_Count",
                "dimensions": {"LoadBalancer": "app/api"},
            },
            "period": 60,
            "stat": "Sum",
        },
        "returnData": True,
    }
    assert detail["configuration"]["description"] == "severity=critical"
    assert call.pop("alarmData") == detail
    assert call == {
        "source": "aws.cloudwatch",
        "alarmArn": arn,
        "accountId": ACCOUNT,
        "time": changed,
        "region": "us-east-1",
    }
    assert ways.actions(name) == ["Successfully executed"] * 2


def test_a_change_knows_the_state_before_and_has_no_reason_of_it(ways):
    name = ways.alarm(AlarmActions=[])
    ways.set(name, "ALARM", "first", StateReasonData="{}")
    ways.set(name, "OK", "second")
    first, second = (event["detail"] for event in ways.received(ways.events))
    assert second["previousState"] == first["state"]
    assert "reasonData" not in second["state"]
    assert second["state"]["timestamp"] > first["state"]["timestamp"]
    assert [json.loads(each["Message"])["NewStateValue"] for each in ways.received(ways.told)] == ["OK"]


def test_the_same_state_again_is_no_change(ways):
    name = ways.alarm()
    ways.set(name, "OK")
    ways.set(name, "OK", "again")
    assert len(ways.received(ways.told)) == len(ways.received(ways.events)) == 1


def test_an_alarm_without_actions_is_told_to_eventbridge_only(ways):
    ways.permit()
    name = ways.alarm(ActionsEnabled=False)
    ways.set(name, "ALARM")
    assert [event["detail"]["state"]["value"] for event in ways.received(ways.events)] == ["ALARM"]
    assert (ways.received(ways.told), ways.actions(name)) == ([], [])


def test_a_rule_may_leave_out_alarms_by_their_arns(ways):
    out = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:{ways.name}-incident-"
    pattern = {
        "source": ["aws.cloudwatch"],
        "resources": [{"anything-but": {"prefix": out}}],
        "detail": {"alarmName": [{"prefix": ways.name}]},
    }
    ways.cloud.client("events").put_rule(Name=ways.name, EventPattern=json.dumps(pattern))
    for suffix in ("incident-page-errors", "incident-send-errors", "drill-incident-send/synthetic/1", "api"):
        ways.set(ways.alarm(suffix), "ALARM")
    names = [event["detail"]["alarmName"] for event in ways.received(ways.events)]
    assert names == [f"{ways.name}-drill-incident-send/synthetic/1", f"{ways.name}-api"]


def test_a_suppressed_alarm_says_so_in_its_event_only(ways):
    name = ways.alarm()
    ways.cloud.admin("POST", "alarms/suppressed", {"alarms": {name: "maintenance"}})
    ways.set(name, "ALARM")
    (event,) = ways.received(ways.events)
    suppressed = {"actionsSuppressedBy": "Alarm", "actionsSuppressedReason": "maintenance"}
    assert event["detail"]["state"].items() >= suppressed.items()
    assert ways.received(ways.told) == []


def test_an_alarm_invokes_only_a_function_whose_policy_lets_it(ways):
    ways.permit("cloudwatch.amazonaws.com")
    name = ways.alarm(AlarmActions=[ways.function])
    ways.set(name, "ALARM")
    assert ways.actions(name) == ["Failed to execute"]
    assert ways.keeper.events() == []


def test_an_alarm_notifies_only_a_topic_whose_policy_lets_it(ways):
    name = ways.alarm(AlarmActions=[ways.topic, f"{ways.topic}-gone"])
    denied = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": ways.topic}
    policy = json.dumps({"Version": "2012-10-17", "Statement": denied})
    ways.cloud.client("sns").set_topic_attributes(TopicArn=ways.topic, AttributeName="Policy", AttributeValue=policy)
    ways.set(name, "ALARM")
    assert ways.actions(name) == ["Failed to execute"] * 2
    assert ways.received(ways.told) == []
    assert len(ways.received(ways.events)) == 1


def test_a_long_name_is_cut_in_the_subject(ways):
    name = ways.alarm(suffix="x" * 150)
    ways.set(name, "ALARM")
    (envelope,) = ways.received(ways.told)
    assert (len(envelope["Subject"]), envelope["Subject"][-29:]) == (100, f'..." in {REGION}')


def test_a_composite_alarm_tells_its_children(ways):
    child = ways.alarm(suffix="child", AlarmActions=[])
    rule = f"ALARM({child})"
    parent = f"{ways.name}-parent"
    ways.watch.put_composite_alarm(AlarmName=parent, AlarmRule=rule, AlarmActions=[ways.topic])
    ways.received(ways.events)
    ways.set(child, "ALARM")
    (message,) = [json.loads(each["Message"]) for each in ways.received(ways.told)]
    arn = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:{child}"
    assert (message["AlarmRule"], message["NewStateValue"], message["OldStateValue"]) == (rule, "ALARM", "OK")
    assert [(each["Arn"], each["State"]["Value"]) for each in message["TriggeringChildren"]] == [(arn, "ALARM")]
    assert TIME.fullmatch(message["TriggeringChildren"][0]["State"]["Timestamp"])
    assert "Trigger" not in message
    _, event = ways.received(ways.events)
    assert event["detail"]["configuration"] == {"alarmRule": rule}
    (triggering,) = json.loads(event["detail"]["state"]["reasonData"])["triggeringAlarms"]
    assert (triggering["arn"], triggering["state"]["value"]) == (arn, "ALARM")


METRICS = [
    {"Id": "e1", "Expression": "m1 / 60", "Label": "rate", "ReturnData": True},
    {
        "Id": "m1",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/ApplicationELB",
                "MetricName": "RequestCount",
                "Dimensions": [{"Name": "LoadBalancer", "Value": "app/api"}],
            },
            "Period": 60,
            "Stat": "Sum",
        },
        "ReturnData": False,
    },
]


def test_an_alarm_on_metric_math_tells_its_metrics(ways):
    name = ways.alarm(Metrics=METRICS)
    ways.set(name, "ALARM")
    (message,) = [json.loads(each["Message"]) for each in ways.received(ways.told)]
    stat = {**METRICS[1]["MetricStat"]}
    stat["Metric"] = {**stat["Metric"], "Dimensions": [{"value": "app/api", "name": "LoadBalancer"}]}
    assert message["Trigger"] == {
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 5.0,
        "TreatMissingData": "notBreaching",
        "EvaluateLowSampleCountPercentile": "",
        "Metrics": [METRICS[0], {**METRICS[1], "MetricStat": stat}],
    }
    (event,) = ways.received(ways.events)
    metric = {
        "namespace": "AWS/ApplicationELB",
        "name": "RequestCount",
        "dimensions": {"LoadBalancer": "app/api"},
    }
    assert event["detail"]["configuration"]["metrics"] == [
        {"id": "e1", "expression": "m1 / 60", "label": "rate", "returnData": True},
        {"id": "m1", "metricStat": {"metric": metric, "period": 60, "stat": "Sum"}, "returnData": False},
    ]
    # Such an alarm is not evaluated here.
    assert ways.cloud.admin("POST", "alarms", {"alarms": [name]}) == {name: "ALARM"}


def test_an_evaluation_tells_its_datapoints(ways):
    name = ways.alarm(Namespace=ways.name, MetricName="Errors", Dimensions=[], EvaluationPeriods=2, DatapointsToAlarm=1)
    ways.watch.put_metric_data(Namespace=ways.name, MetricData=[{"MetricName": "Errors", "Value": 7}])
    until = ways.watch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateUpdatedTimestamp"].timestamp() + 90
    assert ways.cloud.admin("POST", "alarms", {"alarms": [name], "until": until}) == {name: "ALARM"}
    *_, event = ways.received(ways.events)
    state = event["detail"]["state"]
    assert re.fullmatch(
        r"Threshold Crossed: 1 out of the last 2 datapoints \[7\.0 \(\d\d/\d\d/\d\d \d\d:\d\d:00\)\] was greater than "
        r"the threshold \(5\.0\) and 1 missing datapoints were treated as \[NonBreaching\]\.",
        state["reason"],
    )
    data = json.loads(state["reasonData"])
    assert (data["statistic"], data["period"], data["recentDatapoints"], data["threshold"]) == ("Sum", 60, [7.0], 5.0)
    assert state["timestamp"].endswith(":00.000+0000")


def test_a_state_that_does_not_exist_is_refused(ways):
    name = ways.alarm()
    with pytest.raises(ways.watch.exceptions.ClientError, match="stateValue"):
        ways.set(name, "BROKEN")
