"""The resources that remain after a failed creation of the template's stack, and after its deletion."""

from __future__ import annotations

import itertools
import json

import pytest
from botocore.exceptions import ClientError
from cfnlint.decode import cfn_yaml
from conftest import HERE, bootstrap, wait_for

TEMPLATE = cfn_yaml.load(str(HERE.parent.parent / "template.yaml"))
numbers = itertools.count(1)

# A rotation function that answers every step with success.
AGREES = r"""
import http.client, os

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = api.getresponse()
    answer.read()
    request = answer.headers["Lambda-Runtime-Aws-Request-Id"]
    api.request("POST", f"/2018-06-01/runtime/invocation/{request}/response", "null")
    api.getresponse().read()
"""


def template(bucket: str, **more) -> str:
    """The template's evidence bucket and bucket policy, without parameters and functions' roles."""
    kept = {name: TEMPLATE["Resources"][name] for name in ("EvidenceBucket", "EvidenceBucketPolicy")}
    resources = json.loads(json.dumps(kept))
    properties = resources["EvidenceBucket"]["Properties"]
    properties["BucketName"] = bucket
    properties["ObjectLockConfiguration"]["Rule"]["DefaultRetention"] = {"Mode": "GOVERNANCE", "Days": 1}
    del properties["Tags"]
    document = resources["EvidenceBucketPolicy"]["Properties"]["PolicyDocument"]
    document["Statement"] = [one for one in document["Statement"] if one.get("Sid") == "NobodyDeletes"]
    return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {**resources, **more}})


def schedule(secret: str, function: str, **more) -> dict:
    rules = {"AutomaticallyAfterDays": 30}
    properties = {"SecretId": secret, "RotationLambdaARN": function, "RotationRules": rules}
    properties["RotateImmediatelyOnUpdate"] = False
    return {"Type": "AWS::SecretsManager::RotationSchedule", "Properties": properties, **more}


FAILS = schedule(
    "there-is-none", "arn:aws:lambda:us-east-1:000000000000:function:none", DependsOn="EvidenceBucketPolicy"
)


class Stacks:
    def __init__(self, cloud):
        self.client = cloud.client("cloudformation")

    def status(self, name: str) -> str:
        try:
            return self.client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        except ClientError:
            return "DELETE_COMPLETE"

    def ended(self, name: str) -> str:
        wait_for(lambda: not self.status(name).endswith("_IN_PROGRESS"), "the stack to come to rest")
        return self.status(name)


@pytest.fixture
def stacks(cloud):
    return Stacks(cloud)


@pytest.fixture
def s3(cloud):
    return cloud.client("s3")


def has_policy(s3, bucket: str) -> bool:
    return "NobodyDeletes" in s3.get_bucket_policy(Bucket=bucket)["Policy"]


def test_bucket_and_policy_outlive_their_stack_and_stand_in_the_way_of_the_next(stacks, s3):
    bucket = f"kept-evidence-{next(numbers)}"
    stacks.client.create_stack(StackName=bucket, TemplateBody=template(bucket))
    assert stacks.ended(bucket) == "CREATE_COMPLETE"
    stacks.client.delete_stack(StackName=bucket)
    assert stacks.ended(bucket) == "DELETE_COMPLETE"
    assert has_policy(s3, bucket)
    stacks.client.create_stack(StackName=bucket, TemplateBody=template(bucket))
    assert stacks.ended(bucket) == "ROLLBACK_COMPLETE"
    assert has_policy(s3, bucket)

    # docs/implantacao.md: import a bucket whose records count. The change set is not executed, because ministack takes
    # an imported name for a conflict.
    change = {"StackName": f"{bucket}-again", "ChangeSetName": "import"}
    body = template(bucket)
    stacks.client.create_change_set(**change, ChangeSetType="CREATE", ImportExistingResources=True, TemplateBody=body)
    described = wait_for(
        lambda: (found := stacks.client.describe_change_set(**change))["Status"].endswith("_COMPLETE") and found,
        "the change set",
    )
    changes = [one["ResourceChange"] for one in described["Changes"]]
    assert ("EvidenceBucket", "Import") in [(one["LogicalResourceId"], one["Action"]) for one in changes]


def test_an_empty_bucket_of_a_failed_creation_goes(stacks, s3):
    bucket = f"empty-evidence-{next(numbers)}"
    stacks.client.create_stack(StackName=bucket, TemplateBody=template(bucket, Fails=FAILS))
    assert stacks.ended(bucket) == "ROLLBACK_COMPLETE"
    with pytest.raises(ClientError) as refused:
        s3.head_bucket(Bucket=bucket)
    assert refused.value.response["Error"]["Code"] == "404"


def test_a_failed_creation_with_locked_records_leaves_the_bucket_and_its_policy(stacks, s3):
    bucket = f"locked-evidence-{next(numbers)}"
    stacks.client.create_stack(StackName=bucket, TemplateBody=template(bucket, Fails=FAILS), DisableRollback=True)
    assert stacks.ended(bucket) == "CREATE_FAILED"
    # A function ran meanwhile and wrote a record.
    s3.put_object(Bucket=bucket, Key="evidence/rotate-random/1", Body=b"record")
    stacks.client.rollback_stack(StackName=bucket)
    assert stacks.ended(bucket) == "ROLLBACK_FAILED"
    assert has_policy(s3, bucket)
    # The stack can now be deleted; bucket and policy stay.
    stacks.client.delete_stack(StackName=bucket)
    assert stacks.ended(bucket) == "DELETE_COMPLETE"
    assert has_policy(s3, bucket)

    # docs/implantacao.md: delete a bucket whose records are worth nothing.
    s3.delete_bucket_policy(Bucket=bucket)
    for one in s3.list_object_versions(Bucket=bucket)["Versions"]:
        s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"], BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket=bucket)
    stacks.client.create_stack(StackName=bucket, TemplateBody=template(bucket))
    assert stacks.ended(bucket) == "CREATE_COMPLETE"


# According to the type's schema, a schedule's delete handler calls CancelRotateSecret.
def test_a_failed_creation_ends_an_older_rotation_of_the_secret(cloud, stacks):
    secrets, iam = cloud.client("secretsmanager"), cloud.client("iam")
    name = f"rotated-before-{next(numbers)}"
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    functions = []
    for function in (f"{name}-old", f"{name}-new"):
        made = cloud.client("lambda").create_function(
            FunctionName=function,
            Role=role,
            Code={"ZipFile": bootstrap(AGREES)},
            Runtime="provided.al2023",
            Handler="bootstrap",
        )
        functions.append(made["FunctionArn"])
        cloud.client("lambda").add_permission(
            FunctionName=function,
            StatementId="rotate",
            Action="lambda:InvokeFunction",
            Principal="secretsmanager.amazonaws.com",
        )
    secret = secrets.create_secret(Name=name, SecretString="x")["ARN"]
    rules = {"AutomaticallyAfterDays": 30}
    secrets.rotate_secret(SecretId=secret, RotationLambdaARN=functions[0], RotationRules=rules, RotateImmediately=False)
    assert secrets.describe_secret(SecretId=secret)["RotationEnabled"]
    # RotateSecret tests the configuration with an AWSPENDING version.
    wait_for(lambda: "AWSPENDING" not in str(secrets.describe_secret(SecretId=secret)), "the test to end")

    fails = {**FAILS, "DependsOn": "Schedule"}
    resources = {"Schedule": schedule(secret, functions[1]), "Fails": fails}
    body = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources})
    stacks.client.create_stack(StackName=name, TemplateBody=body)
    assert stacks.ended(name) == "ROLLBACK_COMPLETE"
    events = stacks.client.describe_stack_events(StackName=name)["StackEvents"]
    ends = {(one["LogicalResourceId"], one["ResourceStatus"]) for one in events}
    assert {("Schedule", "CREATE_COMPLETE"), ("Fails", "CREATE_FAILED"), ("Schedule", "DELETE_COMPLETE")} <= ends
    left = secrets.describe_secret(SecretId=secret)
    assert not left.get("RotationEnabled")

    # docs/implantacao.md: set the rotation noted before the deployment again.
    secrets.rotate_secret(SecretId=secret, RotationLambdaARN=functions[0], RotationRules=rules, RotateImmediately=False)
    assert secrets.describe_secret(SecretId=secret)["RotationLambdaARN"] == functions[0]


REQUIRED = {
    "Environment": "dev",
    "CodeVersion": "x",
    "JwtSecretName": "x",
    "SlackSecretName": "x",
    "DatabaseInstanceId": "x",
    "EcsClusterName": "x",
    "PagingEmail": "none",
    "DeployerArns": "arn:aws:iam::000000000000:role/deployer",
}
GITHUB = {"GitHubRepository": "o/r", "GitHubSecretName": "x"}
REGION = {"SnapshotCopyRegion": "sa-east-1"}
KEY = "arn:aws:kms:sa-east-1:000000000000:key/x"


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({}, None),
        ({"SesSecretName": "x", "SesFromAddress": "a@b"}, "SesSecretName requires SesUserName"),
        ({"SesSecretName": "x", "SesUserName": "x"}, "SesSecretName requires SesFromAddress"),
        ({"SesSecretName": "x", "SesUserName": "x", "SesFromAddress": "a@b"}, None),
        ({"TwilioSecretName": "x"}, "TwilioSecretName requires TwilioAccountSid"),
        ({"TwilioSecretName": "x", "TwilioAccountSid": "AC" + 32 * "0"}, None),
        ({"SeedAdminGitHubSecret": "X", **GITHUB}, "SeedAdminGitHubSecret requires SeedAdminSecretName"),
        ({"SeedAdminGitHubSecret": "X", "SeedAdminSecretName": "x"}, "SeedAdminGitHubSecret requires GitHubRepository"),
        ({"SeedAdminGitHubEnvironment": "x"}, "SeedAdminGitHubEnvironment requires SeedAdminGitHubSecret"),
        ({"SeedAdminGitHubSecret": "X", "SeedAdminSecretName": "x", **GITHUB}, None),
        (REGION, "SnapshotCopyRegion and SnapshotCopyKmsKeyArn require each other"),
        ({"SnapshotCopyKmsKeyArn": KEY}, "SnapshotCopyRegion and SnapshotCopyKmsKeyArn require each other"),
        ({**REGION, "SnapshotCopyKmsKeyArn": KEY}, None),
        ({"TerraformStateKey": "a.tfstate"}, "require TerraformStateBucketName"),
        ({"TerraformStateKmsKeyArn": KEY}, "require TerraformStateBucketName"),
        # A bucket without a key is valid: it is audited, but no state is compared.
        ({"TerraformStateBucketName": "states"}, None),
        ({"TerraformStateBucketName": "states", "TerraformStateKey": "a.tfstate"}, None),
        ({"GitHubRepository": "o/r"}, "GitHubRepository and GitHubSecretName require each other"),
        ({"GitHubSecretName": "x"}, "GitHubRepository and GitHubSecretName require each other"),
        ({"ChangelogPath": "a.md"}, "ChangelogPath requires GitHubRepository"),
        ({"ChangelogPath": "a.md", **GITHUB}, None),
        ({"PostmortemPath": "docs"}, "PostmortemPath requires GitHubRepository"),
        ({"PostmortemPath": "docs", **GITHUB}, None),
        ({"RdsCaLayerArn": "arn:aws:lambda:x"}, "RdsCaLayerArn requires RdsCaFile"),
        ({"VpcSubnetIds": "subnet-a,subnet-b"}, "VpcSubnetIds and VpcSecurityGroupIds require each other"),
        ({"VpcSecurityGroupIds": "sg-a"}, "VpcSubnetIds and VpcSecurityGroupIds require each other"),
        ({"VpcSubnetIds": "subnet-a,subnet-b", "VpcSecurityGroupIds": "sg-a"}, None),
    ],
)
def test_parameters_that_lack_their_other_half_are_refused(stacks, given, refused):
    parts = {name: TEMPLATE[name] for name in ("AWSTemplateFormatVersion", "Parameters", "Rules")}
    body = json.dumps({**parts, "Resources": {"One": {"Type": "AWS::SNS::Topic"}}})
    values = [{"ParameterKey": name, "ParameterValue": value} for name, value in {**REQUIRED, **given}.items()]
    name = f"rules-{next(numbers)}"
    ask = {"StackName": name, "ChangeSetName": "ask", "ChangeSetType": "CREATE", "Parameters": values}
    if refused is None:
        stacks.client.create_change_set(TemplateBody=body, **ask)
        return
    with pytest.raises(ClientError) as error:
        stacks.client.create_change_set(TemplateBody=body, **ask)
    assert refused in str(error.value)
