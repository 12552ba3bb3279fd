"""RDS's facts about backups: pages, windows, pending changes, certificates, restorable times, sharing."""

from __future__ import annotations

import datetime
import itertools

import pytest
from botocore.exceptions import ClientError
from conftest import wait_for

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def rds(cloud):
    return cloud.client("rds")


def create(rds, wait=True, **more):
    name = f"backed-{next(numbers)}"
    settings = {
        "DBInstanceClass": "db.t4g.micro",
        "Engine": "postgres",
        "EngineVersion": "18.4",
        "AllocatedStorage": 20,
        "MasterUsername": "master",
        "MasterUserPassword": "a-Master_password.1",
        "BackupRetentionPeriod": 0,
        **more,
    }
    rds.create_db_instance(DBInstanceIdentifier=name, **settings)
    if wait:
        wait_for(lambda: describe(rds, name)["DBInstanceStatus"] == "available", f"{name} to be available")
    return name


@pytest.fixture(scope="module")
def instance(rds):
    """An instance without backups; tests undo their changes to it."""
    return create(rds)


def describe(rds, name):
    return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]


def refusal(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def modified(rds, name, **changes):
    """Changes the instance and returns it once it is available again."""
    rds.modify_db_instance(DBInstanceIdentifier=name, **changes)
    return wait_for(
        lambda: (now := describe(rds, name))["DBInstanceStatus"] == "available" and now, f"{name} to be modified"
    )


def test_an_instance_shows_the_settings_that_it_was_made_with(cloud, rds):
    name = create(
        rds,
        wait=False,
        BackupRetentionPeriod=7,
        PreferredBackupWindow="23:45-00:30",
        PreferredMaintenanceWindow="tue:04:00-tue:05:00",
        StorageEncrypted=True,
        DeletionProtection=True,
        CopyTagsToSnapshot=True,
        MaxAllocatedStorage=100,
        AutoMinorVersionUpgrade=False,
        CACertificateIdentifier="rds-ca-ecc384-g1",
        EnableCloudwatchLogsExports=["postgresql", "upgrade"],
        Tags=[{"Key": "Project", "Value": "moveongs"}],
    )
    shown = describe(rds, name)
    expected = {
        "BackupRetentionPeriod": 7,
        "PreferredBackupWindow": "23:45-00:30",
        "PreferredMaintenanceWindow": "tue:04:00-tue:05:00",
        "StorageEncrypted": True,
        "DeletionProtection": True,
        "PubliclyAccessible": False,
        "CopyTagsToSnapshot": True,
        "MultiAZ": False,
        "AllocatedStorage": 20,
        "MaxAllocatedStorage": 100,
        "AutoMinorVersionUpgrade": False,
        "CACertificateIdentifier": "rds-ca-ecc384-g1",
        "EnabledCloudwatchLogsExports": ["postgresql", "upgrade"],
        "TagList": [{"Key": "Project", "Value": "moveongs"}],
        "DBInstanceStatus": "creating",
    }
    assert {name: shown[name] for name in expected} == expected
    assert shown["KmsKeyId"].startswith("arn:aws:kms:us-east-1:000000000000:key/")
    assert shown["CertificateDetails"]["CAIdentifier"] == "rds-ca-ecc384-g1"
    assert shown["CertificateDetails"]["ValidTill"] > shown["InstanceCreateTime"] + datetime.timedelta(days=364)
    assert shown["DbiResourceId"].startswith("db-")
    assert shown["DBParameterGroups"][0]["ParameterApplyStatus"] == "in-sync"
    assert shown["DBSubnetGroup"]["DBSubnetGroupName"] == "default"
    assert "LatestRestorableTime" not in shown


def test_what_does_not_exist_is_not_shown(rds, instance):
    absent = {"KmsKeyId", "LatestRestorableTime", "MaxAllocatedStorage", "MasterUserSecret", "DBClusterIdentifier"}
    absent |= {"ReadReplicaSourceDBInstanceIdentifier", "MonitoringRoleArn"}
    shown = describe(rds, instance)
    assert not absent & shown.keys()
    assert shown["EnabledCloudwatchLogsExports"] == []


@pytest.mark.parametrize(
    ("backup", "maintenance", "code"),
    [
        ("03:00-04:00", "sun:04:00-sun:05:00", None),
        ("03:00-04:01", "sun:04:00-sun:05:00", "InvalidParameterValue"),
        ("23:30-00:30", "mon:00:29-mon:01:00", "InvalidParameterValue"),
        ("23:30-00:30", "mon:00:30-mon:01:00", None),
        ("00:00-00:30", "sun:23:30-mon:00:01", "InvalidParameterValue"),
        ("00:00-00:30", "sat:23:30-sun:00:30", "InvalidParameterValue"),
        ("03:00-03:30", "sun:04:00-sun:04:30", None),
        ("03:00-03:29", "sun:04:00-sun:05:00", "InvalidParameterValue"),
        ("03:00-04:00", "sun:05:00-sun:05:29", "InvalidParameterValue"),
        ("24:00-01:00", "sun:04:00-sun:05:00", "InvalidParameterValue"),
        ("03:00-04:00", "04:00-05:00", "InvalidParameterValue"),
    ],
)
def test_windows_are_half_an_hour_and_do_not_meet(rds, instance, backup, maintenance, code):
    windows = {"PreferredBackupWindow": backup, "PreferredMaintenanceWindow": maintenance}
    if code:
        assert refusal(rds.modify_db_instance, DBInstanceIdentifier=instance, **windows) == code
    else:
        shown = rds.modify_db_instance(DBInstanceIdentifier=instance, **windows)["DBInstance"]
        assert {name: shown[name] for name in windows} == windows


def test_a_window_is_judged_with_the_other_one_that_stands(rds, instance):
    rds.modify_db_instance(
        DBInstanceIdentifier=instance,
        PreferredBackupWindow="03:00-04:00",
        PreferredMaintenanceWindow="sun:05:00-sun:06:00",
    )
    assert (
        refusal(rds.modify_db_instance, DBInstanceIdentifier=instance, PreferredBackupWindow="04:30-05:30")
        == "InvalidParameterValue"
    )
    assert describe(rds, instance)["PreferredBackupWindow"] == "03:00-04:00"


def test_what_can_wait_waits_for_a_change_at_once(rds):
    name = create(rds)
    shown = modified(rds, name, BackupRetentionPeriod=7, CACertificateIdentifier="rds-ca-rsa4096-g1")
    assert shown["BackupRetentionPeriod"] == 0
    waiting = {"BackupRetentionPeriod": 7, "CACertificateIdentifier": "rds-ca-rsa4096-g1"}
    assert shown["PendingModifiedValues"] == waiting
    # A second change keeps the first one pending. Except for AllocatedStorage, these apply at once.
    shown = modified(
        rds,
        name,
        AllocatedStorage=30,
        MaxAllocatedStorage=60,
        DeletionProtection=True,
        PubliclyAccessible=True,
        CopyTagsToSnapshot=True,
        AutoMinorVersionUpgrade=False,
        CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql"]},
    )
    assert shown["PendingModifiedValues"] == {**waiting, "AllocatedStorage": 30}
    assert shown["DeletionProtection"] and shown["PubliclyAccessible"] and shown["CopyTagsToSnapshot"]
    assert (shown["AutoMinorVersionUpgrade"], shown["MaxAllocatedStorage"]) == (False, 60)
    assert shown["EnabledCloudwatchLogsExports"] == ["postgresql"]

    shown = modified(rds, name, PreferredBackupWindow="10:00-11:00", ApplyImmediately=True)
    assert shown["PendingModifiedValues"] == {}
    assert (shown["BackupRetentionPeriod"], shown["AllocatedStorage"]) == (7, 30)
    assert shown["CertificateDetails"]["CAIdentifier"] == "rds-ca-rsa4096-g1"

    shown = modified(rds, name, BackupRetentionPeriod=30)
    assert (shown["BackupRetentionPeriod"], shown["PendingModifiedValues"]) == (30, {})

    assert rds.describe_db_snapshots(DBInstanceIdentifier=name, SnapshotType="automated")["DBSnapshots"]
    modified(rds, name, BackupRetentionPeriod=0, ApplyImmediately=True)
    assert rds.describe_db_snapshots(DBInstanceIdentifier=name)["DBSnapshots"] == []


def test_a_change_needs_an_available_instance_and_known_names(cloud, rds, instance):
    cloud.admin("POST", "rds/status", {"instance": instance, "status": "maintenance"})
    change = {"DBInstanceIdentifier": instance, "DeletionProtection": True}
    assert refusal(rds.modify_db_instance, **change) == "InvalidDBInstanceState"
    cloud.admin("POST", "rds/status", {"instance": instance, "status": "available"})
    for wrong, code in (
        ({"CACertificateIdentifier": "rds-ca-1066"}, "CertificateNotFound"),
        ({"MaxAllocatedStorage": 19}, "InvalidParameterCombination"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue"),
    ):
        assert refusal(rds.modify_db_instance, DBInstanceIdentifier=instance, **wrong) == code


def test_the_latest_restorable_time_lags_and_can_stand_still(cloud, rds):
    name = create(rds, BackupRetentionPeriod=1)
    shown = describe(rds, name)
    now = datetime.datetime.now(datetime.timezone.utc)
    assert shown["InstanceCreateTime"] <= shown["LatestRestorableTime"] <= now
    assert now - shown["LatestRestorableTime"] < datetime.timedelta(minutes=5, seconds=10)

    old = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    answer = cloud.admin(
        "POST",
        "rds/instance",
        {
            "instance": name,
            "latest_restorable": old.isoformat(),
            "created": "2025-01-01T00:00:00Z",
            "ca": "rds-ca-2019",
            "ca_valid_till": "2024-08-22T17:08:50+00:00",
        },
    )
    assert answer["ca_valid_till"] == "2024-08-22T17:08:50.000Z"
    shown = describe(rds, name)
    assert shown["LatestRestorableTime"] == old
    assert shown["InstanceCreateTime"].year == 2025
    assert shown["CACertificateIdentifier"] == shown["CertificateDetails"]["CAIdentifier"] == "rds-ca-2019"
    assert shown["CertificateDetails"]["ValidTill"].year == 2024
    cloud.admin("POST", "rds/instance", {"instance": name, "latest_restorable": None})
    assert describe(rds, name)["LatestRestorableTime"].year > 2025


def test_an_automated_snapshot_of_any_instant_restores_and_is_not_shared(cloud, rds, instance):
    made = cloud.admin("POST", "rds/automated-snapshot", {"instance": instance, "created": "2026-02-03T04:05:06-03:00"})
    name = f"rds:{instance}-2026-02-03-07-05"
    assert made == {"snapshot": name}
    shown = rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
    assert (shown["SnapshotType"], shown["Status"]) == ("automated", "available")
    assert shown["SnapshotCreateTime"].isoformat() == "2026-02-03T07:05:06+00:00"
    assert "KmsKeyId" not in shown
    share = {"DBSnapshotIdentifier": name, "AttributeName": "restore", "ValuesToAdd": ["123456789012"]}
    assert refusal(rds.modify_db_snapshot_attribute, **share) == "InvalidDBSnapshotState"
    target = f"{instance}-again"
    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier=target, DBSnapshotIdentifier=name)
    wait_for(lambda: describe(rds, target)["DBInstanceStatus"] == "available", "the restored instance")


def restore_of(answer):
    result = answer["DBSnapshotAttributesResult"]["DBSnapshotAttributes"]
    assert [one["AttributeName"] for one in result] == ["restore"]
    return result[0]["AttributeValues"]


def snapshot(rds, instance):
    name = f"shared-{next(numbers)}"
    rds.create_db_snapshot(DBInstanceIdentifier=instance, DBSnapshotIdentifier=name)
    wait_for(
        lambda: rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]["Status"] == "available", name
    )
    return name


def test_a_manual_snapshot_is_shared_with_accounts_and_all(cloud, rds, instance):
    name = snapshot(rds, instance)
    about = {"DBSnapshotIdentifier": name}
    assert restore_of(rds.describe_db_snapshot_attributes(**about)) == []
    share = {**about, "AttributeName": "restore"}
    added = rds.modify_db_snapshot_attribute(**share, ValuesToAdd=["123456789012", "all"])
    assert restore_of(added) == ["123456789012", "all"]
    copied = {"DBSnapshotIdentifier": f"{name}-copy"}
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier=name, TargetDBSnapshotIdentifier=f"{name}-copy")
    assert restore_of(rds.describe_db_snapshot_attributes(**copied)) == []
    left = rds.modify_db_snapshot_attribute(**share, ValuesToRemove=["all"])
    assert restore_of(left) == restore_of(rds.describe_db_snapshot_attributes(**about)) == ["123456789012"]
    for wrong, code in (
        ({**share, "ValuesToAdd": ["12345"]}, "InvalidParameterValue"),
        ({**about, "AttributeName": "read", "ValuesToAdd": ["all"]}, "InvalidParameterValue"),
        ({**share, "DBSnapshotIdentifier": "no-such"}, "DBSnapshotNotFound"),
        ({**share, "ValuesToAdd": [f"{number:012}" for number in range(20)]}, "SharedSnapshotQuotaExceeded"),
    ):
        assert refusal(rds.modify_db_snapshot_attribute, **wrong) == code
    assert refusal(rds.describe_db_snapshot_attributes, DBSnapshotIdentifier="no-such") == "DBSnapshotNotFound"


@pytest.mark.parametrize(
    ("key", "accounts"),
    [("arn:aws:kms:us-east-1:000000000000:key/own", ["123456789012"]), (None, [])],
    ids=["own-key", "default-key"],
)
def test_an_encrypted_snapshot_is_never_public(rds, key, accounts):
    encrypted = create(rds, StorageEncrypted=True, **({"KmsKeyId": key} if key else {}))
    name = snapshot(rds, encrypted)
    share = {"DBSnapshotIdentifier": name, "AttributeName": "restore"}
    assert refusal(rds.modify_db_snapshot_attribute, **share, ValuesToAdd=["all"]) == "InvalidParameterValue"
    if accounts:
        assert restore_of(rds.modify_db_snapshot_attribute(**share, ValuesToAdd=accounts)) == accounts
    else:
        code = refusal(rds.modify_db_snapshot_attribute, **share, ValuesToAdd=["123456789012"])
        assert code == "InvalidParameterValue"
