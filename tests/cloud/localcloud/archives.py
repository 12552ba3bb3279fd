"""The archive tiers of S3 Intelligent-Tiering, which ministack does not have.

An object in a tier cannot be read: InvalidObjectState with the class and the AccessTier, by S3's model in botocore.
RestoreObject moves it out of the tier for good, after ministack's delay. It refuses Days, as S3's user guide says
("Restoring an archived object"); the code of that refusal is not documented, and InvalidRequest here.

Admin route:

- `POST /_local/s3/tier {"bucket": NAME, "key": KEY, "tier": "ARCHIVE_ACCESS" | "DEEP_ARCHIVE_ACCESS"}` -> the same:
  moves an object of the class INTELLIGENT_TIERING to a tier, which takes S3 at least 90 days.
"""

from __future__ import annotations

import time
from typing import Any

from ministack.services import s3 as aws

from localcloud.cloud import AdminError, Cloud

CLASS, TIERS = "INTELLIGENT_TIERING", ("ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS")


def install(cloud: Cloud) -> None:
    """Wraps ministack's S3."""
    get, restore = aws._get_object, aws._restore_object

    def read(bucket_name: str, key: str, headers: dict, query_params: dict | None = None) -> tuple:
        held = of(bucket_name, key)
        if not is_in_tier(held):
            return get(bucket_name, key, headers, query_params)
        message = "The operation is not valid for the object's access tier"
        about = {"StorageClass": CLASS, "AccessTier": held["access_tier"]}
        return aws._error("InvalidObjectState", message, 403, f"/{bucket_name}/{key}", extra=about)

    def restored(bucket_name: str, key: str, body: bytes) -> tuple:
        held, place = of(bucket_name, key), f"/{bucket_name}/{key}"
        if not is_in_tier(held):
            return restore(bucket_name, key, body)
        if b"<Days>" in body:
            return aws._error("InvalidRequest", "Days must not be specified for an archive tier.", 400, place)
        if "leaves_tier" in held:
            return aws._error("RestoreAlreadyInProgress", "Object restore is already in progress.", 409, place)
        held["leaves_tier"] = time.time() + aws._RESTORE_DELAY_SECONDS
        return 202, {}, b""

    aws._get_object = read
    aws._restore_object = restored
    cloud.route("POST", "s3/tier")(set_tier)


def of(bucket_name: str, key: str) -> dict[str, Any]:
    """An object; empty if there is none."""
    return aws._buckets.get(bucket_name, {}).get("objects", {}).get(key, {})


def is_in_tier(held: dict[str, Any]) -> bool:
    return "access_tier" in held and time.time() < held.get("leaves_tier", float("inf"))


async def set_tier(arguments: dict[str, Any]) -> dict[str, Any]:
    bucket, key, tier = (str(arguments.get(name)) for name in ("bucket", "key", "tier"))
    held = of(bucket, key)
    if held.get("storage_class") != CLASS or tier not in TIERS:
        raise AdminError(f"no tier, or no object {key!r} of the class {CLASS} in a bucket {bucket!r}")
    held["access_tier"] = tier
    held.pop("leaves_tier", None)
    return {"bucket": bucket, "key": key, "tier": tier}
