"""The MoveONgs API's stand-in answers like the application and records the requests."""

from __future__ import annotations

import hashlib
import json
import time
import uuid

import pytest
from conftest import http

from localcloud.standins.moveongs import jwt, jwt_claims


@pytest.fixture(autouse=True)
def fresh(cloud):
    def reset():
        cloud.admin("DELETE", "faults")
        cloud.admin("DELETE", "moveongs/requests")
        usual = {"masking": False, "down": False, "mfa": False, "attachment_missing": False, "rate_limit": 0}
        usual["attachment_answer"] = "file"
        secret, user = cloud.facts["moveongs_jwt_secret"], cloud.facts["moveongs_user"]
        cloud.admin("POST", "moveongs/config", {**usual, "jwt_secret": secret, "user": user, "service": None})

    reset()
    yield
    reset()


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
    claims = jwt_claims(session["token"], cloud.facts["moveongs_jwt_secret"])
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
    late = jwt({"sub": "x", "exp": int(time.time()) - 1}, secret)
    assert api(cloud, "GET", "/auth/me", authorization=f"Bearer {late}") == unauthorized
    ours = jwt({"sub": "x", "exp": int(time.time()) + 600}, secret)
    assert api(cloud, "GET", "/auth/me", authorization=f"Bearer {ours}")[0] == 200
    status, renewed = api(cloud, "POST", "/auth/refresh", {"refreshToken": session["refreshToken"]})
    assert (status, api(cloud, "GET", "/auth/me", **bearer(renewed))[0]) == (200, 200)


def test_beneficiaries_are_for_the_roles_and_permissions_of_the_token(cloud):
    def status(**claims):
        token = jwt({"exp": int(time.time()) + 600, **claims}, cloud.facts["moveongs_jwt_secret"])
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
    cloud.admin("POST", "moveongs/config", {"attachment_missing": False, "attachment_answer": "json"})
    assert api(cloud, "GET", f"{path}?download=1", **token) == (200, body)
    cloud.admin("POST", "moveongs/config", {"attachment_answer": "other"})
    assert api(cloud, "GET", f"{path}?download=1", **token) == (200, b"other bytes")
    assert api(cloud, "GET", "/attachments?ownerType=beneficiary&ownerId=1", **token) == (200, {"data": []})
    assert api(cloud, "GET", "/attachments", **token)[0] == 400


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
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(cloud, route, field, body):
    with pytest.raises(AssertionError, match=rf'400 {{"error": "{field}: '):
        cloud.admin("POST", route, body)
