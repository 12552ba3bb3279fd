"""Secrets Manager's versions and staging labels, as strict as documented.

ministack overwrites existing versions, ignores VersionStage beside VersionId and drops deprecated versions at once.
This module replaces those handlers; `rotation.py` builds on it and sees every change through `observers`.

Route, which `rotation.py` registers:

- `POST /_local/secrets/dates` sets dates of one secret: `secret` (name or ARN), and `seconds_ago` with any of
  `AWSCURRENT` and `AWSPENDING` (creation of the version with that label), `created`, `changed`, `accessed`, `rotated`
  and `next` (the secret's own; a negative value is in the future, null removes the date). It changes only shown dates,
  and starts nothing.
"""

from __future__ import annotations

import base64
import binascii
import functools
import importlib.metadata
import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.services import secretsmanager

from localcloud import clock
from localcloud.cloud import AdminError

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
MINISTACK = "1.5.33"
# Maximum size of a version's value, in bytes.
LARGEST = 65_536

Secret = dict[str, Any]
Data = dict[str, Any]

# Handlers run on the event loop, those of CloudFormation on threads. This module and rotation.py hold the lock for any
# change of a secret; ministack's own handlers (tags, deletion, policies, replicas) do not take it. Never held across an
# await or a function call.
LOCK = threading.RLock()

# Called with a changed secret, and the id of the version that the request made or filled.
observers: list[Callable[[Secret, str | None], None]] = []
# Called before PutSecretValue stores anything; raises Refused to stop it.
put_checks: list[Callable[[Secret, Data], None]] = []


class Refused(Exception):
    """An error answer of the service."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def handler(serve: Callable[[Data], Data]) -> Callable[[Data], tuple]:
    """Turns a function that returns the answer or raises Refused into a ministack handler."""

    @functools.wraps(serve)
    def handle(data: Data) -> tuple:
        try:
            with LOCK:
                return json_response(serve(data))
        except Refused as refused:
            return error_response_json(refused.code, refused.message, 400)

    return handle


def require_ministack() -> None:
    """Refuses any other version of ministack than the supported one, because these modules replace its internals."""
    found = importlib.metadata.version("ministack")
    if found != MINISTACK:
        raise RuntimeError(f"the local cloud patches ministack {MINISTACK}, but {found} is installed")


def find(data: Data, *, change: bool = False) -> Secret:
    """The secret that a request names; `change` refuses replicas too."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if secret is None:
        raise Refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    if secret.get("DeletedDate"):
        raise Refused(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        )
    if change and secretsmanager._is_replica(secret):
        raise Refused("InvalidRequestException", "You can't perform this operation on a replica secret.")
    if change and (owner := secret.get("OwningService")):
        # Code and message are undocumented.
        raise Refused("InvalidRequestException", f"You can't perform this operation on a secret managed by {owner}.")
    return secret


def resolve(secret_id: str | None, *, use_arn_scope: bool = False) -> tuple[str | None, Secret | None]:
    """ministack's lookup, but accepts an ARN only whole or without its hyphen and six characters, not any prefix."""
    if not (secret_id or "").startswith("arn:"):
        return plain_resolve(secret_id, use_arn_scope=use_arn_scope)
    spec, _ = secretsmanager._secret_scope_from_arn(secret_id) or (None, None)
    if spec is None or spec.account_id != get_account_id() or not (use_arn_scope or spec.region == get_region()):
        return None, None
    named = secret_id.rpartition(":secret:")[2]
    for key, end in ((named[:-7], None), (named, -7)):
        secret = secretsmanager._secrets.get_scoped(spec.account_id, spec.region, key)
        if secret and secret["ARN"][:end] == secret_id:
            return key, secret
    return None, None


plain_resolve = secretsmanager._resolve


def request_token(data: Data) -> str:
    """The version id that a request asks for. The SDKs always send one; ministack's own callers do not."""
    token = data.get("ClientRequestToken") or str(uuid.uuid4())
    if not 32 <= len(token) <= 64:
        raise Refused("InvalidParameterException", "ClientRequestToken must be 32-64 characters long.")
    return token


def holder(secret: Secret, stage: str) -> str | None:
    """The id of the version that carries the label."""
    return secretsmanager._find_stage_version(secret, stage)[0]


def has_value(version: Data) -> bool:
    """False for a version that a rotation has staged and no call has filled."""
    return bool(version.get("SecretString") or version.get("SecretBinary"))


def attach(secret: Secret, stage: str, version_id: str) -> None:
    """Moves a label to a version; AWSPREVIOUS follows AWSCURRENT."""
    before = holder(secret, stage)
    if before == version_id:
        return
    if before:
        detach(secret, stage, before)
    secret["Versions"][version_id]["Stages"].append(stage)
    if stage == CURRENT and before:
        attach(secret, PREVIOUS, before)
    if stage not in (PENDING, PREVIOUS):
        secretsmanager._emit_secret_label_updated(secret, stage, version_id)


def detach(secret: Secret, stage: str, version_id: str) -> None:
    """Removes a label from a version."""
    secretsmanager._remove_stage(secret, version_id, stage)


def changed(secret: Secret, created: str | None = None) -> None:
    """Completes a change of a secret: updates its date and replicas, and calls the observers."""
    secret["LastChangedDate"] = int(time.time())
    secretsmanager._sync_replicas(secret)
    for observer in observers:
        observer(secret, created)


def new_version(value: Data | None = None) -> Data:
    """A version without labels; without a value unless one is given."""
    value = value or {}
    return {
        "SecretString": value.get("SecretString"),
        "SecretBinary": value.get("SecretBinary"),
        "CreatedDate": int(time.time()),
        "Stages": [],
    }


def store(secret: Secret, data: Data, stages: list[str]) -> str:
    """Stores the request's value under its token. A version that has a value never changes again."""
    value = requested_value(data)
    token = request_token(data)
    version = secret["Versions"].get(token)
    if version and has_value(version):
        if any(version.get(key) != value[key] for key in value):
            raise Refused(
                "ResourceExistsException",
                f"You can't use ClientRequestToken {token} because that value is already in use for a version of "
                f"secret {secret['ARN']}.",
            )
        return token
    # The service attaches AWSCURRENT to a secret's first version, regardless of the request.
    first = not any(has_value(other) for other in secret["Versions"].values())
    version = secret["Versions"].setdefault(token, new_version())
    version.update(value, CreatedDate=int(time.time()))
    for stage in [*stages, CURRENT] if first else stages:
        attach(secret, stage, token)
    changed(secret, token)
    return token


def requested_value(data: Data) -> dict[str, str | None]:
    value = {"SecretString": data.get("SecretString"), "SecretBinary": data.get("SecretBinary")}
    if bool(value["SecretString"]) == bool(value["SecretBinary"]):
        raise Refused("InvalidParameterException", "You must provide either SecretString or SecretBinary.")
    size = len((value["SecretString"] or "").encode())
    if value["SecretBinary"]:
        try:
            size = len(base64.b64decode(value["SecretBinary"], validate=True))
        except binascii.Error:
            raise Refused("InvalidParameterException", "SecretBinary is not base64.") from None
    if size > LARGEST:
        raise Refused("InvalidParameterException", f"The value must have length less than or equal to {LARGEST} bytes.")
    return value


@handler
def create_secret(data: Data) -> Data:
    name = data.get("Name")
    if not name:
        raise Refused("InvalidParameterException", "Name is required.")
    if not re.fullmatch(r"[A-Za-z0-9/_+=.@-]{1,512}", name):
        raise Refused(
            "InvalidParameterException",
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@, "
            "of at most 512 characters.",
        )
    valued = bool(data.get("SecretString") or data.get("SecretBinary"))
    if existing := secretsmanager._secrets.get(name):
        version = existing["Versions"].get(data.get("ClientRequestToken"))
        if existing.get("DeletedDate"):
            raise Refused(
                "InvalidRequestException",
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            )
        if not (version and valued and all(version[key] == value for key, value in requested_value(data).items())):
            raise Refused("ResourceExistsException", f"The operation failed because the secret {name} already exists.")
        return {"ARN": existing["ARN"], "Name": name, "VersionId": data["ClientRequestToken"]}
    versions = {}
    if valued:
        versions[request_token(data)] = {**new_version(requested_value(data)), "Stages": [CURRENT]}
    secretsmanager._store_new_secret(
        name, description=data.get("Description", ""), tags=data.get("Tags"), kms_key_id=data.get("KmsKeyId")
    )
    secret = secretsmanager._secrets[name]
    secret["Versions"] = versions
    answer = {"ARN": secret["ARN"], "Name": name}
    return {**answer, "VersionId": next(iter(versions))} if versions else answer


@handler
def get_secret_value(data: Data) -> Data:
    secret = find(data)
    version_id, stage = data.get("VersionId"), data.get("VersionStage")
    if version_id:
        version = secret["Versions"].get(version_id)
        what = f"VersionId: {version_id}"
    else:
        version_id, version = secretsmanager._find_stage_version(secret, stage or CURRENT)
        what = f"staging label: {stage or CURRENT}"
    if version is None:
        raise Refused("ResourceNotFoundException", f"Secrets Manager can't find the specified secret value for {what}")
    if stage and stage not in version["Stages"]:
        # This error is undocumented; emulators that were compared with the service return it.
        raise Refused(
            "InvalidRequestException",
            "You provided a VersionStage that is not associated to the provided VersionId.",
        )
    if not has_value(version):
        raise Refused("ResourceNotFoundException", f"Secrets Manager can't find the specified secret value for {what}")
    secret["LastAccessedDate"] = int(time.time())
    answer = {
        "ARN": secret["ARN"],
        "Name": secret["Name"],
        "VersionId": version_id,
        "VersionStages": list(version["Stages"]),
        "CreatedDate": version["CreatedDate"],
    }
    return answer | {key: version[key] for key in ("SecretString", "SecretBinary") if version.get(key)}


@handler
def put_secret_value(data: Data) -> Data:
    secret = find(data, change=True)
    for check in put_checks:
        check(secret, data)
    version_id = store(secret, data, data.get("VersionStages") or [CURRENT])
    stages = list(secret["Versions"][version_id]["Stages"])
    return {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": version_id, "VersionStages": stages}


@handler
def update_secret(data: Data) -> Data:
    secret = find(data, change=True)
    answer = {"ARN": secret["ARN"], "Name": secret["Name"]}
    if "SecretString" in data or "SecretBinary" in data:
        answer["VersionId"] = store(secret, data, [CURRENT])
    secret.update({key: data[key] for key in ("Description", "KmsKeyId") if key in data})
    changed(secret)
    return answer


@handler
def update_secret_version_stage(data: Data) -> Data:
    secret = find(data, change=True)
    stage, to, source = (data.get(key) for key in ("VersionStage", "MoveToVersionId", "RemoveFromVersionId"))
    if not stage or not (to or source):
        raise Refused(
            "InvalidParameterException",
            "You must specify VersionStage, and MoveToVersionId or RemoveFromVersionId.",
        )
    for version_id in filter(None, (to, source)):
        if version_id not in secret["Versions"]:
            raise Refused(
                "ResourceNotFoundException",
                f"Secrets Manager can't find the specified secret version: {version_id}.",
            )
    before = holder(secret, stage)
    if source and source != before:
        raise Refused(
            "InvalidParameterException",
            f"The staging label {stage} is not attached to version {source}. It is attached to version {before}.",
        )
    if to and not source and before not in (None, to):
        raise Refused(
            "InvalidParameterException",
            f"The staging label {stage} is currently attached to version {before}, so you must explicitly reference "
            "that version in RemoveFromVersionId.",
        )
    if not to and stage == CURRENT:
        raise Refused(
            "InvalidParameterException",
            f"You can only move staging label {CURRENT} to a different secret version. It can't be completely removed.",
        )
    # AWS does not document whether AWSCURRENT may move to a version without a value. It may here, so that tests notice
    # a function that breaks its secret this way.
    if to:
        attach(secret, stage, to)
    else:
        detach(secret, stage, source)
    changed(secret)
    return {"ARN": secret["ARN"], "Name": secret["Name"]}


@handler
def list_secret_version_ids(data: Data) -> Data:
    secret = find(data)
    # Omits versions without a value, labelled or not: AWS's guides warn that this call can omit the pending one.
    # One page always: 100 versions are the service's quota and the page's limit.
    versions = [
        {"VersionId": version_id, "VersionStages": list(version["Stages"]), "CreatedDate": version["CreatedDate"]}
        for version_id, version in secret["Versions"].items()
        if has_value(version) and (version["Stages"] or data.get("IncludeDeprecated"))
    ]
    return {"ARN": secret["ARN"], "Name": secret["Name"], "Versions": versions}


class Clock:
    """The scheduler's time. When tests advance it, all shown past dates age.

    In a cloud with its own clock, the functions' time advances too, and no date has to age.
    """

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        if clock.is_own():
            clock.advance(seconds)
            return
        self.offset += seconds
        for _, secret in secretsmanager._secrets.all_items():
            for record in (secret, *secret["Versions"].values()):
                for key in ("CreatedDate", "LastAccessedDate", "LastChangedDate", "LastRotatedDate"):
                    if record.get(key) is not None:
                        record[key] -= seconds


# NextRotationDate is stored in this time, every other date in real time.
CLOCK = Clock()


def set_dates(arguments: Data) -> Data:
    """Sets a secret's dates for a test."""
    with LOCK:
        _, secret = secretsmanager._resolve(arguments.get("secret"))
        if secret is None:
            raise AdminError(f"no secret {arguments.get('secret')!r}")
        for name, seconds in (arguments.get("seconds_ago") or {}).items():
            at = None if seconds is None else int(time.time() - seconds)
            if name in (CURRENT, PENDING):
                if not (version := secret["Versions"].get(holder(secret, name))) or at is None:
                    raise AdminError(f"{name}: no version has it, or no date is given")
                version["CreatedDate"] = at
            elif name == "next":
                secret["NextRotationDate"] = at and at + CLOCK.offset
            elif key := DATES.get(name):
                secret[key] = at
            else:
                raise AdminError(f"{name}: unknown date")
        return {"secret": secret["ARN"]}


DATES = {
    "created": "CreatedDate",
    "changed": "LastChangedDate",
    "accessed": "LastAccessedDate",
    "rotated": "LastRotatedDate",
}


def rotation_facts(secret: Secret) -> Data:
    """The rotation facts in DescribeSecret and ListSecrets; none for a secret never configured for rotation."""
    if not secret.get("RotationLambdaARN"):
        return {}
    facts = {key: secret.get(key) for key in ("RotationEnabled", "RotationLambdaARN", "RotationRules")}
    if secret["RotationEnabled"]:
        facts["LastRotatedDate"] = secret.get("LastRotatedDate")
        if due := secret.get("NextRotationDate"):
            facts["NextRotationDate"] = due - CLOCK.offset
    return facts


def described(secret: Secret, entry: Data) -> Data:
    """ministack's entry with the facts of rotation; the service returns only fields with a value."""
    entry.pop("RotationEnabled", None)
    entry |= rotation_facts(secret)
    entry["OwningService"] = secret.get("OwningService")
    return {key: value for key, value in entry.items() if value not in (None, "")}


def install() -> None:
    """Replaces ministack's handlers."""
    require_ministack()
    plain_describe, plain_list = secretsmanager._describe_secret, secretsmanager._list_secrets

    def describe_secret(data: Data) -> tuple:
        with LOCK:
            status, headers, body = plain_describe(data)
            if status >= 400:
                return status, headers, body
            _, secret = secretsmanager._resolve(data.get("SecretId"))
            return json_response(described(secret, json.loads(body)))

    def list_secrets(data: Data) -> tuple:
        with LOCK:
            answer = json.loads(plain_list(data)[2])
            entries = answer["SecretList"]
            answer["SecretList"] = [described(secretsmanager._secrets[entry["Name"]], entry) for entry in entries]
            return json_response(answer)

    secretsmanager._resolve = resolve
    secretsmanager._create_secret = create_secret
    secretsmanager._get_secret_value = get_secret_value
    secretsmanager._put_secret_value = put_secret_value
    secretsmanager._update_secret = update_secret
    secretsmanager._update_secret_version_stage = update_secret_version_stage
    secretsmanager._list_secret_version_ids = list_secret_version_ids
    secretsmanager._describe_secret = describe_secret
    secretsmanager._list_secrets = list_secrets
