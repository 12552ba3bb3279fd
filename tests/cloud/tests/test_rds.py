"""The RDS data plane: real databases, snapshots with their data, statuses in order, events, and faults."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import json
import pathlib
import signal
import socket
import threading

import psycopg
import pytest
from botocore.exceptions import ClientError
from conftest import launcher, ready, running, wait_for

PASSWORD = "a-Master_password.1"
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def rds(cloud):
    return cloud.client("rds")


def create(rds, version="18.4", retention=0, **more):
    """Asks for an instance; the status is `creating` when this returns."""
    name = f"db-{next(numbers)}"
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        EngineVersion=version,
        AllocatedStorage=20,
        MasterUsername="master",
        MasterUserPassword=PASSWORD,
        DBName="app",
        BackupRetentionPeriod=retention,
        **more,
    )
    return name


def describe(rds, name):
    return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]


def all_instances(rds):
    return rds.describe_db_instances()["DBInstances"]


def statuses(rds, name, last="available"):
    """Every status that polling sees until `last` (None: until the instance is not found), each once."""
    seen = []

    def reached():
        try:
            status = describe(rds, name)["DBInstanceStatus"]
        except rds.exceptions.DBInstanceNotFoundFault:
            status = None
        if not seen or seen[-1] != status:
            seen.append(status)
        assert status != "failed"
        return status == last

    wait_for(reached, f"{name} to be {last}")
    return seen


def available(rds, name):
    statuses(rds, name)
    return describe(rds, name)


def snapshot(rds, instance, name):
    rds.create_db_snapshot(DBInstanceIdentifier=instance, DBSnapshotIdentifier=name)
    wait_for(lambda: snapshot_of(rds, name)["Status"] == "available", f"{name} to be available")


def snapshot_of(rds, name):
    return rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]


def connect(cloud, instance, **more):
    endpoint = instance["Endpoint"]
    arguments = {
        "user": "master",
        "password": PASSWORD,
        "dbname": "app",
        "sslmode": "verify-full",
        "sslrootcert": cloud.facts["rds_ca"],
        "connect_timeout": 10,
        "autocommit": True,
        **more,
    }
    return psycopg.connect(host=endpoint["Address"], port=endpoint["Port"], **arguments)


def rows(cloud, instance):
    with connect(cloud, instance) as db:
        return [row[0] for row in db.execute("SELECT word FROM words ORDER BY word")]


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def refusal(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def fault(cloud, name, mode):
    return cloud.admin("POST", "rds/fault", {"instance": name, "mode": mode})


def fault_state(cloud, name):
    return cloud.admin("GET", f"rds/fault?instance={name}")


@pytest.fixture(scope="module")
def shared(cloud, rds):
    """An instance that tests use which leave it as it was."""
    return available(rds, create(rds))


@pytest.fixture(scope="module")
def kept(rds, shared):
    """A snapshot of the shared instance."""
    name = f"{shared['DBInstanceIdentifier']}-kept"
    snapshot(rds, shared["DBInstanceIdentifier"], name)
    statuses(rds, shared["DBInstanceIdentifier"])
    return name


@pytest.fixture
def faulty(cloud, shared):
    """The name of the shared instance, without a fault before and after."""
    yield shared["DBInstanceIdentifier"]
    fault(cloud, shared["DBInstanceIdentifier"], "none")


@pytest.fixture(scope="module")
def queue(cloud):
    """A queue that gets every event of RDS from a rule on the default bus."""
    sqs, events = cloud.client("sqs"), cloud.client("events")
    url = sqs.create_queue(QueueName="rds-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = events.put_rule(Name="rds-events", EventPattern=json.dumps({"source": ["aws.rds"]}))["RuleArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_targets(Rule="rds-events", Targets=[{"Id": "queue", "Arn": arn}])
    received = []

    def all_events():
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                received.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return received

    return all_events


def event_of(queue, number, source):
    """The detail of the event with this number and source, when it has come through EventBridge."""

    def found():
        wanted = (f"RDS-EVENT-{number}", source)
        details = [event["detail"] for event in queue()]
        return [detail for detail in details if (detail["EventID"], detail["SourceIdentifier"]) == wanted]

    [detail] = wait_for(found, f"event {number} of {source}")
    return detail


@pytest.mark.parametrize("version", ["15.18", "18.4"])
def test_a_restored_snapshot_has_exactly_its_rows(cloud, rds, version):
    name = create(rds, version)
    instance = available(rds, name)
    assert instance["Endpoint"]["Address"] == "localhost"
    with connect(cloud, instance) as db:
        assert db.info.pgconn.ssl_in_use
        assert db.execute("SHOW server_version").fetchone()[0] == version
        assert db.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'master'").fetchone() == (False,)
        db.execute("CREATE TABLE words (word text)")
        db.execute("INSERT INTO words VALUES ('first'), ('second')")
        db.execute("CREATE ROLE reader LOGIN PASSWORD 'reads-only'")
    with pytest.raises(psycopg.OperationalError, match=r"no encryption|rejects connection"):
        connect(cloud, instance, sslmode="disable")

    snapshot(rds, name, f"{name}-snapshot")
    with connect(cloud, instance) as db:
        db.execute("INSERT INTO words VALUES ('third')")
    rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier=f"{name}-copy", DBSnapshotIdentifier=f"{name}-snapshot", BackupRetentionPeriod=0
    )
    copy = available(rds, f"{name}-copy")
    assert copy["Endpoint"]["Port"] != instance["Endpoint"]["Port"]
    assert rows(cloud, copy) == ["first", "second"]
    assert rows(cloud, instance) == ["first", "second", "third"]
    with connect(cloud, copy, user="reader", password="reads-only") as db:
        assert db.execute("SELECT current_user").fetchone() == ("reader",)
    for one in (name, f"{name}-copy"):
        rds.delete_db_instance(DBInstanceIdentifier=one, SkipFinalSnapshot=True)


def test_an_instance_lives_through_its_statuses_and_leaves_nothing(cloud, rds, queue):
    name = create(rds, retention=1, Tags=[{"Key": "kept", "Value": "yes"}])
    assert "Endpoint" not in describe(rds, name)
    assert refusal(rds.create_db_snapshot, DBInstanceIdentifier=name, DBSnapshotIdentifier="early") == (
        "InvalidDBInstanceState"
    )
    assert statuses(rds, name) == ["creating", "backing-up", "available"]
    instance = describe(rds, name)
    assert instance["BackupRetentionPeriod"] == 1
    assert instance["LatestRestorableTime"]
    automated = rds.describe_db_snapshots(DBInstanceIdentifier=name, SnapshotType="automated")["DBSnapshots"]
    assert [one["Status"] for one in automated] == ["available"]
    assert automated[0]["DBSnapshotIdentifier"].startswith(f"rds:{name}-")

    folder = cloud.state / "rds" / instance["DbiResourceId"]
    assert folder.exists()
    port = instance["Endpoint"]["Port"]
    assert listening(port)
    assert refusal(rds.delete_db_instance, DBInstanceIdentifier=name) == "InvalidParameterCombination"
    rds.delete_db_instance(DBInstanceIdentifier=name, FinalDBSnapshotIdentifier=f"{name}-final")
    assert refusal(rds.delete_db_instance, DBInstanceIdentifier=name, SkipFinalSnapshot=True) == (
        "InvalidDBInstanceState"
    )
    assert statuses(rds, name, None) == ["deleting", None]
    assert not listening(port)
    assert not folder.exists()
    left = rds.describe_db_snapshots(DBInstanceIdentifier=name)["DBSnapshots"]
    assert [one["DBSnapshotIdentifier"] for one in left] == [f"{name}-final"]
    rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-final")

    def of_this():
        return [event for event in queue() if name in event["detail"]["SourceIdentifier"]]

    expected = ["0005", "0001", "0090", "0091", "0002", "0040", "0042", "0003", "0041"]
    wait_for(lambda: len(of_this()) >= len(expected), "the events")
    events = {event["detail"]["EventID"]: event for event in of_this()}
    assert sorted(events) == sorted(f"RDS-EVENT-{number}" for number in expected)
    created = events["RDS-EVENT-0005"]
    assert created["source"] == "aws.rds"
    assert created["detail-type"] == "RDS DB Instance Event"
    assert created["resources"] == [instance["DBInstanceArn"]]
    assert created["detail"] == {
        "EventCategories": ["creation"],
        "SourceType": "DB_INSTANCE",
        "SourceArn": instance["DBInstanceArn"],
        "Date": created["detail"]["Date"],
        "Message": "DB instance created.",
        "SourceIdentifier": name,
        "EventID": "RDS-EVENT-0005",
        "Tags": {"kept": "yes"},
    }
    saved = events["RDS-EVENT-0091"]
    assert saved["detail-type"] == "RDS DB Snapshot Event"
    assert saved["detail"]["SourceType"] == "SNAPSHOT"
    assert saved["resources"] == [automated[0]["DBSnapshotArn"]]


def test_automated_and_final_snapshots_restore_their_rows(cloud, rds, queue):
    name = create(rds)
    instance = available(rds, name)
    with connect(cloud, instance) as db:
        db.execute("CREATE TABLE words AS SELECT 'first' AS word")
    rds.modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=1, ApplyImmediately=True)
    assert statuses(rds, name) == ["modifying", "backing-up", "available"]
    [automated] = rds.describe_db_snapshots(DBInstanceIdentifier=name, SnapshotType="automated")["DBSnapshots"]
    with connect(cloud, instance) as db:
        db.execute("INSERT INTO words VALUES ('second')")

    def restored(target, snapshot_name):
        # Watched from before it is there.
        with concurrent.futures.ThreadPoolExecutor(1) as watcher:
            seen = watcher.submit(statuses, rds, target)
            rds.restore_db_instance_from_db_snapshot(
                DBInstanceIdentifier=target, DBSnapshotIdentifier=snapshot_name, BackupRetentionPeriod=0
            )
        assert [status for status in seen.result() if status] == ["creating", "available"]
        found = rows(cloud, describe(rds, target))
        rds.delete_db_instance(DBInstanceIdentifier=target, SkipFinalSnapshot=True)
        return found

    assert restored(f"{name}-automated", automated["DBSnapshotIdentifier"]) == ["first"]
    event = event_of(queue, "0043", f"{name}-automated")
    assert event["SourceType"] == "DB_INSTANCE"
    assert event["EventCategories"] == ["restoration"]
    assert event["Message"] == f"Restored from snapshot {automated['DBSnapshotIdentifier']}."

    rds.delete_db_instance(DBInstanceIdentifier=name, FinalDBSnapshotIdentifier=f"{name}-final")
    statuses(rds, name, None)
    cloud.admin("POST", "rds/events", {"restored_as": "db-snapshot"})
    try:
        assert restored(f"{name}-again", f"{name}-final") == ["first", "second"]
        event = event_of(queue, "0043", f"{name}-final")
    finally:
        cloud.admin("POST", "rds/events", {"restored_as": "db-instance"})
    assert (event["SourceType"], event["Message"]) == ("SNAPSHOT", f"Restored from snapshot {name}-final.")
    rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-final")


def test_a_snapshot_is_of_one_moment_while_others_write(cloud, rds):
    name = create(rds)
    instance = available(rds, name)
    accounts, each = 500, 1000
    with connect(cloud, instance) as db:
        for table in ("source", "sink"):
            db.execute(
                f"CREATE TABLE {table} AS SELECT n AS id, {each} AS amount FROM generate_series(1, {accounts}) n"
            )

    def sums(one):
        with connect(cloud, one) as db:
            return [db.execute(f"SELECT sum(amount) FROM {table}").fetchone()[0] for table in ("source", "sink")]

    done = threading.Event()
    failed = []

    def transfer():
        try:
            with connect(cloud, instance, autocommit=False) as db:
                for number in itertools.count():
                    if done.is_set():
                        return
                    account = [number % accounts + 1]
                    db.execute("UPDATE source SET amount = amount - 1 WHERE id = %s", account)
                    db.execute("UPDATE sink SET amount = amount + 1 WHERE id = %s", account)
                    db.commit()
                    if number % 20 == 0:
                        # Recovery of a copy that is no backup begins here, after what it lacks of older pages.
                        db.execute("CHECKPOINT")
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=transfer)
    thread.start()
    try:
        wait_for(lambda: sums(instance)[1] > accounts * each, "transfers")
        before = sums(instance)[1]
        rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=f"{name}-moving")
        after = sums(instance)[1]
        wait_for(lambda: sums(instance)[1] > after, "transfers that the snapshot does not have")
    finally:
        done.set()
        thread.join(30)
    assert failed == []
    wait_for(lambda: snapshot_of(rds, f"{name}-moving")["Status"] == "available", "the snapshot")
    rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier=f"{name}-copy", DBSnapshotIdentifier=f"{name}-moving", BackupRetentionPeriod=0
    )
    source, sink = sums(available(rds, f"{name}-copy"))
    assert source + sink == 2 * accounts * each
    assert before <= sink <= after
    for one in (name, f"{name}-copy"):
        rds.delete_db_instance(DBInstanceIdentifier=one, SkipFinalSnapshot=True)
    rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-moving")


def test_a_snapshot_outlives_its_instance_and_its_copy_is_tagged_as_asked(cloud, rds, queue):
    tags = [{"Key": "environment", "Value": "prod"}]
    name = create(rds, Tags=tags, CopyTagsToSnapshot=True, DeletionProtection=True)
    instance = available(rds, name)
    with connect(cloud, instance) as db:
        db.execute("CREATE TABLE words AS SELECT 'kept' AS word")
    snapshot(rds, name, f"{name}-s")
    assert snapshot_of(rds, f"{name}-s")["TagList"] == tags
    assert refusal(rds.delete_db_instance, DBInstanceIdentifier=name, SkipFinalSnapshot=True) == (
        "InvalidParameterCombination"
    )
    rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False)
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    statuses(rds, name, None)

    rds.copy_db_snapshot(SourceDBSnapshotIdentifier=f"{name}-s", TargetDBSnapshotIdentifier=f"{name}-t")
    wait_for(lambda: snapshot_of(rds, f"{name}-t")["Status"] == "available", "the copy of the snapshot")
    for number, verb in (("0196", "Started"), ("0197", "Finished")):
        event = event_of(queue, number, f"{name}-t")
        assert (event["SourceType"], event["EventCategories"]) == ("SNAPSHOT", ["notification"])
        assert event["Message"] == f"{verb} copy of snapshot {name}-s in region us-east-1."
    rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-s")
    rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier=f"{name}-scratch",
        DBSnapshotIdentifier=f"{name}-t",
        BackupRetentionPeriod=0,
        Tags=[{"Key": "purpose", "Value": "restore-test"}],
    )
    scratch = available(rds, f"{name}-scratch")
    assert scratch["TagList"] == [{"Key": "purpose", "Value": "restore-test"}]
    assert scratch["BackupRetentionPeriod"] == 0
    assert scratch["DeletionProtection"] is False
    assert "LatestRestorableTime" not in scratch
    assert rows(cloud, scratch) == ["kept"]
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-scratch", SkipFinalSnapshot=True)

    # Untagged in the request, an instance looks like its source.
    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier=f"{name}-twin", DBSnapshotIdentifier=f"{name}-t")
    assert describe(rds, f"{name}-twin")["TagList"] == tags
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-twin", SkipFinalSnapshot=True)
    rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-t")


def test_a_point_in_time_restore_has_the_data_of_now(cloud, rds, shared, queue):
    name = shared["DBInstanceIdentifier"]
    restore = {
        "SourceDBInstanceIdentifier": name,
        "TargetDBInstanceIdentifier": f"{name}-pit",
        "UseLatestRestorableTime": True,
    }
    assert refusal(rds.restore_db_instance_to_point_in_time, **restore) == "PointInTimeRestoreNotEnabled"
    rds.modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=1, ApplyImmediately=True)
    statuses(rds, name)
    with connect(cloud, shared) as db:
        db.execute("CREATE TABLE words AS SELECT 'now' AS word")
    rds.restore_db_instance_to_point_in_time(**restore, BackupRetentionPeriod=0)
    assert rows(cloud, available(rds, f"{name}-pit")) == ["now"]
    event = event_of(queue, "0019", f"{name}-pit")
    assert (event["SourceType"], event["EventCategories"]) == ("DB_INSTANCE", ["restoration"])
    assert event["Message"] == f"Restored from DB instance {name} to {name}-pit."
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-pit", SkipFinalSnapshot=True)


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


def test_create_refuses_what_rds_refuses(rds):
    good = {
        "DBInstanceIdentifier": "refused",
        "DBInstanceClass": "db.t4g.micro",
        "Engine": "postgres",
        "MasterUsername": "master",
        "MasterUserPassword": PASSWORD,
    }
    assert refusal(rds.create_db_instance, **{**good, "MasterUserPassword": "short"}) == "InvalidParameterValue"
    assert refusal(rds.create_db_instance, **{**good, "MasterUserPassword": 'with"quote'}) == "InvalidParameterValue"
    assert refusal(rds.create_db_instance, **good, EngineVersion="9.6") == "InvalidParameterCombination"


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ({"DBParameterGroupName": "absent"}, "DBParameterGroupNotFound"),
        ({"DBSubnetGroupName": "absent"}, "DBSubnetGroupNotFoundFault"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue"),
        ({"BackupRetentionPeriod": -1}, "InvalidParameterValue"),
    ],
)
def test_settings_that_are_refused_wherever_they_are_given(rds, shared, kept, setting, code):
    name = shared["DBInstanceIdentifier"]
    create_it = {"DBInstanceClass": "db.t4g.micro", "Engine": "postgres", "MasterUsername": "master"}
    calls = [
        (rds.create_db_instance, {"DBInstanceIdentifier": "refused", **create_it, "MasterUserPassword": PASSWORD}),
        (rds.modify_db_instance, {"DBInstanceIdentifier": name}),
        (
            rds.restore_db_instance_from_db_snapshot,
            {"DBInstanceIdentifier": "refused", "DBSnapshotIdentifier": kept},
        ),
    ]
    for call, arguments in calls:
        assert refusal(call, **arguments, **setting) == code
    assert refusal(describe, rds=rds, name="refused") == "DBInstanceNotFound"


def secret_of(cloud, instance):
    """The managed secret's name as DescribeSecret tells it, and its value."""
    secrets = cloud.client("secretsmanager")
    arn = instance["MasterUserSecret"]["SecretArn"]
    described = secrets.describe_secret(SecretId=arn)
    assert described["OwningService"] == "rds"
    assert "RotationEnabled" not in described
    return described["Name"], json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])


def test_rds_manages_the_master_password_in_a_secret(cloud, rds):
    secrets = cloud.client("secretsmanager")
    wanted = {
        "DBInstanceIdentifier": "managed",
        "DBInstanceClass": "db.t4g.micro",
        "Engine": "postgres",
        "EngineVersion": "18.4",
        "AllocatedStorage": 20,
        "MasterUsername": "master",
        "DBName": "app",
        "BackupRetentionPeriod": 1,
        "ManageMasterUserPassword": True,
    }
    assert refusal(rds.create_db_instance, **wanted, MasterUserPassword=PASSWORD) == "InvalidParameterCombination"
    made = rds.create_db_instance(**wanted)["DBInstance"]
    assert made["MasterUserSecret"]["SecretStatus"] == "creating"
    instance = available(rds, "managed")
    assert instance["MasterUserSecret"]["SecretStatus"] == "active"
    assert instance["MasterUserSecret"]["KmsKeyId"]
    name, value = secret_of(cloud, instance)
    assert name.startswith("rds!db-")
    assert set(value) == {"username", "password"}
    connect(cloud, instance, user=value["username"], password=value["password"]).close()

    refused = {"DBInstanceIdentifier": "managed", "MasterUserPassword": PASSWORD}
    assert refusal(rds.modify_db_instance, **refused) == "InvalidParameterCombination"
    assert refusal(rds.modify_db_instance, **refused, ManageMasterUserPassword=True) == "InvalidParameterCombination"
    refused = {"DBInstanceIdentifier": "managed", "ManageMasterUserPassword": False}
    assert refusal(rds.modify_db_instance, **refused) == "InvalidParameterCombination"
    refused = {"DBInstanceIdentifier": "managed-replica", "SourceDBInstanceIdentifier": "managed"}
    assert refusal(rds.create_db_instance_read_replica, **refused) == "InvalidDBInstanceState"
    assert refusal(secrets.put_secret_value, SecretId=name, SecretString="mine") == "InvalidRequestException"
    assert secret_of(cloud, describe(rds, "managed")) == (name, value)
    connect(cloud, instance, password=value["password"]).close()

    # From RDS's hands to ours, and back.
    rds.modify_db_instance(
        DBInstanceIdentifier="managed",
        ManageMasterUserPassword=False,
        MasterUserPassword=PASSWORD,
        ApplyImmediately=True,
    )
    wait_for(lambda: not describe(rds, "managed")["PendingModifiedValues"], "the password to change")
    assert "MasterUserSecret" not in describe(rds, "managed")
    assert refusal(secrets.describe_secret, SecretId=name) == "ResourceNotFoundException"
    connect(cloud, instance).close()
    statuses(rds, "managed")
    rds.modify_db_instance(DBInstanceIdentifier="managed", ManageMasterUserPassword=True, ApplyImmediately=True)
    wait_for(lambda: describe(rds, "managed")["MasterUserSecret"]["SecretStatus"] == "active", "the secret")
    again, value = secret_of(cloud, describe(rds, "managed"))
    assert again != name
    connect(cloud, instance, password=value["password"]).close()
    rds.delete_db_instance(DBInstanceIdentifier="managed", SkipFinalSnapshot=True)
    statuses(rds, "managed", None)
    assert refusal(secrets.describe_secret, SecretId=again) == "ResourceNotFoundException"


@pytest.mark.parametrize("version", ["15.18", "18.4"])
def test_a_read_replica_is_a_hot_standby(cloud, rds, version):
    name = create(rds, version)
    source = available(rds, name)
    wanted = {"DBInstanceIdentifier": f"{name}-replica", "SourceDBInstanceIdentifier": name}
    assert refusal(rds.create_db_instance_read_replica, **wanted) == "InvalidDBInstanceState"
    rds.modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=1, ApplyImmediately=True)
    statuses(rds, name)
    with connect(cloud, source) as db:
        db.execute("CREATE TABLE words AS SELECT 'first' AS word")
    rds.create_db_instance_read_replica(**wanted)
    with connect(cloud, source) as db:
        db.execute("INSERT INTO words VALUES ('second')")
    assert statuses(rds, f"{name}-replica") == ["creating", "available"]
    replica = describe(rds, f"{name}-replica")
    assert replica["ReadReplicaSourceDBInstanceIdentifier"] == name
    assert replica["Endpoint"]["Port"] != source["Endpoint"]["Port"]
    assert describe(rds, name)["ReadReplicaDBInstanceIdentifiers"] == [f"{name}-replica"]
    assert "ReadReplicaSourceDBInstanceIdentifier" not in describe(rds, name)

    def is_standby():
        with connect(cloud, replica) as db:
            assert db.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
            for write in ("ALTER ROLE master PASSWORD 'another'", "CREATE TABLE no (n int)"):
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as refused:
                    db.execute(write)
                assert refused.value.sqlstate == "25006"
        assert rows(cloud, replica) == ["first"]

    is_standby()
    refused = {"DBInstanceIdentifier": f"{name}-replica", "MasterUserPassword": PASSWORD}
    assert refusal(rds.modify_db_instance, **refused) == "InvalidParameterCombination"
    rds.reboot_db_instance(DBInstanceIdentifier=f"{name}-replica")
    statuses(rds, f"{name}-replica")
    is_standby()
    # What is restored from a replica's snapshot is none.
    snapshot(rds, f"{name}-replica", f"{name}-s")
    rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier=f"{name}-restored", DBSnapshotIdentifier=f"{name}-s", BackupRetentionPeriod=0
    )
    with connect(cloud, available(rds, f"{name}-restored")) as db:
        db.execute("INSERT INTO words VALUES ('third')")
    statuses(rds, f"{name}-replica")
    for one in (f"{name}-replica", f"{name}-restored"):
        rds.delete_db_instance(DBInstanceIdentifier=one, SkipFinalSnapshot=True)
        statuses(rds, one, None)
    assert describe(rds, name)["ReadReplicaDBInstanceIdentifiers"] == []
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-s")


def test_a_new_class_and_size_are_modified_to(rds):
    name = create(rds, version="18.4")
    available(rds, name)
    change = {"DBInstanceIdentifier": name, "DBInstanceClass": "db.t4g.small", "AllocatedStorage": 30}
    rds.modify_db_instance(**change, ApplyImmediately=True)
    assert refusal(rds.modify_db_instance, **change, ApplyImmediately=True) == "InvalidDBInstanceState"
    assert statuses(rds, name) == ["modifying", "available"]
    changed = describe(rds, name)
    assert (changed["DBInstanceClass"], changed["AllocatedStorage"]) == ("db.t4g.small", 30)
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_the_master_password_changes(cloud, rds, queue):
    name = create(rds)
    instance = available(rds, name)
    rds.modify_db_instance(DBInstanceIdentifier=name, MasterUserPassword="another-Password", ApplyImmediately=True)
    wait_for(lambda: not describe(rds, name)["PendingModifiedValues"], "the password to change")
    event = event_of(queue, "0016", name)
    assert (event["EventCategories"], event["Message"]) == (["configuration change"], "Reset master credentials.")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(cloud, instance)
    connect(cloud, instance, password="another-Password").close()
    assert "another-Password" not in "".join(path.read_text() for path in (cloud.state / "logs").glob("rds-*.log"))
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_stop_start_and_reboot_keep_the_data_and_the_endpoint(cloud, rds, queue):
    name = create(rds)
    instance = available(rds, name)
    port = instance["Endpoint"]["Port"]
    with connect(cloud, instance) as db:
        db.execute("CREATE TABLE words AS SELECT 'stays' AS word")
    rds.stop_db_instance(DBInstanceIdentifier=name)
    assert statuses(rds, name, "stopped") == ["stopping", "stopped"]
    assert not listening(port)
    assert refusal(rds.reboot_db_instance, DBInstanceIdentifier=name) == "InvalidDBInstanceState"
    rds.start_db_instance(DBInstanceIdentifier=name)
    assert statuses(rds, name) == ["starting", "available"]
    rds.reboot_db_instance(DBInstanceIdentifier=name)
    assert statuses(rds, name) == ["rebooting", "available"]
    assert describe(rds, name)["Endpoint"]["Port"] == port
    assert rows(cloud, instance) == ["stays"]
    events = rds.describe_events(SourceIdentifier=name, SourceType="db-instance")["Events"]
    assert [(event["Message"], event["EventCategories"]) for event in events] == [
        ("DB instance created.", ["creation"]),
        ("DB instance stopped.", ["notification"]),
        ("DB instance started.", ["notification"]),
        ("DB instance restarted.", ["availability"]),
    ]
    for number, event in zip(("0087", "0088", "0006"), events[1:], strict=True):
        assert event_of(queue, number, name)["Message"] == event["Message"]
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_a_parameter_group_sets_what_the_server_runs_with(cloud, rds):
    rds.create_db_parameter_group(
        DBParameterGroupName="logging", DBParameterGroupFamily="postgres18", Description="logs statements"
    )
    parameters = [
        {"ParameterName": "log_statement", "ParameterValue": "all", "ApplyMethod": "immediate"},
        {"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"},
        {
            "ParameterName": "shared_preload_libraries",
            "ParameterValue": "pg_stat_statements",
            "ApplyMethod": "pending-reboot",
        },
    ]
    rds.modify_db_parameter_group(DBParameterGroupName="logging", Parameters=parameters)
    name = create(rds, DBParameterGroupName="logging")
    instance = available(rds, name)
    with connect(cloud, instance) as db:
        assert db.execute("SHOW log_statement").fetchone() == ("all",)
        db.execute("CREATE EXTENSION pg_stat_statements")
        db.execute("CREATE ROLE other LOGIN PASSWORD 'of-the-other'")
        with connect(cloud, instance, user="other", password="of-the-other") as other:
            other.execute("SELECT 'of the other' AS statement")
        # The master sees what every user did.
        kept = "".join(row[0] for row in db.execute("SELECT query FROM pg_stat_statements"))
    assert "SHOW log_statement" in kept
    assert "AS statement" in kept
    log = (cloud.state / "logs" / f"rds-{name}.log").read_text()
    assert "CREATE EXTENSION pg_stat_statements" in log
    assert "SELECT 'of the other' AS statement" in log
    assert PASSWORD not in kept + log
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def test_events_can_go_missing(cloud, rds, shared, queue):
    name = shared["DBInstanceIdentifier"]
    # Otherwise an event of an instance that another test deletes could be the one dropped.
    wait_for(lambda: {one["DBInstanceStatus"] for one in all_instances(rds)} == {"available"}, "quiet")
    before = cloud.admin("GET", "rds/events")
    cloud.admin("POST", "rds/events", {"drop": 1})
    snapshot(rds, name, "eventful")
    statuses(rds, name)

    def seen():
        return [event["detail"]["EventID"] for event in queue() if event["detail"]["SourceIdentifier"] == "eventful"]

    wait_for(lambda: "RDS-EVENT-0042" in seen(), "the event that was not dropped")
    assert seen() == ["RDS-EVENT-0042"]
    after = cloud.admin("GET", "rds/events")
    assert (after["drop"], after["dropped"] - before["dropped"]) == (0, 1)
    assert after["delivered"] > before["delivered"]
    cloud.admin("POST", "rds/events", {"drop": -1})
    rds.delete_db_snapshot(DBSnapshotIdentifier="eventful")
    wait_for(lambda: cloud.admin("GET", "rds/events")["dropped"] == after["dropped"] + 1, "the dropped event")
    cloud.admin("POST", "rds/events", {"drop": 0})
    listed = rds.describe_events(SourceIdentifier="eventful", SourceType="db-snapshot")["Events"]
    assert [event["Message"] for event in listed] == [
        "Creating manual snapshot.",
        "Manual snapshot created.",
        "Deleted user snapshot.",
    ]
    assert "RDS-EVENT-0041" not in seen()


def test_refuse_closes_the_port_and_cuts_connections(cloud, shared, faulty):
    with contextlib.closing(connect(cloud, shared)) as db:
        fault(cloud, faulty, "refuse")
        with pytest.raises(psycopg.OperationalError):
            db.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(cloud, shared)
    fault(cloud, faulty, "none")
    connect(cloud, shared).close()


def test_blackhole_accepts_and_says_nothing(cloud, shared, faulty):
    with contextlib.closing(connect(cloud, shared)) as db:
        counted = fault(cloud, faulty, "blackhole")["connections"]
        assert listening(shared["Endpoint"]["Port"])
        wait_for(lambda: fault_state(cloud, faulty)["connections"] > counted, "the connection to be counted")
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            connect(cloud, shared, connect_timeout=2)
        # What was connected stalls: the statement is sent, and its answer comes when the fault is over.
        db.pgconn.send_query(b"SELECT 1")
        db.pgconn.flush()
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            connect(cloud, shared, connect_timeout=2)
        db.pgconn.consume_input()
        assert db.pgconn.is_busy()
        fault(cloud, faulty, "none")
        assert db.pgconn.get_result().get_value(0, 0) == b"1"


def test_downgrade_is_seen_by_who_wants_tls(cloud, shared, faulty):
    seen = fault(cloud, faulty, "downgrade")["plaintext_startups"]
    with pytest.raises(psycopg.OperationalError, match="does not support SSL"):
        connect(cloud, shared)
    assert fault_state(cloud, faulty)["plaintext_startups"] == seen
    with pytest.raises(psycopg.OperationalError, match="closed"):
        connect(cloud, shared, sslmode="prefer")
    assert fault_state(cloud, faulty)["plaintext_startups"] == seen + 1


@pytest.mark.parametrize("mode", ["none", "blackhole", "downgrade", "untrusted-ca", "wrong-name"])
def test_who_goes_on_in_plaintext_is_counted_in_every_mode_and_for_good(cloud, shared, faulty, mode):
    seen = fault(cloud, faulty, mode)["plaintext_startups"]
    with pytest.raises(psycopg.OperationalError):
        connect(cloud, shared, sslmode="disable", connect_timeout=2)
    assert fault_state(cloud, faulty)["plaintext_startups"] == seen + 1
    assert fault(cloud, faulty, "none")["plaintext_startups"] == seen + 1
    connect(cloud, shared).close()
    assert fault_state(cloud, faulty)["plaintext_startups"] == seen + 1


@pytest.mark.parametrize(
    ("mode", "complaint", "weaker"),
    [("untrusted-ca", "certificate verify failed", "require"), ("wrong-name", "does not match host", "verify-ca")],
)
def test_a_wrong_certificate_is_seen_by_who_verifies(cloud, shared, faulty, mode, complaint, weaker):
    assert fault(cloud, faulty, mode)["mode"] == mode
    with pytest.raises(psycopg.OperationalError, match=complaint):
        connect(cloud, shared)
    root = "/nonexistent" if weaker == "require" else cloud.facts["rds_ca"]
    connect(cloud, shared, sslmode=weaker, sslrootcert=root).close()
    fault(cloud, faulty, "none")
    connect(cloud, shared).close()


def test_fault_switches_refuse_what_they_do_not_know(cloud, shared):
    with pytest.raises(AssertionError, match="no instance"):
        fault(cloud, "absent", "none")
    with pytest.raises(AssertionError, match="mode is one of"):
        fault(cloud, shared["DBInstanceIdentifier"], "odd")


@pytest.fixture
def orders(cloud):
    """Gives orders for snapshots, and takes them back."""
    yield lambda **given: cloud.admin("POST", "rds/snapshots", given)
    cloud.admin("POST", "rds/snapshots", {"fail": 0, "hold": False, "quota": 100})


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


def test_an_instance_shows_another_status_as_told(cloud, rds, shared):
    name = shared["DBInstanceIdentifier"]
    tell = {"instance": name, "status": "modifying"}
    assert cloud.admin("POST", "rds/status", tell) == tell
    assert describe(rds, name)["DBInstanceStatus"] == "modifying"
    again = {"DBInstanceIdentifier": name, "DBSnapshotIdentifier": "never"}
    assert refusal(rds.create_db_snapshot, **again) == "InvalidDBInstanceState"
    cloud.admin("POST", "rds/status", {"instance": name, "status": "available"})
    connect(cloud, describe(rds, name)).close()
    with pytest.raises(AssertionError, match="a word of RDS"):
        cloud.admin("POST", "rds/status", {"instance": name, "status": "Odd one"})


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
        """A client of a user who may make snapshots of one name, with one tag, and look; each right can be changed."""
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


KEY = "arn:aws:kms:sa-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"


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
    tell(AllocatedStorage=20, Status="available", seconds_ago=3600, FullSnapshotSizeInBytes=None)
    shown = snapshot_of(rds, kept)
    assert (before["SnapshotCreateTime"] - shown["SnapshotCreateTime"]).total_seconds() > 3500
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


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_server_outlives_the_launcher(tmp_path, how):
    with launcher(tmp_path) as process:
        rds = ready(process, tmp_path).client("rds")
        name = create(rds)
        instance = available(rds, name)
        folder = (tmp_path / "rds").resolve()
        pid = int((folder / instance["DbiResourceId"] / "data/postmaster.pid").read_text().split()[0])
        assert running(pid)
        process.send_signal(how)
        assert process.wait(30) == (-signal.SIGKILL if how == signal.SIGKILL else 0)
        wait_for(lambda: not running(pid), "the server to end")
        assert not listening(instance["Endpoint"]["Port"])
        wait_for(lambda: not folder.exists(), "the data to be removed")


def test_blue_green_deployments_are_those_of_the_model(cloud):
    """Members, statuses and pages: botocore's model of RDS; the case is tests/cases/22-rds-blue-green.json."""
    rds, cases = cloud.client("rds"), pathlib.Path(__file__).parents[2] / "cases"
    deployment = json.loads((cases / "22-rds-blue-green.json").read_text())["BlueGreenDeployments"][0]
    try:
        names = [f"bgd-{number:02}" for number in range(21)]
        chosen = [{**deployment, "BlueGreenDeploymentIdentifier": name} for name in names]
        cloud.admin("POST", "rds/blue-green", {"deployments": chosen})
        page = rds.describe_blue_green_deployments(MaxRecords=20)
        rest = rds.describe_blue_green_deployments(MaxRecords=20, Marker=page["Marker"])
        assert page["BlueGreenDeployments"] + rest["BlueGreenDeployments"] == chosen
        assert "Marker" not in rest
        one = rds.describe_blue_green_deployments(BlueGreenDeploymentIdentifier="bgd-07")
        assert one["BlueGreenDeployments"] == [chosen[7]]
        with pytest.raises(rds.exceptions.BlueGreenDeploymentNotFoundFault):
            rds.describe_blue_green_deployments(BlueGreenDeploymentIdentifier="bgd-99")
        for wrong in ({**deployment, "Status": "DONE"}, {**deployment, "Sauce": "a"}):
            with pytest.raises(AssertionError):
                cloud.admin("POST", "rds/blue-green", {"deployments": [wrong]})
    finally:
        cloud.admin("POST", "rds/blue-green", {"deployments": []})
    assert rds.describe_blue_green_deployments()["BlueGreenDeployments"] == []
