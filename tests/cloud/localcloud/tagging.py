"""The Resource Groups Tagging API's GetResources, as AWS documents it, over the tags in ministack's services.

ministack has the call, but without pages and without the tags of RDS, log groups, secrets and state machines. A page
has 1 to 100 resources (default 100), in the order of their ARNs; an unknown token is refused. Resources without tags
are not returned. A stack's resources carry CloudFormation's own three tags. Not modelled: delays until changed tags and
deleted resources show.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from ministack.services import cloudformation, cloudwatch_logs, rds, stepfunctions, tagging

from localcloud.cloud import Cloud

MOST = 100

# The types of a stack's resources that carry its tags; only those used here.
TAGGED_TYPES = frozenset(
    f"AWS::{name}"
    for name in (
        "Events::Rule",
        "Lambda::Function",
        "Logs::LogGroup",
        "S3::Bucket",
        "SNS::Topic",
        "SQS::Queue",
        "StepFunctions::StateMachine",
    )
)

Tags = list[dict[str, str]]


def of_rds() -> Iterator[tuple[str, Tags]]:
    for instance in rds._instances.values():
        yield instance["DBInstanceArn"], instance.get("TagList") or []
    for snapshot in rds._snapshots.values():
        yield snapshot["DBSnapshotArn"], snapshot.get("TagList") or []
    for cluster in rds._clusters.values():
        yield cluster["DBClusterArn"], cluster.get("TagList") or []
    for snapshot in rds._db_cluster_snapshots.values():
        yield snapshot["DBClusterSnapshotArn"], snapshot.get("TagList") or []


def of_logs() -> Iterator[tuple[str, Tags]]:
    for group in cloudwatch_logs._log_groups.values():
        yield group["arn"].removesuffix(":*"), tagging._normalise_flat(group.get("tags"))


def of_states() -> Iterator[tuple[str, Tags]]:
    for arn, tags in stepfunctions._tags.items():
        yield arn, tagging._normalise_ecs(tags)


def stacks() -> dict[str, Tags]:
    """CloudFormation's own tags by the end of a physical id, which is a name, an ARN or a URL."""
    found = {}
    for stack in cloudformation._stacks.values():
        for logical, resource in stack.get("_resources", {}).items():
            if resource.get("ResourceType") in TAGGED_TYPES and not stack["StackStatus"].startswith("DELETE"):
                own = {
                    "aws:cloudformation:logical-id": logical,
                    "aws:cloudformation:stack-id": stack["StackId"],
                    "aws:cloudformation:stack-name": stack["StackName"],
                }
                physical = str(resource["PhysicalResourceId"])
                name = physical.rpartition("/")[2] if physical.startswith("http") else physical
                found[name] = tagging._normalise_flat(own)
    return found


def own_tags(arn: str, made: dict[str, Tags]) -> Tags:
    """The tags that CloudFormation adds to a resource."""
    resource = arn.split(":", 5)[-1]
    # A log group's name begins with a slash, and a type may precede a name.
    names = (arn, resource, resource.partition(":")[2], resource.rpartition("/")[2])
    return next((made[name] for name in names if name in made), [])


def get_resources(data: dict[str, Any]) -> tuple:
    if data.get("ResourceARNList"):
        return PLAIN(data)
    size = data.get("ResourcesPerPage", MOST)
    if not 1 <= size <= MOST:
        text = f"Value '{size}' at 'resourcesPerPage' failed to satisfy constraint: between 1 and {MOST}"
        return tagging._invalid_parameter(text)
    answer = PLAIN({name: value for name, value in data.items() if name not in ("PaginationToken", "ResourcesPerPage")})
    if answer[0] != 200:
        return answer
    made = stacks()
    tagged = [found for found in json.loads(answer[2])["ResourceTagMappingList"] if found["Tags"]]
    tagged.sort(key=lambda found: found["ResourceARN"])
    token = data.get("PaginationToken") or ""
    try:
        after = base64.urlsafe_b64decode(token).decode()
    except ValueError:
        after = "?"
    if token and after not in (found["ResourceARN"] for found in tagged):
        return tagging._invalid_parameter("The PaginationToken is not valid")
    left = [found for found in tagged if found["ResourceARN"] > after]
    page = left[:size]
    for found in page:
        found["Tags"] = found["Tags"] + own_tags(found["ResourceARN"], made)
    more = base64.urlsafe_b64encode(page[-1]["ResourceARN"].encode()).decode() if len(left) > size else ""
    return tagging._json({"ResourceTagMappingList": page, "PaginationToken": more})


PLAIN = tagging._get_resources


def install(cloud: Cloud) -> None:
    """Adds the services that ministack omits, and pages."""
    del cloud
    tagging._COLLECTORS.update(
        rds=of_rds, logs=of_logs, secretsmanager=tagging._collect_secretsmanager, states=of_states
    )
    tagging._HANDLERS["GetResources"] = get_resources
