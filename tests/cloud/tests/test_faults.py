"""The log of calls, and every effect of the fault switches before and after the call takes effect."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config
from conftest import bootstrap, wait_for

from localcloud import faults
from localcloud.cloud import AdminError

# A custom runtime: it stores the event's `value` in the event's `secret`, or posts to the event's `slack`.
BOOTSTRAP = """
import json, os, urllib.request
import boto3
from botocore.config import Config

runtime = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(runtime + "next") as answer:
        request, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
    try:
        if "slack" in event:
            body = json.dumps({"channel": "#ops", "text": event["value"]}).encode()
            headers = {"content-type": "application/json", "authorization": "Bearer " + event["token"]}
            call = urllib.request.Request(event["slack"] + "/chat.postMessage", body, headers)
            result = json.load(urllib.request.urlopen(call))
        else:
            once = Config(retries={"total_max_attempts": 1})
            client = boto3.client("secretsmanager", config=once)
            result = client.put_secret_value(SecretId=event["secret"], SecretString=event["value"])["VersionId"]
        kind, body = "response", result
    except Exception as error:
        kind, body = "error", {"errorType": type(error).__name__, "errorMessage": str(error)}
    urllib.request.urlopen(runtime + request + "/" + kind, json.dumps(body).encode()).close()
"""

# A program that makes one call.
PUT = """
import boto3, sys
endpoint, secret, value = sys.argv[1:]
boto3.client(
    "secretsmanager", endpoint_url=endpoint, region_name="us-east-1",
    aws_access_key_id="test", aws_secret_access_key="test",
).put_secret_value(SecretId=secret, SecretString=value)
"""


@pytest.fixture(autouse=True)
def no_rules(cloud):
    cloud.admin("DELETE", "faults")
    yield
    cloud.admin("DELETE", "faults")


@pytest.fixture
def secret(cloud):
    name = f"secret-{uuid.uuid4()}"
    cloud.client("secretsmanager").create_secret(Name=name, SecretString="old")
    return name


@pytest.fixture
def bucket(cloud):
    name = f"bucket-{uuid.uuid4()}"
    cloud.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="module")
def function(cloud):
    return made(cloud, BOOTSTRAP)


def made(cloud, program):
    """A function that may change secrets."""
    name = f"function-{uuid.uuid4().hex[:8]}"
    iam = cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    allowed = policy({"Effect": "Allow", "Action": "secretsmanager:PutSecretValue", "Resource": "*"})
    iam.put_role_policy(RoleName=name, PolicyName="secrets", PolicyDocument=allowed)
    cloud.client("lambda").create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Role=role,
        Handler="bootstrap",
        Timeout=60,
        Code={"ZipFile": bootstrap(program)},
    )
    return name


def policy(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def arm(cloud, action, effect, service="secretsmanager", **fields):
    return cloud.admin("POST", "faults", {"service": service, "action": action, "effect": effect, **fields})["id"]


def hits(cloud):
    return {rule["id"]: rule["hits"] for rule in cloud.admin("GET", "faults")["rules"]}


def mark(cloud):
    return cloud.admin("GET", "calls")["last"]


def logged(cloud, after, caller="client"):
    """One caller's calls. The filter is needed: a function of another test may call at any time."""
    calls = cloud.admin("GET", f"calls?after={after}&caller={caller}")["calls"]
    return [(call["caller"], call["service"], call["action"], call["outcome"]) for call in calls]


def value(cloud, secret):
    return cloud.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]


def put(cloud, secret, value="new"):
    return cloud.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=value)


def invoke(cloud, function, **event):
    answer = cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    return answer.get("FunctionError"), json.load(answer["Payload"])


def test_log_names_every_kind_of_protocol(cloud, bucket):
    s3 = cloud.client("s3")
    start = mark(cloud)
    s3.list_buckets()
    s3.put_object(Bucket=bucket, Key="a/b c", Body=b"1")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a/b c"})
    s3.get_object(Bucket=bucket, Key="a/b c")["Body"].read()
    s3.head_object(Bucket=bucket, Key="a/b c")
    s3.list_objects_v2(Bucket=bucket)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="large", UploadId=upload, PartNumber=1, Body=b"1")
    s3.abort_multipart_upload(Bucket=bucket, Key="large", UploadId=upload)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.delete_object(Bucket=bucket, Key="copy")
    cloud.client("lambda").list_functions()
    cloud.client("iam").list_roles()
    cloud.client("rds").describe_db_instances()
    cloud.client("sqs").list_queues()
    cloud.client("dynamodb").list_tables()
    cloud.client("scheduler").list_schedules()
    cloud.client("sesv2").list_email_identities()
    cloud.client("cloudwatch").list_metrics()
    assert logged(cloud, start) == [
        ("client", service, action, "ok")
        for service, action in [
            ("s3", "ListBuckets"),
            ("s3", "PutObject"),
            ("s3", "CopyObject"),
            ("s3", "GetObject"),
            ("s3", "HeadObject"),
            ("s3", "ListObjectsV2"),
            ("s3", "CreateMultipartUpload"),
            ("s3", "UploadPart"),
            ("s3", "AbortMultipartUpload"),
            ("s3", "PutBucketVersioning"),
            ("s3", "DeleteObject"),
            ("lambda", "ListFunctions"),
            ("iam", "ListRoles"),
            ("rds", "DescribeDBInstances"),
            ("sqs", "ListQueues"),
            ("dynamodb", "ListTables"),
            ("scheduler", "ListSchedules"),
            ("ses", "ListEmailIdentities"),
            ("monitoring", "ListMetrics"),
        ]
    ]


def test_log_tells_an_error_by_its_code(cloud):
    start = mark(cloud)
    for service, action, arguments in [
        ("secretsmanager", "get_secret_value", {"SecretId": "none"}),
        ("s3", "list_objects_v2", {"Bucket": "no-such-bucket"}),
        ("s3", "head_bucket", {"Bucket": "no-such-bucket"}),
        ("iam", "get_role", {"RoleName": "none"}),
        ("lambda", "get_function", {"FunctionName": "none"}),
    ]:
        with pytest.raises(botocore.exceptions.ClientError):
            getattr(cloud.client(service), action)(**arguments)
    assert [call[2:] for call in logged(cloud, start)] == [
        ("GetSecretValue", "error:ResourceNotFoundException"),
        ("ListObjectsV2", "error:NoSuchBucket"),
        ("HeadBucket", "error:404"),
        ("GetRole", "error:NoSuchEntity"),
        ("GetFunction", "error:ResourceNotFoundException"),
    ]


def test_log_holds_no_content_and_only_calls(cloud, secret):
    start = mark(cloud)
    put(cloud, secret, "must-not-be-logged")
    assert value(cloud, secret) == "must-not-be-logged"
    urllib.request.urlopen(f"{cloud.facts['endpoint']}/_ministack/health").close()
    calls = cloud.admin("GET", f"calls?after={start}&caller=client")["calls"]
    found = [(call["action"], call["changes"]) for call in calls]
    assert found == [("PutSecretValue", True), ("GetSecretValue", False)]
    assert all(set(call) == {"seq", "time", "caller", "service", "action", "changes", "outcome"} for call in calls)
    assert "must-not" not in json.dumps(cloud.admin("GET", "calls"))
    assert cloud.admin("GET", f"calls?after={start}&caller=lambda:other")["calls"] == []


def test_bodies_pass_untouched(cloud, bucket):
    s3 = cloud.client("s3")
    content = bytes(range(256)) * 24_000
    s3.put_object(Bucket=bucket, Key="large", Body=io.BytesIO(content))
    s3.put_object(Bucket=bucket, Key="summed", Body=io.BytesIO(content), ChecksumAlgorithm="SHA256")
    for key in ("large", "summed"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == content
    assert s3.head_object(Bucket=bucket, Key="large")["ContentLength"] == len(content)


@pytest.mark.parametrize(("when", "left"), [("before", "old"), ("after", "new")])
def test_error(cloud, secret, when, left):
    start = mark(cloud)
    rule = arm(
        cloud, "PutSecretValue", "error", when=when, status=500, code="InternalServiceError", message="no & <no>"
    )
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        put(cloud, secret)
    assert caught.value.response["Error"] == {"Code": "InternalServiceError", "Message": "no & <no>"}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert value(cloud, secret) == left
    assert logged(cloud, start)[0] == ("client", "secretsmanager", "PutSecretValue", f"fault:{rule}:error")


@pytest.mark.parametrize(
    ("service", "operation", "action", "arguments"),
    [
        ("s3", "list_objects_v2", "ListObjectsV2", {"Bucket": "some-bucket"}),
        ("sns", "list_topics", "ListTopics", {}),
        ("rds", "describe_db_instances", "DescribeDBInstances", {}),
        ("dynamodb", "list_tables", "ListTables", {}),
        ("lambda", "list_functions", "ListFunctions", {}),
        ("sqs", "list_queues", "ListQueues", {}),
        ("cloudwatch", "list_metrics", "ListMetrics", {}),
        ("iam", "list_roles", "ListRoles", {}),
    ],
)
def test_error_in_every_protocol(cloud, service, operation, action, arguments):
    arm(cloud, action, "error", service="*", status=418, code="Teapot", message="short")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        getattr(cloud.client(service), operation)(**arguments)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("Teapot", "short")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 418


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("secretsmanager", "list_secrets", "ThrottlingException"),
        ("dynamodb", "list_tables", "ThrottlingException"),
        ("rds", "describe_db_instances", "Throttling"),
        ("s3", "list_buckets", "SlowDown"),
        ("lambda", "list_functions", "TooManyRequestsException"),
    ],
)
def test_throttle(cloud, service, operation, code):
    arm(cloud, "*", "throttle", service=service)
    call = getattr(cloud.client(service), operation)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call()
    assert caught.value.response["Error"]["Code"] == code
    call()


def test_throttle_after(cloud, secret):
    arm(cloud, "PutSecretValue", "throttle", when="after")
    with pytest.raises(botocore.exceptions.ClientError, match="ThrottlingException"):
        put(cloud, secret)
    assert value(cloud, secret) == "new"


def test_error_of_a_head_has_no_body(cloud, bucket):
    arm(cloud, "HeadBucket", "throttle", service="s3")
    s3 = cloud.client("s3")
    with pytest.raises(botocore.exceptions.ClientError, match="503"):
        s3.head_bucket(Bucket=bucket)
    s3.head_bucket(Bucket=bucket)


@pytest.mark.parametrize(("when", "left"), [("before", "old"), ("after", "new")])
def test_drop(cloud, secret, when, left):
    start = mark(cloud)
    rule = arm(cloud, "PutSecretValue", "drop", when=when)
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        put(cloud, secret)
    assert value(cloud, secret) == left
    assert [call[3] for call in logged(cloud, start)] == [f"fault:{rule}:drop", "ok"]


@pytest.mark.parametrize(("when", "left"), [("before", "old"), ("after", "new")])
def test_timeout_lasts_until_the_rules_are_removed(cloud, secret, when, left):
    start = mark(cloud)
    rule = arm(cloud, "PutSecretValue", "timeout", when=when, seconds=3600)
    errors = []

    def call():
        try:
            put(cloud, secret)
        except botocore.exceptions.BotoCoreError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    wait_for(lambda: logged(cloud, start), "the call to hang")
    assert value(cloud, secret) == left
    assert errors == []
    assert cloud.admin("DELETE", "faults") == {"removed": 1}
    thread.join(30)
    assert [type(error) for error in errors] == [botocore.exceptions.ConnectionClosedError]
    assert logged(cloud, start)[0][3] == f"fault:{rule}:timeout"


def test_timeout_ends_by_itself_and_outlives_an_impatient_client(cloud, secret):
    arm(cloud, "PutSecretValue", "timeout", seconds=0.01)
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        put(cloud, secret)
    arm(cloud, "PutSecretValue", "timeout", seconds=3600)
    impatient = boto3.client(
        "secretsmanager",
        endpoint_url=cloud.facts["endpoint"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=0.2),
    )
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        impatient.put_secret_value(SecretId=secret, SecretString="new")
    assert value(cloud, secret) == "old"


@pytest.mark.parametrize(("when", "left"), [("before", "old"), ("after", "new")])
def test_kill(cloud, secret, when, left):
    start = mark(cloud)
    rule = arm(cloud, "PutSecretValue", "kill", when=when)
    command = [sys.executable, "-c", PUT, cloud.facts["endpoint"], secret, "new"]
    assert subprocess.run(command, timeout=60).returncode == -signal.SIGKILL
    assert value(cloud, secret) == left
    assert logged(cloud, start)[0] == ("client", "secretsmanager", "PutSecretValue", f"fault:{rule}:kill")
    assert subprocess.run(command, timeout=60).returncode == 0
    assert value(cloud, secret) == "new"


@pytest.mark.parametrize(("when", "left"), [("before", "old"), ("after", "new")])
def test_kill_of_a_function_spares_other_callers(cloud, secret, function, when, left):
    start = mark(cloud)
    rule = arm(cloud, "PutSecretValue", "kill", when=when, caller=f"lambda:{function}")
    put(cloud, secret, "old")
    error, answer = invoke(cloud, function, secret=secret, value="new")
    assert error == "Unhandled", answer
    assert value(cloud, secret) == left
    assert logged(cloud, start)[0] == ("client", "secretsmanager", "PutSecretValue", "ok")
    struck = (f"lambda:{function}", "secretsmanager", "PutSecretValue", f"fault:{rule}:kill")
    assert logged(cloud, start, f"lambda:{function}")[0] == struck
    assert invoke(cloud, function, secret=secret, value="newer")[0] is None
    assert value(cloud, secret) == "newer"


def test_a_rule_for_clients_spares_functions(cloud, secret, function):
    rule = arm(cloud, "*", "throttle", service="*", caller="client", nth=2, count=0)
    assert invoke(cloud, function, secret=secret, value="new")[0] is None
    with pytest.raises(botocore.exceptions.ClientError, match="ThrottlingException"):
        put(cloud, secret)
    assert hits(cloud) == {rule: 1}


def test_a_rule_holds_for_a_functions_call_to_slack(cloud, function):
    start = mark(cloud)
    rule = arm(cloud, "chat.*", "kill", service="slack", caller="lambda:function-*", when="after")
    event = {"slack": cloud.facts["slack_url"], "token": cloud.facts["slack_token"], "value": str(uuid.uuid4())}
    assert invoke(cloud, function, **event)[0] == "Unhandled"
    assert event["value"] in [message["text"] for message in cloud.admin("GET", "slack/messages")["messages"]]
    struck = (f"lambda:{function}", "slack", "chat.postMessage", f"fault:{rule}:kill")
    assert logged(cloud, start, f"lambda:{function}")[0] == struck
    assert invoke(cloud, function, **event)[1]["ok"] is True


def test_nth_and_count(cloud):
    rule = arm(cloud, "ListSecrets", "throttle", nth=2, count=2)
    client = cloud.client("secretsmanager")
    outcomes = []
    for _ in range(5):
        try:
            client.list_secrets()
            outcomes.append("ok")
        except botocore.exceptions.ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert outcomes == ["ok", "ThrottlingException", "ThrottlingException", "ok", "ok"]
    assert hits(cloud) == {rule: 2}


def test_the_rule_armed_first_strikes_and_the_other_counts_on(cloud):
    first = arm(cloud, "ListSecrets", "error", status=400, code="First")
    second = arm(cloud, "ListSecrets", "error", status=400, code="Second", nth=2)
    client = cloud.client("secretsmanager")
    for code in ("First", "Second"):
        with pytest.raises(botocore.exceptions.ClientError, match=code):
            client.list_secrets()
    client.list_secrets()
    assert hits(cloud) == {first: 1, second: 1}


@pytest.mark.parametrize("changes", [True, False])
def test_a_rule_may_count_only_changes_or_only_reads(cloud, secret, changes):
    rule = arm(cloud, "*", "error", status=400, code="Down", nth=2, changes=changes)
    client = cloud.client("secretsmanager")
    calls = {
        "PutSecretValue": lambda: client.put_secret_value(SecretId=secret, SecretString="new"),
        "GetSecretValue": lambda: client.get_secret_value(SecretId=secret),
        "ListSecrets": client.list_secrets,
        "TagResource": lambda: client.tag_resource(SecretId=secret, Tags=[{"Key": "a", "Value": "b"}]),
    }
    struck = []
    for name, call in calls.items():
        try:
            call()
        except botocore.exceptions.ClientError:
            struck.append(name)
    assert struck == (["TagResource"] if changes else ["ListSecrets"])
    assert hits(cloud) == {rule: 1}


GOOD = {"service": "secretsmanager", "action": "PutSecretValue", "effect": "drop"}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("sevice", {"sevice": "s3"}),
        ("changes", {"changes": 1}),
        ("service", {"service": ""}),
        ("service", {"service": None}),
        ("action", {"action": 1}),
        ("caller", {"caller": "function"}),
        ("nth", {"nth": 0}),
        ("nth", {"nth": True}),
        ("count", {"count": -1}),
        ("when", {"when": "during"}),
        ("effect", {"effect": "explode"}),
        ("status", {"effect": "error", "code": "X"}),
        ("status", {"effect": "error", "code": "X", "status": 99}),
        ("code", {"effect": "error", "status": 500}),
        ("seconds", {"effect": "timeout"}),
        ("seconds", {"effect": "slow"}),
        ("effect", {"effect": "slow", "seconds": 1, "service": "postgres"}),
        ("seconds", {"effect": "timeout", "seconds": 0}),
        ("seconds", {"seconds": 1}),
        ("code", {"effect": "throttle", "code": "X"}),
    ],
)
def test_a_wrong_rule_is_refused_by_the_name_of_its_field(cloud, field, change):
    with pytest.raises(AssertionError, match=rf'400 {{"error": "{field}: '):
        cloud.admin("POST", "faults", {**GOOD, **change})
    assert hits(cloud) == {}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_slow_call_is_answered_with_its_own_answer(cloud, secret, when):
    start = mark(cloud)
    rule = arm(cloud, "PutSecretValue", "slow", seconds=0.05, when=when)
    assert put(cloud, secret)["VersionStages"] == ["AWSCURRENT"]
    assert value(cloud, secret) == "new" and hits(cloud) == {rule: 1}
    assert ("client", "secretsmanager", "PutSecretValue", f"fault:{rule}:slow") in logged(cloud, start)


@pytest.mark.parametrize("field", ["service", "action", "effect"])
def test_a_rule_needs_its_main_fields(cloud, field):
    with pytest.raises(AssertionError, match=rf'400 {{"error": "{field}: missing'):
        cloud.admin("POST", "faults", {key: text for key, text in GOOD.items() if key != field})


@pytest.mark.parametrize("query", ["after=x", "since=1"])
def test_a_wrong_question_to_the_log_is_refused(cloud, query):
    with pytest.raises(AssertionError, match=f"400.*{query.partition('=')[0]}: "):
        cloud.admin("GET", f"calls?{query}")


def test_kill_is_refused_where_processes_cannot_be_found(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(AdminError, match=r"effect: kill .* Linux"):
        faults.check({**GOOD, "effect": "kill"})
