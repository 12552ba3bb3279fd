"""Read replicas of RDS are hot standbys."""

from __future__ import annotations

import psycopg
import pytest
from databases import PASSWORD, available, connect, create, describe, refusal, rows, snapshot, statuses


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
    # A snapshot of a replica restores to an ordinary instance.
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
