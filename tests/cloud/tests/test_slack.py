"""Slack's stand-in answers like the service and records the messages."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.parse

import pytest
from conftest import http, wait_for

SCOPES = ["chat:write", "channels:history", "usergroups:read", "usergroups:write"]


@pytest.fixture(autouse=True)
def fresh(cloud):
    def reset():
        cloud.admin("DELETE", "faults")
        cloud.admin("DELETE", "slack/messages")
        cloud.admin("DELETE", "outages")
        cloud.admin("POST", "slack/channels", {"archived": []})
        cloud.admin("POST", "slack/scopes", {"scopes": SCOPES})
        cloud.admin("POST", "slack/usergroups", {"usergroups": []})
        cloud.admin("POST", "slack/webhook", {"active": True})
        cloud.admin("DELETE", "slack/interactions")

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
    second = slack(cloud, "chat.postMessage", channel="#ops", text="two")
    assert first["ok"] is True
    assert first["message"]["text"] == "one"
    assert first["ts"] < second["ts"]
    assert first["channel"] == second["channel"]
    changed = slack(cloud, "chat.update", channel=first["channel"], ts=first["ts"], text="changed")
    assert (changed["ok"], changed["ts"], changed["text"]) == (True, first["ts"], "changed")
    one, two = posted(cloud)
    assert (one["channel"], one["channel_id"], one["ts"]) == ("#ops", first["channel"], first["ts"])
    assert (one["text"], one["blocks"], one["edited"]) == ("changed", [], True)
    assert (two["text"], two["thread_ts"]) == ("two", None)
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
        ("slack/scopes", "scopes", {"scopes": "chat:write"}),
        ("slack/usergroups", "usergroups", {"usergroups": [{"id": "x", "handle": "h"}]}),
        ("slack/usergroups", "restricted", {"usergroups": [], "restricted": 1}),
        ("slack/webhook", "active", {"active": "no"}),
        ("outages", "service", {"service": "nobody"}),
        ("outages", "seconds", {"service": "slack", "seconds": 0}),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(cloud, route, field, body):
    with pytest.raises(AssertionError, match=rf'400 {{"error": "{field}: '):
        cloud.admin("POST", route, body)


def metadata(incident):
    return {"event_type": "incident", "event_payload": {"incident": incident, "version": 3}}


# chat.postMessage, chat.update, conversations.history and "Using message metadata" of docs.slack.dev.
def test_metadata_is_kept_replaced_removed_and_shown_on_request(cloud):
    post = slack(cloud, "chat.postMessage", channel="#ops", text="x", metadata=metadata("INC-1"))
    channel, ts = post["channel"], post["ts"]
    assert post["message"]["metadata"] == metadata("INC-1")

    def shown(**arguments):
        (message,) = slack(cloud, "conversations.history", channel=channel, **arguments)["messages"]
        return message.get("metadata")

    assert shown(include_all_metadata=True) == metadata("INC-1")
    assert shown() == {"event_type": "incident"}
    # An update without the field retains the metadata; an empty object removes it.
    slack(cloud, "chat.update", channel=channel, ts=ts, text="y")
    assert shown(include_all_metadata=True) == metadata("INC-1")
    slack(cloud, "chat.update", channel=channel, ts=ts, text="y", metadata=metadata("INC-2"))
    assert shown(include_all_metadata=True) == metadata("INC-2")
    slack(cloud, "chat.update", channel=channel, ts=ts, text="y", metadata={})
    assert shown(include_all_metadata=True) is None


@pytest.mark.parametrize(
    "wrong",
    [
        "{",
        [],
        {"event_type": "incident"},
        {"event_type": "a b", "event_payload": {}},
        {"event_type": "x", "event_payload": 1},
    ],
)
def test_metadata_of_another_form_is_refused(cloud, wrong):
    answer = slack(cloud, "chat.postMessage", channel="#ops", text="x", metadata=wrong)
    assert answer == {"ok": False, "error": "invalid_metadata_format"}
    assert posted(cloud) == []


def test_a_reply_needs_its_message_and_is_not_in_the_history(cloud):
    first = slack(cloud, "chat.postMessage", channel="#ops", text="first")
    channel, ts = first["channel"], first["ts"]
    assert slack(cloud, "chat.postMessage", channel=channel, text="reply", thread_ts=ts)["message"]["thread_ts"] == ts
    (message,) = slack(cloud, "conversations.history", channel=channel)["messages"]
    assert (message["text"], message["thread_ts"]) == ("first", ts)
    for elsewhere, thread in ((channel, "1.000001"), ("#other", ts)):
        answer = slack(cloud, "chat.postMessage", channel=elsewhere, text="x", thread_ts=thread)
        assert answer == {"ok": False, "error": "thread_not_found"}
    assert [each["thread_ts"] for each in posted(cloud)] == [None, ts]


def test_a_history_has_bounds(cloud):
    posts = [slack(cloud, "chat.postMessage", channel="#ops", text=text) for text in ("a", "b", "c")]
    channel, (_, second, third) = posts[0]["channel"], [each["ts"] for each in posts]

    def texts(**arguments):
        return [
            each["text"] for each in slack(cloud, "conversations.history", channel=channel, **arguments)["messages"]
        ]

    assert texts(oldest=second) == ["c"]
    assert texts(oldest=second, inclusive=True) == ["c", "b"]
    assert texts(latest=third) == ["b", "a"]
    assert texts(oldest=f"{int(time.time()) - 3600}.000000") == ["c", "b", "a"]
    for name in ("oldest", "latest"):
        answer = slack(cloud, "conversations.history", channel=channel, **{name: "yesterday"})
        assert answer["error"] == f"invalid_ts_{name}"
    assert slack(cloud, "conversations.history", channel=channel, limit=1000)["error"] == "invalid_limit"


def test_posts_and_updates_are_listed_in_order_with_their_times(cloud):
    start = time.time()
    first = slack(cloud, "chat.postMessage", channel="#ops", text="one")
    slack(cloud, "chat.postMessage", channel="#ops", text="two")
    slack(cloud, "chat.update", channel=first["channel"], ts=first["ts"], text="changed")
    kept = cloud.admin("GET", "slack/messages?all=1")["messages"][-3:]
    assert [each["text"] for each in kept] == ["one", "two", "changed"]
    times = [each["at"] for each in kept]
    whole = [start, *times, time.time()]
    assert whole == sorted(whole)


def test_a_method_needs_its_scope(cloud):
    cloud.admin("POST", "slack/scopes", {"scopes": ["chat:write"]})
    answer = slack(cloud, "conversations.history", channel="C0123456789")
    needed = {"needed": "channels:history", "provided": "chat:write"}
    assert answer == {"ok": False, "error": "missing_scope", **needed}
    assert slack(cloud, "usergroups.users.update", usergroup="S0604QSJC", users="U060R4BJ4")["error"] == "missing_scope"
    assert slack(cloud, "auth.test")["ok"] is True


# usergroups.list, usergroups.users.list and usergroups.users.update of docs.slack.dev.
def test_user_groups_are_listed_and_their_members_replaced(cloud):
    group = {"id": "S0604QSJC", "handle": "plantao", "users": ["U060R4BJ4"]}
    cloud.admin("POST", "slack/usergroups", {"usergroups": [group]})
    (listed,) = slack(cloud, "usergroups.list")["usergroups"]
    assert (listed["id"], listed["handle"], listed["date_delete"]) == ("S0604QSJC", "plantao", 0)
    assert "users" not in listed
    assert slack(cloud, "usergroups.list", include_users=True)["usergroups"][0]["users"] == ["U060R4BJ4"]
    answer = slack(cloud, "usergroups.users.update", usergroup="S0604QSJC", users="U060RNRCZ,W0123ABCD")
    assert (answer["usergroup"]["users"], answer["usergroup"]["user_count"]) == (["U060RNRCZ", "W0123ABCD"], 2)
    assert slack(cloud, "usergroups.users.list", usergroup="S0604QSJC")["users"] == ["U060RNRCZ", "W0123ABCD"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"usergroup": "S0000000X", "users": "U060R4BJ4"}, "no_such_subteam"),
        ({"users": "U060R4BJ4"}, "missing_argument"),
        ({"usergroup": "S0604QSJC"}, "no_users_provided"),
        # All members cannot be removed: a group needs one, or has to be disabled.
        ({"usergroup": "S0604QSJC", "users": ""}, "no_users_provided"),
        ({"usergroup": "S0604QSJC", "users": "ana"}, "invalid_users"),
        ({"usergroup": "S0604QSJC", "users": ["U060R4BJ4"]}, "invalid_array_arg"),
    ],
)
def test_a_wrong_change_of_a_user_group_is_refused(cloud, arguments, error):
    group = {"id": "S0604QSJC", "handle": "plantao", "users": ["U060R4BJ4"]}
    cloud.admin("POST", "slack/usergroups", {"usergroups": [group]})
    assert slack(cloud, "usergroups.users.update", **arguments) == {"ok": False, "error": error}
    assert cloud.admin("GET", "slack/usergroups") == {"usergroups": [group], "restricted": False}


def test_user_groups_that_only_administrators_may_change(cloud):
    group = {"id": "S0604QSJC", "handle": "plantao", "users": ["U060R4BJ4"]}
    cloud.admin("POST", "slack/usergroups", {"usergroups": [group], "restricted": True})
    answer = slack(cloud, "usergroups.users.update", usergroup="S0604QSJC", users="U060RNRCZ")
    assert answer == {"ok": False, "error": "permission_denied"}
    assert slack(cloud, "usergroups.users.list", usergroup="S0604QSJC")["users"] == ["U060R4BJ4"]
    assert slack(cloud, "usergroups.users.list", usergroup="S0604QSJD")["error"] == "no_such_subteam"


def webhook(cloud, body, path="", **headers):
    status, headers, content = http("POST", cloud.facts["slack_webhook_url"] + path, body, **headers)
    return status, content.decode()


# "Sending messages using incoming webhooks" of docs.slack.dev.
def test_a_webhook_answers_in_words(cloud):
    assert webhook(cloud, {"text": "one", "blocks": [section("one")]}) == (200, "ok")
    (message,) = posted(cloud)
    assert (message["channel"], message["text"], message["webhook"]) == ("#webhook", "one", True)
    form = urllib.parse.urlencode({"payload": json.dumps({"text": "two"})})
    assert webhook(cloud, form, content_type="application/x-www-form-urlencoded") == (200, "ok")
    assert webhook(cloud, "{", content_type="application/json") == (400, "invalid_payload")
    assert webhook(cloud, {"blocks": None}) == (400, "no_text")
    assert webhook(cloud, {"blocks": [section(LONG)]}) == (400, "invalid_blocks")
    assert webhook(cloud, {"text": "x"}, "x") == (404, "no_service")
    cloud.admin("POST", "slack/channels", {"archived": ["#webhook"]})
    assert webhook(cloud, {"text": "x"}) == (410, "channel_is_archived")
    cloud.admin("POST", "slack/webhook", {"active": False})
    assert webhook(cloud, {"text": "x"}) == (404, "no_service")
    assert [each["text"] for each in posted(cloud)] == ["one", "two"]


def test_a_bot_cannot_change_the_message_of_a_webhook(cloud):
    webhook(cloud, {"text": "one"})
    (message,) = posted(cloud)
    answer = slack(cloud, "chat.update", channel=message["channel_id"], ts=message["ts"], text="x")
    assert answer == {"ok": False, "error": "cant_update_message"}


def test_faults_hold_for_the_webhook_and_its_path_is_not_logged(cloud):
    start = cloud.admin("GET", "calls")["last"]
    rule = {"service": "slack", "action": "webhook"}
    cloud.admin("POST", "faults", {**rule, "effect": "throttle", "seconds": 7})
    status, headers, body = http("POST", cloud.facts["slack_webhook_url"], {"text": "one"})
    assert (status, headers["Retry-After"], body) == (429, "7", b"rate_limited")
    cloud.admin("POST", "faults", {**rule, "effect": "error", "status": 500, "code": "rollup_error"})
    assert webhook(cloud, {"text": "two"}) == (500, "rollup_error")
    assert posted(cloud) == []
    # The answer is lost, but the message is there.
    cloud.admin("POST", "faults", {**rule, "effect": "drop", "when": "after"})
    with contextlib.suppress(ConnectionError, urllib.error.URLError):
        webhook(cloud, {"text": "three"})
        raise AssertionError("there was an answer")
    assert [each["text"] for each in posted(cloud)] == ["three"]
    webhook(cloud, {"text": "x"}, "x")
    calls = cloud.admin("GET", f"calls?after={start}&caller=client")["calls"]
    assert {call["action"] for call in calls} == {"webhook"}
    assert cloud.facts["slack_webhook_url"].rpartition("/")[2] not in json.dumps(calls)


def test_an_outage_refuses_connections_until_it_ends(cloud):
    url = f"{cloud.facts['slack_url']}/auth.test"
    assert cloud.admin("POST", "outages", {"service": "slack"}) == {"services": ["slack"]}
    for address in (url, cloud.facts["slack_webhook_url"]):
        with pytest.raises(urllib.error.URLError) as refused:
            http("POST", address, {"text": "x"})
        assert isinstance(refused.value.reason, ConnectionRefusedError)
    assert cloud.admin("POST", "outages", {"service": "slack"}) == {"services": ["slack"]}
    assert http("POST", cloud.facts["pagerduty_url"], {})[0] == 404
    assert cloud.admin("DELETE", "outages") == {"ended": ["slack"]}
    assert slack(cloud, "auth.test")["ok"] is True
    cloud.admin("POST", "outages", {"service": "slack", "seconds": 0.2})
    wait_for(lambda: cloud.admin("GET", "outages") == {"services": []}, "the outage to end")
    assert slack(cloud, "auth.test")["ok"] is True


def label(text):
    return {"type": "plain_text", "text": text}


def field(element, block_id="text"):
    return {"type": "input", "block_id": block_id, "label": label("Text"), "element": element}


LINE = {"type": "plain_text_input", "action_id": "value", "max_length": 200}


def modal(*blocks, **changed):
    view = {"type": "modal", "title": label("Update"), "submit": label("Send"), "blocks": list(blocks) or [field(LINE)]}
    return {**view, **changed}


def interaction(cloud, **fields):
    return cloud.admin("POST", "slack/interactions", {"user": "U024BE7LH", **fields})


def opened(cloud, view, trigger=None):
    trigger = interaction(cloud)["trigger_id"] if trigger is None else trigger
    return slack(cloud, "views.open", trigger_id=trigger, view=view)


# "views.open" and "Modal views" of docs.slack.dev.
def test_a_trigger_opens_one_modal_for_three_seconds(cloud):
    trigger = interaction(cloud)["trigger_id"]
    answer = opened(cloud, modal(private_metadata="{}"), trigger)
    assert (answer["ok"], answer["view"]["title"]) == (True, label("Update"))
    (view,) = cloud.admin("GET", "slack/views")["views"]
    assert (view["id"], view["user"], view["view"]) == (answer["view"]["id"], "U024BE7LH", modal(private_metadata="{}"))
    assert opened(cloud, modal(), trigger)["error"] == "exchanged_trigger_id"
    assert opened(cloud, modal(), "1.2.abc")["error"] == "invalid_trigger_id"
    assert opened(cloud, modal(), interaction(cloud, age=4)["trigger_id"])["error"] == "expired_trigger_id"
    # The view may also be JSON in a text.
    assert opened(cloud, json.dumps(modal()))["ok"] is True
    assert cloud.admin("DELETE", "slack/interactions") == {"removed": 2}


@pytest.mark.parametrize(
    "view",
    [
        "{",
        [],
        {"type": "home", "blocks": [section("x")]},
        modal(title=label("x" * 25)),
        modal(title={"type": "mrkdwn", "text": "x"}),
        modal(submit=None),
        modal(close=label("")),
        modal(private_metadata="x" * 3001),
        modal(callback_id="x" * 256),
        modal(hash="1"),
        modal(blocks=[]),
        modal(*[section("x")] * 101),
        modal(field({**LINE, "max_length": 3001})),
        modal(field({**LINE, "initial_value": "x" * 201})),
        modal(field({**LINE, "action_id": "x" * 256})),
        modal(field({"type": "static_select", "action_id": "value", "options": []})),
        modal(field({"type": "static_select", "options": [{"text": label("x" * 76), "value": "x"}]})),
        modal(field({"type": "static_select", "options": [{"text": label("x"), "value": "x" * 151}]})),
        modal(field({"type": "static_select", "options": [{"text": label("x"), "value": "x"}] * 101})),
        modal(field({"type": "unheard"})),
        modal(field(LINE), field(LINE)),
    ],
)
def test_a_wrong_modal_is_refused_and_its_trigger_stays(cloud, view):
    if isinstance(view, dict) and view.get("submit", 0) is None:
        del view["submit"]
    trigger = interaction(cloud)["trigger_id"]
    answer = opened(cloud, view, trigger)
    assert (answer["ok"], answer["error"]) == (False, "invalid_arguments")
    assert answer["response_metadata"]["messages"]
    assert cloud.admin("GET", "slack/views")["views"] == []
    assert opened(cloud, modal(), trigger)["ok"] is True


def test_a_modal_has_a_size(cloud):
    options = [{"text": label("x"), "value": f"{number}{'é' * 145}"} for number in range(100)]
    fields = [field({"type": "static_select", "options": options}, f"b{number}") for number in range(10)]
    assert opened(cloud, modal(*fields))["error"] == "view_too_large"


# "Handling user interaction" of docs.slack.dev.
def test_a_response_url_takes_five_messages_for_half_an_hour(cloud):
    def answered(url, body):
        status, _, answer = http("POST", url, body)
        return status, json.loads(answer)

    url = interaction(cloud)["response_url"]
    message = {"response_type": "ephemeral", "replace_original": False, "text": "done", "blocks": [section("done")]}
    assert answered(url, {**message, "unheard": 1}) == (400, {"ok": False, "error": "invalid_payload"})
    assert answered(url, {**message, "blocks": [section(LONG)]}) == (400, {"ok": False, "error": "invalid_blocks"})
    for _ in range(5):
        assert answered(url, message) == (200, {"ok": True})
    assert answered(url, message) == (404, {"ok": False, "error": "used_url"})
    first, *_ = answers = cloud.admin("GET", "slack/answers")["answers"]
    assert (len(answers), first["user"], first["message"], first["response_url"]) == (5, "U024BE7LH", message, url)
    old = interaction(cloud, age=1801)["response_url"]
    assert answered(old, message) == (404, {"ok": False, "error": "expired_url"})
    assert answered(f"{url}x", message) == (404, {"ok": False, "error": "expired_url"})
    start = cloud.admin("GET", "calls")["last"]
    cloud.admin("POST", "faults", {"service": "slack", "action": "response_url", "effect": "throttle", "seconds": 1})
    assert http("POST", interaction(cloud)["response_url"], message)[0] == 429
    calls = cloud.admin("GET", f"calls?after={start}&caller=client")["calls"]
    assert {call["action"] for call in calls} == {"response_url"}
