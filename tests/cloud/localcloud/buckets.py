"""S3 as an audit reads it, where ministack differs from what AWS documents.

ListBuckets takes MaxBuckets from 1 to 10000 and a ContinuationToken that it gave. A bucket policy that is none is
MalformedPolicy. A lifecycle rule with a Prefix of its own, in place of a Filter, keeps it, and a configuration its
TransitionDefaultMinimumObjectSize. An object of a bucket without an encryption of its own is encrypted with AES256, and
says so. ministack looks for the owner of a bucket among all buckets, several times a request; here only where the
caller has none of that name. Not here: 403 for an absent key where the caller has no s3:ListBucket; it is 404.

By CloudFormation, a bucket that holds versions is not deleted, and a bucket that has a policy gets no second one
(`Bucket Policy Already Exists`, HandlerErrorCode AlreadyExists, as others met it: brefphp/bref#1620).

Admin route:

- `POST /_local/s3/object {"bucket": NAME, "key": KEY, "last_modified": INSTANT}` -> the same: gives the newest
  version of an object another LastModified; the instant is ISO 8601 with a zone.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from xml.sax.saxutils import escape

from ministack.core.iam_evaluator import validate_policy_document
from ministack.core.responses import get_account_id
from ministack.services import s3 as aws
from ministack.services.cloudformation import provisioners

from localcloud.backups import instant
from localcloud.cloud import AdminError, Cloud

MINIMUM, ANY_128K = "x-amz-transition-default-minimum-object-size", "all_storage_classes_128K"
TOKEN = re.compile(rb"<ContinuationToken>([^<]*)</ContinuationToken>")


def install(cloud: Cloud) -> None:
    """Puts itself around ministack's S3."""
    list_buckets, put_policy = aws._list_buckets, aws._put_bucket_policy
    create_policy = provisioners._RESOURCE_HANDLERS["AWS::S3::BucketPolicy"]["create"]
    owner_account, default_encryption = aws._bucket_owner_account, aws._bucket_default_sse_headers

    def listed(query_params: dict | None = None, signed_region: str | None = None) -> tuple:
        query = dict(query_params or {})
        most, token = aws._qp(query, "max-buckets", ""), aws._qp(query, "continuation-token", "")
        if most and not (most.isdecimal() and 1 <= int(most) <= 10_000):
            message = "Argument max-buckets must be an integer between 1 and 10000"
            return aws._error("InvalidArgument", message, 400, extra={"ArgumentName": "max-buckets"})
        if token:
            try:
                query["continuation-token"] = base64.b64decode(token, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return aws._error("InvalidArgument", "The continuation token provided is incorrect", 400)
        status, headers, body = list_buckets(query, signed_region)
        return status, headers, TOKEN.sub(opaque, body)

    def put(name: str, body: bytes) -> tuple:
        problem = validate_policy_document(body.decode("utf-8", errors="replace"))
        if problem and name in aws._buckets:
            return aws._error("MalformedPolicy", problem, 400, f"/{name}")
        return put_policy(name, body)

    def deleted(name: str, props: dict) -> None:
        status, _, body = aws._delete_bucket(name)[:3] if name in aws._buckets else (204, {}, b"")
        if status >= 400:
            raise ValueError(f"The bucket cannot be deleted: {body.decode()}")

    def first_policy(logical_id: str, props: dict, stack: str) -> tuple:
        if props.get("Bucket") in aws._bucket_policies:
            raise ValueError("Bucket Policy Already Exists (HandlerErrorCode: AlreadyExists)")
        return create_policy(logical_id, props, stack)

    def owner(name: str) -> str | None:
        account = get_account_id()
        return account if aws._buckets.contains_scoped(account, None, name) else owner_account(name)

    def encryption(bucket_name: str) -> dict:
        return default_encryption(bucket_name) or {"x-amz-server-side-encryption": "AES256"}

    dispatch = aws._dispatch

    def answered(method: str, bucket: str, key: str, headers: dict, body: bytes, query: dict) -> tuple:
        answer = dispatch(method, bucket, key, headers, body, query)
        if key or "lifecycle" not in query or answer[0] != 200:
            return answer
        record = aws._buckets[bucket]
        if method == "PUT":
            keep_lifecycle(record, headers, body)
            return answer
        status, told, xml = answer
        return status, {**told, MINIMUM: record.get("_minimum", ANY_128K)}, with_prefixes(xml, record.get("_prefixes"))

    aws._dispatch = answered
    aws._list_buckets = listed
    provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]["delete"] = deleted
    provisioners._RESOURCE_HANDLERS["AWS::S3::BucketPolicy"]["create"] = first_policy
    aws._put_bucket_policy = put
    aws._bucket_owner_account = owner
    aws._bucket_default_sse_headers = encryption
    cloud.route("POST", "s3/object")(set_object)


def opaque(found: re.Match[bytes]) -> bytes:
    return b"<ContinuationToken>" + base64.b64encode(found[1]) + b"</ContinuationToken>"


def keep_lifecycle(record: dict[str, Any], headers: dict[str, str], body: bytes) -> None:
    """Keeps of a lifecycle configuration what ministack forgets: its minimum size, and the prefix of each old rule."""
    record["_minimum"] = headers.get(MINIMUM, ANY_128K)
    rules = [list(one) for one in aws.fromstring(body) if one.tag.endswith("Rule")]
    record["_prefixes"] = [
        next((part.text or "" for part in parts if part.tag.endswith("}Prefix") or part.tag == "Prefix"), None)
        for parts in rules
    ]


def with_prefixes(xml: bytes, prefixes: list[str | None] | None) -> bytes:
    head, *rules = xml.split(b"<Rule>")
    for number, prefix in enumerate(prefixes or []):
        if prefix is not None and number < len(rules):
            shown = f"<Prefix>{escape(prefix)}</Prefix>".encode()
            rules[number] = rules[number].replace(b"<Filter></Filter>", shown, 1)
    return b"<Rule>".join([head, *rules])


async def set_object(arguments: dict[str, Any]) -> dict[str, Any]:
    bucket, key = str(arguments.get("bucket")), str(arguments.get("key"))
    held = aws._buckets.get(bucket, {}).get("objects", {}).get(key)
    if held is None:
        raise AdminError(f"no object {key!r} in a bucket {bucket!r}")
    modified = instant(arguments.get("last_modified"))
    held["last_modified"] = modified
    for version in aws._object_versions.get((bucket, key), []):
        if version["is_latest"]:
            version["last_modified"] = modified
    return {"bucket": bucket, "key": key, "last_modified": modified}
