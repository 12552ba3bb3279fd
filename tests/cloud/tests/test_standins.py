"""Slack, GitHub and the MoveONgs API answer as the real ones do, and remember what they were asked."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest

from localcloud import standins


@pytest.fixture(autouse=True)
def fresh(cloud):
    def reset():
        cloud.admin("DELETE", "faults")
        cloud.admin("DELETE", "slack/messages")
        cloud.admin("POST", "slack/channels", {"archived": []})
        cloud.admin("DELETE", "github/issues")
        cloud.admin("DELETE", "github/repository")
        usual = {"repository": "moveongs/governance", "issues": True, "may_write": True, "may_label": True}
        cloud.admin("POST", "github/config", {**usual, "may_write_contents": True, "remaining": -1})
        cloud.admin("DELETE", "moveongs/requests")
        usual = {"masking": False, "down": False, "mfa": False, "attachment_missing": False, "rate_limit": 0}
        secret, user = cloud.facts["moveongs_jwt_secret"], cloud.facts["moveongs_user"]
        cloud.admin("POST", "moveongs/config", {**usual, "jwt_secret": secret, "user": user, "service": None})

    reset()
    yield
    reset()


def http(method, url, body=None, **headers):
    """Status, headers and body, whatever the status."""
    if isinstance(body, dict):
        headers.setdefault("content-type", "application/json")
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, names, method=method), timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


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
    # A token in a JSON body is none, but one in a form is.
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
    # Only a post takes a channel's name.
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


def api(cloud, method, path, body=None, **headers):
    status, answer_headers, content = http(method, cloud.facts["moveongs_url"] + path, body, **headers)
    kind = answer_headers.get("content-type", "")
    return status, json.loads(content) if content and kind.startswith("application/json") else content


def login(cloud):
    status, session = api(cloud, "POST", "/auth/login", cloud.facts["moveongs_user"])
    assert status == 200
    return session


def bearer(session):
    return {"authorization": f"Bearer {session['token']}"}


def test_health(cloud):
    url = f"{cloud.facts['moveongs_url']}/health"
    status, headers, body = http("GET", url, x_request_id="trace-1")
    assert (status, body, headers["x-request-id"]) == (200, b'{"status":"ok"}', "trace-1")
    assert headers["content-type"] == "application/json; charset=utf-8"
    status, headers, body = http("HEAD", url)
    assert (status, body, headers["content-length"]) == (200, b"", "15")
    assert uuid.UUID(headers["x-request-id"])
    assert api(cloud, "POST", "/health", {})[0] == 404
    assert api(cloud, "GET", "/metrics")[0] == 404


def test_the_rate_limit_counts_every_request_and_answers_500(cloud):
    cloud.admin("POST", "moveongs/config", {"rate_limit": 2})
    url = f"{cloud.facts['moveongs_url']}/health"
    assert http("GET", url)[0] == 200
    assert api(cloud, "GET", "/metrics")[0] == 404
    status, headers, body = http("GET", url)
    assert (status, json.loads(body)) == (500, {"message": "Internal server error"})
    told = [headers[name] for name in ("retry-after", "x-ratelimit-limit", "x-ratelimit-remaining")]
    assert told == ["60", "2", "0"]
    assert api(cloud, "POST", "/auth/login", {"email": "a@b.c", "password": "123456"})[0] == 500
    cloud.admin("POST", "moveongs/config", {"rate_limit": 0})
    assert http("GET", url)[0] == 200


def test_login_refresh_and_reading(cloud):
    session = login(cloud)
    assert len(session["refreshToken"]) == 64
    assert session["user"]["roles"] == [{"slug": "leitura_externa", "projectId": None}]
    claims = standins.jwt_claims(session["token"], cloud.facts["moveongs_jwt_secret"])
    assert set(claims) == {"sub", "email", "name", "roles", "projectScopes", "permissions", "iat", "exp"}
    assert api(cloud, "GET", "/auth/me", **bearer(session))[1]["user"]["email"] == cloud.facts["moveongs_user"]["email"]
    status, page = api(cloud, "GET", "/beneficiaries?limit=500&offset=28", **bearer(session))
    assert (status, page["meta"], len(page["data"])) == (200, {"limit": 500, "offset": 28, "count": 2}, 2)
    assert len(api(cloud, "GET", "/beneficiaries", **bearer(session))[1]["data"]) == 25
    assert api(cloud, "GET", "/beneficiaries?offset=99", **bearer(session))[1]["data"] == []
    refresh = {"refreshToken": session["refreshToken"]}
    status, renewed = api(cloud, "POST", "/auth/refresh", refresh)
    assert status == 200
    assert api(cloud, "GET", "/beneficiaries", **bearer(renewed))[0] == 200
    assert api(cloud, "POST", "/auth/refresh", refresh) == (409, {"message": "Refresh token already rotated"})
    assert api(cloud, "POST", "/auth/refresh", {"refreshToken": "x"})[0] == 401


def test_login_refuses(cloud):
    user = cloud.facts["moveongs_user"]
    wrong = {"message": "Invalid credentials"}
    assert api(cloud, "POST", "/auth/login", {**user, "password": "not the one"}) == (401, wrong)
    assert api(cloud, "POST", "/auth/login", {**user, "email": "other@moveongs.local"}) == (401, wrong)
    status, body = api(cloud, "POST", "/auth/login", {"email": "x", "password": "12345"})
    assert (status, body["message"], set(body["details"]["fieldErrors"])) == (
        400,
        "Invalid credentials",
        {"email", "password"},
    )
    broken = 500, {"message": "Internal server error"}
    assert api(cloud, "POST", "/auth/login", "{", content_type="application/json") == broken
    assert api(cloud, "POST", "/auth/login", "a=1", content_type="application/x-www-form-urlencoded") == broken


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "offset=-1"])
def test_beneficiaries_refuses(cloud, query):
    status, body = api(cloud, "GET", f"/beneficiaries?{query}", **bearer(login(cloud)))
    assert (status, body["message"]) == (400, "Invalid query")


def test_a_token_dies_with_its_secret_and_the_refresh_token_does_not(cloud):
    session, secret = login(cloud), str(uuid.uuid4())
    cloud.admin("POST", "moveongs/config", {"jwt_secret": secret})
    unauthorized = 401, {"message": "Unauthorized"}
    assert api(cloud, "GET", "/beneficiaries", **bearer(session)) == unauthorized
    assert api(cloud, "GET", "/auth/me") == unauthorized
    assert api(cloud, "GET", "/auth/me", authorization="Bearer garbage") == unauthorized
    late = standins.jwt({"sub": "x", "exp": int(time.time()) - 1}, secret)
    assert api(cloud, "GET", "/auth/me", authorization=f"Bearer {late}") == unauthorized
    ours = standins.jwt({"sub": "x", "exp": int(time.time()) + 600}, secret)
    assert api(cloud, "GET", "/auth/me", authorization=f"Bearer {ours}")[0] == 200
    status, renewed = api(cloud, "POST", "/auth/refresh", {"refreshToken": session["refreshToken"]})
    assert (status, api(cloud, "GET", "/auth/me", **bearer(renewed))[0]) == (200, 200)


def test_beneficiaries_are_for_the_roles_and_permissions_of_the_token(cloud):
    def status(**claims):
        token = standins.jwt({"exp": int(time.time()) + 600, **claims}, cloud.facts["moveongs_jwt_secret"])
        return api(cloud, "GET", "/beneficiaries", authorization=f"Bearer {token}")

    for role in ("admin", "coordenacao", "tecnica", "educadora", "recepcao", "financeiro"):
        assert status(roles=[role])[0] == 200
    for permission in ("beneficiaries:read", "beneficiaries:read:own"):
        assert status(roles=["beneficiaria"], permissions=[permission])[0] == 200
    insufficient = 403, {"message": "Insufficient permissions"}
    for claims in ({}, {"roles": ["leitura_externa"]}, {"roles": [], "permissions": ["attachments:read"]}):
        assert status(sub=str(uuid.uuid4()), **claims) == insufficient
    assert status(exp=int(time.time()) - 1, roles=["admin"]) == (401, {"message": "Unauthorized"})


def test_attachments(cloud):
    token, known = bearer(login(cloud)), cloud.facts["moveongs_attachment"]
    path = f"/attachments/{known['id']}"
    status, body = api(cloud, "GET", path, **token)
    assert (status, body["attachment"]["checksum"]) == (200, known["checksum"])
    assert api(cloud, "GET", f"{path}?download=yes", **token)[1] == body
    status, headers, content = http("GET", f"{cloud.facts['moveongs_url']}{path}?download=1", **token)
    assert (status, hashlib.sha256(content).hexdigest()) == (200, known["checksum"])
    assert headers["content-type"] == body["attachment"]["mimeType"]
    assert api(cloud, "GET", path)[0] == 401
    assert api(cloud, "GET", "/attachments/x", **token) == (400, {"message": "Invalid params"})
    assert api(cloud, "GET", f"/attachments/{uuid.uuid4()}", **token) == (404, {"message": "Attachment not found"})
    cloud.admin("POST", "moveongs/config", {"attachment_missing": True})
    assert api(cloud, "GET", f"{path}?download=true", **token)[0] == 500
    assert api(cloud, "GET", path, **token)[0] == 200


def test_masked_login_is_useless(cloud):
    cloud.admin("POST", "moveongs/config", {"masking": True})
    session = login(cloud)
    for name in ("token", "refreshToken", "refreshTokenExpiresAt"):
        assert set(session[name][:-4]) == {"*"}
    assert session["user"]["email"] == cloud.facts["moveongs_user"]["email"]


def test_second_factor_down_and_too_short_a_secret(cloud):
    cloud.admin("POST", "moveongs/config", {"mfa": True})
    status, body = api(cloud, "POST", "/auth/login", cloud.facts["moveongs_user"])
    assert (status, body["mfaRequired"], body["methods"]) == (202, True, ["totp"])
    for broken in ({"down": True}, {"down": False, "jwt_secret": "x" * 31}):
        cloud.admin("POST", "moveongs/config", broken)
        assert api(cloud, "GET", "/health")[0] == 503
    cloud.admin("POST", "moveongs/config", {"jwt_secret": "x" * 32})
    assert api(cloud, "GET", "/health")[0] == 200


def test_requests_are_remembered_without_what_they_carry(cloud):
    session = login(cloud)
    api(cloud, "GET", "/beneficiaries?search=somebody", **bearer(session))
    assert cloud.admin("GET", "moveongs/requests")["requests"] == [
        {"method": "POST", "path": "/auth/login", "status": 200},
        {"method": "GET", "path": "/beneficiaries", "status": 200},
    ]


def test_faults_hold_for_moveongs(cloud):
    rule = {"service": "moveongs", "action": "GET /health"}
    cloud.admin("POST", "faults", {**rule, "effect": "error", "status": 502, "code": "x", "message": "bad"})
    assert api(cloud, "GET", "/health") == (502, {"message": "bad"})
    cloud.admin("POST", "faults", {**rule, "effect": "throttle", "seconds": 60})
    status, headers, _ = http("GET", f"{cloud.facts['moveongs_url']}/health")
    assert (status, headers["retry-after"]) == (500, "60")
    assert api(cloud, "GET", "/health")[0] == 200


@pytest.mark.parametrize(
    ("route", "field", "body"),
    [
        ("moveongs/config", "maskin", {"maskin": True}),
        ("moveongs/config", "masking", {"masking": 1}),
        ("moveongs/config", "user", {"user": {"email": "x"}}),
        ("moveongs/config", "service", {"service": {"cluster": "x"}}),
        ("slack/channels", "archived", {"archived": "#x"}),
        ("github/config", "issue", {"issue": False}),
        ("github/config", "remaining", {"remaining": True}),
        ("github/issues", "title", {"title": ""}),
        ("github/pulls/merge", "number", {"number": 999_999}),
        ("slack/channels", "closed", {"closed": []}),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(cloud, route, field, body):
    with pytest.raises(AssertionError, match=rf'400 {{"error": "{field}: '):
        cloud.admin("POST", route, body)


def github(cloud, method, path="", body=None, **headers):
    """Status, headers and the parsed body of a call about the repository's issues; `path` may be a whole URL."""
    url = path if path.startswith("http") else f"{cloud.facts['github_url']}/repos/moveongs/governance/issues{path}"
    headers.setdefault("authorization", f"Bearer {cloud.facts['github_token']}")
    status, answered, text = http(method, url, body, **headers)
    return status, answered, json.loads(text) if text else None


def titles(issues):
    return [issue["title"] for issue in issues]


def test_github_opens_changes_and_closes_an_issue(cloud):
    status, _, issue = github(cloud, "POST", body={"title": "one", "body": "b", "labels": ["x", "y"]})
    assert (status, issue["state"], [label["name"] for label in issue["labels"]]) == (201, "open", ["x", "y"])
    path = f"/{issue['number']}"
    assert github(cloud, "POST", f"{path}/comments", {"body": "done"})[0] == 201
    change = {"state": "closed", "state_reason": "completed"}
    status, _, closed = github(cloud, "PATCH", path, change)
    assert (status, closed["state"], closed["state_reason"], closed["comments"]) == (200, "closed", "completed", 1)
    assert github(cloud, "GET", path)[2]["state"] == "closed"
    assert github(cloud, "GET", f"{path}/comments")[2][0]["body"] == "done"
    assert cloud.admin("GET", "github/issues")["issues"] == [
        {
            "number": issue["number"],
            "title": "one",
            "body": "b",
            "state": "closed",
            "state_reason": "completed",
            "labels": ["x", "y"],
            "comments": ["done"],
        }
    ]
    assert github(cloud, "GET", "/999999")[0] == 404


def test_github_lists_by_label_and_state_in_pages(cloud):
    for number in range(5):
        labels = ["ours"] if number != 2 else ["other"]
        state = "closed" if number == 3 else "open"
        cloud.admin("POST", "github/issues", {"title": str(number), "labels": labels, "state": state})
    assert titles(github(cloud, "GET")[2]) == ["4", "2", "1", "0"]
    assert titles(github(cloud, "GET", "?labels=ours&state=all&direction=asc")[2]) == ["0", "1", "3", "4"]
    assert titles(github(cloud, "GET", "?state=closed")[2]) == ["3"]
    assert github(cloud, "GET", "?state=odd")[0] == 422
    seen, url = [], "?labels=ours&state=all&direction=asc&per_page=3"
    while url:
        _, headers, page = github(cloud, "GET", url)
        seen += titles(page)
        links = [link.split("; ") for link in (headers["link"] or "").split(", ")]
        url = next((link[0].strip("<>") for link in links if link[-1] == 'rel="next"'), None)
    assert seen == ["0", "1", "3", "4"]


def test_github_refuses_as_the_real_one(cloud):
    def said(*arguments, **headers):
        status, _, body = github(cloud, *arguments, **headers)
        return status, body["message"]

    assert said("GET", authorization="Bearer wrong") == (401, "Bad credentials")
    assert said("GET", authorization="") == (401, "Requires authentication")
    assert said("GET", x_github_api_version="2000-01-01")[0] == 400
    assert said("GET", user_agent="")[0] == 403
    assert said("POST", "", {"title": " "}) == (422, "Validation Failed")
    assert said("POST", "", {"title": "x", "body": "b" * 65_537})[0] == 422
    assert said("POST", "", "{") == (400, "Problems parsing JSON")
    for config, method, status in (
        ({"repository": "moveongs/other"}, "GET", 404),
        ({"repository": "moveongs/governance", "issues": False}, "GET", 410),
        ({"issues": True, "may_write": False}, "POST", 403),
    ):
        cloud.admin("POST", "github/config", config)
        assert said(method, "", {"title": "x"} if method == "POST" else None)[0] == status
    cloud.admin("POST", "github/config", {"may_write": True, "may_label": False})
    # Who may not push may open issues all the same, and their labels are dropped without a word.
    assert github(cloud, "POST", "", {"title": "x", "labels": ["ours"]})[2]["labels"] == []


def test_github_limits_the_rate(cloud):
    cloud.admin("POST", "github/config", {"remaining": 1, "reset_seconds": 30})
    assert github(cloud, "GET")[0] == 200
    status, headers, body = github(cloud, "GET")
    assert (status, headers["x-ratelimit-remaining"]) == (403, "0")
    assert 25 <= int(headers["x-ratelimit-reset"]) - time.time() <= 35
    assert "rate limit" in body["message"]
    cloud.admin("POST", "github/config", {"remaining": -1})
    rule = {"service": "github", "action": "POST /issues"}
    cloud.admin("POST", "faults", {**rule, "effect": "throttle", "seconds": 7})
    cloud.admin("POST", "faults", {**rule, "effect": "error", "status": 502, "code": "x", "nth": 2})
    status, headers, _ = github(cloud, "POST", "", {"title": "x"})
    assert (status, headers["retry-after"]) == (403, "7")
    assert github(cloud, "POST", "", {"title": "x"})[0] == 502
    assert github(cloud, "POST", "", {"title": "x"})[0] == 201
    called = [call["action"] for call in cloud.admin("GET", "calls")["calls"] if call["service"] == "github"]
    assert called[-3:] == ["POST /issues"] * 3


LOG, BRANCH = "docs/a b.md", "governance/log"


def files(cloud, method, path="", body=None):
    """Status and the parsed body of a call about the repository's files."""
    url = f"{cloud.facts['github_url']}/repos/moveongs/governance{urllib.parse.quote(path, safe='/?&=')}"
    status, _, answer = github(cloud, method, url, body)
    return status, answer


def refusal(answered):
    """Status, message and reasons."""
    status, body = answered
    reasons = [error.get("message", error.get("field")) for error in body.get("errors", [])]
    return status, body["message"], *reasons


def committed(cloud, text, branch=BRANCH, **more):
    fields = {"message": "m", "content": base64.b64encode(text.encode()).decode(), "branch": branch}
    return files(cloud, "PUT", f"/contents/{LOG}", {**fields, **more})


def branched(cloud, branch=BRANCH):
    sha = files(cloud, "GET", "/git/ref/heads/main")[1]["object"]["sha"]
    return files(cloud, "POST", "/git/refs", {"ref": f"refs/heads/{branch}", "sha": sha})


def proposed(cloud, **more):
    return files(cloud, "POST", "/pulls", {"title": "t", "body": "b", "head": BRANCH, "base": "main", **more})


def test_github_keeps_files_on_branches(cloud):
    assert files(cloud, "GET")[1]["default_branch"] == "main"
    assert refusal(files(cloud, "GET", f"/git/ref/heads/{BRANCH}")) == (404, "Not Found")
    assert refusal(committed(cloud, "x")) == (404, f"Branch {BRANCH} not found")
    assert branched(cloud)[0] == 201
    assert refusal(branched(cloud)) == (422, "Reference already exists")
    unknown = {"ref": "refs/heads/other", "sha": "0" * 40}
    assert refusal(files(cloud, "POST", "/git/refs", unknown)) == (422, "Object does not exist")
    assert files(cloud, "POST", "/git/refs", {**unknown, "ref": "other"})[0] == 422
    assert refusal(files(cloud, "GET", f"/contents/{LOG}?ref={BRANCH}")) == (404, "Not Found")
    assert files(cloud, "GET", f"/contents/{LOG}?ref=none")[0] == 404
    text = "ação\n" * 20
    assert committed(cloud, text)[0] == 201
    status, shown = files(cloud, "GET", f"/contents/{LOG}?ref={BRANCH}")
    assert (status, shown["type"], shown["encoding"]) == (200, "file", "base64")
    lines = shown["content"].splitlines()
    assert len(lines) > 2 and {len(line) for line in lines[:-1]} == {60}
    assert base64.b64decode(shown["content"]).decode() == text
    # As `git hash-object` says.
    assert shown["sha"] == hashlib.sha1(f"blob {len(text.encode())}\0{text}".encode()).hexdigest()
    assert refusal(committed(cloud, "new")) == (422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    assert refusal(committed(cloud, "new", sha="0" * 40)) == (409, f"{LOG} does not match {'0' * 40}")
    assert refusal(committed(cloud, "new", sha=shown["sha"], content="!")) == (422, "content is not valid Base64")
    assert committed(cloud, "new", sha=shown["sha"])[0] == 200
    main = {"README.md": "# governance\n"}
    told = cloud.admin("GET", "github/repository")
    assert told == {"default_branch": "main", "branches": {"main": main, BRANCH: {**main, LOG: "new"}}, "pulls": []}
    start = files(cloud, "GET", "/git/ref/heads/main")[1]["object"]["sha"]
    for base, head, status in [("main", start, "identical"), ("main", BRANCH, "ahead"), (BRANCH, start, "behind")]:
        assert files(cloud, "GET", f"/compare/{base}...{head}?per_page=1&page=2")[1]["status"] == status
    assert refusal(files(cloud, "GET", f"/compare/main...{'0' * 40}")) == (404, "Not Found")
    path = f"/git/refs/heads/{BRANCH}"
    assert refusal(files(cloud, "PATCH", path, {"sha": start})) == (422, "Update is not a fast forward")
    assert files(cloud, "PATCH", path, {"sha": start, "force": True})[0] == 200
    assert cloud.admin("GET", "github/repository")["branches"][BRANCH] == main
    assert refusal(files(cloud, "PATCH", "/git/refs/heads/none", {"sha": start})) == (422, "Reference does not exist")
    committed(cloud, "by hand", "main")
    ahead = files(cloud, "GET", "/git/ref/heads/main")[1]["object"]["sha"]
    assert files(cloud, "PATCH", path, {"sha": ahead})[0] == 200


def test_github_has_one_pull_request_of_a_branch_and_merges_it(cloud):
    branched(cloud)
    assert refusal(proposed(cloud)) == (422, "Validation Failed", f"No commits between main and {BRANCH}")
    assert refusal(proposed(cloud, head="none")) == (422, "Validation Failed", "head")
    assert refusal(proposed(cloud, base="none")) == (422, "Validation Failed", "base")
    committed(cloud, "new")
    status, pull = proposed(cloud)
    assert (status, pull["state"], pull["head"]["ref"]) == (201, "open", BRANCH)
    reason = f"A pull request already exists for moveongs:{BRANCH}."
    assert refusal(proposed(cloud)) == (422, "Validation Failed", reason)

    def listed(query=""):
        return [found["number"] for found in files(cloud, "GET", f"/pulls?base=main&state=open{query}")[1]]

    assert listed(f"&head=moveongs:{BRANCH}") == listed("&head=unowned") == [pull["number"]]
    assert listed("&head=moveongs:other") == listed(f"&head=other:{BRANCH}") == []
    assert cloud.admin("POST", "github/pulls/merge", {"number": pull["number"]}) == {"merged": pull["number"]}
    told = cloud.admin("GET", "github/repository")
    usual = {"number": pull["number"], "title": "t", "body": "b", "head": BRANCH, "base": "main"}
    assert told["pulls"] == [{**usual, "state": "closed", "merged": True}]
    assert told["branches"]["main"][LOG] == "new"
    assert refusal(proposed(cloud))[2] == f"No commits between main and {BRANCH}"
    assert listed() == []
    # A branch that is set back to the base has nothing to propose any more, and its pull request is closed.
    committed(cloud, "newer", sha=files(cloud, "GET", f"/contents/{LOG}")[1]["sha"])
    assert proposed(cloud)[1]["number"] > pull["number"]
    start = files(cloud, "GET", "/git/ref/heads/main")[1]["object"]["sha"]
    files(cloud, "PATCH", f"/git/refs/heads/{BRANCH}", {"sha": start, "force": True})
    assert listed() == []


def test_github_refuses_files_without_the_permission_and_names_the_calls(cloud):
    cloud.admin("POST", "github/config", {"may_write_contents": False})
    refused = (403, "Resource not accessible by personal access token")
    for answered in (branched(cloud), committed(cloud, "x", "main"), proposed(cloud)):
        assert refusal(answered) == refused
    assert files(cloud, "PATCH", f"/git/refs/heads/{BRANCH}", {})[0] == 403
    assert files(cloud, "GET", "/contents/README.md")[0] == files(cloud, "GET")[0] == 200
    assert github(cloud, "POST", "", {"title": "x"})[0] == 201
    cloud.admin("POST", "github/config", {"may_write_contents": True, "may_write": False})
    assert branched(cloud)[0] == 201
    assert files(cloud, "GET", "/branches")[0] == 404
    called = [call["action"] for call in cloud.admin("GET", "calls")["calls"] if call["service"] == "github"]
    branching = ["GET /git/ref", "POST /git/refs"]
    refused = [*branching, "PUT /contents", "POST /pulls", "PATCH /git/refs"]
    assert called[-11:] == [*refused, "GET /contents", "GET /", "POST /issues", *branching, "GET unknown"]
