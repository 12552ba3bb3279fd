"""docs/deployer-policy.json grants exactly the actions that a deployment of the template needs.

CloudFormation calls them with the deployer's permissions. The handlers in the resource types' schemas, which cfn-lint
ships, list the actions for every feature of a type; `UNUSED` lists those of features that the template does not use.
`TOOLS` lists the actions of SAM and CloudFormation themselves, which AWS documents but no schema has.
"""

from __future__ import annotations

import fnmatch
import json
import pathlib

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from deployed import deployed

ROOT = pathlib.Path(__file__).resolve().parents[3]
POLICY = ROOT / "docs/deployer-policy.json"

UNUSED = {
    "cloudfront:*ConnectionGroup": "no tenants",
    "cloudfront:GetVpcOrigin": "no origin in a VPC",
    "cloudfront:UpdateDistributionWithStagingConfig": "no staging distribution",
    "dynamodb:*Replica": "no replicas",
    "dynamodb:*Item": "the functions write the items",
    "dynamodb:DeleteResourcePolicy": "no resource policy",
    "dynamodb:DescribeImport": "no import",
    "dynamodb:*ableKinesisStreamingDestination": "no stream",
    "dynamodb:ImportTable": "no import",
    "dynamodb:PutResourcePolicy": "no resource policy",
    "dynamodb:Query": "no replicas",
    "dynamodb:Scan": "no replicas",
    "dynamodb:UpdateContributorInsights": "no insights",
    "dynamodb:UpdateKinesisStreamingDestination": "no stream",
    "elasticfilesystem:*": "no function mounts a file system",
    "firehose:*": "no delivery of logs",
    "iam:*GroupPolicy": "no group has the policy for a VPC",
    "iam:*PermissionsBoundary": "no role has a boundary",
    "iam:*UserPolicy": "no user has the policy for a VPC",
    "iam:CreateServiceLinkedRole": "no replicas of the table",
    "iam:UpdateRoleDescription": "no role has a description",
    "kinesis:*": "no stream",
    "kms:*": "no key of one's own for environment variables or state machines",
    "lambda:*CapacityProvider": "no instances of one's own",
    "lambda:*FunctionCodeSigningConfig": "no signed code",
    "lambda:*FunctionConcurrency": "no reserved concurrency",
    "lambda:*RecursionConfig": "the default",
    "lambda:*RuntimeManagementConfig": "the default",
    "lambda:*ScalingConfig": "no instances of one's own",
    "lambda:AssociateRuntimeAlias": "no alias",
    "lambda:GetCodeSigningConfig": "no signed code",
    "lambda:PublishVersion": "no version",
    "logs:*BearerTokenAuthentication": "the default",
    "logs:*DataProtectionPolicy": "no masking",
    "logs:*DeletionProtection": "the default",
    "logs:*IndexPolic*": "no index",
    "logs:*KmsKey": "no key of one's own",
    "logs:*ResourcePolic*": "no resource policy",
    "logs:*LogEvents": "no import",
    "logs:*LogStream*": "no import",
    "logs:CreateLogDelivery": "no delivery of logs",
    "s3:*Abac": "no access by tags",
    "s3:*Accelerate*": "no acceleration",
    "s3:*Acl": "no ACL: BucketOwnerEnforced",
    "s3:*Analytics*": "no analysis",
    "s3:*C[Oo][Rr][Ss]": "no origins",
    "s3:*IntelligentTiering*": "no tiering",
    "s3:*Inventory*": "no inventory",
    "s3:*Lifecycle*": "no lifecycle rules: the bucket keeps its records",
    "s3:*Logging": "no access log",
    "s3:*Metadata*": "no metadata tables",
    "s3:*Metrics*": "no metrics of requests",
    "s3:*Replication*": "no replication",
    "s3:*Website": "no website",
    "s3:DeleteBucketEncryption": "it stays",
    "s3:DeleteObject": "the evidence stays; the people's bucket, below, is emptied by hand",
    "s3:REST.PUT.OBJECT": "no delivery of logs",
    "s3files:*": "no function mounts a file system",
    "s3tables:*": "no tables",
    "sns:*DataProtectionPolicy": "no masking",
    "sns:Set*SubscriptionAttributes": "another address is another subscription",
}

# https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-deploying.html
TOOLS = {
    "cloudformation:CreateChangeSet",
    "cloudformation:CreateStack",
    "cloudformation:DeleteChangeSet",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStackResources",
    "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:GetTemplate",
    "cloudformation:GetTemplateSummary",
    "cloudformation:ListStackResources",
    "cloudformation:UpdateStack",
    "cloudformation:ValidateTemplate",
    # The bucket for packages that `resolve_s3` creates.
    "s3:GetBucketLocation",
    "s3:PutObject",
    # The policy document, for `cargo xtask policy`.
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:ListBucketVersions",
    # The removal of people's data, docs/onboarding.md.
    "s3:DeleteObject",
}
# Additional permissions of a stack in a VPC: its subnets and groups, and the policy for network interfaces.
IN_VPC = {"InVpc", "NetworkPolicyInVpc"}
OF_VPC = {
    "ec2:Describe*",
    "iam:CreatePolicy*",
    "iam:DeletePolicy*",
    "iam:GetPolicy*",
    "iam:ListEntitiesForPolicy",
    "iam:ListPolicyVersions",
}


def needed() -> set[str]:
    """The actions of CloudFormation's create, read, update and delete handlers for the template's resources."""
    kinds = {resource["Type"] for resource in deployed().values()}
    found: set[str] = set()
    for kind in kinds:
        handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"]
        for name in ("create", "read", "update", "delete"):
            found |= set(handlers.get(name, {}).get("permissions", []))
    assert {"iam:CreateRole", "lambda:CreateFunction", "s3:CreateBucket"} <= found
    return found


def is_unused(action: str) -> bool:
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in UNUSED.keys() | OF_VPC)


def statements() -> list[dict]:
    return json.loads(POLICY.read_text())["Statement"]


def granted(with_vpc: bool = False) -> set[str]:
    return {
        action
        for statement in statements()
        if with_vpc or statement["Sid"] not in IN_VPC
        for action in statement["Action"]
    }


def test_the_deployers_policy_grants_what_the_resource_types_ask_for_and_nothing_else() -> None:
    used = {action for action in needed() if not is_unused(action)}
    assert used - granted() == set(), "missing in docs/deployer-policy.json"
    assert granted() - used - TOOLS == set(), "not needed by any resource of the template"
    assert granted() >= TOOLS


def test_a_vpc_asks_for_more() -> None:
    more = {action for action in needed() if any(fnmatch.fnmatchcase(action, pattern) for pattern in OF_VPC)}
    assert granted(with_vpc=True) - granted() == more != set()


def test_what_is_called_unused_is_asked_for_by_a_type_and_not_used_by_the_template() -> None:
    actions = needed()
    for pattern in UNUSED.keys() | OF_VPC:
        assert any(fnmatch.fnmatchcase(action, pattern) for action in actions), f"{pattern} excuses nothing"
    properties = {
        "AWS::DynamoDB::Table": {
            "ContributorInsightsSpecification",
            "ImportSourceSpecification",
            "KinesisStreamSpecification",
            "ResourcePolicy",
        },
        "AWS::Lambda::Function": {
            "KmsKeyArn",
            "ReservedConcurrentExecutions",
            "CodeSigningConfigArn",
            "FileSystemConfigs",
        },
        "AWS::IAM::Role": {"PermissionsBoundary", "Description"},
        "AWS::Logs::LogGroup": {"KmsKeyId", "DataProtectionPolicy"},
        "AWS::S3::Bucket": {
            "LifecycleConfiguration",
            "ReplicationConfiguration",
            "LoggingConfiguration",
        },
        "AWS::StepFunctions::StateMachine": {"EncryptionConfiguration", "LoggingConfiguration"},
    }
    for name, resource in deployed().items():
        used = properties.get(resource["Type"], set()) & resource["Properties"].keys()
        assert not used, f"{name} uses {used}: take it out of UNUSED"


def test_nothing_is_granted_on_everything_but_what_cannot_be_narrowed() -> None:
    for statement in statements():
        for action in statement["Action"]:
            assert "*" not in action, action
        if statement["Action"] == ["lambda:CreateEventSourceMapping"]:
            assert statement["Condition"]["ArnLike"]["lambda:FunctionArn"].endswith(":function:moveongs-dev-*")
        elif statement["Sid"] == "AddressOfThePage":
            # CloudFront makes the identifiers of keys and distributions.
            assert all(action.startswith("cloudfront:") for action in statement["Action"])
        elif statement["Resource"] == "*":
            names = {action.split(":")[1] for action in statement["Action"]}
            assert all(name.startswith(("Describe", "List", "Get", "Validate")) for name in names), statement["Sid"]
    passing = [statement for statement in statements() if "iam:PassRole" in statement["Action"]]
    assert passing and all(statement["Condition"]["StringEquals"]["iam:PassedToService"] for statement in passing)
