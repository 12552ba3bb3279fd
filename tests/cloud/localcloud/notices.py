"""Mail and SMS of SNS: what a person would have received.

A topic's message reaches the e-mail and SMS endpoints that its filters let through, with the text for the protocol;
mail without a subject has SNS's own. An e-mail subscription needs no confirmation here.

SMS ("Publishing SMS messages to a mobile phone"): 140 bytes, which are 160 characters of the GSM alphabet or 70 others;
a longer one, of at most 1,600 characters, is sent as several, between words. A number that is not in E.164 is refused.
Assumed: the code for a number that opted out. What exceeds the monthly spend quota is accepted and not delivered.

Routes below /_local:

- `GET sns/mails` -> `{"mails": [{topic, endpoint, subject, message, at}]}`, `GET sns/sms` -> `{"sms": [{phone, topic,
  message, parts, alphabet, delivered, at}]}`: oldest first; `topic` is null for a message to a number, `at` is in
  seconds since 1970.
- `DELETE sns/mails` and `DELETE sns/sms` delete them.
- `POST sns/phones {"opted_out": [PHONE, ...], "spent": BOOL}` replaces the numbers that opted out, and says whether the
  spend quota is used up.
"""

from __future__ import annotations

import re
import textwrap
import time
from typing import Any

from ministack.services import sns

from localcloud.cloud import AdminError, Cloud

PHONE = re.compile(r"\+[1-9]\d{1,14}")
LONGEST = 1600
GSM, OTHER = 160, 70
DEFAULT_SUBJECT = "AWS Notification Message"
# GSM 03.38; the characters of its extension count twice.
ALPHABET = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = set("\f^{}\\[~]|€")

mails: list[dict[str, Any]] = []
messages: list[dict[str, Any]] = []
opted_out: set[str] = set()
spent = False


def parts(text: str) -> tuple[str, int]:
    """The alphabet of an SMS, and how many messages it needs."""
    in_gsm = set(text) <= ALPHABET | EXTENSION
    limit = GSM if in_gsm else OTHER
    length = len(text) + (sum(text.count(each) for each in EXTENSION) if in_gsm else 0)
    return ("GSM" if in_gsm else "UCS-2"), 1 if length <= limit else max(2, len(textwrap.wrap(text, limit)))


def keep(phone: str, topic: str | None, text: str) -> None:
    alphabet, count = parts(text)
    messages.append(
        {
            "phone": phone,
            "topic": topic,
            "message": text,
            "parts": count,
            "alphabet": alphabet,
            "delivered": not spent and phone not in opted_out,
            "at": time.time(),
        }
    )


def install(cloud: Cloud) -> None:
    """Keeps what SNS sends to people, and adds the routes."""
    plain_fanout, plain_publish = sns._fanout, sns._publish

    def fanout(topic: str, message_id: str, message: str, subject: str, *given: Any, **named: Any) -> None:
        plain_fanout(topic, message_id, message, subject, *given, **named)
        structure = given[0] if given else named.get("message_structure", "")
        attributes = (given[1] if len(given) > 1 else named.get("message_attributes")) or {}
        for subscription in (sns._topic_by_arn_any_scope(topic) or {}).get("subscriptions", []):
            protocol, endpoint = subscription["protocol"], subscription["endpoint"]
            if protocol not in ("email", "email-json", "sms"):
                continue
            text = sns._resolve_message_for_protocol(message, structure, protocol)
            if not sns._matches_filter_policy(subscription, attributes, text):
                continue
            if protocol == "sms":
                keep(endpoint, topic, text)
            else:
                about = {"topic": topic, "endpoint": endpoint, "subject": subject or DEFAULT_SUBJECT}
                mails.append({**about, "message": text, "at": time.time()})

    def publish(params: dict) -> tuple:
        phone, text = sns._p(params, "PhoneNumber"), sns._p(params, "Message")
        if phone and not (sns._p(params, "TopicArn") or sns._p(params, "TargetArn")):
            if not PHONE.fullmatch(phone):
                why = f"Invalid parameter: PhoneNumber Reason: {phone} is not valid to publish to"
                return sns._error("InvalidParameter", why, 400)
            if phone in opted_out:
                return sns._error("OptedOut", f"{phone} has opted out of receiving SMS messages", 400)
            if not text:
                return sns._error("InvalidParameter", "Invalid parameter: Empty message", 400)
            if len(text) > LONGEST:
                return sns._error("InvalidParameter", "Invalid parameter: Message too long", 400)
            keep(phone, None, text)
        return plain_publish(params)

    sns._fanout = fanout
    sns._publish = publish

    def listed(name: str, kept: list[dict[str, Any]]) -> None:
        @cloud.route("GET", f"sns/{name}")
        async def told(_: dict[str, Any]) -> dict[str, Any]:
            return {name: kept}

        @cloud.route("DELETE", f"sns/{name}")
        async def forget(_: dict[str, Any]) -> dict[str, Any]:
            removed = len(kept)
            kept.clear()
            return {"removed": removed}

    listed("mails", mails)
    listed("sms", messages)

    @cloud.route("POST", "sns/phones")
    async def configure(arguments: dict[str, Any]) -> dict[str, Any]:
        global spent
        for name in arguments.keys() - {"opted_out", "spent"}:
            raise AdminError(f"{name}: unknown field")
        phones = arguments.get("opted_out", [])
        if not isinstance(phones, list) or not all(PHONE.fullmatch(str(one)) for one in phones):
            raise AdminError("opted_out: must be a list of numbers in E.164")
        if type(arguments.get("spent", False)) is not bool:
            raise AdminError("spent: must be true or false")
        opted_out.clear()
        opted_out.update(phones)
        spent = arguments.get("spent", False)
        return {"opted_out": sorted(opted_out), "spent": spent}
