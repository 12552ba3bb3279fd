"""EFS file systems and the workspaces of Amazon Managed Grafana and Prometheus, as Cloud Control shows each.

The properties, the identifier and the permissions that the caller needs are those of the resource types' schemas, which
cfn-lint ships. File systems are ministack's own; it has no workspaces, so an admin route makes them. Only the
properties identity, status and tags are shown. Not modelled: lists, and the other handlers.

Admin route:

- `POST /_local/workspaces {"type": TYPE, "id": ID, "tags": {KEY: VALUE}}` -> its ARN: makes a workspace of
  AWS::Grafana::Workspace or AWS::APS::Workspace; with `"tags": null`, removes it.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, new_uuid
from ministack.core.router import extract_access_key_id
from ministack.services import cloudcontrol as aws
from ministack.services import efs

from localcloud.cloud import AdminError, Cloud
from localcloud.cloudcontrol import permissions

FILE_SYSTEM, GRAFANA, PROMETHEUS = "AWS::EFS::FileSystem", "AWS::Grafana::Workspace", "AWS::APS::Workspace"

# Service and resource of an ARN. Source: the Service Authorization Reference.
ARNS = {
    FILE_SYSTEM: ("elasticfilesystem", "file-system/"),
    GRAFANA: ("grafana", "/workspaces/"),
    PROMETHEUS: ("aps", "workspace/"),
}

Tags = dict[str, str]
WORKSPACES: dict[tuple[str, str], Tags] = {}


def arn_of(kind: str, name: str) -> str:
    service, resource = ARNS[kind]
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}{name}"


def properties(kind: str, identifier: str) -> dict[str, Any] | None:
    if kind == FILE_SYSTEM:
        one = efs._file_systems.get(identifier)
        return one and {"FileSystemId": identifier, "Arn": one["FileSystemArn"], "FileSystemTags": one.get("Tags", [])}
    name = identifier.rpartition("/")[2]
    tags = WORKSPACES.get((kind, name))
    if tags is None:
        return None
    shown = [{"Key": key, "Value": value} for key, value in tags.items()]
    if kind == GRAFANA:
        return {"Id": name, "Status": "ACTIVE", "Tags": shown}
    return {"WorkspaceId": name, "Arn": arn_of(kind, name), "Tags": shown}


def denied(kind: str, identifier: str, key: str) -> tuple | None:
    arn = arn_of(kind, identifier.rpartition("/")[2])
    for asked in permissions(kind, "read"):
        refused = iam_evaluator.enforce(key, asked, asked.partition(":")[0], get_region(), arn)
        if refused:
            is_explicit = getattr(refused, "decision", "") == "Deny"
            who = iam_actions.identity_denial_message(asked, refused.principal_arn, arn, is_explicit)
            message = f"{kind} Handler returned status FAILED: {who} (HandlerErrorCode: AccessDenied, RequestToken: "
            return error_response_json("AccessDeniedException", f"{message}{new_uuid()})", 400)
    return None


def install(cloud: Cloud) -> None:
    """Answers for the three types in front of Cloud Control."""
    inner = aws.handle_request

    async def handle(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        if headers.get("x-amz-target", "").rpartition(".")[2] != "GetResource":
            return await inner(method, path, headers, body, query)
        data = json.loads(body or b"{}")
        kind, identifier = str(data.get("TypeName")), str(data.get("Identifier"))
        if kind not in ARNS:
            return await inner(method, path, headers, body, query)
        if refused := denied(kind, identifier, extract_access_key_id(headers, query)):
            return refused
        found = properties(kind, identifier)
        if found is None:
            message = f"Resource of type '{kind}' with identifier '{identifier}' was not found."
            return error_response_json("ResourceNotFoundException", message, 400)
        described = {"Identifier": identifier, "Properties": json.dumps(found)}
        return json_response({"TypeName": kind, "ResourceDescription": described})

    aws.handle_request = handle
    cloud.route("POST", "workspaces")(set_workspace)


async def set_workspace(arguments: dict[str, Any]) -> dict[str, Any]:
    kind, name, tags = arguments.get("type"), arguments.get("id"), arguments.get("tags")
    if kind not in (GRAFANA, PROMETHEUS) or not isinstance(name, str):
        raise AdminError(f"no workspace {name!r} of a type {kind!r}")
    if tags is None:
        WORKSPACES.pop((kind, name), None)
    else:
        WORKSPACES[kind, name] = {str(key): str(value) for key, value in tags.items()}
    return {"arn": arn_of(kind, name)}
