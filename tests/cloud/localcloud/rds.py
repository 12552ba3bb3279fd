"""The RDS data plane: a real PostgreSQL behind every `postgres` instance, snapshots with its data, restores, events.

ministack keeps the records of instances and snapshots; this module adds RDS's behaviour over time. An instance goes
through `creating` and `backing-up` to `available`, its endpoint (absent before it exists, as with RDS) is `localhost`
and a port where a PostgreSQL answers over TLS only; the CA is `rds_ca` in `cloud.json`. RDS's refusals apply.
Clusters are in `clusters.py`, restores to a point in time in `recovery.py`. Not modelled: engines other than postgres,
instances that a CloudFormation template makes, maintenance windows (without ApplyImmediately a change stays pending).

A read replica (CreateDBInstanceReadReplica, of an instance with automated backups) is a hot standby: it takes read-only
sessions, and refuses to write with 25006. It has the source's data at the time of the request, and does not follow it;
it cannot be promoted.

With ManageMasterUserPassword, in CreateDBInstance or ModifyDBInstance, RDS makes the master's password and keeps it in
its own secret, with the master's name and nothing else (MasterUserSecret in DescribeDBInstances). The secret is
`creating` until the password works, and is deleted with the instance or when a MasterUserPassword replaces it. Only RDS
may change its value. A restored PostgreSQL instance gets one by ModifyDBInstance only. Not modelled: its rotation.

Admin routes:

- `GET /_local/rds/fault?instance=ID` -> `{"instance", "mode", "connections", "plaintext_startups", "port"}`; both
counts are totals over all modes.
- `POST /_local/rds/fault {"instance": ID, "mode": MODE}` -> the same. Modes: `none`; `refuse`, `blackhole` and
  `downgrade` as in `dbproxy.py`; `untrusted-ca` and `wrong-name` put such a certificate in place of the server's.
- `GET /_local/rds/snapshots` -> `{"fail", "hold", "quota"}`.
- `POST /_local/rds/snapshots {"fail": N}` makes the next N snapshots of CreateDBSnapshot or CopyDBSnapshot end as
  `failed`; `{"hold": true}` keeps them `creating`, and requested master passwords pending, until `false`;
  `{"quota": N}` allows that many manual ones (100, as with AWS).
- `POST /_local/rds/snapshot {"snapshot": NAME, "region": REGION, "facts": {FACT: VALUE}}` changes the shown facts of a
snapshot (`region` is optional): `Status`, `Encrypted`, `AllocatedStorage`, `FullSnapshotSizeInBytes`, `TagList`,
`seconds_ago`, its age (for a copy, also the copy's age) and that of its data, or `data_seconds_ago`, only the latter;
null shows no time, as RDS does before a snapshot begins.
- `POST /_local/rds/status {"instance": ID, "status": STATUS}` lets an available instance show another status, with
RDS's refusals in that status; `available` ends it. The database behind the instance keeps running.
- `GET /_local/rds/events` -> `{"drop", "restored_as", "delivered", "dropped"}`.
- `POST /_local/rds/events {"drop": N}` withholds the next N events from EventBridge (-1: all until changed); they are
still in DescribeEvents. With `{"restored_as": "db-snapshot"}`, RDS-EVENT-0043 comes from the snapshot, as documented,
not from the instance (`db-instance`), as observed.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import datetime
import json
import logging
import os
import pathlib
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import eventbridge, secretsmanager
from ministack.services import rds as aws

from localcloud.cloud import AdminError, Cloud
from localcloud.dbproxy import Front, Loop
from localcloud.postgres import Home, Server
from localcloud.restores import Restores

logger = logging.getLogger("localcloud.rds")

# RDS's approximate times in seconds; multiplied by the time scale, and added to the time of the real work.
CREATING = 100
RESTORING = 150
SNAPSHOT = 100
DELETING = 60
STOPPING = 60
REBOOTING = 30
MODIFYING = 60
RESETTING = 10
MANUAL_SNAPSHOTS = 100

# Least GiB of a PostgreSQL instance's gp3 storage with IOPS and throughput of its own.
OWN_PERFORMANCE = 400

Parameters = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]
Record = dict[str, Any]
Handler = Callable[[Parameters], Response]

# Id -> (categories, message) of the RDS events.
EVENTS = {
    "0001": (["backup"], "Backing up DB instance."),
    "0002": (["backup"], "Finished DB instance backup."),
    "0003": (["deletion"], "DB instance deleted."),
    "0005": (["creation"], "DB instance created."),
    "0006": (["availability"], "DB instance restarted."),
    "0016": (["configuration change"], "Reset master credentials."),
    "0019": (["restoration"], "Restored from DB instance {source} to {target}."),
    "0040": (["creation"], "Creating manual snapshot."),
    "0041": (["deletion"], "Deleted user snapshot."),
    "0042": (["creation"], "Manual snapshot created."),
    "0043": (["restoration"], "Restored from snapshot {source}."),
    "0059": (["notification"], "Started copy of snapshot {source} from region {region}."),
    "0060": (["notification"], "Finished copy of snapshot {source} from region {region} in 1 minutes."),
    "0074": (["backup"], "Creating manual cluster snapshot."),
    "0075": (["backup"], "Manual cluster snapshot created."),
    "0087": (["notification"], "DB instance stopped."),
    "0088": (["notification"], "DB instance started."),
    "0090": (["creation"], "Creating automated snapshot."),
    "0091": (["creation"], "Automated snapshot created."),
    "0168": (["backup"], "Creating automated cluster snapshot."),
    "0169": (["backup"], "Automated cluster snapshot created."),
    "0170": (["creation"], "DB cluster created."),
    "0171": (["deletion"], "DB cluster deleted."),
    "0196": (["notification"], "Started copy of snapshot {source} in region {region}."),
    "0197": (["notification"], "Finished copy of snapshot {source} in region {region}."),
}

FACTS = ("Status", "Encrypted", "AllocatedStorage", "FullSnapshotSizeInBytes", "TagList")

# The times of a snapshot that a test can move, by the name of the fact.
AGES = {
    "seconds_ago": ("SnapshotCreateTime", "OriginalSnapshotCreateTime", "SnapshotDatabaseTime"),
    "data_seconds_ago": ("SnapshotDatabaseTime",),
}

FAULTS = ("none", "refuse", "blackhole", "downgrade", "untrusted-ca", "wrong-name")


class Refused(Exception):
    """A request that RDS answers with an error of this code."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.response = aws._error(code, message, 404 if "NotFound" in code else 400)


class Gone(Exception):
    """The instance was deleted, or the launcher stopped, during work on it."""


@dataclasses.dataclass
class Database:
    """The server and endpoint behind one instance."""

    instance: Record
    server: Server
    front: Front
    fault: str = "none"
    # Held while the server is started, stopped, copied or removed.
    lock: threading.RLock = dataclasses.field(default_factory=threading.RLock)

    def expose(self) -> None:
        """Opens the endpoint to the started server."""
        self.front.certify(*self.server.certificate)
        self.front.connect(self.server.port)


def install(cloud: Cloud) -> None:
    """Puts the data plane behind ministack's RDS."""
    cloud.rds = Plane(cloud)
    cloud.rds.install()


class Plane:
    """The data plane of one local cloud."""

    def __init__(self, cloud: Cloud):
        self.cloud = cloud
        self.home = Home(cloud.state, cloud.postgres)
        self.loop = Loop()
        self.logs = cloud.state / "logs"
        self.stopping = threading.Event()
        # By DbiResourceId, because an instance's name can be used again.
        self.databases: dict[str, Database] = {}
        self.drop = 0
        self.delivered = 0
        self.dropped = 0
        self.restored_as = "db-instance"
        self.orders: dict[str, Any] = {"fail": 0, "hold": False, "quota": MANUAL_SNAPSHOTS}
        self.restores = Restores(self)
        # Held while a status is checked and changed, and while a record is made or shown.
        self.lock = threading.RLock()

    def install(self) -> None:
        self.restores.install()
        for action, handler in {
            "CreateDBInstance": self.create_instance,
            "ModifyDBInstance": self.modify_instance,
            "StartDBInstance": self.start_instance,
            "StopDBInstance": self.stop_instance,
            "RebootDBInstance": self.reboot_instance,
            "DeleteDBInstance": self.delete_instance,
            "RestoreDBInstanceFromDBSnapshot": self.restore_from_snapshot,
            "CreateDBInstanceReadReplica": self.create_read_replica,
            "CreateDBSnapshot": self.create_snapshot,
            "CopyDBSnapshot": self.copy_snapshot,
            "DeleteDBSnapshot": self.delete_snapshot,
        }.items():
            aws._ACTION_MAP[action] = handler
        # Hides a record that ministack has stored until this module has completed it.
        for action in ("DescribeDBInstances", "DescribeDBSnapshots"):
            aws._ACTION_MAP[action] = self.locked(aws._ACTION_MAP[action])
        for action, handler in aws._ACTION_MAP.items():
            aws._ACTION_MAP[action] = answering(handler)
        # Otherwise ministack would start its own containers if Docker is installed.
        aws._get_docker = lambda: None
        # Not 127.0.0.1: clients of RDS verify a host name.
        aws._MINISTACK_HOST = "localhost"
        # ModifyDBInstance changes the password here, not through the public endpoint with the old password.
        aws._rotate_instance_password = lambda instance, old, new: None
        aws._instance_xml = as_rds_shows(aws._instance_xml)
        aws._snapshot_xml = snapshot_as_rds_shows(aws._snapshot_xml)
        reset = aws.reset
        aws.reset = lambda: self.reset(reset)

        self.cloud.route("GET", "rds/fault")(self.get_fault)
        self.cloud.route("POST", "rds/fault")(self.set_fault)
        self.cloud.route("GET", "rds/snapshots")(self.get_orders)
        self.cloud.route("POST", "rds/snapshots")(self.set_orders)
        self.cloud.route("POST", "rds/snapshot")(self.set_facts)
        self.cloud.route("POST", "rds/status")(self.set_status)
        self.cloud.route("GET", "rds/events")(self.get_events)
        self.cloud.route("POST", "rds/events")(self.set_events)
        self.cloud.facts["rds_ca"] = str(self.home.certificate_authority.path)
        self.cloud.on_stop.append(self.stop)
        self.logs.mkdir(exist_ok=True)

    async def stop(self) -> None:
        """Ends every server and removes all data."""
        self.stopping.set()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        def end(database: Database) -> None:
            with database.lock:
                database.server.stop(signal.SIGQUIT)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(end, list(self.databases.values())))
        self.home.remove()

    # --- the life of an instance ---

    def create_instance(self, p: Parameters) -> Response:
        if (value(p, "Engine") or "postgres") != "postgres" or value(p, "DBClusterIdentifier"):
            return aws._create_db_instance(p)
        check_name(p, "DBInstanceIdentifier", 63)
        if not value(p, "MasterUsername"):
            raise Refused(
                "InvalidParameterValue", "The parameter MasterUsername must be provided and must not be blank."
            )
        self.check_settings(p)
        managed = value(p, "ManageMasterUserPassword") == "true"
        if managed:
            refuse_both(p)
            p = {**p, "MasterUserPassword": [aws._generate_master_user_password()]}
        check_password(value(p, "MasterUserPassword"))
        version = value(p, "EngineVersion") or aws._default_engine_version("postgres")
        self.major_of(version)
        with self.lock:
            answer = aws._create_db_instance(p)
            if answer[0] != 200:
                return answer
            instance = aws._instances[value(p, "DBInstanceIdentifier")]
            instance["DBName"] = value(p, "DBName")
            database = self.add(instance)
            if managed:
                self.keep_password(instance, value(p, "MasterUserPassword"), value(p, "MasterUserSecretKmsKeyId"))

        def prepare() -> None:
            self.home.new_data(database.server.major, database.server.data)

        def made() -> None:
            user, password = instance["MasterUsername"], instance["_MasterUserPassword"]
            database.server.create_master(user, password, instance["DBName"])
            if managed:
                instance["_MasterUserSecret"]["SecretStatus"] = "active"

        self.background(self.bring_up, database, prepare, made, CREATING)
        return shown("CreateDBInstance", instance)

    def restore_from_snapshot(self, p: Parameters) -> Response:
        snapshot = aws._snapshots.get(value(p, "DBSnapshotIdentifier"))
        if snapshot is None or "_copy" not in snapshot:
            return aws._restore_from_snapshot(p)
        check_name(p, "DBInstanceIdentifier", 63)
        if snapshot["Status"] != "available":
            raise Refused("InvalidDBSnapshotState", f"DB snapshot is in {snapshot['Status']} state, not available.")
        self.check_settings(p)
        check_performance(p, snapshot)
        with self.lock:
            if refused := self.restores.excess(snapshot):
                raise Refused(*refused)
            answer = aws._restore_from_snapshot(p)
            if answer[0] != 200:
                return answer
            instance = aws._instances[value(p, "DBInstanceIdentifier")]
            database = self.add_restored(instance, p, snapshot)
        # Copy at once, because the snapshot may be deleted next.
        database.server.take(snapshot["_copy"])

        def made() -> None:
            source = snapshot["DBSnapshotIdentifier"]
            self.emit("0043", snapshot if self.restored_as == "db-snapshot" else instance, source=source)

        self.background(self.bring_up, database, lambda: None, made, RESTORING)
        return shown("RestoreDBInstanceFromDBSnapshot", instance)

    def create_read_replica(self, p: Parameters) -> Response:
        """Makes a hot standby from the source's current data."""
        source = self.find(value(p, "SourceDBInstanceIdentifier"))
        origin = self.databases.get(source["DbiResourceId"])
        if origin is None:
            return aws._create_read_replica(p)
        check_name(p, "DBInstanceIdentifier", 63)
        name, source_name = value(p, "DBInstanceIdentifier"), source["DBInstanceIdentifier"]
        self.check_settings(p)
        if name in aws._instances:
            raise Refused("DBInstanceAlreadyExists", f"DB instance {name} already exists")
        if source["DBInstanceStatus"] != "available":
            message = (
                f"DBInstance {source_name} is in {source['DBInstanceStatus']} state but expected it to be available."
            )
            raise Refused("InvalidDBInstanceState", message)
        if not source["BackupRetentionPeriod"]:
            message = f"Automated backups are not enabled for the DB instance {source_name}."
            raise Refused("InvalidDBInstanceState", message)
        if "_MasterUserSecret" in source:
            message = f"A read replica of {source_name} cannot be made: RDS manages its master user password."
            raise Refused("InvalidDBInstanceState", message)
        with self.lock:
            answer = aws._create_read_replica(p)
            if answer[0] != 200:
                return answer
            replica = aws._instances[name]
            group = value(p, "DBParameterGroupName") or source["DBParameterGroups"][0]["DBParameterGroupName"]
            replica.update(
                {
                    "BackupRetentionPeriod": 0,
                    "DBInstanceClass": value(p, "DBInstanceClass") or source["DBInstanceClass"],
                    "DBParameterGroups": [{"DBParameterGroupName": group, "ParameterApplyStatus": "in-sync"}],
                    "DeletionProtection": value(p, "DeletionProtection") == "true",
                    "PendingModifiedValues": {},
                }
            )
            set_tags(replica, replica["DBInstanceArn"], aws._parse_tags(p))
            database = self.add(replica)
            database.server.standby = True
        self.copy(source, database.server.data)
        self.home.own(database.server.data)
        self.background(self.bring_up, database, lambda: None, lambda: None, RESTORING)
        return shown("CreateDBInstanceReadReplica", replica)

    def add_restored(self, instance: Record, p: Parameters, snapshot: Record) -> Database:
        """Adds the facts of a restored instance that ministack omits: the request's parameters, else RDS's defaults."""
        retention = value(p, "BackupRetentionPeriod")
        instance["BackupRetentionPeriod"] = int(retention) if retention else snapshot["_BackupRetentionPeriod"]
        for flag in ("CopyTagsToSnapshot", "DeletionProtection"):
            instance[flag] = value(p, flag) == "true"
        instance["AutoMinorVersionUpgrade"] = value(p, "AutoMinorVersionUpgrade") != "false"
        instance["StorageType"] = value(p, "StorageType") or "gp3"
        instance["EngineLifecycleSupport"] = value(p, "EngineLifecycleSupport") or "open-source-rds-extended-support"
        instance["KmsKeyId"] = snapshot["KmsKeyId"]
        instance["IAMDatabaseAuthenticationEnabled"] = value(p, "EnableIAMDatabaseAuthentication") == "true"
        group = value(p, "DBParameterGroupName") or f"default.postgres{self.major_of(instance['EngineVersion'])}"
        instance["DBParameterGroups"] = [{"DBParameterGroupName": group, "ParameterApplyStatus": "in-sync"}]
        groups = aws._parse_member_list(p, "VpcSecurityGroupIds")
        instance["VpcSecurityGroups"] = [{"VpcSecurityGroupId": one, "Status": "active"} for one in groups]
        # Without tags in the request, an instance gets the source's tags at the time of the snapshot.
        set_tags(instance, instance["DBInstanceArn"], aws._parse_tags(p) or snapshot["_SourceTags"])
        instance["_restored"] = True
        return self.add(instance)

    def add(self, instance: Record) -> Database:
        """Registers the server of a new record; endpoint and times stay hidden until they exist."""
        hidden = {"Endpoint", "LatestRestorableTime"}
        instance.update({"DBInstanceStatus": "creating", "LatestRestorableTime": "", "_hidden": hidden})
        if instance.get("StorageType") == "gp3" and int(instance["AllocatedStorage"]) < OWN_PERFORMANCE:
            instance.update({"Iops": 3000, "StorageThroughput": 125})
        identifier, resource = instance["DBInstanceIdentifier"], instance["DbiResourceId"]
        server = Server(
            self.home,
            self.major_of(instance["EngineVersion"]),
            self.home.path.resolve() / resource,
            self.logs / f"rds-{identifier}.log",
            ["localhost", "127.0.0.1", f"{identifier}.local.{get_region()}.rds.amazonaws.com"],
        )
        database = self.databases[resource] = Database(instance, server, Front(self.loop, self.cloud.switches))
        return database

    def bring_up(self, database: Database, prepare: Callable, made: Callable, seconds: float) -> None:
        """From `creating` to `available`."""
        instance = database.instance
        with database.lock:
            self.check_alive(instance)
            prepare()
            database.server.start(parameters_of(instance))
            made()
            database.expose()
            instance["Endpoint"] = {
                "Address": "localhost",
                "Port": database.front.port,
                "HostedZoneId": "Z2R2ITUGPM61AM",
            }
        self.wait(seconds)
        status = self.restores.end(database) if "_restored" in instance else "available"
        self.check_alive(instance)
        if status not in ("available", "stopped"):
            self.move(instance, status)
            return
        instance["_hidden"].discard("Endpoint")
        self.emit("0005", instance)
        if status == "available":
            self.automated_backup(instance)
        self.move(instance, status)

    def modify_instance(self, p: Parameters) -> Response:
        database = self.database_of(p)
        if database is None:
            return aws._modify_db_instance(p)
        instance = database.instance
        password, manage = value(p, "MasterUserPassword"), value(p, "ManageMasterUserPassword")
        managed = "_MasterUserSecret" in instance
        if password and database.server.standby:
            message = "The master user password of a read replica is that of its source."
            raise Refused("InvalidParameterCombination", message)
        if manage == "true":
            refuse_both(p)
        elif managed and (password == "") == (manage == "false"):
            message = (
                "You can't specify MasterUserPassword for an instance with ManageMasterUserPassword enabled."
                if password
                else "A MasterUserPassword is required when ManageMasterUserPassword is turned off."
            )
            raise Refused("InvalidParameterCombination", message)
        if begin := manage == "true" and not managed:
            password = aws._generate_master_user_password()
            p = {**p, "MasterUserPassword": [password]}
        if password:
            check_password(password)
        self.check_settings(p)
        changed = ("AllocatedStorage", "BackupRetentionPeriod", "DBInstanceClass")
        modifying = value(p, "ApplyImmediately") == "true" and any(value(p, name) for name in changed)
        with self.lock:
            self.claim(instance, ("available",), "modifying" if modifying else "available")
            backed_up = instance["BackupRetentionPeriod"] > 0
            answer = aws._modify_db_instance(p)
            if answer[0] != 200:
                self.move(instance, "available")
                return answer
            if password:
                instance["PendingModifiedValues"]["MasterUserPassword"] = "****"
            if begin:
                self.keep_password(instance, password, value(p, "MasterUserSecretKmsKeyId"))
            elif password:
                self.drop_password(instance)
        back_up = instance["BackupRetentionPeriod"] > 0 and not backed_up
        if modifying or password:
            self.background(self.apply, database, modifying, back_up, password)
        return shown("ModifyDBInstance", instance)

    def apply(self, database: Database, modifying: bool, back_up: bool, password: str) -> None:
        """Waits RDS's time for the changes that ministack made at once, and changes the password."""
        if modifying:
            self.wait(MODIFYING)
        if back_up:
            self.automated_backup(database.instance)
        if modifying:
            self.move(database.instance, "available")
        if password:
            self.reset_password(database, password)

    def reset_password(self, database: Database, password: str) -> None:
        """Changes the master password; as with RDS, the status stays `available` for a while after the request."""
        instance = database.instance
        self.wait(RESETTING)
        while self.orders["hold"]:
            self.wait(1)
        self.move(instance, "resetting-master-credentials")
        with database.lock:
            self.check_alive(instance)
            database.server.set_password(instance["MasterUsername"], password)
            if secret := instance.get("_MasterUserSecret"):
                secret["SecretStatus"] = "active"
        self.wait(RESETTING)
        instance["PendingModifiedValues"].pop("MasterUserPassword", None)
        self.emit("0016", instance)
        self.move(instance, "available")

    def keep_password(self, instance: Record, password: str, key: str) -> None:
        """Makes the secret of a managed master password."""
        arn = secretsmanager.create_secret_in_process(
            f"rds!db-{new_uuid()}",
            json.dumps({"username": instance["MasterUsername"], "password": password}),
            description=f"Secret associated with primary RDS DB instance: {instance['DBInstanceArn']}",
        )
        _, secret = secretsmanager._resolve(arn)
        key = key or f"arn:aws:kms:{get_region()}:{get_account_id()}:key/aws-secretsmanager-default"
        secret.update(OwningService="rds", KmsKeyId=key)
        owner = {
            "aws:rds:primaryDBInstanceArn": instance["DBInstanceArn"],
            "aws:secretsmanager:owningService": "rds",
        }
        secret["Tags"] = [{"Key": name, "Value": text} for name, text in owner.items()]
        instance["_MasterUserSecret"] = {"SecretArn": arn, "SecretStatus": "creating", "KmsKeyId": key}

    def drop_password(self, instance: Record) -> None:
        if secret := instance.pop("_MasterUserSecret", None):
            secretsmanager.delete_secret_in_process(secret["SecretArn"])

    def stop_instance(self, p: Parameters) -> Response:
        database = self.database_of(p)
        if database is None:
            return aws._stop_db_instance(p)
        self.claim(database.instance, ("available",), "stopping")
        self.background(self.cycle, database, STOPPING, "stopped", "0087")
        return shown("StopDBInstance", database.instance)

    def start_instance(self, p: Parameters) -> Response:
        database = self.database_of(p)
        if database is None:
            return aws._start_db_instance(p)
        self.claim(database.instance, ("stopped",), "starting")
        self.background(self.cycle, database, STOPPING, "available", "0088")
        return shown("StartDBInstance", database.instance)

    def reboot_instance(self, p: Parameters) -> Response:
        database = self.database_of(p)
        if database is None:
            return aws._reboot_db_instance(p)
        self.claim(database.instance, ("available",), "rebooting")
        self.background(self.cycle, database, REBOOTING, "available", "0006")
        return shown("RebootDBInstance", database.instance)

    def cycle(self, database: Database, seconds: float, status: str, event: str) -> None:
        """Stops the server, and starts it again if the instance becomes available."""
        with database.lock:
            self.check_alive(database.instance)
            database.front.disconnect()
            database.server.stop()
        self.wait(seconds)
        if status == "available":
            with database.lock:
                self.check_alive(database.instance)
                database.server.start(parameters_of(database.instance))
                database.expose()
        self.emit(event, database.instance)
        self.move(database.instance, status)

    def delete_instance(self, p: Parameters) -> Response:
        database = self.database_of(p)
        if database is None or database.instance["DeletionProtection"]:
            return aws._delete_db_instance(p)
        skip, final = value(p, "SkipFinalSnapshot") == "true", value(p, "FinalDBSnapshotIdentifier")
        if skip and final:
            message = "FinalDBSnapshotIdentifier can not be specified when SkipFinalSnapshot is specified."
            raise Refused("InvalidParameterCombination", message)
        if not skip and not final:
            message = "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
            raise Refused("InvalidParameterCombination", message)
        instance = database.instance
        if final:
            self.check_new_snapshot(p, "FinalDBSnapshotIdentifier")
            self.claim(instance, ("available", "stopped"), "deleting")
        else:
            with self.lock:
                if instance["DBInstanceStatus"] == "deleting":
                    message = f"Instance {instance['DBInstanceIdentifier']} is already being deleted."
                    raise Refused("InvalidDBInstanceState", message)
                instance["DBInstanceStatus"] = "deleting"
        snapshot = final and self.record_snapshot(final, instance, "manual", self.copied_tags(instance))
        keep = value(p, "DeleteAutomatedBackups") == "false"
        self.background(self.bring_down, database, snapshot, keep)
        return shown("DeleteDBInstance", instance)

    def bring_down(self, database: Database, snapshot: Record | None, keep_automated: bool) -> None:
        """From `deleting` to removal."""
        instance = database.instance
        if snapshot:
            self.emit("0040", snapshot)
            self.copy(instance, snapshot["_copy"])
            self.finish_snapshot(snapshot)
            self.emit("0042", snapshot)
        with database.lock:
            database.front.disconnect()
            database.server.stop(signal.SIGQUIT)
        self.wait(DELETING)
        self.restores.keep_deleting()
        self.forget(database)
        for one in [] if keep_automated else aws._snapshots.values():
            if one["DbiResourceId"] == instance["DbiResourceId"] and one["SnapshotType"] == "automated":
                self.forget_snapshot(one)
        self.drop_password(instance)
        if source := aws._instances.get(instance.get("ReadReplicaSourceDBInstanceIdentifier", "")):
            source["ReadReplicaDBInstanceIdentifiers"].remove(instance["DBInstanceIdentifier"])
        self.emit("0003", instance)
        aws._tags.pop(instance["DBInstanceArn"], None)
        aws._instances.pop(instance["DBInstanceIdentifier"], None)

    def forget(self, database: Database) -> None:
        with database.lock:
            database.front.close()
            database.server.remove()
        self.databases.pop(database.instance["DbiResourceId"], None)

    def reset(self, original: Callable[[], None]) -> None:
        """ministack's reset, which deletes every record."""
        databases, snapshots = list(self.databases.values()), aws._snapshots.all_values()
        for database in databases:
            database.instance["DBInstanceStatus"] = "deleting"
            self.forget(database)
        original()
        for snapshot in snapshots:
            shutil.rmtree(snapshot.get("_copy", ""), ignore_errors=True)

    # --- snapshots ---

    def create_snapshot(self, p: Parameters) -> Response:
        instance = self.find(value(p, "DBInstanceIdentifier"))
        if instance["DbiResourceId"] not in self.databases:
            return aws._create_db_snapshot(p)
        self.check_new_snapshot(p, "DBSnapshotIdentifier")
        check_tags(aws._parse_tags(p))
        with self.lock:
            if instance["DBInstanceStatus"] not in ("available", "storage-optimization"):
                name = instance["DBInstanceIdentifier"]
                message = f"Cannot create a snapshot because the database instance {name} is not currently in the "
                raise Refused("InvalidDBInstanceState", message + "available state.")
            instance["DBInstanceStatus"] = "backing-up"
        tags = aws._parse_tags(p) + self.copied_tags(instance)
        snapshot = self.record_snapshot(value(p, "DBSnapshotIdentifier"), instance, "manual", tags)
        # Copy at once, so that the copy has exactly the data at the time of the answer.
        try:
            self.copy(instance, snapshot["_copy"])
        except Exception:
            self.forget_snapshot(snapshot)
            self.move(instance, "available")
            raise
        self.background(self.take_snapshot, instance, snapshot)
        return shown("CreateDBSnapshot", snapshot)

    def take_snapshot(self, instance: Record, snapshot: Record) -> None:
        self.emit("0040", snapshot)
        if self.ends_well(snapshot):
            self.emit("0042", snapshot)
        self.move(instance, "available")

    def ends_well(self, snapshot: Record) -> bool:
        """Ends a snapshot in the requested status; RDS has no event for a failed one."""
        while self.orders["hold"] and snapshot["DBSnapshotIdentifier"] in aws._snapshots:
            snapshot["PercentProgress"] = 30
            self.wait(1)
        with self.lock:
            fails = self.orders["fail"] > 0
            self.orders["fail"] -= fails
        if fails:
            self.wait(SNAPSHOT / 2)
            snapshot["Status"] = "failed"
        else:
            self.finish_snapshot(snapshot)
        return not fails

    def automated_backup(self, instance: Record) -> None:
        """Makes the day's automated snapshot, if the instance has any; leaves it `backing-up`."""
        if not instance["BackupRetentionPeriod"]:
            return
        self.move(instance, "backing-up")
        self.emit("0001", instance)
        minute = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d-%H-%M")
        name = f"rds:{instance['DBInstanceIdentifier']}-{minute}"
        snapshot = self.record_snapshot(name, instance, "automated", self.copied_tags(instance))
        self.emit("0090", snapshot)
        self.copy(instance, snapshot["_copy"])
        self.finish_snapshot(snapshot)
        self.emit("0091", snapshot)
        instance["_hidden"].discard("LatestRestorableTime")
        self.emit("0002", instance)

    def copied_tags(self, instance: Record) -> list[dict[str, str]]:
        return instance["TagList"] if instance["CopyTagsToSnapshot"] else []

    def record_snapshot(self, name: str, instance: Record, kind: str, tags: list[dict[str, str]]) -> Record:
        """Makes the record of a snapshot that has no data yet."""
        ours = {
            "Status": "creating",
            "PercentProgress": 0,
            "SnapshotType": kind,
            "_copy": self.home.path.resolve() / "snapshots" / new_uuid(),
            "_BackupRetentionPeriod": instance["BackupRetentionPeriod"],
            "_SourceTags": list(instance["TagList"]),
        }
        with self.lock:
            snapshot = aws._create_snapshot_internal(name, instance)
            snapshot.update(ours)
        # The first tag with a key wins: the request's precede the instance's.
        set_tags(snapshot, snapshot["DBSnapshotArn"], list({tag["Key"]: tag for tag in reversed(tags)}.values()))
        return snapshot

    def finish_snapshot(self, snapshot: Record) -> None:
        """Waits RDS's time."""
        for percent in (30, 60):
            snapshot["PercentProgress"] = percent
            self.wait(SNAPSHOT / 2)
        snapshot.update({"PercentProgress": 100, "Status": "available"})

    def copy(self, instance: Record, target: pathlib.Path) -> None:
        database = self.databases.get(instance["DbiResourceId"])
        if database is None:
            raise Gone
        target.parent.mkdir(mode=0o711, exist_ok=True)
        with database.lock:
            database.server.copy_to(target)

    def copy_snapshot(self, p: Parameters) -> Response:
        """Copies a snapshot within the region, or from the region in the source's ARN."""
        given, here, account = value(p, "SourceDBSnapshotIdentifier"), get_region(), get_account_id()
        match = re.match(r"arn:aws:rds:([^:]+):", given)
        origin = match[1] if match else here
        source = aws._snapshots.get_scoped(account, origin, plain_name(given))
        if source is None:
            raise Refused("DBSnapshotNotFound", f"DBSnapshot {given} not found.")
        self.check_new_snapshot(p, "TargetDBSnapshotIdentifier")
        check_tags(aws._parse_tags(p))
        if source["Status"] != "available":
            raise Refused("InvalidDBSnapshotState", f"DB snapshot is in {source['Status']} state, not available.")
        key = value(p, "KmsKeyId")
        if origin != here and source["Encrypted"] and not key:
            message = "A KMS key of this region is needed to copy an encrypted snapshot from another region."
            raise Refused("InvalidParameterCombination", message)
        if key.startswith("arn:") and key.split(":")[3] != here:
            raise Refused("KMSKeyNotAccessibleFault", f"The key {key} is not of the region {here}.")
        name = value(p, "TargetDBSnapshotIdentifier")
        arn = f"arn:aws:rds:{here}:{account}:snapshot:{name}"
        copied = source["TagList"] if value(p, "CopyTags") == "true" else []
        target = aws._snapshots[name] = {
            **source,
            "DBSnapshotIdentifier": name,
            "DBSnapshotArn": arn,
            "SnapshotType": "manual",
            "SnapshotCreateTime": aws._format_time(time.time()),
            "Status": "creating",
            "PercentProgress": 0,
            "Encrypted": source["Encrypted"] or bool(key),
            "KmsKeyId": key or source["KmsKeyId"],
            "_copy": source["_copy"].with_name(new_uuid()),
        }
        set_tags(target, arn, aws._parse_tags(p) or list(copied))
        # Nothing writes to a snapshot's files.
        shutil.copytree(source["_copy"], target["_copy"], copy_function=os.link)

        def work() -> None:
            about = {"source": source["DBSnapshotIdentifier"], "region": origin}
            started, finished = ("0196", "0197") if origin == here else ("0059", "0060")
            self.emit(started, target, **about)
            if self.ends_well(target):
                self.emit(finished, target, **about)

        self.background(work)
        return shown("CopyDBSnapshot", target)

    def delete_snapshot(self, p: Parameters) -> Response:
        snapshot = self.find_snapshot(value(p, "DBSnapshotIdentifier"))
        if snapshot["SnapshotType"] != "manual" or snapshot["Status"] not in ("available", "failed"):
            message = f"Cannot delete a snapshot that is {snapshot['SnapshotType']} and {snapshot['Status']}."
            raise Refused("InvalidDBSnapshotState", message)
        answer = aws._delete_db_snapshot(p)
        self.forget_snapshot(snapshot)
        self.background(self.emit, "0041", snapshot)
        return answer

    def forget_snapshot(self, snapshot: Record) -> None:
        aws._snapshots.pop(snapshot["DBSnapshotIdentifier"], None)
        aws._tags.pop(snapshot["DBSnapshotArn"], None)
        if "_copy" in snapshot:
            shutil.rmtree(snapshot["_copy"], ignore_errors=True)

    # --- shared by the parts above ---

    def find(self, identifier: str) -> Record:
        instance = aws._resolve_instance(identifier)
        if instance is None:
            raise Refused("DBInstanceNotFound", f"DBInstance {identifier} not found.")
        return instance

    def find_snapshot(self, identifier: str) -> Record:
        snapshot = aws._snapshots.get(identifier)
        if snapshot is None:
            raise Refused("DBSnapshotNotFound", f"DBSnapshot {identifier} not found.")
        return snapshot

    def database_of(self, p: Parameters) -> Database | None:
        """The server behind a request's instance; None if ministack answers alone."""
        instance = aws._resolve_instance(value(p, "DBInstanceIdentifier"))
        return self.databases.get(instance["DbiResourceId"]) if instance else None

    def major_of(self, version: str) -> str:
        major = version.split(".")[0]
        if major not in self.home.majors():
            raise Refused("InvalidParameterCombination", f"Cannot find version {version} for postgres")
        return major

    def check_settings(self, p: Parameters) -> None:
        """Refuses instance settings that refer to missing resources or are out of range."""
        derived = value(p, "DBSnapshotIdentifier") or value(p, "SourceDBInstanceIdentifier")
        if derived and value(p, "ManageMasterUserPassword") == "true":
            message = "ManageMasterUserPassword isn't supported for the engine postgres here."
            raise Refused("InvalidParameterCombination", message)
        if value(p, "RotateMasterUserPassword") == "true":
            message = "The local cloud does not supply RotateMasterUserPassword here."
            raise Refused("InvalidParameterCombination", message)
        retention = value(p, "BackupRetentionPeriod")
        if retention and not (retention.isdecimal() and int(retention) <= 35):
            message = f"Invalid backup retention period: {retention}. It must be between 0 and 35."
            raise Refused("InvalidParameterValue", message)
        group, defaults = value(p, "DBParameterGroupName"), [f"default.postgres{one}" for one in self.home.majors()]
        if group and group not in aws._param_groups and group.lower() not in defaults:
            raise Refused("DBParameterGroupNotFound", f"DBParameterGroup not found: {group}")
        subnets = value(p, "DBSubnetGroupName")
        if subnets.lower() not in ("", "default") and subnets not in aws._subnet_groups:
            raise Refused("DBSubnetGroupNotFoundFault", f"DB subnet group '{subnets}' does not exist.")

    def locked(self, handler: Handler) -> Handler:
        def answer(p: Parameters) -> Response:
            with self.lock:
                return handler(p)

        return answer

    def check_new_snapshot(self, p: Parameters, parameter: str) -> None:
        check_name(p, parameter, 255)
        name = value(p, parameter)
        if name in aws._snapshots:
            message = f"Cannot create the snapshot because a snapshot with the identifier {name} already exists."
            raise Refused("DBSnapshotAlreadyExists", message)
        quota = self.orders["quota"]
        if sum(one["SnapshotType"] == "manual" for one in aws._snapshots.values()) >= quota:
            raise Refused("SnapshotQuotaExceeded", f"Cannot create more than {quota} manual snapshots")

    def claim(self, instance: Record, states: tuple[str, ...], status: str) -> None:
        """Moves an instance on from one of `states`, or refuses the request."""
        with self.lock:
            now = instance["DBInstanceStatus"]
            if now not in states:
                name, expected = instance["DBInstanceIdentifier"], ", ".join(states)
                message = f"DBInstance {name} is in {now} state but expected it to be one of {expected}."
                raise Refused("InvalidDBInstanceState", message)
            instance["DBInstanceStatus"] = status

    def move(self, instance: Record, status: str) -> None:
        """Changes the status, unless the instance is being deleted: that ends the work on it."""
        with self.lock:
            self.check_alive(instance)
            instance["DBInstanceStatus"] = status

    def check_alive(self, instance: Record) -> None:
        if self.stopping.is_set() or instance["DBInstanceStatus"] == "deleting":
            raise Gone

    def wait(self, seconds: float) -> None:
        """Waits for work that takes RDS `seconds`."""
        if self.stopping.wait(seconds * self.cloud.time_scale):
            raise Gone

    def background(self, work: Callable, *arguments: Any) -> None:
        """Does work in a thread, in the request's account and region; an error makes the instance `failed`."""

        def run() -> None:
            try:
                work(*arguments)
            except Gone:
                pass
            except Exception:
                logger.exception("RDS: %s", work)
                for one in arguments:
                    record = one.instance if isinstance(one, Database) else one
                    for status in ("DBInstanceStatus", "Status"):
                        if isinstance(record, dict) and status in record:
                            record[status] = "failed"

        spawn_background(run, thread_name="localcloud-rds-work")

    # --- events ---

    def emit(self, event: str, record: Record, **about: str) -> None:
        """Emits an event of an instance or its snapshot."""
        if "DBSnapshotArn" in record:
            name, arn = record["DBSnapshotIdentifier"], record["DBSnapshotArn"]
            kinds = "db-snapshot", "SNAPSHOT", "RDS DB Snapshot Event"
        else:
            name, arn = record["DBInstanceIdentifier"], record["DBInstanceArn"]
            kinds = "db-instance", "DB_INSTANCE", "RDS DB Instance Event"
        self.give(event, name, arn, record["TagList"], kinds, **about)

    def give(
        self, event: str, name: str, arn: str, tags: list[dict[str, str]], kinds: tuple[str, str, str], **about: str
    ) -> None:
        """Records an event for DescribeEvents and sends it to EventBridge, unless a test drops it.

        `kinds` are the source's types in both, and the detail-type.
        """
        categories, message = EVENTS[event]
        now = time.time()
        recorded = {
            "SourceIdentifier": name,
            "SourceType": kinds[0],
            "SourceArn": arn,
            "Message": message.format(**about),
            "EventCategories": categories,
        }
        aws._events[new_uuid()] = {**recorded, "Date": now}
        with self.lock:
            lost = self.drop != 0
            self.drop -= self.drop > 0
            self.dropped += lost
            self.delivered += not lost
        if lost:
            return
        detail = {
            **recorded,
            "SourceType": kinds[1],
            "Date": aws._format_time(now),
            "EventID": f"RDS-EVENT-{event}",
            "Tags": {tag["Key"]: tag["Value"] for tag in tags},
        }
        eventbridge._dispatch_event(
            {
                "EventId": new_uuid(),
                "Source": "aws.rds",
                "DetailType": kinds[2],
                "Detail": json.dumps(detail),
                "EventBusName": "default",
                "Time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
                "Resources": [arn],
                "Account": get_account_id(),
                "Region": get_region(),
            }
        )

    # --- admin routes ---

    async def get_orders(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return dict(self.orders)

    async def set_orders(self, arguments: dict[str, Any]) -> dict[str, Any]:
        for name, given in arguments.items():
            if type(given) is not type(self.orders.get(name)) or (type(given) is int and given < 0):
                raise AdminError(f"{name}: expected fail or quota with a number, or hold with true or false")
        with self.lock:
            self.orders.update(arguments)
        return await self.get_orders({})

    async def set_facts(self, arguments: dict[str, Any]) -> dict[str, Any]:
        region, name = arguments.get("region", get_region()), arguments.get("snapshot")
        snapshot = aws._snapshots.get_scoped(get_account_id(), region, name)
        facts = dict(arguments.get("facts") or {})
        if snapshot is None:
            raise AdminError(f"no snapshot {name!r} in {region}")
        if unknown := set(facts) - {*FACTS, "seconds_ago", "data_seconds_ago"}:
            raise AdminError(f"unknown: {', '.join(sorted(unknown))}")
        with self.lock:
            for fact, times in AGES.items():
                if fact in facts:
                    ago = facts.pop(fact)
                    at = "" if ago is None else aws._format_time(time.time() - ago)
                    snapshot.update(dict.fromkeys(times, at))
            if "TagList" in facts:
                set_tags(snapshot, snapshot["DBSnapshotArn"], facts["TagList"])
            snapshot.update(facts)
        return {"snapshot": name, "region": region}

    async def set_status(self, arguments: dict[str, Any]) -> dict[str, Any]:
        instance, status = self.named(arguments).instance, arguments.get("status")
        if not isinstance(status, str) or not re.fullmatch(r"[a-z][a-z-]+", status):
            raise AdminError("status is a word of RDS, e.g. modifying")
        with self.lock:
            now = instance["DBInstanceStatus"]
            if now != instance.get("_ordered", "available"):
                raise AdminError(f"the instance is {now}")
            instance["DBInstanceStatus"] = instance["_ordered"] = status
        return {"instance": instance["DBInstanceIdentifier"], "status": status}

    async def get_events(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("drop", "restored_as", "delivered", "dropped")}

    async def set_events(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if unknown := set(arguments) - {"drop", "restored_as"}:
            raise AdminError(f"unknown: {', '.join(sorted(unknown))}")
        restored_as = arguments.get("restored_as", self.restored_as)
        if restored_as not in ("db-instance", "db-snapshot"):
            raise AdminError("restored_as is db-instance or db-snapshot")
        with self.lock:
            self.restored_as = restored_as
            self.drop = int(arguments.get("drop", self.drop))
        return await self.get_events({})

    def named(self, arguments: dict[str, Any]) -> Database:
        for database in self.databases.values():
            if database.instance["DBInstanceIdentifier"] == arguments.get("instance"):
                return database
        raise AdminError(f"no instance {arguments.get('instance')!r}")

    async def get_fault(self, arguments: dict[str, Any]) -> dict[str, Any]:
        database = self.named(arguments)
        front = database.front
        return {
            "instance": database.instance["DBInstanceIdentifier"],
            "mode": database.fault,
            "port": front.port,
            "connections": front.connections,
            "plaintext_startups": front.plaintext_startups,
        }

    async def set_fault(self, arguments: dict[str, Any]) -> dict[str, Any]:
        database, mode = self.named(arguments), arguments.get("mode")
        if mode not in FAULTS:
            raise AdminError(f"mode is one of {', '.join(FAULTS)}")

        def change() -> None:
            with database.lock:
                if mode == "untrusted-ca":
                    database.server.certify(authority=self.home.stranger)
                elif mode == "wrong-name":
                    database.server.certify(name="other.example")
                elif database.fault in ("untrusted-ca", "wrong-name"):
                    database.server.certify()
                if database.server.process:
                    database.front.certify(*database.server.certificate)
                database.front.set_mode(mode if mode in ("refuse", "blackhole", "downgrade") else "pass")
                database.fault = mode

        await asyncio.to_thread(change)
        return await self.get_fault(arguments)


def value(p: Parameters, name: str) -> str:
    return aws._p(p, name)


def answering(handler: Handler) -> Handler:
    """Lowers names' case as RDS does, replaces ARNs of snapshots by names, and turns a refusal into an answer."""

    def answer(p: Parameters) -> Response:
        named = dict(p)
        for parameter in NAMES:
            if text := value(p, parameter):
                named[parameter] = [plain_name(text)]
        try:
            return handler(named)
        except Refused as refusal:
            return refusal.response
        except Gone:
            return aws._error("InvalidDBInstanceState", "The DB instance is being deleted.", 400)

    return answer


NAMES = (
    "DBClusterIdentifier",
    "DBClusterSnapshotIdentifier",
    "DBInstanceIdentifier",
    "DBSnapshotIdentifier",
    "FinalDBSnapshotIdentifier",
    "SourceDBInstanceIdentifier",
    "TargetDBClusterSnapshotIdentifier",
    "TargetDBInstanceIdentifier",
    "TargetDBSnapshotIdentifier",
)


def plain_name(text: str) -> str:
    if match := re.fullmatch(r"arn:aws:rds:[^:]+:\d+:snapshot:(.+)", text):
        return match[1].lower()
    # ARNs, and DbiResourceIds, which replace a name in some requests.
    return text if text.startswith("arn:") or re.fullmatch(r"db-[A-Z0-9]{20}", text) else text.lower()


def check_performance(p: Parameters, source: Record) -> None:
    """Refuses IOPS and throughput for small gp3 storage, even RDS's own."""
    is_gp3 = (value(p, "StorageType") or "gp3") == "gp3"
    asked = value(p, "Iops") or value(p, "StorageThroughput")
    if is_gp3 and asked and int(source["AllocatedStorage"]) < OWN_PERFORMANCE:
        message = (
            "You can't specify IOPS or storage throughput for engine postgres and a storage size less than "
            f"{OWN_PERFORMANCE}."
        )
        raise Refused("InvalidParameterCombination", message)


def check_name(p: Parameters, parameter: str, longest: int) -> None:
    name = value(p, parameter)
    if not name:
        raise Refused("MissingParameter", f"The request must contain the parameter {parameter}.")
    if len(name) > longest or not re.fullmatch(r"[a-z](-?[a-z0-9])*", name):
        message = (
            f"The parameter {parameter} is not a valid identifier. Identifiers must begin with a letter; must contain "
            "only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive ones."
        )
        raise Refused("InvalidParameterValue", message)


def check_tags(tags: list[dict[str, str]]) -> None:
    """Refuses tags as RDS does: their number, length, characters and AWS's own prefixes."""
    keys = [tag["Key"] for tag in tags]
    if len(tags) > 50 or len(set(keys)) < len(keys):
        raise Refused("InvalidParameterValue", "At most 50 tags, each key once.")
    for tag in tags:
        for text, longest in ((tag["Key"], 128), (tag["Value"], 256)):
            plain = all(c.isalnum() or c.isspace() or c in "_.:/=+-@" for c in text)
            if len(text) > longest or not plain or text.lower().startswith(("aws:", "rds:")):
                raise Refused("InvalidParameterValue", f"The tag {tag['Key']} is not valid: {text}")


def check_password(password: str) -> None:
    if not re.fullmatch(r"[!#-.0-?A-~]{8,128}", password):
        message = (
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides '/', "
            "'@', '\"', ' ' may be used, 8 to 128 of them."
        )
        raise Refused("InvalidParameterValue", message)


def refuse_both(p: Parameters) -> None:
    if value(p, "MasterUserPassword"):
        message = "You can't specify MasterUserPassword when ManageMasterUserPassword is enabled."
        raise Refused("InvalidParameterCombination", message)


def set_tags(record: Record, arn: str, tags: list[dict[str, str]]) -> None:
    record["TagList"] = tags
    aws._tags[arn] = tags


def parameters_of(instance: Record) -> dict[str, str]:
    """The parameters of the instance's group that a server outside RDS supports."""
    group = aws._param_groups.get(instance["DBParameterGroups"][0]["DBParameterGroupName"]) or {}
    values = {name: entry["ParameterValue"] for name, entry in group.get("Parameters", {}).items()}
    return {name: text for name, text in values.items() if not name.startswith("rds.") and "{" not in text}


def shown(action: str, record: Record) -> Response:
    """The answer to `action`: the current record."""
    if "DBSnapshotArn" in record:
        element = f"<DBSnapshot>{aws._snapshot_xml(record)}</DBSnapshot>"
    else:
        element = f"<DBInstance>{aws._instance_xml(record)}</DBInstance>"
    return aws._xml(200, f"{action}Response", f"<{action}Result>{element}</{action}Result>")


def snapshot_as_rds_shows(original: Callable[[Record], str]) -> Callable[[Record], str]:
    """Omits unknown times, and adds the members that ministack never shows."""

    def show(snapshot: Record) -> str:
        xml = re.sub(r"<(\w+Time)></\1>", "", original(snapshot))
        size = snapshot.get("FullSnapshotSizeInBytes")
        return xml + (f"<FullSnapshotSizeInBytes>{size}</FullSnapshotSizeInBytes>" if size is not None else "")

    return show


def as_rds_shows(original: Callable[[Record], str]) -> Callable[[Record], str]:
    """Omits missing parts of an instance's description, and adds the members that ministack never shows."""

    def show(instance: Record) -> str:
        xml = original(instance)
        hidden = set(instance.get("_hidden", ()))
        if not instance["BackupRetentionPeriod"]:
            hidden.add("LatestRestorableTime")
        for optional in ("DBName", "ReadReplicaSourceDBInstanceIdentifier"):
            if not instance.get(optional):
                hidden.add(optional)
        for element in hidden:
            xml = re.sub(rf"<{element}>.*?</{element}>", "", xml, flags=re.DOTALL)
        if secret := instance.get("_MasterUserSecret"):
            fields = "".join(f"<{name}>{text}</{name}>" for name, text in secret.items())
            xml += f"<MasterUserSecret>{fields}</MasterUserSecret>"
        if support := instance.get("EngineLifecycleSupport"):
            xml += f"<EngineLifecycleSupport>{support}</EngineLifecycleSupport>"
        return xml

    return show
