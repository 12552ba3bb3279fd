"""Snapshots and points in time restore the data of their moment."""

from __future__ import annotations

import concurrent.futures
import itertools
import threading

import psycopg
import pytest
from conftest import wait_for
from databases import available, connect, create, describe, event_of, refusal, rows, snapshot, snapshot_of, statuses


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


def test_a_small_gp3_takes_no_performance_of_its_own(rds):
    name = create(rds)
    available(rds, name)
    snapshot(rds, name, f"{name}-snapshot")
    requests = {
        rds.restore_db_instance_from_db_snapshot: {
            "DBInstanceIdentifier": f"{name}-copy",
            "DBSnapshotIdentifier": f"{name}-snapshot",
        },
        rds.restore_db_instance_to_point_in_time: {
            "TargetDBInstanceIdentifier": f"{name}-copy",
            "SourceDBInstanceIdentifier": name,
            "UseLatestRestorableTime": True,
        },
    }
    rds.modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=1, ApplyImmediately=True)
    statuses(rds, name)
    for request, asked in requests.items():
        for performance in ({"Iops": 3000}, {"StorageThroughput": 125}):
            assert refusal(request, **asked, StorageType="gp3", **performance) == "InvalidParameterCombination"
    request, asked = next(iter(requests.items()))
    request(**asked, StorageType="gp3", BackupRetentionPeriod=0)
    shown = available(rds, f"{name}-copy")
    assert (shown["StorageType"], shown["Iops"], shown["StorageThroughput"]) == ("gp3", 3000, 125)
    for one in (name, f"{name}-copy"):
        rds.delete_db_instance(DBInstanceIdentifier=one, SkipFinalSnapshot=True)


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
        # The watcher polls before the instance exists.
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
                        # Recovery from a plain copy of the files would start here and miss changes to older pages.
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

    # Without tags in the request, an instance inherits its source's.
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
