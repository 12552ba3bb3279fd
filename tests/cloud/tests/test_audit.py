"""An audit's reads besides RDS (S3, DynamoDB, ECS, simulated policies, Cloud Control): permissions and faults."""

from __future__ import annotations

import datetime
import itertools
import json
import re

import pytest
from botocore.exceptions import ClientError

from localcloud import cloudcontrol

ACCOUNT = "000000000000"
numbers = itertools.count(1)


def refusal(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


@pytest.fixture(scope="module")
def s3(cloud):
    return cloud.client("s3")


@pytest.fixture
def bucket(s3):
    name = f"audited-{next(numbers)}"
    s3.create_bucket(Bucket=name)
    yield name
    for one in s3.list_object_versions(Bucket=name).get("Versions", []):
        s3.delete_object(Bucket=name, Key=one["Key"], VersionId=one["VersionId"])
    s3.delete_bucket(Bucket=name)


# --- S3 ---


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        ("get_bucket_policy", "NoSuchBucketPolicy"),
        ("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
        ("get_bucket_replication", "ReplicationConfigurationNotFoundError"),
        ("get_bucket_tagging", "NoSuchTagSet"),
    ],
)
def test_a_new_bucket_lacks_what_nobody_configured(s3, bucket, call, code):
    assert refusal(getattr(s3, call), Bucket=bucket) == code
    assert refusal(getattr(s3, call), Bucket="there-is-none") == "NoSuchBucket"


def test_a_new_bucket_is_closed_and_encrypted_and_not_versioned(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    s3.put_object(Bucket=bucket, Key="one", Body=b"1")
    assert s3.head_object(Bucket=bucket, Key="one")["ServerSideEncryption"] == "AES256"
    s3.delete_public_access_block(Bucket=bucket)
    assert refusal(s3.get_public_access_block, Bucket=bucket) == "NoSuchPublicAccessBlockConfiguration"


def test_what_a_bucket_is_told_it_tells(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    rule = {
        "ID": "old-versions",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 90, "NewerNoncurrentVersions": 2},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == [rule]
    old = {"ID": "old-rule", "Status": "Disabled", "Prefix": "old/", "Expiration": {"Days": 3}}
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={"Rules": [rule, old]},
        TransitionDefaultMinimumObjectSize="varies_by_storage_class",
    )
    told = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert told["Rules"] == [rule, old]
    assert told["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    block = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    ) | {"RestrictPublicBuckets": False}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == block
    policy = {"Version": "2012-10-17", "Statement": []}
    assert refusal(s3.put_bucket_policy, Bucket=bucket, Policy=json.dumps(policy)) == "MalformedPolicy"
    assert refusal(s3.put_bucket_policy, Bucket=bucket, Policy="none") == "MalformedPolicy"
    insecure = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
    insecure["Condition"] = {"Bool": {"aws:SecureTransport": "false"}}
    policy["Statement"].append(insecure)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == policy


def account_control(cloud, **credentials):
    """S3 Control without the account as a prefix of the host, which an IP address cannot have."""
    client = cloud.client("s3control", **credentials)

    def without(request, **_):
        request.url = re.sub(r"//\d{12}\.", "//", request.url)

    client.meta.events.register("before-sign.s3-control", without)
    return client


def test_the_accounts_block_counts_beside_the_buckets(cloud, s3, bucket):
    control = account_control(cloud)
    assert refusal(control.get_public_access_block, AccountId=ACCOUNT) == "NoSuchPublicAccessBlockConfiguration"
    assert refusal(control.get_public_access_block, AccountId="210987654321") == "AccessDenied"
    block = dict.fromkeys(("IgnorePublicAcls", "RestrictPublicBuckets"), False)
    block |= dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy"), True)
    control.put_public_access_block(AccountId=ACCOUNT, PublicAccessBlockConfiguration=block)
    told = control.get_public_access_block(AccountId=ACCOUNT)
    assert told["PublicAccessBlockConfiguration"] == block
    s3.delete_public_access_block(Bucket=bucket)
    public = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    public = json.dumps({"Version": "2012-10-17", "Statement": [public]})
    assert refusal(s3.put_bucket_policy, Bucket=bucket, Policy=public) == "AccessDenied"
    control.delete_public_access_block(AccountId=ACCOUNT)
    assert refusal(control.get_public_access_block, AccountId=ACCOUNT) == "NoSuchPublicAccessBlockConfiguration"
    s3.put_bucket_policy(Bucket=bucket, Policy=public)


def test_buckets_are_listed_in_pages_by_a_token_that_was_given(s3):
    names = [f"listed-{number}" for number in range(5)]
    for name in names:
        s3.create_bucket(Bucket=name)
    first = s3.list_buckets(Prefix="listed-", MaxBuckets=2)
    assert [one["Name"] for one in first["Buckets"]] == names[:2]
    rest = s3.list_buckets(Prefix="listed-", MaxBuckets=3, ContinuationToken=first["ContinuationToken"])
    assert [one["Name"] for one in rest["Buckets"]] == names[2:]
    assert "ContinuationToken" not in rest
    assert refusal(s3.list_buckets, MaxBuckets=10_001) == "InvalidArgument"
    assert refusal(s3.list_buckets, ContinuationToken="not base64!") == "InvalidArgument"
    for name in names:
        s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("versioned", [False, True])
def test_an_object_can_be_as_old_as_a_test_needs_it(cloud, s3, bucket, versioned):
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="dump", Body=b"1")
    old = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    cloud.admin("POST", "s3/object", {"bucket": bucket, "key": "dump", "last_modified": old.isoformat()})
    assert s3.head_object(Bucket=bucket, Key="dump")["LastModified"] == old
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"] == old
    assert s3.list_object_versions(Bucket=bucket)["Versions"][0]["LastModified"] == old


def test_versions_are_listed_by_key_and_the_newest_first_with_delete_markers_apart(cloud, s3, bucket):
    """Source: API reference, ListObjectVersions ("Versions", "DeleteMarkers", "max-keys"); user guide, "Listing objects
    in a versioning-enabled bucket" (by key, each key's versions from the newest) and "Deleting object versions"."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    listed = {"Bucket": bucket, "Prefix": "chain/", "MaxKeys": 2}
    nothing = s3.list_object_versions(**listed)
    assert "Versions" not in nothing and "DeleteMarkers" not in nothing and nothing["IsTruncated"] is False

    def seen(**more):
        answer = s3.list_object_versions(**{**listed, **more})
        kept = [(one["Key"], one["VersionId"], one["IsLatest"]) for one in answer.get("Versions", [])]
        hidden = [(one["Key"], one["VersionId"], one["IsLatest"]) for one in answer.get("DeleteMarkers", [])]
        return kept, hidden, answer["IsTruncated"]

    def put(key):
        return s3.put_object(Bucket=bucket, Key=key, Body=b"1")["VersionId"]

    old, new = put("chain/2"), put("chain/1")
    put("chain"), put("elsewhere/0")
    assert seen() == ([("chain/1", new, True), ("chain/2", old, True)], [], False)
    assert seen(MaxKeys=1) == ([("chain/1", new, True)], [], True)
    marker = s3.delete_object(Bucket=bucket, Key="chain/1")["VersionId"]
    assert seen() == ([("chain/1", new, False)], [("chain/1", marker, True)], True)
    assert seen(MaxKeys=1) == ([], [("chain/1", marker, True)], True)
    # IfNoneMatch succeeds over a delete marker.
    again = s3.put_object(Bucket=bucket, Key="chain/1", Body=b"2", IfNoneMatch="*")["VersionId"]
    assert seen() == ([("chain/1", again, True)], [("chain/1", marker, False)], True)
    s3.delete_object(Bucket=bucket, Key="chain/1", VersionId=again)
    s3.delete_object(Bucket=bucket, Key="chain/1", VersionId=marker)
    assert seen() == ([("chain/1", new, True), ("chain/2", old, True)], [], False)
    s3.delete_object(Bucket=bucket, Key="chain/1", VersionId=new)
    assert seen() == ([("chain/2", old, True)], [], False)


def test_a_list_of_versions_is_an_action_of_its_own_and_judged_by_its_prefix(cloud, s3, bucket):
    """Source: API reference, ListObjectVersions ("you must have permission to perform the s3:ListBucketVersions
    action"); Service Authorization Reference, Amazon S3 (its condition key s3:prefix)."""
    resource = f"arn:aws:s3:::{bucket}"
    only = allow("s3:ListBucketVersions", resource, Condition={"StringLike": {"s3:prefix": "chain/"}})
    client = caller(cloud, "s3", only)
    client.list_object_versions(Bucket=bucket, Prefix="chain/", MaxKeys=2)
    for prefix in ("", "chain", "chain/1", "other/"):
        assert refusal(client.list_object_versions, Bucket=bucket, Prefix=prefix) == "AccessDenied"
    assert refusal(client.list_objects_v2, Bucket=bucket, Prefix="chain/") == "AccessDenied"
    other = caller(cloud, "s3", allow("s3:ListBucket", resource))
    assert refusal(other.list_object_versions, Bucket=bucket, Prefix="chain/") == "AccessDenied"


# --- DynamoDB and ECS ---


@pytest.fixture(scope="module")
def table(cloud):
    dynamodb = cloud.client("dynamodb")
    key = {"AttributeName": "id", "KeyType": "HASH"}
    attribute = {"AttributeName": "id", "AttributeType": "S"}
    dynamodb.create_table(
        TableName="audited", KeySchema=[key], AttributeDefinitions=[attribute], BillingMode="PAY_PER_REQUEST"
    )
    yield "audited"
    dynamodb.update_table(TableName="audited", DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName="audited")


def test_a_table_is_protected_and_recoverable_once_it_is_told(cloud, table):
    dynamodb = cloud.client("dynamodb")
    assert not dynamodb.describe_table(TableName=table)["Table"]["DeletionProtectionEnabled"]
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
    assert dynamodb.describe_table(TableName=table)["Table"]["DeletionProtectionEnabled"]

    def recovery():
        told = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        return told["PointInTimeRecoveryDescription"]

    assert recovery() == {"PointInTimeRecoveryStatus": "DISABLED"}
    switch = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 7}
    dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=switch)
    told = recovery()
    assert (told["PointInTimeRecoveryStatus"], told["RecoveryPeriodInDays"]) == ("ENABLED", 7)
    assert told["EarliestRestorableDateTime"] <= told["LatestRestorableDateTime"]
    switch["RecoveryPeriodInDays"] = 36
    change = {"TableName": table, "PointInTimeRecoverySpecification": switch}
    assert refusal(dynamodb.update_continuous_backups, **change) == "ValidationException"
    assert refusal(dynamodb.describe_continuous_backups, TableName="none") == "TableNotFoundException"
    assert refusal(dynamodb.describe_table, TableName="none") == "ResourceNotFoundException"


def test_a_service_and_its_task_definition_tell_how_they_are_deployed(cloud):
    ecs = cloud.client("ecs")
    ecs.create_cluster(clusterName="audited")
    secret = {"name": "PASSWORD", "valueFrom": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:app-AbCdEf"}
    variable = {"name": "LEVEL", "value": "info"}
    container = {"name": "web", "image": "web", "memory": 128, "secrets": [secret], "environment": [variable]}
    ecs.register_task_definition(family="audited", containerDefinitions=[container])
    target = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:targetgroup/web/0123456789abcdef"
    wanted = {
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
        },
        "healthCheckGracePeriodSeconds": 60,
        "loadBalancers": [{"targetGroupArn": target, "containerName": "web", "containerPort": 80}],
    }
    ecs.create_service(cluster="audited", serviceName="web", taskDefinition="audited", desiredCount=0, **wanted)
    told = ecs.describe_services(cluster="audited", services=["web"])["services"][0]
    assert {name: told[name] for name in wanted} == wanted
    defined = ecs.describe_task_definition(taskDefinition="audited")["taskDefinition"]["containerDefinitions"][0]
    assert (defined["secrets"], defined["environment"]) == ([secret], [variable])
    ecs.delete_service(cluster="audited", service="web", force=True)


# --- IAM ---


def role_with(cloud, *statements, path="/"):
    """The ARN of a new role with these statements."""
    iam, name = cloud.client("iam"), f"audit-{next(numbers)}"
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    if statements:
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy)
    return arn


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def caller(cloud, service, *statements):
    """A client with the credentials of a role with these statements."""
    role = role_with(cloud, *statements)
    keys = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="audit")["Credentials"]
    return cloud.client(
        service,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def test_a_simulation_decides_on_each_resource(cloud):
    iam = cloud.client("iam")
    objects = "arn:aws:s3:::audited"
    tagged = {"Condition": {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}}
    role = role_with(
        cloud,
        allow("s3:Get*", f"{objects}/*"),
        {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"{objects}/secret*"},
        allow("rds:DescribeDBInstances", "*", **tagged),
        allow("ses:SendEmail", "*", Condition={"StringLike": {"ses:FromAddress": "ops@*"}}),
        path="/ops/",
    )
    resources = [f"{objects}/a", f"{objects}/secret", "arn:aws:s3:::other/a"]
    [told] = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["s3:GetObject"], ResourceArns=resources)[
        "EvaluationResults"
    ]
    each = {one["EvalResourceName"]: one["EvalResourceDecision"] for one in told["ResourceSpecificResults"]}
    assert each == dict(zip(resources, ("allowed", "explicitDeny", "implicitDeny"), strict=True))

    results = iam.simulate_principal_policy(
        PolicySourceArn=role, ActionNames=["rds:DescribeDBInstances", "rds:DeleteDBInstance"]
    )["EvaluationResults"]
    assert [(one["EvalActionName"], one["EvalDecision"]) for one in results] == [
        ("rds:DescribeDBInstances", "allowed"),
        ("rds:DeleteDBInstance", "implicitDeny"),
    ]

    def mail(*entries):
        return iam.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=["ses:SendEmail"], ContextEntries=list(entries)
        )["EvaluationResults"][0]

    given = {"ContextKeyName": "ses:FromAddress", "ContextKeyType": "string", "ContextKeyValues": ["ops@ong.example"]}
    assert mail()["EvalDecision"] == "implicitDeny"
    assert mail()["MissingContextValues"] == ["ses:fromaddress"]
    assert mail(given)["EvalDecision"] == "allowed"


def test_a_boundary_limits_a_simulation_and_nobody_has_none(cloud):
    iam = cloud.client("iam")
    role = role_with(cloud, allow("s3:*"))
    boundary = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:ListAllMyBuckets")]})
    policy = iam.create_policy(PolicyName=f"limit-{next(numbers)}", PolicyDocument=boundary)["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName=role.rpartition("/")[2], PermissionsBoundary=policy)
    results = iam.simulate_principal_policy(
        PolicySourceArn=role, ActionNames=["s3:ListAllMyBuckets", "s3:DeleteBucket"]
    )["EvaluationResults"]
    assert [one["EvalDecision"] for one in results] == ["allowed", "implicitDeny"]
    nobody = {"PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:role/nobody", "ActionNames": ["s3:GetObject"]}
    assert refusal(iam.simulate_principal_policy, **nobody) == "NoSuchEntity"


# --- Cloud Control ---


def described(control, kind):
    pages = control.get_paginator("list_resources").paginate(TypeName=kind)
    return {one["Identifier"]: json.loads(one["Properties"]) for page in pages for one in page["ResourceDescriptions"]}


def test_cloud_control_lists_what_the_services_have(cloud):
    control = cloud.client("cloudcontrol")
    watch, logs = cloud.client("cloudwatch"), cloud.client("logs")
    for number in range(30):
        watch.put_metric_alarm(
            AlarmName=f"audited-{number:02}",
            Namespace="AWS/RDS",
            MetricName="FreeStorageSpace",
            Dimensions=[{"Name": "DBInstanceIdentifier", "Value": "db"}],
            Statistic="Average",
            Period=300,
            EvaluationPeriods=1,
            Threshold=5,
            ComparisonOperator="LessThanThreshold",
            AlarmActions=[f"arn:aws:sns:us-east-1:{ACCOUNT}:pages"],
        )
    first = control.list_resources(TypeName="AWS::CloudWatch::Alarm")
    assert len(first["ResourceDescriptions"]) < 30 and first["NextToken"]
    alarms = described(control, "AWS::CloudWatch::Alarm")
    assert {f"audited-{number:02}" for number in range(30)} <= alarms.keys()
    assert alarms["audited-00"]["AlarmActions"] == [f"arn:aws:sns:us-east-1:{ACCOUNT}:pages"]
    assert alarms["audited-00"]["Dimensions"] == [{"Name": "DBInstanceIdentifier", "Value": "db"}]
    assert "StateValue" not in alarms["audited-00"]
    # Tags are in the read handler's answer only.
    described_as = {"AlarmDescription": "runbook_url=docs/api.md", "Tags": [{"Key": "runbook", "Value": "docs/db.md"}]}
    watch.put_composite_alarm(AlarmName="audited-any", AlarmRule="ALARM(audited-00)", **described_as)
    composite = described(control, "AWS::CloudWatch::CompositeAlarm")["audited-any"]
    assert composite["AlarmDescription"] == "runbook_url=docs/api.md" and "Tags" not in composite
    read = control.get_resource(TypeName="AWS::CloudWatch::CompositeAlarm", Identifier="audited-any")
    read = json.loads(read["ResourceDescription"]["Properties"])
    assert (read["AlarmName"], read["Tags"]) == ("audited-any", described_as["Tags"])
    watch.delete_alarms(AlarmNames=["audited-any"])

    logs.create_log_group(logGroupName="/audited")
    counted = {"metricName": "Refused", "metricNamespace": "audited", "metricValue": "1"}
    logs.put_metric_filter(
        logGroupName="/audited", filterName="refused", filterPattern="refused", metricTransformations=[counted]
    )
    filters = described(control, "AWS::Logs::MetricFilter")
    assert filters["/audited|refused"]["MetricTransformations"] == [
        {"MetricName": "Refused", "MetricNamespace": "audited", "MetricValue": "1"}
    ]

    rule = {"RuleName": "daily", "TargetBackupVaultName": "vault", "ScheduleExpression": "cron(0 5 * * ? *)"}
    plan = cloud.client("backup").create_backup_plan(BackupPlan={"BackupPlanName": "daily", "Rules": [rule]})
    plans = described(control, "AWS::Backup::BackupPlan")
    assert plans[plan["BackupPlanId"]]["BackupPlan"]["BackupPlanRule"][0]["TargetBackupVault"] == "vault"

    made = cloud.client("ec2").create_vpc_endpoint(VpcId="vpc-1", ServiceName="com.amazonaws.us-east-1.s3")
    name = made["VpcEndpoint"]["VpcEndpointId"]
    kind = "AWS::EC2::VPCEndpoint"
    assert described(control, kind)[name]["ServiceName"] == "com.amazonaws.us-east-1.s3"
    one = control.get_resource(TypeName=kind, Identifier=name)["ResourceDescription"]
    assert json.loads(one["Properties"])["Id"] == name
    absent = {"TypeName": kind, "Identifier": "vpce-none"}
    assert refusal(control.get_resource, **absent) == "ResourceNotFoundException"
    assert refusal(control.list_resources, TypeName="AWS::None::Such") == "TypeNotFoundException"
    broken = {"TypeName": kind, "NextToken": "not base64!"}
    assert refusal(control.list_resources, **broken) == "InvalidRequestException"
    watch.delete_alarms(AlarmNames=[f"audited-{number:02}" for number in range(30)])


LISTED = (
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::Logs::MetricFilter",
    "AWS::Backup::BackupPlan",
    "AWS::EC2::VPCEndpoint",
)


def test_cloud_control_asks_what_the_schemas_say():
    # Row 6.3 of the field: AWS publishes five for endpoints; the template granted one.
    assert set(cloudcontrol.permissions("AWS::EC2::VPCEndpoint", "list")) == {
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcEndpoints",
        "ec2:DescribeVpcs",
        "vpc-lattice:DescribeServiceNetworkVpcEndpointAssociation",
    }
    assert cloudcontrol.permissions("AWS::Backup::BackupPlan", "read") == ("backup:GetBackupPlan", "backup:ListTags")
    # A type that no function lists yet.
    assert "backup:ListBackupSelections" in cloudcontrol.permissions("AWS::Backup::BackupSelection", "list")


@pytest.mark.parametrize(
    ("kind", "lacking"), [(kind, one) for kind in LISTED for one in cloudcontrol.permissions(kind, "list")]
)
def test_cloud_control_needs_every_permission_of_the_handler(cloud, kind, lacking):
    listing = allow("cloudformation:ListResources", f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:resource/*")
    needed = [allow(one) for one in cloudcontrol.permissions(kind, "list")]
    others = [allow(one) for one in cloudcontrol.permissions(kind, "list") if one != lacking]
    for statements in ([], [listing, *others], needed):
        control = caller(cloud, "cloudcontrol", *statements)
        assert refusal(control.list_resources, TypeName=kind) == "AccessDeniedException"
    caller(cloud, "cloudcontrol", listing, *needed).list_resources(TypeName=kind)


def test_cloud_control_reads_with_the_permissions_of_the_read_handler(cloud):
    rule = {"RuleName": "daily", "TargetBackupVaultName": "vault", "ScheduleExpression": "cron(0 5 * * ? *)"}
    plan = cloud.client("backup").create_backup_plan(BackupPlan={"BackupPlanName": "read", "Rules": [rule]})
    one = {"TypeName": "AWS::Backup::BackupPlan", "Identifier": plan["BackupPlanId"]}
    reading = allow("cloudformation:GetResource", f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:resource/*")
    control = caller(cloud, "cloudcontrol", reading, allow("backup:GetBackupPlan"))
    assert refusal(control.get_resource, **one) == "AccessDeniedException"
    caller(cloud, "cloudcontrol", reading, allow("backup:GetBackupPlan"), allow("backup:ListTags")).get_resource(**one)


# --- permissions ---

BLOCK = {"BlockPublicAcls": True}
ENCRYPTION = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
RULE = {"ID": "one", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::*",
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
)
BUCKET = "arn:aws:s3:::{bucket}"
# action, resource, operation, arguments besides the bucket
S3_CALLS = [
    ("GetBucketVersioning", BUCKET, "get_bucket_versioning", {}),
    ("GetLifecycleConfiguration", BUCKET, "get_bucket_lifecycle_configuration", {}),
    ("GetBucketPublicAccessBlock", BUCKET, "get_public_access_block", {}),
    ("GetEncryptionConfiguration", BUCKET, "get_bucket_encryption", {}),
    ("GetBucketPolicy", BUCKET, "get_bucket_policy", {}),
    ("GetBucketObjectLockConfiguration", BUCKET, "get_object_lock_configuration", {}),
    ("GetReplicationConfiguration", BUCKET, "get_bucket_replication", {}),
    ("GetBucketLogging", BUCKET, "get_bucket_logging", {}),
    ("GetBucketTagging", BUCKET, "get_bucket_tagging", {}),
    ("ListBucket", BUCKET, "head_bucket", {}),
    ("ListBucket", BUCKET, "list_objects_v2", {}),
    ("GetObject", f"{BUCKET}/one", "head_object", {"Key": "one"}),
    ("PutBucketVersioning", BUCKET, "put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
    (
        "PutLifecycleConfiguration",
        BUCKET,
        "put_bucket_lifecycle_configuration",
        {"LifecycleConfiguration": {"Rules": [RULE]}},
    ),
    (
        "PutBucketPublicAccessBlock",
        BUCKET,
        "put_public_access_block",
        {"PublicAccessBlockConfiguration": BLOCK},
    ),
    (
        "PutEncryptionConfiguration",
        BUCKET,
        "put_bucket_encryption",
        {"ServerSideEncryptionConfiguration": ENCRYPTION},
    ),
    ("PutBucketPolicy", BUCKET, "put_bucket_policy", {"Policy": POLICY}),
]


def outcome(call, **arguments):
    """The code of an error, or None."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


@pytest.mark.parametrize(("action", "resource", "operation", "more"), S3_CALLS, ids=lambda one: str(one)[:40])
def test_a_call_to_s3_needs_its_own_action_on_its_bucket(cloud, s3, bucket, action, resource, operation, more):
    s3.put_object(Bucket=bucket, Key="one", Body=b"1")
    arguments = {"Bucket": bucket, **more}
    others = [allow(f"s3:{one}") for one in {call[0] for call in S3_CALLS} - {action}]
    denied = caller(cloud, "s3", *others, allow(f"s3:{action}", "arn:aws:s3:::another", Sid="Elsewhere"))
    assert outcome(getattr(denied, operation), **arguments) in ("AccessDenied", "403")
    allowed = caller(cloud, "s3", allow(f"s3:{action}", resource.format(bucket=bucket)))
    assert outcome(getattr(allowed, operation), **arguments) not in ("AccessDenied", "403")


DB, SNAPSHOT = (f"arn:aws:rds:us-east-1:{ACCOUNT}:{kind}" for kind in ("db:*", "snapshot:none"))
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/none"
# service, action, resource, operation, arguments
CALLS = [
    ("s3", "s3:ListAllMyBuckets", "*", "list_buckets", {}),
    ("rds", "rds:DescribeDBInstances", DB, "describe_db_instances", {}),
    (
        "rds",
        "rds:ModifyDBInstance",
        f"arn:aws:rds:us-east-1:{ACCOUNT}:db:none",
        "modify_db_instance",
        {"DBInstanceIdentifier": "none", "DeletionProtection": True},
    ),
    ("rds", "rds:DescribeDBSnapshots", SNAPSHOT.replace("none", "*"), "describe_db_snapshots", {}),
    (
        "rds",
        "rds:DescribeDBSnapshotAttributes",
        SNAPSHOT,
        "describe_db_snapshot_attributes",
        {"DBSnapshotIdentifier": "none"},
    ),
    (
        "rds",
        "rds:ModifyDBSnapshotAttribute",
        SNAPSHOT,
        "modify_db_snapshot_attribute",
        {"DBSnapshotIdentifier": "none", "AttributeName": "restore", "ValuesToRemove": ["all"]},
    ),
    ("dynamodb", "dynamodb:DescribeTable", TABLE, "describe_table", {"TableName": "none"}),
    ("dynamodb", "dynamodb:DescribeContinuousBackups", TABLE, "describe_continuous_backups", {"TableName": "none"}),
    (
        "dynamodb",
        "dynamodb:UpdateContinuousBackups",
        TABLE,
        "update_continuous_backups",
        {"TableName": "none", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}},
    ),
    (
        "dynamodb",
        "dynamodb:UpdateTable",
        TABLE,
        "update_table",
        {"TableName": "none", "DeletionProtectionEnabled": True},
    ),
    (
        "ecs",
        "ecs:DescribeServices",
        f"arn:aws:ecs:us-east-1:{ACCOUNT}:service/none/web",
        "describe_services",
        {"cluster": "none", "services": ["web"]},
    ),
    ("ecs", "ecs:DescribeTaskDefinition", "*", "describe_task_definition", {"taskDefinition": "none"}),
    (
        "iam",
        "iam:SimulatePrincipalPolicy",
        f"arn:aws:iam::{ACCOUNT}:role/none",
        "simulate_principal_policy",
        {"PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:role/none", "ActionNames": ["s3:GetObject"]},
    ),
    (
        "ecs",
        "ecs:DescribeClusters",
        f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/none",
        "describe_clusters",
        {"clusters": ["none"]},
    ),
    (
        "logs",
        "logs:DescribeLogGroups",
        f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:*",
        "describe_log_groups",
        {"logGroupNamePrefix": "/aws/ecs/none"},
    ),
]
REFUSED = ("AccessDenied", "AccessDeniedException")


@pytest.mark.parametrize(
    ("service", "action", "resource", "operation", "arguments"), CALLS, ids=lambda one: str(one)[:40]
)
def test_a_call_needs_its_own_action_on_what_it_is_about(cloud, service, action, resource, operation, arguments):
    elsewhere = [allow(action, "arn:aws:none:::none")]
    denied = caller(cloud, service, allow(f"{service}:Nothing"), *elsewhere)
    assert outcome(getattr(denied, operation), **arguments) in REFUSED
    allowed = caller(cloud, service, allow(action, resource))
    assert outcome(getattr(allowed, operation), **arguments) not in REFUSED


# --- faults ---


def test_a_rule_can_be_about_one_bucket(cloud, s3, bucket):
    s3.create_bucket(Bucket="audited-other")
    rule = {"service": "s3", "action": "GetBucketVersioning", "resource": f"arn:aws:s3:::{bucket}", "nth": 2}
    cloud.admin("POST", "faults", {**rule, "effect": "error", "status": 403, "code": "AccessDenied"})
    codes = [outcome(s3.get_bucket_versioning, Bucket=name) for name in (bucket, "audited-other", bucket, bucket)]
    assert codes == [None, None, "AccessDenied", None]
    cloud.admin("DELETE", "faults")
    s3.delete_bucket(Bucket="audited-other")


@pytest.mark.parametrize(
    ("service", "action", "resource", "operation", "arguments", "code"),
    [
        ("s3", "ListBuckets", "*", "list_buckets", {}, "SlowDown"),
        ("s3", "GetBucketLifecycleConfiguration", None, "get_bucket_lifecycle_configuration", {}, "SlowDown"),
        ("s3", "GetPublicAccessBlock", None, "get_public_access_block", {}, "SlowDown"),
        ("s3", "GetBucketEncryption", None, "get_bucket_encryption", {}, "SlowDown"),
        ("s3", "GetBucketPolicy", None, "get_bucket_policy", {}, "SlowDown"),
        ("s3", "GetObjectLockConfiguration", None, "get_object_lock_configuration", {}, "SlowDown"),
        ("s3", "GetBucketReplication", None, "get_bucket_replication", {}, "SlowDown"),
        ("s3", "GetBucketLogging", None, "get_bucket_logging", {}, "SlowDown"),
        ("s3", "GetBucketTagging", None, "get_bucket_tagging", {}, "SlowDown"),
        ("s3", "HeadBucket", None, "head_bucket", {}, "503"),
        ("s3", "ListObjectsV2", None, "list_objects_v2", {}, "SlowDown"),
        ("s3", "PutBucketVersioning", None, *S3_CALLS[12][2:], "SlowDown"),
        ("s3", "PutBucketLifecycleConfiguration", None, *S3_CALLS[13][2:], "SlowDown"),
        ("s3", "PutPublicAccessBlock", None, *S3_CALLS[14][2:], "SlowDown"),
        ("s3", "PutBucketEncryption", None, *S3_CALLS[15][2:], "SlowDown"),
        ("s3", "PutBucketPolicy", None, *S3_CALLS[16][2:], "SlowDown"),
        ("rds", "DescribeDBInstances", "*:db:*", *CALLS[1][3:], "Throttling"),
        ("rds", "ModifyDBInstance", "*:db:none", *CALLS[2][3:], "Throttling"),
        ("rds", "DescribeDBSnapshotAttributes", "*:snapshot:none", *CALLS[4][3:], "Throttling"),
        ("dynamodb", "DescribeContinuousBackups", "*:table/none", *CALLS[7][3:], "ThrottlingException"),
        ("ecs", "DescribeServices", "*:service/none/web", *CALLS[10][3:], "ThrottlingException"),
        ("iam", "SimulatePrincipalPolicy", "*:role/none", *CALLS[12][3:], "Throttling"),
        (
            "cloudcontrol",
            "ListResources",
            "*:resource/*",
            "list_resources",
            {"TypeName": "AWS::CloudWatch::Alarm"},
            "ThrottlingException",
        ),
    ],
    ids=lambda one: str(one)[:40],
)
def test_every_call_can_be_throttled_by_its_name(cloud, service, action, resource, operation, arguments, code):
    resource = resource or "arn:aws:s3:::struck"
    rule = {"service": service, "action": action, "resource": resource, "effect": "throttle", "seconds": 1}
    armed = cloud.admin("POST", "faults", rule)
    bucket = {"Bucket": "struck"} if resource == "arn:aws:s3:::struck" else {}
    assert outcome(getattr(cloud.client(service), operation), **bucket, **arguments) == code
    [told] = [one for one in cloud.admin("GET", "faults")["rules"] if one["id"] == armed["id"]]
    cloud.admin("DELETE", "faults")
    assert told["hits"] == 1


# --- many ---


def test_a_seeded_account_is_read_in_pages(cloud, s3):
    many = {"instances": 250, "buckets": 250, "secrets": 250, "snapshots": 250}
    made = cloud.admin("POST", "seed", many)
    assert {name: made[name] for name in many} == many
    rds = cloud.client("rds")
    names = [f"moveongs-dev-bench-{number:04}" for number in range(1, 251)]
    try:
        instances, marker = [], {}
        while page := rds.describe_db_instances(MaxRecords=20, **marker):
            assert len(page["DBInstances"]) <= 20
            instances += page["DBInstances"]
            if "Marker" not in page:
                break
            marker = {"Marker": page["Marker"]}
        ours = [one for one in instances if one["DBInstanceIdentifier"].startswith("moveongs-dev-bench-")]
        assert [one["DBInstanceIdentifier"] for one in ours] == names
        assert [one["BackupRetentionPeriod"] for one in ours[:6]] == [0, 1, 7, 14, 30, 0]
        assert ["LatestRestorableTime" in one for one in ours[:2]] == [False, True]
        assert {"Key": "Project", "Value": "moveongs"} in ours[0]["TagList"]
        pages = rds.get_paginator("describe_db_snapshots").paginate(SnapshotType="manual")
        snapshots = [one["DBSnapshotIdentifier"] for page in pages for one in page["DBSnapshots"]]
        assert [one for one in snapshots if one.startswith("moveongs-dev-bench-")] == names
        for wrong in (19, 101):
            assert refusal(rds.describe_db_instances, MaxRecords=wrong) == "InvalidParameterValue"
            assert refusal(rds.describe_db_snapshots, MaxRecords=wrong) == "InvalidParameterValue"

        buckets = [one["Name"] for one in s3.list_buckets(Prefix="moveongs-dev-bench-", MaxBuckets=1000)["Buckets"]]
        assert buckets == names
        assert ["Status" in s3.get_bucket_versioning(Bucket=name) for name in names[:4]] == [False, True, False, True]
        assert s3.get_bucket_lifecycle_configuration(Bucket=names[3])["Rules"][0]["ID"] == "old-versions"
        assert refusal(s3.get_bucket_lifecycle_configuration, Bucket=names[1]) == "NoSuchLifecycleConfiguration"

        manager = cloud.client("secretsmanager")
        secrets = [
            one
            for page in manager.get_paginator("list_secrets").paginate()
            for one in page["SecretList"]
            if one["Name"].startswith("moveongs-dev-bench-")
        ]
        assert [one["Name"] for one in secrets] == names
        assert [one.get("RotationEnabled") for one in secrets[:3]] == [None, None, True]
        assert manager.describe_secret(SecretId=secrets[2]["ARN"])["Name"] == names[2]

        shown = rds.modify_db_instance(DBInstanceIdentifier=names[1], BackupRetentionPeriod=30)["DBInstance"]
        assert shown["BackupRetentionPeriod"] == 30
    finally:
        removed = cloud.admin("DELETE", "seed")
    assert {name: removed[name] for name in many} == many
    assert s3.list_buckets(Prefix="moveongs-dev-bench-")["Buckets"] == []
