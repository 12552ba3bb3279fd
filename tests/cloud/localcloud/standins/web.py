"""HTTP servers, requests and answers shared by the stand-ins."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

from localcloud import http
from localcloud.cloud import AdminError, Cloud
from localcloud.faults import Answer, Call, Refuse, function_of

JSON = {"content-type": "application/json; charset=utf-8"}


class Request:
    """An HTTP request with its complete body."""

    def __init__(self, scope: dict[str, Any], body: bytes):
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        # Not decoded: tells a slash in a name from one between names.
        self.raw_path: str = scope["raw_path"].decode("latin-1")
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
        # A response to HEAD has the length of the omitted body; the server omits the body itself.
        # RFC 9110 forbids the field in a 204 response.
        length = [] if status == 204 else [("content-length", str(len(content)))]
        fields = [*headers.items(), *length, ("date", formatdate(usegmt=True))]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in fields]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    return app


class Server:
    """An HTTP server on a port of its own, which it keeps while it is unreachable."""

    def __init__(self, app):
        self.app = app
        self._bound = http.listener()
        self.url = f"http://127.0.0.1:{self._bound.getsockname()[1]}"
        self._start()

    def _start(self) -> None:
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(http.serve(self.app, self._bound, self._stop))

    @property
    def reachable(self) -> bool:
        return not self._stop.is_set()

    async def end(self) -> None:
        self._stop.set()
        await self._running

    async def cut(self) -> None:
        """Closes all connections and refuses new ones."""
        await self.end()
        # The server has closed the socket. A bound one that does not listen refuses, and nobody else gets the port.
        self._bound = http.bound(int(self.url.rpartition(":")[2]))

    def restore(self) -> None:
        self._bound.listen(100)
        self._start()


class Servers:
    """HTTP servers on free ports of 127.0.0.1, stopped together.

    Routes below /_local: `POST outages` `{"service": NAME, "seconds": SECONDS}` makes the servers of a service refuse
    connections, for that many real seconds or, without `seconds`, until `DELETE outages` ends all outages;
    `GET outages` -> `{"services": [NAME]}`.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._running: list[tuple[str, Server]] = []
        self._timers: list[asyncio.TimerHandle] = []
        cloud.route("GET", "outages")(self.told)
        cloud.route("POST", "outages")(self.cut)
        cloud.route("DELETE", "outages")(self.restore)

    def listen(self, app, service: str = "") -> str:
        """Starts a server and returns its URL; connections wait in the kernel until it accepts them."""
        server = Server(app)
        self._running.append((service, server))
        return server.url

    async def told(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"services": sorted({name for name, server in self._running if not server.reachable})}

    async def cut(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"service", "seconds"})
        service, seconds = fields.get("service"), fields.get("seconds")
        if not service or service not in {name for name, _ in self._running}:
            raise AdminError("service: no such stand-in")
        if seconds is not None and not (type(seconds) in (int, float) and seconds > 0):
            raise AdminError("seconds: must be a positive number of seconds")
        await asyncio.gather(*(server.cut() for name, server in self._running if name == service and server.reachable))
        if seconds is not None:
            self._timers.append(asyncio.get_running_loop().call_later(seconds, self._restore, service))
        return await self.told({})

    async def restore(self, _: dict[str, Any]) -> dict[str, Any]:
        while self._timers:
            self._timers.pop().cancel()
        ended = (await self.told({}))["services"]
        for service in ended:
            self._restore(service)
        return {"ended": ended}

    def _restore(self, service: str) -> None:
        for name, server in self._running:
            if name == service and not server.reachable:
                server.restore()

    async def end(self) -> None:
        while self._timers:
            self._timers.pop().cancel()
        await asyncio.gather(*(server.end() for _, server in self._running))


def guarded(
    cloud: Cloud,
    service: str,
    handle: Callable[[Request], Answer | Awaitable[Answer]],
    action_of: Callable[[str, str], str],
    refuse: Refuse,
):
    """The ASGI application of a service, with its calls logged and the fault rules applied."""
    return cloud.switches.guard(application(handle), described(service, action_of), refuse)


def only(fields: Any, known) -> None:
    """Rejects a value that is not a JSON object or has unknown fields."""
    if not isinstance(fields, dict):
        raise AdminError("the body must be a JSON object")
    for name in fields:
        if name not in known:
            raise AdminError(f"{name}: unknown field")


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def described(service: str, action_of: Callable[[str, str], str]):
    """Derives a call's action, for the log and the fault rules, from method and path."""

    async def describe(scope: dict[str, Any], _headers: dict[str, str], _body: bytes) -> Call:
        caller = await asyncio.to_thread(function_of, scope)
        return Call(service, action_of(scope["method"], scope["path"]), caller)

    return describe
