"""CloudWatch's timing, and how the template's alarms behave with it."""

from __future__ import annotations

import itertools
import json
import threading

import pytest
from cfnlint.decode import cfn_yaml
from conftest import HERE, bootstrap, wait_for, with_own_clock

from localcloud import alarms

ROOT = HERE.parent.parent
# 2030-05-31T18:30:00Z
START = 1_906_482_600
ACCOUNT = "000000000000"
TEMPLATE = cfn_yaml.load(str(ROOT / "template.yaml"))
FUNCTIONS = {
    name: resource["Properties"].get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"])
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}
ALARMS = {
    name: resource["Properties"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}
numbers = itertools.count(1)

# A function that fails, or only writes a line, at the end of its time.
BOOTSTRAP = r"""
import http.client, json, os, sys, time

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    event = json.loads(answer.read())
    request, end = answer.headers["Lambda-Runtime-Aws-Request-Id"], time.time() + event["seconds"]
    open(event["started"], "w").close()
    while time.time() < end:
        time.sleep(0.01)
    for line in event.get("lines", ()):
        print(line.replace("NOW", str(int(time.time() * 1000))), flush=True)
    how = "error" if event.get("fails") else "response"
    body = json.dumps({"errorType": "Late", "errorMessage": "at the end"})
    api.request("POST", f"/2018-06-01/runtime/invocation/{request}/{how}", body)
    api.getresponse().read()
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with with_own_clock(tmp_path_factory.mktemp("cloud-with-alarms"), START) as cloud:
        yield cloud


def now(own) -> float:
    return own.admin("GET", "clock")["now"]


def advance(own, seconds: float) -> None:
    own.admin("POST", "clock", {"advance_seconds": seconds})


def function(own, timeout: int) -> str:
    name = f"late-{next(numbers)}"
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    role = own.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    own.client("lambda").create_function(
        FunctionName=name,
        Role=role,
        Code={"ZipFile": bootstrap(BOOTSTRAP)},
        Runtime="provided.al2023",
        Handler="bootstrap",
        Timeout=timeout,
    )
    return name


def alarm(own, logical: str, dimension: str) -> str:
    """Creates the template's alarm for a stand-in of its function, queue or state machine."""
    given = ALARMS[logical]
    taken = {
        key: value
        for key, value in given.items()
        if key not in ("AlarmName", "AlarmDescription", "AlarmActions", "Dimensions")
    }
    name = f"{logical}-{next(numbers)}"
    dimensions = [{"Name": given["Dimensions"][0]["Name"], "Value": dimension}]
    own.client("cloudwatch").put_metric_alarm(AlarmName=name, Dimensions=dimensions, **taken)
    return name


def run_late(own, tmp_path, name: str, seconds: float, **event) -> None:
    """Invokes the function and advances the cloud's clock, so that it ends `seconds` after its start."""
    started = tmp_path / f"started-{next(numbers)}"
    payload = json.dumps({"seconds": seconds, "started": str(started), **event}).encode()
    call = threading.Thread(
        target=lambda: own.client("lambda").invoke(FunctionName=name, Payload=payload), name="invocation"
    )
    call.start()
    wait_for(started.exists, "the function to start")
    advance(own, seconds)
    call.join()


def raised(own, name: str) -> list[str]:
    """The alarm's state changes, oldest first."""
    history = own.client("cloudwatch").describe_alarm_history(
        AlarmName=name, HistoryItemType="StateUpdate", ScanBy="TimestampAscending"
    )["AlarmHistoryItems"]
    new = [json.loads(item["HistoryData"])["newState"]["stateValue"] for item in history]
    return [state for state in new if state != "INSUFFICIENT_DATA"]


# Issue 15, item 7. With the alarms' earlier single period of a minute, a failed function of 180 s or more never raised
# its alarm, and one of 30 s or 60 s did not if it began late in a minute.
@pytest.mark.parametrize("logical", sorted(FUNCTIONS))
def test_a_function_that_fails_at_the_end_of_its_time_raises_its_alarm_once(own, tmp_path, logical):
    timeout = FUNCTIONS[logical]
    name = function(own, timeout)
    watch = alarm(own, f"{logical.removesuffix('Function')}Errors", name)
    # Start in the first and in the last second of a minute.
    for second in (1, 59):
        advance(own, (second - now(own)) % 60)
        run_late(own, tmp_path, name, timeout - 2, fails=True)
        # Evaluate the alarm with a minute's delay.
        advance(own, 60)
        assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "ALARM"}
        advance(own, 3600)
        assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "OK"}
    assert [state for state in raised(own, watch) if state == "ALARM"] == ["ALARM"] * 2


def counting(missing: str) -> list[str]:
    """The alarms on what functions count, by what they do about missing counts."""
    return sorted(
        name
        for name, given in ALARMS.items()
        if given.get("Namespace") == "Governance" and given["TreatMissingData"] == missing
    )


@pytest.mark.parametrize("logical", counting("breaching"))
def test_what_is_no_longer_counted_raises_its_alarm(own, logical):
    given = ALARMS[logical]
    name = f"silent-{next(numbers)}"
    watch = alarm(own, logical, name)

    def count():
        own.client("cloudwatch").put_metric_data(
            Namespace="Governance",
            MetricData=[
                {
                    "MetricName": given["MetricName"],
                    "Dimensions": [{"Name": given["Dimensions"][0]["Name"], "Value": name}],
                    "Value": 1,
                }
            ],
        )

    for _ in range(given["EvaluationPeriods"]):
        count()
        advance(own, given["Period"])
    assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "OK"}
    advance(own, given["Period"] * (given["DatapointsToAlarm"] - 1))
    assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "OK"}
    advance(own, given["Period"])
    assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "ALARM"}


@pytest.mark.parametrize("logical", counting("notBreaching"))
def test_what_is_counted_at_the_end_of_a_run_raises_its_alarm(own, tmp_path, logical):
    name = function(own, 900)
    given = ALARMS[logical]
    metric = given["MetricName"]
    # The alarm watches one function, or the stack.
    (dimension,) = (one["Name"] for one in given["Dimensions"])
    watch = alarm(own, logical, name)
    directive = {"Namespace": "Governance", "Dimensions": [[dimension]], "Metrics": [{"Name": metric, "Unit": "Count"}]}
    line = json.dumps({"_aws": {"Timestamp": "NOW", "CloudWatchMetrics": [directive]}, dimension: name, metric: 1})
    run_late(own, tmp_path, name, 5, lines=[line.replace('"NOW"', "NOW")])
    advance(own, 60)
    assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "ALARM"}
    advance(own, given["EvaluationPeriods"] * 60 + 60)
    assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "OK"}


def test_a_line_of_another_time_counts_for_that_time_or_not_at_all(own, tmp_path):
    name = function(own, 60)
    lines = [
        json.dumps(
            {
                "_aws": {
                    "Timestamp": int((now(own) - age) * 1000),
                    "CloudWatchMetrics": [
                        {"Namespace": "Times", "Dimensions": [["service"]], "Metrics": [{"Name": kind}]}
                    ],
                },
                "service": name,
                kind: 1,
            }
        )
        for kind, age in (("Hour", 3600), ("Month", 30 * 86_400), ("Tomorrow", -86_400))
    ]
    run_late(own, tmp_path, name, 1, lines=lines)
    watch = own.client("cloudwatch")
    found = {one["MetricName"] for one in watch.list_metrics(Namespace="Times")["Metrics"]}
    assert found == {"Hour"}
    read = watch.get_metric_statistics(
        Namespace="Times",
        MetricName="Hour",
        Dimensions=[{"Name": "service", "Value": name}],
        StartTime=now(own) - 7200,
        EndTime=now(own),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    assert [now(own) - 3800 < one["Timestamp"].timestamp() < now(own) - 3500 for one in read] == [True]


def test_a_message_in_a_dead_letter_queue_raises_its_alarm(own):
    queues = own.client("sqs")
    url = queues.create_queue(QueueName="letters")["QueueUrl"]
    watch = alarm(own, "BackupAuditDeadLettersDepth", "letters")
    advance(own, 600)
    assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "OK"}
    queues.send_message(QueueUrl=url, MessageBody="lost")
    own.admin("POST", "alarms", {"alarms": [watch]})
    advance(own, 120)
    assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "ALARM"}


def test_a_message_that_waits_in_a_queue_raises_its_alarm(own):
    queues = own.client("sqs")
    url = queues.create_queue(QueueName="waiting")["QueueUrl"]
    watch = alarm(own, "IncidentPageQueueAge", "waiting")
    queues.send_message(QueueUrl=url, MessageBody="alert")
    advance(own, 240)
    own.admin("POST", "alarms", {"alarms": [watch]})
    advance(own, 60)
    assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "OK"}
    advance(own, 60)
    own.admin("POST", "alarms", {"alarms": [watch]})
    advance(own, 60)
    assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "ALARM"}
    queues.purge_queue(QueueUrl=url)
    advance(own, 600)
    assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "OK"}


def test_an_execution_that_fails_raises_its_alarm(own):
    machines, iam = own.client("stepfunctions"), own.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    role = iam.create_role(RoleName="failing-machine", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    definition = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Fail", "Error": "E", "Cause": "C"}}})
    arn = machines.create_state_machine(name="failing", definition=definition, roleArn=role)["stateMachineArn"]
    watch = alarm(own, "SnapshotCreateExecutionsFailed", arn)
    run = machines.start_execution(stateMachineArn=arn)["executionArn"]
    wait_for(lambda: machines.describe_execution(executionArn=run)["status"] == "FAILED", "the execution to fail")
    advance(own, 60)
    assert own.admin("POST", "alarms", {"alarms": [watch]}) == {watch: "ALARM"}


def an_alarm(**changes) -> dict:
    return {
        "Period": 60,
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 1,
        "Statistic": "Sum",
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "StateValue": "OK",
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "ages", "expected"),
    [
        ({}, (), "OK"),
        ({}, (1,), "ALARM"),
        # The window ends at the fifth minute back.
        ({}, (300,), "ALARM"),
        ({}, (301,), "OK"),
        # The current minute is incomplete, so it does not count.
        ({}, (-1,), "OK"),
        ({"EvaluationPeriods": 1}, (60,), "ALARM"),
        ({"EvaluationPeriods": 1}, (61,), "OK"),
        ({"Period": 300, "EvaluationPeriods": 1}, (299,), "ALARM"),
        ({"DatapointsToAlarm": 2}, (1, 2), "OK"),
        ({"DatapointsToAlarm": 2}, (1, 90), "ALARM"),
        # Without DatapointsToAlarm, all periods have to breach.
        ({"DatapointsToAlarm": None}, (1, 90), "OK"),
        ({"TreatMissingData": "breaching"}, (), "ALARM"),
        ({"TreatMissingData": "missing"}, (), "INSUFFICIENT_DATA"),
        ({"TreatMissingData": "ignore", "StateValue": "ALARM"}, (), "ALARM"),
    ],
)
def test_an_alarm_sees_its_window_only(changes, ages, expected):
    minute = START // 60 * 60
    points = [{"Timestamp": minute - age, "Value": 1.0} for age in ages]
    assert alarms.state(an_alarm(**changes), points, minute) == expected


def test_a_point_that_comes_late_is_seen_from_then_on(monkeypatch):
    states = []
    monkeypatch.setattr(alarms, "change", lambda alarm, new, minute: states.append((minute - minute0, new)))
    minute0 = START // 60 * 60
    point = {"Timestamp": minute0 - 1, "Value": 1.0, "Arrived": minute0 + 130}
    monkeypatch.setattr(alarms, "points_of", lambda alarm: [point])
    one = an_alarm(AlarmArn="late", Namespace="n", MetricName="m")
    monkeypatch.setitem(alarms.evaluated, "late", minute0 - 60)
    alarms.run([one], minute0 + 3600)
    states = dict(states)
    assert (states[120], states[180], states[240], states[300]) == ("OK", "ALARM", "ALARM", "OK")
