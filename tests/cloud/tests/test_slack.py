"""Slack's stand-in answers like the service and records the messages."""

from __future__ import annotations

import json
import urllib.parse

import pytest
from conftest import http


@pytest.fixture(autouse=True)
def fresh(cloud):
    def reset():
        cloud.admin("DELETE", "faults")
        cloud.admin("DELETE", "slack/messages")
        cloud.admin("POST", "slack/channels", {"archived": []})

    reset()
    yield
    reset()


def slack(cloud, method, token=None, **arguments):
    bearer = f"Bearer {cloud.facts['slack_token'] if token is None else token}"
    status, _, body = http("POST", f"{cloud.facts['slack_url']}/{method}", arguments, authorization=bearer)
    assert status == 200
    return json.loads(body)


def posted(cloud):
    return cloud.admin("GET", "slack/messages")["messages"]


def section(text):
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def header(text):
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def test_slack_post_update_and_history(cloud):
    blocks = [header("Rotation"), section("done"), {"type": "divider"}]
    first = slack(cloud, "chat.postMessage", channel="#ops", text="one", blocks=blocks)
    second = slack(cloud, "chat.postMessage", channel="#ops", text="two", thread_ts=first["ts"])
    assert first["ok"] is True
    assert first["message"]["text"] == "one"
    assert first["ts"] < second["ts"]
    assert first["channel"] == second["channel"]
    changed = slack(cloud, "chat.update", channel=first["channel"], ts=first["ts"], text="changed")
    assert (changed["ok"], changed["ts"], changed["text"]) == (True, first["ts"], "changed")
    one, two = posted(cloud)
    assert (one["channel"], one["channel_id"], one["ts"]) == ("#ops", first["channel"], first["ts"])
    assert (one["text"], one["blocks"], one["edited"]) == ("changed", [], True)
    assert (two["text"], two["thread_ts"]) == ("two", first["ts"])
    history = slack(cloud, "conversations.history", channel=first["channel"], limit=1)
    assert [message["text"] for message in history["messages"]] == ["two"]
    assert history["has_more"] is True
    assert cloud.admin("DELETE", "slack/messages") == {"removed": 2}
    assert posted(cloud) == []


def test_slack_keeps_what_was_forgotten_and_what_was_changed(cloud):
    def kept():
        return [(each["text"], each["edited"]) for each in cloud.admin("GET", "slack/messages?all=1")["messages"]]

    before = len(kept())
    first = slack(cloud, "chat.postMessage", channel="#ops", text="one")
    slack(cloud, "chat.update", channel=first["channel"], ts=first["ts"], text="changed")
    cloud.admin("DELETE", "slack/messages")
    slack(cloud, "chat.postMessage", channel="#ops", text="two")
    assert [each["text"] for each in posted(cloud)] == ["two"]
    assert kept()[before:] == [("one", False), ("changed", True), ("two", False)]


def test_slack_takes_a_form(cloud):
    blocks = json.dumps([section("olá")])
    form = {"token": cloud.facts["slack_token"], "channel": "C0123456789", "blocks": blocks}
    kind = "application/x-www-form-urlencoded"
    url = f"{cloud.facts['slack_url']}/chat.postMessage"
    answer = json.loads(http("POST", url, urllib.parse.urlencode(form), content_type=kind)[2])
    assert answer["ok"] is True
    assert posted(cloud)[0]["blocks"] == [section("olá")]


def test_slack_checks_the_token(cloud):
    assert slack(cloud, "auth.test")["ok"] is True
    assert slack(cloud, "auth.test", token="xoxb-wrong") == {"ok": False, "error": "invalid_auth"}
    assert json.loads(http("POST", f"{cloud.facts['slack_url']}/auth.test")[2])["error"] == "not_authed"
    # Slack ignores a token in a JSON body, but not in a form.
    url, token = f"{cloud.facts['slack_url']}/auth.test", cloud.facts["slack_token"]
    assert json.loads(http("POST", url, {"token": token})[2])["error"] == "not_authed"
    assert json.loads(http("POST", f"{url}?token={token}", {})[2])["error"] == "not_authed"
    kind = "application/x-www-form-urlencoded"
    assert json.loads(http("POST", url, f"token={token}", content_type=kind)[2])["ok"] is True


def context(*elements):
    return {"type": "context", "elements": list(elements)}


def button(text):
    return {"type": "actions", "elements": [{"type": "button", "action_id": "x", "text": text}]}


LONG = "x" * 3001


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"text": "x"}, "channel_not_found"),
        ({"channel": "ops", "text": "x"}, "channel_not_found"),
        ({"channel": "#closed", "text": "x"}, "is_archived"),
        ({"channel": "#ops"}, "no_text"),
        ({"channel": "#ops", "text": "", "blocks": []}, "no_text"),
        ({"channel": "#ops", "blocks": "[{"}, "invalid_blocks_format"),
        ({"channel": "#ops", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"channel": "#ops", "blocks": [section(LONG)]}, "invalid_blocks"),
        ({"channel": "#ops", "blocks": [section("")]}, "invalid_blocks"),
        ({"channel": "#ops", "blocks": [header("x" * 151)]}, "invalid_blocks"),
        ({"channel": "#ops", "blocks": [{"type": "section", "fields": [section("f")["text"]] * 11}]}, "invalid_blocks"),
        ({"channel": "#ops", "blocks": [{"type": "unheard"}]}, "invalid_blocks"),
        ({"channel": "#ops", "blocks": [{**section("x"), "type": "header"}]}, "invalid_blocks"),
        ({"channel": "#ops", "blocks": [button({"type": "mrkdwn", "text": "x"})]}, "invalid_blocks"),
        ({"channel": "#ops", "blocks": [context({"type": "mrkdwn", "text": LONG})]}, "invalid_blocks"),
        ({"channel": "#ops", "blocks": [{"type": "divider", "block_id": "same"}] * 2}, "invalid_blocks"),
        ({"channel": "#ops", "blocks": [section(LONG[:3000])] * 5}, "msg_blocks_too_long"),
    ],
)
def test_slack_refuses(cloud, arguments, error):
    cloud.admin("POST", "slack/channels", {"archived": ["#closed"]})
    answer = slack(cloud, "chat.postMessage", **arguments)
    assert (answer["ok"], answer["error"]) == (False, error)
    assert posted(cloud) == []


def test_slack_says_where_a_block_is_wrong(cloud):
    answer = slack(cloud, "chat.postMessage", channel="#ops", blocks=[section("x"), section(LONG)])
    messages = ["[ERROR] must be less than 3001 characters [json-pointer:/blocks/1/text/text]"]
    assert answer["response_metadata"] == {"messages": messages}


def test_slack_takes_what_is_just_within_its_limits(cloud):
    said = {"type": "mrkdwn", "text": "x" * 3000}
    pressed = {"type": "plain_text", "text": "x" * 75}
    blocks = [header("x" * 150), section("x" * 3000), context(said), button(pressed)] + [{"type": "divider"}] * 46
    assert slack(cloud, "chat.postMessage", channel="#ops", blocks=blocks)["ok"] is True
    assert slack(cloud, "chat.postMessage", channel="#ops", text="x" * 40_001)["ok"] is True
    assert len(posted(cloud)[1]["text"]) == 40_000


def test_slack_refuses_other_methods_bodies_and_updates(cloud):
    assert slack(cloud, "chat.explode")["error"] == "unknown_method"
    url = f"{cloud.facts['slack_url']}/chat.postMessage"
    assert json.loads(http("POST", url, "{", content_type="application/json")[2])["error"] == "invalid_json"
    assert json.loads(http("POST", url, "x", content_type="text/plain")[2])["error"] == "invalid_post_type"
    made = slack(cloud, "chat.postMessage", channel="#ops", text="x")
    ts, channel = made["ts"], made["channel"]
    assert slack(cloud, "chat.update", channel=channel, ts="1.000001", text="x")["error"] == "message_not_found"
    assert slack(cloud, "chat.update", channel=channel, ts=ts, text="x" * 4001)["error"] == "msg_too_long"
    # Only chat.postMessage accepts a channel's name.
    assert slack(cloud, "chat.update", channel="#ops", ts=ts, text="x")["error"] == "channel_not_found"
    assert slack(cloud, "conversations.history", channel="#ops")["error"] == "channel_not_found"


def test_faults_hold_for_slack(cloud):
    url, token = f"{cloud.facts['slack_url']}/chat.postMessage", f"Bearer {cloud.facts['slack_token']}"
    start = cloud.admin("GET", "calls")["last"]
    rule = {"service": "slack", "action": "chat.postMessage"}
    cloud.admin("POST", "faults", {**rule, "effect": "error", "status": 200, "code": "internal_error"})
    cloud.admin("POST", "faults", {**rule, "effect": "throttle", "seconds": 7})
    cloud.admin("POST", "faults", {**rule, "effect": "error", "status": 503, "code": "x", "when": "after", "nth": 3})
    message = {"channel": "#ops", "text": "must-not-be-logged"}
    status, _, body = http("POST", url, message, authorization=token)
    assert (status, json.loads(body)) == (200, {"ok": False, "error": "internal_error"})
    cloud.admin("DELETE", "faults")
    cloud.admin("POST", "faults", {**rule, "effect": "throttle", "seconds": 7})
    status, headers, body = http("POST", url, message, authorization=token)
    assert (status, headers["Retry-After"], json.loads(body)["error"]) == (429, "7", "ratelimited")
    assert posted(cloud) == []
    cloud.admin("POST", "faults", {**rule, "effect": "error", "status": 503, "code": "x", "when": "after"})
    assert http("POST", url, message, authorization=token)[0] == 503
    assert len(posted(cloud)) == 1
    calls = cloud.admin("GET", f"calls?after={start}&caller=client")["calls"]
    kinds = [(call["caller"], call["action"], call["outcome"].rpartition(":")[2]) for call in calls]
    assert kinds == [("client", "chat.postMessage", effect) for effect in ("error", "throttle", "error")]
    assert "must-not" not in json.dumps(calls)


@pytest.mark.parametrize(
    ("route", "field", "body"),
    [
        ("slack/channels", "archived", {"archived": "#x"}),
        ("slack/channels", "closed", {"closed": []}),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(cloud, route, field, body):
    with pytest.raises(AssertionError, match=rf'400 {{"error": "{field}: '):
        cloud.admin("POST", route, body)
