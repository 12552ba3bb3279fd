"""Rotation as Secrets Manager documents it, with a real function, observed through the API."""

from __future__ import annotations

import concurrent.futures
import json
import re
import time
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import bootstrap, wait_for

STEPS = ["createSecret", "setSecret", "testSecret", "finishSecret"]
ACTIONS = ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"]

# A rotation function that reports its observations to the queue in its secret's tags; other tags select misbehaviour.
BOOTSTRAP = r"""
import http.client, json, os, time, urllib.parse, uuid
import boto3

manager, queues = boto3.client("secretsmanager"), boto3.client("sqs")
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

def handle(event):
    arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    secret = manager.describe_secret(SecretId=arn)
    tags = {tag["Key"]: tag["Value"] for tag in secret["Tags"]}
    try:
        pending = manager.get_secret_value(SecretId=arn, VersionId=token, VersionStage="AWSPENDING")["SecretString"]
    except manager.exceptions.ResourceNotFoundException:
        pending = None
    seen = {**event, "pid": os.getpid(), "stages": secret["VersionIdsToStages"][token], "pending": pending}
    queues.send_message(QueueUrl=tags["queue"], MessageBody=json.dumps(seen))
    while tags.get("hold") == step:
        time.sleep(0.02)
        tags = {tag["Key"]: tag["Value"] for tag in manager.describe_secret(SecretId=arn)["Tags"]}
    if tags.get("fail") == step:
        raise ValueError(f"told to fail; the pending value is {pending}, the proof {event['RotationToken']}")
    if tags.get("die") == step:
        os._exit(1)
    if tags.get("hang") == step:
        time.sleep(3600)
    if tags.get("skip") == step:
        return
    if step == "createSecret" and pending is None:
        proof = str(uuid.uuid4()) if tags.get("proof") == "wrong" else event["RotationToken"]
        manager.put_secret_value(SecretId=arn, ClientRequestToken=token, SecretString=f"new-{token}",
                                 VersionStages=["AWSPENDING"], RotationToken=proof)
    if step == "finishSecret":
        old = next(key for key, stages in secret["VersionIdsToStages"].items() if "AWSCURRENT" in stages)
        manager.update_secret_version_stage(SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token,
                                            RemoveFromVersionId=old)

while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    request, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.loads(answer.read())
    try:
        handle(event)
        path, body = "response", None
    except Exception as error:
        path, body = "error", {"errorType": type(error).__name__, "errorMessage": str(error)}
    api.request("POST", f"/2018-06-01/runtime/invocation/{request}/{path}", json.dumps(body))
    api.getresponse().read()
"""


class Bench:
    """A cloud with rotation functions, and the tests' operations on them."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.manager = cloud.client("secretsmanager")
        self.functions = cloud.client("lambda")
        self.queues = cloud.client("sqs")
        self.made: list[str] = []
        self.received: dict[str, list[dict]] = {}
        self.role = self.make_role("rotation-test", ACTIONS)
        self.function = self.make_function("rotation-test", self.role)
        self.permit(self.function, SourceAccount="000000000000")
        self.events_queue = self.make_queue("rotation-events")
        events = cloud.client("events")
        events.put_rule(Name="rotation-events", EventPattern=json.dumps({"source": ["aws.secretsmanager"]}))
        queue = "arn:aws:sqs:us-east-1:000000000000:rotation-events"
        sends = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = document({**sends, "Resource": queue})
        self.queues.set_queue_attributes(QueueUrl=self.events_queue, Attributes={"Policy": policy})
        events.put_targets(Rule="rotation-events", Targets=[{"Id": "queue", "Arn": queue}])

    def make_role(self, name: str, actions: list[str]) -> str:
        iam = self.cloud.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        rights = [f"secretsmanager:{action}" for action in actions]
        policy = {"Effect": "Allow", "Action": [*rights, "sqs:SendMessage"], "Resource": "*"}
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        iam.put_role_policy(RoleName=name, PolicyName="rights", PolicyDocument=document(policy))
        return role["Role"]["Arn"]

    def make_function(self, name: str, role: str) -> str:
        settings = {"Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 30}
        made = self.functions.create_function(
            FunctionName=name, Role=role, Code={"ZipFile": bootstrap(BOOTSTRAP)}, **settings
        )
        return made["FunctionArn"]

    def permit(self, function: str, principal: str = "secretsmanager.amazonaws.com", **condition: str) -> None:
        self.functions.add_permission(
            FunctionName=function,
            StatementId=str(uuid.uuid4()),
            Action="lambda:InvokeFunction",
            Principal=principal,
            **condition,
        )

    def make_queue(self, name: str) -> str:
        return self.queues.create_queue(QueueName=name)["QueueUrl"]

    def make_secret(self, value: str | None = "old-value", **tags: str) -> str:
        name = f"rotation/{uuid.uuid4()}"
        tags["queue"] = self.make_queue(name.replace("/", "-"))
        given = {} if value is None else {"SecretString": value}
        secret = self.manager.create_secret(Name=name, Tags=tag_list(tags), **given)
        self.made.append(secret["ARN"])
        return secret["ARN"]

    def cancel_all(self) -> None:
        """Cancels the rotation of every secret made so far, because a failing one would be retried for ever."""
        while self.made:
            described = self.manager.describe_secret(SecretId=self.made.pop())
            if described.get("RotationEnabled") and "DeletedDate" not in described:
                self.manager.cancel_rotate_secret(SecretId=described["ARN"])

    def tag(self, arn: str, **tags: str) -> None:
        self.manager.tag_resource(SecretId=arn, Tags=tag_list(tags))

    def rotate(self, arn: str, **request) -> str:
        """Starts a rotation and returns its ClientRequestToken."""
        request = {"RotationLambdaARN": self.function, "RotationRules": {"AutomaticallyAfterDays": 30}, **request}
        return self.manager.rotate_secret(SecretId=arn, **request)["VersionId"]

    def rotation(self, arn: str) -> dict:
        return self.cloud.admin("GET", f"rotations?secret={arn}")

    def until(self, arn: str, state: str) -> dict:
        """Waits until the secret's rotation has this state."""
        latest = {}

        def reached():
            latest.update(self.rotation(arn))
            return latest["state"] == state

        try:
            wait_for(reached, state)
        except AssertionError as error:
            raise AssertionError(f"{error}: {latest}") from error
        return latest

    def read(self, url: str) -> list[dict]:
        """All messages that a queue has received so far."""
        seen = self.received.setdefault(url, [])
        while messages := self.queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                seen.append(json.loads(message["Body"]))
                self.queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return seen

    def seen(self, arn: str) -> list[dict]:
        """The function's reports about a secret, in order."""
        tags = {tag["Key"]: tag["Value"] for tag in self.manager.describe_secret(SecretId=arn)["Tags"]}
        return self.read(tags["queue"])

    def holding(self, arn: str, step: str) -> dict:
        """Waits until the function is in this step, in which the tag `hold` keeps it."""
        return wait_for(lambda: next((one for one in self.seen(arn) if one["Step"] == step), None), step)

    def service_events(self, arn: str) -> list[str]:
        return [
            event["detail"]["eventName"]
            for event in self.read(self.events_queue)
            if event["detail-type"] == "AWS Service Event via CloudTrail"
            and event["detail"]["additionalEventData"]["SecretId"] == arn
        ]

    def api_calls(self, arn: str) -> list[dict]:
        return [
            event["detail"]
            for event in self.read(self.events_queue)
            if event["detail-type"] == "AWS API Call via CloudTrail"
            and event["detail"]["requestParameters"]["secretId"] == arn
        ]

    def labels_moved(self, arn: str) -> list[tuple[str, str]]:
        return [
            (event["detail"]["labelUpdated"], event["detail"]["versionId"])
            for event in self.read(self.events_queue)
            if event["detail-type"] == "Secret Label Updated" and event["resources"] == [arn]
        ]

    def stages(self, arn: str) -> dict[str, str]:
        """Label -> version id."""
        versions = self.manager.describe_secret(SecretId=arn).get("VersionIdsToStages", {})
        return {stage: version for version, stages in versions.items() for stage in stages}

    def value(self, arn: str, **version: str) -> str:
        return self.manager.get_secret_value(SecretId=arn, **version)["SecretString"]


def document(statement: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def refused(code: str, call, **request) -> str:
    """The message of the error; the call must fail with this code."""
    with pytest.raises(ClientError) as error:
        call(**request)
    assert error.value.response["Error"]["Code"] == code, error.value
    return error.value.response["Error"]["Message"]


@pytest.fixture(scope="module")
def module_bench(cloud):
    return Bench(cloud)


@pytest.fixture
def bench(module_bench):
    yield module_bench
    module_bench.cancel_all()


@pytest.fixture
def manual_retry(cloud):
    cloud.admin("POST", "rotations/settings", {"retry": "manual"})
    yield
    cloud.admin("POST", "rotations/settings", {"retry": "auto"})


# Rotation


def test_a_rotation_calls_the_four_steps_and_leaves_the_new_version_current(bench):
    arn = bench.make_secret()
    old = bench.stages(arn)["AWSCURRENT"]
    token = str(uuid.uuid4())
    assert bench.rotate(arn, ClientRequestToken=token) == token
    rotation = bench.until(arn, "succeeded")

    seen = bench.seen(arn)
    assert [event["Step"] for event in seen] == STEPS
    for event in seen:
        assert event["SecretId"] == arn
        assert event["ClientRequestToken"] == token
        assert event["stages"] == ["AWSPENDING"]
    assert len({event["RotationToken"] for event in seen}) == 1
    assert seen[0]["RotationToken"] in bench.cloud.admin("GET", "rotations/tokens")["tokens"]
    assert re.fullmatch(r"[a-zA-Z0-9-]{36,256}", seen[0]["RotationToken"])
    assert [event["pending"] for event in seen] == [None, *[f"new-{token}"] * 3], "the pending version starts empty"

    # The service removes AWSPENDING.
    assert bench.stages(arn) == {"AWSCURRENT": token, "AWSPREVIOUS": old}
    assert bench.value(arn) == f"new-{token}"
    assert bench.value(arn, VersionStage="AWSPREVIOUS") == "old-value"
    described = bench.manager.describe_secret(SecretId=arn)
    assert described["RotationEnabled"] is True
    assert described["RotationLambdaARN"] == bench.function
    assert described["RotationRules"] == {"AutomaticallyAfterDays": 30}
    assert described["LastRotatedDate"] < described["NextRotationDate"]

    assert rotation["attempts"] == 1 and rotation["error"] is None and rotation["token"] == token
    assert rotation["steps"] == [{"attempt": 1, "step": step, "outcome": "succeeded"} for step in STEPS]
    assert bench.service_events(arn) == ["RotationStarted", "RotationSucceeded"]
    assert bench.labels_moved(arn) == [("AWSCURRENT", token)]


@pytest.mark.parametrize("step", STEPS)
def test_a_failing_step_repeats_the_whole_rotation_with_the_same_token(bench, manual_retry, step):
    arn = bench.make_secret(fail=step)
    token = bench.rotate(arn)
    waiting = bench.until(arn, "waiting")
    called = STEPS[: STEPS.index(step) + 1]
    assert (waiting["attempts"], waiting["step"]) == (1, step)
    assert (waiting["error"]["step"], waiting["error"]["type"]) == (step, "ValueError")
    assert bench.stages(arn)["AWSPENDING"] == token
    # The search for leaks reads the function's own message here.
    message = waiting["error"]["message"]
    assert "told to fail" in message and bench.seen(arn)[0]["RotationToken"] in message

    bench.tag(arn, fail="")
    bench.cloud.admin("POST", "rotations/retry", {"secret": arn})
    assert bench.until(arn, "succeeded")["attempts"] == 2
    seen = bench.seen(arn)
    assert [event["Step"] for event in seen] == called + STEPS
    assert {event["ClientRequestToken"] for event in seen} == {token}
    assert len({event["RotationToken"] for event in seen}) == 2, "one an attempt"
    assert bench.stages(arn)["AWSCURRENT"] == token
    assert bench.service_events(arn) == ["RotationStarted", "RotationFailed", "RotationStarted", "RotationSucceeded"]


def test_retries_come_by_themselves(bench):
    arn = bench.make_secret(fail="setSecret")
    bench.rotate(arn)
    wait_for(lambda: bench.rotation(arn)["attempts"] >= 2, "a second attempt")
    bench.tag(arn, fail="")
    assert bench.until(arn, "succeeded")["attempts"] >= 2


def test_a_process_that_dies_or_never_answers_is_a_failed_attempt(bench, manual_retry):
    dying = bench.make_secret(die="setSecret")
    bench.rotate(dying)
    assert bench.until(dying, "waiting")["error"]["step"] == "setSecret"

    name = f"slow-{uuid.uuid4()}"
    slow = bench.make_function(name, bench.role)
    bench.permit(slow)
    bench.functions.update_function_configuration(FunctionName=name, Timeout=3)
    hanging = bench.make_secret(hang="createSecret")
    bench.rotate(hanging, RotationLambdaARN=slow)
    assert "Timed" in bench.until(hanging, "waiting")["error"]["type"]

    for arn in (dying, hanging):
        bench.tag(arn, die="", hang="")
        bench.cloud.admin("POST", "rotations/retry", {"secret": arn})
        bench.until(arn, "succeeded")


def test_a_finish_that_leaves_the_label_behind_failed(bench, manual_retry):
    arn = bench.make_secret(skip="finishSecret")
    old = bench.stages(arn)["AWSCURRENT"]
    token = bench.rotate(arn)
    assert bench.until(arn, "waiting")["error"]["step"] == "finishSecret"
    assert bench.stages(arn) == {"AWSCURRENT": old, "AWSPENDING": token}


def test_a_second_rotation_is_refused_until_the_first_is_complete(bench, manual_retry):
    arn = bench.make_secret(fail="setSecret")
    token = bench.rotate(arn)
    bench.until(arn, "waiting")
    message = refused("InvalidRequestException", bench.manager.rotate_secret, SecretId=arn)
    assert message == "A previous rotation isn't complete. That rotation will be reattempted."
    assert bench.rotate(arn, ClientRequestToken=token) == token, "the same request again is no second rotation"
    assert bench.rotation(arn)["attempts"] == 1

    # The documented cure: remove the label by hand. This also ends the retries.
    bench.manager.update_secret_version_stage(SecretId=arn, VersionStage="AWSPENDING", RemoveFromVersionId=token)
    assert bench.rotation(arn)["state"] == "failed"
    bench.tag(arn, fail="")
    second = bench.rotate(arn)
    bench.until(arn, "succeeded")
    assert bench.stages(arn)["AWSCURRENT"] == second != token
    assert bench.service_events(arn) == ["RotationStarted", "RotationFailed", "RotationStarted", "RotationSucceeded"]


def test_the_label_taken_from_a_running_attempt_fails_it(bench, manual_retry):
    arn = bench.make_secret(hold="setSecret")
    token = bench.rotate(arn)
    bench.holding(arn, "setSecret")
    bench.manager.update_secret_version_stage(SecretId=arn, VersionStage="AWSPENDING", RemoveFromVersionId=token)
    assert bench.rotation(arn)["state"] == "failed"
    bench.tag(arn, hold="")
    wait_for(lambda: bench.rotation(arn)["steps"][-1]["outcome"] != "running", "setSecret to return")
    assert bench.service_events(arn) == ["RotationStarted", "RotationFailed"]


def test_of_many_requests_at_once_one_rotates(bench):
    arn = bench.make_secret()

    def rotate(_) -> str | None:
        try:
            return bench.rotate(arn)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidRequestException"
            return None

    bench.tag(arn, hold="createSecret")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        [token] = filter(None, threads.map(rotate, range(8)))
    bench.tag(arn, hold="")
    bench.until(arn, "succeeded")
    assert [event["Step"] for event in bench.seen(arn)] == STEPS
    assert bench.stages(arn)["AWSCURRENT"] == token


def test_a_pending_label_on_the_current_version_is_no_rotation_in_progress(bench):
    arn = bench.make_secret()
    current = bench.stages(arn)["AWSCURRENT"]
    bench.manager.update_secret_version_stage(SecretId=arn, VersionStage="AWSPENDING", MoveToVersionId=current)
    bench.rotate(arn, RotationRules={})
    bench.until(arn, "succeeded")
    # The documentation does not require a schedule; without one, there is no next date.
    assert "NextRotationDate" not in bench.manager.describe_secret(SecretId=arn)


def test_a_deleted_secret_is_rotated_no_more(bench, manual_retry):
    arn = bench.make_secret(fail="setSecret")
    bench.rotate(arn)
    bench.until(arn, "waiting")
    bench.manager.delete_secret(SecretId=arn)
    refused("InvalidRequestException", bench.manager.rotate_secret, SecretId=arn)
    bench.cloud.admin("POST", "rotations/retry", {"secret": arn})
    bench.until(arn, "failed")


def test_without_rotate_immediately_only_test_secret_runs_on_a_temporary_copy(bench):
    arn = bench.make_secret()
    before = bench.stages(arn)
    token = bench.rotate(arn, RotateImmediately=False)
    bench.until(arn, "tested")
    [event] = bench.seen(arn)
    assert (event["Step"], event["ClientRequestToken"]) == ("testSecret", token)
    assert (event["stages"], event["pending"]) == (["AWSPENDING"], "old-value")
    assert bench.stages(arn) == before
    refused("ResourceNotFoundException", bench.manager.get_secret_value, SecretId=arn, VersionId=token)
    described = bench.manager.describe_secret(SecretId=arn)
    assert described["RotationEnabled"] is True and "LastRotatedDate" not in described
    assert described["NextRotationDate"].timestamp() > time.time()
    assert bench.service_events(arn) == ["TestRotationStarted", "TestRotationSucceeded"]

    failing = bench.make_secret(fail="testSecret")
    bench.rotate(failing, RotateImmediately=False)
    assert bench.until(failing, "test-failed")["error"]["step"] == "testSecret"
    assert "AWSPENDING" not in bench.stages(failing)
    assert bench.service_events(failing) == ["TestRotationStarted", "TestRotationFailed"]


def test_a_version_of_somebody_else_abandons_the_rotation(bench):
    arn = bench.make_secret(hold="setSecret")
    token = bench.rotate(arn)
    bench.holding(arn, "setSecret")
    manual = bench.manager.put_secret_value(SecretId=arn, SecretString="by-hand")["VersionId"]
    assert bench.rotation(arn)["state"] == "abandoned"
    assert "AWSPENDING" not in bench.stages(arn)
    bench.tag(arn, hold="")
    wait_for(lambda: bench.rotation(arn)["steps"][-1]["outcome"] == "succeeded", "setSecret to return")

    # The next rotation shows that no step of the abandoned one followed.
    second = bench.rotate(arn)
    bench.until(arn, "succeeded")
    seen = [(event["ClientRequestToken"], event["Step"]) for event in bench.seen(arn)]
    assert seen == [(token, "createSecret"), (token, "setSecret"), *((second, step) for step in STEPS)]
    assert bench.stages(arn) == {"AWSCURRENT": second, "AWSPREVIOUS": manual}
    assert bench.service_events(arn)[:2] == ["RotationStarted", "RotationAbandoned"]

    waiting = bench.make_secret(fail="createSecret")
    bench.rotate(waiting)
    bench.until(waiting, "waiting")
    bench.manager.update_secret(SecretId=waiting, SecretString="by-hand")
    assert bench.rotation(waiting)["state"] == "abandoned"


def test_cancel_stops_the_retries_and_leaves_the_label(bench, manual_retry):
    arn = bench.make_secret(fail="setSecret")
    token = bench.rotate(arn)
    bench.until(arn, "waiting")
    assert bench.manager.cancel_rotate_secret(SecretId=arn)["VersionId"] == token
    assert bench.rotation(arn)["state"] == "cancelled"
    assert bench.stages(arn)["AWSPENDING"] == token
    described = bench.manager.describe_secret(SecretId=arn)
    assert described["RotationEnabled"] is False
    assert described["RotationRules"] == {"AutomaticallyAfterDays": 30}
    assert "NextRotationDate" not in described
    refused("InvalidRequestException", bench.manager.rotate_secret, SecretId=arn)
    refused("InvalidRequestException", bench.manager.cancel_rotate_secret, SecretId=bench.make_secret())


def test_put_secret_value_takes_no_wrong_rotation_token(bench, manual_retry):
    arn = bench.make_secret(proof="wrong")
    token = bench.rotate(arn)
    waiting = bench.until(arn, "waiting")
    assert waiting["error"]["step"] == "createSecret"
    assert waiting["error"]["type"] == "InvalidRequestException"
    refused("ResourceNotFoundException", bench.manager.get_secret_value, SecretId=arn, VersionId=token)
    refused(
        "InvalidRequestException",
        bench.manager.put_secret_value,
        SecretId=bench.make_secret(),
        SecretString="x",
        RotationToken=str(uuid.uuid4()),
    )


# Permissions


def test_the_service_must_be_allowed_to_invoke_the_function(bench):
    arn = bench.make_secret()
    name = f"closed-{uuid.uuid4()}"
    function = bench.make_function(name, bench.role)

    def denied():
        message = refused("AccessDeniedException", bench.rotate, arn=arn, RotationLambdaARN=function)
        assert "secretsmanager.amazonaws.com" in message

    denied()
    bench.permit(name, principal="events.amazonaws.com")
    denied()
    bench.permit(name, SourceAccount="111111111111")
    denied()
    bench.permit(name, SourceArn=bench.make_secret())
    denied()
    assert "RotationEnabled" not in bench.manager.describe_secret(SecretId=arn)
    refused("AccessDeniedException", bench.rotate, arn=arn, RotationLambdaARN=function.replace("closed", "absent"))
    bench.permit(name, SourceArn=arn)
    bench.rotate(arn, RotationLambdaARN=function)
    bench.until(arn, "succeeded")


def test_the_functions_role_is_enforced(bench, manual_retry):
    role = bench.make_role("rotation-poor", [action for action in ACTIONS if action != "PutSecretValue"])
    function = bench.make_function("rotation-poor", role)
    bench.permit(function)
    arn = bench.make_secret()
    bench.rotate(arn, RotationLambdaARN=function)
    waiting = bench.until(arn, "waiting")
    assert waiting["error"]["step"] == "createSecret"
    assert "AccessDeniedException" in waiting["error"]["message"]


def test_the_caller_must_be_allowed_to_invoke_the_function(bench):
    iam = bench.cloud.client("iam")
    iam.create_user(UserName="rotator")
    key = iam.create_access_key(UserName="rotator")["AccessKey"]
    credentials = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    manager = bench.cloud.client("secretsmanager", **credentials)
    request = {"SecretId": bench.make_secret(), "RotationLambdaARN": bench.function}

    def allow(*actions: str):
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        iam.put_user_policy(UserName="rotator", PolicyName="rights", PolicyDocument=document(statement))

    refused("AccessDeniedException", manager.rotate_secret, **request)
    allow("secretsmanager:RotateSecret")
    refused("AccessDeniedException", manager.rotate_secret, **request)
    allow("secretsmanager:RotateSecret", "lambda:InvokeFunction")
    manager.rotate_secret(**request)
    bench.until(request["SecretId"], "succeeded")
    allow("secretsmanager:RotateSecret")
    refused("AccessDeniedException", manager.rotate_secret, SecretId=request["SecretId"])
    refused("AccessDeniedException", manager.cancel_rotate_secret, SecretId=request["SecretId"])


@pytest.mark.parametrize(
    ("code", "request_"),
    [
        ("ResourceNotFoundException", {"SecretId": "no-such-secret"}),
        ("InvalidRequestException", {"RotationLambdaARN": ""}),
        ("InvalidParameterException", {"RotationRules": {"Duration": "3h"}}),
        (
            "InvalidParameterException",
            {"RotationRules": {"AutomaticallyAfterDays": 9, "ScheduleExpression": "rate(9 days)"}},
        ),
        ("InvalidParameterException", {"RotationRules": {"AutomaticallyAfterDays": 1001}}),
        ("InvalidParameterException", {"RotationRules": {"ScheduleExpression": "rate(3 hours)"}}),
        ("InvalidParameterException", {"RotationRules": {"ScheduleExpression": "rate(1000 days)"}}),
        ("InvalidParameterException", {"RotationRules": {"ScheduleExpression": "rate(240 minutes)"}}),
        ("InvalidParameterException", {"RotationRules": {"ScheduleExpression": "rate(4 hours)", "Duration": "5h"}}),
        ("InvalidParameterException", {"RotationRules": {"ScheduleExpression": "cron(30 3 * * ? *)"}}),
        ("InvalidParameterException", {"RotationRules": {"ScheduleExpression": "cron(0 3 * * ? 2027)"}}),
        ("InvalidParameterException", {"RotationRules": {"ScheduleExpression": "cron(0 3,5 * * ? *)"}}),
        ("InvalidParameterException", {"RotationRules": {"ScheduleExpression": "cron(0 3 31 FEB ? *)"}}),
        (
            "InvalidParameterException",
            {"RotationRules": {"ScheduleExpression": "cron(0 20 * * ? *)", "Duration": "5h"}},
        ),
    ],
)
def test_what_rotate_secret_refuses(bench, code, request_):
    arn = bench.make_secret()
    call = {"SecretId": arn, "RotationLambdaARN": bench.function, **request_}
    refused(code, bench.manager.rotate_secret, **call)
    described = bench.manager.describe_secret(SecretId=arn)
    assert {"RotationEnabled", "RotationRules", "NextRotationDate"}.isdisjoint(described)
    assert "AWSPENDING" not in bench.stages(arn)


# Versions


def test_the_first_version_and_a_secret_without_one(bench):
    token = str(uuid.uuid4())
    name = f"versions/{uuid.uuid4()}"
    made = bench.manager.create_secret(Name=name, SecretString="one", ClientRequestToken=token)
    assert made["VersionId"] == token
    assert re.fullmatch(rf".*:secret:{name}-[A-Za-z0-9]{{6}}", made["ARN"])
    assert bench.stages(name) == {"AWSCURRENT": token}
    again = bench.manager.create_secret(Name=name, SecretString="one", ClientRequestToken=token)
    assert again["ARN"] == made["ARN"]
    refused("ResourceExistsException", bench.manager.create_secret, Name=name, SecretString="two")

    empty = bench.make_secret(value=None)
    assert bench.stages(empty) == {}
    assert "RotationEnabled" not in bench.manager.describe_secret(SecretId=empty)
    refused("ResourceNotFoundException", bench.manager.get_secret_value, SecretId=empty)
    first = bench.manager.put_secret_value(SecretId=empty, SecretString="one", VersionStages=["MINE"])
    assert bench.stages(empty) == {"AWSCURRENT": first["VersionId"], "MINE": first["VersionId"]}


def test_a_version_never_changes(bench):
    arn = bench.make_secret()
    token = str(uuid.uuid4())
    put = {"SecretId": arn, "ClientRequestToken": token, "VersionStages": ["AWSPENDING"]}
    bench.manager.put_secret_value(**put, SecretString="one")
    again = bench.manager.put_secret_value(**put, SecretString="one")
    assert again["VersionStages"] == ["AWSPENDING"]
    # As documented, the operation then does nothing, so no label moves either.
    again = bench.manager.put_secret_value(**put | {"VersionStages": ["AWSCURRENT"]}, SecretString="one")
    assert again["VersionStages"] == ["AWSPENDING"]
    refused("ResourceExistsException", bench.manager.put_secret_value, **put, SecretString="two")
    refused("ResourceExistsException", bench.manager.put_secret_value, **put, SecretBinary=b"one")
    refused(
        "ResourceExistsException",
        bench.manager.update_secret,
        SecretId=arn,
        ClientRequestToken=token,
        SecretString="two",
    )
    assert bench.value(arn, VersionStage="AWSPENDING") == "one"
    assert bench.value(arn) == "old-value"
    assert bench.labels_moved(arn) == []


def test_a_put_without_stages_moves_the_current_label(bench):
    arn = bench.make_secret()
    first = bench.stages(arn)["AWSCURRENT"]
    second = bench.manager.put_secret_value(SecretId=arn, SecretString="two")["VersionId"]
    assert bench.stages(arn) == {"AWSCURRENT": second, "AWSPREVIOUS": first}
    third = bench.manager.update_secret(SecretId=arn, SecretString="three")["VersionId"]
    assert bench.stages(arn) == {"AWSCURRENT": third, "AWSPREVIOUS": second}
    assert bench.value(arn, VersionId=first) == "old-value", "deprecated, not deleted"
    listed = bench.manager.list_secret_version_ids(SecretId=arn)["Versions"]
    assert {version["VersionId"] for version in listed} == {second, third}
    listed = bench.manager.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True)["Versions"]
    assert {version["VersionId"] for version in listed} == {first, second, third}
    assert bench.labels_moved(arn) == [("AWSCURRENT", second), ("AWSCURRENT", third)]


def test_calls_that_change_a_secret_are_events_with_their_caller_and_without_its_value(bench):
    arn = bench.make_secret()
    first = bench.stages(arn)["AWSCURRENT"]
    second = bench.rotate(arn)
    bench.until(arn, "succeeded")
    third, fourth = str(uuid.uuid4()), str(uuid.uuid4())
    iam = bench.cloud.client("iam")
    name = f"operator-{third}"
    user = iam.create_user(UserName=name)["User"]["Arn"]
    iam.put_user_policy(
        UserName=name,
        PolicyName="rights",
        PolicyDocument=document({"Effect": "Allow", "Action": "secretsmanager:PutSecretValue", "Resource": arn}),
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    of_user = bench.cloud.client(
        "secretsmanager", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
    of_user.put_secret_value(SecretId=arn, SecretString="by-hand-3", ClientRequestToken=third)
    bench.manager.update_secret(SecretId=arn, SecretString="by-hand-4", ClientRequestToken=fourth)
    move = {"VersionStage": "AWSCURRENT", "MoveToVersionId": third, "RemoveFromVersionId": fourth}
    bench.manager.update_secret_version_stage(SecretId=arn, **move)
    with pytest.raises(ClientError):
        bench.manager.update_secret_version_stage(SecretId=arn, **move)

    calls = bench.api_calls(arn)
    root, account = "arn:aws:iam::000000000000:root", "000000000000"
    session = f"arn:aws:sts::{account}:assumed-role/rotation-test/rotation-test"
    seen = [
        (
            call["eventName"],
            call["userIdentity"]["type"],
            call["userIdentity"]["arn"],
            call["responseElements"].get("versionId"),
        )
        for call in calls
    ]
    # The function may begin before RotateSecret's caller has the answer, so the order varies.
    assert sorted(seen[:3]) == sorted(
        [
            ("RotateSecret", "Root", root, second),
            ("PutSecretValue", "AssumedRole", session, second),
            ("UpdateSecretVersionStage", "AssumedRole", session, None),
        ]
    )
    assert seen[3:] == [
        ("PutSecretValue", "IAMUser", user, third),
        ("UpdateSecret", "Root", root, fourth),
        ("UpdateSecretVersionStage", "Root", root, None),
    ]
    assert calls[3]["requestParameters"] == {"secretId": arn, "clientRequestToken": third}
    assert calls[5]["requestParameters"] == {"secretId": arn, **{k[0].lower() + k[1:]: v for k, v in move.items()}}
    assert {call["responseElements"]["arn"] for call in calls} == {arn}
    assert {call["eventSource"] for call in calls} == {"secretsmanager.amazonaws.com"}
    assert not any(value in json.dumps(calls) for value in ("by-hand-3", "by-hand-4", f"new-{second}"))
    moved = [("AWSCURRENT", version) for version in (second, third, fourth, third)]
    assert bench.labels_moved(arn) == moved and first not in dict(moved).values()


def test_version_id_and_stage_must_agree(bench):
    arn = bench.make_secret()
    first = bench.stages(arn)["AWSCURRENT"]
    second = bench.manager.put_secret_value(SecretId=arn, SecretString="two")["VersionId"]
    assert bench.value(arn, VersionId=first, VersionStage="AWSPREVIOUS") == "old-value"
    get = bench.manager.get_secret_value
    refused("InvalidRequestException", get, SecretId=arn, VersionId=first, VersionStage="AWSCURRENT")
    refused("InvalidRequestException", get, SecretId=arn, VersionId=second, VersionStage="AWSPENDING")
    refused("ResourceNotFoundException", get, SecretId=arn, VersionStage="AWSPENDING")
    refused("ResourceNotFoundException", get, SecretId=arn, VersionId=str(uuid.uuid4()))


def test_moving_a_label_needs_its_holder(bench):
    arn = bench.make_secret()
    first = bench.stages(arn)["AWSCURRENT"]
    second = bench.manager.put_secret_value(SecretId=arn, SecretString="two", VersionStages=["MINE"])["VersionId"]
    move = bench.manager.update_secret_version_stage
    current = {"SecretId": arn, "VersionStage": "AWSCURRENT"}
    refused("InvalidParameterException", move, **current, MoveToVersionId=second)
    refused("InvalidParameterException", move, **current, MoveToVersionId=second, RemoveFromVersionId=second)
    refused("InvalidParameterException", move, **current, RemoveFromVersionId=first)
    refused("ResourceNotFoundException", move, **current, MoveToVersionId=str(uuid.uuid4()))
    refused("InvalidParameterException", move, SecretId=arn, VersionStage="MINE", RemoveFromVersionId=first)
    assert bench.labels_moved(arn) == [("MINE", second)]

    move(**current, MoveToVersionId=second, RemoveFromVersionId=first)
    move(**current, MoveToVersionId=second)
    assert bench.stages(arn) == {"AWSCURRENT": second, "AWSPREVIOUS": first, "MINE": second}
    move(**current, MoveToVersionId=first, RemoveFromVersionId=second)
    assert bench.stages(arn) == {"AWSCURRENT": first, "AWSPREVIOUS": second, "MINE": second}
    move(SecretId=arn, VersionStage="AWSPENDING", MoveToVersionId=second)
    move(SecretId=arn, VersionStage="AWSPENDING", RemoveFromVersionId=second)
    assert bench.labels_moved(arn) == [("MINE", second), ("AWSCURRENT", second), ("AWSCURRENT", first)]


@pytest.mark.parametrize("value", [{"SecretString": "é" * 32_769}, {"SecretBinary": b"x" * 65_537}])
def test_a_value_that_is_too_large_is_refused(bench, value):
    name = f"large/{uuid.uuid4()}"
    arn = bench.make_secret()
    refused("InvalidParameterException", bench.manager.create_secret, Name=name, **value)
    refused("InvalidParameterException", bench.manager.put_secret_value, SecretId=arn, **value)
    refused("InvalidParameterException", bench.manager.update_secret, SecretId=arn, **value)
    fits = {key: content[:32_768] if key == "SecretString" else content[:65_536] for key, content in value.items()}
    bench.manager.put_secret_value(SecretId=arn, **fits)


@pytest.mark.parametrize("name", ["with space", "percent%", "ü", "colon:", "x" * 513])
def test_names_that_are_refused(bench, name):
    refused("InvalidParameterException", bench.manager.create_secret, Name=name, SecretString="x")


def test_an_arn_names_a_secret_whole_or_without_its_suffix(bench):
    name = f"arn/{uuid.uuid4()}"
    longer = bench.manager.create_secret(Name=f"{name}-longer", SecretString="longer")["ARN"]
    arn = bench.manager.create_secret(Name=name, SecretString="short")["ARN"]
    assert [bench.value(one) for one in (arn, arn[:-7], longer, longer[:-7])] == ["short", "short", "longer", "longer"]
    for wrong in (arn[:-1], arn[:-6], arn[:-8], longer[:-9]):
        refused("ResourceNotFoundException", bench.manager.get_secret_value, SecretId=wrong)


# Schedules


@pytest.mark.parametrize(
    ("rules", "days"),
    [
        ({"AutomaticallyAfterDays": 3}, 3),
        ({"ScheduleExpression": "rate(2 days)"}, 2),
        ({"ScheduleExpression": "rate(12 hours)"}, 1),
        ({"ScheduleExpression": "cron(0 4 * * ? *)", "Duration": "2h"}, 1),
        ({"ScheduleExpression": "cron(0 8 ? * MON,THU *)"}, 7),
    ],
)
def test_a_schedule_rotates_when_its_time_comes(bench, rules, days):
    arn = bench.make_secret()
    bench.rotate(arn, RotationRules=rules, RotateImmediately=False)
    bench.until(arn, "tested")
    due = bench.manager.describe_secret(SecretId=arn)["NextRotationDate"]
    now = bench.cloud.admin("GET", "clock")["now"]
    real = time.time()
    assert real < due.timestamp() <= real + (days + 1) * 86400
    assert bench.manager.describe_secret(SecretId=arn)["LastChangedDate"].timestamp() > real - 3600

    moved = bench.cloud.admin("POST", "clock", {"advance_seconds": days * 86400})
    assert moved["now"] >= now + days * 86400
    assert arn in moved["fired"]
    bench.until(arn, "succeeded")
    described = bench.manager.describe_secret(SecretId=arn)
    assert real <= described["LastRotatedDate"].timestamp() <= time.time()
    assert described["NextRotationDate"].timestamp() > time.time()
    assert described["CreatedDate"].timestamp() < real - (days - 1) * 86400
    [listed] = bench.manager.list_secrets(Filters=[{"Key": "name", "Values": [described["Name"]]}])["SecretList"]
    assert listed["NextRotationDate"] == described["NextRotationDate"]
    bench.manager.cancel_rotate_secret(SecretId=arn)
    assert arn not in bench.cloud.admin("POST", "clock", {"advance_seconds": days * 86400})["fired"]
    older = bench.manager.describe_secret(SecretId=arn)
    for date in ("CreatedDate", "LastChangedDate"):
        assert older[date].timestamp() < time.time() - (days - 1) * 86400
    [version] = bench.manager.list_secret_version_ids(SecretId=arn)["Versions"][:1]
    assert version["CreatedDate"].timestamp() < time.time() - (days - 1) * 86400


def test_a_schedule_fires_by_itself(bench):
    arn = bench.make_secret()
    bench.rotate(arn, RotationRules={"ScheduleExpression": "rate(4 hours)"}, RotateImmediately=False)
    bench.until(arn, "tested")
    bench.cloud.admin("POST", "rotations/settings", {"tick_seconds": 0.01})
    try:
        moved = bench.cloud.admin("POST", "clock", {"advance_seconds": 5 * 3600, "fire": False})
        assert moved["fired"] == []
        bench.until(arn, "succeeded")
    finally:
        bench.cloud.admin("POST", "rotations/settings", {"tick_seconds": 5})


def test_a_rotation_that_fails_is_overdue(bench, manual_retry):
    arn = bench.make_secret(fail="setSecret")
    bench.rotate(arn, RotationRules={"ScheduleExpression": "rate(4 hours)"})
    bench.until(arn, "waiting")
    for _ in range(2):
        assert arn not in bench.cloud.admin("POST", "clock", {"advance_seconds": 6 * 3600})["fired"]
    now = time.time()
    assert bench.manager.describe_secret(SecretId=arn)["NextRotationDate"].timestamp() < now
    bench.tag(arn, fail="")
    bench.cloud.admin("POST", "rotations/retry", {"secret": arn})
    bench.until(arn, "succeeded")
    assert bench.manager.describe_secret(SecretId=arn)["NextRotationDate"].timestamp() > now


# CloudFormation


def schedule_resource(arn: str, **properties) -> dict:
    rules = {"ScheduleExpression": "cron(0 4 1 * ? *)", "Duration": "3h"}
    return {
        "Type": "AWS::SecretsManager::RotationSchedule",
        "DependsOn": "Permission",
        "Properties": {
            "SecretId": arn,
            "RotationLambdaARN": {"Fn::GetAtt": ["Function", "Arn"]},
            "RotationRules": rules,
            **properties,
        },
    }


def sam_template(bench, bucket: str, schedule: dict) -> str:
    """A function through SAM's transform, as in the product's template."""
    permission = {
        "FunctionName": {"Ref": "Function"},
        "Action": "lambda:InvokeFunction",
        "Principal": "secretsmanager.amazonaws.com",
        "SourceAccount": {"Ref": "AWS::AccountId"},
    }
    function = {
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Timeout": 30,
        "CodeUri": f"s3://{bucket}/code.zip",
        "Policies": [
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": [*(f"secretsmanager:{action}" for action in ACTIONS), "sqs:SendMessage"],
                        "Resource": "*",
                    }
                ],
            }
        ],
    }
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "secretsmanager:DeleteSecret",
        "Resource": "*",
    }
    policy = {
        "SecretId": schedule["Properties"]["SecretId"],
        "ResourcePolicy": {"Version": "2012-10-17", "Statement": [statement]},
    }
    resources = {
        "Function": {"Type": "AWS::Serverless::Function", "Properties": function},
        "Permission": {"Type": "AWS::Lambda::Permission", "Properties": permission},
        "Empty": {"Type": "AWS::SecretsManager::Secret", "Properties": {}},
        "Schedule": schedule,
    }
    if "no-such" not in policy["SecretId"]:
        resources["Policy"] = {"Type": "AWS::SecretsManager::ResourcePolicy", "Properties": policy}
    return json.dumps(
        {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Transform": "AWS::Serverless-2016-10-31",
            "Resources": resources,
            "Outputs": {"Secret": {"Value": {"Ref": "Schedule"}}, "Empty": {"Value": {"Ref": "Empty"}}},
        }
    )


def test_a_stack_schedules_updates_and_cancels(bench):
    store, stacks = bench.cloud.client("s3"), bench.cloud.client("cloudformation")
    bucket = f"code-{uuid.uuid4()}"
    store.create_bucket(Bucket=bucket)
    store.put_object(Bucket=bucket, Key="code.zip", Body=bootstrap(BOOTSTRAP))
    capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    stack = f"rotation-{uuid.uuid4()}"

    def settled(name: str) -> dict:
        def done():
            found = stacks.describe_stacks(StackName=name)["Stacks"][0]
            return None if found["StackStatus"].endswith("IN_PROGRESS") else found

        return wait_for(done, f"stack {name}")

    arn = bench.make_secret()
    template = sam_template(bench, bucket, schedule_resource(arn))
    stack_id = stacks.create_stack(StackName=stack, TemplateBody=template, Capabilities=capabilities)["StackId"]
    made = settled(stack)
    assert made["StackStatus"] == "CREATE_COMPLETE", made
    outputs = {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}
    assert outputs["Secret"] == arn
    assert bench.stages(outputs["Empty"]) == {}
    bench.until(arn, "succeeded")
    described = bench.manager.describe_secret(SecretId=arn)
    assert described["RotationRules"] == {"ScheduleExpression": "cron(0 4 1 * ? *)", "Duration": "3h"}
    policy = json.loads(bench.manager.get_resource_policy(SecretId=arn)["ResourcePolicy"])
    assert policy["Statement"][0]["Effect"] == "Deny"

    current = bench.stages(arn)["AWSCURRENT"]
    changed = schedule_resource(arn, RotationRules={"AutomaticallyAfterDays": 7}, RotateImmediatelyOnUpdate=False)
    template = sam_template(bench, bucket, changed)
    stacks.update_stack(StackName=stack, TemplateBody=template, Capabilities=capabilities)
    updated = settled(stack)
    assert updated["StackStatus"] == "UPDATE_COMPLETE", updated
    bench.until(arn, "tested")
    assert bench.stages(arn)["AWSCURRENT"] == current
    assert bench.manager.describe_secret(SecretId=arn)["RotationRules"] == {"AutomaticallyAfterDays": 7}

    stacks.delete_stack(StackName=stack)
    assert settled(stack_id)["StackStatus"] == "DELETE_COMPLETE"
    assert bench.manager.describe_secret(SecretId=arn)["RotationEnabled"] is False
    assert "ResourcePolicy" not in bench.manager.get_resource_policy(SecretId=arn)

    absent = sam_template(bench, bucket, schedule_resource("no-such-secret"))
    stacks.create_stack(StackName=f"{stack}-absent", TemplateBody=absent, Capabilities=capabilities)
    assert settled(f"{stack}-absent")["StackStatus"] == "ROLLBACK_COMPLETE"
    events = stacks.describe_stack_events(StackName=f"{stack}-absent")["StackEvents"]
    reasons = " ".join(event.get("ResourceStatusReason", "") for event in events)
    assert "Secrets Manager can't find the specified secret." in reasons


def test_a_secret_is_as_old_as_a_test_wants_it(bench):
    arn = bench.make_secret()
    bench.rotate(arn, RotationRules={"AutomaticallyAfterDays": 90})
    bench.until(arn, "succeeded")
    day = 86_400
    ages = {"AWSCURRENT": 100, "created": 400, "changed": 2, "accessed": 50, "rotated": 100, "next": -5}
    seconds = {name: days * day for name, days in ages.items()}
    bench.cloud.admin("POST", "secrets/dates", {"secret": arn, "seconds_ago": seconds})
    secret = bench.manager.describe_secret(SecretId=arn)
    shown = {
        "created": "CreatedDate",
        "changed": "LastChangedDate",
        "accessed": "LastAccessedDate",
        "rotated": "LastRotatedDate",
        "next": "NextRotationDate",
    }
    for name, date in shown.items():
        assert abs(time.time() - seconds[name] - secret[date].timestamp()) < 60, name
    versions = bench.manager.list_secret_version_ids(SecretId=arn)["Versions"]
    [current] = [version for version in versions if "AWSCURRENT" in version["VersionStages"]]
    assert abs(time.time() - 100 * day - current["CreatedDate"].timestamp()) < 60
    bench.cloud.admin("POST", "secrets/dates", {"secret": arn, "seconds_ago": {"accessed": None}})
    assert "LastAccessedDate" not in bench.manager.describe_secret(SecretId=arn)
    for wrong, part in (({"AWSPENDING": 1}, "AWSPENDING"), ({"age": 1}, "age: unknown date")):
        with pytest.raises(AssertionError, match=part):
            bench.cloud.admin("POST", "secrets/dates", {"secret": arn, "seconds_ago": wrong})
