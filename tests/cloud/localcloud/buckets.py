"""S3's behaviour that an audit depends on, where ministack differs from AWS's documentation.

ListBuckets takes MaxBuckets from 1 to 10000 and a ContinuationToken from an earlier answer. An invalid bucket policy is
MalformedPolicy. A lifecycle rule keeps its Prefix in place of a Filter, and a configuration its
TransitionDefaultMinimumObjectSize. An object in a bucket without encryption settings is encrypted with AES256 and shows
that. A copy has the class STANDARD unless its request names another. The account has a public access block, by S3
Control's model in botocore: it adds to a bucket's, setting by setting, and requires s3:GetAccountPublicAccessBlock and
s3:PutAccountPublicAccessBlock on `*` ("Service Authorization Reference"). ministack searches all buckets for a bucket's
owner, several times per request; this module does so only if the caller has no bucket of that name. Not modelled: 403
for an absent key if the caller lacks s3:ListBucket; it is 404.

CloudFormation does not delete a bucket that holds versions, and does not add a second policy to a bucket
(`Bucket Policy Already Exists`, HandlerErrorCode AlreadyExists, as reported in brefphp/bref#1620).

Admin routes:

- `POST /_local/s3/account-block {"block": {SETTING: BOOL, ...} | null}` -> the same: the account's public access
  block, or none; the SDKs and the CLI prefix the host's name with the account, which fails for an IP address.
- `POST /_local/s3/object {"bucket": NAME, "key": KEY, "last_modified": INSTANT}` -> the same: gives the newest
  version of an object another LastModified; the instant is ISO 8601 with a zone.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from xml.sax.saxutils import escape

import ministack.app
from ministack.core.iam_evaluator import validate_policy_document
from ministack.core.responses import get_account_id
from ministack.services import s3 as aws
from ministack.services.cloudformation import provisioners

from localcloud.backups import instant
from localcloud.cloud import AdminError, Cloud

MINIMUM, ANY_128K = "x-amz-transition-default-minimum-object-size", "all_storage_classes_128K"
TOKEN = re.compile(rb"<ContinuationToken>([^<]*)</ContinuationToken>")

ACCOUNT_BLOCK = "/v20180820/configuration/publicAccessBlock"
SETTINGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")

# Public access blocks by account.
_blocks: dict[str, dict[str, bool]] = {}


def install(cloud: Cloud) -> None:
    """Wraps ministack's S3."""
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

    control, is_blocked = ministack.app._handle_s3_control_request, aws._public_access_blocked

    async def controlled(
        path: str, method: str, body: bytes, query: dict, request_id: str, headers: dict | None = None
    ) -> tuple | None:
        if path != ACCOUNT_BLOCK:
            return await control(path, method, body, query, request_id, headers)
        action = f"s3:{'Get' if method == 'GET' else 'Put'}AccountPublicAccessBlock"
        denied = ministack.app._enforce_data_plane("s3", action, headers or {}, query, request_id)
        status, told, xml = denied or aws.s3control_account_error(headers or {}) or account_block(method, body)
        return status, {**told, "x-amzn-requestid": request_id}, xml

    def blocked(account: str, bucket: str, setting: str) -> bool:
        return _blocks.get(account, {}).get(setting, False) or is_blocked(account, bucket, setting)

    storage_class = aws._resolve_storage_class

    def of_request(headers: dict, default: str = "STANDARD") -> tuple:
        # Only a copy gives another default: its source's class.
        return storage_class(headers)

    ministack.app._handle_s3_control_request = controlled
    aws._resolve_storage_class = of_request
    aws._public_access_blocked = blocked
    aws._dispatch = answered
    aws._list_buckets = listed
    provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]["delete"] = deleted
    provisioners._RESOURCE_HANDLERS["AWS::S3::BucketPolicy"]["create"] = first_policy
    aws._put_bucket_policy = put
    aws._bucket_owner_account = owner
    aws._bucket_default_sse_headers = encryption
    cloud.route("POST", "s3/object")(set_object)
    cloud.route("POST", "s3/account-block")(set_account_block)


def account_block(method: str, body: bytes) -> tuple:
    """The account's Get-, Put- and DeletePublicAccessBlock."""
    account = get_account_id()
    if method == "PUT":
        given = {element.tag.rpartition("}")[2]: (element.text or "").strip() for element in aws.fromstring(body)}
        _blocks[account] = {setting: given.get(setting) == "true" for setting in SETTINGS}
        return 200, {}, b""
    if method == "DELETE":
        _blocks.pop(account, None)
        return 204, {}, b""
    if account not in _blocks:
        message = "The public access block configuration was not found"
        return aws.s3control_error("NoSuchPublicAccessBlockConfiguration", message, 404)
    settings = "".join(f"<{name}>{str(is_on).lower()}</{name}>" for name, is_on in _blocks[account].items())
    xml = f'<PublicAccessBlockConfiguration xmlns="{aws.S3CONTROL_NS}">{settings}</PublicAccessBlockConfiguration>'
    return 200, {"Content-Type": "application/xml"}, xml.encode()


def opaque(found: re.Match[bytes]) -> bytes:
    return b"<ContinuationToken>" + base64.b64encode(found[1]) + b"</ContinuationToken>"


def keep_lifecycle(record: dict[str, Any], headers: dict[str, str], body: bytes) -> None:
    """Keeps the parts of a lifecycle configuration that ministack drops: minimum size, and each old rule's prefix."""
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


async def set_account_block(arguments: dict[str, Any]) -> dict[str, Any]:
    block = arguments.get("block")
    _blocks.pop(get_account_id(), None)
    if block is not None:
        _blocks[get_account_id()] = {setting: block.get(setting) is True for setting in SETTINGS}
    return {"block": block}


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
