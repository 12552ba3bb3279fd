"""SES v2's SendEmail: callers, senders, and a function's use of a user's key."""

from __future__ import annotations

import json
import uuid

import pytest
from conftest import bootstrap
from test_accesskeys import User, refused

SIMULATOR = "success@simulator.amazonses.com"

# A custom runtime: it sends a message with the user's key in the event.
BOOTSTRAP = """
import json, os, urllib.request
import boto3
from botocore.config import Config

runtime = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(runtime + "next") as answer:
        request, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
    try:
        client = boto3.client("sesv2", config=Config(retries={"total_max_attempts": 1}), **event["key"])
        kind, body = "response", client.send_email(**event["message"])["MessageId"]
    except Exception as error:
        kind, body = "error", {"errorType": type(error).__name__, "errorMessage": str(error)}
    urllib.request.urlopen(runtime + request + "/" + kind, json.dumps(body).encode()).close()
"""


@pytest.fixture(autouse=True)
def fresh(cloud):
    def reset():
        cloud.admin("DELETE", "faults")
        cloud.admin("DELETE", "ses/messages")

    reset()
    yield
    reset()


@pytest.fixture
def sender(cloud):
    """A verified address."""
    address = f"alerts-{uuid.uuid4().hex[:8]}@imm.local"
    cloud.client("ses").verify_email_identity(EmailAddress=address)
    return address


def message(sender, **more):
    content = {"Simple": {"Subject": {"Data": "Test"}, "Body": {"Text": {"Data": "of the new key"}}}}
    destination = {"ToAddresses": [SIMULATOR]}
    return {"FromEmailAddress": sender, "Destination": destination, "Content": content, **more}


def arn(identity):
    return f"arn:aws:ses:us-east-1:000000000000:identity/{identity}"


def sent(cloud):
    return cloud.admin("GET", "ses/messages")["messages"]


def test_a_message_is_told_with_the_key_that_sent_it(cloud, sender):
    user = User(cloud, "ses:SendEmail", resource=arn(sender))
    key = user.create()
    made = user.client("sesv2", key).send_email(**message(sender))["MessageId"]
    assert sent(cloud) == [
        {
            "id": made,
            "access_key_id": key["AccessKeyId"],
            "from": sender,
            "to": [SIMULATOR],
            "cc": [],
            "bcc": [],
            "subject": "Test",
            "text": "of the new key",
            "html": sent(cloud)[0]["html"],
        }
    ]
    assert cloud.admin("DELETE", "ses/messages") == {"removed": 1}
    assert sent(cloud) == []


def test_the_policy_is_judged_on_the_senders_identity(cloud, sender):
    denied = (403, "AccessDeniedException")
    user = User(cloud)
    ses = user.client("sesv2", user.create())
    assert refused(ses.send_email, **message(sender)) == denied
    user.allow("ses:SendEmail", resource=arn("other@imm.local"))
    assert refused(ses.send_email, **message(sender)) == denied
    user.allow("ses:SendEmail", resource=arn(sender), Condition={"StringEquals": {"ses:FromAddress": "x@imm.local"}})
    assert refused(ses.send_email, **message(sender)) == denied
    user.allow("ses:SendEmail", resource=arn(sender), Condition={"StringEquals": {"ses:FromAddress": sender}})
    ses.send_email(**message(f"Alerts <{sender}>"))
    domain = f"{uuid.uuid4().hex[:8]}.example"
    cloud.client("ses").verify_domain_identity(Domain=domain)
    user.allow("ses:SendEmail", resource=arn(domain))
    assert refused(ses.send_email, **message(sender)) == denied
    ses.send_email(**message(f"a@{domain}"))
    assert refused(ses.get_account) == denied
    assert len(sent(cloud)) == 2


def test_what_ses_refuses(cloud, sender):
    ses = cloud.client("sesv2")
    rejected = "Email address is not verified. The following identities failed the check in region US-EAST-1: x@y.z"
    with pytest.raises(ses.exceptions.MessageRejected, match=rejected):
        ses.send_email(**message("x@y.z"))
    bad = (400, "BadRequestException")
    good = message(sender)
    assert refused(ses.send_email, Destination=good["Destination"], Content=good["Content"]) == bad
    assert refused(ses.send_email, **message(sender, Destination={"ToAddresses": []})) == bad
    assert refused(ses.send_email, **message(sender, Content={})) == bad
    empty = {"Simple": {"Subject": {"Data": ""}, "Body": {"Text": {"Data": "x"}}}}
    assert refused(ses.send_email, **message(sender, Content=empty)) == bad
    unknown = message(sender, ConfigurationSetName="none")
    assert refused(ses.send_email, **unknown) == (404, "NotFoundException")
    assert sent(cloud) == []


def test_in_the_sandbox_recipients_are_verified_or_the_simulators(cloud, sender):
    ses = cloud.client("sesv2")
    details = {"MailType": "TRANSACTIONAL", "WebsiteURL": "https://imm.local"}
    ses.put_account_details(**details, ProductionAccessEnabled=False)
    try:
        assert ses.get_account()["ProductionAccessEnabled"] is False
        ses.send_email(**message(sender))
        outside = message(sender, Destination={"ToAddresses": ["x@y.z"]})
        assert refused(ses.send_email, **outside) == (400, "MessageRejected")
    finally:
        ses.put_account_details(**details, ProductionAccessEnabled=True)


@pytest.mark.parametrize(("when", "left"), [("before", 0), ("after", 1)])
def test_switches_answer_in_the_form_of_ses_v2(cloud, sender, when, left):
    ses = cloud.client("sesv2")
    rule = {"service": "ses", "action": "SendEmail", "when": when}
    cloud.admin("POST", "faults", {**rule, "effect": "throttle"})
    assert refused(ses.send_email, **message(sender)) == (429, "TooManyRequestsException")
    assert len(sent(cloud)) == left
    cloud.admin("DELETE", "faults")
    cloud.admin("POST", "faults", {**rule, "effect": "error", "status": 400, "code": "SendingPausedException"})
    assert refused(ses.send_email, **message(sender)) == (400, "SendingPausedException")
    cloud.admin("DELETE", "faults")
    cloud.admin("POST", "faults", {**rule, "effect": "throttle"})
    # SES v1 has an action of the same name with another request form.
    plain = {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "x"}}}
    first = {"Source": sender, "Destination": {"ToAddresses": [SIMULATOR]}, "Message": plain}
    assert refused(cloud.client("ses").send_email, **first) == (400, "Throttling")


@pytest.mark.parametrize(("when", "left"), [("before", 0), ("after", 1)])
def test_a_function_with_a_users_key_is_the_caller_and_can_be_killed(cloud, sender, when, left):
    user, name = User(cloud, "ses:SendEmail"), f"function-{uuid.uuid4().hex[:8]}"
    key = user.create()
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    lambdas = cloud.client("lambda")
    code = {"ZipFile": bootstrap(BOOTSTRAP)}
    settings = {"Runtime": "provided.al2023", "Role": role, "Handler": "bootstrap", "Timeout": 60}
    lambdas.create_function(FunctionName=name, Code=code, **settings)
    credentials = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    event = json.dumps({"key": {**credentials, "aws_session_token": ""}, "message": message(sender)})
    caller = f"lambda:{name}"
    rule = {"service": "ses", "action": "SendEmail", "caller": caller, "effect": "kill", "when": when}
    cloud.admin("POST", "faults", rule)
    assert "FunctionError" in lambdas.invoke(FunctionName=name, Payload=event)
    assert len(sent(cloud)) == left
    answer = lambdas.invoke(FunctionName=name, Payload=event)
    assert "FunctionError" not in answer, answer["Payload"].read()
    assert sent(cloud)[-1]["access_key_id"] == key["AccessKeyId"]
    outcomes = [call["outcome"].rpartition(":")[2] for call in cloud.admin("GET", f"calls?caller={caller}")["calls"]]
    assert outcomes == ["kill", "ok"]
    lambdas.delete_function(FunctionName=name)
