"""SES v2's SendEmail, stricter than ministack's: required fields, policy evaluation, and a list of sent messages.

A message has a sender, a recipient and one content; a Simple one has a subject and a body; its configuration set
exists. `ses:SendEmail` is evaluated on the sender's identity (the address itself, or its nearest domain that is an
identity; without any, the address), with `ses:FromAddress` and `ses:Recipients`. ministack refuses an unverified
sender, and in the sandbox (`PutAccountDetails` with `ProductionAccessEnabled` false) an unverified recipient, but
accepts the mailbox simulator's addresses. A fault's `throttle` is TooManyRequestsException. Not modelled: AWS's
evaluation of recipients' identities in the sandbox, sending limits, and SendEmail for another account's identity. The
texts of refusals other than MessageRejected are assumed.

Routes below /_local:

- `GET ses/messages` -> `{"messages": [{id, access_key_id, from, to, cc, bcc, subject, text, html}]}`, oldest first;
  `access_key_id` is the key of the sending request. Only messages of SES v2's SendEmail.
  - `DELETE ses/messages` deletes them.
"""

from __future__ import annotations

import contextvars
import email.utils
import json
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.router import extract_access_key_id
from ministack.services import ses, ses_v2

from localcloud.cloud import Cloud

PATH = "/v2/email/outbound-emails"

# The condition keys of the current message.
_KEYS: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("ses_keys", default=None)


class Sent:
    """The sent messages, with their access keys."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def keep(self, key: str, data: dict[str, Any], answer: dict[str, Any], record: dict[str, Any]) -> None:
        self.messages.append(
            {
                "id": answer["MessageId"],
                "access_key_id": key,
                "from": data["FromEmailAddress"],
                "to": record["To"],
                "cc": record["CC"],
                "bcc": record["BCC"],
                "subject": record["Subject"],
                "text": record["BodyText"],
                "html": record["BodyHtml"],
            }
        )

    async def told(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"messages": self.messages}

    async def forget(self, _: dict[str, Any]) -> dict[str, Any]:
        removed = len(self.messages)
        self.messages.clear()
        return {"removed": removed}


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def recipients(data: dict[str, Any]) -> list[str]:
    destination = data.get("Destination") or {}
    return [
        address for kind in ("ToAddresses", "CcAddresses", "BccAddresses") for address in destination.get(kind) or []
    ]


def wrong(data: dict[str, Any] | None) -> tuple | None:
    """The refusal of a message without a required field."""
    if data is None:
        return ses_v2._json_err("SerializationException", "The body is not a JSON object")
    if not data.get("FromEmailAddress"):
        return ses_v2._json_err("BadRequestException", "Missing required parameter: FromEmailAddress")
    if not recipients(data):
        return ses_v2._json_err("BadRequestException", "Missing required parameter: Destination")
    content = data.get("Content") or {}
    if len(content) != 1 or not set(content) <= {"Simple", "Raw", "Template"}:
        return ses_v2._json_err("BadRequestException", "Content must have one of Simple, Raw and Template")
    if "Simple" in content:
        simple = content["Simple"]
        body = simple.get("Body") or {}
        if not (simple.get("Subject") or {}).get("Data") or not any(
            (body.get(kind) or {}).get("Data") for kind in ("Text", "Html")
        ):
            return ses_v2._json_err("BadRequestException", "A simple message must have a subject and a body")
    name = data.get("ConfigurationSetName")
    if name and name not in ses_v2._config_sets and name not in ses._configuration_sets:
        return ses_v2._json_err("NotFoundException", f"Configuration set <{name}> does not exist.", 404)
    return None


def identity(sender: str) -> str:
    """The name of the identity for a sender's address."""
    address = email.utils.parseaddr(sender)[1]
    known = {*ses._identities, *ses_v2._identities}
    names = [address, *ses._domain_and_parents(address.rpartition("@")[2].lower())]
    return next((name for name in names if name in known), address)


def install(cloud: Cloud) -> None:
    """Wraps ministack's SES v2 and adds its condition keys."""
    sent = Sent()
    plain_handle = ses_v2.handle_request
    plain_resource, plain_enforce = iam_actions.extract_resource_arn, iam_evaluator.enforce

    async def handle(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        if method != "POST" or path.rstrip("/") != PATH:
            return await plain_handle(method, path, headers, body, query)
        data = _object(body)
        if refusal := wrong(data):
            return refusal
        answer = await plain_handle(method, path, headers, body, query)
        if answer[0] == 200:
            key = extract_access_key_id(headers, query)
            sent.keep(key, data, json.loads(answer[2]), ses._sent_emails_list()[-1])
        return answer

    def with_identity(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        _KEYS.set(None)
        data = _object(body) if service == "ses" and method == "POST" and path.rstrip("/") == PATH else None
        if data is None or not data.get("FromEmailAddress"):
            return plain_resource(service, method, path, headers, body, query, region, account)
        sender = email.utils.parseaddr(data["FromEmailAddress"])[1]
        _KEYS.set({"ses:FromAddress": sender, "ses:Recipients": recipients(data)})
        return f"arn:aws:ses:{region}:{account}:identity/{identity(sender)}"

    def with_keys(
        key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
    ) -> Any:
        if action == "ses:SendEmail" and _KEYS.get():
            service_context = {**(service_context or {}), **_KEYS.get()}
        return plain_enforce(key, action, service, region, resource_arn, service_context)

    ses_v2.handle_request = handle
    iam_actions.extract_resource_arn = with_identity
    iam_evaluator.enforce = with_keys
    cloud.route("GET", "ses/messages")(sent.told)
    cloud.route("DELETE", "ses/messages")(sent.forget)
