"""RDS's clusters, the refusals of their members, and cluster snapshots: creation, copies, sharing, permissions."""

from __future__ import annotations

import itertools
import json

import botocore.loaders
import botocore.model
import pytest
from botocore.exceptions import ClientError
from conftest import wait_for

numbers = itertools.count(1)
MODEL = botocore.model.ServiceModel(botocore.loaders.create_loader().load_service_model("rds", "service-2"))
KEY = "arn:aws:kms:sa-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
TAGS = [{"Key": "Project", "Value": "p"}]


@pytest.fixture(scope="module")
def rds(cloud):
    return cloud.client("rds")


@pytest.fixture
def orders(cloud):
    def order(**given):
        return cloud.admin("POST", "rds/snapshots", given)

    yield order
    order(fail=0, hold=False, quota=100)


def create(rds, **more):
    """An Aurora cluster with one member."""
    name = f"cluster-{next(numbers)}"
    settings = {
        "Engine": "aurora-postgresql",
        "MasterUsername": "master",
        "MasterUserPassword": "a-Master_password.1",
        "BackupRetentionPeriod": 7,
        "StorageEncrypted": True,
        **more,
    }
    rds.create_db_cluster(DBClusterIdentifier=name, **settings)
    member(rds, name, f"{name}-1")
    return name


def member(rds, cluster, name, **more):
    return rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBClusterIdentifier=cluster,
        DBInstanceClass="db.t4g.medium",
        Engine="aurora-postgresql",
        **more,
    )["DBInstance"]


@pytest.fixture(scope="module")
def shared(rds):
    return create(rds, Tags=TAGS)


def refusal(call, **arguments):
    """The code of a refusal; checks that botocore's model lists it, if the model lists any for the action."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def listed(action):
    """The codes that the model lists for an action."""
    return {one.error_code for one in MODEL.operation_model(action).error_shapes}


def snapshot_of(rds, name):
    return rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)["DBClusterSnapshots"][0]


def taken(rds, cluster, **more):
    name = f"taken-{next(numbers)}"
    rds.create_db_cluster_snapshot(DBClusterIdentifier=cluster, DBClusterSnapshotIdentifier=name, **more)
    wait_for(lambda: snapshot_of(rds, name)["Status"] == "available", f"{name} to be available")
    return name


def test_a_member_shows_what_its_cluster_decides(rds, shared):
    one = rds.describe_db_instances(DBInstanceIdentifier=f"{shared}-1")["DBInstances"][0]
    assert (one["DBClusterIdentifier"], one["DBInstanceStatus"]) == (shared, "available")
    assert (one["BackupRetentionPeriod"], one["StorageEncrypted"], one["AllocatedStorage"]) == (7, True, 1)
    assert "LatestRestorableTime" not in one
    cluster = rds.describe_db_clusters(DBClusterIdentifier=shared)["DBClusters"][0]
    assert [each["DBInstanceIdentifier"] for each in cluster["DBClusterMembers"]] == [f"{shared}-1"]
    assert ".cluster-" in cluster["Endpoint"] and one["Endpoint"]["Address"] != cluster["Endpoint"]
    assert cluster["KmsKeyId"] == one["KmsKeyId"] and cluster["LatestRestorableTime"]


def test_a_member_is_refused_what_its_cluster_decides(rds, shared):
    name = f"{shared}-1"
    asked = {"DBInstanceIdentifier": name, "DBSnapshotIdentifier": "of-a-member"}
    assert refusal(rds.create_db_snapshot, **asked) == "InvalidParameterValue"
    for setting in (
        {"BackupRetentionPeriod": 8},
        {"DeletionProtection": True},
        {"PreferredBackupWindow": "01:00-02:00"},
        {"MasterUserPassword": "another-Password.1"},
    ):
        change = {"DBInstanceIdentifier": name, "ApplyImmediately": True, **setting}
        assert refusal(rds.modify_db_instance, **change) == "InvalidParameterCombination", setting
    with pytest.raises(ClientError, match="BackupRetentionPeriod"):
        member(rds, shared, "with-retention", BackupRetentionPeriod=3)
    rds.modify_db_instance(DBInstanceIdentifier=name, AutoMinorVersionUpgrade=False)
    rds.modify_db_cluster(DBClusterIdentifier=shared, BackupRetentionPeriod=8, DeletionProtection=True)
    one = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    assert (one["BackupRetentionPeriod"], one["DeletionProtection"]) == (8, False)
    change = {"DBClusterIdentifier": shared, "BackupRetentionPeriod": 0}
    assert refusal(rds.modify_db_cluster, **change) == "InvalidParameterValue"
    rds.modify_db_cluster(DBClusterIdentifier=shared, BackupRetentionPeriod=7, DeletionProtection=False)


def test_a_multi_az_cluster_comes_with_three_members(rds):
    name = f"multi-{next(numbers)}"
    asked = {
        "DBClusterIdentifier": name,
        "Engine": "postgres",
        "MasterUsername": "master",
        "MasterUserPassword": "a-Master_password.1",
    }
    assert refusal(rds.create_db_cluster, **asked) == "InvalidParameterCombination"
    rds.create_db_cluster(**asked, DBClusterInstanceClass="db.m6gd.large", AllocatedStorage=100, StorageEncrypted=True)
    cluster = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
    assert (cluster["DBClusterInstanceClass"], cluster["MultiAZ"], cluster["AllocatedStorage"]) == (
        "db.m6gd.large",
        True,
        100,
    )
    filters = [{"Name": "db-cluster-id", "Values": [name]}]
    members = rds.describe_db_instances(Filters=filters)["DBInstances"]
    assert [one["DBInstanceIdentifier"] for one in members] == [f"{name}-instance-{number}" for number in (1, 2, 3)]
    assert [each["IsClusterWriter"] for each in cluster["DBClusterMembers"]] == [True, False, False]
    asked = {"DBInstanceIdentifier": f"{name}-instance-1", "DBSnapshotIdentifier": "of-a-member"}
    assert refusal(rds.create_db_snapshot, **asked) == "InvalidParameterValue"
    snapshot = taken(rds, name)
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    assert refusal(rds.describe_db_clusters, DBClusterIdentifier=name) == "DBClusterNotFoundFault"
    assert rds.describe_db_instances(Filters=filters)["DBInstances"] == []
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=snapshot)


def test_a_cluster_snapshot_is_taken_in_time_and_refused_as_the_model_says(cloud, rds, shared, orders):
    orders(hold=True)
    name = f"held-{next(numbers)}"
    asked = {"DBClusterIdentifier": shared, "DBClusterSnapshotIdentifier": name, "Tags": TAGS}
    made = rds.create_db_cluster_snapshot(**asked)["DBClusterSnapshot"]
    assert (made["Status"], made["SnapshotType"], made["TagList"]) == ("creating", "manual", TAGS)
    assert made["DBClusterSnapshotArn"] == f"arn:aws:rds:us-east-1:000000000000:cluster-snapshot:{name}"
    codes = listed("CreateDBClusterSnapshot")
    assert (code := refusal(rds.create_db_cluster_snapshot, **asked)) in codes
    assert code == "DBClusterSnapshotAlreadyExistsFault"
    delete = {"DBClusterSnapshotIdentifier": name}
    assert refusal(rds.delete_db_cluster_snapshot, **delete) == "InvalidDBClusterSnapshotStateFault"
    orders(hold=False)
    wait_for(lambda: snapshot_of(rds, name)["Status"] == "available", "the snapshot")
    other = {**asked, "DBClusterSnapshotIdentifier": f"{name}-2"}
    absent = {**other, "DBClusterIdentifier": "absent"}
    assert refusal(rds.create_db_cluster_snapshot, **absent) == "DBClusterNotFoundFault"
    cloud.admin("POST", "rds/cluster", {"cluster": shared, "status": "backing-up"})
    assert refusal(rds.create_db_cluster_snapshot, **other) == "InvalidDBClusterStateFault"
    cloud.admin("POST", "rds/cluster", {"cluster": shared, "status": "available"})
    too_long = {**other, "DBClusterSnapshotIdentifier": "a" * 64}
    assert refusal(rds.create_db_cluster_snapshot, **too_long) == "InvalidParameterValue"
    orders(quota=0)
    assert refusal(rds.create_db_cluster_snapshot, **other) == "SnapshotQuotaExceeded"
    orders(quota=100, fail=1)
    rds.create_db_cluster_snapshot(**other)
    wait_for(lambda: snapshot_of(rds, f"{name}-2")["Status"] == "failed", "the failure")
    for each in (name, f"{name}-2"):
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=each)
    assert refusal(rds.describe_db_cluster_snapshots, **delete) == "DBClusterSnapshotNotFoundFault"


def test_cluster_snapshots_are_listed_by_kind_in_pages(cloud, rds, shared):
    automated = [
        cloud.admin(
            "POST",
            "rds/automated-cluster-snapshot",
            {"cluster": shared, "created": f"2026-11-{day:02}T03:00:00Z"},
        )["snapshot"]
        for day in range(1, 23)
    ]
    assert automated[0] == f"rds:{shared}-2026-11-01-03-00"
    manual = taken(rds, shared)
    by = {"DBClusterIdentifier": shared}

    def names(answer):
        return [one["DBClusterSnapshotIdentifier"] for one in answer["DBClusterSnapshots"]]

    first = rds.describe_db_cluster_snapshots(**by, MaxRecords=20)
    rest = rds.describe_db_cluster_snapshots(**by, MaxRecords=20, Marker=first["Marker"])
    assert names(first) + names(rest) == sorted([*automated, manual])
    assert "Marker" not in rest
    assert names(rds.describe_db_cluster_snapshots(**by, SnapshotType="manual")) == [manual]
    assert names(rds.describe_db_cluster_snapshots(**by, SnapshotType="automated")) == automated
    assert names(rds.describe_db_cluster_snapshots(SnapshotType="shared")) == []
    delete = {"DBClusterSnapshotIdentifier": automated[0]}
    assert refusal(rds.delete_db_cluster_snapshot, **delete) == "InvalidDBClusterSnapshotStateFault"
    of = {"snapshot": manual, "facts": {"seconds_ago": 86_400, "StorageEncrypted": False}}
    cloud.admin("POST", "rds/cluster-snapshot", of)
    one = snapshot_of(rds, manual)
    assert (
        not one["StorageEncrypted"] and one["SnapshotCreateTime"] < snapshot_of(rds, automated[0])["ClusterCreateTime"]
    )
    rds.add_tags_to_resource(ResourceName=one["DBClusterSnapshotArn"], Tags=TAGS)
    assert snapshot_of(rds, manual)["TagList"] == TAGS
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=manual)


def test_a_cluster_snapshot_is_shared_and_made_public_only_unencrypted(cloud, rds, shared):
    name = taken(rds, shared)
    of = {"DBClusterSnapshotIdentifier": name}

    def share(**values):
        return {**of, "AttributeName": "restore", **values}

    everybody = share(ValuesToAdd=["all"])
    assert refusal(rds.modify_db_cluster_snapshot_attribute, **everybody) == "InvalidParameterValue"
    cloud.admin("POST", "rds/cluster-snapshot", {"snapshot": name, "facts": {"StorageEncrypted": False}})
    changed = rds.modify_db_cluster_snapshot_attribute(**share(ValuesToAdd=["all", "123456789012"]))
    (restore,) = changed["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
    assert restore == {"AttributeName": "restore", "AttributeValues": ["123456789012", "all"]}
    public = rds.describe_db_cluster_snapshots(SnapshotType="public")["DBClusterSnapshots"]
    assert [one["DBClusterSnapshotIdentifier"] for one in public] == [name]
    rds.modify_db_cluster_snapshot_attribute(**share(ValuesToRemove=["all"]))
    seen = rds.describe_db_cluster_snapshot_attributes(**of)["DBClusterSnapshotAttributesResult"]
    assert seen["DBClusterSnapshotAttributes"][0]["AttributeValues"] == ["123456789012"]
    accounts = [f"{number:012}" for number in range(21)]
    too_many = share(ValuesToAdd=accounts)
    assert refusal(rds.modify_db_cluster_snapshot_attribute, **too_many) == "SharedSnapshotQuotaExceeded"
    rds.delete_db_cluster_snapshot(**of)


def test_a_cluster_snapshot_is_copied_to_another_region_with_a_key_of_it(cloud, rds, shared):
    away = cloud.client("rds", "sa-east-1")
    name = taken(rds, shared)
    source = snapshot_of(rds, name)
    asked = {
        "SourceDBClusterSnapshotIdentifier": source["DBClusterSnapshotArn"],
        "TargetDBClusterSnapshotIdentifier": f"{name}-away",
    }
    assert refusal(away.copy_db_cluster_snapshot, **asked) == "InvalidParameterCombination"
    at_home = KEY.replace("sa-east-1", "us-east-1")
    assert refusal(away.copy_db_cluster_snapshot, **asked, KmsKeyId=at_home) == "KMSKeyNotAccessibleFault"
    absent = {**asked, "SourceDBClusterSnapshotIdentifier": source["DBClusterSnapshotArn"] + "-absent"}
    assert refusal(away.copy_db_cluster_snapshot, **absent, KmsKeyId=KEY) == "DBClusterSnapshotNotFoundFault"
    copied = away.copy_db_cluster_snapshot(**asked, KmsKeyId=KEY, Tags=TAGS)["DBClusterSnapshot"]
    assert (copied["Status"], copied["TagList"], copied["KmsKeyId"]) == ("creating", TAGS, KEY)
    assert copied["SourceDBClusterSnapshotArn"] == source["DBClusterSnapshotArn"]
    again = refusal(away.copy_db_cluster_snapshot, **asked, KmsKeyId=KEY)
    assert again == "DBClusterSnapshotAlreadyExistsFault"
    wait_for(lambda: snapshot_of(away, f"{name}-away")["Status"] == "available", "the copy")
    assert snapshot_of(away, f"{name}-away")["DbClusterResourceId"] == source["DbClusterResourceId"]
    away.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=f"{name}-away")
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)


def client_with(cloud, statements):
    iam, user = cloud.client("iam"), f"of-clusters-{next(numbers)}"
    iam.create_user(UserName=user)
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=user, PolicyName="rights", PolicyDocument=document)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    return cloud.client("rds", **keys), cloud.client("rds", "sa-east-1", **keys)


def allow(action, *resources, tagged=False):
    condition = {"Condition": {"StringEquals": {"aws:RequestTag/Project": "p"}}} if tagged else {}
    return {"Effect": "Allow", "Action": action, "Resource": resources, **condition}


def test_a_cluster_snapshot_is_judged_by_cluster_snapshot_and_tags(cloud, rds, shared):
    place = "arn:aws:rds:us-east-1:000000000000"
    name = f"judged-{next(numbers)}"
    asked = {"DBClusterIdentifier": shared, "DBClusterSnapshotIdentifier": name, "Tags": TAGS}
    cluster, snapshots = f"{place}:cluster:{shared}", f"{place}:cluster-snapshot:judged-*"
    create, tag = "rds:CreateDBClusterSnapshot", "rds:AddTagsToResource"
    for lacking in (
        [allow(create, cluster, tagged=True), allow(tag, snapshots)],
        [allow(create, snapshots, tagged=True), allow(tag, snapshots)],
        [allow(create, cluster, snapshots, tagged=True)],
        [allow(create, f"{place}:db:*", f"{place}:snapshot:*"), allow(tag, snapshots)],
    ):
        home, _ = client_with(cloud, lacking)
        assert refusal(home.create_db_cluster_snapshot, **asked) == "AccessDenied", lacking
    home, _ = client_with(cloud, [allow(create, cluster, snapshots, tagged=True), allow(tag, snapshots)])
    home.create_db_cluster_snapshot(**asked)
    wait_for(lambda: snapshot_of(rds, name)["Status"] == "available", "the snapshot")
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)


@pytest.mark.parametrize("of_cluster", [False, True])
def test_the_source_of_a_copy_is_judged_in_its_region_without_the_requests_tags(cloud, rds, shared, of_cluster):
    kind, infix = ("cluster-snapshot", "Cluster") if of_cluster else ("snapshot", "")
    name, copy = f"source-{next(numbers)}", f"rds:CopyDB{infix}Snapshot"
    source = f"arn:aws:rds:us-east-1:000000000000:{kind}:{name}"
    target = f"arn:aws:rds:sa-east-1:000000000000:{kind}:{name}-away"
    asked = {
        f"SourceDB{infix}SnapshotIdentifier": source,
        f"TargetDB{infix}SnapshotIdentifier": f"{name}-away",
        "Tags": TAGS,
    }
    tag = allow("rds:AddTagsToResource", target)

    def code(statements):
        _, away = client_with(cloud, [*statements, tag])
        call = away.copy_db_cluster_snapshot if of_cluster else away.copy_db_snapshot
        return refusal(call, **asked)

    absent = "DBClusterSnapshotNotFoundFault" if of_cluster else "DBSnapshotNotFound"
    assert code([allow(copy, source, target, tagged=True)]) == "AccessDenied"
    assert code([allow(copy, target, tagged=True)]) == "AccessDenied"
    assert code([allow(copy, source)]) == "AccessDenied"
    # Permissions are checked first: only an allowed call learns that the snapshot does not exist.
    assert code([allow(copy, source), allow(copy, target, tagged=True)]) == absent


def test_events_of_clusters_and_their_snapshots_are_told(rds):
    name = create(rds)
    snapshot = taken(rds, name)

    def messages(kind, identifier):
        told = rds.describe_events(SourceType=kind, SourceIdentifier=identifier, Duration=60)["Events"]
        return [one["Message"] for one in told]

    assert messages("db-cluster", name) == ["DB cluster created."]
    made = ["Creating manual cluster snapshot.", "Manual cluster snapshot created."]
    wait_for(lambda: sorted(messages("db-cluster-snapshot", snapshot)) == sorted(made), "the events")
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1", SkipFinalSnapshot=True)
    wait_for(lambda: not rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["DBClusterMembers"], "it")
    final = {"DBClusterIdentifier": name, "FinalDBSnapshotIdentifier": f"{name}-final"}
    rds.delete_db_cluster(**final)
    wait_for(lambda: snapshot_of(rds, f"{name}-final")["Status"] == "available", "the final snapshot")
    for each in (snapshot, f"{name}-final"):
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=each)


def test_a_list_of_clusters_comes_in_pages(rds, shared):
    names = [f"paged-{number:02}" for number in range(21)]
    for name in names:
        rds.create_db_cluster(
            DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="m", MasterUserPassword="a-Pass_word.1"
        )
    first = rds.describe_db_clusters(MaxRecords=20)
    assert len(first["DBClusters"]) == 20
    rest = rds.describe_db_clusters(MaxRecords=100, Marker=first["Marker"])["DBClusters"]
    found = [one["DBClusterIdentifier"] for one in [*first["DBClusters"], *rest]]
    assert found == sorted(found) and {shared, *names} <= set(found)
    wrong = [{"Name": "other", "Values": ["x"]}]
    assert refusal(rds.describe_db_clusters, Filters=wrong) == "InvalidParameterValue"
    for name in names:
        rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
