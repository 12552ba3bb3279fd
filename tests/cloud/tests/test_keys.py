"""KMS keys as S3 uses them, and objects in an archive."""

from __future__ import annotations

import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import wait_for


@pytest.fixture(scope="module")
def s3(cloud):
    return cloud.client("s3")


@pytest.fixture(scope="module")
def kms(cloud):
    return cloud.client("kms")


@pytest.fixture(scope="module")
def bucket(s3):
    name = f"keys-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def refusal(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_an_object_is_read_and_written_only_while_its_key_is_enabled(s3, kms, bucket):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    sealed = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    at = {"Bucket": bucket, "Key": "sealed"}
    version = s3.put_object(**at, **sealed, Body=b"content")["VersionId"]
    plain = {"Bucket": bucket, "Key": "plain", "CopySource": f"{bucket}/sealed"}

    def is_refused(code):
        calls = [(s3.get_object, at), (s3.get_object, {**at, "VersionId": version}), (s3.copy_object, plain)]
        for call, arguments in [*calls, (s3.put_object, {**at, **sealed, "Body": b"other"})]:
            assert refusal(call, **arguments) == (code, 400)
        assert s3.head_object(**at)["SSEKMSKeyId"] == key
        s3.put_object(Bucket=bucket, Key="plain", Body=b"needs no key")

    kms.disable_key(KeyId=key)
    is_refused("KMS.DisabledException")
    kms.enable_key(KeyId=key)
    assert s3.get_object(**at)["Body"].read() == b"content"

    kms.schedule_key_deletion(KeyId=key)
    is_refused("KMS.KMSInvalidStateException")
    assert refusal(kms.enable_key, KeyId=key) == ("KMSInvalidStateException", 400)
    kms.cancel_key_deletion(KeyId=key)
    is_refused("KMS.DisabledException")
    kms.enable_key(KeyId=key)
    s3.copy_object(**plain)
    assert s3.get_object(Bucket=bucket, Key="plain")["Body"].read() == b"content"


def test_a_key_that_kms_does_not_know_can_be_used(s3, bucket):
    key = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
    s3.put_object(Bucket=bucket, Key="unknown", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    assert s3.get_object(Bucket=bucket, Key="unknown")["SSEKMSKeyId"] == key


def test_an_archived_object_is_read_after_its_restore_and_its_copy_is_in_no_archive(s3, bucket):
    at = {"Bucket": bucket, "Key": "archived"}
    s3.put_object(**at, Body=b"content", StorageClass="GLACIER")
    assert refusal(s3.get_object, **at) == ("InvalidObjectState", 403)
    s3.restore_object(**at, RestoreRequest={"Days": 7})
    wait_for(lambda: 'ongoing-request="false"' in s3.head_object(**at).get("Restore", ""), "the object")
    assert s3.get_object(**at)["Body"].read() == b"content"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/archived")
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="copy")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"content"


def test_an_object_leaves_an_archive_tier_by_a_restore_without_days(s3, cloud, bucket):
    at = {"Bucket": bucket, "Key": "tiered"}
    s3.put_object(**at, Body=b"content", StorageClass="INTELLIGENT_TIERING")
    assert s3.get_object(**at)["Body"].read() == b"content"
    cloud.admin("POST", "s3/tier", {"bucket": bucket, "key": "tiered", "tier": "DEEP_ARCHIVE_ACCESS"})
    with pytest.raises(ClientError) as refused:
        s3.get_object(**at)
    assert refused.value.response["Error"]["AccessTier"] == "DEEP_ARCHIVE_ACCESS"
    assert refused.value.response["Error"]["StorageClass"] == "INTELLIGENT_TIERING"
    assert refusal(s3.restore_object, **at, RestoreRequest={"Days": 7}) == ("InvalidRequest", 400)
    request = {"GlacierJobParameters": {"Tier": "Standard"}}
    s3.restore_object(**at, RestoreRequest=request)
    assert refusal(s3.restore_object, **at, RestoreRequest=request) == ("RestoreAlreadyInProgress", 409)

    def content() -> bytes | None:
        try:
            return s3.get_object(**at)["Body"].read()
        except ClientError:
            return None

    assert wait_for(content, "the object") == b"content"
