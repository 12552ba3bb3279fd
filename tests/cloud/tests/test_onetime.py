"""One-time schedules: names, permissions, dead letters, and the switches."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import http, wait_for

ACCOUNT = "000000000000"


def role(cloud, name: str) -> str:
    """A role that Scheduler may assume, and that may do nothing."""
    trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]


@pytest.fixture
def group(cloud) -> str:
    name = f"g{uuid.uuid4().hex[:8]}"
    cloud.client("scheduler").create_schedule_group(Name=name)
    return name


def make(scheduler, group: str, name: str, at: str, target: dict, **more) -> None:
    scheduler.create_schedule(
        Name=name,
        GroupName=group,
        ScheduleExpression=f"at({at})",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target=target,
        **more,
    )


def code(call, *given, **named) -> str:
    with pytest.raises(ClientError) as refused:
        call(*given, **named)
    return refused.value.response["Error"]["Code"]


def test_a_schedule_may_be_made_in_its_group_with_a_role_that_may_be_passed(cloud, group):
    iam = cloud.client("iam")
    target = {"Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f", "RoleArn": role(cloud, f"{group}-role")}
    user = f"{group}-user"
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    own = cloud.client("scheduler", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    create = {
        "Effect": "Allow",
        "Action": "scheduler:CreateSchedule",
        "Resource": f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/{group}/*",
    }
    passed = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": target["RoleArn"],
        "Condition": {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
    }
    listed = {"Effect": "Allow", "Action": "scheduler:ListSchedules", "Resource": "*"}

    def allow(*statements: dict) -> None:
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=policy)

    allow(create)
    assert code(make, own, group, "a", "2999-01-01T00:00:00", target) == "AccessDeniedException"
    allow(create, passed)
    make(own, group, "a", "2999-01-01T00:00:00", target)
    assert code(make, own, group, "a", "2999-01-01T00:00:00", target) == "ConflictException"
    assert code(make, own, "default", "a", "2999-01-01T00:00:00", target) == "AccessDeniedException"
    assert code(own.list_schedules, GroupName=group) == "AccessDeniedException"
    allow(create, passed, listed)
    assert [one["Name"] for one in own.list_schedules(GroupName=group)["Schedules"]] == ["a"]


def test_names_and_pages_are_as_documented(cloud, group):
    scheduler = cloud.client("scheduler")
    target = {"Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f", "RoleArn": role(cloud, f"{group}-role")}
    assert code(make, scheduler, group, "n" * 65, "2999-01-01T00:00:00", target) == "ValidationException"
    for number in range(3):
        make(scheduler, group, f"n{number}", "2999-01-01T00:00:00", target)
    page = scheduler.list_schedules(GroupName=group, MaxResults=2)
    rest = scheduler.list_schedules(GroupName=group, MaxResults=2, NextToken=page["NextToken"])
    names = [one["Name"] for one in page["Schedules"] + rest["Schedules"]]
    assert names == ["n0", "n1", "n2"] and "NextToken" not in rest
    waiting = cloud.admin("GET", f"scheduler/once?group={group}")["schedules"]
    assert [(one["name"], one["at"]) for one in waiting] == [(name, "2999-01-01T00:00:00") for name in names]
    assert cloud.admin("DELETE", "scheduler/once", {"group": group}) == {"lost": names}
    assert scheduler.list_schedules(GroupName=group)["Schedules"] == []


def test_a_schedule_is_read_whatever_body_the_request_has(cloud, group):
    scheduler = cloud.client("scheduler")
    target = {"Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f", "RoleArn": role(cloud, f"{group}-role")}
    make(scheduler, group, "a", "2999-01-01T00:00:00", target)
    scope = "Credential=test/20260101/us-east-1/scheduler/aws4_request"
    signed = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"
    url = f"{cloud.facts['endpoint']}/schedules/a?groupName={group}"
    for body in (None, "null", "{"):
        status, _, answer = http("GET", url, body, authorization=signed)
        assert (status, json.loads(answer)["Name"]) == (200, "a")


def test_what_may_not_be_invoked_is_in_the_dead_letter_queue_and_the_schedule_is_gone(cloud, group):
    scheduler, sqs = cloud.client("scheduler"), cloud.client("sqs")
    queue = sqs.create_queue(QueueName=group)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    target = {
        "Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{group}",
        "RoleArn": role(cloud, f"{group}-role"),
        "Input": '{"timer": 1}',
        "DeadLetterConfig": {"Arn": arn},
    }
    make(scheduler, group, "lost", "2999-01-01T00:00:00", target)
    assert cloud.admin("POST", "scheduler/fire", {"group": group, "name": "l*"}) == {"fired": ["lost"]}
    wait_for(lambda: not scheduler.list_schedules(GroupName=group)["Schedules"], "the schedule to fire")
    (message,) = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"], WaitTimeSeconds=5)["Messages"]
    assert message["Body"] == '{"timer": 1}'
    assert "lambda:InvokeFunction" in message["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]
