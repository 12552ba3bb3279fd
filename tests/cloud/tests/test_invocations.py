"""Asynchronous invocations: two retries, then the dead-letter queue."""

from __future__ import annotations

import json
import uuid

from conftest import bootstrap, wait_for
from functions import ACCOUNT, Keeper

# Appends a letter to the event's file, and fails.
FAILS = """
import http.client, json, os

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    request, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.loads(answer.read())
    with open(event["attempts"], "a") as attempts:
        attempts.write("x")
    body = json.dumps({"errorType": "Fails", "errorMessage": "on purpose"})
    api.request("POST", f"/2018-06-01/runtime/invocation/{request}/error", body)
    api.getresponse().read()
"""


def test_a_failing_asynchronous_invocation_is_retried_twice_and_then_dead(cloud, tmp_path):
    name, attempts = f"fails-{uuid.uuid4().hex[:8]}", tmp_path / "attempts"
    sqs, functions = cloud.client("sqs"), cloud.client("lambda")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    functions.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Role=cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"],
        Handler="bootstrap",
        Code={"ZipFile": bootstrap(FAILS)},
        DeadLetterConfig={"TargetArn": arn},
    )
    functions.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps({"attempts": str(attempts)}))
    (letter,) = wait_for(
        lambda: sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"]).get("Messages"), "the dead event"
    )
    assert attempts.read_text() == "xxx"
    # The event as it was, with three attributes.
    assert json.loads(letter["Body"]) == {"attempts": str(attempts)}
    told = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert told.pop("RequestID")
    assert told == {"ErrorCode": "200", "ErrorMessage": "on purpose"}


def test_what_a_rule_invokes_in_vain_is_retried_as_its_function_says(cloud, tmp_path):
    sqs, events = cloud.client("sqs"), cloud.client("events")
    name = f"rule-{uuid.uuid4().hex[:8]}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    dead = {"TargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"}
    keeper = Keeper(cloud, tmp_path, "!", DeadLetterConfig=dead)
    cloud.client("lambda").put_function_event_invoke_config(FunctionName=keeper.name, MaximumRetryAttempts=1)
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "f", "Arn": keeper.arn, "Input": '{"sweep": true}'}])
    events.put_events(Entries=[{"Source": name, "DetailType": "x", "Detail": "{}"}])
    (letter,) = wait_for(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), "the dead event")
    assert json.loads(letter["Body"]) == {"sweep": True}
    assert keeper.events() == [{"sweep": True}] * 2
