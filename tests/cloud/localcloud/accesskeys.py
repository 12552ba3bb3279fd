"""The access keys of IAM users, as IAM documents them; ministack stores them and verifies every signature.

A user has at most two keys of any status. A secret has 40 characters, which may include `/` and `+`. A call that names
no user concerns the caller's own keys; only users have keys here. A key of a user other than the named one is not
found. GetAccessKeyLastUsed returns the last request with a valid signature, allowed or not, in whole minutes (assumed
from the documented examples). Its permission is evaluated on the key's user.

A key that is unknown, deleted or Inactive is refused as AWS does: `InvalidClientTokenId`, or
`UnrecognizedClientException` where the protocol is JSON, both 403; a wrong secret is `SignatureDoesNotMatch` or
`InvalidSignatureException`. Not modelled: a deactivated or deleted key works for a while.

Routes below /_local:

- `POST iam/propagation` `{"calls": N}`: the first N uses of every key created from now on are refused, as of an unknown
key; 0 at the start.
- `GET iam/keys?user=NAME` -> `{"keys": [{access_key_id, status, create_date, last_used, refusals}], "most": N}`: the
existing keys, oldest first, with the exact last use (seconds since 1970; null: never) and the remaining refusals;
`most` is the maximum number of keys that a user of this name had at once.
"""

from __future__ import annotations

import base64
import datetime
import secrets
import threading
import time
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import iam

from localcloud.cloud import AdminError, Cloud

MOST_KEYS = 2

Params = dict[str, Any]


class AccessKeys:
    """Facts about the keys that ministack does not store. Calls come on several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.propagation = 0
        # Remaining refusals, and the last use (time, service, region), by key id.
        self._refusals: dict[str, int] = {}
        self._used: dict[str, tuple[float, str, str]] = {}
        # By account and user.
        self._most: dict[tuple[str, str], int] = {}

    def _of(self, user: str) -> list[dict[str, Any]]:
        return [key for key in iam._access_keys.values() if key["UserName"] == user]

    def create(self, params: Params) -> tuple:
        user, refusal = _user(params)
        if refusal:
            return refusal
        with self._lock:
            if len(self._of(user)) >= MOST_KEYS:
                return iam._error(409, "LimitExceeded", f"Cannot exceed quota for AccessKeysPerUser: {MOST_KEYS}")
            key = {
                "UserName": user,
                "AccessKeyId": "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode(),
                "SecretAccessKey": base64.b64encode(secrets.token_bytes(30)).decode(),
                "Status": "Active",
                "CreateDate": iam._now(),
            }
            iam._access_keys[key["AccessKeyId"]] = key
            self._refusals[key["AccessKeyId"]] = self.propagation
            place = get_account_id(), user
            self._most[place] = max(self._most.get(place, 0), len(self._of(user)))
        return _answer("CreateAccessKey", f"<AccessKey>{_fields(key, *key)}</AccessKey>")

    def list(self, params: Params) -> tuple:
        user, refusal = _user(params)
        if refusal:
            return refusal
        shown = ("UserName", "AccessKeyId", "Status", "CreateDate")
        with self._lock:
            members = "".join(f"<member>{_fields(key, *shown)}</member>" for key in self._of(user))
        found = f"<AccessKeyMetadata>{members}</AccessKeyMetadata><IsTruncated>false</IsTruncated>"
        return _answer("ListAccessKeys", found)

    def update(self, params: Params) -> tuple:
        status = iam._p(params, "Status")
        if status not in ("Active", "Inactive"):
            text = "Value at 'status' failed to satisfy constraint: Member must satisfy enum value set"
            return iam._error(400, "ValidationError", f"1 validation error detected: {text}: [Active, Inactive]")
        with self._lock:
            key, refusal = self._named(params)
            if refusal:
                return refusal
            key["Status"] = status
        return _answer("UpdateAccessKey")

    def delete(self, params: Params) -> tuple:
        with self._lock:
            key, refusal = self._named(params)
            if refusal:
                return refusal
            del iam._access_keys[key["AccessKeyId"]]
        return _answer("DeleteAccessKey")

    def last_used(self, params: Params) -> tuple:
        name = iam._p(params, "AccessKeyId")
        key = iam._access_keys.get(name)
        if key is None:
            return _no_key(name)
        used = self._used.get(name)
        shown = {"ServiceName": "N/A", "Region": "N/A"}
        if used:
            moment = datetime.datetime.fromtimestamp(used[0], datetime.timezone.utc)
            shown = {"LastUsedDate": f"{moment:%Y-%m-%dT%H:%M}:00Z", "ServiceName": used[1], "Region": used[2]}
        found = f"<AccessKeyLastUsed>{_fields(shown, *shown)}</AccessKeyLastUsed>"
        return _answer("GetAccessKeyLastUsed", _fields(key, "UserName") + found)

    def _named(self, params: Params) -> tuple[dict[str, Any], tuple | None]:
        user, refusal = _user(params)
        name = iam._p(params, "AccessKeyId")
        key = iam._access_keys.get(name)
        if not refusal and (key is None or key["UserName"] != user):
            refusal = _no_key(name)
        return key, refusal

    def refused(self, key: str) -> bool:
        """Whether the key has not yet propagated at the time of this request."""
        with self._lock:
            left = self._refusals.get(key, 0)
            self._refusals[key] = max(left - 1, 0)
            return left > 0

    def use(self, key: str, service: str, region: str) -> None:
        self._used[key] = time.time(), service, region

    # Routes

    async def configure(self, fields: Params) -> dict[str, Any]:
        if not isinstance(fields, dict) or set(fields) != {"calls"}:
            raise AdminError("the only field is calls")
        if type(fields["calls"]) is not int or fields["calls"] < 0:
            raise AdminError("calls: must be a whole number from 0")
        self.propagation = fields["calls"]
        return {"calls": self.propagation}

    async def told(self, arguments: Params) -> dict[str, Any]:
        if set(arguments) != {"user"}:
            raise AdminError("the only argument is user")
        user = arguments["user"]
        with self._lock:
            keys = [
                {
                    "access_key_id": key["AccessKeyId"],
                    "status": key["Status"],
                    "create_date": key["CreateDate"],
                    "last_used": self._used.get(key["AccessKeyId"], (None,))[0],
                    "refusals": self._refusals.get(key["AccessKeyId"], 0),
                }
                for key in self._of(user)
            ]
            return {"keys": keys, "most": self._most.get((get_account_id(), user), 0)}


def _user(params: Params) -> tuple[str, tuple | None]:
    """The user that a call names, else the caller; or the refusal."""
    name = iam._p(params, "UserName")
    if not name:
        caller = iam_evaluator.caller_arn()
        if ":user/" not in caller:
            text = "Must specify userName when calling with non-User credentials"
            return "", iam._error(400, "ValidationError", text)
        name = caller.rpartition("/")[2]
    if name not in iam._users:
        return "", iam._error(404, "NoSuchEntity", f"The user with name {name} cannot be found.")
    return name, None


def _no_key(name: str) -> tuple:
    return iam._error(404, "NoSuchEntity", f"The Access Key with id {name} cannot be found.")


def _fields(values: dict[str, str], *names: str) -> str:
    return "".join(f"<{name}>{iam._xml_escape(values[name])}</{name}>" for name in names)


def _answer(action: str, result: str = "") -> tuple:
    return iam._xml(200, f"{action}Response", f"<{action}Result>{result}</{action}Result>" if result else "")


def install(cloud: Cloud) -> None:
    """Replaces ministack's calls about access keys, records the use of keys, and registers the routes."""
    keys = AccessKeys()
    iam._IAM_HANDLERS.update(
        CreateAccessKey=keys.create,
        ListAccessKeys=keys.list,
        UpdateAccessKey=keys.update,
        DeleteAccessKey=keys.delete,
        GetAccessKeyLastUsed=keys.last_used,
    )
    plain_authenticate, plain_resource = iam_evaluator.authenticate, iam_actions.extract_resource_arn

    def authenticate(access_key_id: str, account_id: str) -> Any:
        # Once per request: ministack drops the signature after checking it.
        request = iam_evaluator._signed_request.get()
        if request is None or request.access_key_id != access_key_id or access_key_id not in iam._access_keys:
            return plain_authenticate(access_key_id, account_id)
        if keys.refused(access_key_id):
            iam_evaluator._signed_request.set(None)
            unknown = iam_evaluator._unknown_access_key()
            return iam_evaluator.AuthError(unknown.code, unknown.message)
        found = plain_authenticate(access_key_id, account_id)
        if isinstance(found, iam_evaluator.ResolvedCredential):
            _, _, region, service, *_ = _scope(request)
            keys.use(access_key_id, service, region)
        return found

    def with_user_of_key(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        found = plain_resource(service, method, path, headers, body, query, region, account)
        if service != "iam" or iam_actions._query_param(query, "Action") not in iam_key_actions or found != "*":
            return found
        key = iam._access_keys.get(iam_actions._query_param(query, "AccessKeyId"))
        return f"arn:aws:iam::{account}:user/{key['UserName']}" if key else "*"

    iam_key_actions = ("GetAccessKeyLastUsed", "UpdateAccessKey", "DeleteAccessKey")
    iam_evaluator.authenticate = authenticate
    iam_actions.extract_resource_arn = with_user_of_key
    cloud.route("POST", "iam/propagation")(keys.configure)
    cloud.route("GET", "iam/keys")(keys.told)


def _scope(request: iam_evaluator.SignedRequest) -> list[str]:
    """Key, date, region, service and the end of a signature of version 4, from the header or the query."""
    header = request.headers.get("authorization", "")
    given = header.partition("Credential=")[2].partition(",")[0]
    given = given or iam_evaluator._query_value(request.query_params, "X-Amz-Credential")
    parts = given.strip().split("/")
    return parts if len(parts) == 5 else ["", "", "N/A", "N/A", ""]
