"""Access keys of IAM users: at most two, with the user's permissions, refused as in AWS."""

from __future__ import annotations

import datetime
import json
import time
import uuid

import botocore.exceptions
import pytest


def policy(*actions, resource="*", **more):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class User:
    """An IAM user with a policy."""

    def __init__(self, cloud, *actions, **more):
        self.cloud, self.name, self.iam = cloud, f"user-{uuid.uuid4().hex[:8]}", cloud.client("iam")
        self.arn = self.iam.create_user(UserName=self.name)["User"]["Arn"]
        if actions:
            self.allow(*actions, **more)

    def allow(self, *actions, **more):
        document = policy(*actions, **more)
        self.iam.put_user_policy(UserName=self.name, PolicyName="allowed", PolicyDocument=document)

    def create(self):
        return self.iam.create_access_key(UserName=self.name)["AccessKey"]

    def told(self):
        return self.cloud.admin("GET", f"iam/keys?user={self.name}")

    def client(self, service, key, secret=None):
        secret = secret or key["SecretAccessKey"]
        return self.cloud.client(service, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=secret)


@pytest.fixture(autouse=True)
def at_once(cloud):
    cloud.admin("DELETE", "faults")
    cloud.admin("POST", "iam/propagation", {"calls": 0})
    yield
    cloud.admin("DELETE", "faults")
    cloud.admin("POST", "iam/propagation", {"calls": 0})


def refused(call, **arguments):
    """Status and code of a refusal."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_a_user_never_has_a_third_key(cloud):
    user = User(cloud)
    assert user.told() == {"keys": [], "most": 0}
    first, second = user.create(), user.create()
    assert (len(first["SecretAccessKey"]), first["Status"], first["UserName"]) == (40, "Active", user.name)
    for status in ("Active", "Inactive"):
        user.iam.update_access_key(UserName=user.name, AccessKeyId=second["AccessKeyId"], Status=status)
        assert refused(user.create) == (409, "LimitExceeded")
    listed = user.iam.list_access_keys(UserName=user.name)["AccessKeyMetadata"]
    assert [(each["AccessKeyId"], each["Status"]) for each in listed] == [
        (first["AccessKeyId"], "Active"),
        (second["AccessKeyId"], "Inactive"),
    ]
    assert abs(listed[0]["CreateDate"].timestamp() - time.time()) < 60
    assert "SecretAccessKey" not in listed[0]
    user.iam.delete_access_key(UserName=user.name, AccessKeyId=first["AccessKeyId"])
    user.create()
    told = user.told()
    assert (len(told["keys"]), told["most"]) == (2, 2)
    assert (told["keys"][0]["status"], told["keys"][0]["last_used"]) == ("Inactive", None)


def test_what_is_not_there_is_not_found(cloud):
    user, other = User(cloud), User(cloud)
    key = {"AccessKeyId": user.create()["AccessKeyId"]}
    gone = {"UserName": user.name, "AccessKeyId": "AKIA" + "A" * 16}
    missing = (404, "NoSuchEntity")
    iam = user.iam
    assert refused(iam.delete_access_key, **gone) == missing
    assert refused(iam.update_access_key, **gone, Status="Inactive") == missing
    assert refused(iam.get_access_key_last_used, AccessKeyId=gone["AccessKeyId"]) == missing
    assert refused(iam.delete_access_key, UserName=other.name, **key) == missing
    assert refused(iam.create_access_key, UserName="nobody") == missing
    assert refused(iam.list_access_keys, UserName="nobody") == missing
    invalid = (400, "ValidationError")
    assert refused(iam.create_access_key) == refused(iam.delete_access_key, **key) == invalid
    assert refused(iam.update_access_key, UserName=user.name, **key, Status="Expired") == invalid
    iam.delete_access_key(UserName=user.name, **key)
    assert refused(iam.delete_access_key, UserName=user.name, **key) == missing


def test_a_key_is_the_users_with_its_policies(cloud):
    user = User(cloud)
    own = user.create()
    assert user.client("sts", own).get_caller_identity()["Arn"] == user.arn
    iam = user.client("iam", own)
    assert refused(iam.list_access_keys) == (403, "AccessDenied")
    user.allow("iam:*AccessKey*", resource=user.arn)
    assert len(iam.list_access_keys(UserName=user.name)["AccessKeyMetadata"]) == 1
    assert refused(iam.list_access_keys, UserName="another") == (403, "AccessDenied")
    assert iam.get_access_key_last_used(AccessKeyId=own["AccessKeyId"])["UserName"] == user.name
    other = User(cloud).create()["AccessKeyId"]
    assert refused(iam.get_access_key_last_used, AccessKeyId=other) == (403, "AccessDenied")
    secrets = user.client("secretsmanager", own)
    assert refused(secrets.list_secrets)[1] == "AccessDeniedException"
    arn = user.iam.create_policy(
        PolicyName=user.name, PolicyDocument=policy("secretsmanager:ListSecrets", "iam:ListAccessKeys")
    )["Policy"]["Arn"]
    user.iam.attach_user_policy(UserName=user.name, PolicyArn=arn)
    secrets.list_secrets()
    # Without a user name, IAM lists the caller's keys.
    assert iam.list_access_keys()["AccessKeyMetadata"][0]["UserName"] == user.name


def test_a_key_is_refused_when_it_is_inactive_deleted_or_wrongly_used(cloud):
    user = User(cloud, "ses:*")
    key = user.create()
    named = {"UserName": user.name, "AccessKeyId": key["AccessKeyId"]}
    query, rest = user.client("sts", key).get_caller_identity, user.client("sesv2", key).get_account
    wrong = "0" * 40
    assert refused(user.client("sts", key, wrong).get_caller_identity) == (403, "SignatureDoesNotMatch")
    assert refused(user.client("sesv2", key, wrong).get_account) == (403, "InvalidSignatureException")

    def works():
        query()
        return rest()["SendingEnabled"]

    def unknown():
        codes = (403, "InvalidClientTokenId"), (403, "UnrecognizedClientException")
        return (refused(query), refused(rest)) == codes

    assert works()
    user.iam.update_access_key(**named, Status="Inactive")
    assert unknown()
    with pytest.raises(botocore.exceptions.ClientError, match="The security token included in the request is invalid"):
        query()
    user.iam.update_access_key(**named, Status="Active")
    assert works()
    user.iam.delete_access_key(**named)
    assert unknown()


def test_a_new_key_is_unknown_until_iam_has_spread_it(cloud):
    user = User(cloud)
    old = user.create()
    cloud.admin("POST", "iam/propagation", {"calls": 2})
    new = user.create()
    cloud.admin("POST", "iam/propagation", {"calls": 0})
    sts = user.client("sts", new)
    assert user.told()["keys"][1]["refusals"] == 2
    assert refused(sts.get_caller_identity) == (403, "InvalidClientTokenId")
    assert refused(user.client("sesv2", new).get_account) == (403, "UnrecognizedClientException")
    assert sts.get_caller_identity()["Arn"] == user.arn
    user.client("sts", old).get_caller_identity()
    for wrong in ({}, {"calls": -1}, {"calls": "1"}, {"calls": 1, "x": 1}):
        with pytest.raises(AssertionError, match="400"):
            cloud.admin("POST", "iam/propagation", wrong)


def test_the_last_use_of_a_key(cloud):
    user = User(cloud)
    key = user.create()

    def used():
        told = user.iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
        assert told["UserName"] == user.name
        return told["AccessKeyLastUsed"]

    assert used() == {"ServiceName": "N/A", "Region": "N/A"}
    refused(user.client("sts", key, "0" * 40).get_caller_identity)
    assert used() == {"ServiceName": "N/A", "Region": "N/A"}
    user.client("sts", key).get_caller_identity()
    assert (used()["ServiceName"], used()["Region"]) == ("sts", "us-east-1")
    # A refused call also counts as use.
    assert refused(user.client("sesv2", key).get_account) == (403, "AccessDeniedException")
    assert used()["ServiceName"] == "ses"
    moment = used()["LastUsedDate"]
    assert (moment.second, moment.utcoffset()) == (0, datetime.timedelta(0))
    assert 0 <= time.time() - moment.timestamp() < 120
    assert time.time() - user.told()["keys"][0]["last_used"] < 60


@pytest.mark.parametrize(("when", "left"), [("before", 0), ("after", 1)])
def test_switches_hold_for_keys(cloud, when, left):
    user = User(cloud)
    rule = {"service": "iam", "action": "CreateAccessKey", "effect": "error", "status": 500, "code": "ServiceFailure"}
    cloud.admin("POST", "faults", {**rule, "when": when})
    assert refused(user.create) == (500, "ServiceFailure")
    cloud.admin("POST", "faults", {"service": "iam", "action": "DeleteAccessKey", "effect": "throttle"})
    gone = {"UserName": user.name, "AccessKeyId": "AKIA" + "A" * 16}
    assert refused(user.iam.delete_access_key, **gone) == (400, "Throttling")
    assert len(user.told()["keys"]) == left
