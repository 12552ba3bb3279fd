"""Slack's Web API, an incoming webhook and response URLs, with the service's errors and limits.

Methods: `auth.test`, `chat.postMessage`, `chat.update`, `conversations.history`, `usergroups.list`,
`usergroups.users.list`, `usergroups.users.update` and `views.open`. Sources: the methods' pages of docs.slack.dev,
"Using message metadata", "Sending messages using incoming webhooks", "Handling user interaction", "Modal views". Not
documented: a reply to an unknown message is refused with `thread_not_found`, an unknown user group with
`no_such_subteam` also by `usergroups.users.update`, a response URL that is over with 404 and `expired_url` or
`used_url`, a wrong view with `invalid_arguments`.

`cloud.json` has `slack_url` (the base of the Web API), `slack_token` and `slack_webhook_url`, whose path is a secret
and which posts to `#webhook`. Every channel exists whose name begins with `#` or has the form of a channel id. In the
log and in fault rules the webhook's action is `webhook`. Routes below /_local:

- `GET slack/messages` -> `{"messages": [{channel, channel_id, ts, text, blocks, metadata, thread_ts, edited, webhook,
  at}]}`, oldest first; `at` is when the post or its last change was accepted, in seconds since 1970.
- `GET slack/messages?all=1` -> every post and every update since the cloud started, one entry each, in the order in
  which they were accepted.
- `DELETE slack/messages` deletes the messages, but not those that `all=1` lists.
- `POST slack/channels` `{"archived": ["#name", ...]}` replaces the list of archived channels.
- `POST slack/scopes` `{"scopes": ["chat:write", ...]}` replaces the token's scopes; at first it has all that are used.
- `POST slack/usergroups` `{"usergroups": [{id, handle, users}], "restricted": false}` replaces the user groups;
  `restricted` lets only administrators change them. `GET slack/usergroups` -> the same.
- `POST slack/webhook` `{"active": false}` removes or restores the webhook.
- `POST slack/interactions` `{"user": "U024BE7LH", "age": 0}` -> `{"trigger_id", "response_url"}`, as a request of Slack
  has them, of an interaction `age` seconds ago: a trigger opens one modal within 3 s, a response URL takes five
  messages within 30 minutes.
- `GET slack/views` -> `{"views": [{id, user, view, at}]}`, the opened modals, oldest first; `GET slack/answers` ->
  `{"answers": [{user, response_url, message, at}]}`; `DELETE slack/interactions` forgets all of these.
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
from localcloud.standins.web import Request, Servers, answer_json, guarded, is_text, only

# A webhook's statuses; all other codes have 400.
STATUS = {"no_service": 404, "channel_is_archived": 410}
# The scope that each method needs; none for auth.test.
SCOPES = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "conversations.history": "channels:history",
    "usergroups.list": "usergroups:read",
    "usergroups.users.list": "usergroups:read",
    "usergroups.users.update": "usergroups:write",
}


class Slack:
    """Slack's Web API, with the messages posted to it."""

    MESSAGE_TEXT = 40_000
    UPDATE_TEXT = 4_000
    # Undocumented; public reports measured 13,172 to 13,297.
    ALL_BLOCKS = 13_200
    # The most messages of one page of a history.
    PAGE = 999
    # Seconds that a trigger and a response URL are worth something, and messages that the latter takes.
    TRIGGER = 3
    RESPONSE = 30 * 60
    ANSWERS = 5
    VIEW_BYTES = 250_000
    WEBHOOK_CHANNEL = "#webhook"

    def __init__(self) -> None:
        self.token = f"xoxb-local-{secrets.token_hex(16)}"
        self.webhook = f"/services/T0LOCAL000/B0LOCAL000/{secrets.token_hex(12)}"
        self.webhook_active = True
        self.scopes = set(SCOPES.values())
        self.groups: list[dict[str, Any]] = []
        self.restricted = False
        self.messages: list[dict[str, Any]] = []
        self.accepted: list[dict[str, Any]] = []
        self.archived: set[str] = set()
        self._last = 0
        self.url = ""
        self.triggers: dict[str, dict[str, Any]] = {}
        self.responses: dict[str, dict[str, Any]] = {}
        self.views: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []

    def handle(self, request: Request) -> Answer:
        if request.path.startswith("/services/"):
            return self._posted_by_webhook(request)
        if request.path.startswith("/actions/"):
            return self._answered(request)
        name = request.path.removeprefix("/api/")
        methods = {
            "auth.test": self.auth_test,
            "chat.postMessage": self.post,
            "chat.update": self.update,
            "conversations.history": self.history,
            "usergroups.list": self.list_groups,
            "usergroups.users.list": self.list_members,
            "usergroups.users.update": self.update_members,
            "views.open": self.open_view,
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
            needed = SCOPES.get(name)
            if needed and needed not in self.scopes:
                provided = ",".join(sorted(self.scopes))
                return answer_json(200, {"ok": False, "error": "missing_scope", "needed": needed, "provided": provided})
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
        if self._is_archived(channel):
            raise SlackError("is_archived")
        text, blocks = self._content(arguments)
        thread = arguments.get("thread_ts")
        if thread is not None and self._find(channel, thread) is None:
            raise SlackError("thread_not_found")
        message = self._add(name, text, blocks, metadata=self._metadata(arguments), thread_ts=thread)
        return {"channel": channel, "ts": message["ts"], "message": self._shown(message)}

    def update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        _, channel = self._channel(arguments)
        message = self._find(channel, arguments.get("ts"))
        if message is None:
            raise SlackError("message_not_found")
        # A bot changes its own messages only, and a webhook is another bot.
        if message["webhook"]:
            raise SlackError("cant_update_message")
        text, blocks = self._content(arguments)
        if len(text) > self.UPDATE_TEXT:
            raise SlackError("msg_too_long")
        # Without the field, Slack retains the former metadata; an empty object removes it.
        metadata = self._metadata(arguments) if "metadata" in arguments else message["metadata"]
        message.update(text=text, blocks=blocks, metadata=metadata, edited=True, at=time.time())
        self.accepted.append(dict(message))
        return {"channel": channel, "ts": message["ts"], "text": text, "message": self._shown(message)}

    def _add(self, channel: str, text: str, blocks: list[Any], **more: Any) -> dict[str, Any]:
        self._last = max(self._last + 1, time.time_ns() // 1000)
        message = {
            "channel": channel,
            "channel_id": self._id(channel),
            "ts": f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}",
            "text": text[: self.MESSAGE_TEXT],
            "blocks": blocks,
            "metadata": None,
            "thread_ts": None,
            "edited": False,
            "webhook": False,
            "at": time.time(),
            **more,
        }
        self.messages.append(message)
        self.accepted.append(dict(message))
        return message

    def _find(self, channel: str, ts: Any) -> dict[str, Any] | None:
        return next((each for each in self.messages if (each["channel_id"], each["ts"]) == (channel, ts)), None)

    def _is_archived(self, channel: str) -> bool:
        return channel in {self._id(each) for each in self.archived}

    def _posted_by_webhook(self, request: Request) -> Answer:
        try:
            known = hmac.compare_digest(request.path.encode(), self.webhook.encode())
            if not (known and self.webhook_active):
                raise SlackError("no_service")
            if self._is_archived(self._id(self.WEBHOOK_CHANNEL)):
                raise SlackError("channel_is_archived")
            try:
                form = request.media_type == "application/x-www-form-urlencoded"
                given = json.loads(parse_qs(request.body.decode())["payload"][0] if form else request.body)
            except (KeyError, ValueError):
                raise SlackError("invalid_payload") from None
            if not isinstance(given, dict) or request.method != "POST":
                raise SlackError("invalid_payload")
            text, blocks = self._content(given)
            self._add(self.WEBHOOK_CHANNEL, text, blocks, webhook=True)
        except SlackError as error:
            return _plain(STATUS.get(str(error), 400), str(error))
        return _plain(200, "ok")

    def history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        _, channel = self._channel(arguments)
        try:
            limit = int(arguments.get("limit", 100))
        except (TypeError, ValueError):
            raise SlackError("invalid_limit") from None
        if not 1 <= limit <= self.PAGE:
            raise SlackError("invalid_limit")
        bounds = {"oldest": "0", "latest": "inf"} | {
            name: arguments[name] for name in ("oldest", "latest") if arguments.get(name) is not None
        }
        for name, value in bounds.items():
            if not re.fullmatch(r"\d+(\.\d+)?|inf", str(value)):
                raise SlackError(f"invalid_ts_{name}")
        oldest, latest = float(bounds["oldest"]), float(bounds["latest"])
        inclusive = str(arguments.get("inclusive", "")).lower() in ("1", "true")

        def is_within(ts: str) -> bool:
            return oldest < float(ts) < latest or (inclusive and float(ts) in (oldest, latest))

        # Replies are listed by conversations.replies only.
        found = [
            each
            for each in reversed(self.messages)
            if each["channel_id"] == channel and each["thread_ts"] in (None, each["ts"]) and is_within(each["ts"])
        ]
        whole = str(arguments.get("include_all_metadata", "")).lower() in ("1", "true")
        return {"messages": [self._shown(each, whole) for each in found[:limit]], "has_more": len(found) > limit}

    def _shown(self, message: dict[str, Any], with_payload: bool = True) -> dict[str, Any]:
        bot = "B0WEBHOOK0" if message["webhook"] else "B0LOCAL000"
        shown = {"type": "message", "bot_id": bot} | ({} if message["webhook"] else {"user": "U0LOCAL000"})
        shown |= {name: message[name] for name in ("ts", "text", "blocks", "thread_ts") if message[name]}
        if any(each["thread_ts"] == message["ts"] for each in self.messages):
            shown["thread_ts"] = message["ts"]
        if message["metadata"]:
            kept = message["metadata"].items() if with_payload else [("event_type", message["metadata"]["event_type"])]
            shown["metadata"] = dict(kept)
        return shown

    @staticmethod
    def _metadata(arguments: dict[str, Any]) -> dict[str, Any] | None:
        given = arguments.get("metadata")
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except ValueError:
                raise SlackError("invalid_metadata_format") from None
        if given is None or given == {}:
            return None
        if not isinstance(given, dict) or set(given) != {"event_type", "event_payload"}:
            raise SlackError("invalid_metadata_format")
        kind, payload = given["event_type"], given["event_payload"]
        if not isinstance(kind, str) or not re.fullmatch(r"\w+", kind, re.ASCII) or not isinstance(payload, dict):
            raise SlackError("invalid_metadata_format")
        return given

    # User groups

    def list_groups(self, arguments: dict[str, Any]) -> dict[str, Any]:
        wanted = {
            name: str(arguments.get(f"include_{name}", "")).lower() in ("1", "true") for name in ("users", "count")
        }
        return {"usergroups": [self._group(each, **wanted) for each in self.groups]}

    def list_members(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"users": self._named_group(arguments)["users"]}

    def update_members(self, arguments: dict[str, Any]) -> dict[str, Any]:
        given = arguments.get("users")
        if isinstance(given, list):
            raise SlackError("invalid_array_arg")
        if not given:
            raise SlackError("no_users_provided")
        users = str(given).split(",")
        if not all(re.fullmatch(r"[UW][A-Z0-9]{2,}", user) for user in users):
            raise SlackError("invalid_users")
        group = self._named_group(arguments)
        if self.restricted:
            raise SlackError("permission_denied")
        group.update(users=list(dict.fromkeys(users)), date_update=int(time.time()))
        return {"usergroup": self._group(group, users=True, count=True)}

    def _named_group(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not arguments.get("usergroup"):
            raise SlackError("missing_argument")
        group = next((each for each in self.groups if each["id"] == arguments["usergroup"]), None)
        if group is None:
            raise SlackError("no_such_subteam")
        return group

    @staticmethod
    def _group(group: dict[str, Any], users: bool, count: bool) -> dict[str, Any]:
        shown = {
            "team_id": "T0LOCAL000",
            "is_usergroup": True,
            "name": group["handle"],
            "description": "",
            "is_external": False,
            "date_delete": 0,
            "auto_type": None,
            "created_by": "U0LOCAL000",
            "updated_by": "U0LOCAL000",
            "deleted_by": None,
            "prefs": {"channels": [], "groups": []},
            **group,
        }
        if not users:
            del shown["users"]
        return shown | ({"user_count": len(group["users"])} if count else {})

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

    # Interactions

    async def interact(self, fields: dict[str, Any]) -> dict[str, str]:
        only(fields, {"user", "age"})
        user, age = fields.get("user"), fields.get("age", 0)
        if not re.fullmatch(r"[UW][A-Z0-9]{2,}", str(user)):
            raise AdminError("user: must be the id of a user")
        if type(age) not in (int, float) or age < 0:
            raise AdminError("age: must be a number of seconds")
        number = len(self.triggers) + 1
        trigger = f"{number}.{secrets.randbelow(10**10)}.{secrets.token_hex(16)}"
        path = f"/actions/T0LOCAL000/{number}/{secrets.token_hex(12)}"
        begun = time.time() - age
        self.triggers[trigger] = {"user": user, "at": begun, "used": False}
        self.responses[path] = {"user": user, "at": begun, "left": self.ANSWERS}
        return {"trigger_id": trigger, "response_url": f"{self.url}{path}"}

    async def forget_interactions(self, _: dict[str, Any]) -> dict[str, int]:
        removed = len(self.views) + len(self.answers)
        for kept in (self.triggers, self.responses, self.views, self.answers):
            kept.clear()
        return {"removed": removed}

    async def list_views(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"views": self.views}

    async def list_answers(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"answers": self.answers}

    def open_view(self, arguments: dict[str, Any]) -> dict[str, Any]:
        trigger = self.triggers.get(str(arguments.get("trigger_id")))
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger["used"]:
            raise SlackError("exchanged_trigger_id")
        if time.time() - trigger["at"] > self.TRIGGER:
            raise SlackError("expired_trigger_id")
        view = arguments.get("view")
        if isinstance(view, str):
            try:
                view = json.loads(view)
            except ValueError:
                raise SlackError("invalid_arguments", ["[ERROR] view must be a JSON object"]) from None
        if wrong := list(_wrong_view(view)):
            raise SlackError("invalid_arguments", wrong)
        if len(json.dumps(view)) > self.VIEW_BYTES:
            raise SlackError("view_too_large")
        trigger["used"] = True
        opened = {"id": f"V{secrets.token_hex(5).upper()}", "user": trigger["user"], "view": view, "at": time.time()}
        self.views.append(opened)
        return {"view": {**view, "id": opened["id"], "team_id": "T0LOCAL000", "state": {"values": {}}, "hash": "1.a"}}

    def _answered(self, request: Request) -> Answer:
        response = self.responses.get(request.path)
        try:
            if response is None or time.time() - response["at"] > self.RESPONSE:
                raise SlackError("expired_url")
            if not response["left"]:
                raise SlackError("used_url")
            known = {"text", "blocks", "response_type", "replace_original", "delete_original", "thread_ts"}
            try:
                message = json.loads(request.body)
            except ValueError:
                raise SlackError("invalid_payload") from None
            if request.method != "POST" or not isinstance(message, dict) or set(message) - known:
                raise SlackError("invalid_payload")
            if message.get("response_type") not in (None, "ephemeral", "in_channel"):
                raise SlackError("invalid_payload")
            self._content(message)
        except SlackError as error:
            over = str(error) in ("expired_url", "used_url")
            return answer_json(404 if over else 400, {"ok": False, "error": str(error)})
        response["left"] -= 1
        url = f"{self.url}{request.path}"
        self.answers.append({"user": response["user"], "response_url": url, "message": message, "at": time.time()})
        return answer_json(200, {"ok": True})

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

    async def set_scopes(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"scopes"})
        scopes = fields.get("scopes")
        if not isinstance(scopes, list) or not all(is_text(scope) for scope in scopes):
            raise AdminError("scopes: must be a list of scopes")
        self.scopes = set(scopes)
        return {"scopes": sorted(self.scopes)}

    async def told_groups(self, _: dict[str, Any]) -> dict[str, Any]:
        groups = [{name: each[name] for name in ("id", "handle", "users")} for each in self.groups]
        return {"usergroups": groups, "restricted": self.restricted}

    async def set_groups(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"usergroups", "restricted"})
        groups, restricted = fields.get("usergroups"), fields.get("restricted", False)
        if type(restricted) is not bool:
            raise AdminError("restricted: must be true or false")
        if not isinstance(groups, list):
            raise AdminError("usergroups: must be a list")
        for group in groups:
            only(group, {"id", "handle", "users"})
            if not re.fullmatch(r"S[A-Z0-9]{2,}", str(group.get("id"))):
                raise AdminError("usergroups: each needs an id such as S0604QSJC")
            if not is_text(group.get("handle")):
                raise AdminError("usergroups: each needs a handle")
            users = group.get("users", [])
            if not isinstance(users, list) or not all(re.fullmatch(r"[UW][A-Z0-9]{2,}", str(user)) for user in users):
                raise AdminError("usergroups: users must be a list of user ids")
        now = int(time.time())
        self.groups = [{"users": [], "date_create": now, "date_update": now, **group} for group in groups]
        self.restricted = restricted
        return await self.told_groups({})

    async def set_webhook(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"active"})
        if type(fields.get("active")) is not bool:
            raise AdminError("active: must be true or false")
        self.webhook_active = fields["active"]
        return {"active": self.webhook_active}


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


def _wrong_view(view: Any):
    """Slack's error messages for a modal."""
    if not isinstance(view, dict) or view.get("type") != "modal":
        yield "[ERROR] missing required field: type [json-pointer:/view]"
        return
    known = {"type", "title", "blocks", "close", "submit", "private_metadata", "callback_id"}
    known |= {"clear_on_close", "notify_on_close", "external_id", "submit_disabled"}
    yield from (f"[ERROR] unknown field: {name} [json-pointer:/view]" for name in set(view) - known)
    for name, required in (("title", True), ("close", False), ("submit", False)):
        value = view.get(name)
        if value is None and not required:
            continue
        content = value.get("text") if isinstance(value, dict) else None
        if not isinstance(content, str) or not content or value.get("type") != "plain_text" or len(content) > 24:
            yield f"[ERROR] must be plain_text of 1 to 24 characters [json-pointer:/view/{name}]"
    for name, most in (("private_metadata", 3000), ("callback_id", 255)):
        if len(str(view.get(name, ""))) > most:
            yield f"[ERROR] must be less than {most + 1} characters [json-pointer:/view/{name}]"
    blocks = view.get("blocks")
    if not isinstance(blocks, list) or not blocks:
        yield "[ERROR] missing required field: blocks [json-pointer:/view]"
        return
    if any(isinstance(each, dict) and each.get("type") == "input" for each in blocks) and "submit" not in view:
        yield "[ERROR] must define `submit` to use an `input` block [json-pointer:/view/blocks]"
    yield from _wrong_blocks(blocks, most_blocks=100)


def _wrong_input(block: dict[str, Any], text, at_most, where: str):
    """Slack's error messages for an input block."""
    plain = ("plain_text",)
    yield from text(block.get("label"), 2000, f"{where}/label", plain)
    if "hint" in block:
        yield from text(block["hint"], 2000, f"{where}/hint", plain)
    element = block.get("element")
    kind = element.get("type") if isinstance(element, dict) else None
    pointer = f"{where}/element"
    if kind not in ("plain_text_input", "static_select", "users_select", "datetimepicker"):
        yield f"[ERROR] unsupported type: {kind} [json-pointer:{pointer}/type]"
        return
    if len(str(element.get("action_id", ""))) > 255:
        yield f"[ERROR] must be less than 256 characters [json-pointer:{pointer}/action_id]"
    most = element.get("max_length", 3000)
    if kind == "plain_text_input" and not (type(most) is int and 1 <= most <= 3000):
        yield f"[ERROR] must be between 1 and 3000 [json-pointer:{pointer}/max_length]"
    elif kind == "plain_text_input" and len(element.get("initial_value", "")) > most:
        yield f"[ERROR] must be less than {most + 1} characters [json-pointer:{pointer}/initial_value]"
    if kind != "static_select":
        return
    options = element.get("options")
    if not isinstance(options, list) or not options:
        yield f"[ERROR] missing required field: options [json-pointer:{pointer}]"
        return
    yield from at_most(options, 100, f"{pointer}/options")
    for number, option in enumerate(options):
        yield from text(option.get("text"), 75, f"{pointer}/options/{number}/text", plain)
        if not 1 <= len(str(option.get("value", ""))) <= 150:
            yield f"[ERROR] must be 1 to 150 characters [json-pointer:{pointer}/options/{number}/value]"
    if element.get("initial_option") not in (None, *options):
        yield f"[ERROR] must match one of the options [json-pointer:{pointer}/initial_option]"


def _wrong_blocks(blocks: list[Any], most_blocks: int = 50):
    """Slack's error messages for the blocks of a message or a modal."""

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

    yield from at_most(blocks, most_blocks, "/blocks")
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
        if kind == "input":
            yield from _wrong_input(block, text, at_most, where)
        elif kind == "header":
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


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> Answer:
    return status, {"content-type": "text/html", **(headers or {})}, text.encode()


def _action(_method: str, path: str) -> str:
    # Never log a webhook's path: it is a secret.
    if path.startswith("/services/"):
        return "webhook"
    if path.startswith("/actions/"):
        return "response_url"
    named = re.fullmatch(r"/api/([A-Za-z.]+)", path)
    return named[1] if named else "unknown"


def _refuse(call: Call, rule: Rule, _headers: dict[str, str]) -> Answer:
    later = {"retry-after": f"{rule.seconds:g}"} if rule.effect == "throttle" else {}
    if call.action == "webhook":
        return _plain(429, "rate_limited", later) if later else _plain(rule.status, rule.code)
    if later:
        return answer_json(429, {"ok": False, "error": "ratelimited"}, later)
    return answer_json(rule.status, {"ok": False, "error": rule.code})


def install(cloud: Cloud, servers: Servers) -> None:
    """Registers the routes, and starts the server with the cloud."""
    slack = Slack()
    cloud.route("GET", "slack/messages")(slack.list_messages)
    cloud.route("DELETE", "slack/messages")(slack.forget)
    cloud.route("POST", "slack/channels")(slack.set_channels)
    cloud.route("POST", "slack/scopes")(slack.set_scopes)
    cloud.route("GET", "slack/usergroups")(slack.told_groups)
    cloud.route("POST", "slack/usergroups")(slack.set_groups)
    cloud.route("POST", "slack/webhook")(slack.set_webhook)
    cloud.route("POST", "slack/interactions")(slack.interact)
    cloud.route("DELETE", "slack/interactions")(slack.forget_interactions)
    cloud.route("GET", "slack/views")(slack.list_views)
    cloud.route("GET", "slack/answers")(slack.list_answers)
    app = guarded(cloud, "slack", slack.handle, _action, _refuse)

    async def start() -> None:
        url = servers.listen(app, "slack")
        slack.url = url
        webhook = f"{url}{slack.webhook}"
        cloud.facts.update(slack_url=f"{url}/api", slack_token=slack.token, slack_webhook_url=webhook)

    cloud.on_start.append(start)
