"""Mail and SMS of SNS.

Sources: Publish of SNS's reference, "Publishing SMS messages to a mobile phone" of its guide, GSM 03.38.
"""

from __future__ import annotations

import itertools
import json
import time

import pytest
from botocore.exceptions import ClientError

from localcloud import notices

numbers = itertools.count(1)
PHONE = "+5511900000001"


@pytest.fixture(autouse=True)
def fresh(cloud):
    def reset():
        cloud.admin("DELETE", "sns/mails")
        cloud.admin("DELETE", "sns/sms")
        cloud.admin("POST", "sns/phones", {})

    reset()
    yield
    reset()


def told(cloud, kind):
    return cloud.admin("GET", f"sns/{kind}")[kind]


def test_a_topic_tells_people_what_their_filters_let_through(cloud):
    sns = cloud.client("sns")
    topic = sns.create_topic(Name=f"notices-{next(numbers)}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ana@example.org")
    sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint=PHONE)
    only = {"FilterPolicy": json.dumps({"severity": ["S0"]})}
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="night@example.org", Attributes=only)
    start = time.time()
    sns.publish(TopicArn=topic, Message="one")
    texts = json.dumps({"default": "two", "email": "two by mail", "sms": "two by SMS"})
    severity = {"severity": {"DataType": "String", "StringValue": "S0"}}
    sns.publish(TopicArn=topic, Message=texts, MessageStructure="json", Subject="Two", MessageAttributes=severity)
    mails = told(cloud, "mails")
    assert [(mail["endpoint"], mail["subject"], mail["message"]) for mail in mails] == [
        ("ana@example.org", "AWS Notification Message", "one"),
        ("ana@example.org", "Two", "two by mail"),
        ("night@example.org", "Two", "two by mail"),
    ]
    assert {mail["topic"] for mail in mails} == {topic}
    times = [start, *(mail["at"] for mail in mails)]
    assert times == sorted(times)
    assert [(one["phone"], one["topic"], one["message"]) for one in told(cloud, "sms")] == [
        (PHONE, topic, "one"),
        (PHONE, topic, "two by SMS"),
    ]
    assert cloud.admin("DELETE", "sns/mails") == {"removed": 3}
    assert told(cloud, "mails") == []


def test_a_message_to_a_number_is_kept(cloud):
    cloud.client("sns").publish(PhoneNumber=PHONE, Message="S1 prod acionado")
    (message,) = told(cloud, "sms")
    assert isinstance(message.pop("at"), float)
    assert message == {
        "phone": PHONE,
        "topic": None,
        "message": "S1 prod acionado",
        "parts": 1,
        "alphabet": "GSM",
        "delivered": True,
    }


def test_a_number_has_no_arn_and_every_topic_has_one(cloud):
    """The statement of `template.yaml` that allows SMS only."""
    iam, name = cloud.client("iam"), f"texter-{next(numbers)}"
    statement = {"Effect": "Allow", "Action": "sns:Publish", "NotResource": "arn:aws:sns:*:*:*"}
    iam.create_user(UserName=name)
    iam.put_user_policy(
        UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statement})
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    texter = cloud.client("sns", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    topic = cloud.client("sns").create_topic(Name=name)["TopicArn"]
    # The topic's default policy allows the whole account.
    other = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": {**other, "Resource": topic}})
    cloud.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    texter.publish(PhoneNumber=PHONE, Message="x")
    with pytest.raises(ClientError) as refused:
        texter.publish(TopicArn=topic, Message="x")
    assert refused.value.response["Error"]["Code"] == "AuthorizationError"
    assert len(told(cloud, "sms")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x" * 160, ("GSM", 1)),
        ("x" * 161, ("GSM", 2)),
        # A character of the extension counts twice.
        ("x" * 158 + "€", ("GSM", 1)),
        ("x" * 159 + "€", ("GSM", 2)),
        ("é" * 160, ("GSM", 1)),
        # Not in the GSM alphabet.
        ("ã" * 70, ("UCS-2", 1)),
        ("ã" * 71, ("UCS-2", 2)),
        ("word " * 40, ("GSM", 2)),
    ],
)
def test_an_sms_has_140_bytes(text, expected):
    assert notices.parts(text) == expected


@pytest.mark.parametrize(
    ("phone", "text", "code"),
    [
        ("11900000001", "x", "InvalidParameter"),
        ("+0119", "x", "InvalidParameter"),
        ("+" + "5" * 16, "x", "InvalidParameter"),
        (PHONE, "x" * 1601, "InvalidParameter"),
        ("+5511900000002", "x", "OptedOut"),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused(cloud, phone, text, code):
    cloud.admin("POST", "sns/phones", {"opted_out": ["+5511900000002"]})
    with pytest.raises(ClientError) as refused:
        cloud.client("sns").publish(PhoneNumber=phone, Message=text)
    assert refused.value.response["Error"]["Code"] == code
    assert told(cloud, "sms") == []


def test_what_exceeds_the_spend_quota_is_accepted_and_not_delivered(cloud):
    cloud.admin("POST", "sns/phones", {"spent": True})
    assert cloud.client("sns").publish(PhoneNumber=PHONE, Message="x")["MessageId"]
    assert [message["delivered"] for message in told(cloud, "sms")] == [False]


@pytest.mark.parametrize(
    ("field", "body"), [("opted_out", {"opted_out": ["x"]}), ("spent", {"spent": 1}), ("x", {"x": 1})]
)
def test_a_wrong_setting_is_refused_by_its_name(cloud, field, body):
    with pytest.raises(AssertionError, match=rf'400 {{"error": "{field}: '):
        cloud.admin("POST", "sns/phones", body)
