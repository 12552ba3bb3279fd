"""Secrets Manager's events as CloudTrail sends them to EventBridge: service events, and calls that changed a secret.

The event of a call names the secret and its versions, but never contains a value.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import eventbridge

SOURCE = "secretsmanager.amazonaws.com"
CALLS = ("RotateSecret", "PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage")
# The fields of a request that an event contains; all others are left out.
SHOWN = (
    "SecretId",
    "ClientRequestToken",
    "VersionStage",
    "VersionStages",
    "MoveToVersionId",
    "RemoveFromVersionId",
    "RotationLambdaARN",
    "RotationRules",
    "RotateImmediately",
    "KmsKeyId",
)


def service_event(name: str, secret: str) -> None:
    """The event of an action by the service itself."""
    told = {
        "userIdentity": {"accountId": get_account_id(), "invokedBy": SOURCE},
        "sourceIPAddress": SOURCE,
        "userAgent": SOURCE,
        "requestParameters": None,
        "responseElements": None,
        "additionalEventData": {"SecretId": secret},
        "eventType": "AwsServiceEvent",
    }
    send("AWS Service Event via CloudTrail", name, told)


def api_call(name: str, request: dict[str, Any], answer: dict[str, Any]) -> None:
    """The event of a successful request."""
    told = {
        "userIdentity": identity(iam_evaluator.caller_arn()),
        "sourceIPAddress": "127.0.0.1",
        "userAgent": "local cloud",
        "requestParameters": camel({key: request[key] for key in SHOWN if request.get(key) is not None}),
        # The service's events had `aRN` here before February 2024.
        "responseElements": {
            "arn": answer.get("ARN"),
            **({"versionId": answer["VersionId"]} if "VersionId" in answer else {}),
        },
        "requestID": str(uuid.uuid4()),
        "eventType": "AwsApiCall",
    }
    send("AWS API Call via CloudTrail", name, told)


def camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: camel(each) for key, each in value.items()}
    return value


def identity(arn: str) -> dict[str, Any]:
    account, resource = arn.split(":", 5)[4:]
    kind, _, name = resource.partition("/")
    if kind == "assumed-role":
        role = name.partition("/")[0]
        issuer = {"type": "Role", "arn": f"arn:aws:iam::{account}:role/{role}", "accountId": account, "userName": role}
        return {
            "type": "AssumedRole",
            "arn": arn,
            "accountId": account,
            "sessionContext": {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "false"}},
        }
    if kind == "user":
        return {"type": "IAMUser", "arn": arn, "accountId": account, "userName": name.rpartition("/")[2]}
    return {"type": "Root", "arn": arn, "accountId": account}


def send(kind: str, name: str, told: dict[str, Any]) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    detail = {
        "eventVersion": "1.08",
        "eventTime": moment,
        "eventSource": SOURCE,
        "eventName": name,
        "awsRegion": get_region(),
        "eventID": str(uuid.uuid4()),
        "readOnly": False,
        "managementEvent": True,
        "recipientAccountId": get_account_id(),
        "eventCategory": "Management",
        **told,
    }
    # PutEvents refuses an aws.* source, so the service's events bypass it, like ministack's.
    eventbridge._dispatch_event(
        {
            "EventId": str(uuid.uuid4()),
            "Source": "aws.secretsmanager",
            "DetailType": kind,
            "Detail": json.dumps(detail),
            "EventBusName": "default",
            "Time": moment,
            "Resources": [],
            "Account": get_account_id(),
            "Region": get_region(),
        }
    )
