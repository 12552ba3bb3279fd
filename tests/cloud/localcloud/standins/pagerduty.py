"""PagerDuty's Events API v2: one service with one integration key.

`cloud.json` has `pagerduty_url` and `pagerduty_key` (the routing key). `POST /v2/enqueue` answers 202 with `status`,
`message` and `dedup_key`, or 400 with `errors`. Sources: "Events API v2 Overview" (statuses, 512 KB) and "Send an Alert
Event" (fields, lengths, what an event does to an alert) of PagerDuty's developer documentation. The text about the
length of `routing_key` is PagerDuty's; all other texts of `errors` are assumed, as is that a key of the right length
but of no service is accepted: the API is asynchronous, and such an event is dropped.

The service `pagerduty` has the action `POST enqueue`. A fault's `throttle` is 429 without a body. Routes below /_local:

- `GET pagerduty/alerts` -> `{"alerts": {DEDUP_KEY: {status, count, opened, summary, severity}}}`: `status` is
  `triggered`, `acknowledged` or `resolved`, `count` the triggers of the newest alert with this key, `opened` how many
  alerts the key has had.
- `GET pagerduty/events` -> `{"events": [{at, dropped, body}]}`: every accepted event, without its routing key, oldest
  first; `at` is in seconds since 1970; `dropped` says that it changed nothing.
- `DELETE pagerduty` forgets both.
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from typing import Any

from localcloud.cloud import Cloud
from localcloud.faults import Answer, Call, Rule
from localcloud.standins.web import Request, Servers, answer_json, guarded, is_text

ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")
BODY, SUMMARY, KEY, ROUTING_KEY = 512 * 1024, 1024, 255, 32


def wrong(event: Any, size: int) -> list[str]:
    """What is wrong with an event; nothing if it is accepted."""
    if size > BODY:
        return ["Event exceeds the maximum size of 512 KB"]
    if not isinstance(event, dict):
        return ["Event object is not a JSON object"]
    errors = []
    if len(str(event.get("routing_key") or "")) != ROUTING_KEY:
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    action, key = event.get("event_action"), event.get("dedup_key")
    if action not in ACTIONS:
        errors.append("'event_action' is invalid (should be one of: trigger, acknowledge, resolve)")
    if key is not None and not (isinstance(key, str) and len(key) <= KEY):
        errors.append("'dedup_key' is invalid (should be a string of at most 255 characters)")
    if action in ("acknowledge", "resolve") and not key:
        errors.append("'dedup_key' is missing or blank")
    if action == "trigger":
        payload = event.get("payload")
        if not isinstance(payload, dict):
            return [*errors, "'payload' is missing or blank"]
        for name in ("summary", "source", "severity"):
            if not is_text(payload.get(name)):
                errors.append(f"'payload.{name}' is missing or blank")
        if is_text(payload.get("summary")) and len(payload["summary"]) > SUMMARY:
            errors.append("'payload.summary' is too long (maximum is 1024 characters)")
        if is_text(payload.get("severity")) and payload["severity"] not in SEVERITIES:
            errors.append("'payload.severity' is invalid (should be one of: critical, error, warning, info)")
    for name, needed in (("links", "href"), ("images", "src")):
        given = event.get(name, [])
        if not isinstance(given, list) or not all(isinstance(one, dict) and is_text(one.get(needed)) for one in given):
            errors.append(f"'{name}' is invalid (each needs '{needed}')")
    return errors


class PagerDuty:
    """One service, its alerts and the events that it accepted."""

    def __init__(self) -> None:
        self.key = secrets.token_hex(ROUTING_KEY // 2)
        self.alerts: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []

    def handle(self, request: Request) -> Answer:
        if request.path != "/v2/enqueue":
            return answer_json(404, {"error": {"message": "Not Found", "code": 2100}})
        if request.method != "POST":
            return 405, {}, b""
        try:
            event = json.loads(request.body)
        except ValueError:
            event = None
        if errors := wrong(event, len(request.body)):
            return answer_json(400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors})
        key = event.get("dedup_key") or uuid.uuid4().hex
        self._accept(key, event)
        return answer_json(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def _accept(self, key: str, event: dict[str, Any]) -> None:
        action, alert = event["event_action"], self.alerts.get(key)
        is_open = alert is not None and alert["status"] != "resolved"
        dropped = event["routing_key"] != self.key or (action != "trigger" and not is_open)
        body = {name: value for name, value in event.items() if name != "routing_key"}
        self.events.append({"at": time.time(), "dropped": dropped, "body": {**body, "dedup_key": key}})
        if dropped:
            return
        if action == "acknowledge":
            alert["status"] = "acknowledged"
        elif action == "resolve":
            alert["status"] = "resolved"
        elif is_open:
            alert["count"] += 1
        else:
            opened = alert["opened"] + 1 if alert else 1
            shown = {name: event["payload"][name] for name in ("summary", "severity")}
            self.alerts[key] = {"status": "triggered", "count": 1, "opened": opened, **shown}

    # Routes

    async def list_alerts(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"alerts": self.alerts}

    async def list_events(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"events": self.events}

    async def forget(self, _: dict[str, Any]) -> dict[str, Any]:
        removed = len(self.events)
        self.alerts.clear()
        self.events.clear()
        return {"removed": removed}


def _action(method: str, path: str) -> str:
    return f"{method} enqueue" if path == "/v2/enqueue" else "unknown"


def _refuse(_call: Call, rule: Rule, _headers: dict[str, str]) -> Answer:
    if rule.effect == "throttle":
        return 429, {"retry-after": f"{rule.seconds:g}"}, b""
    return answer_json(rule.status, {"status": rule.code, "message": rule.message, "errors": [rule.message]})


def install(cloud: Cloud, servers: Servers) -> None:
    """Registers the routes, and starts the server with the cloud."""
    pagerduty = PagerDuty()
    cloud.route("GET", "pagerduty/alerts")(pagerduty.list_alerts)
    cloud.route("GET", "pagerduty/events")(pagerduty.list_events)
    cloud.route("DELETE", "pagerduty")(pagerduty.forget)
    app = guarded(cloud, "pagerduty", pagerduty.handle, _action, _refuse)

    async def start() -> None:
        cloud.facts.update(pagerduty_url=servers.listen(app, "pagerduty"), pagerduty_key=pagerduty.key)

    cloud.on_start.append(start)
