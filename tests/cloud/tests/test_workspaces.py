"""File systems and workspaces through Cloud Control: permissions and shown properties."""

from __future__ import annotations

import json
import pathlib

import pytest
from botocore.exceptions import ClientError

from localcloud.workspaces import FILE_SYSTEM, GRAFANA, PROMETHEUS, permissions

SCOPE = "us-east-1:000000000000"
TEMPLATE = (pathlib.Path(__file__).parents[3] / "template.yaml").read_text()


def shown(cloud, kind: str, identifier: str) -> dict | None:
    try:
        found = cloud.client("cloudcontrol").get_resource(TypeName=kind, Identifier=identifier)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ResourceNotFoundException"
        return None
    return json.loads(found["ResourceDescription"]["Properties"])


def test_a_file_system_is_shown_by_its_id(cloud):
    efs, tags = cloud.client("efs"), [{"Key": "Project", "Value": "moveongs"}]
    made = efs.create_file_system(CreationToken="uploads", Tags=tags)["FileSystemId"]
    found = shown(cloud, FILE_SYSTEM, made)
    assert (found["FileSystemId"], found["FileSystemTags"]) == (made, tags)
    efs.delete_file_system(FileSystemId=made)
    assert shown(cloud, FILE_SYSTEM, made) is None


@pytest.mark.parametrize(
    ("kind", "identifier", "known"),
    [
        (GRAFANA, "g-0123456789", "Id"),
        (PROMETHEUS, f"arn:aws:aps:{SCOPE}:workspace/ws-1", "Arn"),
    ],
)
def test_a_workspace_is_shown_by_what_its_schema_identifies_it_by(cloud, kind, identifier, known):
    assert shown(cloud, kind, identifier) is None
    made = {"type": kind, "id": identifier.rpartition("/")[2], "tags": {"Project": "moveongs"}}
    cloud.admin("POST", "workspaces", made)
    found = shown(cloud, kind, identifier)
    assert (found[known], found["Tags"]) == (identifier, [{"Key": "Project", "Value": "moveongs"}])
    cloud.admin("POST", "workspaces", {**made, "tags": None})
    assert shown(cloud, kind, identifier) is None


@pytest.mark.parametrize("kind", [FILE_SYSTEM, GRAFANA, PROMETHEUS])
def test_whoever_looks_needs_all_that_the_read_handler_needs(cloud, kind):
    iam, role = cloud.client("iam"), f"looks-{kind.replace('::', '-')}"
    trust = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    keys = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="looks")["Credentials"]
    control = cloud.client(
        "cloudcontrol",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )

    def code(allowed: list[str]) -> str:
        statement = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=role, PolicyName="looks", PolicyDocument=policy)
        with pytest.raises(ClientError) as refused:
            control.get_resource(TypeName=kind, Identifier="fs-none")
        return refused.value.response["Error"]["Code"]

    every = ["cloudformation:GetResource", *permissions(kind, "read")]
    assert code(every) == "ResourceNotFoundException"
    for lacking in every:
        assert code([action for action in every if action != lacking]) == "AccessDeniedException", lacking


@pytest.mark.parametrize("kind", [FILE_SYSTEM, GRAFANA, PROMETHEUS])
def test_the_inventorys_audit_may_all_that_the_read_handler_needs(kind):
    role = TEMPLATE.partition("\n  InventoryAuditRole:")[2].partition("\n  InventoryAuditLogs:")[0]
    for action in permissions(kind, "read"):
        assert f'"{action}"' in role, action
