"""KMS keys as S3 uses them, where ministack differs from AWS's documentation.

S3 reads, copies and writes an object only while its KMS key is enabled. Else the answer has the status 400 and the code
KMS.DisabledException or, for a key that is about to be deleted, KMS.KMSInvalidStateException, as localstack#7786 and
localstack#8423 observed on AWS. A head needs no key. A key that KMS here does not know can be used: the stack of the
tests names such keys. EnableKey refuses a key that is about to be deleted ("Key states of AWS KMS keys"). Not modelled:
the permissions that S3's caller needs for the key.
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import kms, s3

from localcloud.cloud import Cloud

KEY = "x-amz-server-side-encryption-aws-kms-key-id"


def install(cloud: Cloud) -> None:
    """Wraps ministack's S3 and KMS."""
    get, of_source, of_write = s3._get_object, s3._check_sse_c_copy_source, s3._resolve_sse_write_headers
    enable = kms._enable_key

    def read(bucket_name: str, key: str, headers: dict, query_params: dict | None = None) -> tuple:
        answer = get(bucket_name, key, headers, query_params)
        return answer if answer[0] >= 300 else refusal(answer[1]) or answer

    def copied(headers: dict, src_obj: dict) -> tuple | None:
        return of_source(headers, src_obj) or refusal(src_obj.get("preserved_headers", {}))

    def written(headers: dict, bucket_name: str) -> tuple:
        kept, error = of_write(headers, bucket_name)
        error = error or refusal(kept)
        return (None, error) if error else (kept, None)

    def enabled(data: dict[str, Any]) -> tuple:
        held = kms._resolve_key(data.get("KeyId", ""))
        if held and held["KeyState"] == "PendingDeletion":
            return error_response_json("KMSInvalidStateException", f"{held['Arn']} is pending deletion.", 400)
        return enable(data)

    s3._get_object = read
    s3._check_sse_c_copy_source = copied
    s3._resolve_sse_write_headers = written
    kms._enable_key = enabled


def refusal(headers: dict[str, str]) -> tuple | None:
    """S3's answer if KMS cannot use the key in an object's headers."""
    held = kms._resolve_key(headers.get(KEY, ""))
    state = held["KeyState"] if held else "Enabled"
    if state == "Enabled":
        return None
    code = "KMS.DisabledException" if state == "Disabled" else "KMS.KMSInvalidStateException"
    return s3._error(code, f"{held['Arn']} is {state}.", 400)
