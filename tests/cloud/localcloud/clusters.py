"""RDS's clusters (Aurora, and Multi-AZ clusters of `postgres` or `mysql`) and their snapshots.

A cluster has no database: ministack keeps the records, and this module adds RDS's members and refusals. Error codes
and members are those of botocore's model of RDS. CreateDBCluster with DBClusterInstanceClass makes a Multi-AZ cluster
with its three members; an Aurora cluster has none until CreateDBInstance names it. A member shows the backup settings
of its cluster, and no LatestRestorableTime.

RDS refuses a snapshot of a member, and a member's backup settings and deletion protection, which belong to its cluster.
The model does not name the codes, so InvalidParameterValue and InvalidParameterCombination are assumed. AWS documents
nothing about members of Multi-AZ clusters, so the same rules are assumed.

DescribeDBClusters and DescribeDBClusterSnapshots come in pages (MaxRecords from 20 to 100, Marker) with the documented
Filters. A cluster's name and its snapshot's have 63 characters at most. A snapshot takes its time and obeys
`rds/snapshots` (`rds.py`); cluster snapshots have their own quota. An automated one is deleted with its cluster.
A snapshot has no OriginalSnapshotCreateTime; a copy's SnapshotCreateTime is that of the copy, as with instances, since
AWS documents neither. Sharing follows `backups.py`. Events: RDS-EVENT-0074 and 0075 of a manual snapshot, 0168 and 0169
of an automated one, 0170 and 0171 of a cluster; AWS documents none for copies and deletions.
Not modelled: snapshots shared by other accounts, restores, failovers, global clusters, later changes.

Admin routes; instants are ISO 8601 with a zone:

- `POST /_local/rds/cluster {"cluster": ID, "status": STATUS, "latest_restorable": INSTANT or null, "created":
  INSTANT}`, all but the first optional -> the current values. In another status than `available`, RDS's refusals apply.
- `POST /_local/rds/automated-cluster-snapshot {"cluster": ID, "created": INSTANT}` -> `{"snapshot": NAME}`: an
  automated snapshot of that instant, `available`.
- `POST /_local/rds/cluster-snapshot {"snapshot": NAME, "region": REGION, "facts": {FACT: VALUE}}` changes the shown
facts of a cluster snapshot, as `rds/snapshot` does for an instance's: `Status`, `StorageEncrypted`,
`AllocatedStorage`, `TagList`, `seconds_ago`.
"""

from __future__ import annotations

import re
import time
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import documentdb
from ministack.services import rds as aws

from localcloud.backups import (
    answered,
    attributes,
    filters_of,
    instant,
    key_arn,
    latest_restorable,
    page,
    restorers,
    share,
    windows,
)
from localcloud.cloud import AdminError, Cloud
from localcloud.rds import (
    SNAPSHOT,
    Handler,
    Parameters,
    Plane,
    Record,
    Refused,
    Response,
    answering,
    check_name,
    check_tags,
    set_tags,
    value,
)

AURORA, MULTI_AZ = ("aurora-mysql", "aurora-postgresql"), ("mysql", "postgres")
LONGEST = 63
# Settings of a cluster that apply to its members.
OF_CLUSTER = ("BackupRetentionPeriod", "DeletionProtection", "PreferredBackupWindow")
SHOWN_OF_CLUSTER = (
    "BackupRetentionPeriod",
    "CopyTagsToSnapshot",
    "KmsKeyId",
    "PreferredBackupWindow",
    "StorageEncrypted",
)
FACTS = ("Status", "StorageEncrypted", "AllocatedStorage", "TagList")
EMPTY = re.compile(r"<(KmsKeyId|DBClusterParameterGroup|SnapshotCreateTime)></\1>")


def install(cloud: Cloud) -> None:
    """Wraps the handlers that `rds.py` and `backups.py` have installed."""
    Clusters(cloud.rds).install(cloud)


class Clusters:
    """The clusters of one local cloud."""

    def __init__(self, plane: Plane):
        self.plane = plane

    def install(self, cloud: Cloud) -> None:
        handlers = aws._ACTION_MAP
        for action, around in {
            "CreateDBInstance": self.create_member,
            "ModifyDBInstance": self.modify_member,
            "CreateDBSnapshot": self.create_instance_snapshot,
            "CreateDBCluster": self.create,
            "ModifyDBCluster": self.modify,
            "DeleteDBCluster": self.delete,
        }.items():
            handlers[action] = answering(with_inner(handlers[action], around))
        for action, handler in {
            "DescribeDBClusters": self.describe,
            "CreateDBClusterSnapshot": self.create_snapshot,
            "CopyDBClusterSnapshot": self.copy_snapshot,
            "DeleteDBClusterSnapshot": self.delete_snapshot,
            "DescribeDBClusterSnapshots": self.describe_snapshots,
            "DescribeDBClusterSnapshotAttributes": self.describe_attributes,
            "ModifyDBClusterSnapshotAttribute": self.modify_attribute,
        }.items():
            handlers[action] = answering(self.plane.locked(handler))
        # Without a server, a cluster keeps its first endpoints.
        aws._sync_cluster_endpoints = lambda cluster: None
        aws._instance_xml = as_member(aws._instance_xml)
        aws._cluster_xml = cluster_as_rds_shows(aws._cluster_xml)
        aws._cluster_snapshot_xml = snapshot_as_rds_shows(aws._cluster_snapshot_xml)
        aws._sync_tag_list_to_resource = with_cluster_snapshots(aws._sync_tag_list_to_resource)
        cloud.route("POST", "rds/cluster")(self.set_cluster)
        cloud.route("POST", "rds/automated-cluster-snapshot")(self.add_automated)
        cloud.route("POST", "rds/cluster-snapshot")(self.set_facts)

    # --- members ---

    def create_member(self, inner: Handler, p: Parameters) -> Response:
        name = value(p, "DBClusterIdentifier")
        if not name:
            return inner(p)
        cluster = self.find(name)
        if cluster["Engine"] not in AURORA:
            message = f"The members of the Multi-AZ DB cluster {name} are made with it."
            raise Refused("InvalidParameterCombination", message)
        if value(p, "Engine") != cluster["Engine"]:
            message = f"The engine of the DB instance is not that of the DB cluster: {cluster['Engine']}."
            raise Refused("InvalidParameterCombination", message)
        refuse_settings_of_cluster(p)
        answer = inner(p)
        if answer[0] == 200:
            self.settle_member(cluster, value(p, "DBInstanceIdentifier"))
            return member_shown(value(p, "DBInstanceIdentifier"))
        return answer

    def settle_member(self, cluster: Record, name: str) -> None:
        """Adds facts of the members that ministack lacks, because it has one server for all."""
        member = aws._instances[name]
        suffix = cluster["Endpoint"].partition(".cluster-")[2]
        member["Endpoint"] = {"Address": f"{name}.{suffix}", "Port": cluster["Port"], "HostedZoneId": "Z2R2ITUGPM61AM"}
        member.update({"DBInstanceStatus": "available", "DeletionProtection": False})

    def modify_member(self, inner: Handler, p: Parameters) -> Response:
        instance = aws._resolve_instance(value(p, "DBInstanceIdentifier"))
        if instance and instance.get("DBClusterIdentifier"):
            refuse_settings_of_cluster(p)
            if value(p, "MasterUserPassword") or value(p, "ManageMasterUserPassword"):
                message = "The master user password is that of the DB cluster. Use ModifyDBCluster."
                raise Refused("InvalidParameterCombination", message)
        return inner(p)

    def create_instance_snapshot(self, inner: Handler, p: Parameters) -> Response:
        instance = aws._resolve_instance(value(p, "DBInstanceIdentifier"))
        if instance and instance.get("DBClusterIdentifier"):
            message = (
                "The specified instance is a member of a cluster and a snapshot cannot be created directly. Please use "
                "the CreateDBClusterSnapshot API instead."
            )
            raise Refused("InvalidParameterValue", message)
        return inner(p)

    # --- clusters ---

    def create(self, inner: Handler, p: Parameters) -> Response:
        check_name(p, "DBClusterIdentifier", LONGEST)
        engine, multi_az = value(p, "Engine"), value(p, "DBClusterInstanceClass")
        if engine not in AURORA + MULTI_AZ:
            raise Refused("InvalidParameterValue", f"Invalid DB engine: {engine}")
        storage = value(p, "AllocatedStorage")
        if (engine in MULTI_AZ) != bool(multi_az) or (engine in MULTI_AZ) != bool(storage):
            message = "A Multi-AZ DB cluster, and no other, needs DBClusterInstanceClass and AllocatedStorage."
            raise Refused("InvalidParameterCombination", message)
        check_retention(p)
        check_tags(aws._parse_tags(p))
        backup, maintenance = windows(value(p, "PreferredBackupWindow"), value(p, "PreferredMaintenanceWindow"))
        if engine in MULTI_AZ and not value(p, "EngineVersion"):
            p = {**p, "EngineVersion": [aws._default_engine_version(engine)]}
        given = {"PreferredBackupWindow": [backup], "PreferredMaintenanceWindow": [maintenance]}
        with self.plane.lock:
            answer = inner({**p, **given})
            if answer[0] != 200:
                return answer
            cluster = aws._clusters[value(p, "DBClusterIdentifier")]
            if cluster["StorageEncrypted"]:
                cluster["KmsKeyId"] = key_arn(value(p, "KmsKeyId"))
            cluster["EnabledCloudwatchLogsExports"] = aws._parse_member_list(p, "EnableCloudwatchLogsExports")
            if multi_az:
                cluster.update({"AllocatedStorage": int(storage), "DBClusterInstanceClass": multi_az, "MultiAZ": True})
                self.make_members(cluster)
        self.emit("0170", cluster)
        return cluster_shown("CreateDBCluster", cluster)

    def make_members(self, cluster: Record) -> None:
        for number in (1, 2, 3):
            name = f"{cluster['DBClusterIdentifier']}-instance-{number}"
            asked = {
                "DBInstanceIdentifier": name,
                "DBClusterIdentifier": cluster["DBClusterIdentifier"],
                "DBInstanceClass": cluster["DBClusterInstanceClass"],
                "Engine": cluster["Engine"],
                "EngineVersion": cluster["EngineVersion"],
            }
            answer = aws._create_db_instance({parameter: [text] for parameter, text in asked.items()})
            if answer[0] != 200:
                raise RuntimeError(answer[2].decode())
            self.settle_member(cluster, name)
            aws._instances[name]["AllocatedStorage"] = cluster["AllocatedStorage"]

    def modify(self, inner: Handler, p: Parameters) -> Response:
        cluster = self.find(value(p, "DBClusterIdentifier"))
        self.check_available(cluster)
        check_retention(p)
        backup, maintenance = value(p, "PreferredBackupWindow"), value(p, "PreferredMaintenanceWindow")
        if backup or maintenance:
            windows(backup or cluster["PreferredBackupWindow"], maintenance or cluster["PreferredMaintenanceWindow"])
        with self.plane.lock:
            answer = inner(p)
            if answer[0] != 200:
                return answer
            exports = set(cluster["EnabledCloudwatchLogsExports"])
            exports |= set(aws._parse_member_list(p, "CloudwatchLogsExportConfiguration.EnableLogTypes"))
            exports -= set(aws._parse_member_list(p, "CloudwatchLogsExportConfiguration.DisableLogTypes"))
            cluster["EnabledCloudwatchLogsExports"] = sorted(exports)
            if text := value(p, "AutoMinorVersionUpgrade"):
                cluster["AutoMinorVersionUpgrade"] = text == "true"
        return cluster_shown("ModifyDBCluster", cluster)

    def delete(self, inner: Handler, p: Parameters) -> Response:
        cluster = self.find(value(p, "DBClusterIdentifier"))
        skip, final = value(p, "SkipFinalSnapshot") == "true", value(p, "FinalDBSnapshotIdentifier")
        if skip == bool(final):
            message = "Exactly one of SkipFinalSnapshot and FinalDBSnapshotIdentifier must be given."
            raise Refused("InvalidParameterCombination", message)
        if cluster["Engine"] in MULTI_AZ and not cluster["DeletionProtection"]:
            for member in list(cluster["DBClusterMembers"]):
                name = member["DBInstanceIdentifier"]
                aws._unregister_instance_from_clusters(name)
                gone = aws._instances.pop(name, None)
                aws._tags.pop(gone["DBInstanceArn"] if gone else "", None)
        if final:
            self.check_new(p, "FinalDBSnapshotIdentifier")
        with self.plane.lock:
            answer = inner(p)
            if answer[0] != 200:
                return answer
            if final:
                snapshot = self.record(final, cluster, "manual", self.copied_tags(cluster))
                self.plane.background(self.take, snapshot, "0074", "0075")
            for one in list(aws._db_cluster_snapshots.values()):
                if one["DbClusterResourceId"] == cluster["DbClusterResourceId"] and one["SnapshotType"] == "automated":
                    self.forget(one)
        self.emit("0171", cluster)
        return answer

    def describe(self, p: Parameters) -> Response:
        filters = aws._parse_filters(p)
        if value(p, "DBClusterIdentifier"):
            chosen, marker, others = [self.find(value(p, "DBClusterIdentifier"))], "", ""
        else:
            members = {
                "clone-group-id": "CloneGroupId",
                "db-cluster-id": "DBClusterIdentifier",
                "db-cluster-resource-id": "DbClusterResourceId",
                "domain": "Domain",
                "engine": "Engine",
            }
            chosen, marker = page(p, aws._clusters, filters_of(filters, members))
            others = "" if marker else documentdb.cluster_members_xml(filters)
        listed = "".join(f"<DBCluster>{aws._cluster_xml(one)}</DBCluster>" for one in chosen) + others
        return answered("DescribeDBClusters", f"<DBClusters>{listed}</DBClusters>{marker}")

    # --- snapshots ---

    def create_snapshot(self, p: Parameters) -> Response:
        cluster = self.find(value(p, "DBClusterIdentifier"))
        self.check_new(p, "DBClusterSnapshotIdentifier")
        check_tags(aws._parse_tags(p))
        self.check_available(cluster)
        tags = aws._parse_tags(p) + self.copied_tags(cluster)
        snapshot = self.record(value(p, "DBClusterSnapshotIdentifier"), cluster, "manual", tags)
        self.plane.background(self.take, snapshot, "0074", "0075")
        return snapshot_shown("CreateDBClusterSnapshot", snapshot)

    def take(self, snapshot: Record, begun: str, ended: str) -> None:
        """Ends a snapshot in the requested status; RDS has no event for a failed one."""
        if begun:
            self.emit(begun, snapshot)
        orders = self.plane.orders
        while orders["hold"] and snapshot["DBClusterSnapshotIdentifier"] in aws._db_cluster_snapshots:
            snapshot["PercentProgress"] = 30
            self.plane.wait(1)
        with self.plane.lock:
            fails = orders["fail"] > 0
            orders["fail"] -= fails
        for percent in (30, 60):
            snapshot["PercentProgress"] = percent
            self.plane.wait(SNAPSHOT / 2)
        snapshot.update({"Status": "failed"} if fails else {"PercentProgress": 100, "Status": "available"})
        if ended and not fails:
            self.emit(ended, snapshot)

    def copied_tags(self, cluster: Record) -> list[dict[str, str]]:
        return cluster["TagList"] if cluster["CopyTagsToSnapshot"] else []

    def record(self, name: str, cluster: Record, kind: str, tags: list[dict[str, str]]) -> Record:
        with self.plane.lock:
            snapshot = aws._create_cluster_snapshot_internal(name, cluster)
            snapshot.update({"Status": "creating", "PercentProgress": 0, "SnapshotType": kind})
        # The first tag with a key wins: the request's precede the cluster's.
        tags = list({tag["Key"]: tag for tag in reversed(tags)}.values())
        set_tags(snapshot, snapshot["DBClusterSnapshotArn"], tags)
        return snapshot

    def copy_snapshot(self, p: Parameters) -> Response:
        """Copies a snapshot within the region, or from the region in the source's ARN."""
        given, here, account = value(p, "SourceDBClusterSnapshotIdentifier"), get_region(), get_account_id()
        match = re.fullmatch(r"arn:aws:rds:([^:]+):\d+:cluster-snapshot:(.+)", given)
        origin, name = (match[1], match[2]) if match else (here, given)
        source = aws._db_cluster_snapshots.get_scoped(account, origin, name)
        if source is None:
            raise Refused("DBClusterSnapshotNotFoundFault", f"DB cluster snapshot {given} not found.")
        self.check_new(p, "TargetDBClusterSnapshotIdentifier")
        check_tags(aws._parse_tags(p))
        if source["Status"] != "available":
            message = f"DB cluster snapshot {name} is in {source['Status']} state, not available."
            raise Refused("InvalidDBClusterSnapshotStateFault", message)
        key = value(p, "KmsKeyId")
        if origin != here and source["StorageEncrypted"] and not key:
            message = "A KMS key of this region is needed to copy an encrypted snapshot from another region."
            raise Refused("InvalidParameterCombination", message)
        if key and not source["StorageEncrypted"]:
            # The model: "If you try to copy an unencrypted DB cluster snapshot and specify a value ..., an error".
            raise Refused("InvalidParameterCombination", "An unencrypted DB cluster snapshot is copied without a key.")
        if key.startswith("arn:") and key.split(":")[3] != here:
            raise Refused("KMSKeyNotAccessibleFault", f"The key {key} is not of the region {here}.")
        copy = value(p, "TargetDBClusterSnapshotIdentifier")
        arn = f"arn:aws:rds:{here}:{account}:cluster-snapshot:{copy}"
        copied = source["TagList"] if value(p, "CopyTags") == "true" else []
        target = aws._db_cluster_snapshots[copy] = {
            **source,
            "DBClusterSnapshotIdentifier": copy,
            "DBClusterSnapshotArn": arn,
            "SourceDBClusterSnapshotArn": source["DBClusterSnapshotArn"],
            "SnapshotType": "manual",
            "SnapshotCreateTime": aws._format_time(time.time()),
            "Status": "creating",
            "PercentProgress": 0,
            "KmsKeyId": key or source["KmsKeyId"],
        }
        set_tags(target, arn, aws._parse_tags(p) or list(copied))
        self.plane.background(self.take, target, "", "")
        return snapshot_shown("CopyDBClusterSnapshot", target)

    def delete_snapshot(self, p: Parameters) -> Response:
        snapshot = self.find_snapshot(value(p, "DBClusterSnapshotIdentifier"))
        if snapshot["SnapshotType"] != "manual" or snapshot["Status"] not in ("available", "failed"):
            message = f"Cannot delete a snapshot that is {snapshot['SnapshotType']} and {snapshot['Status']}."
            raise Refused("InvalidDBClusterSnapshotStateFault", message)
        self.forget(snapshot)
        snapshot["Status"] = "deleted"
        return snapshot_shown("DeleteDBClusterSnapshot", snapshot)

    def forget(self, snapshot: Record) -> None:
        aws._db_cluster_snapshots.pop(snapshot["DBClusterSnapshotIdentifier"], None)
        aws._tags.pop(snapshot["DBClusterSnapshotArn"], None)

    def describe_snapshots(self, p: Parameters) -> Response:
        name, kind = value(p, "DBClusterSnapshotIdentifier"), value(p, "SnapshotType")
        if name:
            chosen, marker = [self.find_snapshot(name)], ""
        elif kind == "shared":
            chosen, marker = [], ""
        else:
            filters = aws._parse_filters(p)
            if text := value(p, "DBClusterIdentifier"):
                filters["db-cluster-id"] = [text]
            if kind and kind != "public":
                filters["snapshot-type"] = [kind]
            members = {
                "db-cluster-id": "DBClusterIdentifier",
                "db-cluster-snapshot-id": "DBClusterSnapshotIdentifier",
                "engine": "Engine",
                "snapshot-type": "SnapshotType",
            }
            chosen, marker = page(p, aws._db_cluster_snapshots, filters_of(filters, members))
        if kind == "public":
            chosen = [one for one in chosen if "all" in restorers("DBClusterSnapshot", one)]
        elif kind:
            chosen = [one for one in chosen if one["SnapshotType"] == kind]
        listed = "".join(f"<DBClusterSnapshot>{aws._cluster_snapshot_xml(one)}</DBClusterSnapshot>" for one in chosen)
        return answered("DescribeDBClusterSnapshots", f"<DBClusterSnapshots>{listed}</DBClusterSnapshots>{marker}")

    def describe_attributes(self, p: Parameters) -> Response:
        snapshot = self.find_snapshot(value(p, "DBClusterSnapshotIdentifier"))
        return attributes("DescribeDBClusterSnapshotAttributes", "DBClusterSnapshot", snapshot)

    def modify_attribute(self, p: Parameters) -> Response:
        snapshot = self.find_snapshot(value(p, "DBClusterSnapshotIdentifier"))
        name = snapshot["DBClusterSnapshotIdentifier"]
        if value(p, "AttributeName") != "restore":
            raise Refused("InvalidParameterValue", f"Invalid attribute name: {value(p, 'AttributeName')}")
        if snapshot["SnapshotType"] != "manual" or snapshot["Status"] != "available":
            message = f"The snapshot {name} is {snapshot['SnapshotType']} and {snapshot['Status']}."
            raise Refused("InvalidDBClusterSnapshotStateFault", message)
        return share(p, "DBClusterSnapshot", snapshot, snapshot["StorageEncrypted"])

    # --- shared by the parts above ---

    def find(self, name: str) -> Record:
        cluster = aws._resolve_cluster_in_request_region(name)
        if cluster is None:
            raise Refused("DBClusterNotFoundFault", f"DBCluster {name} not found.")
        return cluster

    def find_snapshot(self, name: str) -> Record:
        name = name.rpartition(":cluster-snapshot:")[2]
        snapshot = aws._db_cluster_snapshots.get(name)
        if snapshot is None:
            raise Refused("DBClusterSnapshotNotFoundFault", f"DB cluster snapshot {name} not found.")
        return snapshot

    def check_available(self, cluster: Record) -> None:
        if cluster["Status"] != "available":
            message = f"DBCluster {cluster['DBClusterIdentifier']} is in {cluster['Status']} state, not available."
            raise Refused("InvalidDBClusterStateFault", message)

    def check_new(self, p: Parameters, parameter: str) -> None:
        check_name(p, parameter, LONGEST)
        name, quota = value(p, parameter), self.plane.orders["quota"]
        if name in aws._db_cluster_snapshots:
            message = f"Cannot create the snapshot because a snapshot with the identifier {name} already exists."
            raise Refused("DBClusterSnapshotAlreadyExistsFault", message)
        if sum(one["SnapshotType"] == "manual" for one in aws._db_cluster_snapshots.values()) >= quota:
            raise Refused("SnapshotQuotaExceeded", f"Cannot create more than {quota} manual cluster snapshots")

    def emit(self, event: str, record: Record) -> None:
        if "DBClusterSnapshotArn" in record:
            name, arn = record["DBClusterSnapshotIdentifier"], record["DBClusterSnapshotArn"]
            kinds = "db-cluster-snapshot", "CLUSTER_SNAPSHOT", "RDS DB Cluster Snapshot Event"
        else:
            name, arn = record["DBClusterIdentifier"], record["DBClusterArn"]
            kinds = "db-cluster", "CLUSTER", "RDS DB Cluster Event"
        self.plane.give(event, name, arn, record["TagList"], kinds)

    # --- admin routes ---

    async def set_cluster(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if unknown := set(arguments) - {"cluster", "status", "latest_restorable", "created"}:
            raise AdminError(f"unknown: {', '.join(sorted(unknown))}")
        cluster = self.named(arguments)
        status = arguments.get("status", cluster["Status"])
        if not isinstance(status, str) or not re.fullmatch(r"[a-z][a-z-]+", status):
            raise AdminError("status is a word of RDS, e.g. modifying")
        cluster["Status"] = status
        if "latest_restorable" in arguments:
            standing = arguments["latest_restorable"]
            cluster["_standing"] = standing and instant(standing)
        if "created" in arguments:
            cluster["ClusterCreateTime"] = instant(arguments["created"])
        return {"cluster": cluster["DBClusterIdentifier"], "status": status, "latest_restorable": restorable(cluster)}

    async def add_automated(self, arguments: dict[str, Any]) -> dict[str, Any]:
        cluster, created = self.named(arguments), instant(arguments.get("created"))
        name = f"rds:{cluster['DBClusterIdentifier']}-{created[:16].replace('T', '-').replace(':', '-')}"
        if name in aws._db_cluster_snapshots:
            raise AdminError(f"there is a snapshot {name}")
        snapshot = self.record(name, cluster, "automated", self.copied_tags(cluster))
        snapshot.update({"PercentProgress": 100, "Status": "available", "SnapshotCreateTime": created})
        self.emit("0168", snapshot)
        self.emit("0169", snapshot)
        return {"snapshot": name}

    async def set_facts(self, arguments: dict[str, Any]) -> dict[str, Any]:
        region, name = arguments.get("region", get_region()), arguments.get("snapshot")
        snapshot = aws._db_cluster_snapshots.get_scoped(get_account_id(), region, name)
        facts = dict(arguments.get("facts") or {})
        if snapshot is None:
            raise AdminError(f"no cluster snapshot {name!r} in {region}")
        if unknown := set(facts) - {*FACTS, "seconds_ago"}:
            raise AdminError(f"unknown: {', '.join(sorted(unknown))}")
        with self.plane.lock:
            if "seconds_ago" in facts:
                ago = facts.pop("seconds_ago")
                snapshot["SnapshotCreateTime"] = "" if ago is None else aws._format_time(time.time() - ago)
            if "TagList" in facts:
                set_tags(snapshot, snapshot["DBClusterSnapshotArn"], facts["TagList"])
            snapshot.update(facts)
        return {"snapshot": name, "region": region}

    def named(self, arguments: dict[str, Any]) -> Record:
        cluster = aws._clusters.get(str(arguments.get("cluster")))
        if cluster is None:
            raise AdminError(f"no cluster {arguments.get('cluster')!r}")
        return cluster


def with_inner(handler: Handler, around: Any) -> Handler:
    return lambda p: around(handler, p)


def refuse_settings_of_cluster(p: Parameters) -> None:
    for setting in OF_CLUSTER:
        if value(p, setting):
            message = f"The DB instance is a member of a DB cluster. Set {setting} for the DB cluster."
            raise Refused("InvalidParameterCombination", message)


def check_retention(p: Parameters) -> None:
    retention = value(p, "BackupRetentionPeriod")
    if retention and not (retention.isdecimal() and 1 <= int(retention) <= 35):
        message = f"Invalid backup retention period: {retention}. It must be between 1 and 35."
        raise Refused("InvalidParameterValue", message)


def restorable(cluster: Record) -> str:
    return latest_restorable({**cluster, "InstanceCreateTime": cluster["ClusterCreateTime"]})


def member_shown(name: str) -> Response:
    return answered("CreateDBInstance", f"<DBInstance>{aws._instance_xml(aws._instances[name])}</DBInstance>")


def cluster_shown(action: str, cluster: Record) -> Response:
    return answered(action, f"<DBCluster>{aws._cluster_xml(cluster)}</DBCluster>")


def snapshot_shown(action: str, snapshot: Record) -> Response:
    return answered(action, f"<DBClusterSnapshot>{aws._cluster_snapshot_xml(snapshot)}</DBClusterSnapshot>")


def as_member(original: Any) -> Any:
    """Shows the cluster's settings in a member."""

    def show(instance: Record) -> str:
        cluster = aws._clusters.get(instance.get("DBClusterIdentifier") or "")
        if cluster is None:
            return original(instance)
        settings = (
            "BackupRetentionPeriod",
            "CopyTagsToSnapshot",
            "KmsKeyId",
            "PreferredBackupWindow",
            "StorageEncrypted",
        )
        shown = {**instance, **{name: cluster[name] for name in settings}}
        if cluster["Engine"] in AURORA:
            shown["AllocatedStorage"] = 1
        return re.sub(r"<LatestRestorableTime>.*?</LatestRestorableTime>", "", original(shown))

    return show


def cluster_as_rds_shows(original: Any) -> Any:
    """Omits a cluster's missing values, and adds the members that ministack never shows."""

    def show(cluster: Record) -> str:
        xml = EMPTY.sub("", original({**cluster, "LatestRestorableTime": restorable(cluster)}))
        more = {
            "AutoMinorVersionUpgrade": str(cluster.get("AutoMinorVersionUpgrade", True)).lower(),
            "DBClusterInstanceClass": cluster.get("DBClusterInstanceClass"),
        }
        xml += "".join(f"<{name}>{text}</{name}>" for name, text in more.items() if text)
        exports = "".join(f"<member>{one}</member>" for one in cluster.get("EnabledCloudwatchLogsExports", ()))
        return xml + (f"<EnabledCloudwatchLogsExports>{exports}</EnabledCloudwatchLogsExports>" if exports else "")

    return show


def snapshot_as_rds_shows(original: Any) -> Any:
    def show(snapshot: Record) -> str:
        source = snapshot.get("SourceDBClusterSnapshotArn")
        more = f"<SourceDBClusterSnapshotArn>{source}</SourceDBClusterSnapshotArn>" if source else ""
        return EMPTY.sub("", original(snapshot)) + more

    return show


def with_cluster_snapshots(original: Any) -> Any:
    """Updates the shown tags of a cluster snapshot, as ministack does for all other resources."""

    def sync(arn: str) -> None:
        original(arn)
        for snapshot in aws._db_cluster_snapshots.values():
            if snapshot["DBClusterSnapshotArn"] == arn:
                snapshot["TagList"] = list(aws._tags.get(arn, []))

    return sync
