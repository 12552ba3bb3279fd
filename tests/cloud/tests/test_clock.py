"""A cloud with its own clock: secrets, schedules and functions share one time, which the test advances."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from conftest import bootstrap, wait_for, with_own_clock

# 2030-05-31T18:30:00Z
START = 1_906_482_600

BOOTSTRAP = r"""
import http.client, json, os, time

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    answer.read()
    request, left = answer.headers["Lambda-Runtime-Aws-Request-Id"], answer.headers["Lambda-Runtime-Deadline-Ms"]
    body = json.dumps({"now": time.time(), "left": int(left) / 1000 - time.time()})
    api.request("POST", f"/2018-06-01/runtime/invocation/{request}/response", body)
    api.getresponse().read()
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    state = tmp_path_factory.mktemp("cloud-with-a-clock")
    with with_own_clock(state, START) as cloud:
        yield cloud


def move_to(own, moment: datetime) -> dict:
    left = moment.timestamp() - own.admin("GET", "clock")["now"]
    return own.admin("POST", "clock", {"advance_seconds": left + 1})


def test_what_is_made_later_has_a_later_date_and_nothing_ages(own):
    secrets = own.client("secretsmanager")
    secrets.create_secret(Name="early", SecretString="1")
    before = own.admin("GET", "clock")
    assert before["now"] - START < 600
    assert before["offset_seconds"] == 0
    own.admin("POST", "clock", {"advance_seconds": 3600})
    secrets.create_secret(Name="late", SecretString="1")
    early, late = (secrets.describe_secret(SecretId=name)["CreatedDate"] for name in ("early", "late"))
    assert timedelta(minutes=60) <= late - early < timedelta(minutes=70)
    assert early.timestamp() - START < 600


def test_a_function_that_runs_already_has_the_new_time_and_the_same_time_to_live(own):
    iam, functions = own.client("iam"), own.client("lambda")
    role = iam.create_role(
        RoleName="clock",
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": {
                    "Effect": "Allow",
                    "Principal": {"Service": "lambda.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                },
            }
        ),
    )
    functions.create_function(
        FunctionName="clock",
        Role=role["Role"]["Arn"],
        Code={"ZipFile": bootstrap(BOOTSTRAP)},
        Runtime="provided.al2023",
        Handler="bootstrap",
        Timeout=30,
    )

    def told():
        return json.load(functions.invoke(FunctionName="clock", Payload=b"{}")["Payload"])

    first = told()
    own.admin("POST", "clock", {"advance_seconds": 10 * 86400})
    second = told()
    assert 10 * 86400 <= second["now"] - first["now"] < 10 * 86400 + 600
    assert all(20 < each["left"] <= 30 for each in (first, second))


def test_a_schedule_starts_in_its_time_zone_and_once(own):
    machine = own.client("stepfunctions")
    iam, schedules = own.client("iam"), own.client("scheduler")

    def role(name: str, service: str) -> str:
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        rights = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(rights))
        return made

    definition = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Pass", "End": True}}})
    arn = machine.create_state_machine(name="clock", definition=definition, roleArn=role("m", "states.amazonaws.com"))
    arn = arn["stateMachineArn"]
    now = datetime.fromtimestamp(own.admin("GET", "clock")["now"], timezone.utc)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    move_to(own, midnight)
    schedules.create_schedule(
        Name="clock",
        ScheduleExpression="cron(0 7 * * ? *)",
        ScheduleExpressionTimezone="America/Sao_Paulo",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn, "RoleArn": role("s", "scheduler.amazonaws.com"), "Input": "{}"},
    )
    move_to(own, midnight + timedelta(minutes=1))

    def started() -> int:
        return len(machine.list_executions(stateMachineArn=arn)["executions"])

    # Seven o'clock in São Paulo is ten in UTC.
    for hours, expected in ((7.5, 0), (9.9, 0), (10, 1), (12, 1), (33, 1), (34, 2), (100, 3)):
        move_to(own, midnight + timedelta(hours=hours))
        wait_for(lambda expected=expected: started() >= expected, "the schedule to start")
        assert started() == expected, hours
