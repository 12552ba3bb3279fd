"""Checks the template's roles against cfn-lint's data from AWS: resource type schemas and policy data."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re

import pytest
from cfnlint.decode import cfn_yaml
from conftest import HERE

from localcloud import cloudcontrol

ROOT = HERE.parent.parent
TEMPLATE = cfn_yaml.load(str(ROOT / "template.yaml"))
RESOURCES = TEMPLATE["Resources"]
# For each service, its actions (in lower case) with the types of resource they apply to, and these types' ARNs.
POLICIES = json.loads(
    (pathlib.Path(importlib.util.find_spec("cfnlint").origin).parent / "data/AdditionalSpecs/Policies.json").read_text()
)
# The data has one ARN format for both.
S3 = {("s3", "bucket"): "arn:aws:s3:::[^/]*", ("s3", "object"): "arn:aws:s3:::[^/]*/.*"}
# Actions in a schema that the Service Authorization Reference does not list.
UNLISTED = {"vpc-lattice:DescribeServiceNetworkVpcEndpointAssociation"}
PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"}
HERE_ARN = "us-east-1:123456789012"
ARNS = {
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{HERE_ARN}:table/name",
    "AWS::IAM::Role": "arn:aws:iam::123456789012:role/name",
    "AWS::S3::Bucket": "arn:aws:s3:::bucket",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{HERE_ARN}:log-group:name:*",
    "AWS::SQS::Queue": f"arn:aws:sqs:{HERE_ARN}:name",
    "AWS::SNS::Topic": f"arn:aws:sns:{HERE_ARN}:name",
    "AWS::Serverless::Function": f"arn:aws:lambda:{HERE_ARN}:function:name",
    "AWS::Serverless::StateMachine": f"arn:aws:states:{HERE_ARN}:stateMachine:name",
}


def arn(value) -> str:
    """The ARN of a statement's resource, with example values for functions and parameters."""
    if isinstance(value, str):
        return value
    ((function, given),) = value.items()
    if function == "Fn::If":
        return arn(given[1])
    if function == "Fn::GetAtt":
        return ARNS[RESOURCES[given[0] if isinstance(given, list) else given.partition(".")[0]]["Type"]]
    if function == "Ref":
        if given in RESOURCES:
            return ARNS[RESOURCES[given]["Type"]]
        if "Secret" in given and "Kms" not in given:
            return f"arn:aws:secretsmanager:{HERE_ARN}:secret:name"
        assert given.endswith("KmsKeyArn"), given
        return f"arn:aws:kms:{HERE_ARN}:key/name"
    assert function == "Fn::Sub", value
    if isinstance(given, list):
        given = given[0]

    def known(match) -> str:
        name = match[1]
        if name.endswith(".Arn"):
            return ARNS[RESOURCES[name[:-4]]["Type"]]
        return PSEUDO.get(name, "us-east-1" if name.endswith("Region") else "name")

    return re.sub(r"\$\{([^}]+)\}", known, given)


def entries(value) -> list:
    return value if isinstance(value, list) else [value]


def statements(found) -> list[dict]:
    """All statements below a value, including conditional ones."""
    if isinstance(found, dict):
        below = [one for value in found.values() for one in statements(value)]
        return [found, *below] if "Effect" in found else below
    if isinstance(found, list):
        return [one for value in found for one in statements(value)]
    return []


def forms(action: str) -> list[re.Pattern] | None:
    """The ARN formats of the resources that an action applies to; None if it supports no resource-level permissions."""
    service, _, name = action.partition(":")
    known = POLICIES[service]["Actions"][name.lower()]
    if not known.get("Resources"):
        return None
    # The two tables spell the types in different cases.
    arns = {kind.lower(): one["ARNFormats"] for kind, one in POLICIES[service]["Resources"].items()}
    found = []
    for kind in known["Resources"]:
        for form in arns[kind.lower()]:
            if (service, kind) in S3:
                form = S3[service, kind]
            filled = re.sub(r"\$\{(\w+)\}", lambda one: "aws" if one[1] == "Partition" else "[^:]*", form)
            found.append(re.compile(filled))
    return found


def useless(statement: dict) -> list[str]:
    """A statement's ineffective grants: actions without a matching resource, resources without a matching action."""
    if "Resource" not in statement:
        return []
    resources = [arn(one) for one in entries(statement["Resource"])]
    found, used = [], set()
    for action in entries(statement["Action"]):
        if action in UNLISTED:
            used.update(one for one in resources if one == "*")
            continue
        judged = forms(action)
        fits = {
            one
            for one in resources
            if one == "*" or (judged and any(form.fullmatch(one.replace("*", "x")) for form in judged))
        }
        used |= fits
        if not fits:
            found.append(f"{action} on {resources}")
    return found + [one for one in resources if one not in used]


ROLES = {
    name: resource
    for name, resource in RESOURCES.items()
    if resource["Type"] in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy")
}


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_role_grants_nothing_that_has_no_effect(role):
    document = {key: value for key, value in ROLES[role]["Properties"].items() if key != "AssumeRolePolicyDocument"}
    found = statements(document)
    assert found
    assert [one for statement in found for one in useless(statement)] == []


@pytest.mark.parametrize(
    ("action", "resource", "has_effect"),
    [
        # Row 6.7 of the field: DescribeLogGroups supports no resource-level permissions.
        ("logs:DescribeLogGroups", f"arn:aws:logs:{HERE_ARN}:log-group:*", False),
        ("logs:DescribeLogGroups", "*", True),
        ("logs:ListTagsForResource", f"arn:aws:logs:{HERE_ARN}:log-group:*", True),
        ("s3:GetObject", "arn:aws:s3:::bucket", False),
        ("s3:ListBucket", "arn:aws:s3:::bucket/*", False),
        ("s3:ListBucket", "arn:aws:s3:::bucket", True),
        ("secretsmanager:ListSecrets", f"arn:aws:secretsmanager:{HERE_ARN}:secret:*", False),
        ("rds:CreateDBSnapshot", f"arn:aws:rds:{HERE_ARN}:snapshot:x-*", True),
    ],
)
def test_a_grant_without_effect_would_be_found(action, resource, has_effect):
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    assert (useless(statement) == []) == has_effect


def test_a_function_in_a_vpc_may_do_what_lambda_documents():
    (statement,) = statements(RESOURCES["NetworkInterfaces"])
    # The managed policy AWSLambdaVPCAccessExecutionRole, version 3, without its actions for logs.
    assert set(statement["Action"]) == {
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    }


def asked_of_cloud_control() -> set[tuple[str, str, str]]:
    """The types that functions list or read with Cloud Control, each with the function's folder and the handler.

    A file that only calls GetResource reads its types; the others' types are listed, and read after that.
    """
    found = set()
    for folder in (ROOT / "functions").iterdir():
        files = [file.read_text() for file in sorted((folder / "src").rglob("*.rs"))]
        lists = any("cloudformation:ListResources" in code for code in files)
        for code in files:
            only_reads = "cloudformation:GetResource" in code and "cloudformation:ListResources" not in code
            handler = "list" if lists and not only_reads else "read"
            found |= {(folder.name, one, handler) for one in re.findall(r'"(AWS::\w+::\w+)"', code)}
    return found


def test_a_role_grants_what_cloud_controls_handlers_ask_for_each_type():
    asked = asked_of_cloud_control()
    assert ("backup-audit", "AWS::EC2::VPCEndpoint", "list") in asked
    assert ("inventory-audit", "AWS::EFS::FileSystem", "read") in asked
    for folder, kind, handler in sorted(asked):
        role = "".join(word.capitalize() for word in folder.split("-")) + "Role"
        granted = {
            action for one in statements(ROLES[role]["Properties"]["Policies"]) for action in entries(one["Action"])
        }
        assert set(cloudcontrol.permissions(kind, handler)) <= granted, kind
