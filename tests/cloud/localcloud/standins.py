"""Slack, GitHub and the MoveONgs API, as HTTP servers on free ports of 127.0.0.1; the fault switches hold for all.

`cloud.json` tells `slack_url` (the Web API's base), `slack_token`, `github_url`, `github_token`, `moveongs_url`,
`moveongs_jwt_secret`, `moveongs_user` (`email`, `password`) and `moveongs_attachment` (`id`, `checksum`).

Slack: `chat.postMessage`, `chat.update`, `conversations.history` and `auth.test`, with the errors and limits of the
real service. Every channel exists whose name begins with `#` or looks like a channel's id. Routes below /_local:

- `GET slack/messages` -> `{"messages": [{channel, channel_id, ts, text, blocks, thread_ts, edited}]}`, oldest first.
- `GET slack/messages?all=1` -> the same of every post and every update since the cloud started, one entry each.
- `DELETE slack/messages` forgets them, but not for `all=1`.
- `POST slack/channels` `{"archived": ["#name", ...]}`: the archived channels from now on.

GitHub: one repository, `moveongs/governance` until told otherwise, with the real service's statuses, bodies and limits.
Issues: list (by label and state, in pages with a Link header), open, read, change, comments. Files: the repository,
branches (read, make, move), a file's contents (read, commit), pull requests (list, open). Secrets of Actions, of the
repository and of environments (`githubsecrets.py`): public key, write, read (without the value). Their actions in the
log are `GET /actions/secrets/public-key`, `PUT /actions/secrets/{name}`, `GET /actions/secrets/{name}`, and the same
with `/environments/secrets`. A fault's `throttle` is the secondary rate limit. Routes below /_local:

- `GET github/issues` -> `{"issues": [{number, title, body, state, state_reason, labels, comments}]}`, by number; a
  comment is its text.
- `POST github/issues` puts one there as a person would: `title`, and may have `body`, `labels`, `state`.
- `DELETE github/issues` forgets them all; numbers go on.
- `GET github/repository` -> `{"default_branch", "branches": {name: {path: text}}, "pulls": [{number, title, body,
  state, merged, head, base}]}`, by number; head and base are branches.
- `POST github/pulls/merge` `{"number"}` merges an open pull request as a person would; its files win.
- `DELETE github/repository` forgets branches, files and pull requests; `main` has a README.md again. Numbers go on.
- `GET github/secrets` -> `{"secrets": [{scope, name, value, created_at, updated_at}]}`, oldest first, with the plain
  value; the scope is `repository` or `environment:NAME`. For a test only: nothing else tells a value.
- `POST github/secrets` puts one there as a person would: `name`, `value`, and may have `scope` (`repository`) and
  `updated_at`, as GitHub writes it.
- `DELETE github/secrets` forgets them all.
- `POST github/secrets/keys` `{}` replaces the key pairs: another `key_id`, and 422 for the former.
- `POST github/config` changes what it names: `repository` (owner/name), `issues` (false: switched off, 410),
  `may_write` (false: the token lacks the permission for issues, 403), `may_write_contents` (false: that for branches,
  files and pull requests), `may_write_secrets` (false: that for secrets), `may_label` (false: labels of new issues are
  silently dropped), `environments` (the names of those that are there; `staging` and `production` unless told),
  `lose_secret_writes` (true: a written secret is answered as usual, but not kept), `stale_keys` (before so many writes
  of secrets from now on the key pairs are replaced), `remaining` (calls until the primary rate limit; -1: no end) and
  `reset_seconds` (from the refusal until it is over).

MoveONgs: GET and HEAD /health, POST /auth/login and /auth/refresh, GET /auth/me, /beneficiaries and
/attachments/{id}[?download=1], with the application's statuses, bodies and defects. It is one process, or the tasks of
an ECS service (`ecs.py`), which answer in turns, each with the JWT_SECRET that it started with. Where a task has a
DATABASE_URL, what reads the database opens a connection of `client` with it first, verified against `rds_ca`, and
refresh tokens are in its table `auth_refresh_tokens`. Has that database a table `users` with a row of the very e-mail,
a login checks the password against its bcrypt `password_hash`, and refuses a user that is not `is_active`; all such
users are administrators here. Anyone else is the configured user. Other rows are not in the database. Limit: the
application finds the row in capitals too. Routes below /_local:

- `POST moveongs/config` changes what it names: `jwt_secret` (below 32 characters the application does not start, as the
  real one), `masking` (RESPONSE_MASKING_ENABLED), `down`, `mfa` (the user has a second factor), `attachment_missing`
  (the file is gone, its row is there), `rate_limit` (requests a minute, before --time-scale; 0: no limit; each path
  counts, /health too, as all that comes through a load balancer has one address), `user` (`email`, `password`),
  `service` (`cluster`, `service`: its running tasks answer, and `jwt_secret` is for those that have none; null: one
  process). It answers the names that are set.
- `GET moveongs/requests` -> `{"requests": [{method, path, status}]}`, never a token, a query or a body.
- `DELETE moveongs/requests` forgets them.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import inspect
import json
import re
import secrets
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlencode

import bcrypt
import psycopg
from hypercorn.asyncio import serve
from hypercorn.config import Config
from psycopg import sql
from psycopg.rows import dict_row

from localcloud.cloud import AdminError, Cloud
from localcloud.faults import Answer, Call, Rule, function_of
from localcloud.githubsecrets import REPOSITORY, ActionsSecrets, Refused, checked_name

JSON = {"content-type": "application/json; charset=utf-8"}


class Request:
    """A whole HTTP request."""

    def __init__(self, scope: dict[str, Any], body: bytes):
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.body = body

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def bearer(self) -> str | None:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None


def answer_json(status: int, value: Any, headers: dict[str, str] | None = None) -> Answer:
    return status, {**JSON, **(headers or {})}, json.dumps(value, separators=(",", ":")).encode()


def application(handle: Callable[[Request], Answer | Awaitable[Answer]]):
    """The ASGI application that answers every request with `handle`."""

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        answer = handle(Request(scope, body))
        status, headers, content = await answer if inspect.isawaitable(answer) else answer
        # A HEAD answer tells the length of the body that it lacks; hypercorn leaves the body out.
        # An answer of 204 may not tell one.
        length = [] if status == 204 else [("content-length", str(len(content)))]
        fields = [*headers.items(), *length, ("date", formatdate(usegmt=True))]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in fields]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    return app


class Servers:
    """HTTP servers on free ports of 127.0.0.1, which end together."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._running: list[asyncio.Task] = []

    def listen(self, app) -> str:
        """Starts a server and returns its URL; connections wait in the kernel until it accepts them."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        port = listener.getsockname()[1]
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.graceful_timeout = 1
        config.errorlog = "-"
        self._running.append(asyncio.create_task(serve(app, config, shutdown_trigger=self._stop.wait)))
        return f"http://127.0.0.1:{port}"

    async def end(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._running)


class Slack:
    """Slack's Web API and what was posted to it."""

    MESSAGE_TEXT = 40_000
    UPDATE_TEXT = 4_000
    # Not documented; measured at 13,172 to 13,297 by others.
    ALL_BLOCKS = 13_200

    def __init__(self) -> None:
        self.token = f"xoxb-local-{secrets.token_hex(16)}"
        self.messages: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []
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
            # Beside a JSON body Slack takes the token from the header alone.
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
        """The channel's name or id as given, and its id; most methods take no names."""
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
        self.taken.append(dict(message))
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
        self.taken.append(dict(message))
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

    async def told(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"messages": self.taken if arguments.get("all") == "1" else self.messages}

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
    """One of Slack's error codes, and what it says about the blocks."""

    def __init__(self, code: str, details: list[str] | None = None):
        super().__init__(code)
        self.details = details


def _texts(value: Any):
    """Every text of the blocks that a person reads."""
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
    """What Slack refuses in a message's blocks, in its words."""

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


class GitHubError(Exception):
    """An answer of GitHub that is an error."""

    def __init__(self, status: int, message: str, errors: list[Any] | None = None, headers: dict | None = None):
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
        if errors:
            self.body["errors"] = errors


SECRETS = re.compile(r"/(?:actions|environments/(?P<environment>.+))/secrets/(?P<name>[^/]+)")


class GitHub:
    """One repository, its issues, files and secrets, as GitHub's REST API of the version 2022-11-28 has them."""

    BODY = 65_536
    TITLE = 256
    DEFAULT = "main"

    def __init__(self) -> None:
        self.token = f"github_pat_{secrets.token_hex(11)}_{secrets.token_hex(29)}"
        self.url = ""
        self.settings: dict[str, Any] = {
            "repository": "moveongs/governance",
            "issues": True,
            "may_write": True,
            "may_write_contents": True,
            "may_write_secrets": True,
            "may_label": True,
            "environments": ["staging", "production"],
            "lose_secret_writes": False,
            "stale_keys": 0,
            "remaining": -1,
            "reset_seconds": 3600,
        }
        self.issues: dict[int, dict[str, Any]] = {}
        self.secrets = ActionsSecrets()
        # The number of the newest issue or pull request: they are counted together.
        self._last = 0
        self._clear()

    def _clear(self) -> None:
        # Each commit's files, and its parents.
        self.commits: dict[str, tuple[dict[str, str], list[str]]] = {}
        self.branches: dict[str, str] = {}
        self.pulls: dict[int, dict[str, Any]] = {}
        self._commit(self.DEFAULT, {"README.md": "# governance\n"}, [])

    def handle(self, request: Request) -> Answer:
        try:
            return self._route(request)
        except Refused as error:
            return answer_json(error.status, GitHubError(error.status, str(error)).body)
        except GitHubError as error:
            return answer_json(error.status, error.body, error.headers)

    def _route(self, request: Request) -> Answer:
        if not request.headers.get("user-agent"):
            raise GitHubError(403, "Request forbidden by administrative rules. Please make sure to have a User-Agent")
        if request.headers.get("x-github-api-version", "2022-11-28") != "2022-11-28":
            raise GitHubError(400, "X-GitHub-Api-Version is not a supported version")
        if not hmac.compare_digest((request.bearer or "").encode(), self.token.encode()):
            raise GitHubError(401, "Bad credentials" if request.bearer else "Requires authentication")
        if self.settings["remaining"] == 0:
            reset = int(time.time()) + self.settings["reset_seconds"]
            left = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}
            raise GitHubError(403, "API rate limit exceeded for user ID 1.", headers=left)
        self.settings["remaining"] -= self.settings["remaining"] > 0
        found = re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", request.path)
        if not found or found[1].lower() != self.settings["repository"].lower():
            raise GitHubError(404, "Not Found")
        rest = found[2] or ""
        if found := SECRETS.fullmatch(rest):
            return self._route_secrets(request, found["environment"], found["name"])
        found = re.fullmatch(r"(/issues)(?:/(\d+)(/comments)?)?", rest)
        if not found:
            return self._route_files(request, rest)
        if not self.settings["issues"]:
            raise GitHubError(410, "Issues has been disabled in this repository.")
        if request.method != "GET" and not self.settings["may_write"]:
            raise GitHubError(403, "Resource not accessible by personal access token")
        if found[2] is None:
            routes = {"GET": self._list, "POST": self._open}
            return self._served(routes, request)
        issue = self.issues.get(int(found[2]))
        if issue is None:
            raise GitHubError(404, "Not Found")
        if found[3]:
            routes = {"GET": self._comments, "POST": self._comment}
        else:
            routes = {"GET": lambda _, issue: answer_json(200, self._shown(issue)), "PATCH": self._change}
        return self._served(routes, request, issue)

    def _route_secrets(self, request: Request, environment: str | None, name: str) -> Answer:
        if environment is not None and environment not in self.settings["environments"]:
            raise GitHubError(404, "Not Found")
        scope = REPOSITORY if environment is None else f"environment:{environment}"
        if request.method == "GET":
            status, value = self.secrets.public_key(scope) if name == "public-key" else self.secrets.read(scope, name)
        elif request.method == "PUT":
            if not self.settings["may_write_secrets"]:
                raise GitHubError(403, "Resource not accessible by personal access token")
            given = self._json(request)
            if self.settings["stale_keys"] > 0:
                self.settings["stale_keys"] -= 1
                self.secrets.replace_keys()
            status, value = self.secrets.write(scope, name, given, self.settings["lose_secret_writes"])
        else:
            raise GitHubError(404, "Not Found")
        return (status, {}, b"") if value is None else answer_json(status, value)

    def _route_files(self, request: Request, path: str) -> Answer:
        routes = {
            "": {"GET": self._describe},
            "/git/ref/heads/(.+)": {"GET": self._ref},
            "/git/refs": {"POST": self._add_ref},
            r"/compare/(.+)\.\.\.(.+)": {"GET": self._compare},
            "/git/refs/heads/(.+)": {"PATCH": self._move_ref},
            "/contents/(.+)": {"GET": self._file, "PUT": self._put_file},
            "/pulls": {"GET": self._list_pulls, "POST": self._open_pull},
        }
        for pattern, methods in routes.items():
            if found := re.fullmatch(pattern, path):
                if request.method != "GET" and not self.settings["may_write_contents"]:
                    raise GitHubError(403, "Resource not accessible by personal access token")
                return self._served(methods, request, *found.groups())
        raise GitHubError(404, "Not Found")

    @staticmethod
    def _served(routes: dict[str, Callable], request: Request, *rest) -> Answer:
        if request.method not in routes:
            raise GitHubError(404, "Not Found")
        return routes[request.method](request, *rest)

    @staticmethod
    def _json(request: Request) -> dict[str, Any]:
        try:
            given = json.loads(request.body)
        except ValueError:
            raise GitHubError(400, "Problems parsing JSON") from None
        if not isinstance(given, dict):
            raise GitHubError(400, "Body should be a JSON object")
        return given

    def _list(self, request: Request) -> Answer:
        query = request.query
        state = query.get("state", "open")
        if state not in ("open", "closed", "all"):
            raise GitHubError(422, "Validation Failed", [{"resource": "Issue", "field": "state", "code": "invalid"}])
        labels = set(filter(None, query.get("labels", "").split(",")))
        found = [
            issue
            for issue in self.issues.values()
            if state in ("all", issue["state"]) and labels <= set(issue["labels"])
        ]
        if query.get("direction", "desc") == "desc":
            found.reverse()
        number = int(query["page"]) if query.get("page", "").isdigit() else 1
        size = min(int(query["per_page"]), 100) if query.get("per_page", "").isdigit() else 30
        pages = max(-(-len(found) // size), 1)
        links = [("prev", number - 1), ("next", number + 1), ("last", pages), ("first", 1)]
        there = [
            f'<{self.url}{request.path}?{urlencode({**query, "page": page})}>; rel="{name}"'
            for name, page in links
            if 1 <= page <= pages and page != number
        ]
        page = [self._shown(issue) for issue in found[(number - 1) * size : number * size]]
        return answer_json(200, page, {"link": ", ".join(there)} if there else {})

    def _open(self, request: Request) -> Answer:
        given = self._json(request)
        self._check(given, needs_title=True)
        labels = given.get("labels", []) if self.settings["may_label"] else []
        return answer_json(201, self._shown(self._add(given["title"], given.get("body"), labels)))

    def _add(self, title: str, body: str | None, labels: list[str], state: str = "open") -> dict[str, Any]:
        self._last += 1
        issue = {"number": self._last, "title": title, "body": body, "state": state, "state_reason": None}
        self.issues[self._last] = {**issue, "labels": list(labels), "comments": []}
        return self.issues[self._last]

    def _check(self, given: dict[str, Any], *, needs_title: bool) -> None:
        def wrong(field: str, code: str) -> GitHubError:
            return GitHubError(422, "Validation Failed", [{"resource": "Issue", "field": field, "code": code}])

        title = given.get("title")
        if (needs_title or "title" in given) and not (isinstance(title, str) and title.strip()):
            raise wrong("title", "missing_field")
        if len(title or "") > self.TITLE:
            raise wrong("title", "custom")
        if not isinstance(given.get("body"), str | None):
            raise GitHubError(422, "Invalid request.\n\nFor 'properties/body', it is not a string.")
        if len(given.get("body") or "") > self.BODY:
            raise wrong("body", "custom")
        if given.get("state", "open") not in ("open", "closed"):
            raise wrong("state", "invalid")
        if given.get("state_reason") not in (None, "completed", "not_planned", "duplicate", "reopened"):
            raise wrong("state_reason", "invalid")

    def _change(self, request: Request, issue: dict[str, Any]) -> Answer:
        given = self._json(request)
        self._check(given, needs_title=False)
        issue.update({key: given[key] for key in ("title", "body", "state", "state_reason", "labels") if key in given})
        return answer_json(200, self._shown(issue))

    def _comments(self, _: Request, issue: dict[str, Any]) -> Answer:
        return answer_json(200, [{"id": number, "body": text} for number, text in enumerate(issue["comments"])])

    def _comment(self, request: Request, issue: dict[str, Any]) -> Answer:
        text = self._json(request).get("body")
        if not isinstance(text, str) or not text.strip():
            code = [{"resource": "IssueComment", "field": "body", "code": "missing_field"}]
            raise GitHubError(422, "Validation Failed", code)
        issue["comments"].append(text)
        return answer_json(201, {"id": len(issue["comments"]) - 1, "body": text})

    def _shown(self, issue: dict[str, Any]) -> dict[str, Any]:
        number = issue["number"]
        return {
            **issue,
            "id": 1_000_000 + number,
            "node_id": f"I_{number}",
            "html_url": f"https://github.com/{self.settings['repository']}/issues/{number}",
            "user": {"login": "governance", "type": "User"},
            "labels": [{"name": name, "color": "ededed"} for name in issue["labels"]],
            "comments": len(issue["comments"]),
        }

    def _commit(self, branch: str, files: dict[str, str], parents: list[str]) -> str:
        sha = secrets.token_hex(20)
        self.commits[sha] = files, parents
        self.branches[branch] = sha
        return sha

    def _files(self, branch: str) -> dict[str, str]:
        return self.commits[self.branches[branch]][0]

    def _history(self, sha: str) -> set[str]:
        """The commit and all before it."""
        found, left = set(), [sha]
        while left:
            found.add(sha := left.pop())
            left += self.commits[sha][1]
        return found

    def _has_commits(self, pull: dict[str, Any]) -> bool:
        """Whether the head has commits that the base has not."""
        return self.branches[pull["head"]] not in self._history(self.branches[pull["base"]])

    def _describe(self, _: Request) -> Answer:
        name = self.settings["repository"]
        return answer_json(200, {"full_name": name, "default_branch": self.DEFAULT, "private": True})

    def _shown_ref(self, status: int, branch: str) -> Answer:
        pointed = {"type": "commit", "sha": self.branches[branch]}
        return answer_json(status, {"ref": f"refs/heads/{branch}", "object": pointed})

    def _ref(self, _: Request, branch: str) -> Answer:
        if branch not in self.branches:
            raise GitHubError(404, "Not Found")
        return self._shown_ref(200, branch)

    def _compare(self, _: Request, base: str, head: str) -> Answer:
        """Of two commits or branches; https://docs.github.com/en/rest/commits/commits#compare-two-commits."""
        base, head = (self.branches.get(name, name) for name in (base, head))
        if base not in self.commits or head not in self.commits:
            raise GitHubError(404, "Not Found")
        ahead, behind = (len(self._history(one) - self._history(other)) for one, other in ((head, base), (base, head)))
        status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
        counts = {"ahead_by": ahead, "behind_by": behind, "total_commits": ahead, "commits": []}
        return answer_json(200, {"status": status.get((ahead > 0, behind > 0), "diverged"), **counts})

    def _texts(self, request: Request, *names: str) -> list[str]:
        given = self._json(request)
        for name in names:
            if not isinstance(given.get(name), str):
                raise GitHubError(422, f'Invalid request.\n\n"{name}" wasn\'t supplied.')
        return [given[name] for name in names]

    def _add_ref(self, request: Request) -> Answer:
        ref, sha = self._texts(request, "ref", "sha")
        branch = ref.removeprefix("refs/heads/")
        if branch == ref:
            raise GitHubError(422, "Reference name must start with 'refs/heads/'")
        if branch in self.branches:
            raise GitHubError(422, "Reference already exists")
        if sha not in self.commits:
            raise GitHubError(422, "Object does not exist")
        self.branches[branch] = sha
        return self._shown_ref(201, branch)

    def _move_ref(self, request: Request, branch: str) -> Answer:
        (sha,) = self._texts(request, "sha")
        if branch not in self.branches:
            raise GitHubError(422, "Reference does not exist")
        if sha not in self.commits:
            raise GitHubError(422, "Object does not exist")
        if self.branches[branch] not in self._history(sha) and self._json(request).get("force") is not True:
            raise GitHubError(422, "Update is not a fast forward")
        self.branches[branch] = sha
        for pull in self.pulls.values():
            # A pull request that is left without a commit is closed.
            if pull["state"] == "open" and pull["head"] == branch and not self._has_commits(pull):
                pull["state"] = "closed"
        return self._shown_ref(200, branch)

    def _file(self, request: Request, path: str) -> Answer:
        ref = request.query.get("ref", self.DEFAULT)
        commit = self.commits.get(self.branches.get(ref, ref))
        if commit is None:
            raise GitHubError(404, f"No commit found for the ref {ref}")
        if path not in commit[0]:
            raise GitHubError(404, "Not Found")
        content = base64.b64encode(commit[0][path].encode()).decode()
        lines = "".join(f"{content[at : at + 60]}\n" for at in range(0, len(content), 60))
        return answer_json(200, {**_blob(path, commit[0][path]), "encoding": "base64", "content": lines})

    def _put_file(self, request: Request, path: str) -> Answer:
        message, content = self._texts(request, "message", "content")
        given = self._json(request)
        branch = given.get("branch", self.DEFAULT)
        if branch not in self.branches:
            raise GitHubError(404, f"Branch {branch} not found")
        try:
            text = base64.b64decode(content, validate=True).decode()
        except ValueError:
            raise GitHubError(422, "content is not valid Base64") from None
        files = self._files(branch)
        # The sha that is given for a file that is not there is ignored, as by the real one.
        if path in files and "sha" not in given:
            raise GitHubError(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
        if path in files and given["sha"] != _blob(path, files[path])["sha"]:
            raise GitHubError(409, f"{path} does not match {given['sha']}")
        sha = self._commit(branch, {**files, path: text}, [self.branches[branch]])
        made = {"content": _blob(path, text), "commit": {"sha": sha, "message": message}}
        return answer_json(200 if path in files else 201, made)

    def _list_pulls(self, request: Request) -> Answer:
        query = request.query
        state, head = query.get("state", "open"), query.get("head", "")
        owner = self.settings["repository"].partition("/")[0]
        found = [
            self._shown_pull(pull)
            for pull in reversed(self.pulls.values())
            if state in ("all", pull["state"])
            and query.get("base", pull["base"]) == pull["base"]
            # A head without its owner is ignored, as by the real one.
            and (":" not in head or head == f"{owner}:{pull['head']}")
        ]
        return answer_json(200, found[: int(query.get("per_page", 30))])

    def _open_pull(self, request: Request) -> Answer:
        def wrong(**error: str) -> GitHubError:
            return GitHubError(422, "Validation Failed", [{"resource": "PullRequest", **error}])

        given = self._json(request)
        self._check(given, needs_title=True)
        owner = self.settings["repository"].partition("/")[0]
        given["head"] = str(given.get("head", "")).removeprefix(f"{owner}:")
        for field in ("base", "head"):
            if given.get(field) not in self.branches:
                raise wrong(field=field, code="invalid")
        pull = {"number": self._last + 1, **{key: given.get(key) for key in ("title", "body", "head", "base")}}
        for other in self.pulls.values():
            if (other["state"], other["head"], other["base"]) == ("open", pull["head"], pull["base"]):
                raise wrong(code="custom", message=f"A pull request already exists for {owner}:{pull['head']}.")
        if not self._has_commits(pull):
            raise wrong(code="custom", message=f"No commits between {pull['base']} and {pull['head']}")
        self._last += 1
        self.pulls[self._last] = {**pull, "state": "open", "merged": False}
        return answer_json(201, self._shown_pull(self.pulls[self._last]))

    def _shown_pull(self, pull: dict[str, Any]) -> dict[str, Any]:
        name = self.settings["repository"]

        def side(branch: str) -> dict[str, Any]:
            label = f"{name.partition('/')[0]}:{branch}"
            return {"ref": branch, "label": label, "repo": {"full_name": name}}

        url = f"https://github.com/{name}/pull/{pull['number']}"
        return {**pull, "html_url": url, "head": side(pull["head"]), "base": side(pull["base"])}

    async def repository(self, _: dict[str, Any]) -> dict[str, Any]:
        branches = {branch: self._files(branch) for branch in self.branches}
        return {"default_branch": self.DEFAULT, "branches": branches, "pulls": list(self.pulls.values())}

    async def merge(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"number"})
        pull = self.pulls.get(fields.get("number"))
        if pull is None or pull["state"] != "open":
            raise AdminError("number: no open pull request")
        head, base = pull["head"], pull["base"]
        parents = [self.branches[base], self.branches[head]]
        self._commit(base, {**self._files(base), **self._files(head)}, parents)
        pull.update(state="closed", merged=True)
        return {"merged": pull["number"]}

    async def forget_repository(self, _: dict[str, Any]) -> dict[str, Any]:
        removed = len(self.pulls)
        self._clear()
        return {"removed": removed}

    async def told(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"issues": list(self.issues.values())}

    async def put(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"title", "body", "labels", "state"})
        if not _is_text(fields.get("title")):
            raise AdminError("title: must be a text")
        issue = self._add(fields["title"], fields.get("body"), fields.get("labels", []), fields.get("state", "open"))
        return {"number": issue["number"]}

    async def forget(self, _: dict[str, Any]) -> dict[str, Any]:
        removed = len(self.issues)
        self.issues.clear()
        return {"removed": removed}

    async def configure(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, self.settings)
        for name, value in fields.items():
            kind = type(self.settings[name])
            if type(value) is not kind:
                raise AdminError(f"{name}: must be a {kind.__name__}")
        if not all(map(_is_text, fields.get("environments", []))):
            raise AdminError("environments: must be a list of names")
        self.settings.update(fields)
        return {"set": sorted(fields)}

    async def told_secrets(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"secrets": self.secrets.told()}

    async def put_secret(self, fields: dict[str, Any]) -> dict[str, Any]:
        fields = {"scope": REPOSITORY, **fields} if isinstance(fields, dict) else fields
        only(fields, {"scope", "name", "value", "updated_at"})
        if not all(_is_text(fields.get(name)) for name in ("scope", "name", "value")):
            raise AdminError("scope, name and value must be texts")
        environments = [f"environment:{name}" for name in self.settings["environments"]]
        if fields["scope"] not in (REPOSITORY, *environments):
            raise AdminError("scope: must be repository or environment:NAME of one that is there")
        try:
            name = checked_name(fields["name"])
        except Refused as error:
            raise AdminError(f"name: {error}") from None
        at = fields.get("updated_at")
        if at is not None and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(at)):
            raise AdminError("updated_at: must be a time as 2026-01-02T03:04:05Z")
        self.secrets.put(fields["scope"], name, fields["value"], at)
        return {"scope": fields["scope"], "name": name}

    async def forget_secrets(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"removed": self.secrets.forget()}

    async def replace_keys(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, ())
        self.secrets.replace_keys()
        return {}


def _blob(path: str, text: str) -> dict[str, Any]:
    """A file as the contents API names it; its sha is git's."""
    content = text.encode()
    sha = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return {"type": "file", "path": path, "name": path.rpartition("/")[2], "size": len(content), "sha": sha}


class HttpError(Exception):
    """An answer of the application that is an error."""

    def __init__(self, status: int, message: str, details: Any = None, headers: dict | None = None):
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = {"message": message, **({"details": details} if details else {})}


@dataclasses.dataclass(frozen=True)
class Process:
    """What a process of the application read when it started."""

    jwt_secret: str = dataclasses.field(repr=False)
    database_url: str | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class User:
    """Who is logged in."""

    id: str
    name: str
    email: str
    role: str

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "email": self.email,
            "roles": [{"slug": self.role, "projectId": None}],
            "permissions": [
                {"key": "beneficiaries:read", "resource": "beneficiaries", "action": "read", "scope": None},
                {"key": "attachments:read", "resource": "attachments", "action": "read", "scope": None},
            ],
        }


class MoveONgs:
    """The application under governance, as far as a governance function calls it."""

    TOKEN_SECONDS = 86_400
    REFRESH_SECONDS = 86_400
    REUSE_SECONDS = 300
    BENEFICIARIES = 30
    READERS = ("admin", "coordenacao", "tecnica", "educadora", "recepcao", "financeiro")
    READING = ("beneficiaries:read", "beneficiaries:read:own")
    TABLE = """
    CREATE TABLE IF NOT EXISTS auth_refresh_tokens (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id uuid NOT NULL, token_hash text NOT NULL UNIQUE,
      expires_at timestamptz NOT NULL, revoked_at timestamptz, created_at timestamptz NOT NULL DEFAULT now())
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.settings: dict[str, Any] = {
            "jwt_secret": secrets.token_urlsafe(36),
            "masking": False,
            "down": False,
            "mfa": False,
            "attachment_missing": False,
            "rate_limit": 0,
            "user": {"email": "smoke@moveongs.local", "password": secrets.token_urlsafe(18)},
            "service": None,
        }
        self.requests: collections.deque[dict[str, Any]] = collections.deque(maxlen=10_000)
        # When the minute of the rate limit began, and the requests in it.
        self._minute = (0.0, 0)
        # By the SHA-256 of the token, as the application keeps them: the time of expiry, and of its use. With a
        # database, only of tokens that were used.
        self._refresh: dict[str, dict[str, float | None]] = {}
        # Two at once would make the table twice, of which the server refuses one.
        self._making = asyncio.Lock()
        self.attachment_id = "4f9c1f5e-5a49-4a5e-9c35-6f1d0d1f7a11"
        self._file = b"%PDF-1.4\n% an attachment of the local cloud\n%%EOF\n"
        self.checksum = hashlib.sha256(self._file).hexdigest()

    def _process(self) -> Process | None:
        """The process that answers the next request; None if none runs."""
        own, service = self.settings["jwt_secret"], self.settings["service"]
        if self.settings["down"]:
            return None
        if service is None:
            return Process(own) if len(own) >= 32 else None
        found = self.cloud.rollouts.next_environment(service["cluster"], service["service"])
        return None if found is None else Process(found.get("JWT_SECRET", own), found.get("DATABASE_URL"))

    async def handle(self, request: Request) -> Answer:
        trace = {"x-request-id": request.headers.get("x-request-id") or str(uuid.uuid4())}
        process = self._process()
        if process is None:
            # What the load balancer answers when no task is healthy.
            page = b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
            status, headers, body = 503, {"content-type": "text/html"}, page
        else:
            try:
                self._count()
                status, headers, body = await self._route(request, process)
            except HttpError as error:
                status, headers, body = answer_json(error.status, self._masked(error.body), error.headers)
            headers = {**headers, **trace}
        self.requests.append({"method": request.method, "path": request.path, "status": status})
        return status, headers, body

    def _count(self) -> None:
        """Counts a request; the application's error handler knows no rate limit, and answers 500 with its headers."""
        most, (began, count) = self.settings["rate_limit"], self._minute
        length = 60 * self.cloud.time_scale
        if time.monotonic() - began >= length:
            began, count = time.monotonic(), 0
        self._minute = (began, count + 1)
        if most and count >= most:
            left = {"x-ratelimit-limit": f"{most}", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"}
            raise HttpError(500, "Internal server error", headers={"retry-after": "60", **left})

    async def _route(self, request: Request, process: Process) -> Answer:
        at = f"{'GET' if request.method == 'HEAD' else request.method} {request.path}"
        if at == "GET /health":
            return answer_json(200, {"status": "ok"})
        routes = {
            "POST /auth/login": self.login,
            "POST /auth/refresh": self.refresh,
            "GET /auth/me": self.me,
            "GET /beneficiaries": self.beneficiaries,
        }
        if route := routes.get(at):
            status, value = await route(request, process)
            return answer_json(status, self._masked(value))
        if found := re.fullmatch(r"GET /attachments/([^/]+)", at):
            return await self.attachment(request, process, found[1])
        message = f"Route {request.method}:{request.path} not found"
        return answer_json(404, {"message": message, "error": "Not Found", "statusCode": 404})

    def _masked(self, value: Any, key: str = "") -> Any:
        """What RESPONSE_MASKING_ENABLED leaves of an answer: every `token` and `secret` is made unreadable."""
        if not self.settings["masking"]:
            return value
        if isinstance(value, dict):
            return {name: self._masked(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [self._masked(each, key) for each in value]
        if isinstance(value, str) and re.search("token|secret", key, re.IGNORECASE):
            return "*" * max(len(value) - 4, 0) + value[-4:]
        return value

    def _json(self, request: Request) -> Any:
        # The application knows no client error here: a body that it cannot read is 500.
        try:
            if request.media_type != "application/json":
                raise ValueError
            return json.loads(request.body)
        except ValueError:
            raise HttpError(500, "Internal server error") from None

    @contextlib.asynccontextmanager
    async def _database(self, process: Process) -> AsyncIterator[psycopg.AsyncConnection | None]:
        """A new connection, as the pool opens when it has none idle; None without a DATABASE_URL."""
        if process.database_url is None:
            yield None
            return
        try:
            database = await psycopg.AsyncConnection.connect(
                process.database_url,
                autocommit=True,
                sslmode="verify-full",
                sslrootcert=self.cloud.facts["rds_ca"],
                connect_timeout=10,
            )
            async with database:
                yield database
        except psycopg.Error:
            raise HttpError(500, "Internal server error") from None

    async def _table(self, database: psycopg.AsyncConnection) -> None:
        # Even IF NOT EXISTS asks for the right to create, which only the owner of the schema has.
        async with self._making:
            found = await database.execute("SELECT to_regclass('auth_refresh_tokens')")
            if (await found.fetchone())[0] is None:
                await database.execute(self.TABLE)

    async def login(self, request: Request, process: Process) -> tuple[int, dict[str, Any]]:
        given = self._json(request)
        email, password = (given.get("email"), given.get("password")) if isinstance(given, dict) else (None, None)
        wrong = {}
        if not isinstance(email, str) or not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
            wrong["email"] = ["Invalid email"]
        if not isinstance(password, str) or len(password) < 6:
            wrong["password"] = ["String must contain at least 6 character(s)"]
        if wrong:
            raise HttpError(400, "Invalid credentials", {"formErrors": [], "fieldErrors": wrong})
        async with self._database(process) as database:
            user = await self._logged_in(database, email, password)
            if user is None:
                raise HttpError(401, "Invalid credentials")
            if self.settings["mfa"]:
                return 202, {
                    "mfaRequired": True,
                    "challengeId": str(uuid.uuid4()),
                    "methods": ["totp"],
                    "expiresAt": _iso(time.time() + 300),
                }
            return 200, await self._session(process, database, user)

    async def _logged_in(self, database: psycopg.AsyncConnection | None, email: str, password: str) -> User | None:
        # Addresses are stored as given and compared in lower case.
        row = await self._row(database, "lower(email) = lower(%s)", email)
        if row is None:
            return self._configured() if self.settings["user"] == {"email": email, "password": password} else None
        if not row["is_active"]:
            return None
        right = await asyncio.to_thread(_is_password, password, row["password_hash"])
        return _user(row) if right else None

    async def _row(self, database: psycopg.AsyncConnection | None, where: str, value: str) -> dict[str, Any] | None:
        """A user of the database by a condition."""
        if database is None:
            return None
        found = await database.execute("SELECT to_regclass('users')")
        if (await found.fetchone())[0] is None:
            return None
        asked = sql.SQL("SELECT id, name, email, password_hash, is_active FROM users WHERE {}")
        cursor = database.cursor(row_factory=dict_row)
        await cursor.execute(asked.format(sql.SQL(where)), [value])
        return await cursor.fetchone()

    async def refresh(self, request: Request, process: Process) -> tuple[int, dict[str, Any]]:
        given = self._json(request)
        token = given.get("refreshToken") if isinstance(given, dict) else None
        if not isinstance(token, str):
            raise HttpError(401, "Unauthorized")
        async with self._database(process) as database:
            now, known = time.time(), self._refresh.get(_digest(token))
            user: User | None = self._configured()
            if known and known["used"] is not None and now - known["used"] <= self.REUSE_SECONDS:
                raise HttpError(409, "Refresh token already rotated")
            if database is None:
                valid = known is not None and known["used"] is None and known["expires"] >= now
            else:
                user = await self._redeemed(database, token)
                valid = user is not None
            if not valid:
                raise HttpError(401, "Unauthorized")
            self._refresh[_digest(token)] = {"expires": now, "used": now}
            return 200, await self._session(process, database, user)

    async def _redeemed(self, database: psycopg.AsyncConnection, token: str) -> User | None:
        """Takes a token of the database out of use; None if it is not valid, or no longer."""
        await self._table(database)
        ended = await database.execute(
            "UPDATE auth_refresh_tokens SET revoked_at = now() "
            "WHERE token_hash = %s AND revoked_at IS NULL AND expires_at > now() RETURNING user_id",
            [_digest(token)],
        )
        redeemed = await ended.fetchone()
        if redeemed is None:
            return None
        row = await self._row(database, "id = %s", redeemed[0])
        return _user(row) if row else self._configured()

    async def _session(self, process: Process, database: psycopg.AsyncConnection | None, user: User) -> dict[str, Any]:
        now = time.time()
        refresh = secrets.token_urlsafe(48)
        if database is None:
            self._refresh[_digest(refresh)] = {"expires": now + self.REFRESH_SECONDS, "used": None}
        else:
            await self._table(database)
            await database.execute(
                "INSERT INTO auth_refresh_tokens (user_id, token_hash, expires_at) VALUES (%s, %s, to_timestamp(%s))",
                [user.id, _digest(refresh), now + self.REFRESH_SECONDS],
            )
        claims = {
            "sub": user.id,
            "email": user.email,
            "name": user.name,
            "roles": [user.role],
            "projectScopes": [],
            "permissions": [each["key"] for each in user.shown()["permissions"]],
            "iat": int(now),
            "exp": int(now) + self.TOKEN_SECONDS,
        }
        return {
            "token": jwt(claims, process.jwt_secret),
            "refreshToken": refresh,
            "refreshTokenExpiresAt": _iso(now + self.REFRESH_SECONDS),
            "user": user.shown(),
        }

    def _configured(self) -> User:
        email = self.settings["user"]["email"]
        return User("0b1f7f0e-6c3e-4b7e-8f0a-2f6c9d0e5a01", "Smoke", email, "leitura_externa")

    def _authenticated(self, request: Request, process: Process) -> dict[str, Any]:
        claims = jwt_claims(request.bearer or "", process.jwt_secret)
        if claims is None:
            raise HttpError(401, "Unauthorized")
        return claims

    async def me(self, request: Request, process: Process) -> tuple[int, dict[str, Any]]:
        claims = self._authenticated(request, process)
        user = self._configured()
        if set(claims) >= {"sub", "name", "email", "roles"}:
            user = User(claims["sub"], claims["name"], claims["email"], claims["roles"][0])
        return 200, {"user": user.shown()}

    async def beneficiaries(self, request: Request, process: Process) -> tuple[int, dict[str, Any]]:
        claims = self._authenticated(request, process)
        roles, permissions = (claims.get(name) or [] for name in ("roles", "permissions"))
        if not (any(role in roles for role in self.READERS) or any(each in permissions for each in self.READING)):
            raise HttpError(403, "Insufficient permissions")
        page, wrong = {}, {}
        for name, default, least in (("limit", 25, 1), ("offset", 0, 0)):
            given = request.query.get(name, str(default))
            if not re.fullmatch(r"-?\d{1,9}", given):
                wrong[name] = ["Expected number, received nan"]
            elif int(given) < least:
                wrong[name] = [f"Number must be greater than or equal to {least}"]
            else:
                page[name] = int(given)
        if wrong:
            raise HttpError(400, "Invalid query", {"formErrors": [], "fieldErrors": wrong})
        async with self._database(process):
            pass
        limit, offset = page["limit"], page["offset"]
        rows = [
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"beneficiary {number}")),
                "code": f"B{number:04d}",
                "fullName": f"Pessoa {number}",
                "birthDate": None,
                "cpf": None,
                "phone1": None,
                "createdAt": "2025-01-02T03:04:05.000Z",
                "updatedAt": "2025-01-02T03:04:05.000Z",
                "vulnerabilities": [],
            }
            for number in range(offset, min(offset + min(limit, 100), self.BENEFICIARIES))
        ]
        return 200, {"data": rows, "meta": {"limit": limit, "offset": offset, "count": len(rows)}}

    async def attachment(self, request: Request, process: Process, name: str) -> Answer:
        self._authenticated(request, process)
        try:
            uuid.UUID(name)
        except ValueError:
            raise HttpError(400, "Invalid params") from None
        async with self._database(process):
            pass
        if name != self.attachment_id:
            raise HttpError(404, "Attachment not found")
        if request.query.get("download") in ("1", "true"):
            if self.settings["attachment_missing"]:
                raise HttpError(500, "Internal server error")
            return (
                200,
                {"content-type": "application/pdf", "content-disposition": 'attachment; filename="a.pdf"'},
                self._file,
            )
        row = {
            "id": name,
            "ownerType": "beneficiary",
            "ownerId": str(uuid.uuid5(uuid.NAMESPACE_OID, "beneficiary 0")),
            "filePath": f"s3://moveongs-local-attachments/{uuid.uuid5(uuid.NAMESPACE_OID, 'file')}.pdf",
            "fileName": "a.pdf",
            "mimeType": "application/pdf",
            "sizeBytes": str(len(self._file)),
            "checksum": self.checksum,
            "uploadedBy": None,
            "createdAt": "2025-01-02T03:04:05.000Z",
            "scanStatus": "skipped",
        }
        return answer_json(200, self._masked({"attachment": row}))

    async def configure(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, self.settings)
        for name, value in fields.items():
            if name == "service":
                named = isinstance(value, dict) and set(value) == {"cluster", "service"}
                if value is not None and not (named and all(map(_is_text, value.values()))):
                    raise AdminError("service: must be null, or have cluster and service, and nothing else")
                continue
            kind = type(self.settings[name])
            if type(value) is not kind:
                raise AdminError(f"{name}: must be a {kind.__name__}")
            if name == "user" and (set(value) != {"email", "password"} or not all(map(_is_text, value.values()))):
                raise AdminError("user: must have email and password, and nothing else")
        self.settings.update(fields)
        if "rate_limit" in fields:
            self._minute = (time.monotonic(), 0)
        return {"set": sorted(fields)}

    async def asked(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"requests": list(self.requests)}

    async def forget(self, _: dict[str, Any]) -> dict[str, Any]:
        removed = len(self.requests)
        self.requests.clear()
        return {"removed": removed}


def only(fields: Any, known) -> None:
    """Refuses what is not a JSON object of the known fields."""
    if not isinstance(fields, dict):
        raise AdminError("the body must be a JSON object")
    for name in fields:
        if name not in known:
            raise AdminError(f"{name}: unknown field")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _iso(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _user(row: dict[str, Any]) -> User:
    return User(str(row["id"]), row["name"], row["email"], "admin")


def _is_password(password: str, kept: str) -> bool:
    """As the application's library compares: a text of another length is no hash, and bytes after 72 are ignored."""
    if len(kept) != 60:
        return False
    try:
        return bcrypt.checkpw(password.encode()[:72], kept.encode())
    except ValueError:
        raise HttpError(500, "Internal server error") from None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _signature(signed: str, secret: str) -> str:
    return _base64url(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


def jwt(claims: dict[str, Any], secret: str) -> str:
    """An access token: HS256, as the application issues it."""
    parts = [json.dumps(part, separators=(",", ":")).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = ".".join(map(_base64url, parts))
    return f"{signed}.{_signature(signed, secret)}"


def jwt_claims(token: str, secret: str) -> dict[str, Any] | None:
    """The claims of a token that this secret signed and that has not expired."""
    signed, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(signed, secret).encode()):
        return None
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in signed.split("."))
        return claims if header["alg"] == "HS256" and claims["exp"] > time.time() else None
    except (ValueError, KeyError, TypeError):
        return None


def described(service: str, action_of: Callable[[str, str], str]):
    """Tells the calls of a stand-in, for the log and the fault switches, by method and path."""

    async def describe(scope: dict[str, Any], _headers: dict[str, str], _body: bytes) -> Call:
        caller = await asyncio.to_thread(function_of, scope)
        return Call(service, action_of(scope["method"], scope["path"]), caller)

    return describe


def _slack_action(_method: str, path: str) -> str:
    # Any other path is not told: that of an incoming webhook is a secret.
    named = re.fullmatch(r"/api/([A-Za-z.]+)", path)
    return named[1] if named else "unknown"


def _slack_refuse(_call: Call, rule: Rule, _headers: dict[str, str]) -> Answer:
    if rule.effect == "throttle":
        return answer_json(429, {"ok": False, "error": "ratelimited"}, {"retry-after": f"{rule.seconds:g}"})
    return answer_json(rule.status, {"ok": False, "error": rule.code})


def _github_action(method: str, path: str) -> str:
    found = re.fullmatch(r"/repos/[^/]+/[^/]+(/git/refs?|/contents|/pulls|/compare)?(/.*)?", path)
    if found and (found[1] or not found[2]):
        return f"{method} {found[1] or '/'}"
    found = re.fullmatch(r"/repos/[^/]+/[^/]+(/.+)", path)
    if found and (secret := SECRETS.fullmatch(found[1])):
        # Of a path nothing is told that a caller chose.
        name = "public-key" if secret["name"] == "public-key" else "{name}"
        return f"{method} /{'environments' if secret['environment'] else 'actions'}/secrets/{name}"
    found = re.fullmatch(r"/repos/[^/]+/[^/]+/issues(/\d+)?(/comments)?", path)
    if not found:
        return f"{method} unknown"
    return f"{method} /issues{'/{n}' if found[1] else ''}{found[2] or ''}"


def _github_refuse(_call: Call, rule: Rule, _headers: dict[str, str]) -> Answer:
    if rule.effect == "throttle":
        said = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        return answer_json(403, {"message": said}, {"retry-after": f"{rule.seconds:g}"})
    return answer_json(rule.status, {"message": rule.message})


def _moveongs_action(method: str, path: str) -> str:
    path = re.sub(r"^/attachments/[^/]+$", "/attachments/{id}", path)
    known = ("/health", "/auth/login", "/auth/refresh", "/auth/me", "/beneficiaries", "/attachments/{id}")
    return f"{method} {path if path in known else 'unknown'}"


def _moveongs_refuse(_call: Call, rule: Rule, _headers: dict[str, str]) -> Answer:
    if rule.effect == "throttle":
        # The application answers 500 to a client that exceeds its rate.
        return answer_json(500, {"message": "Internal server error"}, {"retry-after": f"{rule.seconds:g}"})
    return answer_json(rule.status, {"message": rule.message})


def install(cloud: Cloud) -> None:
    """Registers the routes, and starts and stops the servers with the cloud."""
    slack, github, moveongs = Slack(), GitHub(), MoveONgs(cloud)
    cloud.route("GET", "slack/messages")(slack.told)
    cloud.route("DELETE", "slack/messages")(slack.forget)
    cloud.route("POST", "slack/channels")(slack.set_channels)
    cloud.route("GET", "github/issues")(github.told)
    cloud.route("POST", "github/issues")(github.put)
    cloud.route("DELETE", "github/issues")(github.forget)
    cloud.route("GET", "github/repository")(github.repository)
    cloud.route("DELETE", "github/repository")(github.forget_repository)
    cloud.route("POST", "github/pulls/merge")(github.merge)
    cloud.route("GET", "github/secrets")(github.told_secrets)
    cloud.route("POST", "github/secrets")(github.put_secret)
    cloud.route("DELETE", "github/secrets")(github.forget_secrets)
    cloud.route("POST", "github/secrets/keys")(github.replace_keys)
    cloud.route("POST", "github/config")(github.configure)
    cloud.route("POST", "moveongs/config")(moveongs.configure)
    cloud.route("GET", "moveongs/requests")(moveongs.asked)
    cloud.route("DELETE", "moveongs/requests")(moveongs.forget)
    guard = cloud.switches.guard
    slack_app = guard(application(slack.handle), described("slack", _slack_action), _slack_refuse)
    github_app = guard(application(github.handle), described("github", _github_action), _github_refuse)
    moveongs_app = guard(application(moveongs.handle), described("moveongs", _moveongs_action), _moveongs_refuse)
    servers = Servers()

    async def start() -> None:
        moveongs_url = servers.listen(moveongs_app)
        github.url = servers.listen(github_app)
        cloud.facts.update(
            slack_url=f"{servers.listen(slack_app)}/api",
            slack_token=slack.token,
            github_url=github.url,
            github_token=github.token,
            moveongs_url=moveongs_url,
            moveongs_jwt_secret=moveongs.settings["jwt_secret"],
            moveongs_user=moveongs.settings["user"],
            moveongs_attachment={"id": moveongs.attachment_id, "checksum": moveongs.checksum},
        )

    cloud.on_start.append(start)
    cloud.on_stop.append(servers.end)
