"""Snapshots of RDS: names, tags, permissions, copies, failures."""

from __future__ import annotations

import json
import time

import pytest
from conftest import wait_for
from databases import available, create, describe, numbers, refusal, snapshot, snapshot_of, statuses

KEY = "arn:aws:kms:sa-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize("name", ["rds:x", "a.b", "a_b", "a--b", "a-", "1abc", "a" * 256])
def test_snapshot_names_that_rds_refuses(rds, shared, name):
    instance = shared["DBInstanceIdentifier"]
    assert refusal(rds.create_db_snapshot, DBInstanceIdentifier=instance, DBSnapshotIdentifier=name) == (
        "InvalidParameterValue"
    )


def test_a_snapshots_name_is_taken_whatever_its_case(rds, shared):
    name = shared["DBInstanceIdentifier"]
    statuses(rds, name)
    snapshot(rds, name, "MoveONgs-prod-20261123")
    assert snapshot_of(rds, "moveongs-prod-20261123")["PercentProgress"] == 100
    statuses(rds, name)
    taken = {"DBInstanceIdentifier": name, "DBSnapshotIdentifier": "moveongs-PROD-20261123"}
    assert refusal(rds.create_db_snapshot, **taken) == "DBSnapshotAlreadyExists"
    assert refusal(rds.create_db_snapshot, DBInstanceIdentifier="none", DBSnapshotIdentifier="x") == (
        "DBInstanceNotFound"
    )
    rds.delete_db_snapshot(DBSnapshotIdentifier="moveongs-prod-20261123")


def test_a_snapshot_fails_waits_or_is_one_too_many_as_told(cloud, rds, orders):
    name = create(rds)
    available(rds, name)
    assert orders(fail=1) == {"fail": 1, "hold": False, "quota": 100}
    rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=f"{name}-bad")
    wait_for(lambda: snapshot_of(rds, f"{name}-bad")["Status"] == "failed", "a failed snapshot")
    statuses(rds, name)

    orders(hold=True)
    rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=f"{name}-held")
    wait_for(lambda: snapshot_of(rds, f"{name}-held")["PercentProgress"] == 30, "some progress")
    assert describe(rds, name)["DBInstanceStatus"] == "backing-up"
    second = {"DBInstanceIdentifier": name, "DBSnapshotIdentifier": f"{name}-second"}
    assert refusal(rds.create_db_snapshot, **second) == "InvalidDBInstanceState"
    orders(hold=False)
    wait_for(lambda: snapshot_of(rds, f"{name}-held")["Status"] == "available", "the held snapshot")
    statuses(rds, name)

    manual = len(rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"])
    orders(quota=manual)
    assert refusal(rds.create_db_snapshot, **second) == "SnapshotQuotaExceeded"
    orders(quota=manual + 1)
    rds.create_db_snapshot(**second)
    statuses(rds, name)
    for one in ("bad", "held", "second"):
        rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-{one}")
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    for odd in ({"fail": -1}, {"fail": True}, {"hold": 1}, {"other": 1}):
        with pytest.raises(AssertionError, match="expected fail or quota"):
            orders(**odd)


@pytest.mark.parametrize("tag", [("aws:x", "y"), ("x", "rds:y"), ("x", "a;b"), ("x" * 129, "y"), ("x", "y" * 257)])
def test_a_snapshot_takes_only_the_tags_that_rds_takes(rds, shared, tag):
    name = shared["DBInstanceIdentifier"]
    tags = [{"Key": tag[0], "Value": tag[1]}]
    asked = {"DBInstanceIdentifier": name, "DBSnapshotIdentifier": "never", "Tags": tags}
    assert refusal(rds.create_db_snapshot, **asked) == "InvalidParameterValue"


def test_a_snapshot_is_judged_by_instance_snapshot_and_tags(cloud, shared, kept):
    name, place = shared["DBInstanceIdentifier"], "arn:aws:rds:us-east-1:000000000000"
    asked = {
        "DBInstanceIdentifier": name,
        "DBSnapshotIdentifier": "judged-1",
        "Tags": [{"Key": "Project", "Value": "p"}],
    }

    def may(**changed):
        """A client of a user with the rights to create and describe tagged snapshots, as `changed`."""
        rights = {
            "rds:CreateDBSnapshot": [f"{place}:db:{name}", f"{place}:snapshot:judged-*"],
            "rds:AddTagsToResource": [f"{place}:snapshot:judged-*"],
            "rds:DescribeDBSnapshots": [f"{place}:db:{name}", f"{place}:snapshot:*"],
            **changed,
        }
        tagged = {"StringEquals": {"aws:RequestTag/Project": "p"}}
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": resources}
            | ({} if "Describe" in action else {"Condition": tagged})
            for action, resources in rights.items()
            if resources
        ]
        iam, user = cloud.client("iam"), f"judged-{next(numbers)}"
        iam.create_user(UserName=user)
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=user, PolicyName="rights", PolicyDocument=document)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return cloud.client("rds", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    for lacking in (
        {"rds:CreateDBSnapshot": [f"{place}:db:{name}"]},
        {"rds:CreateDBSnapshot": [f"{place}:snapshot:judged-*"]},
        {"rds:AddTagsToResource": []},
        {"rds:AddTagsToResource": [f"{place}:snapshot:other-*"]},
    ):
        assert refusal(may(**lacking).create_db_snapshot, **asked) == "AccessDenied", lacking
    right = may()
    assert refusal(right.create_db_snapshot, **{**asked, "DBSnapshotIdentifier": "other-1"}) == "AccessDenied"
    wrong_tag = {**asked, "Tags": [{"Key": "Project", "Value": "q"}]}
    assert refusal(right.create_db_snapshot, **wrong_tag) == "AccessDenied"
    assert right.create_db_snapshot(**asked)["DBSnapshot"]["TagList"] == asked["Tags"]
    assert right.describe_db_snapshots(DBInstanceIdentifier=name)["DBSnapshots"]
    assert right.describe_db_snapshots(DBSnapshotIdentifier=kept)["DBSnapshots"]
    narrow = may(**{"rds:DescribeDBSnapshots": [f"{place}:db:{name}"]})
    assert refusal(narrow.describe_db_snapshots, DBInstanceIdentifier=name) == "AccessDenied"
    assert refusal(narrow.describe_db_snapshots, DBSnapshotIdentifier=kept) == "AccessDenied"
    rds = cloud.client("rds")
    statuses(rds, name)
    rds.delete_db_snapshot(DBSnapshotIdentifier="judged-1")


def test_a_snapshot_is_copied_to_another_region_with_a_key_of_it(cloud, rds, shared, kept, orders):
    away = cloud.client("rds", "sa-east-1")
    cloud.admin("POST", "rds/snapshot", {"snapshot": kept, "facts": {"Encrypted": True}})
    source = snapshot_of(rds, kept)
    tags = [{"Key": "Project", "Value": "p"}]
    asked = {"SourceDBSnapshotIdentifier": source["DBSnapshotArn"], "TargetDBSnapshotIdentifier": f"{kept}-away"}
    assert refusal(away.copy_db_snapshot, **asked, Tags=tags) == "InvalidParameterCombination"
    at_home = KEY.replace("sa-east-1", "us-east-1")
    assert refusal(away.copy_db_snapshot, **asked, KmsKeyId=at_home) == "KMSKeyNotAccessibleFault"
    odd = [{"Key": "CopyOf", "Value": "rds:x"}]
    assert refusal(away.copy_db_snapshot, **asked, KmsKeyId=KEY, Tags=odd) == "InvalidParameterValue"
    absent = {**asked, "SourceDBSnapshotIdentifier": source["DBSnapshotArn"] + "-absent"}
    assert refusal(away.copy_db_snapshot, **absent, KmsKeyId=KEY) == "DBSnapshotNotFound"
    orders(hold=True)
    copied = away.copy_db_snapshot(**asked, KmsKeyId=KEY, Tags=tags)["DBSnapshot"]
    assert (copied["Status"], copied["TagList"], copied["KmsKeyId"]) == ("creating", tags, KEY)
    assert copied["DBSnapshotArn"] == source["DBSnapshotArn"].replace("us-east-1", "sa-east-1") + "-away"
    assert refusal(away.copy_db_snapshot, **asked, KmsKeyId=KEY) == "DBSnapshotAlreadyExists"
    orders(hold=False)
    wait_for(lambda: snapshot_of(away, f"{kept}-away")["Status"] == "available", "the copy")
    copied = snapshot_of(away, f"{kept}-away")
    assert copied["OriginalSnapshotCreateTime"] == source["OriginalSnapshotCreateTime"]
    assert copied["SnapshotCreateTime"] > source["SnapshotCreateTime"]
    assert copied["DbiResourceId"] == source["DbiResourceId"]
    assert refusal(rds.describe_db_snapshots, DBSnapshotIdentifier=f"{kept}-away") == "DBSnapshotNotFound"

    orders(fail=1)
    away.copy_db_snapshot(**{**asked, "TargetDBSnapshotIdentifier": f"{kept}-bad"}, KmsKeyId=KEY)
    wait_for(lambda: snapshot_of(away, f"{kept}-bad")["Status"] == "failed", "a copy that failed")
    for name in (f"{kept}-away", f"{kept}-bad"):
        away.delete_db_snapshot(DBSnapshotIdentifier=name)
    cloud.admin("POST", "rds/snapshot", {"snapshot": kept, "facts": {"Encrypted": False}})


def test_who_may_restore_a_snapshot(rds, kept, cloud):
    def accounts():
        found = rds.describe_db_snapshot_attributes(DBSnapshotIdentifier=kept)["DBSnapshotAttributesResult"]
        assert found["DBSnapshotIdentifier"] == kept
        return [(one["AttributeName"], one["AttributeValues"]) for one in found["DBSnapshotAttributes"]]

    assert accounts() == [("restore", [])]
    share = {"DBSnapshotIdentifier": kept, "AttributeName": "restore"}
    rds.modify_db_snapshot_attribute(**share, ValuesToAdd=["all", "111111111111"])
    assert accounts() == [("restore", ["111111111111", "all"])]
    rds.modify_db_snapshot_attribute(**share, ValuesToRemove=["all", "111111111111"])
    assert accounts() == [("restore", [])]
    cloud.admin("POST", "rds/snapshot", {"snapshot": kept, "facts": {"Encrypted": True}})
    assert refusal(rds.modify_db_snapshot_attribute, **share, ValuesToAdd=["all"]) == "InvalidParameterValue"
    cloud.admin("POST", "rds/snapshot", {"snapshot": kept, "facts": {"Encrypted": False}})


def test_rds_shows_of_a_snapshot_what_it_is_told(cloud, rds, kept):
    def tell(**facts):
        return cloud.admin("POST", "rds/snapshot", {"snapshot": kept, "facts": facts})

    before = snapshot_of(rds, kept)
    assert "FullSnapshotSizeInBytes" not in before
    tell(AllocatedStorage=40, FullSnapshotSizeInBytes=5, Status="creating", seconds_ago=None)
    shown = snapshot_of(rds, kept)
    assert (shown["AllocatedStorage"], shown["Status"]) == (40, "creating")
    assert "SnapshotCreateTime" not in shown
    # RDS shows milliseconds, so the time may be a little earlier.
    earliest = time.time() - 3600 - 0.001
    tell(AllocatedStorage=20, Status="available", seconds_ago=3600, FullSnapshotSizeInBytes=None)
    latest = time.time() - 3600
    assert earliest <= snapshot_of(rds, kept)["SnapshotCreateTime"].timestamp() <= latest
    for odd in ({"snapshot": "absent"}, {"snapshot": kept, "facts": {"odd": 1}}):
        with pytest.raises(AssertionError, match=r"no snapshot|unknown: odd"):
            cloud.admin("POST", "rds/snapshot", odd)


def test_a_snapshot_is_deleted_and_copied_by_who_may(cloud, rds, shared):
    place, name = "arn:aws:rds:us-east-1:000000000000:snapshot", shared["DBInstanceIdentifier"]
    statuses(rds, name)
    snapshot(rds, name, "rights-1")
    rds.add_tags_to_resource(ResourceName=f"{place}:rights-1", Tags=[{"Key": "Project", "Value": "p"}])
    statuses(rds, name)

    def may(actions, resources, condition):
        iam, user = cloud.client("iam"), f"rights-{next(numbers)}"
        iam.create_user(UserName=user)
        statement = {"Effect": "Allow", "Action": actions, "Resource": resources, "Condition": condition}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=user, PolicyName="rights", PolicyDocument=document)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return cloud.client("rds", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    def tagged(value):
        return {"StringEquals": {"aws:ResourceTag/Project": value}}

    copy = {"SourceDBSnapshotIdentifier": "rights-1", "TargetDBSnapshotIdentifier": "rights-2"}
    for resources in ([f"{place}:rights-1"], [f"{place}:rights-2"]):
        assert refusal(may("rds:CopyDBSnapshot", resources, {}).copy_db_snapshot, **copy) == "AccessDenied"
    may("rds:CopyDBSnapshot", f"{place}:rights-*", {}).copy_db_snapshot(**copy)
    wait_for(lambda: snapshot_of(rds, "rights-2")["Status"] == "available", "the copy")
    rds.delete_db_snapshot(DBSnapshotIdentifier="rights-2")

    delete = {"DBSnapshotIdentifier": "rights-1"}
    for resource, condition in ((f"{place}:other-*", tagged("p")), (f"{place}:rights-*", tagged("q"))):
        user = may("rds:DeleteDBSnapshot", resource, condition)
        assert refusal(user.delete_db_snapshot, **delete) == "AccessDenied"
    unheld = {"StringEqualsIfExists": {"aws:ResourceTag/Hold": ["", "false"]}}
    rds.add_tags_to_resource(ResourceName=f"{place}:rights-1", Tags=[{"Key": "Hold", "Value": "audit"}])
    user = may("rds:DeleteDBSnapshot", f"{place}:rights-*", {**tagged("p"), **unheld})
    assert refusal(user.delete_db_snapshot, **delete) == "AccessDenied"
    rds.remove_tags_from_resource(ResourceName=f"{place}:rights-1", TagKeys=["Hold"])
    user.delete_db_snapshot(**delete)
