"""What a restore test meets: quotas, a restore's parameters and permissions, bad ends, passwords, damaged data.

Sources: botocore's model of RDS for the members and the names of errors; RDS's user guide, "Restoring to a DB
instance", "Viewing Amazon RDS DB instance status", "Password management with Amazon RDS and AWS Secrets Manager" and
"Understanding the rds_superuser role"; for permissions, the Service Authorization Reference as cfn-lint has it.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
import time

import psycopg
import pytest
from conftest import wait_for
from databases import available, connect, create, describe, numbers, refusal, rows, snapshot, snapshot_of, statuses

PLACE = "arn:aws:rds:us-east-1:000000000000"
TAGS = [{"Key": "ManagedBy", "Value": "restore-test"}]


@pytest.fixture
def restores(cloud):
    """Sets orders for restores, and resets them after the test."""
    yield lambda **given: cloud.admin("POST", "rds/restores", given)
    cloud.admin("POST", "rds/restores", {"instances": 40, "storage": 100_000, "end": "", "hold": False, "keep": False})


def damage(cloud, name, **given):
    return cloud.admin("POST", "rds/damage", {"snapshot": name, **given})


@pytest.fixture(scope="module")
def source(cloud, rds):
    """A snapshot of an instance with two words."""
    name = create(rds, Tags=[{"Key": "Environment", "Value": "prod"}])
    with connect(cloud, available(rds, name)) as db:
        db.execute("CREATE TABLE words (word text PRIMARY KEY)")
        db.execute("INSERT INTO words VALUES ('first'), ('second')")
    snapshot(rds, name, f"{name}-s")
    statuses(rds, name)
    return f"{name}-s"


def restored(rds, source, **more):
    name = f"scratch-{next(numbers)}"
    rds.restore_db_instance_from_db_snapshot(
        **{
            "DBInstanceIdentifier": name,
            "DBSnapshotIdentifier": source,
            "BackupRetentionPeriod": 0,
            "Tags": TAGS,
            **more,
        }
    )
    return name


def remove(rds, *names):
    for name in names:
        rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
        statuses(rds, name, None)


def test_the_accounts_quotas_are_shown_and_keep_to(rds, source, restores):
    def quotas():
        shown = rds.describe_account_attributes()["AccountQuotas"]
        return {one["AccountQuotaName"]: (one["Used"], one["Max"]) for one in shown}

    used = len(rds.describe_db_instances()["DBInstances"])
    assert quotas()["DBInstances"] == (used, 40)
    assert quotas()["ManualSnapshots"][1] == 100
    restores(instances=used)
    asked = {"DBInstanceIdentifier": "one-too-many", "DBSnapshotIdentifier": source}
    assert refusal(rds.restore_db_instance_from_db_snapshot, **asked) == "InstanceQuotaExceeded"
    restores(instances=40, storage=quotas()["AllocatedStorage"][0] + 19)
    assert refusal(rds.restore_db_instance_from_db_snapshot, **asked) == "StorageQuotaExceeded"
    for odd in ({"instances": -1}, {"end": 1}, {"other": 1}):
        with pytest.raises(AssertionError, match="expected instances or storage"):
            restores(**odd)


def test_an_explicit_parameter_of_a_restore_is_kept_and_another_has_rdss_default(rds, source):
    rds.create_db_parameter_group(
        DBParameterGroupName="strict", DBParameterGroupFamily="postgres18", Description="of the tests"
    )
    name = restored(
        rds,
        source,
        DBInstanceClass="db.t4g.small",
        DBParameterGroupName="strict",
        VpcSecurityGroupIds=["sg-1"],
        PubliclyAccessible=False,
        MultiAZ=False,
        AutoMinorVersionUpgrade=False,
        DeletionProtection=True,
        CopyTagsToSnapshot=False,
        EngineLifecycleSupport="open-source-rds-extended-support-disabled",
    )
    shown = available(rds, name)
    expected = {
        "DBInstanceClass": "db.t4g.small",
        "PubliclyAccessible": False,
        "MultiAZ": False,
        "AutoMinorVersionUpgrade": False,
        "DeletionProtection": True,
        "CopyTagsToSnapshot": False,
        "EngineLifecycleSupport": "open-source-rds-extended-support-disabled",
        "BackupRetentionPeriod": 0,
        "TagList": TAGS,
    }
    assert {key: shown[key] for key in expected} == expected
    assert shown["DBParameterGroups"][0]["DBParameterGroupName"] == "strict"
    assert [one["VpcSecurityGroupId"] for one in shown["VpcSecurityGroups"]] == ["sg-1"]
    delete = {"DBInstanceIdentifier": name, "SkipFinalSnapshot": True}
    assert refusal(rds.delete_db_instance, **delete) == "InvalidParameterCombination"
    rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False, ApplyImmediately=True)
    remove(rds, name)

    other = restored(rds, source, Tags=[])
    shown = describe(rds, other)
    assert shown["EngineLifecycleSupport"] == "open-source-rds-extended-support"
    assert (shown["StorageType"], shown["TagList"]) == ("gp3", [{"Key": "Environment", "Value": "prod"}])
    for odd, code in (
        ({"DBParameterGroupName": "absent"}, "DBParameterGroupNotFound"),
        ({"DBSubnetGroupName": "absent"}, "DBSubnetGroupNotFoundFault"),
        ({"ManageMasterUserPassword": True}, "InvalidParameterCombination"),
        ({"DBInstanceIdentifier": other}, "DBInstanceAlreadyExists"),
        ({"DBSnapshotIdentifier": "absent"}, "DBSnapshotNotFound"),
    ):
        asked = {"DBInstanceIdentifier": "never", "DBSnapshotIdentifier": source, **odd}
        assert refusal(rds.restore_db_instance_from_db_snapshot, **asked) == code, odd
    remove(rds, other)


@pytest.mark.parametrize("status", ["incompatible-network", "storage-full", "restore-error"])
def test_a_restore_ends_as_ordered_and_the_instance_can_be_deleted(rds, source, restores, status):
    restores(end=status)
    name = restored(rds, source)
    assert statuses(rds, name, status)[0] == "creating"
    assert "Endpoint" not in describe(rds, name)
    asked = {"DBInstanceIdentifier": name, "FinalDBSnapshotIdentifier": "final"}
    assert refusal(rds.delete_db_instance, **asked) == "InvalidDBInstanceState"
    remove(rds, name)


def test_a_restored_instance_that_is_stopped_can_be_started(cloud, rds, source, restores):
    restores(end="stopped")
    name = restored(rds, source)
    statuses(rds, name, "stopped")
    change = {"DBInstanceIdentifier": name, "DeletionProtection": False}
    assert refusal(rds.modify_db_instance, **change) == "InvalidDBInstanceState"
    rds.start_db_instance(DBInstanceIdentifier=name)
    assert rows(cloud, available(rds, name)) == ["first", "second"]
    remove(rds, name)


def test_creation_and_deletion_are_held(rds, source, restores):
    restores(hold=True)
    name = restored(rds, source)
    time.sleep(3)
    assert describe(rds, name)["DBInstanceStatus"] == "creating"
    restores(hold=False, keep=True)
    statuses(rds, name)
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    time.sleep(2)
    assert describe(rds, name)["DBInstanceStatus"] == "deleting"
    restores(keep=False)
    statuses(rds, name, None)


def test_rds_makes_the_password_of_a_restored_instance_only_afterwards(cloud, rds, source):
    name = restored(rds, source)
    with connect(cloud, available(rds, name)) as db:
        # The snapshot's password works until then.
        assert db.execute("SELECT 1").fetchone() == (1,)
    rds.modify_db_instance(DBInstanceIdentifier=name, ManageMasterUserPassword=True, ApplyImmediately=True)
    shown = describe(rds, name)
    secret = shown["MasterUserSecret"]
    assert (shown["PendingModifiedValues"], secret["SecretStatus"]) == ({"MasterUserPassword": "****"}, "creating")
    wait_for(lambda: not describe(rds, name)["PendingModifiedValues"], "the password")
    assert describe(rds, name)["MasterUserSecret"]["SecretStatus"] == "active"
    secrets = cloud.client("secretsmanager")
    described = secrets.describe_secret(SecretId=secret["SecretArn"])
    assert described["Name"].startswith("rds!db-")
    assert {"Key": "aws:rds:primaryDBInstanceArn", "Value": shown["DBInstanceArn"]} in described["Tags"]
    value = json.loads(secrets.get_secret_value(SecretId=secret["SecretArn"])["SecretString"])
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(cloud, shown)
    connect(cloud, shown, user=value["username"], password=value["password"]).close()
    remove(rds, name)


def client_with(cloud, rights):
    """A client of a user with these actions on these resources."""
    iam, user = cloud.client("iam"), f"restores-{next(numbers)}"
    iam.create_user(UserName=user)
    statements = [
        {"Effect": "Allow", "Action": action, "Resource": resources}
        for action, resources in rights.items()
        if resources
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=user, PolicyName="rights", PolicyDocument=document)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    return cloud.client("rds", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])


def test_a_restore_is_judged_by_every_resource_of_the_reference(cloud, rds, source):
    data = pathlib.Path(importlib.util.find_spec("cfnlint").origin).parent / "data/AdditionalSpecs/Policies.json"
    known = json.loads(data.read_text())["rds"]["Actions"]["restoredbinstancefromdbsnapshot"]["Resources"]
    resources = {
        "db": f"{PLACE}:db:judged-*",
        "snapshot": f"{PLACE}:snapshot:{source}",
        "subgrp": f"{PLACE}:subgrp:default",
        "pg": f"{PLACE}:pg:default.postgres18",
        "og": f"{PLACE}:og:default:postgres-18",
    }
    assert set(resources) <= {one.lower() for one in known}
    action, tagging = "rds:RestoreDBInstanceFromDBSnapshot", {"rds:AddTagsToResource": [f"{PLACE}:db:judged-*"]}
    asked = {"DBInstanceIdentifier": "judged-1", "DBSnapshotIdentifier": source, "BackupRetentionPeriod": 0}
    for lacking in resources:
        held = {action: [one for kind, one in resources.items() if kind != lacking], **tagging}
        call = client_with(cloud, held).restore_db_instance_from_db_snapshot
        assert refusal(call, **asked, Tags=TAGS) == "AccessDenied", lacking
    held = {action: list(resources.values())}
    call = client_with(cloud, held).restore_db_instance_from_db_snapshot
    assert refusal(call, **asked, Tags=TAGS) == "AccessDenied"
    client_with(cloud, {**held, **tagging}).restore_db_instance_from_db_snapshot(**asked, Tags=TAGS)
    statuses(rds, "judged-1")

    instance = {"rds:ModifyDBInstance": [f"{PLACE}:db:judged-1"]}
    secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!db-*"
    needed = {
        "secretsmanager:CreateSecret": [secret],
        "secretsmanager:TagResource": [secret],
        "kms:DescribeKey": ["arn:aws:kms:us-east-1:000000000000:key/*"],
    }
    change = {"DBInstanceIdentifier": "judged-1", "ManageMasterUserPassword": True, "ApplyImmediately": True}
    for lacking in needed:
        user = client_with(cloud, {**instance, **needed, lacking: []})
        assert refusal(user.modify_db_instance, **change) == "AccessDenied", lacking
    client_with(cloud, {**instance, **needed}).modify_db_instance(**change)
    wait_for(lambda: not describe(rds, "judged-1")["PendingModifiedValues"], "the password")
    remove(rds, "judged-1")


def test_a_snapshots_data_has_a_time_of_its_own(cloud, rds, source):
    before = snapshot_of(rds, source)
    cloud.admin("POST", "rds/snapshot", {"snapshot": source, "facts": {"data_seconds_ago": 7200}})
    moved = snapshot_of(rds, source)
    assert moved["SnapshotCreateTime"] == before["SnapshotCreateTime"]
    assert (before["SnapshotDatabaseTime"] - moved["SnapshotDatabaseTime"]).total_seconds() > 7000
    cloud.admin("POST", "rds/snapshot", {"snapshot": source, "facts": {"data_seconds_ago": None}})
    assert "SnapshotDatabaseTime" not in snapshot_of(rds, source)


@pytest.mark.parametrize("version", ["15.18", "18.4"])
def test_data_is_damaged_in_one_snapshot_and_its_master_sees_it_with_amcheck(cloud, rds, version):
    name = create(rds, version)
    with connect(cloud, available(rds, name)) as db:
        assert db.execute("SHOW data_checksums").fetchone() == ("on",)
        db.execute("CREATE TABLE words (word text PRIMARY KEY)")
        db.execute("INSERT INTO words SELECT 'word ' || n FROM generate_series(1, 1000) n")
        for statement in (
            "CREATE ROLE owner NOLOGIN",
            "GRANT owner TO master",
            "ALTER DATABASE app OWNER TO owner",
            "REVOKE owner FROM master",
        ):
            db.execute(statement)
    snapshot(rds, name, f"{name}-bad")
    statuses(rds, name)
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier=f"{name}-bad", TargetDBSnapshotIdentifier=f"{name}-good")
    wait_for(lambda: snapshot_of(rds, f"{name}-good")["Status"] == "available", "the copy")
    flip = [{"relation": "words_pkey", "block": 1}]
    damage(
        cloud, f"{name}-bad", sql=["CREATE TABLE extra (n int)", "DELETE FROM words WHERE word = 'word 7'"], flip=flip
    )
    for odd in ({"sql": ["SELECT nothing"]}, {"flip": [{"relation": "absent"}]}):
        with pytest.raises(AssertionError, match=" 500 "):
            damage(cloud, f"{name}-bad", **odd)

    def checked(snapshot_name):
        scratch = restored(rds, snapshot_name)
        with connect(cloud, available(rds, scratch)) as db:
            assert db.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'master'").fetchone() == (False,)
            db.execute("CREATE EXTENSION amcheck")
            db.execute("CREATE ROLE prover NOLOGIN")
            db.execute("GRANT pg_read_all_data TO prover")
            db.execute("GRANT EXECUTE ON FUNCTION verify_heapam TO prover")
            db.execute("GRANT EXECUTE ON FUNCTION bt_index_parent_check(regclass, boolean) TO prover")
            db.execute("GRANT prover TO master")
            db.execute("SET ROLE prover")
            count = db.execute("SELECT count(*) FROM words").fetchone()[0]
            assert db.execute("SELECT * FROM verify_heapam('words')").fetchall() == []
            try:
                db.execute("SELECT bt_index_parent_check('words_pkey', true)")
                sound = True
            except psycopg.errors.DataCorrupted:
                sound = False
        remove(rds, scratch)
        return count, sound

    assert checked(f"{name}-bad") == (999, False)
    assert checked(f"{name}-good") == (1000, True)
    with connect(cloud, describe(rds, name)) as db:
        assert db.execute("SELECT count(*) FROM words").fetchone() == (1000,)
    remove(rds, name)
