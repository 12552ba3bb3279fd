"""Filter patterns of CloudWatch Logs, subscriptions of functions, and metric filters.

Sources: "Filter pattern syntax for metric filters, subscription filters, filter log events, and Live Tail" and
"Subscription filters with AWS Lambda" of CloudWatch Logs' guide, PutSubscriptionFilter and PutMetricFilter of its
reference.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import time

import pytest
from botocore.exceptions import ClientError
from conftest import stack_is, wait_for
from functions import ACCOUNT, Keeper

from localcloud import logfilters

numbers = itertools.count(1)
CRASH = {"level": "error", "message": "unhandled error", "statusCode": 500, "err": {"type": "TypeError", "code": None}}


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "anything", True),
        ('" "', "anything", True),
        ("ERROR", "[ERROR 400] BAD REQUEST", True),
        ("ERROR", "[error 400] BAD REQUEST", False),
        ("ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", True),
        ("ERROR ARGUMENTS", "[ERROR 401] UNAUTHORIZED", False),
        ("?ERROR ?ARGUMENTS", "[ERROR 401] UNAUTHORIZED", True),
        ("?ERROR ?ARGUMENTS", "INFO", False),
        ('?AppError ?"unhandled error"', "an unhandled error", True),
        ("ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", False),
        ("ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", True),
        ('"INTERNAL SERVER ERROR"', "[ERROR 500] INTERNAL SERVER ERROR", True),
        ('"INTERNAL SERVER ERROR"', "INTERNAL ERROR SERVER", False),
        (r'"a \"b\""', 'a "b"', True),
        ("%ERR[0-9]%", "ERR7", True),
        ("%ERR[0-9]%", "ERRX", False),
    ],
)
def test_terms(pattern, message, expected):
    assert logfilters.compiled(pattern)(message) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.level = "error" && $.message = "unhandled error" }', True),
        ('{ $.level = "error" && $.message = "Unhandled error" }', False),
        ("{ $.level = error }", True),
        ('{ $.level = "err*" }', True),
        ('{ $.level != "info" }', True),
        ('{ $.level != "error" }', False),
        ('{ $.unknown != "error" }', False),
        ('{ $.level = "info" || $.statusCode >= 500 }', True),
        ('{ $.level = "info" || $.statusCode > 500 }', False),
        ("{ $.statusCode = 500 }", True),
        ("{ $.statusCode = 5* }", True),
        ("{ $.statusCode = 4* }", False),
        ("{ $.statusCode < 5e2 }", False),
        ("{ $.statusCode <= 5e2 }", True),
        ("{ $.level > 5 }", False),
        # && binds more tightly than ||.
        ('{ $.level = "error" || $.level = "info" && $.statusCode = 1 }', True),
        ('{ ($.level = "error" || $.level = "info") && $.statusCode = 1 }', False),
        ("{ $.err.code IS NULL }", True),
        ("{ $.err.code NOT EXISTS }", False),
        ("{ $.err.stack IS NULL }", False),
        ("{ $.err.stack NOT EXISTS }", True),
        ("{ $.err.type = %^Type% }", True),
        ("{ $.err.type != %^Type% }", False),
        ('{ $.["err"].type = "TypeError" }', True),
    ],
)
def test_patterns_for_json(pattern, expected):
    assert logfilters.compiled(pattern)(json.dumps(CRASH)) is expected


def test_arrays_and_constants_in_json():
    message = json.dumps({"users": [{"id": 1}, {"id": 2, "admin": True}], "on": False})
    for pattern, expected in (
        ("{ $.users[1].id = 2 }", True),
        ("{ $.users[0].id = 2 }", False),
        ("{ $.users[*].id = 2 }", True),
        ("{ $.users[9].id NOT EXISTS }", True),
        ("{ $.users[1].admin IS TRUE }", True),
        ("{ $.on IS FALSE }", True),
        ("{ $.on IS TRUE }", False),
    ):
        assert logfilters.compiled(pattern)(message) is expected, pattern
    assert logfilters.compiled("{ $.x NOT EXISTS }")("no JSON") is False


@pytest.mark.parametrize(
    "pattern",
    [
        "{ $.a }",
        "{ $.a = }",
        "{ a = 1 }",
        "{ $.a = 1",
        "{ ($.a = 1 }",
        '{ $.a > "x" }',
        "[a, b]",
        "x" * 1025,
        "{ $.a = 1 $.b = 2 }",
    ],
)
def test_a_wrong_pattern_is_refused(cloud, pattern):
    logs, group = cloud.client("logs"), f"group-{next(numbers)}"
    logs.create_log_group(logGroupName=group)
    transformation = {"metricName": "m", "metricNamespace": "n", "metricValue": "1"}
    with pytest.raises(ClientError) as refused:
        logs.put_metric_filter(
            logGroupName=group, filterName="f", filterPattern=pattern, metricTransformations=[transformation]
        )
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"


class Logs:
    """A log group with a stream, and a function that may subscribe to it."""

    def __init__(self, cloud, folder):
        self.cloud, self.client, self.group = cloud, cloud.client("logs"), f"/ecs/api-{next(numbers)}"
        self.client.create_log_group(logGroupName=self.group)
        self.client.create_log_stream(logGroupName=self.group, logStreamName="api/1")
        self.keeper = Keeper(cloud, folder)

    def permit(self, **conditions):
        self.cloud.client("lambda").add_permission(
            FunctionName=self.keeper.name,
            StatementId="logs",
            Action="lambda:InvokeFunction",
            Principal="logs.amazonaws.com",
            **conditions,
        )

    def subscribe(self, name="f", pattern='{ $.level = "error" }'):
        self.client.put_subscription_filter(
            logGroupName=self.group, filterName=name, filterPattern=pattern, destinationArn=self.keeper.arn
        )

    def write(self, *messages, at=None):
        moment = int((at or time.time()) * 1000)
        events = [{"timestamp": moment, "message": message} for message in messages]
        self.client.put_log_events(logGroupName=self.group, logStreamName="api/1", logEvents=events)

    def told(self, kind="DATA_MESSAGE"):
        read = [
            json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"]))) for event in self.keeper.events()
        ]
        return [one for one in read if one["messageType"] == kind]


@pytest.fixture
def source(cloud, tmp_path):
    return Logs(cloud, tmp_path)


def test_a_function_gets_the_events_that_match(source):
    source.permit(SourceAccount=ACCOUNT)
    source.subscribe()
    (check,) = wait_for(lambda: source.told("CONTROL_MESSAGE"), "the check")
    assert (check["owner"], check["subscriptionFilters"], len(check["logEvents"])) == ("CloudwatchLogs", [], 1)
    crash, other = json.dumps(CRASH), json.dumps({"level": "info"})
    source.write(other, crash, "no JSON", crash)
    (message,) = wait_for(source.told, "the events")
    events = message.pop("logEvents")
    assert message == {
        "messageType": "DATA_MESSAGE",
        "owner": ACCOUNT,
        "logGroup": source.group,
        "logStream": "api/1",
        "subscriptionFilters": ["f"],
    }
    assert [event["message"] for event in events] == [crash] * 2
    ids = [event["id"] for event in events]
    assert all(len(one) == 56 and one.isdigit() for one in ids)
    assert len(set(ids)) == 2
    source.write(other)
    assert len(source.told()) == 1


def test_two_filters_get_the_same_ids_and_a_third_is_refused(source):
    source.permit(SourceArn=f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{source.group}:*")
    source.subscribe("one", "")
    source.subscribe("two", "unhandled")
    with pytest.raises(ClientError) as refused:
        source.subscribe("three")
    assert refused.value.response["Error"]["Code"] == "LimitExceededException"
    # To change one is no third.
    source.subscribe("two", '"unhandled error"')
    source.write(json.dumps(CRASH))
    first, second = wait_for(lambda: len(source.told()) == 2 and source.told(), "both messages")
    assert first["logEvents"] == second["logEvents"]
    assert {one["subscriptionFilters"][0] for one in (first, second)} == {"one", "two"}


@pytest.mark.parametrize(
    "conditions",
    [None, {"SourceAccount": "111111111111"}, {"SourceArn": "arn:aws:logs:us-east-1:000000000000:log-group:x:*"}],
)
def test_a_subscription_needs_the_functions_permission(source, conditions):
    if conditions:
        source.permit(**conditions)
    with pytest.raises(ClientError, match="Could not execute the lambda function") as refused:
        source.subscribe()
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"
    assert source.client.describe_subscription_filters(logGroupName=source.group)["subscriptionFilters"] == []


def sums(source, name, **dimensions):
    watch = source.cloud.client("cloudwatch")
    found = watch.get_metric_statistics(
        Namespace=source.group,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=time.time() - 7200,
        EndTime=time.time() + 60,
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    return sorted(point["Sum"] for point in found)


def test_a_metric_filter_counts_what_matches_at_its_time(source):
    source.client.put_metric_filter(
        logGroupName=source.group,
        filterName="f",
        filterPattern='{ $.level = "error" }',
        metricTransformations=[
            {"metricName": "Errors", "metricNamespace": source.group, "metricValue": "1", "defaultValue": 0},
            {
                "metricName": "Status",
                "metricNamespace": source.group,
                "metricValue": "$.statusCode",
                "dimensions": {"Type": "$.err.type"},
            },
        ],
    )
    source.write("nothing", at=time.time() - 3600)
    assert sums(source, "Errors") == [0]
    source.write(json.dumps(CRASH), json.dumps(CRASH), json.dumps({"level": "error"}))
    assert sums(source, "Errors") == [0, 3]
    assert sums(source, "Status", Type="TypeError") == [1000]


def test_a_template_makes_filters_that_feed_an_alarm_and_a_function(source):
    source.permit()
    template = {
        "Resources": {
            "Filter": {
                "Type": "AWS::Logs::MetricFilter",
                "Properties": {
                    "LogGroupName": source.group,
                    "FilterPattern": '{ $.level = "error" }',
                    "MetricTransformations": [
                        {"MetricName": "Errors", "MetricNamespace": source.group, "MetricValue": "1"}
                    ],
                },
            },
            "Subscription": {
                "Type": "AWS::Logs::SubscriptionFilter",
                "Properties": {
                    "LogGroupName": source.group,
                    "FilterPattern": '{ $.level = "error" }',
                    "DestinationArn": source.keeper.arn,
                },
            },
            "Alarm": {
                "Type": "AWS::CloudWatch::Alarm",
                "Properties": {
                    "AlarmName": source.keeper.name,
                    "Namespace": source.group,
                    "MetricName": "Errors",
                    "Statistic": "Sum",
                    "Period": 60,
                    "EvaluationPeriods": 1,
                    "Threshold": 1,
                    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                    "TreatMissingData": "notBreaching",
                },
            },
        }
    }
    stacks = source.cloud.client("cloudformation")
    stacks.create_stack(StackName=source.keeper.name, TemplateBody=json.dumps(template))
    stack_is(stacks, source.keeper.name, "CREATE_COMPLETE")
    at = time.time()
    source.write(json.dumps(CRASH), at=at)
    (message,) = wait_for(source.told, "the events")
    assert len(message["logEvents"]) == 1
    until = (at // 60 + 1) * 60
    answer = source.cloud.admin("POST", "alarms", {"alarms": [source.keeper.name], "until": until})
    assert answer == {source.keeper.name: "ALARM"}


def test_events_are_searched_with_the_same_patterns(source):
    source.write(json.dumps(CRASH), "ERROR of a person", "error")

    def found(pattern):
        events = source.client.filter_log_events(logGroupName=source.group, filterPattern=pattern)["events"]
        return len(events)

    assert (found(""), found("ERROR"), found('{ $.level = "error" }')) == (3, 1, 1)
