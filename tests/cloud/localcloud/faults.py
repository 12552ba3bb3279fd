"""A log of every call, and switches that make the Nth call of an API fail, hang, vanish or kill its caller.

A call is one request to an AWS API, to a stand-in (Slack, GitHub, Twilio, MoveONgs) or to a database: a `service`
(`secretsmanager`, `s3`, `slack`, `twilio`, `postgres`, ...), an `action` (`PutSecretValue`, `ListObjectsV2`, `Invoke`,
`chat.postMessage`, `POST AuthTokens/Secondary`, `GET /health`, `ALTER ROLE`, ...) and a `caller`
(`lambda:<function name>`, or `client`). A call's content is never stored. `dbproxy.py` describes the calls of
`postgres`. All calls of all services are in one order, so a rule for the service `*` and the action `*` of one function
counts all of its outside calls.

Routes below /_local:

- `GET calls?after=SEQ&caller=CALLER` -> `{"calls": [{seq, time, caller, service, action, changes, outcome}],
  "last": SEQ}`; both arguments are optional. `changes` is false for a read (see below). `outcome` is `ok`,
  `error:<code or HTTP status>` or `fault:<rule id>:<effect>`. An answered call is logged before its caller sees the
  answer, a struck one before it feels the effect. A call of `client` to `postgres` is logged only when a rule
  strikes it.
- `POST faults` arms a rule and answers `{"id": N}`:
    - `service`, `action` and `caller` (default `*`) are shell patterns.
    - `resource` (`*`) is a shell pattern of the ARN on which IAM evaluates an AWS call, e.g. `arn:aws:s3:::bucket` or
      `arn:aws:rds:*:db:name`; for a list of all it is `*` or `...:db:*`. Calls to other services have none. So the
      third `s3` `GetBucketVersioning` of one bucket can fail, regardless of calls for other buckets.
    - `changes`: count only calls that may change something (true), or only reads (false). A read is an action of AWS
      whose name begins with one of `READS`, or a `GET` of a stand-in.
    - `nth` (1): the first call to hit, counted from now among those that match. `count` (1): how many to hit from
      there on; 0 = all. If several rules are due, the one armed first strikes; every rule counts every call that
      it matches. Give a `caller` if others call meanwhile, such as a prober of a database.
    - `when`: `before` = the call takes no effect (default); `after` = the call is carried out and then the effect
    replaces its answer, whether it succeeded or not.
    - `effect`: `error` (the service's own form of error; needs `status` and `code`, may have `message`), `throttle`
      (the service's throttling error; `seconds` is the Retry-After of services that send one), `timeout` (no
      answer for `seconds`, then the connection closes), `slow` (the call's own answer, `seconds` late; not for
      `postgres`), `drop` (the connection closes with no answer), `kill`
      (SIGKILL to the calling process, which is dead before anything else happens; Linux only). For `postgres` the
      `code` is an SQLSTATE, without a `status`; `throttle` is 53300 (too many connections).
- `GET faults` -> `{"rules": [...]}`, each with its `id` and `hits`.
- `DELETE faults` removes all rules and ends the current timeouts.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import errno
import fnmatch
import functools
import itertools
import json
import os
import re
import signal
import socket
import struct
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.exceptions
import botocore.loaders
import ministack.app
from ministack.core import iam_actions, lambda_runtime
from ministack.core.responses import get_account_id
from ministack.core.router import detect_service, extract_access_key_id, extract_region
from ministack.services import sts

from localcloud import http
from localcloud.cloud import AdminError, Cloud

# Maximum number of calls in the log; the oldest are dropped.
LOG_LENGTH = 100_000

# Beginnings of the names of AWS's actions that only read.
READS = ("BatchGet", "Describe", "Filter", "Get", "Head", "List", "Lookup", "Query", "Scan", "Simulate")

# The number of a call that does not come.
NEVER = 10**9

# A server cannot be made to raise 00000, which means success.
SQLSTATE = re.compile(r"(?!0{5})[0-9A-Z]{5}")

Answer = tuple[int, dict[str, str], bytes]


@dataclasses.dataclass(frozen=True)
class Call:
    """A call's known facts."""

    service: str
    action: str
    caller: str
    # Determined only if a rule names a resource.
    resource: Callable[[], str] = str

    @property
    def reads(self) -> bool:
        """Whether the call certainly changes nothing."""
        return self.service != "postgres" and self.action.startswith((*READS, "GET "))


@dataclasses.dataclass(frozen=True)
class Rule:
    """An armed fault rule; the module's docstring describes the fields."""

    service: str
    action: str
    effect: str
    caller: str = "*"
    resource: str = "*"
    changes: bool | None = None
    nth: int = 1
    count: int = 1
    when: str = "before"
    status: int = 500
    code: str = ""
    message: str = "fault switched on in the local cloud"
    seconds: float = 1

    def matches(self, call: Call) -> bool:
        pairs = (call.service, self.service), (call.action, self.action), (call.caller, self.caller)
        if not all(fnmatch.fnmatchcase(value, pattern) for value, pattern in pairs):
            return False
        if self.changes is not None and self.changes == call.reads:
            return False
        return self.resource == "*" or fnmatch.fnmatchcase(call.resource(), self.resource)

    def due(self, number: int) -> bool:
        """Whether the rule hits the matching call with this number, from 1."""
        return self.nth <= number and (self.count == 0 or number < self.nth + self.count)


# (scope, headers, body) -> the request's call; None if the request is not a call.
Describe = Callable[[dict[str, Any], dict[str, str], bytes], Awaitable[Call | None]]
# (call, rule, headers) -> a rule's `error` or `throttle` in the service's own form.
Refuse = Callable[[Call, Rule, dict[str, str]], Answer]


def check(fields: dict[str, Any]) -> Rule:
    """The rule from a request's fields; refuses the first invalid field by name."""

    def text(value):
        return isinstance(value, str) and value != ""

    def whole(least, most=NEVER):
        return lambda value: type(value) is int and least <= value <= most

    def seconds(value):
        return type(value) in (int, float) and 0 < value <= 86_400

    effects = ("error", "throttle", "timeout", "slow", "drop", "kill")
    allowed = {
        "service": (text, "a text"),
        "action": (text, "a text"),
        "caller": (
            lambda value: text(value) and (value in ("*", "client") or re.fullmatch(r"lambda:.+", value)),
            "'*', 'client' or 'lambda:NAME'",
        ),
        "resource": (text, "a text"),
        "changes": (lambda value: type(value) is bool, "true or false"),
        "nth": (whole(1), "a whole number from 1"),
        "count": (whole(0), "a whole number from 0"),
        "when": (lambda value: value in ("before", "after"), "'before' or 'after'"),
        "effect": (lambda value: value in effects, f"one of {', '.join(effects)}"),
        "status": (whole(200, 599), "an HTTP status"),
        "code": (text, "a text"),
        "message": (text, "a text"),
        "seconds": (seconds, "a positive number of seconds"),
    }
    if not isinstance(fields, dict):
        raise AdminError("a rule is a JSON object")
    for name, value in fields.items():
        if name not in allowed:
            raise AdminError(f"{name}: unknown field")
        valid, wanted = allowed[name]
        if not valid(value):
            raise AdminError(f"{name}: must be {wanted}")
    effect = fields.get("effect")
    answers = ("code",) if fields.get("service") == "postgres" else ("status", "code")
    needed = {"error": answers, "timeout": ("seconds",), "slow": ("seconds",)}.get(effect, ())
    for name in ("service", "action", "effect", *needed):
        if name not in fields:
            raise AdminError(f"{name}: missing")
    used = {
        "error": {*answers, "message"},
        "throttle": {"seconds"},
        "timeout": {"seconds"},
        "slow": {"seconds"},
    }.get(effect, set())
    for name in {"status", "code", "message", "seconds"} & fields.keys():
        if name not in used:
            raise AdminError(f"{name}: has no meaning for effect {effect}")
    if effect == "error" and fields["service"] == "postgres" and not SQLSTATE.fullmatch(fields["code"]):
        raise AdminError("code: must be an SQLSTATE: five digits or capital letters, not 00000")
    if effect == "slow" and fields["service"] == "postgres":
        raise AdminError("effect: slow has no meaning for postgres")
    if effect == "kill" and not sys.platform.startswith("linux"):
        raise AdminError("effect: kill finds the calling process through /proc, which only Linux has")
    return Rule(**fields)


class Switches:
    """The rules and the log of one local cloud. Calls come on several threads, each with its own event loop."""

    def __init__(self) -> None:
        # Never held across an await.
        self._lock = threading.Lock()
        self._rules: dict[int, Rule] = {}
        self._seen: collections.Counter[int] = collections.Counter()
        self._hits: collections.Counter[int] = collections.Counter()
        self._last = 0
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._log: collections.deque[dict[str, Any]] = collections.deque(maxlen=LOG_LENGTH)
        self._sequence = 0

    async def arm(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"id": self.add(check(fields))}

    def add(self, rule: Rule) -> int:
        """Arms a rule; called on any thread. Returns its id."""
        with self._lock:
            self._last += 1
            self._rules[self._last] = rule
            return self._last

    def retire(self, number: int) -> None:
        """Lets a rule strike no more; its hits remain."""
        with self._lock:
            if number in self._rules:
                self._rules[number] = dataclasses.replace(self._rules[number], nth=NEVER)

    async def armed(self, _: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            return {
                "rules": [
                    {"id": number, **dataclasses.asdict(rule), "hits": self._hits[number]}
                    for number, rule in self._rules.items()
                ]
            }

    async def clear(self, _: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            removed = len(self._rules)
            self._rules.clear()
            for loop, cleared in self._waiting:
                loop.call_soon_threadsafe(cleared.set)
        return {"removed": removed}

    async def calls(self, arguments: dict[str, Any]) -> dict[str, Any]:
        for name in arguments.keys() - {"after", "caller"}:
            raise AdminError(f"{name}: unknown field")
        try:
            after = int(arguments.get("after", 0))
        except (TypeError, ValueError):
            raise AdminError("after: must be a whole number") from None
        caller = arguments.get("caller")
        with self._lock:
            # The log holds a whole test run, and tests poll for its newest entries.
            newest = itertools.takewhile(lambda entry: entry["seq"] > after, reversed(self._log))
            found = [entry for entry in newest if caller in (None, entry["caller"])]
            return {"calls": found[::-1], "last": self._sequence}

    def record(self, call: Call, outcome: str) -> None:
        """Logs a call with its outcome."""
        with self._lock:
            self._sequence += 1
            time = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
            about = {"caller": call.caller, "service": call.service, "action": call.action, "changes": not call.reads}
            self._log.append({"seq": self._sequence, "time": time, **about, "outcome": outcome})

    def strike(self, call: Call) -> tuple[int, Rule] | None:
        """Counts the call for every rule that it matches, and returns the rule that hits it, with its id."""
        hit = None
        with self._lock:
            for number, rule in self._rules.items():
                if rule.matches(call):
                    self._seen[number] += 1
                    if hit is None and rule.due(self._seen[number]):
                        hit = number, rule
            if hit is not None:
                self._hits[hit[0]] += 1
        return hit

    def guard(self, inner, describe: Describe, refuse: Refuse):
        """Wraps a service's ASGI application, to log its calls and apply the rules.

        The wrapper needs the server's own `send`: no other layer may be between the two.
        """

        async def guarded(scope, receive, send):
            if scope["type"] != "http":
                await inner(scope, receive, send)
                return
            read = [await receive()]
            while read[-1].get("more_body"):
                read.append(await receive())
            if read[-1]["type"] == "http.disconnect":
                return
            body = b"".join(message.get("body", b"") for message in read)
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            unread = iter(read)

            async def replay():
                return next(unread, None) or await receive()

            call = await describe(scope, headers, body)
            if call is None:
                await inner(scope, replay, send)
            elif (hit := self.strike(call)) is None:
                await self._answered(call, inner, scope, replay, send)
            else:
                number, rule = hit
                if rule.effect == "slow":
                    await self._slowly(number, rule, call, inner, scope, replay, receive, send)
                    return
                if rule.when == "after":
                    await inner(scope, replay, _discard)
                await self._effect(number, rule, call, scope, headers, receive, send, refuse)

        return guarded

    async def _answered(self, call: Call, inner, scope, receive, send) -> None:
        """Passes the call through. A successful answer streams; an error is held until its code is known."""
        held: dict[str, Any] = {}
        text = bytearray()
        logged = False

        async def record(message):
            nonlocal held, logged
            if message["type"] == "http.response.start":
                if message["status"] >= 400:
                    held = message
                    return
                self.record(call, "ok")
                logged = True
            elif held:
                text.extend(message.get("body", b""))
                if message.get("more_body"):
                    return
                self.record(call, f"error:{_error_code(held, bytes(text))}")
                logged = True
                await send(held)
                message = {"type": "http.response.body", "body": bytes(text)}
                held = {}
            await send(message)

        try:
            await inner(scope, receive, record)
        finally:
            if not logged:
                self.record(call, "error:no answer")

    async def _slowly(self, number, rule, call, inner, scope, replay, receive, send) -> None:
        """Carries the call out before or after the wait, and then answers."""
        self.record(call, f"fault:{number}:slow")
        held: list[dict[str, Any]] = []

        async def hold(message):
            held.append(message)

        if rule.when == "after":
            await inner(scope, replay, hold)
        await self.hang(rule.seconds, _left(receive))
        if rule.when == "before":
            await inner(scope, replay, hold)
        for message in held:
            await send(message)

    async def _effect(self, number, rule, call, scope, headers, receive, send, refuse) -> None:
        victims: list[int] = []
        if rule.effect == "kill":
            victims = await asyncio.to_thread(callers_of, scope)
            if not victims:
                self.record(call, f"fault:{number}:kill-failed")
                message = f"rule {number}: the calling process was not found, or it is the local cloud itself"
                failed = dataclasses.replace(rule, effect="error", status=500, code="KillFailed", message=message)
                await _send(send, scope, refuse(call, failed, headers))
                return
        self.record(call, f"fault:{number}:{rule.effect}")
        if rule.effect in ("error", "throttle"):
            await _send(send, scope, refuse(call, rule, headers))
            return
        try:
            if rule.effect == "timeout":
                await self.hang(rule.seconds, _left(receive))
            for pid in victims:
                await kill(pid)
        finally:
            # Close even if the cloud stops meanwhile: otherwise the server answers 500.
            http.drop(send)

    async def hang(self, seconds: float, left: Coroutine[Any, Any, None]) -> None:
        """Waits for the time, the rules' removal or the client's disconnection, whichever comes first."""
        cleared = asyncio.Event()
        waiting = asyncio.get_running_loop(), cleared
        with self._lock:
            self._waiting.add(waiting)
        waits = [asyncio.ensure_future(cleared.wait()), asyncio.ensure_future(left)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            with self._lock:
                self._waiting.discard(waiting)
            for wait in waits:
                wait.cancel()


async def _left(receive) -> None:
    """Returns when the client of a request has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _discard(_message) -> None:
    """The `send` of a call whose answer is discarded."""


async def _send(send, scope, answer: Answer) -> None:
    status, headers, body = answer
    if scope["method"] == "HEAD":
        body = b""
    fields = [*headers.items(), ("content-length", str(len(body)))]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _error_code(start: dict[str, Any], body: bytes) -> str:
    """The service's code in an error answer, else the HTTP status."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start.get("headers", [])}
    code: Any = headers.get("x-amzn-errortype")
    if not code:
        try:
            answer = json.loads(body)
            code = answer.get("__type") or answer.get("code")
        except (ValueError, AttributeError):
            found = re.search(rb"<Code>([\w.]+)</Code>", body)
            code = found and found[1].decode()
    name = re.fullmatch(r"(?:.*#)?([\w.]+)(?::.*)?", code) if isinstance(code, str) else None
    return name[1] if name else str(start["status"])


# The calling process, through /proc.


def callers_of(scope: dict[str, Any]) -> list[int]:
    """The processes at the other end of a request's connection: those of this user, except this one."""
    return _holders(scope, (pid for pid in _processes() if pid != os.getpid()))


def _holders(scope: dict[str, Any], pids: Iterable[int]) -> list[int]:
    """The given processes that hold the other end of a connection open."""
    if not scope.get("client") or not scope.get("server"):
        return []
    ports = scope["client"][1], scope["server"][1]
    try:
        inodes = _inodes(*ports)
    except OSError:
        # Some sandboxes lack this part of netlink.
        inodes = _listed_inodes(*ports)
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return [pid for pid in pids if wanted and not wanted.isdisjoint(_files(pid))]


NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, NLMSG_ERROR = 4, 20, 1, 2


def _inodes(own: int, peer: int) -> set[int]:
    """The inode of the socket on 127.0.0.1 with these ports, from the kernel's index of sockets.

    The list in /proc is slow to read after a prober has left thousands of closed connections.
    """
    host = socket.inet_aton("127.0.0.1").ljust(16, b"\0")
    wanted = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF)
    wanted += struct.pack(">HH", own, peer) + host + host + struct.pack("=I8s", 0, b"\xff" * 8)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(5)
        kernel.send(struct.pack("=IHHII", 16 + len(wanted), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0) + wanted)
        answer = kernel.recv(65536)
    kind, number = struct.unpack_from("=H", answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
    if kind == NLMSG_ERROR and -number == errno.ENOENT:
        return set()
    if kind != SOCK_DIAG_BY_FAMILY:
        raise OSError(-number, "netlink")
    # Without such a connection the kernel returns the listener on the first port.
    found = struct.unpack_from(">HH", answer, 20) == (own, peer)
    return {struct.unpack_from("=I", answer, 84)[0]} if found else set()


def _listed_inodes(own: int, peer: int) -> set[int]:
    """The same from the lists in /proc."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                next(lines)
                for line in lines:
                    fields = line.split()
                    if tuple(int(address.rsplit(":", 1)[1], 16) for address in fields[1:3]) == (own, peer):
                        inodes.add(int(fields[9]))
        except FileNotFoundError:
            continue
    return inodes


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return []


def _files(pid: int) -> set[str]:
    """The targets of a process's open files; none if it belongs to another user or has ended."""
    targets = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                targets.add(os.readlink(entry.path))
    return targets


def function_of(scope: dict[str, Any]) -> str:
    """The caller without AWS credentials: `lambda:<name>` for a process of this cloud's functions, else `client`.

    Cheap: it checks only the functions' own processes, and nothing while none run.
    """
    with lambda_runtime._lock:
        workers = [worker for pool in lambda_runtime._workers.values() for worker in pool]
    functions = {process.pid: worker.config["FunctionName"] for worker in workers if (process := worker._proc)}
    found = _holders(scope, functions) if functions else []
    return f"lambda:{functions[found[0]]}" if found else "client"


async def kill(pid: int) -> None:
    """Kills a process, and returns when all of its threads have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    while not _dead(pid):
        await asyncio.sleep(0.001)


def _dead(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            state = stat.read().rpartition(")")[2].split()[0]
        return state in "ZX" and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


# AWS.


async def describe(scope: dict[str, Any], headers: dict[str, str], body: bytes) -> Call | None:
    """A request's AWS call; None for ministack's own routes and the data planes that it serves by path."""
    method, path = scope["method"], scope["path"]
    if path.startswith("/_"):
        return None
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    parameters = query
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        parameters = {**parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True), **query}
    service = detect_service(method, path, headers, parameters)
    raw_path = scope["raw_path"].decode("latin-1")
    if service == "s3" and path.startswith(ministack.app._S3_CONTROL_PREFIX):
        service = "s3control"
    if ministack.app._parse_lambda_url(headers.get("host", ""), path):
        service, action = "lambda", "InvokeFunctionUrl"
    elif target := headers.get("x-amz-target"):
        action = target.rpartition(".")[2]
    elif named := re.fullmatch(r"/service/\w+/operation/(\w+)", path):
        action = named[1]
    elif service != "s3" and parameters.get("Action"):
        action = parameters["Action"][0]
    else:
        if service == "s3" and (bucket := ministack.app._extract_s3_vhost_bucket(headers.get("host", ""))):
            raw_path = f"/{bucket}{raw_path}"
        action = _rest_operation(service, method, raw_path, query, headers) or method
    key = extract_access_key_id(headers, query)
    # A function may use a user's key, which does not identify the function.
    caller = await asyncio.to_thread(function_of, scope) if key.startswith("AKIA") else _aws_caller(key)

    def resource() -> str:
        of = raw_path if service == "s3" else path
        region, account = extract_region(headers, query), get_account_id()
        try:
            return iam_actions.extract_resource_arn(
                service, method, unquote(of), headers, body, parameters, region, account
            )
        except ValueError:
            # The service will refuse this body.
            return "*"

    return Call(service, action, caller, resource)


def _aws_caller(access_key: str) -> str:
    session = sts._sessions.get(access_key)
    # ministack gives a function's role a session without expiry, named after the function; all others expire.
    if session is None or "Expiration" in session or ":assumed-role/" not in session["Arn"]:
        return "client"
    return f"lambda:{session['Arn'].rpartition('/')[2]}"


def _rest_operation(service: str, method: str, path: str, query: dict, headers: dict[str, str]) -> str | None:
    for operation, verb, pattern, wanted_query, wanted_headers in _rest_routes(service):
        if (
            verb == method
            and pattern.fullmatch(path)
            and all(key in query and value in ("", query[key][0]) for key, value in wanted_query.items())
            and wanted_headers <= headers.keys()
        ):
            return operation
    return None


@functools.cache
def _rest_routes(service: str) -> list[tuple[str, str, re.Pattern[str], dict[str, str], set[str]]]:
    """The operations of a REST service from the AWS SDK's model, the most specific first."""
    routes = []
    for name in iam_actions._BOTOCORE_SERVICE_MAP.get(service, [service]):
        try:
            model = botocore.loaders.Loader().load_service_model(name, "service-2")
        except botocore.exceptions.UnknownServiceError:
            continue
        if not model["metadata"]["protocol"].startswith("rest"):
            continue
        for operation, details in model["operations"].items():
            path, _, fixed = details["http"]["requestUri"].partition("?")
            pattern = "".join(_pattern(part) for part in re.split(r"(\{[^}]+\})", path.rstrip("/")))
            query = dict(part.partition("=")[::2] for part in fixed.split("&") if part)
            shape = model["shapes"][details["input"]["shape"]] if "input" in details else {}
            members = [shape["members"][member] for member in shape.get("required", [])]
            query.update({m["locationName"]: "" for m in members if m.get("location") == "querystring"})
            wanted = {m["locationName"].lower() for m in members if m.get("location") == "header"}
            literal = len(re.sub(r"\{[^}]+\}", "", path))
            order = (-literal, -len(query) - len(wanted), details.get("deprecated", False))
            routes.append((order, (operation, details["http"]["method"], re.compile(pattern + "/?"), query, wanted)))
    return [route for _, route in sorted(routes, key=lambda entry: entry[0])]


def _pattern(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    return ".+" if part.endswith("+}") else "[^/]+"


# Services whose throttling error differs from their protocol's.
_THROTTLING = {
    "s3": (503, "SlowDown"),
    "ec2": (503, "RequestLimitExceeded"),
    "lambda": (429, "TooManyRequestsException"),
    "sesv2": (429, "TooManyRequestsException"),
}


def _is_ses_v2(call: Call, headers: dict[str, str]) -> bool:
    """SES has two interfaces; only the first one accepts forms."""
    return call.service == "ses" and not headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def refuse(call: Call, rule: Rule, headers: dict[str, str]) -> Answer:
    """An AWS service's error answer, in the protocol of the request."""
    status, code, message = rule.status, rule.code, rule.message
    service = "sesv2" if _is_ses_v2(call, headers) else call.service
    if rule.effect == "throttle":
        by_protocol = (400, "Throttling" if call.service in iam_actions._SERVICE_PROTOCOL else "ThrottlingException")
        status, code = _THROTTLING.get(service, by_protocol)
        message = "Rate exceeded"
    request_id = str(uuid.uuid4())
    _, reply, body = iam_actions.access_denied_response(
        service, call.action, "", request_id, error_code=code, message=message, headers=headers
    )
    return status, {**reply, "x-amzn-requestid": request_id, "x-amz-request-id": request_id}, body


def install(cloud: Cloud, app):
    """Registers the routes and wraps ministack's application; `cloud.switches` lets the stand-ins do the same."""
    switches = cloud.switches = Switches()
    cloud.route("POST", "faults")(switches.arm)
    cloud.route("GET", "faults")(switches.armed)
    cloud.route("DELETE", "faults")(switches.clear)
    cloud.route("GET", "calls")(switches.calls)
    return switches.guard(app, describe, refuse)
