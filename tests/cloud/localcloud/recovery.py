"""Points in time, retained automated backups, and an instance that is gone.

RestoreDBInstanceToPointInTime restores the newest point that a test has marked at or before RestoreTime, and the
current data of an instance without marked points. RestoreTime must not be later than LatestRestorableTime, nor before
the first marked point; the code of these refusals is assumed. UseLatestRestorableTime restores the current data. The
source is named by its identifier; by SourceDbiResourceId, which also finds the backups of an instance that is gone; or
by SourceDBInstanceAutomatedBackupsArn.

DeleteDBInstance with DeleteAutomatedBackups=false retains the automated backups, with the data of that moment.
DescribeDBInstanceAutomatedBackups shows those of current instances and retained ones, with the filters of the service's
model. By DBInstanceIdentifier it finds current instances only ("must match the identifier of an existing DB instance").

RestoreDBInstanceToPointInTime is evaluated on source, target, parameter group and subnet group, and its tags as
`rds:AddTagsToResource` on the target; DescribeDBInstanceAutomatedBackups on all automated backups ("Service
Authorization Reference").

Admin routes:

- `POST /_local/rds/point {"instance": ID}`, optionally with `"seconds_ago": N` -> `{"time": INSTANT}`: marks the
current data as that of this moment, in whole seconds.
- `POST /_local/rds/lose {"instance": ID, "retained": true}` -> `{"resource": DBI_RESOURCE_ID}`: an available instance
  is gone at once, whatever its deletion protection, with or without its automated backups. Manual snapshots stay.
- `POST /_local/rds/unprotect {"instance": ID}` lifts the deletion protection in any status; ModifyDBInstance needs an
available instance.
- `POST /_local/rds/find {"instance": ID}` brings it back, with its data and its endpoint's port.
"""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import pathlib
import shutil
import time
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import rds as aws

from localcloud.backups import answered, filters_of, latest_restorable
from localcloud.bluegreen import MODEL, xml
from localcloud.cloud import AdminError, Cloud
from localcloud.rds import (
    RESTORING,
    Database,
    Parameters,
    Plane,
    Record,
    Refused,
    Response,
    answering,
    check_name,
    check_performance,
    parameters_of,
    shown,
    value,
)

# The actions and resources on which the current call of this module is evaluated.
JUDGED: contextvars.ContextVar[tuple[tuple[str, str], ...]] = contextvars.ContextVar("rds_judged", default=())
BACKUP = MODEL.shape_for("DBInstanceAutomatedBackup")
FILTERS = {"status": "Status", "db-instance-id": "DBInstanceIdentifier", "dbi-resource-id": "DbiResourceId"}
# Members that RDS shows of a backup and of its instance by the same name.
SAME = (
    "DBInstanceArn",
    "DbiResourceId",
    "DBInstanceIdentifier",
    "AllocatedStorage",
    "AvailabilityZone",
    "InstanceCreateTime",
    "MasterUsername",
    "Engine",
    "EngineVersion",
    "StorageType",
    "KmsKeyId",
    "IAMDatabaseAuthenticationEnabled",
    "BackupRetentionPeriod",
    "PreferredBackupWindow",
)


def install(cloud: Cloud) -> None:
    """Wraps the handlers and the permissions; after `rds`, `backups` and `conditions`."""
    recovery = Recovery(cloud.rds)
    for action, handler in {
        "RestoreDBInstanceToPointInTime": recovery.restore,
        "DescribeDBInstanceAutomatedBackups": recovery.describe,
    }.items():
        aws._ACTION_MAP[action] = answering(handler)
    cloud.rds.bring_down = recovery.bring_down
    cloud.route("POST", "rds/point")(recovery.mark)
    cloud.route("POST", "rds/lose")(recovery.lose)
    cloud.route("POST", "rds/find")(recovery.find)
    cloud.route("POST", "rds/unprotect")(recovery.unprotect)
    plain_arn, plain_enforce = iam_actions.extract_resource_arn, iam_evaluator.enforce

    def resource_arn(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        judged = resources(query, f"arn:aws:rds:{region}:{account}") if service == "rds" else []
        JUDGED.set(tuple(judged))
        if judged:
            return judged[0][1]
        return plain_arn(service, method, path, headers, body, query, region, account)

    def enforce(
        key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
    ) -> Any:
        judged = JUDGED.get() if service == "rds" else ()
        for each, resource in judged or [(action, resource_arn)]:
            if denied := plain_enforce(key, each, service, region, resource, service_context):
                return denied
        return None

    iam_actions.extract_resource_arn = resource_arn
    iam_evaluator.enforce = enforce


def resources(query: dict, place: str) -> list[tuple[str, str]]:
    """The actions and resources on which a call of this module is evaluated."""

    def given(name: str) -> str:
        return iam_actions._query_param(query, name) or ""

    action = given("Action")
    if action == "DescribeDBInstanceAutomatedBackups":
        return [("rds:DescribeDBInstanceAutomatedBackups", f"{place}:auto-backup:*")]
    if action != "RestoreDBInstanceToPointInTime":
        return []
    target = f"{place}:db:{given('TargetDBInstanceIdentifier')}"
    named = [target]
    if source := given("SourceDBInstanceIdentifier"):
        named.append(f"{place}:db:{source}")
    else:
        named.append(given("SourceDBInstanceAutomatedBackupsArn") or f"{place}:auto-backup:*")
    named += [f"{place}:pg:{group}" for group in [given("DBParameterGroupName")] if group]
    named += [f"{place}:subgrp:{group}" for group in [given("DBSubnetGroupName")] if group]
    judged = [(f"rds:{action}", one) for one in named]
    tagged = any(name.startswith("Tags.") for name in query)
    return judged + ([("rds:AddTagsToResource", target)] if tagged else [])


class Recovery:
    """What can be restored of current and former instances."""

    def __init__(self, plane: Plane):
        self.plane = plane
        self.plain_bring_down = plane.bring_down
        # By DbiResourceId: the marked points, and the backups of former instances.
        self.points: dict[str, list[tuple[float, pathlib.Path]]] = {}
        self.retained: dict[str, Record] = {}
        self.lost: dict[str, tuple[Record, Database]] = {}

    def new_copy(self) -> pathlib.Path:
        folder = self.plane.home.path.resolve() / "points"
        folder.mkdir(mode=0o711, exist_ok=True)
        return folder / new_uuid()

    # The end of an instance

    def bring_down(self, database: Database, snapshot: Record | None, keep_automated: bool) -> None:
        instance = database.instance
        if keep_automated and instance["BackupRetentionPeriod"]:
            self.retain(instance)
        else:
            for _, copy in self.points.pop(instance["DbiResourceId"], []):
                shutil.rmtree(copy, ignore_errors=True)
        self.plain_bring_down(database, snapshot, keep_automated)

    def retain(self, instance: Record) -> None:
        copy = self.new_copy()
        self.plane.copy(instance, copy)
        self.retained[instance["DbiResourceId"]] = {**instance, "_copy": copy, "_until": aws._format_time(time.time())}

    # Requests

    def source_of(self, p: Parameters) -> tuple[Record, bool]:
        """The instance whose backups a request names, and whether it is there."""
        name, resource = value(p, "SourceDBInstanceIdentifier"), value(p, "SourceDbiResourceId")
        arn = value(p, "SourceDBInstanceAutomatedBackupsArn")
        if bool(name) + bool(resource) + bool(arn) != 1:
            raise Refused("InvalidParameterCombination", "Exactly one source must be given.")
        if name:
            return self.plane.find(name), True
        for one in aws._instances.values():
            if resource == one["DbiResourceId"] or (arn and arn == backup_arn(one)):
                return one, True
        for one in self.retained.values():
            if resource == one["DbiResourceId"] or (arn and arn == backup_arn(one)):
                return one, False
        raise Refused("DBInstanceAutomatedBackupNotFound", "No automated backup for this DB instance was found.")

    def restore(self, p: Parameters) -> Response:
        plane, asked = self.plane, value(p, "RestoreTime")
        if bool(asked) == (value(p, "UseLatestRestorableTime") == "true"):
            message = "Exactly one of RestoreTime and UseLatestRestorableTime must be given."
            raise Refused("InvalidParameterCombination", message)
        check_name(p, "TargetDBInstanceIdentifier", 63)
        plane.check_settings({**p, "SourceDBInstanceIdentifier": ["given"]})
        source, is_there = self.source_of(p)
        name, origin = value(p, "TargetDBInstanceIdentifier"), source["DBInstanceIdentifier"]
        if not source["BackupRetentionPeriod"]:
            raise Refused("PointInTimeRestoreNotEnabled", f"DB instance {origin} has no automated backups.")
        check_performance(p, source)
        if name in aws._instances:
            raise Refused("DBInstanceAlreadyExists", f"DB instance {name} already exists")
        copy = self.point(source, asked) if asked else None
        with plane.lock:
            if refused := plane.restores.excess(source):
                raise Refused(*refused)
            # ministack restores only from records of snapshots, so it gets a temporary one.
            snapshot = plane.record_snapshot(f"point-in-time:{name}", source, "automated", [])
            arguments = {
                **p,
                "DBInstanceIdentifier": [name],
                "DBSnapshotIdentifier": [snapshot["DBSnapshotIdentifier"]],
            }
            aws._restore_from_snapshot(arguments)
            plane.forget_snapshot(snapshot)
            instance = aws._instances[name]
            database = plane.add_restored(instance, p, snapshot)
        if copy is not None or not is_there:
            database.server.take(copy or source["_copy"])
        else:
            plane.copy(source, database.server.data)
            plane.home.own(database.server.data)

        def made() -> None:
            plane.emit("0019", instance, source=origin, target=name)

        plane.background(plane.bring_up, database, lambda: None, made, RESTORING)
        return shown("RestoreDBInstanceToPointInTime", instance)

    def point(self, source: Record, asked: str) -> pathlib.Path | None:
        """The copy of the newest point up to an instant; none for an instance without marked points."""
        moment, latest = instant(asked), instant(self.latest(source))
        if moment > latest:
            message = f"The specified time {asked} is later than the latest restorable time {self.latest(source)}."
            raise Refused("InvalidParameterValue", message)
        points = self.points.get(source["DbiResourceId"], [])
        before = [copy for at, copy in sorted(points) if at <= moment]
        if points and not before:
            message = f"The specified time {asked} is before the earliest restorable time."
            raise Refused("InvalidParameterValue", message)
        return before[-1] if before else None

    def latest(self, source: Record) -> str:
        return source.get("_until") or latest_restorable(source)

    def earliest(self, source: Record) -> str:
        points = [at for at, _ in self.points.get(source["DbiResourceId"], [])]
        return min([source["InstanceCreateTime"], *map(aws._format_time, points)])

    def describe(self, p: Parameters) -> Response:
        current = [one for one in aws._instances.values() if one["BackupRetentionPeriod"]]
        told = [self.told(one, "active") for one in current if one["DbiResourceId"] in self.plane.databases]
        told += [self.told(one, "retained") for one in self.retained.values()]
        name, resource = value(p, "DBInstanceIdentifier"), value(p, "DbiResourceId")
        if name:
            told = [one for one in told if one["Status"] == "active" and one["DBInstanceIdentifier"] == name]
        if resource:
            told = [one for one in told if one["DbiResourceId"].lower() == resource.lower()]
        if (name or resource) and not told:
            raise Refused("DBInstanceAutomatedBackupNotFound", "No automated backup for this DB instance was found.")
        for member, texts in filters_of(aws._parse_filters(p), FILTERS):
            told = [one for one in told if one[member] in texts]
        listed = "".join(f"<DBInstanceAutomatedBackup>{xml(BACKUP, one)}</DBInstanceAutomatedBackup>" for one in told)
        listed = f"<DBInstanceAutomatedBackups>{listed}</DBInstanceAutomatedBackups>"
        return answered("DescribeDBInstanceAutomatedBackups", listed)

    def told(self, instance: Record, status: str) -> Record:
        endpoint = instance.get("Endpoint") or {}
        return {
            **{name: instance[name] for name in SAME if instance.get(name) not in (None, "")},
            "Region": get_region(),
            "RestoreWindow": {"EarliestTime": self.earliest(instance), "LatestTime": self.latest(instance)},
            "Status": status,
            **({"Port": endpoint["Port"]} if "Port" in endpoint else {}),
            "Encrypted": bool(instance.get("StorageEncrypted")),
            "DBInstanceAutomatedBackupsArn": backup_arn(instance),
            "BackupTarget": "region",
            "TagList": instance.get("TagList") or [],
        }

    # Admin routes

    async def mark(self, arguments: dict[str, Any]) -> dict[str, Any]:
        instance, ago = self.plane.named(arguments).instance, arguments.get("seconds_ago", 0)
        if type(ago) is not int or ago < 0:
            raise AdminError("seconds_ago must be a whole number")
        copy, at = self.new_copy(), float(int(time.time()) - ago)
        await asyncio.to_thread(self.plane.copy, instance, copy)
        self.points.setdefault(instance["DbiResourceId"], []).append((at, copy))
        return {"time": aws._format_time(at)}

    async def lose(self, arguments: dict[str, Any]) -> dict[str, Any]:
        database = self.plane.named(arguments)
        instance = database.instance
        name = instance["DBInstanceIdentifier"]
        if instance["DBInstanceStatus"] != "available":
            raise AdminError(f"the instance is {instance['DBInstanceStatus']}")

        def end() -> None:
            if arguments.get("retained") and instance["BackupRetentionPeriod"]:
                self.retain(instance)
            with database.lock:
                database.front.disconnect()
                database.server.stop()

        await asyncio.to_thread(end)
        with self.plane.lock:
            self.lost[name] = (instance, database)
            aws._instances.pop(name, None)
            self.plane.databases.pop(instance["DbiResourceId"], None)
        return {"resource": instance["DbiResourceId"]}

    async def unprotect(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self.plane.named(arguments).instance["DeletionProtection"] = False
        return {"instance": arguments["instance"]}

    async def find(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = arguments.get("instance")
        if name not in self.lost:
            raise AdminError(f"{name!r} is not lost")
        instance, database = self.lost.pop(name)

        def begin() -> None:
            with database.lock:
                database.server.start(parameters_of(instance))
                database.expose()

        await asyncio.to_thread(begin)
        with self.plane.lock:
            self.retained.pop(instance["DbiResourceId"], None)
            self.plane.databases[instance["DbiResourceId"]] = database
            aws._instances[name] = instance
        return {"instance": name}


def backup_arn(instance: Record) -> str:
    """The ARN of an instance's automated backups; its last part is made of the resource's id."""
    return f"arn:aws:rds:{get_region()}:{get_account_id()}:auto-backup:ab-{instance['DbiResourceId'][3:].lower()}"


def instant(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
