"""Resources and condition keys of policy evaluation, where ministack differs from AWS's documentation.

- `s3:if-none-match` and `s3:if-match` show whether a put is conditional ("Enforce conditional writes on Amazon S3
buckets"). `aws:PrincipalArn` of a role's session is the role's ARN, not the session's ("AWS global condition context
keys"). `aws:ResourceTag` covers the tags of instances, clusters and their snapshots.
- A list of all DB instances is evaluated on the resource `db:*` of account and region, as in AWS's refusals, not on
`*`; lists of clusters and blue/green deployments likewise. Describing log groups is evaluated on the ARN without a
group, as in AWS's refusals. SimulatePrincipalPolicy is evaluated on the principal whose policies it simulates.
- ECS, by the "Service Authorization Reference": each service or cluster of a call by its whole ARN; a task definition
on `*`; `ecs:cluster` is the cluster's ARN.
- Snapshots of RDS's instances and clusters, by the same reference: creation on the instance or cluster and on the
snapshot, its tags as `rds:AddTagsToResource`; a copy on its source and on itself; describing those of an instance or
cluster on that and on all snapshots, since the reference does not say on which; reading and changing the accounts
that may restore one on the snapshot. The source of a copy from another region is evaluated in that region, by the
request that the model describes under PreSignedUrl: without tags.
- A restored instance, by the same reference: on the new instance, the snapshot, and the groups of subnets, parameters
and options, which are the default ones if not given; its tags as `rds:AddTagsToResource`. Turning on a managed master
password also needs the permissions that RDS's guide lists under "Permissions required for Secrets Manager integration";
RDS uses them in the caller's name, which `kms:ViaService` shows.
"""

from __future__ import annotations

import contextvars
import functools
import json
import re
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import rds, tagging

from localcloud import versions
from localcloud.cloud import Cloud

# The services or clusters of the current request to ECS; ministack evaluates only one resource.
_NAMED: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("ecs_named", default=())
# Further actions and resources on which the current RDS call is evaluated.
_ALSO: contextvars.ContextVar[tuple[tuple[str, str], ...]] = contextvars.ContextVar("rds_also", default=())
_SERVICE_CALLS = ("CreateService", "DeleteService", "DescribeServices", "ListServiceDeployments", "UpdateService")
_CLUSTER_CALLS = (*_SERVICE_CALLS, "ListServices", "ListTasks", "DescribeTasks", "RunTask", "StopTask")

# The kind of resource on which a list of all is evaluated.
LISTED = {"DescribeBlueGreenDeployments": "deployment", "DescribeDBClusters": "cluster", "DescribeDBInstances": "db"}

# Calls for one snapshot.
ONE_SNAPSHOT = (
    "DeleteDBClusterSnapshot",
    "DeleteDBSnapshot",
    "DescribeDBClusterSnapshotAttributes",
    "DescribeDBSnapshotAttributes",
    "ModifyDBClusterSnapshotAttribute",
    "ModifyDBSnapshotAttribute",
)

_SESSION = re.compile(r"arn:aws:sts::(\d{12}):assumed-role/([^/]+)/.*")


def install(cloud: Cloud) -> None:
    """Adds the keys to the context of policy evaluation."""
    s3_context = iam_actions.s3_service_context
    resolve = iam_evaluator._resolve_condition_key

    def with_conditional_puts(
        iam_action: str, query_params: dict | None, path: str = "", headers: dict | None = None
    ) -> dict:
        context = s3_context(iam_action, query_params, path, headers)
        if iam_action == "s3:PutObject":
            for name in ("if-none-match", "if-match"):
                if value := (headers or {}).get(name):
                    context[f"s3:{name}"] = value
        return context

    def with_role_arn(key: str, context: Any) -> Any:
        value = resolve(key, context)
        session = _SESSION.fullmatch(value) if key.lower() == "aws:principalarn" and value else None
        return f"arn:aws:iam::{session[1]}:role/{session[2]}" if session else value

    resource_arn = iam_actions.extract_resource_arn

    def with_all_instances(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        found = resource_arn(service, method, path, headers, body, query, region, account)
        listed = LISTED.get(iam_actions._query_param(query, "Action") or "") if service == "rds" else None
        return f"arn:aws:rds:{region}:{account}:{listed}:*" if listed and found == "*" else found

    plain_tags, plain_enforce = iam_actions.request_tag_context, iam_evaluator.enforce

    def with_services(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        if service == "rds":
            place = f"arn:aws:rds:{region}:{account}"
            judged = snapshot_calls(query, place) or instance_calls(query, place)
            _ALSO.set(tuple(judged[1:]))
            if judged:
                return judged[0][1]
        if service == "iam" and (source := iam_actions._query_param(query, "PolicySourceArn")):
            return source
        if service == "logs" and headers.get("x-amz-target", "").endswith(".DescribeLogGroups"):
            return f"arn:aws:logs:{region}:{account}:log-group::log-stream:"
        if service != "ecs":
            return with_all_instances(service, method, path, headers, body, query, region, account)
        action, data = headers.get("x-amz-target", "").rpartition(".")[2], json.loads(body or b"{}")
        _NAMED.set(tuple(named_in_ecs(action, data, region, account)))
        if _NAMED.get():
            return _NAMED.get()[0]
        if "Service" in action or "TaskDefinition" in action or action == "ListTasks":
            return "*"
        return with_all_instances(service, method, path, headers, body, query, region, account)

    def with_cluster(service: str, action: str, body: bytes, params: dict) -> dict:
        context = plain_tags(service, action, body, params)
        if service == "ecs" and action.partition(":")[2] in _CLUSTER_CALLS:
            cluster = cluster_name(json.loads(body or b"{}"))
            context["ecs:cluster"] = f"arn:aws:ecs:{get_region()}:{get_account_id()}:cluster/{cluster}"
        return context

    def each_named(
        key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
    ) -> Any:
        def judge(action: str, resource: str) -> Any:
            at = resource.split(":")[3] if service == "rds" and resource.startswith("arn:aws:rds:") else region
            context = service_context if at == region else without_request_tags(service_context)
            if service == "rds" and action.startswith("kms:"):
                context = {**(context or {}), "kms:viaservice": f"rds.{region}.amazonaws.com"}
            return plain_enforce(key, action, service, at, resource, context)

        listed = service == "ecs" and resource_arn in _NAMED.get()
        for resource in _NAMED.get() if listed else (resource_arn,):
            if refused := judge(action, resource):
                return refused
        for also, resource in _ALSO.get() if service == "rds" else ():
            if refused := judge(also, resource):
                return refused
        return None

    parse = functools.lru_cache(maxsize=256)(iam_evaluator.parse_policy_document)

    def parsed_once(document: str | dict) -> list:
        # ministack parses each policy of the caller twice for each request.
        return list(parse(document)) if isinstance(document, str) else parse.__wrapped__(document)

    plain_resource_tags = tagging.resource_tags

    def secret_tags(arn: str) -> dict[str, str] | None:
        # ministack searches all secrets for each request.
        if not arn.startswith("arn:aws:secretsmanager:"):
            return plain_resource_tags(arn)
        _, secret = versions.resolve(arn, use_arn_scope=True)
        return {tag["Key"]: tag["Value"] for tag in secret["Tags"]} if secret and secret["ARN"] == arn else None

    tagging.resource_tags = secret_tags
    tagging._RESOURCE_TAG_COLLECTORS["rds"] = lambda: rds._tags.items()
    iam_actions.extract_resource_arn = with_services
    iam_actions.request_tag_context = with_cluster
    iam_evaluator.enforce = each_named
    iam_evaluator.parse_policy_document = parsed_once
    iam_actions.s3_service_context = with_conditional_puts
    iam_evaluator._resolve_condition_key = with_role_arn


def without_request_tags(context: dict | None) -> dict | None:
    """The context of a call made in another region for this one."""
    tags = ("aws:requesttag/", "aws:tagkeys")
    return context and {key: one for key, one in context.items() if not key.lower().startswith(tags)}


def snapshot_calls(query: dict, place: str) -> list[tuple[str, str]]:
    """The actions and resources on which a call for snapshots is evaluated; none for other calls."""
    action = iam_actions._query_param(query, "Action") or ""
    of_cluster = "DBCluster" in action
    snapshots, databases = ("cluster-snapshot", "cluster") if of_cluster else ("snapshot", "db")
    infix = "Cluster" if of_cluster else ""
    database, snapshot, source, target = (
        iam_actions._query_param(query, name)
        for name in (
            "DBClusterIdentifier" if of_cluster else "DBInstanceIdentifier",
            f"DB{infix}SnapshotIdentifier",
            f"SourceDB{infix}SnapshotIdentifier",
            f"TargetDB{infix}SnapshotIdentifier",
        )
    )

    def arn(kind: str, name: str | None) -> str:
        return name if name and name.startswith("arn:") else f"{place}:{kind}:{name or '*'}"

    def made(named: list[str], new: str) -> list[tuple[str, str]]:
        tagged = any(name.startswith("Tags.") for name in query)
        also = [("rds:AddTagsToResource", new)] if tagged else []
        return [(f"rds:{action}", one) for one in (*named, new)] + also

    if action in ("CreateDBSnapshot", "CreateDBClusterSnapshot"):
        return made([arn(databases, database)], arn(snapshots, snapshot))
    if action in ("CopyDBSnapshot", "CopyDBClusterSnapshot"):
        return made([arn(snapshots, source)], arn(snapshots, target))
    if action in ONE_SNAPSHOT:
        return [(f"rds:{action}", arn(snapshots, snapshot))]
    if action in ("DescribeDBSnapshots", "DescribeDBClusterSnapshots"):
        named = [arn(snapshots, snapshot)] + ([arn(databases, database)] if database else [])
        return [(f"rds:{action}", one) for one in named]
    return []


def instance_calls(query: dict, place: str) -> list[tuple[str, str]]:
    """The same for a restore of a snapshot and for a managed master password; the call's own action first."""

    def given(name: str) -> str:
        return iam_actions._query_param(query, name) or ""

    def arn(kind: str, name: str) -> str:
        return name if name.startswith("arn:") else f"{place}:{kind}:{name}"

    action, database = given("Action"), arn("db", given("DBInstanceIdentifier"))
    if action == "RestoreDBInstanceFromDBSnapshot":
        snapshot = rds._snapshots.get(given("DBSnapshotIdentifier").rpartition(":snapshot:")[2]) or {}
        major = str(snapshot.get("EngineVersion")).partition(".")[0]
        named = {
            "snapshot": given("DBSnapshotIdentifier"),
            "subgrp": given("DBSubnetGroupName") or "default",
            "pg": given("DBParameterGroupName") or f"default.postgres{major}",
            "og": given("OptionGroupName") or f"default:postgres-{major}",
        }
        tagged = any(name.startswith("Tags.") for name in query)
        resources = [database, *(arn(kind, name) for kind, name in named.items())]
        also = [("rds:AddTagsToResource", database)] if tagged else []
        return [(f"rds:{action}", one) for one in resources] + also
    if action == "ModifyDBInstance" and given("ManageMasterUserPassword") == "true":
        region, account = place.split(":")[3:5]
        secret = f"arn:aws:secretsmanager:{region}:{account}:secret:rds!db-{database.rpartition(':')[2]}"
        key = given("MasterUserSecretKmsKeyId") or "aws-secretsmanager-default"
        key = key if key.startswith("arn:") else f"arn:aws:kms:{region}:{account}:key/{key}"
        return [
            (f"rds:{action}", database),
            ("kms:DescribeKey", key),
            ("secretsmanager:CreateSecret", secret),
            ("secretsmanager:TagResource", secret),
        ]
    return []


def cluster_name(data: dict) -> str:
    """The cluster that a call to ECS names, by name or ARN."""
    return str(data.get("cluster") or "default").rpartition("/")[2]


def named_in_ecs(action: str, data: dict, region: str, account: str) -> list[str]:
    """The services, service deployments or clusters of a call to ECS."""
    if action == "DescribeClusters":
        named = data.get("clusters") or ["default"]
        return [name if name.startswith("arn:") else f"arn:aws:ecs:{region}:{account}:cluster/{name}" for name in named]
    if action == "DescribeServiceDeployments":
        # Each is a resource of its own kind: arn:…:service-deployment/cluster/service/id.
        return data.get("serviceDeploymentArns") or []
    if action not in _SERVICE_CALLS:
        return []
    named = data.get("services") or [data.get("service") or data.get("serviceName") or ""]
    prefix = f"arn:aws:ecs:{region}:{account}:service/{cluster_name(data)}/"
    return [name if name.startswith("arn:") else prefix + name for name in named]
