"""Slack's Web API, with the service's errors and limits.

Methods: `chat.postMessage`, `chat.update`, `conversations.history` and `auth.test`.

`cloud.json` has `slack_url` (the base of the Web API) and `slack_token`. Every channel exists whose name begins with
`#` or has the form of a channel id. Routes below /_local:

- `GET slack/messages` -> `{"messages": [{channel, channel_id, ts, text, blocks, thread_ts, edited}]}`, oldest first.
- `GET slack/messages?all=1` -> every post and every update since the cloud started, one entry each.
- `DELETE slack/messages` deletes the messages, but not those that `all=1` lists.
- `POST slack/channels` `{"archived": ["#name", ...]}` replaces the list of archived channels.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from typing import Any
from urllib.parse import parse_qs

from localcloud.cloud import AdminError, Cloud
from localcloud.faults import Answer, Call, Rule
from localcloud.standins.web import Request, Servers, answer_json, guarded, only


class Slack:
    """Slack's Web API, with the messages posted to it."""

    MESSAGE_TEXT = 40_000
    UPDATE_TEXT = 4_000
    # Undocumented; public reports measured 13,172 to 13,297.
    ALL_BLOCKS = 13_200

    def __init__(self) -> None:
        self.token = f"xoxb-local-{secrets.token_hex(16)}"
        self.messages: list[dict[str, Any]] = []
        self.accepted: list[dict[str, Any]] = []
        self.archived: set[str] = set()
        self._last = 0

    def handle(self, request: Request) -> Answer:
        name = request.path.removeprefix("/api/")
        methods = {
            "auth.test": self.auth_test,
            "chat.postMessage": self.post,
            "chat.update": self.update,
            "conversations.history": self.history,
        }
        if not request.path.startswith("/api/") or name not in methods:
            return answer_json(200, {"ok": False, "error": "unknown_method"})
        try:
            arguments = self._arguments(request)
            given = arguments.pop("token", None)
            # With a JSON body, Slack reads the token from the header only.
            token = request.bearer or (None if request.media_type == "application/json" else given)
            if not token:
                raise SlackError("not_authed")
            if not hmac.compare_digest(str(token).encode(), self.token.encode()):
                raise SlackError("invalid_auth")
            return answer_json(200, {"ok": True, **methods[name](arguments)})
        except SlackError as error:
            found = {"response_metadata": {"messages": error.details}} if error.details else {}
            return answer_json(200, {"ok": False, "error": str(error), **found})

    def _arguments(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = dict(request.query)
        if request.media_type == "application/json" and request.body:
            try:
                given = json.loads(request.body)
            except ValueError:
                raise SlackError("invalid_json") from None
            if not isinstance(given, dict):
                raise SlackError("json_not_object")
            arguments.update(given)
        elif request.media_type == "application/x-www-form-urlencoded":
            arguments.update({name: values[0] for name, values in parse_qs(request.body.decode()).items()})
        elif request.body:
            raise SlackError("invalid_post_type" if request.media_type else "missing_post_type")
        return arguments

    def _channel(self, arguments: dict[str, Any], *, by_name: bool = False) -> tuple[str, str]:
        """The given name or id of the channel, and its id; most methods accept ids only."""
        given = arguments.get("channel")
        pattern = r"#\S+|[CDG][A-Z0-9]{8,}" if by_name else r"[CDG][A-Z0-9]{8,}"
        if not isinstance(given, str) or not re.fullmatch(pattern, given):
            raise SlackError("channel_not_found")
        return given, self._id(given)

    @staticmethod
    def _id(channel: str) -> str:
        if not channel.startswith("#"):
            return channel
        return "C" + hashlib.sha256(channel.encode()).hexdigest()[:10].upper()

    def auth_test(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "url": "https://local.slack.com/",
            "team": "Local",
            "user": "governance",
            "team_id": "T0LOCAL000",
            "user_id": "U0LOCAL000",
            "bot_id": "B0LOCAL000",
        }

    def post(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name, channel = self._channel(arguments, by_name=True)
        if channel in {self._id(each) for each in self.archived}:
            raise SlackError("is_archived")
        text, blocks = self._content(arguments)
        self._last = max(self._last + 1, time.time_ns() // 1000)
        message = {
            "channel": name,
            "channel_id": channel,
            "ts": f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}",
            "text": text[: self.MESSAGE_TEXT],
            "blocks": blocks,
            "thread_ts": arguments.get("thread_ts"),
            "edited": False,
        }
        self.messages.append(message)
        self.accepted.append(dict(message))
        return {"channel": channel, "ts": message["ts"], "message": self._shown(message)}

    def update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        _, channel = self._channel(arguments)
        key = channel, arguments.get("ts")
        message = next((each for each in self.messages if (each["channel_id"], each["ts"]) == key), None)
        if message is None:
            raise SlackError("message_not_found")
        text, blocks = self._content(arguments)
        if len(text) > self.UPDATE_TEXT:
            raise SlackError("msg_too_long")
        message.update(text=text, blocks=blocks, edited=True)
        self.accepted.append(dict(message))
        return {"channel": channel, "ts": message["ts"], "text": text, "message": self._shown(message)}

    def history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        _, channel = self._channel(arguments)
        try:
            limit = int(arguments.get("limit", 100))
        except (TypeError, ValueError):
            raise SlackError("invalid_limit") from None
        found = [self._shown(each) for each in reversed(self.messages) if each["channel_id"] == channel]
        return {"messages": found[:limit], "has_more": len(found) > limit}

    @staticmethod
    def _shown(message: dict[str, Any]) -> dict[str, Any]:
        shown = {"type": "message", "user": "U0LOCAL000", "bot_id": "B0LOCAL000"}
        shown |= {name: message[name] for name in ("ts", "text", "blocks", "thread_ts") if message[name]}
        return shown

    def _content(self, arguments: dict[str, Any]) -> tuple[str, list[Any]]:
        text, blocks = arguments.get("text") or "", arguments.get("blocks") or []
        if isinstance(blocks, str):
            try:
                blocks = json.loads(blocks)
            except ValueError:
                raise SlackError("invalid_blocks_format") from None
        if not isinstance(blocks, list):
            raise SlackError("invalid_blocks_format")
        if not isinstance(text, str) or not (text or blocks):
            raise SlackError("no_text")
        if wrong := list(_wrong_blocks(blocks)):
            raise SlackError("invalid_blocks", wrong)
        if sum(len(each) for each in _texts(blocks)) > self.ALL_BLOCKS:
            raise SlackError("msg_blocks_too_long")
        return text, blocks

    async def list_messages(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"messages": self.accepted if arguments.get("all") == "1" else self.messages}

    async def forget(self, _: dict[str, Any]) -> dict[str, Any]:
        removed = len(self.messages)
        self.messages.clear()
        return {"removed": removed}

    async def set_channels(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"archived"})
        names = fields.get("archived")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise AdminError("archived: must be a list of channels")
        self.archived = set(names)
        return {"archived": names}


class SlackError(Exception):
    """One of Slack's error codes, with its messages about the blocks."""

    def __init__(self, code: str, details: list[str] | None = None):
        super().__init__(code)
        self.details = details


def _texts(value: Any):
    """Every visible text of the blocks."""
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name == "text" and isinstance(each, str):
                yield each
            else:
                yield from _texts(each)


def _wrong_blocks(blocks: list[Any]):
    """Slack's error messages for a message's blocks."""

    def text(value, most, where, kinds=("mrkdwn", "plain_text")):
        content = value.get("text") if isinstance(value, dict) else None
        if not isinstance(content, str) or value.get("type") not in kinds:
            yield f"[ERROR] missing required field: text [json-pointer:{where}]"
        elif not content:
            yield f"[ERROR] must be more than 0 characters [json-pointer:{where}/text]"
        elif len(content) > most:
            yield f"[ERROR] must be less than {most + 1} characters [json-pointer:{where}/text]"

    def at_most(values, most, where):
        if isinstance(values, list) and len(values) > most:
            yield f"[ERROR] no more than {most} items allowed [json-pointer:{where}]"

    yield from at_most(blocks, 50, "/blocks")
    plain = ("plain_text",)
    ids = set()
    kinds = {"actions", "context", "divider", "file", "header", "image", "input", "markdown", "rich_text", "section"}
    for index, block in enumerate(blocks):
        where = f"/blocks/{index}"
        kind = block.get("type") if isinstance(block, dict) else None
        if kind not in kinds:
            yield f"[ERROR] unsupported type: {kind} [json-pointer:{where}/type]"
            continue
        if len(str(block.get("block_id", ""))) > 255:
            yield f"[ERROR] must be less than 256 characters [json-pointer:{where}/block_id]"
        if given := str(block.get("block_id") or ""):
            if given in ids:
                yield f"[ERROR] `block_id` {given} already exists [json-pointer:{where}/block_id]"
            ids.add(given)
        if kind == "header":
            yield from text(block.get("text"), 150, f"{where}/text", plain)
        elif kind == "markdown" and len(str(block.get("text", ""))) > 12_000:
            yield f"[ERROR] must be less than 12001 characters [json-pointer:{where}/text]"
        elif kind == "section":
            if "text" in block or not block.get("fields"):
                yield from text(block.get("text"), 3000, f"{where}/text")
            yield from at_most(block.get("fields"), 10, f"{where}/fields")
            for number, field in enumerate(block.get("fields") or []):
                yield from text(field, 2000, f"{where}/fields/{number}")
        elif kind in ("context", "actions"):
            elements = block.get("elements")
            if not isinstance(elements, list) or not elements:
                yield f"[ERROR] missing required field: elements [json-pointer:{where}]"
                continue
            yield from at_most(elements, 10 if kind == "context" else 25, f"{where}/elements")
            for number, element in enumerate(elements):
                pointer = f"{where}/elements/{number}"
                element_kind = element.get("type") if isinstance(element, dict) else None
                if kind == "context" and element_kind != "image":
                    yield from text(element, 3000, pointer)
                if element_kind != "button":
                    continue
                yield from text(element.get("text"), 75, f"{pointer}/text", plain)
                for name, most in (("value", 2000), ("url", 3000), ("action_id", 255)):
                    if len(str(element.get(name, ""))) > most:
                        yield f"[ERROR] must be less than {most + 1} characters [json-pointer:{pointer}/{name}]"


def _action(_method: str, path: str) -> str:
    # Don't log other paths: an incoming webhook's path is a secret.
    named = re.fullmatch(r"/api/([A-Za-z.]+)", path)
    return named[1] if named else "unknown"


def _refuse(_call: Call, rule: Rule, _headers: dict[str, str]) -> Answer:
    if rule.effect == "throttle":
        return answer_json(429, {"ok": False, "error": "ratelimited"}, {"retry-after": f"{rule.seconds:g}"})
    return answer_json(rule.status, {"ok": False, "error": rule.code})


def install(cloud: Cloud, servers: Servers) -> None:
    """Registers the routes, and starts the server with the cloud."""
    slack = Slack()
    cloud.route("GET", "slack/messages")(slack.list_messages)
    cloud.route("DELETE", "slack/messages")(slack.forget)
    cloud.route("POST", "slack/channels")(slack.set_channels)
    app = guarded(cloud, "slack", slack.handle, _action, _refuse)

    async def start() -> None:
        cloud.facts.update(slack_url=f"{servers.listen(app)}/api", slack_token=slack.token)

    cloud.on_start.append(start)
