"""Creates a large account quickly, for benchmarks: records only, without databases or objects.

Admin routes:

- `POST /_local/seed {"instances": N, "buckets": N, "secrets": N, "snapshots": N}`, each optional and 100000 at most ->
  `{"instances", "buckets", "secrets", "snapshots", "seconds"}`. All are named `moveongs-dev-bench-0001` and on, with
  the tags Project=moveongs and Environment=dev; existing ones are replaced. Instances are `available`,
  encrypted, with a retention of 0, 1, 7, 14 and 30 days in turn; without a PostgreSQL, so they can be described,
  modified and deleted, but not connected to. Every second bucket is versioned, every fourth has a lifecycle rule. Every
  third secret rotates, for the first time in 30 days. The manual snapshots are of the instances of the same number,
  whether those are there or not, and cannot be copied; the quota of snapshots rises by as many.
- `DELETE /_local/seed` removes them all -> the same, with the removed numbers.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid, now_iso
from ministack.services import rds, s3, secretsmanager

from localcloud import versions
from localcloud.backups import certificate, key_arn
from localcloud.cloud import AdminError, Cloud

PREFIX = "moveongs-dev-bench-"
RETENTIONS = (0, 1, 7, 14, 30)
TAGS = {"Project": "moveongs", "Environment": "dev"}
MOST = 100_000
LIFECYCLE = (
    b'<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>old-versions</ID>'
    b"<Status>Enabled</Status><Filter><Prefix></Prefix></Filter><NoncurrentVersionExpiration>"
    b"<NoncurrentDays>90</NoncurrentDays></NoncurrentVersionExpiration></Rule></LifecycleConfiguration>"
)

Record = dict[str, Any]


def install(cloud: Cloud) -> None:
    """Registers the routes."""
    makers: dict[str, Callable[[int], None]] = {
        "instances": make_instances,
        "buckets": make_buckets,
        "secrets": make_secrets,
        "snapshots": make_snapshots,
    }

    async def make(arguments: dict[str, Any]) -> dict[str, Any]:
        for name, number in arguments.items():
            if name not in makers or type(number) is not int or not 0 <= number <= MOST:
                raise AdminError(f"{name}: expected {', '.join(makers)} with a whole number up to {MOST}")

        def work() -> None:
            for name, number in arguments.items():
                makers[name](number)
            # Otherwise every garbage collection of Python walks all records.
            gc.collect()
            gc.freeze()

        started, held = time.monotonic(), len(rds._snapshots)
        await asyncio.to_thread(work)
        cloud.rds.orders["quota"] += len(rds._snapshots) - held
        made = {name: arguments.get(name, 0) for name in makers}
        return {**made, "seconds": round(time.monotonic() - started, 3)}

    async def remove(_: dict[str, Any]) -> dict[str, Any]:
        started = time.monotonic()
        removed = await asyncio.to_thread(unmake)
        cloud.rds.orders["quota"] = max(0, cloud.rds.orders["quota"] - removed["snapshots"])
        return {**removed, "seconds": round(time.monotonic() - started, 3)}

    cloud.route("POST", "seed")(make)
    cloud.route("DELETE", "seed")(remove)


def tag_list() -> list[dict[str, str]]:
    return [{"Key": key, "Value": text} for key, text in TAGS.items()]


def instance_pattern() -> Record:
    """An instance's record as ministack makes it, without adding it to a list."""
    name = f"{PREFIX}pattern"
    asked = {"DBInstanceIdentifier": name, "Engine": "postgres", "EngineVersion": "18.4", "StorageEncrypted": "true"}
    rds._create_db_instance({key: [text] for key, text in {**asked, "DBInstanceClass": "db.t4g.micro"}.items()})
    record = rds._instances.pop(name)
    record.update({"DBInstanceStatus": "available", "KmsKeyId": key_arn("")})
    return {**record, "CertificateDetails": certificate(record["CACertificateIdentifier"])}


def instance(pattern: Record, number: int) -> Record:
    name = f"{PREFIX}{number:04}"
    arn = f"arn:aws:rds:{get_region()}:{get_account_id()}:db:{name}"
    return {
        **copy.deepcopy(pattern),
        "DBInstanceIdentifier": name,
        "DBInstanceArn": arn,
        "DbiResourceId": f"db-BENCH{number:015}",
        "BackupRetentionPeriod": RETENTIONS[(number - 1) % len(RETENTIONS)],
        "TagList": tag_list(),
    }


def make_instances(many: int) -> None:
    pattern = instance_pattern()
    for number in range(1, many + 1):
        one = instance(pattern, number)
        rds._tags[one["DBInstanceArn"]] = one["TagList"]
        rds._instances[one["DBInstanceIdentifier"]] = one


def make_snapshots(many: int) -> None:
    pattern = instance_pattern()
    for number in range(1, many + 1):
        of = instance(pattern, number)
        snapshot = rds._create_snapshot_internal(of["DBInstanceIdentifier"], of)
        rds._tags[snapshot["DBSnapshotArn"]] = snapshot["TagList"] = of["TagList"]


def make_buckets(many: int) -> None:
    for number in range(1, many + 1):
        name = f"{PREFIX}{number:04}"
        # Not CreateBucket, which searches all buckets for the name.
        closed = s3._new_bucket_public_access_block()
        s3._buckets[name] = {"created": now_iso(), "objects": {}, "region": get_region(), **closed}
        s3._bucket_tags[name] = dict(TAGS)
        if number % 2 == 0:
            s3._bucket_versioning[name] = "Enabled"
        if number % 4 == 0:
            s3._put_bucket_lifecycle(name, LIFECYCLE)


def make_secrets(many: int) -> None:
    function = f"arn:aws:lambda:{get_region()}:{get_account_id()}:function:{PREFIX}rotation"
    due = versions.CLOCK.now() + 30 * 86_400
    for number in range(1, many + 1):
        name = f"{PREFIX}{number:04}"
        secretsmanager._store_new_secret(name, secret_string=new_uuid(), tags=tag_list())
        if number % 3 == 0:
            secretsmanager._secrets[name].update(
                RotationEnabled=True,
                RotationLambdaARN=function,
                RotationRules={"AutomaticallyAfterDays": 30},
                NextRotationDate=due,
                _RotationDue=due,
            )


def unmake() -> dict[str, int]:
    stores = {"instances": rds._instances, "buckets": s3._buckets, "secrets": secretsmanager._secrets}
    stores["snapshots"] = rds._snapshots
    removed = {}
    for kind, store in stores.items():
        names = [name for name in store if name.startswith(PREFIX)]
        for name in names:
            one = store.pop(name)
            rds._tags.pop(one.get("DBInstanceArn") if kind == "instances" else one.get("DBSnapshotArn"), None)
            if kind == "buckets":
                for settings in (s3._bucket_tags, s3._bucket_versioning, s3._bucket_lifecycle):
                    settings.pop(name, None)
        removed[kind] = len(names)
    gc.unfreeze()
    return removed
