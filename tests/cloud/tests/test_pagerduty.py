"""PagerDuty's stand-in answers like the Events API v2 and keeps alerts.

Sources: "Events API v2 Overview" and "Send an Alert Event" of PagerDuty's developer documentation.
"""

from __future__ import annotations

import json
import time

import pytest
from conftest import http


@pytest.fixture(autouse=True)
def fresh(cloud):
    def reset():
        cloud.admin("DELETE", "faults")
        cloud.admin("DELETE", "pagerduty")

    reset()
    yield
    reset()


def event(cloud, action="trigger", key="INC-1", **changes):
    payload = {"summary": "down", "source": "api", "severity": "critical"} | changes.pop("payload", {})
    made = {"routing_key": cloud.facts["pagerduty_key"], "event_action": action, "dedup_key": key, "payload": payload}
    return {name: value for name, value in (made | changes).items() if value is not None}


def send(cloud, body):
    status, _, content = http("POST", f"{cloud.facts['pagerduty_url']}/v2/enqueue", body)
    return status, json.loads(content or b"null")


def alerts(cloud):
    found = cloud.admin("GET", "pagerduty/alerts")["alerts"]
    return {key: (alert["status"], alert["count"], alert["opened"]) for key, alert in found.items()}


def test_an_alert_is_opened_once_and_opened_anew_after_its_end(cloud):
    start = time.time()
    accepted = {"status": "success", "message": "Event processed", "dedup_key": "INC-1"}
    states = []
    for action in ("trigger", "trigger", "acknowledge", "resolve", "resolve", "trigger"):
        assert send(cloud, event(cloud, action)) == (202, accepted)
        states.append(alerts(cloud)["INC-1"])
    assert states == [
        ("triggered", 1, 1),
        ("triggered", 2, 1),
        ("acknowledged", 2, 1),
        ("resolved", 2, 1),
        ("resolved", 2, 1),
        ("triggered", 1, 2),
    ]
    events = cloud.admin("GET", "pagerduty/events")["events"]
    assert [one["dropped"] for one in events] == [False] * 4 + [True, False]
    times = [one["at"] for one in events]
    whole = [start, *times, time.time()]
    assert whole == sorted(whole)
    assert cloud.facts["pagerduty_key"] not in json.dumps(events)
    assert cloud.admin("DELETE", "pagerduty") == {"removed": 6}
    assert alerts(cloud) == {}


def test_a_trigger_without_a_key_gets_one(cloud):
    keys = {send(cloud, event(cloud, key=None))[1]["dedup_key"] for _ in range(2)}
    assert len(keys) == 2
    assert set(alerts(cloud)) == keys


def test_what_belongs_to_no_alert_is_accepted_and_dropped(cloud):
    assert send(cloud, event(cloud, "resolve"))[0] == 202
    assert send(cloud, event(cloud, routing_key="x" * 32))[0] == 202
    assert alerts(cloud) == {}
    assert [one["dropped"] for one in cloud.admin("GET", "pagerduty/events")["events"]] == [True, True]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"routing_key": "short"}, "Length of 'routing_key' is incorrect (should be 32 characters)"),
        ({"routing_key": None}, "Length of 'routing_key' is incorrect (should be 32 characters)"),
        ({"event_action": "page"}, "event_action"),
        ({"event_action": None}, "event_action"),
        ({"dedup_key": "x" * 256}, "dedup_key"),
        ({"event_action": "resolve", "dedup_key": None}, "dedup_key"),
        ({"payload": {"summary": ""}}, "payload.summary"),
        ({"payload": {"summary": "x" * 1025}}, "payload.summary"),
        ({"payload": {"source": None}}, "payload.source"),
        ({"payload": {"severity": "S1"}}, "payload.severity"),
        ({"links": [{"text": "no address"}]}, "links"),
        ({"payload": {"custom_details": "x" * (512 * 1024)}}, "512 KB"),
    ],
)
def test_an_invalid_event_is_refused_with_its_fields(cloud, changes, named):
    status, answer = send(cloud, event(cloud, **changes))
    assert (status, answer["status"], answer["message"]) == (400, "invalid event", "Event object is invalid")
    assert [named in error for error in answer["errors"]] == [True]
    assert cloud.admin("GET", "pagerduty/events") == {"events": []}


def test_what_is_just_within_the_limits_is_accepted(cloud):
    body = event(cloud, key="k" * 255, payload={"summary": "x" * 1024, "custom_details": ""})
    room = 512 * 1024 - len(json.dumps(body))
    body["payload"]["custom_details"] = "x" * room
    assert send(cloud, body)[0] == 202
    assert send(cloud, json.dumps(body) + " ")[0] == 400


def test_other_bodies_and_paths_are_refused(cloud):
    assert send(cloud, "{")[0] == 400
    assert send(cloud, "[]")[0] == 400
    assert http("GET", f"{cloud.facts['pagerduty_url']}/v2/enqueue")[0] == 405
    assert http("POST", f"{cloud.facts['pagerduty_url']}/v2/change/enqueue", {})[0] == 404


def test_faults_hold_for_pagerduty(cloud):
    start = cloud.admin("GET", "calls")["last"]
    rule = {"service": "pagerduty", "action": "POST enqueue"}
    cloud.admin("POST", "faults", {**rule, "effect": "throttle", "seconds": 7})
    status, headers, _ = http("POST", f"{cloud.facts['pagerduty_url']}/v2/enqueue", event(cloud))
    assert (status, headers["Retry-After"]) == (429, "7")
    assert alerts(cloud) == {}
    cloud.admin("POST", "faults", {**rule, "effect": "error", "status": 500, "code": "error", "when": "after"})
    assert send(cloud, event(cloud))[0] == 500
    assert alerts(cloud) == {"INC-1": ("triggered", 1, 1)}
    calls = cloud.admin("GET", f"calls?after={start}&caller=client")["calls"]
    assert [(call["action"], call["changes"]) for call in calls] == [("POST enqueue", True)] * 2
