"""RDS's facts about backups, certificates and sharing that ministack lacks, at times chosen by a test.

DescribeDBInstances and DescribeDBSnapshots come in pages (MaxRecords from 20 to 100, Marker), in the order of their
identifiers, with the documented Filters. CreateDBInstance and ModifyDBInstance take the windows,
the log exports and the CA; windows that overlap are refused. A change that RDS makes later is in
PendingModifiedValues: without ApplyImmediately the retention from or to 0, the CA, the class, the storage, MultiAZ. The
next change with ApplyImmediately applies it, a maintenance window never does. Retention 0 removes the automated
snapshots. LatestRestorableTime is the last full five minutes. A manual snapshot is shared with at most 20 accounts, an
encrypted one not with `all`, one under the default key with no account; the codes of these two refusals are assumed.
Not modelled: snapshots that other accounts share.

Admin routes; instants are ISO 8601 with a zone:

- `POST /_local/rds/instance {"instance": ID, "latest_restorable": INSTANT or null, "created": INSTANT, "ca": NAME,
  "ca_valid_till": INSTANT, "recovery_point": ARN or null}`, all but the first optional -> the current values. `null`
  ends a fixed LatestRestorableTime, or AWS Backup's ownership of the instance's backups, during which RDS refuses
  another retention and backup window (with the message of tests/cases/08).
- `POST /_local/rds/automated-snapshot {"instance": ID, "created": INSTANT}` -> `{"snapshot": NAME}`: an automated
  snapshot of that instant, `available`, with the current data.
"""

from __future__ import annotations

import asyncio
import bisect
import datetime
import re
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import documentdb
from ministack.services import rds as aws

from localcloud.cloud import AdminError, Cloud
from localcloud.rds import Handler, Parameters, Plane, Record, Refused, Response, answering, shown, value

AUTHORITIES = ("rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY, WEEK = 24 * 60, 7 * 24 * 60
# Minutes, and seconds.
SHORTEST_WINDOW, YEAR = 30, 365 * 86_400
SHARED_ACCOUNTS = 20
# RDS omits missing values; ministack shows an empty string.
EMPTY = re.compile(
    r"<(KmsKeyId|ReplicaMode|DBClusterIdentifier|EnhancedMonitoringResourceArn|MonitoringRoleArn|DBSubnetGroupArn)></\1>"
)


def install(cloud: Cloud) -> None:
    """Wraps the handlers that `rds.py` has installed."""
    Backups(cloud.rds).install(cloud)


class Backups:
    """The backup settings of one local cloud."""

    def __init__(self, plane: Plane):
        self.plane = plane

    def install(self, cloud: Cloud) -> None:
        handlers = aws._ACTION_MAP
        for action, around in {"CreateDBInstance": self.create, "ModifyDBInstance": self.modify}.items():
            handlers[action] = answering(self.plane.locked(within(handlers[action], around)))
        for action, handler in {
            "DescribeDBInstances": self.describe_instances,
            "DescribeDBSnapshots": self.describe_snapshots,
            "DescribeDBSnapshotAttributes": self.describe_attributes,
            "ModifyDBSnapshotAttribute": self.modify_attribute,
        }.items():
            handlers[action] = answering(self.plane.locked(handler))
        aws._instance_xml = as_audited(aws._instance_xml)
        aws._snapshot_xml = without_empty(aws._snapshot_xml)
        cloud.route("POST", "rds/instance")(self.set_instance)
        cloud.route("POST", "rds/automated-snapshot")(self.add_automated)

    # --- instances ---

    def create(self, inner: Handler, p: Parameters) -> Response:
        backup, maintenance = windows(value(p, "PreferredBackupWindow"), value(p, "PreferredMaintenanceWindow"))
        authority = value(p, "CACertificateIdentifier") or AUTHORITIES[0]
        check_authority(authority)
        check_storage(value(p, "MaxAllocatedStorage"), value(p, "AllocatedStorage"))
        answer = inner({**p, "PreferredMaintenanceWindow": [maintenance]})
        if answer[0] != 200:
            return answer
        instance = self.plane.find(value(p, "DBInstanceIdentifier"))
        instance["PreferredBackupWindow"] = backup
        instance["EnabledCloudwatchLogsExports"] = aws._parse_member_list(p, "EnableCloudwatchLogsExports")
        instance["CACertificateIdentifier"] = authority
        instance["CertificateDetails"] = certificate(authority)
        if instance["StorageEncrypted"]:
            instance["KmsKeyId"] = key_arn(value(p, "KmsKeyId"))
        return shown("CreateDBInstance", instance)

    def modify(self, inner: Handler, p: Parameters) -> Response:
        instance = self.plane.find(value(p, "DBInstanceIdentifier"))
        name, status = instance["DBInstanceIdentifier"], instance["DBInstanceStatus"]
        if status != "available":
            message = f"DBInstance {name} is in {status} state but expected it to be one of available."
            raise Refused("InvalidDBInstanceState", message)
        backup, maintenance = (value(p, f"Preferred{one}Window") for one in ("Backup", "Maintenance"))
        if instance.get("AwsBackupRecoveryPointArn"):
            refuse_of_backup(instance, p)
        if backup or maintenance:
            backup = backup or instance.get("PreferredBackupWindow", "03:00-04:00")
            windows(backup, maintenance or instance.get("PreferredMaintenanceWindow", "sun:05:00-sun:06:00"))
        if authority := value(p, "CACertificateIdentifier"):
            check_authority(authority)
        check_storage(
            value(p, "MaxAllocatedStorage"), value(p, "AllocatedStorage") or str(instance["AllocatedStorage"])
        )
        now = value(p, "ApplyImmediately") == "true"
        pending = {key: one for key, one in instance["PendingModifiedValues"].items() if key != "MasterUserPassword"}
        if now:
            asked = {key: [str(one).lower() if isinstance(one, bool) else str(one)] for key, one in pending.items()}
            p = {**asked, **p}
        retention = instance["BackupRetentionPeriod"]
        answer = inner(p)
        if answer[0] != 200:
            return answer
        self.settle(instance, p, {} if now else pending, retention)
        return shown("ModifyDBInstance", instance)

    def settle(self, instance: Record, p: Parameters, pending: Record, retention: int) -> None:
        """Applies the changes that ministack's ModifyDBInstance ignores."""
        waits = {**pending, **instance["PendingModifiedValues"]}
        if value(p, "ApplyImmediately") == "true":
            waits = {key: one for key, one in waits.items() if key == "MasterUserPassword"}
        if retention and waits.get("BackupRetentionPeriod"):
            # A change between two numbers of days other than 0 takes effect at once.
            instance["BackupRetentionPeriod"] = waits.pop("BackupRetentionPeriod")
        for key in list(waits):
            if waits[key] == instance.get(key):
                del waits[key]
        instance["PendingModifiedValues"] = waits
        if text := value(p, "AutoMinorVersionUpgrade"):
            instance["AutoMinorVersionUpgrade"] = text == "true"
        exports = set(instance.get("EnabledCloudwatchLogsExports", ()))
        exports |= set(aws._parse_member_list(p, "CloudwatchLogsExportConfiguration.EnableLogTypes"))
        exports -= set(aws._parse_member_list(p, "CloudwatchLogsExportConfiguration.DisableLogTypes"))
        instance["EnabledCloudwatchLogsExports"] = sorted(exports)
        authority = instance.get("CACertificateIdentifier", AUTHORITIES[0])
        if authority != instance.get("CertificateDetails", {}).get("CAIdentifier", authority):
            instance["CertificateDetails"] = certificate(authority)
        if retention and not instance["BackupRetentionPeriod"]:
            for one in aws._snapshots.values():
                if one["DbiResourceId"] == instance["DbiResourceId"] and one["SnapshotType"] == "automated":
                    self.plane.forget_snapshot(one)

    def describe_instances(self, p: Parameters) -> Response:
        if value(p, "DBInstanceIdentifier"):
            chosen, marker, others = [self.plane.find(value(p, "DBInstanceIdentifier"))], "", ""
        else:
            filters = aws._parse_filters(p)
            members = {
                "db-cluster-id": "DBClusterIdentifier",
                "db-instance-id": "DBInstanceIdentifier",
                "dbi-resource-id": "DbiResourceId",
                "engine": "Engine",
            }
            chosen, marker = page(p, aws._instances, filters_of(filters, members))
            others = "" if marker else documentdb.instance_members_xml(filters)
        listed = "".join(f"<DBInstance>{aws._instance_xml(one)}</DBInstance>" for one in chosen) + others
        return answered("DescribeDBInstances", f"<DBInstances>{listed}</DBInstances>{marker}")

    # --- snapshots ---

    def describe_snapshots(self, p: Parameters) -> Response:
        name, kind = value(p, "DBSnapshotIdentifier"), value(p, "SnapshotType")
        if name:
            chosen, marker = [self.plane.find_snapshot(name)], ""
        else:
            filters = aws._parse_filters(p)
            for parameter, of in (
                ("DBInstanceIdentifier", "db-instance-id"),
                ("DbiResourceId", "dbi-resource-id"),
                ("SnapshotType", "snapshot-type"),
            ):
                if text := value(p, parameter):
                    filters[of] = [text]
            members = {
                "db-instance-id": "DBInstanceIdentifier",
                "db-snapshot-id": "DBSnapshotIdentifier",
                "dbi-resource-id": "DbiResourceId",
                "engine": "Engine",
                "snapshot-type": "SnapshotType",
            }
            chosen, marker = page(p, aws._snapshots, filters_of(filters, members))
        listed = "".join(
            f"<DBSnapshot>{aws._snapshot_xml(one)}</DBSnapshot>"
            for one in chosen
            if not kind or one["SnapshotType"] == kind
        )
        return answered("DescribeDBSnapshots", f"<DBSnapshots>{listed}</DBSnapshots>{marker}")

    def describe_attributes(self, p: Parameters) -> Response:
        snapshot = self.plane.find_snapshot(value(p, "DBSnapshotIdentifier"))
        return attributes("DescribeDBSnapshotAttributes", "DBSnapshot", snapshot)

    def modify_attribute(self, p: Parameters) -> Response:
        snapshot = self.plane.find_snapshot(value(p, "DBSnapshotIdentifier"))
        if value(p, "AttributeName") != "restore":
            raise Refused("InvalidParameterValue", f"Invalid attribute name: {value(p, 'AttributeName')}")
        name = snapshot["DBSnapshotIdentifier"]
        if snapshot["SnapshotType"] != "manual":
            raise Refused("InvalidDBSnapshotState", f"The automated snapshot {name} cannot be shared. Copy it first.")
        if snapshot["Status"] != "available":
            raise Refused("InvalidDBSnapshotState", f"DB snapshot {name} is in {snapshot['Status']} state.")
        return share(p, "DBSnapshot", snapshot, snapshot["Encrypted"])

    # --- admin routes ---

    async def set_instance(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if unknown := set(arguments) - {
            "instance",
            "latest_restorable",
            "created",
            "ca",
            "ca_valid_till",
            "recovery_point",
        }:
            raise AdminError(f"unknown: {', '.join(sorted(unknown))}")
        instance = self.named(arguments)
        details = dict(instance.get("CertificateDetails") or certificate(AUTHORITIES[0]))
        if "latest_restorable" in arguments:
            standing = arguments["latest_restorable"]
            instance["_standing"] = standing and instant(standing)
        if "recovery_point" in arguments:
            instance["AwsBackupRecoveryPointArn"] = str(arguments["recovery_point"] or "")
        if "created" in arguments:
            instance["InstanceCreateTime"] = instant(arguments["created"])
        if "ca" in arguments:
            instance["CACertificateIdentifier"] = details["CAIdentifier"] = str(arguments["ca"])
        if "ca_valid_till" in arguments:
            details["ValidTill"] = instant(arguments["ca_valid_till"])
        instance["CertificateDetails"] = details
        return {
            "instance": instance["DBInstanceIdentifier"],
            "latest_restorable": latest_restorable(instance),
            "created": instance["InstanceCreateTime"],
            "ca": details["CAIdentifier"],
            "ca_valid_till": details["ValidTill"],
        }

    async def add_automated(self, arguments: dict[str, Any]) -> dict[str, Any]:
        instance, created = self.named(arguments), instant(arguments.get("created"))
        minute = created[:16].replace("T", "-").replace(":", "-")
        name = f"rds:{instance['DBInstanceIdentifier']}-{minute}"
        if name in aws._snapshots:
            raise AdminError(f"there is a snapshot {name}")

        def make() -> None:
            snapshot = self.plane.record_snapshot(name, instance, "automated", self.plane.copied_tags(instance))
            if instance["DbiResourceId"] in self.plane.databases:
                self.plane.copy(instance, snapshot["_copy"])
            else:
                del snapshot["_copy"]
            age(snapshot, created)
            snapshot.update({"PercentProgress": 100, "Status": "available"})

        await asyncio.to_thread(make)
        return {"snapshot": name}

    def named(self, arguments: dict[str, Any]) -> Record:
        instance = aws._instances.get(str(arguments.get("instance")))
        if instance is None:
            raise AdminError(f"no instance {arguments.get('instance')!r}")
        return instance


# --- windows, certificates, keys ---


def minutes(window: str, pattern: str) -> tuple[int, int]:
    """The first and last minute of a window, the last one after the first; of a day or of a week."""
    found = re.fullmatch(pattern, window.lower())
    if not found:
        raise Refused("InvalidParameterValue", f"The parameter window is not valid: {window}")
    period = WEEK if len(found.groups()) == 6 else DAY
    halves = found.groups()[: len(found.groups()) // 2], found.groups()[len(found.groups()) // 2 :]
    first, last = (
        (DAYS.index(half[0]) * DAY if period == WEEK else 0) + int(half[-2]) * 60 + int(half[-1]) for half in halves
    )
    if (last - first) % period < SHORTEST_WINDOW:
        raise Refused("InvalidParameterValue", f"The window {window} must be at least {SHORTEST_WINDOW} minutes long.")
    return first, first + (last - first) % period


def overlapping(backup: str, maintenance: str) -> bool:
    """Whether a daily window overlaps a weekly one, also across midnight and the end of the week."""
    time_of_day = r"([01]\d|2[0-3]):([0-5]\d)"
    first, last = minutes(backup, f"{time_of_day}-{time_of_day}")
    day = "(" + "|".join(DAYS) + ")"
    begin, end = minutes(maintenance, f"{day}:{time_of_day}-{day}:{time_of_day}")
    starts = (first + number * DAY for number in range(-1, 15))
    return any(start < end and begin < start + (last - first) for start in starts)


def windows(backup: str, maintenance: str) -> tuple[str, str]:
    """Both windows; a window missing from the request is chosen without overlap."""
    backups = [backup] if backup else ["03:00-04:00", "13:00-13:30"]
    weekly = [maintenance] if maintenance else ["sun:05:00-sun:06:00", "sun:17:00-sun:17:30"]
    for one in backups:
        for other in weekly:
            if not overlapping(one, other):
                return one, other
    raise Refused("InvalidParameterValue", "The backup window and maintenance window must not overlap.")


def refuse_of_backup(instance: Record, p: Parameters) -> None:
    """Refuses a change of values that AWS Backup manages; the current value is accepted (tests/cases/08)."""
    for parameter in ("BackupRetentionPeriod", "PreferredBackupWindow"):
        wanted, current = value(p, parameter), str(instance.get(parameter, ""))
        if wanted and wanted != current:
            name = instance["DBInstanceIdentifier"]
            message = f"The instance {name} is associated with an AWS Backup resource; only {current} is accepted."
            raise Refused("InvalidParameterValue", message)


def check_authority(name: str) -> None:
    if name not in AUTHORITIES:
        raise Refused("CertificateNotFound", f"Certificate {name} not found.")


def check_storage(threshold: str, allocated: str) -> None:
    # An equal value turns autoscaling off.
    if threshold and allocated and int(threshold) < int(allocated):
        raise Refused("InvalidParameterCombination", "Max storage size must be greater than storage size")


def certificate(authority: str) -> Record:
    """The description of an instance's new certificate: RDS renews them every year."""
    return {"CAIdentifier": authority, "ValidTill": aws._format_time(time.time() + YEAR)}


def key_arn(key: str) -> str:
    """The ARN of a KMS key; by default that of the account's RDS key."""
    key = key or "00000000-0000-0000-0000-0000000072d5"
    return key if key.startswith("arn:") else f"arn:aws:kms:{get_region()}:{get_account_id()}:key/{key}"


def latest_restorable(instance: Record) -> str:
    """The instant set by a test, else the last full five minutes; none before the instance's creation."""
    lagging = aws._format_time(time.time() // 300 * 300)
    return instance.get("_standing") or max(lagging, instance["InstanceCreateTime"])


# --- pages and answers ---


def within(handler: Handler, around: Callable[[Handler, Parameters], Response]) -> Handler:
    return lambda p: around(handler, p)


def filters_of(filters: dict[str, list[str]], members: dict[str, str]) -> list[tuple[str, set[str]]]:
    """The members of a record that filters refer to, each with its possible values; an ARN stands for its name."""
    for name in filters:
        if name not in members:
            raise Refused("InvalidParameterValue", f"Unrecognized filter name: {name}")
    return [
        (members[name], {text.rpartition(":")[2] if text.startswith("arn:") else text for text in texts})
        for name, texts in filters.items()
    ]


def page(p: Parameters, records: Any, wanted: list[tuple[str, set[str]]]) -> tuple[list[Record], str]:
    """One page of the records, by identifier, and the element with the next page's marker."""
    text = value(p, "MaxRecords") or "100"
    if not (text.isdecimal() and 20 <= int(text) <= 100):
        raise Refused("InvalidParameterValue", f"Invalid value {text} for MaxRecords. Must be between 20 and 100")
    account, region = get_account_id(), get_region()
    # Not items(), which looks up account and region per record. This way a page of ten thousand takes milliseconds.
    own = [(key[2], one) for key, one in list(records._data.items()) if key[:2] == (account, region)]
    for member, texts in wanted:
        own = [(name, one) for name, one in own if one.get(member) in texts]
    names = sorted(name for name, _ in own)
    names = names[bisect.bisect_right(names, value(p, "Marker")) :]
    chosen = names[: int(text)]
    marker = f"<Marker>{chosen[-1]}</Marker>" if len(names) > len(chosen) else ""
    return [records._data[account, region, name] for name in chosen], marker


def answered(action: str, result: str) -> Response:
    return aws._xml(200, f"{action}Response", f"<{action}Result>{result}</{action}Result>")


def restorers(kind: str, snapshot: Record) -> list[str]:
    """The accounts that may restore a DBSnapshot or a DBClusterSnapshot; not its copies, which have another ARN."""
    arn, accounts = snapshot.get("_restore", ("", []))
    return accounts if arn == snapshot[f"{kind}Arn"] else []


def share(p: Parameters, kind: str, snapshot: Record, encrypted: bool) -> Response:
    name = snapshot[f"{kind}Identifier"]
    add, remove = (aws._parse_member_list(p, f"Values{to}") for to in ("ToAdd", "ToRemove"))
    for account in (*add, *remove):
        if not re.fullmatch(r"all|\d{12}", account):
            raise Refused("InvalidParameterValue", f"Invalid account: {account}")
    if add and encrypted:
        if "all" in add:
            raise Refused("InvalidParameterValue", f"The encrypted snapshot {name} cannot be made public.")
        if snapshot["KmsKeyId"] in ("", key_arn("")):
            message = "Sharing snapshots encrypted with default service key for RDS is currently not supported."
            raise Refused("InvalidParameterValue", message)
    restore = sorted((set(restorers(kind, snapshot)) | set(add)) - set(remove))
    if len(restore) > SHARED_ACCOUNTS:
        raise Refused("SharedSnapshotQuotaExceeded", f"Cannot share with more than {SHARED_ACCOUNTS} accounts.")
    snapshot["_restore"] = snapshot[f"{kind}Arn"], restore
    return attributes(f"Modify{kind}Attribute", kind, snapshot)


def attributes(action: str, kind: str, snapshot: Record) -> Response:
    values = "".join(f"<AttributeValue>{one}</AttributeValue>" for one in restorers(kind, snapshot))
    restore = f"<AttributeName>restore</AttributeName><AttributeValues>{values}</AttributeValues>"
    name = f"<{kind}Identifier>{snapshot[f'{kind}Identifier']}</{kind}Identifier>"
    listed = f"<{kind}Attributes><{kind}Attribute>{restore}</{kind}Attribute></{kind}Attributes>"
    return answered(action, f"<{kind}AttributesResult>{name}{listed}</{kind}AttributesResult>")


def as_audited(original: Callable[[Record], str]) -> Callable[[Record], str]:
    """Adds the members of an instance that ministack never shows, and omits missing values."""

    def show(instance: Record) -> str:
        told = {**instance, "LatestRestorableTime": latest_restorable(instance)}
        if not told.get("CertificateDetails"):
            created = datetime.datetime.fromisoformat(instance["InstanceCreateTime"].replace("Z", "+00:00"))
            till = aws._format_time(created.timestamp() + YEAR)
            authority = instance.get("CACertificateIdentifier", AUTHORITIES[0])
            told["CertificateDetails"] = {"CAIdentifier": authority, "ValidTill": till}
        if told.get("StorageEncrypted") and not told.get("KmsKeyId"):
            told["KmsKeyId"] = key_arn("")
        exports = "".join(f"<member>{one}</member>" for one in instance.get("EnabledCloudwatchLogsExports", ()))
        listed = f"<EnabledCloudwatchLogsExports>{exports}</EnabledCloudwatchLogsExports>"
        if point := instance.get("AwsBackupRecoveryPointArn"):
            listed += f"<AwsBackupRecoveryPointArn>{point}</AwsBackupRecoveryPointArn>"
        return EMPTY.sub("", original(told).replace("<EnabledCloudwatchLogsExports/>", listed))

    return show


def without_empty(original: Callable[[Record], str]) -> Callable[[Record], str]:
    return lambda snapshot: EMPTY.sub("", original(snapshot))


# --- instants ---


def instant(text: Any) -> str:
    """An instant of an admin request, in RDS's format."""
    try:
        at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        raise AdminError(f"not an instant of ISO 8601: {text!r}") from None
    if at.tzinfo is None:
        raise AdminError(f"an instant without its zone: {text}")
    return aws._format_time(at.timestamp())


def age(snapshot: Record, created: str) -> None:
    for member in ("SnapshotCreateTime", "OriginalSnapshotCreateTime", "SnapshotDatabaseTime"):
        snapshot[member] = created
