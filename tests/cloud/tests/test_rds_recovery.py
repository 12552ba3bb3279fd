"""Points in time, retained backups and a lost instance, as the model of RDS documents them."""

from __future__ import annotations

import datetime
import json
import uuid

import pytest
from databases import available, connect, create, refusal, rows, statuses

MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture
def backed_up(cloud, rds):
    name = create(rds)
    instance = available(rds, name)
    rds.modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=7, ApplyImmediately=True)
    statuses(rds, name)
    with connect(cloud, instance) as db:
        db.execute("CREATE TABLE words AS SELECT 'first' AS word")
    return name


def latest(cloud, name, instant):
    cloud.admin("POST", "rds/instance", {"instance": name, "latest_restorable": instant})


def restored(cloud, rds, target, **more):
    rds.restore_db_instance_to_point_in_time(TargetDBInstanceIdentifier=target, BackupRetentionPeriod=0, **more)
    found = rows(cloud, available(rds, target))
    rds.delete_db_instance(DBInstanceIdentifier=target, SkipFinalSnapshot=True)
    return found


def test_a_point_in_time_has_the_data_of_the_newest_mark_before_it(cloud, rds, backed_up):
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    latest(cloud, backed_up, now.isoformat())
    for seconds_ago, word in ((7200, "second"), (3600, "third")):
        point = cloud.admin("POST", "rds/point", {"instance": backed_up, "seconds_ago": seconds_ago})
        with connect(cloud, available(rds, backed_up)) as db:
            db.execute("INSERT INTO words VALUES (%s)", [word])
    assert now - datetime.datetime.fromisoformat(point["time"].replace("Z", "+00:00")) < 61 * MINUTE
    source = {"SourceDBInstanceIdentifier": backed_up}
    pit = f"{backed_up}-pit"
    assert restored(cloud, rds, f"{pit}-1", **source, RestoreTime=now - 90 * MINUTE) == ["first"]
    assert restored(cloud, rds, f"{pit}-2", **source, RestoreTime=now - MINUTE) == ["first", "second"]
    assert restored(cloud, rds, f"{pit}-3", **source, UseLatestRestorableTime=True) == ["first", "second", "third"]
    later = {**source, "TargetDBInstanceIdentifier": f"{pit}-4"}
    restore = rds.restore_db_instance_to_point_in_time
    assert refusal(restore, **later, RestoreTime=now + MINUTE) == "InvalidParameterValue"
    assert refusal(restore, **later, RestoreTime=now - 180 * MINUTE) == "InvalidParameterValue"
    (backup,) = rds.describe_db_instance_automated_backups(DBInstanceIdentifier=backed_up)["DBInstanceAutomatedBackups"]
    assert backup["Status"] == "active" and backup["RestoreWindow"]["LatestTime"] == now
    assert backup["RestoreWindow"]["EarliestTime"] < now - 119 * MINUTE
    by_resource = {"SourceDbiResourceId": backup["DbiResourceId"], "UseLatestRestorableTime": True}
    assert len(restored(cloud, rds, f"{pit}-5", **by_resource)) == 3
    rds.delete_db_instance(DBInstanceIdentifier=backed_up, SkipFinalSnapshot=True)


def test_the_backups_of_a_deleted_instance_stay_if_asked(cloud, rds, backed_up):
    resource = available(rds, backed_up)["DbiResourceId"]
    rds.delete_db_instance(DBInstanceIdentifier=backed_up, SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    statuses(rds, backed_up, None)
    describe = rds.describe_db_instance_automated_backups
    assert refusal(describe, DBInstanceIdentifier=backed_up) == "DBInstanceAutomatedBackupNotFound"
    for asked in (
        {"DbiResourceId": resource},
        {"Filters": [{"Name": "db-instance-id", "Values": [backed_up]}]},
        {"Filters": [{"Name": "status", "Values": ["retained"]}, {"Name": "dbi-resource-id", "Values": [resource]}]},
    ):
        (backup,) = describe(**asked)["DBInstanceAutomatedBackups"]
        assert (backup["Status"], backup["MasterUsername"]) == ("retained", "master")
    gone = {"SourceDBInstanceIdentifier": backed_up, "TargetDBInstanceIdentifier": f"{backed_up}-no"}
    restore = rds.restore_db_instance_to_point_in_time
    assert refusal(restore, **gone, UseLatestRestorableTime=True) == "DBInstanceNotFound"
    source = {"SourceDbiResourceId": resource, "UseLatestRestorableTime": True}
    assert restored(cloud, rds, f"{backed_up}-back", **source) == ["first"]


def test_a_lost_instance_comes_back(cloud, rds, backed_up):
    instance = available(rds, backed_up)
    rds.modify_db_instance(DBInstanceIdentifier=backed_up, DeletionProtection=True)
    lost = cloud.admin("POST", "rds/lose", {"instance": backed_up, "retained": True})
    assert lost == {"resource": instance["DbiResourceId"]}
    assert refusal(rds.describe_db_instances, DBInstanceIdentifier=backed_up) == "DBInstanceNotFound"
    with pytest.raises(Exception, match="connection"):
        connect(cloud, instance)
    source = {"SourceDbiResourceId": lost["resource"], "UseLatestRestorableTime": True}
    assert restored(cloud, rds, f"{backed_up}-back", **source) == ["first"]
    cloud.admin("POST", "rds/find", {"instance": backed_up})
    found = available(rds, backed_up)
    assert found["Endpoint"] == instance["Endpoint"] and rows(cloud, found) == ["first"]
    statuses_of = [one["Status"] for one in rds.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]]
    assert "retained" not in statuses_of or len(statuses_of) > 1
    rds.modify_db_instance(DBInstanceIdentifier=backed_up, DeletionProtection=False)
    rds.delete_db_instance(DBInstanceIdentifier=backed_up, SkipFinalSnapshot=True)


def test_a_restore_to_a_point_in_time_needs_leave_for_each_resource(cloud, rds, backed_up):
    iam, name = cloud.client("iam"), f"restores-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    own, place = cloud.client("rds", **keys), "arn:aws:rds:us-east-1:000000000000"
    target, group = f"{backed_up}-new", "default.postgres18"
    needed = [f"{place}:db:{backed_up}", f"{place}:db:{target}", f"{place}:pg:{group}"]
    asked = {
        "SourceDBInstanceIdentifier": backed_up,
        "TargetDBInstanceIdentifier": target,
        "UseLatestRestorableTime": True,
        "DBParameterGroupName": group,
        "Tags": [{"Key": "Run", "Value": "1"}],
    }

    def allow(*resources, tags=True):
        statements = [{"Effect": "Allow", "Action": "rds:RestoreDBInstanceToPointInTime", "Resource": list(resources)}]
        if tags:
            tag = {"Effect": "Allow", "Action": "rds:AddTagsToResource", "Resource": f"{place}:db:{target}"}
            statements.append({**tag, "Condition": {"StringEquals": {"aws:RequestTag/Run": "1"}}})
        document = {"Version": "2012-10-17", "Statement": statements}
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(document))

    restore = own.restore_db_instance_to_point_in_time
    for missing in needed:
        allow(*(one for one in needed if one != missing))
        assert refusal(restore, **asked) == "AccessDenied", missing
    allow(*needed, tags=False)
    assert refusal(restore, **asked) == "AccessDenied"
    allow(*needed)
    restore(**asked)
    assert available(rds, target)["TagList"] == asked["Tags"]
    for one in (backed_up, target):
        rds.delete_db_instance(DBInstanceIdentifier=one, SkipFinalSnapshot=True)
