"""Cloud Control's ListResources and GetResource for the services' own resources, which ministack keeps separate.

Types: AWS::CloudWatch::Alarm, AWS::CloudWatch::CompositeAlarm, AWS::Logs::MetricFilter, AWS::Backup::BackupPlan,
AWS::Backup::BackupSelection, AWS::Backup::BackupVault, AWS::EC2::VPCEndpoint; for other types, the resources made by
Cloud Control itself, or else TypeNotFoundException. A page has 25 resources, as observed; MaxResults is accepted and
ignored, as AWS documents. A list shows all properties except the tags of alarms, for which its handler has no
permission; AWS promises only the identifier.
Both calls are evaluated on `arn:aws:cloudformation:REGION:ACCOUNT:resource/*`, as in AWS's refusals, and then on all
permissions that the type's schema lists for its list or read handler (`handlers` of the resource provider schemas that
cfn-lint ships), because AWS runs the handler with the caller's permissions. The first missing permission makes the
answer an AccessDeniedException from the handler, as observed. AWS Backup's own CreateBackupPlan makes backup plans.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import functools
import importlib.util
import json
import pathlib
from collections.abc import Callable
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, new_uuid
from ministack.core.router import extract_access_key_id
from ministack.services import backup, cloudwatch, cloudwatch_logs, ec2
from ministack.services import cloudcontrol as aws

from localcloud.cloud import Cloud

PAGE = 25

Properties = dict[str, Any]
# Properties by identifier.
Kind = Callable[[], dict[str, Properties]]

# An action's resource below region and account, unless it is `*`, by the Service Authorization Reference.
RESOURCES = {
    "backup:DescribeBackupVault": "backup:backup-vault:*",
    "backup:GetBackupPlan": "backup:backup-plan:*",
    "backup:GetBackupSelection": "backup:backup-plan:*",
    "backup:GetBackupVaultAccessPolicy": "backup:backup-vault:*",
    "backup:GetBackupVaultNotifications": "backup:backup-vault:*",
    "backup:ListBackupSelections": "backup:backup-plan:*",
    "cloudwatch:DescribeAlarms": "cloudwatch:alarm:*",
    "cloudwatch:ListTagsForResource": "cloudwatch:alarm:*",
    "logs:DescribeMetricFilters": "logs:log-group:*",
}


@functools.cache
def permissions(type_name: str, handler: str) -> tuple[str, ...]:
    """The permissions that a resource type's handler requires of its caller, in the schema's order."""
    found = importlib.util.find_spec("cfnlint")
    if found is None or found.origin is None:
        raise LookupError("cfn-lint, which ships the schemas, is not installed")
    schemas = pathlib.Path(found.origin).parent / "data" / "schemas"
    file = json.loads((schemas / "providers" / "us-east-1.json").read_text())[type_name]
    schema = json.loads((schemas / "resources" / f"{file}.json").read_text())
    return tuple(schema["handlers"][handler]["permissions"])


def described_alarms(alarms: Any) -> dict[str, Properties]:
    state = {"StateValue", "StateReason", "StateReasonData", "StateUpdatedTimestamp", "AlarmArn"}
    hidden = state | {"AlarmConfigurationUpdatedTimestamp"}
    return {
        name: {
            **{key: told for key, told in alarm.items() if key not in hidden and key[0] != "_" and told is not None},
            "Arn": alarm["AlarmArn"],
        }
        for name, alarm in alarms.items()
    }


def alarms() -> dict[str, Properties]:
    return described_alarms(cloudwatch._alarms)


def composite_alarms() -> dict[str, Properties]:
    return described_alarms(cloudwatch._composite_alarms)


def metric_filters() -> dict[str, Properties]:
    return {
        f"{group}|{name}": {
            "LogGroupName": group,
            "FilterName": name,
            "FilterPattern": one["filterPattern"],
            "MetricTransformations": [
                {key[0].upper() + key[1:]: told for key, told in to.items()} for to in one["metricTransformations"]
            ],
        }
        for (group, name), one in cloudwatch_logs._metric_filters.items()
    }


def backup_plans() -> dict[str, Properties]:
    def described(plan: dict[str, Any]) -> Properties:
        rules = [
            {("TargetBackupVault" if key == "TargetBackupVaultName" else key): told for key, told in rule.items()}
            for rule in plan.get("Rules", [])
        ]
        return {"BackupPlanName": plan["BackupPlanName"], "BackupPlanRule": rules}

    return {
        name: {
            "BackupPlanId": name,
            "BackupPlanArn": one["BackupPlanArn"],
            "VersionId": one["VersionId"],
            "BackupPlan": described(one["BackupPlan"]),
        }
        for name, one in backup._plans.items()
    }


def backup_selections() -> dict[str, Properties]:
    """Selections by their own id and their plan's; AWS documents the identifier, `Id`, but not its composition."""
    kept = ("SelectionName", "IamRoleArn", "Resources", "ListOfTags", "NotResources", "Conditions")
    return {
        f"{name}_{one['BackupPlanId']}": {
            "Id": f"{name}_{one['BackupPlanId']}",
            "SelectionId": name,
            "BackupPlanId": one["BackupPlanId"],
            "BackupSelection": {key: one[key] for key in kept if one[key]},
        }
        for name, one in backup._selections.items()
    }


def backup_vaults() -> dict[str, Properties]:
    def described(vault: dict[str, Any]) -> Properties:
        told = {key: vault[key] for key in ("BackupVaultName", "BackupVaultArn")}
        # By default it is the account's AWS Backup key.
        arn = vault["BackupVaultArn"].split(":")
        own = f"arn:aws:kms:{arn[3]}:{arn[4]}:key/00000000-0000-0000-0000-00000000ba00"
        return {**told, "EncryptionKeyArn": vault["EncryptionKeyArn"] or own}

    return {one["BackupVaultArn"]: described(one) for one in backup._vaults.values()}


def endpoints() -> dict[str, Properties]:
    kept = ("VpcEndpointType", "VpcId", "ServiceName", "RouteTableIds", "SubnetIds")
    return {name: {"Id": name, **{key: one[key] for key in kept}} for name, one in ec2._vpc_endpoints.items()}


KINDS: dict[str, Kind] = {
    "AWS::CloudWatch::Alarm": alarms,
    "AWS::CloudWatch::CompositeAlarm": composite_alarms,
    "AWS::Logs::MetricFilter": metric_filters,
    "AWS::Backup::BackupPlan": backup_plans,
    "AWS::Backup::BackupSelection": backup_selections,
    "AWS::Backup::BackupVault": backup_vaults,
    "AWS::EC2::VPCEndpoint": endpoints,
}


def install(cloud: Cloud) -> None:
    """Answers both calls in place of ministack, and evaluates their permissions."""
    inner, resource_arn = aws.handle_request, iam_actions.extract_resource_arn

    async def handle(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action not in ("ListResources", "GetResource"):
            return await inner(method, path, headers, body, query)
        try:
            data = json.loads(body or b"{}")
        except ValueError:
            return error_response_json("SerializationException", "Invalid JSON", 400)
        kind = KINDS.get(data.get("TypeName", ""))
        if kind is None:
            if any(one["TypeName"] == data.get("TypeName") for one in aws._resources.values()):
                return await inner(method, path, headers, body, query)
            message = f"The type '{data.get('TypeName')}' cannot be found."
            return error_response_json("TypeNotFoundException", message, 400)
        if refused := denied(data["TypeName"], action, extract_access_key_id(headers, query)):
            return refused
        return listed(data, kind) if action == "ListResources" else told(data, kind)

    def with_resources(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        if service == "cloudcontrol":
            return f"arn:aws:cloudformation:{region}:{account}:resource/*"
        return resource_arn(service, method, path, headers, body, query, region, account)

    aws.handle_request = handle
    iam_actions.extract_resource_arn = with_resources


def denied(type_name: str, action: str, key: str) -> tuple | None:
    """The refusal of a caller with permission for Cloud Control, but not for all calls of its handler."""
    for asked in permissions(type_name, "list" if action == "ListResources" else "read"):
        namespace, _, resource = RESOURCES.get(asked, "").partition(":")
        arn = f"arn:aws:{namespace}:{get_region()}:{get_account_id()}:{resource}" if resource else "*"
        refused = iam_evaluator.enforce(key, asked, asked.partition(":")[0], get_region(), arn)
        if not refused:
            continue
        who = iam_actions.identity_denial_message(
            asked, refused.principal_arn, arn, getattr(refused, "decision", "") == "Deny"
        )
        message = f"{type_name} Handler returned status FAILED: {who} (HandlerErrorCode: AccessDenied, RequestToken: "
        return error_response_json("AccessDeniedException", f"{message}{new_uuid()})", 400)
    return None


def listed(data: dict[str, Any], kind: Kind) -> tuple:
    resources = kind()
    names = sorted(resources)
    if token := data.get("NextToken"):
        try:
            last = base64.b64decode(token, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return error_response_json("InvalidRequestException", "NextToken is not valid.", 400)
        names = names[bisect.bisect_right(names, last) :]
    chosen = names[:PAGE]
    answer = {
        "TypeName": data["TypeName"],
        "ResourceDescriptions": [
            {"Identifier": name, "Properties": json.dumps(resources[name], default=str)} for name in chosen
        ],
    }
    if len(names) > len(chosen):
        answer["NextToken"] = base64.b64encode(chosen[-1].encode()).decode()
    return json_response(answer)


def told(data: dict[str, Any], kind: Kind) -> tuple:
    name = data.get("Identifier", "")
    properties = kind().get(name)
    if properties is None:
        message = f"Resource of type '{data['TypeName']}' with identifier '{name}' was not found."
        return error_response_json("ResourceNotFoundException", message, 400)
    if kind in (alarms, composite_alarms):
        tags = cloudwatch._resource_tags.get(properties["Arn"], {})
        properties = {**properties, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
    described = {"Identifier": name, "Properties": json.dumps(properties, default=str)}
    return json_response({"TypeName": data["TypeName"], "ResourceDescription": described})
