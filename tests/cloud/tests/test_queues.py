"""Deliveries to queues, their dead letters, moves of messages, and mappings of queues.

Sources: "Using dead-letter queues to process undelivered events" of EventBridge's guide, "Amazon SNS dead-letter
queues", StartMessageMoveTask and ListMessageMoveTasks of SQS's reference, "Using Lambda with Amazon SQS" of Lambda's
guide.
"""

from __future__ import annotations

import itertools
import json

import pytest
from botocore.exceptions import ClientError
from conftest import wait_for
from functions import ACCOUNT, Keeper

numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def fresh(cloud):
    cloud.admin("POST", "queues", {})
    yield
    cloud.admin("POST", "queues", {})


def arn_of(name):
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def queue(cloud, name, *services, **attributes):
    """Creates a queue that lets services send to it, and returns its address."""
    if services:
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": list(services)},
            "Action": "sqs:SendMessage",
            "Resource": arn_of(name),
        }
        attributes["Policy"] = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    return cloud.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def received(cloud, url, **more):
    found = cloud.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], **more
    )
    return found.get("Messages", [])


def rule(cloud, name, *targets):
    events = cloud.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=list(targets))
    return f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{name}"


def send_event(cloud, source):
    entry = {"Source": source, "DetailType": "x", "Detail": json.dumps({"of": source})}
    assert cloud.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


@pytest.mark.parametrize(
    ("services", "code"),
    [
        (("events.amazonaws.com",), None),
        (("sns.amazonaws.com",), "NO_PERMISSIONS"),
        (None, "RESOURCE_NOT_FOUND"),
    ],
)
def test_an_event_goes_to_the_queue_or_to_the_dead_letters_of_its_target(cloud, services, code):
    name = f"delivery-{next(numbers)}"
    dead = queue(cloud, f"{name}-dead", "events.amazonaws.com")
    url = queue(cloud, name, *services) if services else None
    target = {"Id": "queue", "Arn": arn_of(name), "DeadLetterConfig": {"Arn": arn_of(f"{name}-dead")}}
    made = rule(cloud, name, target)
    send_event(cloud, name)
    letters = received(cloud, dead)
    if code is None:
        assert [json.loads(each["Body"])["detail"] for each in received(cloud, url)] == [{"of": name}]
        assert letters == []
        return
    (letter,) = letters
    assert json.loads(letter["Body"])["detail"] == {"of": name}
    told = {key: value["StringValue"] for key, value in letter["MessageAttributes"].items()}
    assert (told["ERROR_CODE"], told["RULE_ARN"], told["TARGET_ARN"]) == (code, made, arn_of(name))
    if url:
        assert received(cloud, url) == []


def test_what_a_topic_cannot_deliver_goes_to_the_dead_letters_of_the_subscription(cloud):
    name, sns = f"delivery-{next(numbers)}", cloud.client("sns")
    topic = sns.create_topic(Name=name)["TopicArn"]
    dead = queue(cloud, f"{name}-dead", "sns.amazonaws.com")
    url = queue(cloud, name, "events.amazonaws.com")
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn_of(name),
        Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn_of(f"{name}-dead")})},
    )
    sns.publish(TopicArn=topic, Message="lost", Subject="s")
    (letter,) = received(cloud, dead)
    assert (json.loads(letter["Body"])["Message"], received(cloud, url)) == ("lost", [])


# StartMessageMoveTask.


def test_dead_letters_return_to_a_queue(cloud):
    name, sqs = f"moves-{next(numbers)}", cloud.client("sqs")
    dead = queue(cloud, f"{name}-dead")
    redrive = json.dumps({"deadLetterTargetArn": arn_of(f"{name}-dead"), "maxReceiveCount": "1"})
    url = queue(cloud, name, RedrivePolicy=redrive)
    sqs.send_message(QueueUrl=url, MessageBody="one")
    (first,) = received(cloud, url, VisibilityTimeout=0)
    assert received(cloud, url) == []
    task = sqs.start_message_move_task(SourceArn=arn_of(f"{name}-dead"))
    assert task["TaskHandle"]
    (again,) = received(cloud, url)
    assert again["Body"] == "one"
    assert again["MessageId"] != first["MessageId"]
    assert received(cloud, dead) == []
    # A letter of a service has no queue to return to, unless the task names one.
    sqs.send_message(QueueUrl=dead, MessageBody="of a service")
    sqs.start_message_move_task(SourceArn=arn_of(f"{name}-dead"))
    sqs.start_message_move_task(SourceArn=arn_of(f"{name}-dead"), DestinationArn=arn_of(name))
    assert [each["Body"] for each in received(cloud, url)] == ["of a service"]
    tasks = sqs.list_message_move_tasks(SourceArn=arn_of(f"{name}-dead"), MaxResults=10)["Results"]
    told = [(one["Status"], one["ApproximateNumberOfMessagesMoved"], one.get("DestinationArn")) for one in tasks]
    assert told == [("COMPLETED", 1, arn_of(name)), ("FAILED", 0, None), ("COMPLETED", 1, None)]
    assert len(sqs.list_message_move_tasks(SourceArn=arn_of(f"{name}-dead"))["Results"]) == 1


def test_only_a_queue_of_dead_letters_can_be_moved(cloud):
    name, sqs = f"moves-{next(numbers)}", cloud.client("sqs")
    queue(cloud, name)
    for source, code in ((name, "InvalidParameterValue"), (f"{name}-none", "ResourceNotFoundException")):
        with pytest.raises(ClientError) as refused:
            sqs.start_message_move_task(SourceArn=arn_of(source))
        assert refused.value.response["Error"]["Code"].endswith(code)


# Mappings.


def mapped(cloud, keeper, name, **more):
    cloud.client("lambda").create_event_source_mapping(
        FunctionName=keeper.name, EventSourceArn=arn_of(name), BatchSize=10, **more
    )


def depths(cloud, url):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return [int(found[name]) for name in names]


def bodies(keeper):
    return [record["body"] for event in keeper.events() for record in event["Records"]]


def test_each_message_is_given_as_often_as_the_test_says(cloud, tmp_path):
    name = f"mapped-{next(numbers)}"
    url, keeper = queue(cloud, name), Keeper(cloud, tmp_path)
    cloud.admin("POST", "queues", {"deliver": 3})
    mapped(cloud, keeper, name)
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    wait_for(lambda: depths(cloud, url) == [0, 0], "the message to be deleted")
    assert bodies(keeper) == ["x"] * 3
    assert len({record["messageId"] for event in keeper.events() for record in event["Records"]}) == 1
    counts = [
        record["attributes"]["ApproximateReceiveCount"] for event in keeper.events() for record in event["Records"]
    ]
    assert counts == ["1", "2", "3"]


def test_a_failed_message_comes_again_and_then_to_the_dead_letters(cloud, tmp_path):
    name = f"mapped-{next(numbers)}"
    dead = queue(cloud, f"{name}-dead")
    redrive = json.dumps({"deadLetterTargetArn": arn_of(f"{name}-dead"), "maxReceiveCount": "3"})
    # A visibility timeout of 60 s is 0.6 s here.
    url = queue(cloud, name, RedrivePolicy=redrive, VisibilityTimeout="60")
    keeper = Keeper(cloud, tmp_path, "!")
    mapped(cloud, keeper, name)
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody="poison")
    letters = wait_for(lambda: received(cloud, dead), "the dead letter", 30)
    assert [letter["Body"] for letter in letters] == ["poison"]
    assert bodies(keeper) == ["poison"] * 3


def items(*ids):
    return json.dumps({"batchItemFailures": [{"itemIdentifier": each} for each in ids]})


@pytest.mark.parametrize("answer", ["{}", items(), "null", '""', '{"batchItemFailures": null}'])
def test_a_response_without_failures_is_a_success(cloud, tmp_path, answer):
    name = f"mapped-{next(numbers)}"
    url, keeper = queue(cloud, name), Keeper(cloud, tmp_path, answer)
    mapped(cloud, keeper, name, FunctionResponseTypes=["ReportBatchItemFailures"])
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    wait_for(lambda: depths(cloud, url) == [0, 0], "the message to be deleted")
    assert bodies(keeper) == ["x"]


@pytest.mark.parametrize(
    "answer", ['"no"', items(""), items(None), items("unknown"), '{"batchItemFailures": [{"id": "x"}]}']
)
def test_a_response_in_another_form_fails_the_batch(cloud, tmp_path, answer):
    name = f"mapped-{next(numbers)}"
    url, keeper = queue(cloud, name), Keeper(cloud, tmp_path, answer, "{}")
    mapped(cloud, keeper, name, FunctionResponseTypes=["ReportBatchItemFailures"])
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    wait_for(lambda: depths(cloud, url) == [0, 0], "the message to be deleted")
    assert bodies(keeper) == ["x", "x"]


def test_the_newest_messages_may_come_first(cloud, tmp_path):
    name = f"mapped-{next(numbers)}"
    url, keeper = queue(cloud, name), Keeper(cloud, tmp_path)
    cloud.admin("POST", "queues", {"reversed": True})
    for body in ("a", "b", "c"):
        cloud.client("sqs").send_message(QueueUrl=url, MessageBody=body)
    mapped(cloud, keeper, name)
    wait_for(lambda: len(bodies(keeper)) == 3, "the messages")
    assert bodies(keeper) == ["c", "b", "a"]


def test_a_storm_of_messages_loses_none(cloud, tmp_path):
    name, sqs = f"storm-{next(numbers)}", cloud.client("sqs")
    url, keeper = queue(cloud, name), Keeper(cloud, tmp_path)
    mapped(cloud, keeper, name)
    for start in range(0, 300, 10):
        entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(start, start + 10)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    wait_for(lambda: depths(cloud, url) == [0, 0], "the queue to be empty")
    assert sorted(map(int, bodies(keeper))) == list(range(300))


@pytest.mark.parametrize(
    ("field", "body"),
    [("deliver", {"deliver": 0}), ("deliver", {"deliver": "2"}), ("reversed", {"reversed": 1}), ("x", {"x": 1})],
)
def test_a_wrong_setting_is_refused_by_its_name(cloud, field, body):
    with pytest.raises(AssertionError, match=rf'400 {{"error": "{field}: '):
        cloud.admin("POST", "queues", body)
